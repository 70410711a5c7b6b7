"""The store of a sweep: a plan file and one checked file per block of runs, safe against kills, full disks and damage.

Layout of a store's folder::

    plan.json                      what the runs are (see ``layout``)
    blocks/<program>-<runs>.nc     a block: the arguments and the outputs of some runs of one program
    blocks/<program>-<runs>.nc.sha256

Every file is written aside, flushed and renamed into place. A block's SHA-256 is checked before HDF5 sees a byte of it.
"""

import contextlib
import hashlib
import io
import json
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brainjax.sweep.layout import Layout, differences

PLAN_FILE = "plan.json"
_BLOCK_SECONDS = 0.5  # a netCDF file per small chunk costs more than the chunk
_ARGUMENT = "argument:"


class Store:
    """A folder that holds the finished runs of one sweep."""

    def __init__(self, folder: str | os.PathLike[str], note: Callable[[str], None] | None = None) -> None:
        """Opens a folder without touching it.

        Args:
            folder: where the store lives or will live.
            note: told, in one line each, about damaged blocks.
        """
        self.folder = Path(folder)
        self._blocks = self.folder / "blocks"
        self._note = note or (lambda message: None)

    def layout(self) -> Layout | None:
        """The layout that the store was made with, or None for an empty store.

        Raises:
            ValueError: when the plan file cannot be understood.
        """
        try:
            text = (self.folder / PLAN_FILE).read_text()
        except FileNotFoundError:
            return None
        try:
            return Layout.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.folder / PLAN_FILE}: not a readable plan file ({error}); use another folder (--out=DIR)"
            ) from None

    def admit(self, layout: Layout) -> None:
        """Prepares the folder for a plan.

        Raises:
            ValueError: when the store was made by another config or code, with the difference.
            OSError: when the folder cannot be written.
        """
        stored = self.layout()
        if stored is not None:
            found = differences(stored, layout)
            if found:
                raise ValueError(
                    f"{self.folder}: this store was made by something else: {'; '.join(found)}; "
                    "use another folder (--out=DIR)"
                )
        self._blocks.mkdir(parents=True, exist_ok=True)
        for leftover in self._blocks.glob("*.part"):
            if not _in_use(leftover):
                leftover.unlink(missing_ok=True)
        document = json.dumps(layout.to_json(), indent=1)
        write_aside(self.folder / PLAN_FILE, document.encode())

    def load(self, fingerprint: str) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """The stored blocks of one program: (arguments, outputs) of some runs each, damaged ones left out."""
        for path in sorted(self._blocks.glob(f"{fingerprint[:16]}-*.nc")):
            block = self._read(path, fingerprint)
            if block is not None:
                yield block

    def save(self, fingerprint: str, table: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        """Writes one block.

        Raises:
            OSError: when it cannot be written; nothing is left half-written.
        """
        import xarray as xr

        variables: dict[str, Any] = {
            _ARGUMENT + name: ("run", np.ascontiguousarray(table[name])) for name in table.dtype.names or ()
        }
        for name, values in outputs.items():
            variables[name] = (("run", *(f"{name}:{axis}" for axis in range(values.ndim - 1))), values)
        dataset = xr.Dataset(variables, attrs={"fingerprint": fingerprint})
        content = bytes(
            dataset.to_netcdf(engine="h5netcdf", encoding={name: {"_FillValue": None} for name in variables})
        )
        runs = hashlib.sha256(table.tobytes()).hexdigest()[:16]
        path = self._blocks / f"{fingerprint[:16]}-{runs}.nc"
        digest = hashlib.sha256(content).hexdigest()
        write_aside(path.with_name(path.name + ".sha256"), f"{digest}  {path.name}\n".encode())
        write_aside(path, content)

    def _read(self, path: Path, fingerprint: str) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
        import xarray as xr

        sums = path.with_name(path.name + ".sha256")
        try:
            content = path.read_bytes()
            expected = sums.read_text().split()[0]
        except (OSError, IndexError, UnicodeDecodeError):
            return self._damaged(path, "it cannot be read, or its checksum is missing")
        if hashlib.sha256(content).hexdigest() != expected:
            return self._damaged(path, "it is truncated or altered")
        with xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as dataset:
            if dataset.attrs["fingerprint"] != fingerprint:
                return None
            columns = {str(name): dataset[name].values for name in dataset.variables}
        arguments = {name[len(_ARGUMENT) :]: values for name, values in columns.items() if name.startswith(_ARGUMENT)}
        rows = len(next(iter(arguments.values())))
        table = np.empty(rows, dtype=[(name, values.dtype) for name, values in arguments.items()])
        for name, values in arguments.items():
            table[name] = values
        return table, {name: values for name, values in columns.items() if not name.startswith(_ARGUMENT)}

    def _damaged(self, path: Path, why: str) -> None:
        self._note(f"block {path.name} is damaged ({why}): its runs are computed again")
        with contextlib.suppress(OSError):
            path.replace(path.with_name(path.name + ".damaged"))


class BlockWriter:
    """One thread that gathers finished chunks into blocks and writes them; use it as a context manager.

    An error while writing is raised by the next `put`, or on leaving the context; blocks written before it stay.
    """

    def __init__(self, store: Store) -> None:
        """Starts the thread."""
        self._store = store
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=64)
        self._error: BaseException | None = None
        self._open: dict[str, list[tuple[np.ndarray, dict[str, np.ndarray], float]]] = {}
        self._thread = threading.Thread(target=self._work, name="brainjax-store", daemon=True)

    def __enter__(self) -> "BlockWriter":
        """Starts writing."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Writes what is left, also when the sweep was interrupted."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and exception[0] is None:
            raise self._error

    def put(self, fingerprint: str, table: np.ndarray, outputs: dict[str, np.ndarray], seconds: float) -> None:
        """Hands over one finished chunk and the time it took."""
        if self._error is not None:
            raise self._error
        self._queue.put((fingerprint, table, outputs, seconds))

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if self._error is not None and item is not None:
                continue
            try:
                if item is None:
                    for fingerprint in list(self._open):
                        self._flush(fingerprint)
                    return
                fingerprint, *chunk = item
                self._open.setdefault(fingerprint, []).append(tuple(chunk))
                if sum(seconds for *_, seconds in self._open[fingerprint]) >= _BLOCK_SECONDS:
                    self._flush(fingerprint)
            except OSError as error:
                self._error = OSError(
                    error.errno,
                    f"cannot write to {self._store.folder}: {error.strerror or error}; what was finished before stays, "
                    f"and the same command continues",
                )
                self._open.clear()
            except BaseException as error:  # handed to the main thread
                self._error = error
                self._open.clear()
            if item is None:
                return

    def _flush(self, fingerprint: str) -> None:
        chunks = self._open.pop(fingerprint)
        table = np.concatenate([table for table, _, _ in chunks])
        names = chunks[0][1]
        self._store.save(
            fingerprint, table, {name: np.concatenate([out[name] for _, out, _ in chunks]) for name in names}
        )


def write_aside(path: Path, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all.

    Raises:
        OSError: when it cannot be written; the temporary file is removed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.{os.getpid()}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _in_use(leftover: Path) -> bool:
    """Whether the process that writes this temporary file may still live (on this machine)."""
    try:
        os.kill(int(leftover.name.split(".")[-3]), 0)
    except (ValueError, IndexError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True
