"""A random matrix of low rank and a random choice of its entries: what matrix completion is given."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.products import matmul
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete

__all__ = ["low_rank_matrix", "observed_entries"]


def low_rank_matrix(
    key: PRNGKey, shape: Sequence[int], *, rank: ArrayLike, most: int | None = None, dtype: Any = None
) -> Float[Array, "rows columns"]:
    r"""A product of two Gaussian factors, :math:`M = A B^\top`, scaled so that its mean-square entry is 1.

    Its singular values are near :math:`\sqrt{\text{rows} \times \text{columns} / \text{rank}}`, as in
    :cite:`kleinman2024`. With one key, a matrix of lower rank is made of the first factors of one of higher rank.

    Args:
        key: typed PRNG key.
        shape: rows and columns.
        rank: number of factors, from 1 to ``most``; may be traced.
        most: how many factors to draw; by default ``rank``, which must then be concrete.
        dtype: of the matrix; JAX's default float by default.

    Returns:
        The matrix.

    Raises:
        ValueError: if the shape is not two positive sizes, ``most`` is left out with a traced rank or is no positive
            whole number, or a concrete rank is not a whole number from 1 to ``most``.
    """
    rows, columns = _sizes(shape)
    if most is None:
        if not is_concrete(rank):
            raise ValueError("most must be given where rank is traced")
        most = int(np.max(np.asarray(rank)))
    if most < 1:
        raise ValueError(f"most must be 1 or more, got {most}")
    _whole("rank", rank, 1, most)
    dtype = jnp.result_type(float) if dtype is None else dtype
    factors = normal(key, (most, rows + columns), dtype)  # factor by factor: the first do not depend on most
    chosen = (jnp.arange(most, dtype=jnp.int32) < jnp.asarray(rank).astype(jnp.int32)).astype(factors.dtype)
    matrix = matmul(factors[:, :rows].T * chosen[None, :], factors[:, rows:])
    return matrix / jnp.sqrt(jnp.mean(matrix**2))


def observed_entries(
    key: PRNGKey, shape: Sequence[int], *, count: ArrayLike, dtype: Any = None
) -> Float[Array, "rows columns"]:
    """A mask of exactly ``count`` entries, every choice of them equally likely: 1 where observed, 0 elsewhere.

    The entries are put in random order and the first are observed: with one key, a larger set holds a smaller one.

    Args:
        key: typed PRNG key.
        shape: rows and columns.
        count: how many entries are observed, from 1 to their number; may be traced.
        dtype: of the mask; JAX's default float by default.

    Returns:
        The mask.

    Raises:
        ValueError: if the shape is not two positive sizes, or a concrete count is not a whole number from 1 to the
            number of entries.
    """
    rows, columns = _sizes(shape)
    _whole("count", count, 1, rows * columns)
    entries = jnp.arange(rows * columns, dtype=jnp.int32)
    order = jax.random.permutation(key, entries).reshape(rows, columns)
    dtype = jnp.result_type(float) if dtype is None else dtype
    return (order < jnp.asarray(count).astype(jnp.int32)).astype(dtype)


def _sizes(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be two positive sizes, got {tuple(shape)}")
    rows, columns = shape
    return rows, columns


def _whole(name: str, value: ArrayLike, low: int, high: int) -> None:
    if is_concrete(value):
        given = np.asarray(value)
        right = (given == np.round(given)) & (given >= low) & (given <= high)
        checks.require(right, f"{name} must be a whole number from {low} to {high}, got {given}")
