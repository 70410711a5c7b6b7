"""Running exported programs in processes of their own: one core each, so that no solve can deadlock another.

A worker is a Python process that runs `main`: it reads programs and arguments from its standard input and writes
outputs to its standard output, both as length-prefixed ``npz`` without pickle. `run_chunk` is what an executor of
``concurrent.futures`` is given for another machine.
"""

import contextlib
import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

_TRIES = 3


class WorkerProcess:
    """A process that computes chunks one after another; started when first used, restarted when it dies."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def compute(self, program: bytes, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs of one chunk.

        Raises:
            RuntimeError: when the process died repeatedly, or the program failed in it.
        """
        name = hashlib.sha256(program).hexdigest()
        with self._lock:
            for _ in range(_TRIES):
                process = self._started()
                try:
                    if name not in self._known:
                        _send(process.stdin, {"program": np.frombuffer(program, np.uint8), "name": np.array(name)})
                        self._known.add(name)
                    _send(process.stdin, {"name": np.array(name), **{f"a{i:04d}": a for i, a in enumerate(arguments)}})
                    answer = _receive(process.stdout)
                except (BrokenPipeError, EOFError):
                    self.close()
                    continue
                if "error" in answer:
                    raise RuntimeError(f"a worker process failed: {answer['error']}")
                return [answer[key] for key in sorted(answer)]
        raise RuntimeError(f"a worker process died {_TRIES} times on the same chunk (out of memory?)")

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        self._known.clear()
        if process is not None:
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert stream is not None
                    stream.close()
            process.kill()
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from brainjax.sweep.worker import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends its workers
            )
        return self._process


_here: WorkerProcess | None = None
_here_lock = threading.Lock()


def run_chunk(program: bytes, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of one chunk of an exported program, computed in a worker process of the machine this is called on."""
    global _here
    with _here_lock:
        if _here is None:
            _here = WorkerProcess()
    return _here.compute(program, arguments)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """The worker's loop: until its input ends, load programs and compute chunks."""
    import jax
    from jax import export

    from brainjax.sweep.program import compiler_options

    executables: dict[str, Any] = {}
    while True:
        try:
            message = _receive(source)
        except EOFError:
            return
        name = str(message.pop("name"))
        try:
            if "program" in message:
                exported = export.deserialize(bytearray(message["program"].tobytes()))
                specs = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in exported.in_avals]
                lowered = jax.jit(exported.call).lower(*specs)
                executables[name] = lowered.compile(compiler_options=compiler_options())
                continue
            outputs = executables[name](*(message[key] for key in sorted(message)))
            answer = {f"o{i:04d}": np.asarray(output) for i, output in enumerate(outputs)}
        except Exception as error:
            answer = {"error": np.array(f"{type(error).__name__}: {error}")}
        _send(sink, answer)


def main() -> None:
    """Serves on the process's own standard input and output; whatever else prints goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, output)


def _environment() -> dict[str, str]:
    """This process's environment with one core, the same backend and precision, and the same compilation cache."""
    import jax
    import jax.numpy as jnp

    environment = {
        **os.environ,
        "NPROC": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1" if jnp.result_type(float) == jnp.float64 else "0",
    }
    environment.pop("XLA_FLAGS", None)
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    cache = getattr(jax.config, "jax_compilation_cache_dir", None)
    if cache:
        environment["JAX_COMPILATION_CACHE_DIR"] = cache
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return environment


def _send(sink: Any, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    data = buffer.getvalue()
    sink.write(struct.pack("<Q", len(data)))
    sink.write(data)
    sink.flush()


def _receive(source: Any) -> dict[str, np.ndarray]:
    head = source.read(8)
    if len(head) < 8:
        raise EOFError
    size = struct.unpack("<Q", head)[0]
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
