"""The folder that a run leaves: each file is written aside and renamed, so it is there whole or not at all."""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RESULTS, CLAIMS, CONFIG, PROVENANCE, CHUNKS = "results.nc", "claims.json", "config.json", "provenance.json", "chunks"
FIGURES = ("figure.png", "figure.pdf")


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed to it when all went well, removed otherwise."""
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Writes a document as strict JSON; numbers that are not finite become text, and so do foreign objects."""
    with aside(path) as draft:
        text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")


def plain(node: Any) -> Any:
    """A document of JSON values: tuples become lists, numbers that are not finite text."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(item) for item in node]
    if hasattr(node, "item") and getattr(node, "ndim", None) == 0:
        node = node.item()
    if isinstance(node, float) and not math.isfinite(node):
        return str(node)
    return node if node is None or isinstance(node, bool | int | float | str) else repr(node)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clean(folder: Path) -> None:
    """Removes drafts that a killed process of this machine has left."""
    for draft in folder.glob(".*.part.*"):
        words = draft.name.split(".")
        if len(words) >= 4 and words[2].isdecimal() and not _alive(int(words[2])):
            draft.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()
