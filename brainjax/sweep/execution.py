"""Executing a plan: one executable per static point, whole chunks in threads or processes, finished blocks on disk.

May import: jax and the other files of ``sweep``.
"""

import concurrent.futures
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from brainjax.sweep import program as programs
from brainjax.sweep.plan import Plan
from brainjax.sweep.results import Results
from brainjax.sweep.store import BlockWriter, Store
from brainjax.sweep.worker import WorkerProcess, run_chunk

if TYPE_CHECKING:
    import xarray as xr


class Progress(NamedTuple):
    """How far a sweep is: runs done and in total, the plan's name, and sometimes a message for the user."""

    done: int
    total: int
    label: str
    note: str | None = None


class _Chunk(NamedTuple):
    point: int
    rows: np.ndarray  # rows of this point that the chunk computes, without padding


def execute(
    plan: Plan,
    store: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    executor: concurrent.futures.Executor | None = None,
) -> "xr.Dataset | xr.DataTree | None":
    """Runs a plan and returns its labelled result; what a store already holds is not computed again.

    Args:
        plan: from `make_plan`.
        store: folder for finished blocks; without one, an interrupted sweep is lost.
        progress: called from this thread after each chunk.
        executor: any ``concurrent.futures.Executor`` whose workers can import brainjax; chunks become its tasks.

    Returns:
        An ``xarray.Dataset`` (a ``DataTree`` with ``ragged="tree"``). None when the plan is one shard of several and
        runs of other shards are still missing from the store.

    Raises:
        ValueError: when the store was made by another config or code.
        OSError: when the store cannot be written; finished blocks stay.
        KeyboardInterrupt: on Ctrl-C, after the finished chunks are on disk.
    """
    if plan.shard != (0, 1) and store is None:
        raise ValueError("shard: shards meet in a store; give its folder")

    def tell(note: str | None = None) -> None:
        if progress is not None:
            progress(Progress(results.done, results.total, plan.name, note))

    disk = None
    if store is not None:
        plan = resumed(plan, store)
        disk = Store(store, note=lambda message: tell(message))
        disk.admit(plan.layout)
    results = Results(plan.layout)
    if disk is not None:
        for fingerprint in dict.fromkeys(point.fingerprint for point in plan.layout.points):
            for table, outputs in disk.load(fingerprint):
                results.fill(fingerprint, table, outputs)
    tell()
    chunks = list(_missing_chunks(plan, results))
    if disk is None:
        _compute(plan, chunks, results, None, executor, tell)
    else:
        with BlockWriter(disk) as writer:
            _compute(plan, chunks, results, writer, executor, tell)
    if results.done < results.total:
        assert disk is not None
        for fingerprint in dict.fromkeys(point.fingerprint for point in plan.layout.points):
            for table, outputs in disk.load(fingerprint):  # what other shards have finished meanwhile
                results.fill(fingerprint, table, outputs)
        if results.done < results.total:
            return None
    return results.to_xarray()


def resumed(plan: Plan, store: str | os.PathLike[str]) -> Plan:
    """The plan at the chunk width that a store was made with, if there is one and the plan leaves the width open."""
    held = Store(store).layout()
    return plan if held is None or plan.width_is_given else plan.with_width(int(held.width))


def collect(store: str | os.PathLike[str]) -> "xr.Dataset | xr.DataTree":
    """The result of a finished sweep, from its store alone: no experiment, no devices.

    Raises:
        ValueError: when the folder holds no store, or runs are missing from it.
    """
    notes: list[str] = []
    disk = Store(store, note=notes.append)
    layout = disk.layout()
    if layout is None:
        raise ValueError(f"{store}: holds no sweep (there is no plan.json)")
    results = Results(layout)
    for fingerprint in dict.fromkeys(point.fingerprint for point in layout.points):
        for table, outputs in disk.load(fingerprint):
            results.fill(fingerprint, table, outputs)
    if results.done < results.total:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(f"{store}: {results.done} of {results.total} runs are there{why}; execute the same plan again")
    return results.to_xarray()


def _missing_chunks(plan: Plan, results: Results) -> Iterator[_Chunk]:
    shard, shards = plan.shard
    counter = 0
    for number, present in enumerate(results.present):
        rows = np.arange(len(present))
        owner = (counter + rows // plan.width) % shards
        counter += plan.layout.chunks()
        todo = rows[(owner == shard) & ~present]
        for start in range(0, len(todo), plan.width):
            yield _Chunk(number, todo[start : start + plan.width])


def _compute(
    plan: Plan,
    chunks: list[_Chunk],
    results: Results,
    writer: BlockWriter | None,
    executor: concurrent.futures.Executor | None,
    tell: Callable[[], None],
) -> None:
    """Runs chunks with a bounded number in flight; every finished one is kept before an interruption goes on."""
    if not chunks:
        return
    engine = _engine(plan, executor, sorted({chunk.point for chunk in chunks}))
    waiting = iter(chunks)
    flying: dict[concurrent.futures.Future[tuple[list[np.ndarray], float]], _Chunk] = {}

    def keep(future: concurrent.futures.Future[tuple[list[np.ndarray], float]]) -> None:
        chunk = flying.pop(future)
        arrays, seconds = future.result()
        point = plan.layout.points[chunk.point]
        real = len(chunk.rows)
        outputs = {name: array[:real] for name, array in zip(sorted(point.outputs), arrays, strict=True)}
        table = results.tables[chunk.point][chunk.rows]
        results.fill(point.fingerprint, table, outputs)
        if writer is not None:
            writer.put(point.fingerprint, table, outputs, seconds)

    try:
        while True:
            while len(flying) < 2 * engine.slots and (chunk := next(waiting, None)) is not None:
                flying[engine.submit(chunk.point, _padded(plan, results, chunk))] = chunk
            if not flying:
                return
            finished, _ = concurrent.futures.wait(flying, timeout=0.5, return_when="FIRST_COMPLETED")
            for future in finished:
                keep(future)
            if finished:
                tell()
    except BaseException:
        engine.stop()
        for future in [future for future in flying if future.done() and not future.cancelled()]:
            if future.exception() is None:
                keep(future)
        raise
    finally:
        engine.stop()


def _padded(plan: Plan, results: Results, chunk: _Chunk) -> list[np.ndarray]:
    rows = np.concatenate([chunk.rows, np.full(plan.width - len(chunk.rows), chunk.rows[-1])])
    table = results.tables[chunk.point][rows]
    return [np.ascontiguousarray(table[name]) for name in table.dtype.names or ()]


class _Engine:
    """Where chunks run: `submit` gives a future of (outputs, seconds), `stop` waits for what has begun."""

    def __init__(self, slots: int, submit: Callable[[int, list[np.ndarray]], Any], stop: Callable[[], None]) -> None:
        self.slots = slots
        self.submit = submit
        self.stop = stop


def _engine(plan: Plan, executor: concurrent.futures.Executor | None, points: list[int]) -> _Engine:
    if executor is not None:
        return _executor_engine(plan, executor, points)
    if plan.hazard is not None:
        return _process_engine(plan)
    return _thread_engine(plan, points)


def _thread_engine(plan: Plan, points: list[int]) -> _Engine:
    """Chunks in threads of this process; programs are compiled one ahead of where they are needed."""
    compiler = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="brainjax-compile")
    pool = concurrent.futures.ThreadPoolExecutor(plan.workers, thread_name_prefix="brainjax-chunk")
    compiled = {number: compiler.submit(_compile, plan, number) for number in points}

    def work(number: int, arguments: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
        executable = compiled[number].result()
        start = time.perf_counter()
        outputs = [np.asarray(output) for output in executable(*arguments)]
        return outputs, time.perf_counter() - start

    def stop() -> None:
        compiler.shutdown(wait=True, cancel_futures=True)
        pool.shutdown(wait=True, cancel_futures=True)

    return _Engine(plan.workers, lambda number, arguments: pool.submit(work, number, arguments), stop)


def _compile(plan: Plan, number: int) -> Any:
    executable = plan.lowered[number].compile(compiler_options=programs.compiler_options())
    hazard = programs.thread_hazard(executable.as_text() or "") if jax.default_backend() == "cpu" else None
    if hazard is None:
        shared = plan.programs[number].shared
        return (lambda *arguments: executable(*arguments, *shared)) if shared else executable
    # the compiler itself has put a solve into the program: run this point through a process after all
    exported = plan.programs[number].export(plan.width)
    return lambda *arguments: run_chunk(exported, arguments)


def _process_engine(plan: Plan) -> _Engine:
    """Chunks in worker processes with one core each."""
    pool = concurrent.futures.ThreadPoolExecutor(plan.workers, thread_name_prefix="brainjax-process")
    idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
    workers = [WorkerProcess() for _ in range(plan.workers)]
    for worker in workers:
        idle.put(worker)
    exported = _Exports(plan)

    def work(number: int, arguments: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
        program = exported[number]
        worker = idle.get()
        try:
            start = time.perf_counter()
            return worker.compute(program, arguments), time.perf_counter() - start
        finally:
            idle.put(worker)

    def stop() -> None:
        pool.shutdown(wait=True, cancel_futures=True)
        for worker in workers:
            worker.close()

    return _Engine(plan.workers, lambda number, arguments: pool.submit(work, number, arguments), stop)


def _executor_engine(plan: Plan, executor: concurrent.futures.Executor, points: list[int]) -> _Engine:
    """Chunks as tasks of the user's executor, each in a worker process of the machine that takes the task."""
    exported = {number: plan.programs[number].export(plan.width) for number in points}

    def submit(number: int, arguments: list[np.ndarray]) -> Any:
        return executor.submit(_timed_chunk, exported[number], arguments)

    return _Engine(max(plan.workers, 8), submit, lambda: None)


def _timed_chunk(program: bytes, arguments: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    start = time.perf_counter()
    return run_chunk(program, arguments), time.perf_counter() - start


class _Exports:
    """Exported programs, each made once, when a chunk first needs it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._made: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> bytes:
        with self._lock:
            if number not in self._made:
                self._made[number] = self._plan.programs[number].export(self._plan.width)
            return self._made[number]
