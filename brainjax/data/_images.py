"""Labelled images: read and checked once, kept as bytes, turned into floats where they are used."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32, UInt8

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, is_concrete
from brainjax.data._formats import CIFAR_SHAPE, check_labels, parse_cifar, parse_idx, parse_stl, read_content
from brainjax.data._places import find
from brainjax.data._registry import SPLITS, DataSet, known

__all__ = ["Images", "load", "on_device", "scaled", "verified"]

_DIGITS_SHAPE, _DIGITS_TRAINING = (8, 8), 1437


class Images(NamedTuple):
    """Images with labels.

    Attributes:
        images: bytes of shape (n, rows, columns), or (n, rows, columns, channels) in colour.
        labels: of shape (n,), from 0.
        classes: names of the labels.
        white: the largest value that a pixel can have.
    """

    images: UInt8[np.ndarray | Array, "n rows columns *channels"]
    labels: Int32[np.ndarray | Array, "n"]
    classes: tuple[str, ...]
    white: int = 255


def load(
    name: str, *, split: str = "train", folder: str | os.PathLike[str] | None = None, verify: bool = True
) -> Images:
    """Reads a data set from this machine; nothing is downloaded.

    Looked for in ``folder``, in the folder that the environment variable ``BRAINJAX_DATA`` names, in the user's data
    folder (``~/.local/share/brainjax``, or in ``XDG_DATA_HOME``) and in ``/usr/share/datasets``; see `find`. The digits
    are those that scikit-learn brings; they have no official split: here the first 1437 are for training, the last 360
    for testing.

    Args:
        name: of the data set, a key of ``DATASETS``.
        split: ``"train"`` or ``"test"``.
        folder: to look in first: the one with the files, or the one above it.
        verify: whether the SHA-256 of each file's content (STL-10: the MD5) must be the known one. It takes about 0.1 s
            for 50 MB.

    Returns:
        Images and labels as numpy arrays, in the order of the files.

    Raises:
        ValueError: if there is no such data set or split, or a file is truncated, damaged, of another format, does not
            fit the others, or has another checksum.
        FileNotFoundError: if the files are not there; says where they were looked for and how to get them.
    """
    entry = known(name)
    paths = find(name, split=split, folder=folder)
    return _read(entry, split, paths, verify)


def verified(name: str, folder: str | os.PathLike[str]) -> None:
    """Reads every split of a data set from one folder, so that whatever is wrong with it is said; see `load`."""
    entry = known(name)
    for split in SPLITS:
        _read(entry, split, find(name, split=split, folder=folder), verify=True)


def on_device(data: Images, device: Any = None) -> Images:
    """The same images on an accelerator, still as bytes, once and for all.

    A training set of 60,000 images takes 47 MB as bytes and 188 MB as floats. Batches are taken by indices and become
    floats by `scaled` *inside* the compiled function, where the conversion is fused with what follows; seeds that are
    batched by ``vmap`` share the one array::

        data = on_device(load("fashion_mnist"))


        def step(params, indices, images, labels):
            x, y = scaled(images[indices]), labels[indices]

    Args:
        data: what `load` returned.
        device: of JAX, or a sharding; by default JAX's own choice.

    Returns:
        Images and labels as JAX arrays.
    """
    return data._replace(images=jax.device_put(data.images, device), labels=jax.device_put(data.labels, device))


def scaled(
    images: ArrayLike, *, white: int = 255, mean: ArrayLike = 0.0, deviation: ArrayLike = 1.0, dtype: Any = None
) -> Float[Array, "*shape"]:
    r"""Bytes as floats: :math:`(b/w - m)/s` with white :math:`w`, mean :math:`m` and deviation :math:`s`.

    Args:
        images: bytes, of any shape.
        white: the value that becomes 1.
        mean: subtracted after that; a number, or one per channel (the last axis).
        deviation: divided by after that, likewise; above zero.
        dtype: of the result; JAX's default float by default.

    Returns:
        Of the shape of ``images``.

    Raises:
        ValueError: if ``white`` or ``deviation`` is not above zero, or ``mean`` or ``deviation`` has another shape than
            () or (channels,).
    """
    checks.positive("white", white)
    checks.positive("deviation", deviation)
    dtype = jnp.result_type(float) if dtype is None else dtype
    values = jnp.asarray(images).astype(dtype)
    m, s = (_per_channel(name, value, values) for name, value in (("mean", mean), ("deviation", deviation)))
    return (values / jnp.asarray(white, dtype) - m) / s


def _per_channel(name: str, value: ArrayLike, like: Array) -> Array:
    array = jnp.asarray(value, like.dtype) if not is_concrete(value) else jnp.asarray(np.asarray(value), like.dtype)
    if array.ndim and array.shape != like.shape[-1:]:
        raise ValueError(f"{name} must be a number or have shape {like.shape[-1:]} (channels), got {array.shape}")
    return jnp.broadcast_to(array, like.shape)


def _read(entry: DataSet, split: str, paths: list[Path], verify: bool) -> Images:
    contents = [read_content(path) for path in paths]
    parse = {"idx": _parse_idx_pair, "cifar": _parse_batches, "stl": _parse_pixels, "csv": _parse_lines}[entry.layout]
    images, labels = parse(paths, contents, entry)
    if verify:
        for file, path, content in zip(entry.files[split], paths, contents, strict=True):
            kind = "sha256" if file in entry.sha256 else "md5"
            _verify(path, content, kind, getattr(entry, kind)[file], entry.title)
    if entry.layout == "csv":  # both splits are in one file
        kept = slice(None, _DIGITS_TRAINING) if split == "train" else slice(_DIGITS_TRAINING, None)
        images, labels = images[kept], labels[kept]
    return Images(images, labels, entry.classes, entry.white)


def _verify(path: Path, content: bytes, kind: str, wanted: str, title: str) -> None:
    given = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if given != wanted:
        name = {"sha256": "SHA-256", "md5": "MD5"}[kind]
        raise ValueError(
            f"{path}: checksum mismatch: its content is not that of {title} ({name} {given}, known {wanted}); "
            "verify=False reads it all the same"
        )


def _parse_idx_pair(paths: list[Path], contents: list[bytes], entry: DataSet) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (parse_idx(content, path) for content, path in zip(contents, paths, strict=True))
    for path, array, axes, what in ((paths[0], images, 3, "images"), (paths[1], labels, 1, "labels")):
        if array.dtype != np.uint8 or array.ndim != axes:
            raise ValueError(
                f"{path}: wrong magic number: {what} are bytes with {axes} axes, this file has {array.dtype} with "
                f"{array.ndim}"
            )
    if len(images) != len(labels):
        raise ValueError(f"{paths[1]}: wrong length: {len(labels)} labels for {len(images)} images")
    labels = labels.astype(np.int32)
    check_labels(paths[1], labels, len(entry.classes))
    return images, labels


def _parse_batches(paths: list[Path], contents: list[bytes], entry: DataSet) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*(parse_cifar(c, p) for c, p in zip(contents, paths, strict=True)), strict=True)
    assert images[0].shape[1:] == CIFAR_SHAPE
    return np.concatenate(images), np.concatenate(labels)


def _parse_pixels(paths: list[Path], contents: list[bytes], entry: DataSet) -> tuple[np.ndarray, np.ndarray]:
    images, labels = parse_stl(contents[0], paths[0]), np.frombuffer(contents[1], np.uint8).astype(np.int32) - 1
    if len(images) != len(labels):
        raise ValueError(f"{paths[1]}: wrong length: {len(labels)} labels for {len(images)} images")
    check_labels(paths[1], labels, len(entry.classes), first_is=1)
    return images, labels


def _parse_lines(paths: list[Path], contents: list[bytes], entry: DataSet) -> tuple[np.ndarray, np.ndarray]:
    (path,), (content,) = paths, contents
    columns = int(np.prod(_DIGITS_SHAPE)) + 1
    try:
        table = np.loadtxt(content.decode().splitlines(), delimiter=",", ndmin=2)
    except (ValueError, UnicodeDecodeError):
        raise ValueError(f"{path}: not a table of numbers separated by commas, {columns} on each line") from None
    if table.shape[1] != columns:
        raise ValueError(f"{path}: wrong length: {table.shape[1]} numbers on a line, must be {columns}")
    labels = table[:, -1].astype(np.int32)
    check_labels(path, labels, len(entry.classes))
    return table[:, :-1].reshape(-1, *_DIGITS_SHAPE).astype(np.uint8), labels
