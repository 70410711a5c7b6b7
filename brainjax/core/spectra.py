"""Singular values of stacks of matrices, and how many of them count."""

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["effective_rank", "singular_values"]


def singular_values(matrices: ArrayLike, *, count: int | None = None) -> Float[Array, "*stack values"]:
    r"""Singular values of every matrix of a stack, in falling order, by one decomposition call.

    Stack all matrices whose values a program needs: two independent batched decompositions in one program can stop XLA
    on a CPU with few cores. Derivatives are :math:`d s_i = u_i^\top dA\, v_i`; where values coincide or vanish this is
    one of the one-sided derivatives, and finite.

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
    return jnp.linalg.svd(stack, compute_uv=False)[..., :count]


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
