r"""How the product of the layers moves: end-to-end dynamics of deep linear networks with balanced layers.

With :math:`W_{j+1}^\top W_{j+1} = W_j W_j^\top` for all neighbours, gradient flow on any differentiable loss of
:math:`W = W_N \cdots W_1`, with gradient :math:`G = \partial L/\partial W`, moves the product by a law of its own
:cite:`arora2018`:

.. math:: \dot W = -\sum_{j=1}^{N} (W W^\top)^{(N-j)/N}\; G\; (W^\top W)^{(j-1)/N} .

In the singular basis of :math:`W` this multiplies every entry of :math:`U^\top G V` by

.. math:: P_{rc} = \sum_{j=1}^{N} \sigma_r^{2(N-j)/N} \sigma_c^{2(j-1)/N}
   = \frac{\sigma_r^2 - \sigma_c^2}{\sigma_r^{2/N} - \sigma_c^{2/N}},

a geometric sum whose closed form continues the law to any real depth :math:`N \ge 1` (the continuation is ours).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import chain
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats
from brainjax.linear._balanced import require_balanced
from brainjax.linear._layers import as_paths
from brainjax.linear._pathways import safe_power

__all__ = [
    "SingularRates",
    "end_to_end_gain",
    "end_to_end_rate",
    "end_to_end_rate_of_layers",
    "induced_rate",
    "singular_rates",
]


class SingularRates(NamedTuple):
    """A thin singular value decomposition, and how fast its parts move."""

    left: Float[Array, "out modes"]
    """Left singular vectors as columns."""
    values: Float[Array, " modes"]
    """Singular values, in falling order."""
    right: Float[Array, "in modes"]
    """Right singular vectors as columns."""
    left_rate: Float[Array, "out modes"]
    """Time derivative of ``left``."""
    value_rate: Float[Array, " modes"]
    """Time derivative of ``values``."""
    right_rate: Float[Array, "in modes"]
    """Time derivative of ``right``."""


def end_to_end_gain(left_value: ArrayLike, right_value: ArrayLike, *, depth: ArrayLike) -> Array:
    r"""What depth multiplies a gradient's entry with, :math:`P = (\sigma^2-\rho^2)/(\sigma^{2/N}-\rho^{2/N})`.

    For two singular values :math:`\sigma, \rho` of the end-to-end matrix (zero in a null space) this is an eigenvalue
    of the preconditioner by which depth acts on the gradient, with eigenvector :math:`v \otimes u` :cite:`arora2018`;
    for whole depths :math:`\sum_j \sigma^{2(N-j)/N}\rho^{2(j-1)/N}`. With :math:`\sigma` the larger and
    :math:`d = \ln(\sigma/\rho)` it is computed as :math:`\sigma^{2-2/N}(1-e^{-2d})/(1-e^{-2d/N})`, which does not
    cancel for values that are nearly equal; where they are equal it is :math:`N\sigma^{2-2/N}`. Elementwise over
    arguments that broadcast by NumPy's rule.

    Args:
        left_value: singular value of the output direction, zero or more.
        right_value: singular value of the input direction, zero or more.
        depth: number of layers, 1 or more, real.

    Returns:
        The gain, of the broadcast shape. Derivatives with respect to a value that is zero are taken to be zero.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.non_negative("left_value", left_value)
    checks.non_negative("right_value", right_value)
    checks.at_least("depth", depth, 1)
    x, y, depth = as_floats(left_value, right_value, depth)
    shape = jnp.broadcast_shapes(x.shape, y.shape, depth.shape)
    x, y, n = (jnp.broadcast_to(value, shape) for value in (x, y, depth))
    positive = (x > 0) & (y > 0)
    gap = jnp.log(jnp.where(positive, x, 1)) - jnp.log(jnp.where(positive, y, 1))
    size = jnp.abs(gap)
    apart = size > 0
    size = jnp.where(apart, size, 1)
    ratio = jnp.where(apart, jnp.expm1(-2 * size) / jnp.expm1(-2 * size / n), n)
    larger = jnp.maximum(x, y)
    power = safe_power(larger, 2 - 2 / n)
    return power * jnp.where(positive, ratio, 1)


def end_to_end_rate(
    linear_map: ArrayLike, gradient: ArrayLike, *, depth: ArrayLike, weight_decay: ArrayLike = 0.0
) -> Float[Array, "out in"]:
    r"""The rate of change of the product of balanced layers under gradient flow, :math:`\dot W` as above.

    Through the singular value decomposition of :math:`W` itself (that of :math:`W W^\top` would lose half the digits);
    a power of zero is the identity on the full spaces, null spaces and rectangular maps included. (A singular value
    that should be zero comes out as rounding, whose power :math:`2/N` is larger.) Valid for balanced layers only: see
    `end_to_end_rate_of_layers`, which checks. Weight decay :math:`\mu` in every layer adds :math:`-N\mu W`.

    The rate is a smooth function of ``gradient`` and ``depth``. Derivatives with respect to ``linear_map`` go through
    the decomposition and need distinct singular values.

    Args:
        linear_map: the end-to-end matrix :math:`W`, of shape (out, in).
        gradient: derivative of the loss with respect to it, of the same shape.
        depth: number of layers, 1 or more, real.
        weight_decay: :math:`\mu`, zero or more, for the loss :math:`L + \tfrac\mu2\sum_j\|W_j\|^2`.

    Returns:
        The time derivative of ``linear_map``.

    Raises:
        ValueError: if the shapes differ or a concrete argument is out of its range.
    """
    w, g, n, decay = _checked(linear_map, gradient, depth, weight_decay)
    u, s, vt = jnp.linalg.svd(w, full_matrices=False)
    v, n1 = vt.T, n[None]
    inside = u.T @ g @ v
    change = u @ (end_to_end_gain(s[:, None], s[None, :], depth=n1[None]) * inside) @ vt
    edge = end_to_end_gain(s, jnp.zeros_like(s), depth=n1)  # between a singular vector and a null space
    below, beside = g @ v - u @ inside, u.T @ g - inside @ vt
    if u.shape[0] > u.shape[1]:
        change = change + (below * edge[None, :]) @ vt
    if v.shape[0] > v.shape[1]:
        change = change + u @ (edge[:, None] * beside)
    return -change - n * decay * w


def end_to_end_rate_of_layers(
    layers: Sequence[ArrayLike],
    gradient: ArrayLike,
    *,
    weight_decay: ArrayLike = 0.0,
    tolerance: float | None = None,
) -> Float[Array, "out in"]:
    """The same as `end_to_end_rate`, for given layers, which must be balanced.

    Args:
        layers: the matrices of one path, the input's first.
        gradient: derivative of the loss with respect to their product, of shape (out, in).
        weight_decay: of every layer, zero or more.
        tolerance: how far from balanced concrete layers may be, as a share of the squared norm of two neighbours; by
            default a thousand roundings. Traced layers are not checked.

    Returns:
        The time derivative of the product.

    Raises:
        ValueError: if concrete layers are not balanced, a shape does not fit, or a concrete argument is out of range.
    """
    (matrices,) = as_paths([layers])
    require_balanced(layers, tolerance=tolerance)
    return end_to_end_rate(chain(matrices), gradient, depth=len(matrices), weight_decay=weight_decay)


def induced_rate(layers: Sequence[ArrayLike], directions: Sequence[ArrayLike]) -> Float[Array, "out in"]:
    r"""The rate of a product whose factors move, :math:`\sum_j W_N \cdots \dot W_j \cdots W_1`: the product rule.

    It holds for any layers. For balanced ones that follow the gradient it equals `end_to_end_rate`.

    Args:
        layers: the matrices of one path, the input's first.
        directions: the time derivative of each, of the same shapes.

    Raises:
        ValueError: if shapes do not fit.
    """
    (matrices,), (moves,) = as_paths([layers]), as_paths([directions])
    shapes = [[matrix.shape for matrix in each] for each in (matrices, moves)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"directions must have the shapes of layers, {shapes[0]}, got {shapes[1]}")
    return sum(
        (chain((*matrices[:j], moves[j], *matrices[j + 1 :])) for j in range(1, len(matrices))),
        chain((moves[0], *matrices[1:])),
    )


def singular_rates(linear_map: ArrayLike, gradient: ArrayLike, *, depth: ArrayLike) -> SingularRates:
    r"""How the singular values and vectors of the product of balanced layers move under gradient flow.

    With :math:`W = U S V^\top`, :math:`A = U^\top G V` and :math:`F_{rc} = 1/(\sigma_c^{2/N} - \sigma_r^{2/N})`
    :cite:`arora2019`,

    .. math::
       \dot\sigma_r &= -N \sigma_r^{2-2/N} A_{rr}, \\
       \dot U &= -U\,\bigl(F \circ [A S + S A^\top]\bigr) - (I - U U^\top)\,G V S^{1-2/N}, \\
       \dot V &= -V\,\bigl(F \circ [S A + A^\top S]\bigr) - (I - V V^\top)\,G^\top U S^{1-2/N},

    for maps of any shape. The vectors stand still if and only if :math:`A` is diagonal.

    Where two singular values are equal their vectors are not determined, and no derivative exists unless the bracket
    vanishes: then the pair does not turn (the entry is 0), otherwise the vectors of the two are NaN. The other vectors
    and all values are not affected. Below depth 2, :math:`S^{1-2/N}` is infinite at a singular value of zero, and
    vectors outside the span then give NaN or infinity.

    Args:
        linear_map: the end-to-end matrix :math:`W`, of shape (out, in).
        gradient: derivative of the loss with respect to it, :math:`G`, of the same shape.
        depth: number of layers, 1 or more, real.

    Returns:
        The thin decomposition and its rates.

    Raises:
        ValueError: if the shapes differ or a concrete argument is out of its range.
    """
    w, g, n, _ = _checked(linear_map, gradient, depth, 0.0)
    u, s, vt = jnp.linalg.svd(w, full_matrices=False)
    v = vt.T
    a = u.T @ g @ v
    value_rate = -n * safe_power(s, 2 - 2 / n) * jnp.diagonal(a)

    # F as gain / (sigma_c^2 - sigma_r^2), and that difference of squares as a product: nothing cancels.
    gain = end_to_end_gain(s[:, None], s[None, :], depth=n[None, None])
    gap = (s[None, :] - s[:, None]) * (s[None, :] + s[:, None])

    def turning(bracket: Array) -> Array:
        equal = gap == 0
        still = jnp.where(bracket == 0, 0, jnp.nan)
        still = jnp.where(jnp.eye(s.shape[0], dtype=bool), 0, still)
        return jnp.where(equal, still, gain * bracket / jnp.where(equal, 1, gap))

    outer = jnp.where(s > 0, safe_power(s, 1 - 2 / n), jnp.where(n > 2, 0, jnp.where(n == 2, 1, jnp.inf)))
    left_rate = -u @ turning(a * s[None, :] + s[:, None] * a.T)
    right_rate = -v @ turning(s[:, None] * a + a.T * s[None, :])
    if u.shape[0] > u.shape[1]:
        left_rate = left_rate - (g @ v - u @ a) * outer[None, :]
    if v.shape[0] > v.shape[1]:
        right_rate = right_rate - (g.T @ u - v @ a.T) * outer[None, :]
    return SingularRates(u, s, v, left_rate, value_rate, right_rate)


def _checked(
    linear_map: ArrayLike, gradient: ArrayLike, depth: ArrayLike, weight_decay: ArrayLike
) -> tuple[Array, Array, Scalar, Scalar]:
    checks.finite("linear_map", linear_map)
    checks.at_least("depth", depth, 1)
    checks.non_negative("weight_decay", weight_decay)
    w, g, n, decay = as_floats(linear_map, gradient, depth, weight_decay)
    checks.shape_of("linear_map", w, (None, None), "(out, in)")
    checks.shape_of("gradient", g, w.shape, "that of linear_map")
    checks.shape_of("depth", n, ())
    checks.shape_of("weight_decay", decay, ())
    return w, g, n, decay
