r"""Balanced weights: what gradient flow conserves in a deep linear network, and pairs of layers that have it.

Gradient flow on any differentiable loss of the end-to-end matrix conserves
:math:`W_{j+1}^\top W_{j+1} - W_j W_j^\top` for every pair of neighbours :cite:`arora2018`. The exact descriptions of
learning hold where these differences are zero (balanced), or, with two layers, a multiple of the identity
(:math:`\lambda`-balanced :cite:`domine2024`; :math:`\lambda` is the relative scale of the layers).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.types import Array, ArrayLike, PRNGKey, Scalar, as_floats, is_concrete
from brainjax.linear._layers import Layers, as_paths

__all__ = [
    "balance_differences",
    "balance_norms",
    "balanced_pair",
    "orthonormal",
    "random_balanced_pair",
    "relative_scale",
    "require_balanced",
]


def balance_differences(layers: Sequence[ArrayLike]) -> tuple[Array, ...]:
    r"""The matrices :math:`W_{j+1}^\top W_{j+1} - W_j W_j^\top`, conserved by gradient flow :cite:`arora2018`.

    Gradient descent does not conserve them, but changes them by an exact amount: applied to the *changes*
    :math:`\Delta W_j = -\eta\,\partial L/\partial W_j` of one update, this function gives the change of its own value
    at the weights, since the terms of first order in :math:`\eta` cancel.

    Args:
        layers: the matrices of one path, the input's first.

    Returns:
        One square matrix per hidden layer, of the size of that layer; nothing for a single matrix.

    Raises:
        ValueError: if a layer is not a matrix or two neighbours do not fit.
    """
    (matrices,) = as_paths([layers])
    return tuple(upper.T @ upper - lower @ lower.T for lower, upper in pairwise(matrices))


def balance_norms(layers: Sequence[ArrayLike]) -> Float[Array, " pairs"]:
    r"""The Frobenius norms of :math:`W_{j+1}^\top W_{j+1} - W_j W_j^\top`: zero for balanced layers.

    Args:
        layers: the matrices of one path, the input's first.

    Returns:
        One number per hidden layer. The derivative of a norm that is zero is taken to be zero.

    Raises:
        ValueError: if a layer is not a matrix or two neighbours do not fit.
    """
    squares = [jnp.sum(difference**2) for difference in balance_differences(layers)]
    if not squares:
        (matrices,) = as_paths([layers])
        return jnp.zeros(0, matrices[0].dtype)
    total = jnp.stack(squares)
    return jnp.where(total > 0, jnp.sqrt(jnp.where(total > 0, total, 1)), 0)


def relative_scale(first: ArrayLike, second: ArrayLike) -> Scalar:
    r"""The relative scale :math:`\lambda = (\|W_2\|^2 - \|W_1\|^2)/N_h` of two layers, conserved by gradient flow.

    If the pair is :math:`\lambda`-balanced, :math:`W_2^\top W_2 - W_1 W_1^\top = \lambda I`, this is its
    :math:`\lambda` :cite:`domine2024`.

    Args:
        first: of shape (hidden, in).
        second: of shape (out, hidden).

    Raises:
        ValueError: if the shapes do not fit.
    """
    ((first, second),) = as_paths([[first, second]])
    return (jnp.sum(second**2) - jnp.sum(first**2)) / first.shape[0]


def require_balanced(
    layers: Sequence[ArrayLike], *, scaled: bool = False, tolerance: float | None = None, name: str = "layers"
) -> None:
    r"""Refuse concrete layers that are not balanced, or, with ``scaled``, not :math:`\lambda`-balanced.

    The tolerance is relative to the squared norm of the two layers; by default a thousand roundings.
    """
    if not is_concrete(layers) or (tolerance is not None and math.isinf(tolerance)):
        return
    allowed = 1000 * float(jnp.finfo(as_floats(*layers)[0].dtype).eps) if tolerance is None else tolerance
    matrices = [np.asarray(matrix, np.float64) for matrix in layers]
    for lower, upper in pairwise(matrices):
        difference = upper.T @ upper - lower @ lower.T
        if scaled:
            difference = difference - np.trace(difference) / len(difference) * np.eye(len(difference))
        size = np.sum(upper**2) + np.sum(lower**2)
        found = float(np.linalg.norm(difference) / size) if size > 0 else 0.0
        if not found <= allowed:
            kind = "a multiple of the identity" if scaled else "zero"
            raise ValueError(
                f"{name} must be balanced: W_next^T W_next - W W^T must be {kind} up to {allowed:.2g} of the squared "
                f"norm of the weights, got {found:.2g}"
            )


def balanced_pair(
    strengths: ArrayLike,
    *,
    left: ArrayLike,
    right: ArrayLike,
    relative_scale: ArrayLike = 0.0,
    width: int | None = None,
    rotation: ArrayLike | None = None,
) -> Layers:
    r"""Two layers with a given map :math:`U S V^\top` and :math:`W_2^\top W_2 - W_1 W_1^\top = \lambda I`.

    :math:`W_1 = R\,s_1 V^\top` and :math:`W_2 = U s_2 R^\top` with
    :math:`s_{1,2}^2 = (\sqrt{\lambda^2 + 4 S^2} \mp \lambda)/2` :cite:`domine2024`, where :math:`R` rotates the hidden
    units. Hidden units beyond the modes of the map have :math:`S = 0`; with :math:`\lambda > 0` each needs an output
    direction of its own, with :math:`\lambda < 0` an input direction. So :math:`\lambda > 0` needs as many columns of
    ``left`` as hidden units (hence no more hidden units than outputs), :math:`\lambda < 0` as many of ``right``, and
    more hidden units than inputs and outputs force :math:`\lambda = 0`.

    Args:
        strengths: singular values of the map, zero or more, of shape (modes,), one for each of the first columns of
            ``left`` and ``right``.
        left: orthonormal output directions as columns, at least as many as modes.
        right: orthonormal input directions as columns, at least as many as modes.
        relative_scale: :math:`\lambda`, of either sign. A traced one that is not possible gives NaN.
        width: hidden units, at least as many as modes (which is the default).
        rotation: orthogonal matrix :math:`R` of shape (width, width); by default the identity.

    Returns:
        The first and the second layer.

    Raises:
        ValueError: if a shape does not fit, a concrete strength is negative, or a concrete ``relative_scale`` is not
            possible with these sizes.
    """
    checks.non_negative("strengths", strengths)
    checks.finite("relative_scale", relative_scale)
    s, left, right, scale, turn = as_floats(
        strengths, left, right, relative_scale, 0.0 if rotation is None else rotation
    )
    checks.shape_of("strengths", s, (None,), "(modes,)")
    checks.shape_of("relative_scale", scale, ())
    modes = s.shape[0]
    for name, basis in (("left", left), ("right", right)):
        checks.shape_of(name, basis, (None, None), "(units, columns)")
        if basis.shape[1] < modes:
            raise ValueError(f"{name} must have at least one column per mode, {modes}, got shape {basis.shape}")
    width = modes if width is None else width
    if width < modes:
        raise ValueError(f"width must be at least the number of modes, {modes}, got {width}")
    if rotation is not None:
        checks.shape_of("rotation", turn, (width, width), "(width, width)")
    possible = jnp.asarray(True)
    for name, basis, sign in (("left", left, 1), ("right", right, -1)):
        if basis.shape[1] < width:
            bad = scale * sign > 0
            checks.require(
                ~bad if is_concrete(scale) else True,
                f"relative_scale must be {'zero or less' if sign > 0 else 'zero or more'} with {width} hidden units "
                f"and {basis.shape[1]} columns of {name}, got {float(scale) if is_concrete(scale) else scale}",
            )
            possible = possible & ~bad
    s = jnp.concatenate([s, jnp.zeros(width - modes, s.dtype)])
    low, high = _split(s, scale)
    first = low[:, None] * _columns(right, width).T
    second = _columns(left, width) * high[None, :]
    if rotation is not None:
        first, second = turn @ first, second @ turn.T
    return jnp.where(possible, first, jnp.nan), jnp.where(possible, second, jnp.nan)


def _columns(basis: Array, width: int) -> Array:
    return jnp.pad(basis[:, :width], ((0, 0), (0, max(width - basis.shape[1], 0))))


def _split(s: Array, scale: Scalar) -> tuple[Array, Array]:
    """Strengths of the first and the second layer: nothing cancels, whatever the sign and size of the scale."""
    up = scale >= 0
    size = jnp.where(up, scale, -scale)  # whose derivative at zero is that of the branch taken below
    nothing = (s == 0) & (size == 0)
    root = jnp.hypot(jnp.where(nothing, 1, size), 2 * s)
    large = jnp.where(nothing, 0, jnp.sqrt((root + size) / 2))
    small = jnp.where(nothing, 0, s / jnp.where(nothing, 1, large))
    return jnp.where(up, small, large), jnp.where(up, large, small)


def random_balanced_pair(
    key: PRNGKey, sizes: Sequence[int], *, strengths: ArrayLike, relative_scale: ArrayLike = 0.0
) -> Layers:
    r"""A :math:`\lambda`-balanced pair with given strengths and directions that are uniformly random.

    Output, input and hidden directions are drawn independently from the uniform (Haar) distribution, by a Gram-Schmidt
    process without LAPACK, so that many pairs can be drawn side by side. See `balanced_pair` for which
    :math:`\lambda` is possible.

    Args:
        key: typed PRNG key.
        sizes: numbers of inputs, hidden units and outputs.
        strengths: singular values of the map, zero or more: a number, or one per mode; there are as many modes as the
            smallest of the sizes.
        relative_scale: :math:`\lambda`, of either sign. A traced one that is not possible gives NaN.

    Returns:
        The first and the second layer.

    Raises:
        ValueError: if there are not three positive sizes, a shape does not fit, or a concrete argument is out of its
            range.
    """
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"sizes must be three positive numbers (in, hidden, out), got {tuple(sizes)}")
    inputs, hidden, outputs = sizes
    s, scale = as_floats(strengths, relative_scale)
    modes = min(sizes)
    if s.shape not in ((), (modes,)):
        raise ValueError(f"strengths must be a number or have shape ({modes},), got {s.shape}")

    def draw(key, rows):
        return orthonormal(normal(key, (rows, min(rows, hidden)), s.dtype))

    for_left, for_right, for_hidden = jax.random.split(key, 3)
    return balanced_pair(
        jnp.broadcast_to(s, (modes,)),
        left=draw(for_left, outputs),
        right=draw(for_right, inputs),
        relative_scale=scale,
        width=hidden,
        rotation=draw(for_hidden, hidden),
    )


@jax.jit
def orthonormal(columns: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Orthonormal columns with the same spans of the first ones, by Gram-Schmidt done twice (once loses precision)."""

    def sweep(vectors, k):
        vector = lax.dynamic_index_in_dim(vectors, k, 0, keepdims=False)
        vector = vector / jnp.sqrt(jnp.sum(vector**2))
        overlap = jnp.sum(vectors * vector[None, :], axis=1)
        number = jnp.arange(vectors.shape[0])
        rest = vectors - jnp.where(number > k, overlap, 0)[:, None] * vector[None, :]
        return jnp.where((number == k)[:, None], vector[None, :], rest), None

    count = columns.shape[1]
    order = jnp.concatenate([jnp.arange(count), jnp.arange(count)])
    return lax.scan(sweep, columns.T, order)[0].T
