r"""Solving unit lower triangular systems by matrix products alone.

Forward substitution through LAPACK is row by row, and two batched LAPACK calls in one program can hang XLA on a CPU.
Here the inverse is assembled from its diagonal blocks: of two neighbours with inverses :math:`P` and :math:`Q`,

.. math:: \begin{pmatrix} A_1 & 0 \\ R & A_2 \end{pmatrix}^{-1}
          = \begin{pmatrix} P & 0 \\ -Q R P & Q \end{pmatrix},

from blocks of one row up to the whole, all blocks of a size at once: :math:`C^3/3` multiplications in
:math:`2 \log_2 C` batched products. Unlike the Neumann series :math:`\prod_i (I + (-L)^{2^i})`, no step leaves the
inverse's own entries, which are bounded wherever the recursion behind them is stable: repeated keys are harmless.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from brainjax.core.products import matmul

__all__ = ["batched_products", "diagonal_blocks", "stacked_blocks", "unit_lower_inverse", "unit_lower_solve"]

_TINY = 2


@jax.custom_jvp
def unit_lower_inverse(lower: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inverse of the identity plus a strictly lower triangular matrix (which must be zero elsewhere)."""
    given = lower.shape[0]
    n = 1 << (given - 1).bit_length()
    lower = jnp.pad(lower, (0, n - given))
    inverse = jnp.ones((n, 1, 1), lower.dtype)
    size = 1
    while size < n:
        pairs = n // (2 * size)
        below = diagonal_blocks(lower, 2 * size)[:, size:, :size]
        both = inverse.reshape(pairs, 2, size, size)
        corner = -batched_products(batched_products(both[:, 1], below), both[:, 0])
        inverse = stacked_blocks(inverse, corner)
        size *= 2
    return inverse[0, :given, :given]


@unit_lower_inverse.defjvp
def _inverse_tangent(primals, tangents):
    inverse = unit_lower_inverse(primals[0])
    return inverse, -matmul(matmul(inverse, tangents[0]), inverse)


@jax.custom_jvp
def unit_lower_solve(lower: Float[Array, "n n"], right: Float[Array, "n m"]) -> Float[Array, "n m"]:
    r"""The solution of :math:`(I + L) X = B` for a strictly lower triangular :math:`L` (zero elsewhere).

    Derivatives of any order are matrix products too: :math:`dX = (I + L)^{-1} (dB - dL\, X)`.
    """
    return matmul(unit_lower_inverse(lower), right)


@unit_lower_solve.defjvp
def _solve_tangent(primals, tangents):
    lower, right = primals
    d_lower, d_right = tangents
    inverse = unit_lower_inverse(lower)
    solution = matmul(inverse, right)
    return solution, matmul(inverse, d_right - matmul(d_lower, solution))


def batched_products(a: Float[Array, "batch n m"], b: Float[Array, "batch m p"]) -> Float[Array, "batch n p"]:
    """Products of pairs of matrices; tiny ones as sums, which the compiler fuses."""
    if a.shape[2] <= _TINY:
        total = a[:, :, :1] * b[:, :1, :]
        for j in range(1, a.shape[2]):
            total = total + a[:, :, j : j + 1] * b[:, j : j + 1, :]
        return total
    return jax.vmap(matmul)(a, b)


def diagonal_blocks(matrix: Float[Array, "n n"], size: int) -> Float[Array, "blocks size size"]:
    """The square blocks on the diagonal of a matrix."""
    blocks = matrix.shape[0] // size
    return jnp.moveaxis(jnp.diagonal(matrix.reshape(blocks, size, blocks, size), axis1=0, axis2=2), 2, 0)


def stacked_blocks(diagonal: Float[Array, "two_n b b"], corner: Float[Array, "n b b"]) -> Float[Array, "n two_b two_b"]:
    """Lower triangular blocks of twice the size, of neighbouring diagonal blocks and the corners below them."""
    pairs, size, _ = corner.shape
    both = diagonal.reshape(pairs, 2, size, size)
    upper = jnp.concatenate([both[:, 0], jnp.zeros_like(corner)], 2)
    return jnp.concatenate([upper, jnp.concatenate([corner, both[:, 1]], 2)], 1)
