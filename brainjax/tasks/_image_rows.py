"""An image as a sequence of its rows, to be classified at the last one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete
from brainjax.tasks._trials import Trial

__all__ = ["image_rows", "row_sequences"]


def row_sequences(images: ArrayLike, labels: ArrayLike, *, dtype: Any = None) -> Trial:
    r"""Show images row by row: the input at step :math:`t` is row :math:`t`, from 0 (black) to 1.

    The loss has weight 1 at the last row and 0 before.

    Args:
        images: bytes (uint8), of shape (..., rows, columns) or (..., rows, columns, colours); colours are told from
            columns by the number of axes beyond those of ``labels``. The colours of a pixel stand side by side in
            the input.
        labels: classes, of shape (...).
        dtype: of inputs and weights; JAX's default float by default.

    Returns:
        Trials with as many steps as an image has rows and columns times colours inputs; the label is repeated at every
        step.

    Raises:
        ValueError: if the images are not bytes, their shape is none of these, or the labels are not whole numbers.
    """
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    _check(images, labels)
    dtype = jnp.result_type(float) if dtype is None else dtype
    lead, (rows, *within) = labels.shape, images.shape[labels.ndim :]
    inputs = images.reshape(*lead, rows, int(np.prod(within))).astype(dtype) / 255
    last = jnp.arange(rows, dtype=jnp.int32) == rows - 1
    everywhere = jnp.broadcast_to(labels.astype(jnp.int32)[..., None], (*lead, rows))
    return Trial(
        inputs, everywhere, jnp.broadcast_to(last.astype(dtype), (*lead, rows)), jnp.broadcast_to(last, (*lead, rows))
    )


def image_rows(
    key: PRNGKey, images: ArrayLike, labels: ArrayLike, *, size: int | None = None, dtype: Any = None
) -> Trial:
    """Draw images at random, with replacement, as sequences of their rows (see `row_sequences`).

    Args:
        key: typed PRNG key.
        images: bytes (uint8), of shape (images, rows, columns) or (images, rows, columns, colours).
        labels: classes, of shape (images,).
        size: number of trials; by default one, without a leading axis.
        dtype: of inputs and weights; JAX's default float by default.

    Returns:
        The trials.

    Raises:
        ValueError: if the images are not bytes, the shapes do not fit, there is no image, or the size is below one.
    """
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    checks.shape_of("labels", labels, (None,), "(images,)")
    _check(images, labels)
    if labels.shape[0] == 0:
        raise ValueError("images must hold at least one image, got none")
    if size is not None and size < 1:
        raise ValueError(f"size must be 1 or more, got {size}")
    chosen = jax.random.randint(key, () if size is None else (size,), 0, labels.shape[0], dtype=jnp.int32)
    return row_sequences(images[chosen], labels[chosen], dtype=dtype)


def _check(images: Array, labels: Array) -> None:
    if images.dtype != jnp.uint8:
        raise ValueError(f"images must be bytes (uint8), got {images.dtype}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    lead, rest = images.shape[: labels.ndim], images.shape[labels.ndim :]
    if lead != labels.shape or len(rest) not in (2, 3) or 0 in rest:
        raise ValueError(
            "images must have the axes of labels, then rows and columns (and colours),"
            f" got {images.shape} for labels of shape {labels.shape}"
        )
    if is_concrete(labels) and labels.size:
        checks.non_negative("labels", labels)
