"""The one place that uses the network, and only when it is asked to."""

import contextlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brainjax.data._images import verified
from brainjax.data._places import locate, user_folder
from brainjax.data._registry import DATASETS, Source, known

__all__ = ["download"]


def download(
    name: str, *, folder: str | os.PathLike[str] | None = None, note: Callable[[str], None] = lambda line: None
) -> Path:
    """Fetches a data set through pooch, checks it, and returns the folder with its files.

    Files that are there already are kept; all are read, and the checksum of each content compared.

    Args:
        name: of the data set, a key of ``DATASETS``.
        folder: in which the data set's own folder is made; by default the user's data folder, where `load` looks.
        note: told in a line what is fetched.

    Returns:
        The data set's own folder.

    Raises:
        ValueError: if there is no such data set, or what came is not it (it is then removed again).
        ImportError: if pooch is not installed.
        OSError: if the address cannot be reached.
    """
    entry = known(name)
    if entry.source is None:
        fetched = ", ".join(key for key, value in DATASETS.items() if value.source)
        raise ValueError(f"{name} is not downloaded: get it with {entry.obtain}; download knows {fetched}")
    place = (Path(folder).expanduser() if folder else user_folder()) / entry.folders[0]
    wanted = [file for split in entry.files.values() for file in split]
    missing = locate(place, wanted)[1]
    fresh: list[Path] = []
    if missing:
        pooch = _pooch()
        note(f"fetching {entry.title} from {entry.source.address}")
        place.mkdir(parents=True, exist_ok=True)
        try:
            fresh = _fetch(pooch, entry.source, place, missing)
        except (ValueError, OSError) as error:
            _drop_if_empty(place)
            raise OSError(f"{entry.title} could not be fetched from {entry.source.address}: {error}") from None
    try:
        verified(name, place)
    except ValueError:
        for path in fresh:
            path.unlink(missing_ok=True)
        _drop_if_empty(place)
        raise
    return place


def _drop_if_empty(place: Path) -> None:
    with contextlib.suppress(OSError):
        place.rmdir()


def _fetch(pooch: Any, source: Source, place: Path, missing: list[str]) -> list[Path]:
    pooch.get_logger().setLevel("WARNING")
    if not source.archive_sha256:  # what the files hold is checked afterwards, however they are packed
        names = [f"{file}.gz" for file in missing]
        return [Path(pooch.retrieve(source.address + name, None, fname=name, path=place)) for name in names]
    name = source.address.rsplit("/", 1)[-1]
    archive = Path(pooch.retrieve(source.address, f"sha256:{source.archive_sha256}", fname=name, path=place))
    fresh = [place / file for file in missing]
    with tarfile.open(archive) as packed:
        for path in fresh:
            stream = packed.extractfile(f"{source.inner}/{path.name}")
            path.write_bytes(stream.read() if stream else b"")
    archive.unlink()
    return fresh


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise ImportError("downloading needs pooch, which is not installed: pip install 'brainjax[data]'") from None
    return pooch
