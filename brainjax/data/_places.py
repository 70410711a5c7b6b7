"""Where files of data are looked for, in which order, and what the error says when they are not there."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from brainjax.core import checks
from brainjax.data._registry import SPLITS, DataSet, known

__all__ = ["find", "locate", "package_folder", "roots", "user_folder"]

VARIABLE = "BRAINJAX_DATA"
SHARED = Path("/usr/share/datasets")


def user_folder() -> Path:
    """The user's own data folder: ``$XDG_DATA_HOME/brainjax``, by default ``~/.local/share/brainjax``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "brainjax"


def roots() -> list[Path]:
    """The folders that are searched for a data set's own folder, first to last.

    That of the environment variable ``BRAINJAX_DATA`` if it is set, the user's data folder, ``/usr/share/datasets``.
    """
    named = os.environ.get(VARIABLE, "")
    return [*([Path(named).expanduser()] if named else []), user_folder(), SHARED]


def find(name: str, *, split: str = "train", folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Finds the files of a data set; reads none of them.

    Args:
        name: of the data set, a key of ``DATASETS``.
        split: ``"train"`` or ``"test"``.
        folder: to look in first: the one with the files, or the one above it.

    Returns:
        The files of this split in the order of the registry, each plain or packed (``.gz``).

    Raises:
        ValueError: if there is no such data set or split.
        FileNotFoundError: if no place has all the files; says where it looked and how to get them.
    """
    entry = known(name)
    checks.one_of("split", split, SPLITS)
    looked, found = [], []
    for place in _places(name, entry, folder):
        looked.append(place)
        found, missing = locate(place, entry.files[split])
        if not missing:
            return found
        if found:  # a folder that has some of the files is the one that was meant
            raise FileNotFoundError(f"{entry.title}: {place} lacks {', '.join(missing)}; {_advice(name, entry)}")
    raise FileNotFoundError(
        f"{entry.title} is not on this machine: looked in {', '.join(map(str, looked))}; {_advice(name, entry)}"
    )


def locate(place: Path, files: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Which of some files a folder has, plain or packed, and the names of those that it lacks."""
    found, missing = [], []
    for file in files:
        both = [place / file, place / f"{file}.gz"]
        here = next((path for path in both if path.is_file()), None)
        if here is None:
            missing.append(file)
        else:
            found.append(here)
    return found, missing


def package_folder(package: str) -> Path | None:
    """The folder of an installed package, which is not imported; None where it is not installed."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) if places else None


def _places(name: str, entry: DataSet, folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    if folder is not None:
        given = Path(folder).expanduser()
        yield from (given / own for own in entry.folders)
        yield given
    yield from (root / own for root in roots() for own in entry.folders)
    if name == "digits" and (package := package_folder("sklearn")):
        yield package / "datasets" / "data"


def _advice(name: str, entry: DataSet) -> str:
    ways = [entry.obtain] if entry.obtain else []
    if entry.source:
        ways.append(f"`brainjax download {name}`")
    return f"get it with {' or '.join(ways)}, or name its folder by folder= or {VARIABLE}"
