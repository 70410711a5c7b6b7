"""Tiny files in the formats of the real ones, written byte by byte from the description of the format."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

from brainjax import data
from brainjax.data import _registry


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file of unsigned bytes."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 3), np.uint8), rng.integers(0, 10, n)


def write_idx(folder: Path, *, packed: bool = True) -> dict[str, np.ndarray]:
    """A small data set of the MNIST family; what each file holds."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for seed, (split, n) in enumerate({"train": 7, "t10k": 5}.items()):
        pictures, labels = images(n, seed)
        written |= {f"{split}-images-idx3-ubyte": pictures, f"{split}-labels-idx1-ubyte": labels}
    for name, array in written.items():
        content = idx(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return written


def expect(monkeypatch, name: str, contents: dict[str, bytes], **changes) -> None:
    """Makes the checksums of a data set those of the files written here."""
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    entry = data.DATASETS[name]
    monkeypatch.setitem(_registry.DATASETS, name, entry._replace(sha256={**entry.sha256, **sums}, **changes))


def cect(counts: np.ndarray, gaps: np.ndarray, names: list[str]) -> str:
    """A file as the package cect keeps them: the presynaptic cell in the row."""
    tables = {"Generic_CS": counts.tolist(), "Generic_GJ": gaps.tolist()}
    return json.dumps({"nodes": names, "connections": tables, "summary": ""})
