"""Random numbers of any shape, drawn in one row.

The numbers are those of ``jax.random``, bit for bit. Under ``vmap``, XLA compiles a draw with several axes for seconds
on a CPU (jax 0.10: 4 s for a normal 20 x 10 matrix), and one in a row, reshaped afterwards, for half a second.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.typing
from jaxtyping import Float

from brainjax.core.types import Array, PRNGKey

__all__ = ["normal", "uniform"]


def normal(key: PRNGKey, shape: Sequence[int], dtype: Any = None) -> Float[Array, "*shape"]:
    """Standard normal numbers, as ``jax.random.normal`` gives them.

    Args:
        key: typed PRNG key.
        shape: of the array.
        dtype: of the array; JAX's default float by default.

    Returns:
        The array.
    """
    return jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def uniform(
    key: PRNGKey,
    shape: Sequence[int],
    dtype: Any = None,
    *,
    low: jax.typing.ArrayLike = 0.0,
    high: jax.typing.ArrayLike = 1.0,
) -> Float[Array, "*shape"]:
    """Numbers from a uniform distribution on [low, high), as ``jax.random.uniform`` gives them.

    Args:
        key: typed PRNG key.
        shape: of the array.
        dtype: of the array; JAX's default float by default.
        low: the lower end, a number.
        high: the upper end, a number.

    Returns:
        The array.
    """
    return jax.random.uniform(key, (math.prod(shape),), dtype, low, high).reshape(shape)
