"""Measured connectivity, read from the files of other people's packages, which are never imported nor copied."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from brainjax.core import checks
from brainjax.data._places import VARIABLE, package_folder, roots

__all__ = ["CONNECTOMES", "Connectome", "connectome"]

FOLDER = "connectomes"


class Entry(NamedTuple):
    """Where a connectome comes from: what it is, the package, its version that we read, and the file inside it."""

    title: str
    package: str
    version: str
    file: str
    reference: str


def _worm(title: str, reader: str, reference: str) -> Entry:
    return Entry(f"C. elegans, {title}", "cect", "0.3.5", f"cect/cache/{reader}.json", reference)


_STAGES = ("L1", "L1", "L1", "L1", "L2", "L3", "adult", "adult")
CONNECTOMES: dict[str, Entry] = {
    "cook_hermaphrodite": _worm("adult hermaphrodite", "Cook2019HermReader", "cook2019"),
    "cook_male": _worm("adult male", "Cook2019MaleReader", "cook2019"),
    "varshney": _worm("adult hermaphrodite", "VarshneyDataReader", "varshney2011"),
    "white": _worm("adult hermaphrodite", "White_whole", "white1986"),
    **{
        f"witvliet_{i}": _worm(f"stage {i} of 8 ({stage})", f"WitvlietDataReader{i}", "witvliet2021")
        for i, stage in enumerate(_STAGES, start=1)
    },
    "fly_optic_lobe": Entry(
        "Drosophila, cell types of the optic lobe",
        *("flyvis", "1.2.0", "flyvis/connectome/fib25-fib19_v2.2.json", "lappalainen2024"),
    ),
}
"""The connectomes that `connectome` knows: `witvliet_1` … `witvliet_8` are stages of development, first to last."""


class Connectome(NamedTuple):
    """A measured connectivity.

    Attributes:
        weights: synapse counts, **(post, pre)**: row i holds what cell i receives, so that ``weights @ rates`` is the
            input. With the sign of the synapses where it is known.
        names: of the cells, or cell types, in the order of rows and columns.
        kind: ``chemical`` or ``electrical``.
        signs: 1 or -1 for every connection, 0 where there is none, in the shape of ``weights``; None where unknown.
        source: the file that it was read from.
    """

    weights: Float[np.ndarray, "post pre"]
    names: tuple[str, ...]
    kind: str
    signs: Int8[np.ndarray, "post pre"] | None
    source: str


def connectome(
    name: str,
    *,
    kind: str = "chemical",
    silent: bool = False,
    path: str | os.PathLike[str] | None = None,
) -> Connectome:
    """Reads a measured connectivity from this machine; nothing is downloaded.

    The worm's come as the package ``cect`` stores them :cite:`cook2019` :cite:`varshney2011` :cite:`white1986`
    :cite:`witvliet2021`: counts without signs, of neurons and of the muscles and other cells that they drive. The fly's
    is a table of cell types from the package ``flyvis`` :cite:`lappalainen2024`: entry (i, j) is the number of synapses
    that one cell of type i receives from all cells of type j, negative where they inhibit. Neither package need be
    installed or importable: a downloaded wheel will do.

    Looked for at ``path``, then in a folder ``connectomes`` in the places that `find` searches, then in the installed
    package. Each may be the JSON file, a wheel, or a folder that holds either or the package.

    Args:
        name: a key of ``CONNECTOMES``.
        kind: ``"chemical"``, or ``"electrical"`` (gap junctions; the worm's only).
        silent: whether to keep cells without any connection of this kind.
        path: where to look first.

    Returns:
        The connectome, in float64.

    Raises:
        ValueError: if there is no such connectome or kind, or the file is not what it should be.
        FileNotFoundError: if it is not there; says where it was looked for and how to get it.
    """
    checks.one_of("name", name, tuple(CONNECTOMES))
    entry = CONNECTOMES[name]
    kinds = ("chemical",) if entry.package == "flyvis" else ("chemical", "electrical")
    checks.one_of(f"kind of {name}", kind, kinds)
    content, source = _content(name, entry, path)
    try:
        document = json.loads(content)
        parse = _parse_types if entry.package == "flyvis" else _parse_cells
        weights, names = parse(document, kind)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{source}: not a connectome of {entry.package}: {type(error).__name__} {words}") from None
    if not silent:
        active = (weights != 0).any(0) | (weights != 0).any(1)
        weights, names = weights[np.ix_(active, active)], [n for n, a in zip(names, active, strict=True) if a]
    signs = np.sign(weights).astype(np.int8) if entry.package == "flyvis" else None
    return Connectome(weights, tuple(names), kind, signs, source)


def _parse_cells(document: Any, kind: str) -> tuple[np.ndarray, list[str]]:
    """The matrix of counts; the file has the presynaptic cell in the row, and it is turned here."""
    names = list(document["nodes"])
    counts = np.asarray(document["connections"]["Generic_CS" if kind == "chemical" else "Generic_GJ"], float)
    if counts.shape != (len(names), len(names)) or len(set(names)) != len(names):
        raise ValueError(f"{len(names)} names for a table of shape {counts.shape}")
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError("counts must be zero or more")
    return counts.T.copy(), names


def _parse_types(document: Any, kind: str) -> tuple[np.ndarray, list[str]]:
    """The table of signed counts between cell types, summed over the columns of the retina."""
    names = [node["name"] for node in document["nodes"]]
    place = {name: i for i, name in enumerate(names)}
    weights = np.zeros((len(names), len(names)))
    for edge in document["edges"]:
        if edge["alpha"] not in (1, -1):
            raise ValueError(f"alpha must be 1 or -1, got {edge['alpha']!r}")
        counts = [float(count) for _, count in edge["offsets"]]
        weights[place[edge["tar"]], place[edge["src"]]] += edge["alpha"] * sum(counts)
    return weights, names


def _content(name: str, entry: Entry, path: str | os.PathLike[str] | None) -> tuple[bytes, str]:
    looked = []
    for place in _places(entry, path):
        looked.append(place)
        found = _look(place, entry)
        if found:
            return found
    keep = roots()[-2] / FOLDER
    where = ", ".join(map(str, looked))
    raise FileNotFoundError(
        f"connectome {name} is not on this machine: looked in {where}; get it with "
        f"`pip download --no-deps {entry.package}=={entry.version} -d {keep}`, or name its place by path= or {VARIABLE}"
    )


def _places(entry: Entry, path: str | os.PathLike[str] | None) -> Iterator[Path]:
    if path is not None:
        yield Path(path).expanduser()
    yield from (root / FOLDER for root in roots())
    if package := package_folder(entry.package):
        yield package.parent


def _look(place: Path, entry: Entry) -> tuple[bytes, str] | None:
    """What a place holds of a connectome: the content and its name, or None."""
    if place.is_dir():
        for file in (place / entry.file, place / Path(entry.file).name):
            if file.is_file():
                return file.read_bytes(), str(file)
        wheels = sorted(place.glob(f"{entry.package}-*.whl"))
        return _look(wheels[-1], entry) if wheels else None
    if not place.is_file():
        return None
    if place.suffix == ".json":
        return place.read_bytes(), str(place)
    try:
        with zipfile.ZipFile(place) as wheel:
            return wheel.read(entry.file), f"{place}:{entry.file}"
    except zipfile.BadZipFile:
        raise ValueError(f"{place}: neither a JSON file nor a wheel") from None
    except KeyError:
        raise ValueError(f"{place}: this wheel has no {entry.file}") from None
