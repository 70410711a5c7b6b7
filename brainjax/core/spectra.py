"""Singular values of stacks of matrices, and how many of them count.

XLA on a CPU can stop for ever in a batched decomposition that is called from two threads, and in two of them in one
program (jax 0.10). Here every batch, also one made by ``vmap``, is a loop of single decompositions on a CPU, which is
no slower and safe in threads. Derivatives still take one batched decomposition.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["effective_rank", "singular_values"]


def singular_values(matrices: ArrayLike, *, count: int | None = None) -> Float[Array, "*stack values"]:
    r"""Singular values of every matrix of a stack, in falling order.

    A decomposition costs as much as tens of products: take them of few matrices, and of all in one call. Derivatives
    are :math:`d s_i = u_i^\top dA\, v_i`; where values coincide or vanish this is one of the one-sided derivatives, and
    finite.

    Args:
        matrices: of shape (..., rows, columns).
        count: how many to keep, the largest ones; all by default.

    Returns:
        Of shape (..., count); NaN for a matrix that holds NaN.

    Raises:
        ValueError: if there are fewer than two axes, or ``count`` is not between 1 and the smaller size of a matrix.
    """
    (stack,) = as_floats(matrices)
    if stack.ndim < 2:
        raise ValueError(f"matrices must have shape (..., rows, columns), got {stack.shape}")
    most = min(stack.shape[-2:])
    count = most if count is None else count
    if not 1 <= count <= most:
        raise ValueError(f"count must be from 1 to {most} for matrices of shape {stack.shape[-2:]}, got {count}")
    flat = stack.reshape(-1, *stack.shape[-2:])
    return jax.vmap(_values)(flat).reshape(*stack.shape[:-2], most)[..., :count]


@sequential_vmap
def _looped(matrix: Array) -> Array:
    return jnp.linalg.svd(matrix, compute_uv=False)


@jax.custom_jvp
def _values(matrix: Array) -> Array:
    return _looped(matrix) if jax.default_backend() == "cpu" else jnp.linalg.svd(matrix, compute_uv=False)


@_values.defjvp
def _values_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # A loop of single decompositions has no reverse mode, so this one is batched under vmap.
    (matrix,), (change,) = primals, tangents
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)  # right singular vectors are rows
    return values, jnp.sum(left * (change @ right.T), axis=0)


def effective_rank(values: ArrayLike) -> Float[Array, "*stack"]:
    r"""Effective rank :math:`\exp(-\sum_i p_i \ln p_i)` with :math:`p_i = s_i / \sum_k s_k` :cite:`roy2007`.

    It is 1 for one singular value above zero, and the number of values if all are equal. That of a zero matrix is not
    defined; here it is 0. Derivatives are finite also where values vanish: a zero value adds nothing to them, although
    the derivative towards positive values is infinite there.

    Args:
        values: singular values, zero or more, of shape (..., values).

    Returns:
        A number between 1 and the number of values (or 0), of shape (...).

    Raises:
        ValueError: if there is no axis of values, or a concrete value is negative.
    """
    checks.non_negative("values", values)
    (s,) = as_floats(values)
    if s.ndim < 1:
        raise ValueError("values must have shape (..., values), got a number")
    total = jnp.sum(s, axis=-1, keepdims=True)
    empty = total == 0
    share = s / jnp.where(empty, 1, total)
    none = share == 0
    entropy = -jnp.sum(jnp.where(none, 0, share * jnp.log(jnp.where(none, 1, share))), axis=-1)
    return jnp.where(empty[..., 0], 0, jnp.exp(entropy))
