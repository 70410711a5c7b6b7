"""Readers of the binary formats: IDX (MNIST and its kin), those of CIFAR-10 and STL-10. No pickle, no network."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = [
    "CIFAR_SHAPE",
    "STL_SHAPE",
    "check_labels",
    "parse_cifar",
    "parse_idx",
    "parse_stl",
    "read_cifar",
    "read_content",
    "read_idx",
]

CIFAR_SHAPE = (32, 32, 3)
"""Rows, columns and channels of an image, as the readers return it; on disk the channels come first."""

STL_SHAPE = (96, 96, 3)
"""Likewise; on disk the channels come first and the columns before the rows."""

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_content(path: str | os.PathLike[str]) -> bytes:
    """The content of a file, unpacked when it is packed with gzip, whatever its name says.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a packed file is cut short or damaged.
    """
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError:
        raise ValueError(f"{path}: truncated: the packed file ends after {len(raw)} bytes, too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged: it cannot be unpacked ({error})") from None


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads an IDX file, plain or packed with gzip.

    The format: two zero bytes, a byte for the type, a byte for the number of axes, one big-endian 32-bit length per
    axis, then the numbers, last axis fastest.

    Args:
        path: of the file.

    Returns:
        The array in the machine's byte order; uint8 for images and labels of the MNIST family.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no IDX file, is truncated, or is longer than its header says.
    """
    return parse_idx(read_content(path), path)


def parse_idx(content: bytes, name: str | os.PathLike[str]) -> np.ndarray:
    """The array that the bytes of an IDX file hold; ``name`` says in errors where they come from. See `read_idx`."""
    if len(content) < 4:
        raise ValueError(f"{name}: truncated: {len(content)} bytes, an IDX file begins with 4")
    kind, axes = content[2], content[3]
    if content[:2] != b"\0\0" or kind not in _IDX_TYPES or axes < 1:
        known = ", ".join(f"{code:02x}" for code in _IDX_TYPES)
        raise ValueError(
            f"{name}: wrong magic number {content[:4].hex(' ')}: an IDX file begins with 00 00, a type ({known}) and "
            "its number of axes"
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{name}: truncated: {len(content)} bytes, the header alone has {start}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    dtype = np.dtype(_IDX_TYPES[kind])
    _expect_length(name, len(content) - start, math.prod(shape) * dtype.itemsize, f"an array of shape {shape}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_cifar(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Reads one file of the binary version of CIFAR-10, plain or packed with gzip.

    A record has 3073 bytes: the label, then 1024 red, 1024 green and 1024 blue values, row by row.

    Args:
        path: of the file, such as ``data_batch_1.bin``.

    Returns:
        Images, uint8 of shape (n, 32, 32, 3), and labels, int32 of shape (n,).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the length is not that of whole records, or a label is above 9.
    """
    return parse_cifar(read_content(path), path)


def parse_cifar(content: bytes, name: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that the bytes of a CIFAR-10 file hold; see `read_cifar`."""
    rows, columns, channels = CIFAR_SHAPE
    size = 1 + rows * columns * channels
    if not content or len(content) % size:
        raise ValueError(f"{name}: wrong length: {len(content)} bytes are no whole number of records of {size}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = records[:, 0].astype(np.int32)
    check_labels(name, labels, 10)
    planes = records[:, 1:].reshape(-1, channels, rows, columns)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def parse_stl(content: bytes, name: str | os.PathLike[str]) -> np.ndarray:
    """Images that the bytes of a file of STL-10 hold, uint8 of shape (n, 96, 96, 3).

    The file has no header: image after image, 9216 red, 9216 green and 9216 blue values, column by column.

    Raises:
        ValueError: if the length is not that of whole images.
    """
    rows, columns, channels = STL_SHAPE
    size = rows * columns * channels
    if not content or len(content) % size:
        raise ValueError(f"{name}: wrong length: {len(content)} bytes are no whole number of images of {size}")
    planes = np.frombuffer(content, np.uint8).reshape(-1, channels, columns, rows)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1))


def check_labels(name: str | os.PathLike[str], labels: np.ndarray, classes: int, *, first_is: int = 0) -> None:
    """Refuses labels outside 0 … classes - 1, with the first that is; the file itself counts from ``first_is``."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        place, low = int(wrong[0]), first_is
        raise ValueError(
            f"{name}: label out of range: {labels[place] + low} at {place}, must be {low} to {classes - 1 + low}"
        )


def _expect_length(name: str | os.PathLike[str], given: int, wanted: int, what: str) -> None:
    if given < wanted:
        raise ValueError(f"{name}: truncated: {given} of the {wanted} bytes of {what}")
    if given > wanted:
        raise ValueError(f"{name}: wrong length: {given} bytes after the header, {what} has {wanted}")
