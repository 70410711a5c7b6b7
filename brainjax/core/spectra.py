"""Singular values, singular vectors and eigenvalues of stacks of matrices; how many of them count is in ``ranks``.

XLA on a CPU can stop for ever in a batched decomposition that is called from two threads, and in two of them in one
program (jax 0.10). Here every batch, also one made by ``vmap``, is a loop of single decompositions on a CPU, which is
no slower and safe in threads. Derivatives still take one batched decomposition.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jaxtyping import Complex, Float

from brainjax.core.ranks import effective_rank as effective_rank
from brainjax.core.ranks import eigenvalue_rank as eigenvalue_rank
from brainjax.core.ranks import energy_rank as energy_rank
from brainjax.core.ranks import numerical_rank as numerical_rank
from brainjax.core.ranks import participation_ratio as participation_ratio
from brainjax.core.ranks import stable_rank as stable_rank
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = [
    "Decomposition",
    "decompose",
    "eigenvalues",
    "singular_values",
    "spectral_radius",
    "effective_rank",
    "eigenvalue_rank",
    "energy_rank",
    "numerical_rank",
    "participation_ratio",
    "stable_rank",
]


class Decomposition(NamedTuple):
    r"""Thin singular value decomposition :math:`A = U \,\mathrm{diag}(s)\, V^\top` of every matrix of a stack."""

    left: Float[Array, "*stack rows values"]
    """Left singular vectors, the columns of :math:`U`."""
    values: Float[Array, "*stack values"]
    """Singular values, in falling order."""
    right: Float[Array, "*stack values columns"]
    """Right singular vectors, the rows of :math:`V^\top`."""


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
    stack = _stack(matrices)
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


def decompose(matrices: ArrayLike) -> Decomposition:
    r"""Thin singular value decomposition of every matrix of a stack, :math:`A = U \,\mathrm{diag}(s)\, V^\top`.

    The sign of a pair of singular vectors is arbitrary, and so is their choice where values coincide. Derivatives are
    JAX's, which are not defined (infinite or NaN) where values coincide.

    Args:
        matrices: of shape (..., rows, columns).

    Returns:
        ``left`` of shape (..., rows, values), ``values`` of shape (..., values) and ``right`` of shape (..., values,
        columns), where the number of values is the smaller size of a matrix; NaN for a matrix that holds NaN.

    Raises:
        ValueError: if there are fewer than two axes.
    """
    stack = _stack(matrices)
    parts = jax.vmap(_decomposed)(stack.reshape(-1, *stack.shape[-2:]))
    return Decomposition(*(part.reshape(*stack.shape[:-2], *part.shape[1:]) for part in parts))


def eigenvalues(matrices: ArrayLike) -> Complex[Array, "*stack N"]:
    r"""Eigenvalues of every square matrix of a stack, which need not be symmetric, in falling order of modulus.

    Derivatives are :math:`d\lambda_i = w_i^* dA\, v_i / (w_i^* v_i)` with the left and right eigenvectors; they are not
    defined (infinite or NaN) where eigenvalues coincide.

    Args:
        matrices: real, of shape (..., N, N).

    Returns:
        Complex, of shape (..., N); NaN for a matrix that holds NaN.

    Raises:
        ValueError: if the last two axes are not those of square matrices.
    """
    stack = _stack(matrices)
    if stack.shape[-1] != stack.shape[-2]:
        raise ValueError(f"matrices must be square, of shape (..., N, N), got {stack.shape}")
    flat = stack.reshape(-1, *stack.shape[-2:])
    found = jax.vmap(_eigenvalues)(flat)
    order = jnp.argsort(jnp.abs(found), axis=-1, descending=True)
    return jnp.take_along_axis(found, order, axis=-1).reshape(stack.shape[:-1])


def spectral_radius(matrices: ArrayLike) -> Float[Array, "*stack"]:
    r"""Largest modulus of an eigenvalue, :math:`\max_i |\lambda_i|`, of every square matrix of a stack.

    Args:
        matrices: real, of shape (..., N, N).

    Returns:
        Of shape (...); NaN for a matrix that holds NaN.

    Raises:
        ValueError: if the last two axes are not those of square matrices.
    """
    return jnp.abs(eigenvalues(matrices)[..., 0])


def _stack(matrices: ArrayLike) -> Array:
    (stack,) = as_floats(matrices)
    if stack.ndim < 2:
        raise ValueError(f"matrices must have shape (..., rows, columns), got {stack.shape}")
    return stack


def _thin(matrix: Array) -> tuple[Array, Array, Array]:
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    return left, values, right


@jax.custom_jvp
def _decomposed(matrix: Array) -> tuple[Array, Array, Array]:
    return sequential_vmap(_thin)(matrix) if jax.default_backend() == "cpu" else _thin(matrix)


@jax.custom_jvp
def _eigenvalues(matrix: Array) -> Array:
    return sequential_vmap(jnp.linalg.eigvals)(matrix) if jax.default_backend() == "cpu" else jnp.linalg.eigvals(matrix)


@_decomposed.defjvp
def _decomposed_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return jax.jvp(_thin, primals, tangents)


@_eigenvalues.defjvp
def _eigenvalues_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return jax.jvp(jnp.linalg.eigvals, primals, tangents)
