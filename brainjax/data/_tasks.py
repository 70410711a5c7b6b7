"""A data set of images as a task for training: bytes on the device, standardised where they are used."""

import functools
import os
from typing import NamedTuple

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from brainjax.core.types import Array, ArrayLike
from brainjax.data._images import Images, load, scaled

__all__ = ["ImageTask", "image_task"]


class ImageTask(NamedTuple):
    """Images to train and to test on, as bytes on the device."""

    images: UInt8[Array, "n rows columns *channels"]
    """Of the training split."""
    labels: Int32[Array, " n"]
    test_images: UInt8[Array, "m rows columns *channels"]
    test_labels: Int32[Array, " m"]
    mean: np.ndarray
    """Of the training images as fractions of white; a number, or one per channel."""
    deviation: np.ndarray
    """Standard deviation, likewise."""
    white: int
    classes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Numbers in an image."""
        return int(np.prod(self.images.shape[1:]))

    def inputs(
        self, images: UInt8[ArrayLike, "b rows columns *channels"], *, flat: bool = True, pad: int = 0
    ) -> Float[Array, "b *shape"]:
        """Images as a network's inputs, with mean 0 and deviation 1 over the training split.

        Args:
            images: bytes, of shape (b, rows, columns) or (b, rows, columns, channels).
            flat: whether each image becomes a vector. Otherwise the shape is (b, rows, columns, channels), with one
                channel for grey images.
            pad: black pixels to add on every side.
        """
        images = jnp.asarray(images)
        if pad:
            images = jnp.pad(images, [(0, 0), (pad, pad), (pad, pad)] + [(0, 0)] * (images.ndim - 3))
        floats = scaled(images, white=self.white, mean=self.mean, deviation=self.deviation)
        if flat:
            return einops.rearrange(floats, "b ... -> b (...)")
        return floats if floats.ndim == 4 else einops.rearrange(floats, "b h w -> b h w 1")

    def batch(
        self, rows: Int[ArrayLike, " b"], *, flat: bool = True, pad: int = 0
    ) -> tuple[Float[Array, "b *shape"], Int32[Array, " b"]]:
        """Rows of the training split, as a network's inputs and labels.

        The same as ``inputs(images[rows])`` and ``labels[rows]``, and on a CPU three times as fast: rows of a matrix
        are copied whole.
        """
        n, *shape = self.images.shape
        chosen = self.images.reshape(n, -1)[rows]
        return self.inputs(chosen.reshape(-1, *shape), flat=flat, pad=pad), self.labels[rows]


@functools.lru_cache(maxsize=4)
def image_task(
    name: str, folder: str | os.PathLike[str] | None = None, *, train: int | None = None, test: int | None = None
) -> ImageTask:
    """Both splits of a data set, read once in a process.

    The arrays are constants of whatever function uses them; a sweep passes them to its programs once, over all runs.

    Args:
        name: of the data set, such as ``"fashion_mnist"`` or ``"digits"``; see `brainjax.data.load`.
        folder: where to look first.
        train: keep only so many images of the training split, the first ones; mean and deviation are theirs.
        test: likewise of the test split.

    Raises:
        ValueError: if there is no such data set, or ``train`` or ``test`` is not from 1 to the size of the split.
        FileNotFoundError: if the files are not on this machine.
    """
    learn, judge = (
        _first(argument, load(name, split=argument, folder=folder), count)
        for argument, count in (("train", train), ("test", test))
    )
    axes = (0, 1, 2)
    fractions = np.asarray(learn.images, np.float32) / learn.white
    mean, deviation = fractions.mean(axes, dtype=np.float64), fractions.std(axes, dtype=np.float64)
    with jax.ensure_compile_time_eval():  # also where a function is being traced that asks for it first
        images, labels = jax.device_put(learn.images), jax.device_put(learn.labels)
        test_images, test_labels = jax.device_put(judge.images), jax.device_put(judge.labels)
    return ImageTask(images, labels, test_images, test_labels, mean, deviation, learn.white, learn.classes)


def _first(argument: str, images: Images, count: int | None) -> Images:
    n = len(images.labels)
    if count is not None and not 1 <= count <= n:
        raise ValueError(f"{argument}: must be from 1 to the {n} images of the split, got {count}")
    return images._replace(images=images.images[:count], labels=images.labels[:count])
