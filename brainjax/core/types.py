"""Names for the kinds of array that the topics pass around, and the one rule by which inputs become arrays."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing
from jax.core import Tracer
from jaxtyping import Array, Float, Key

ArrayLike = jax.typing.ArrayLike | Sequence[Any]
"""What public functions take: JAX and numpy arrays, numbers, and (nested) lists of numbers."""

Scalar = Float[Array, ""]
"""A floating-point array without axes."""

PRNGKey = Key[Array, ""]
"""One typed key, as made by ``jax.random.key``."""

__all__ = ["Array", "ArrayLike", "PRNGKey", "Scalar", "as_floats", "broadcast", "is_concrete"]


def as_floats(*values: Any) -> tuple[Array, ...]:
    """Turn numbers and arrays into floating-point JAX arrays of one dtype.

    Arrays decide the dtype; Python numbers and lists of them follow, and alone they take JAX's default. Integers become
    floats.
    """
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(float, *jax.tree.leaves(values))
    return tuple(jnp.asarray(value, dtype) for value in values)


def broadcast(*arrays: Array) -> tuple[Array, ...]:
    """Give arrays one common shape by NumPy's rule, also where JAX is told to refuse implicit rank promotion."""
    shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
    return tuple(jnp.broadcast_to(array, shape) for array in arrays)


def is_concrete(value: Any) -> bool:
    """Whether a value can be looked at now, that is, whether it is not being traced by a JAX transformation."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))
