r"""One singular mode of a deep linear network: its strength over time, and the time to a strength.

With whitened inputs and layers aligned to the task's singular vectors, each mode learns on its own. If its :math:`D`
layers are also balanced, its strength obeys :math:`\tau\,\mathrm du/\mathrm dt = D\,u^{2-2/D}(s-u)`
:cite:`saxe2014`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.quadrature import integral
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, is_concrete
from brainjax.linear._coordinates import BALANCED, expm1_over
from brainjax.linear._stages import Pathways, Rest, approach

__all__ = ["mode_strength", "mode_strength_unbalanced", "mode_time"]


def mode_strength(
    t: ArrayLike, *, s: ArrayLike, u0: ArrayLike, depth: ArrayLike, tau: ArrayLike = 1.0
) -> Float[Array, "*batch"]:
    r"""The strength of a balanced mode at a time, :math:`u(t)` with :math:`\tau\,\dot u = D\,u^{2-2/D}(s-u)`.

    The Python integers 1 and 2 take the closed forms :math:`s + (u_0-s)\,e^{-t/\tau}` and
    :math:`u_0 / (e^{-2st/\tau} + u_0\,(1-e^{-2st/\tau})/s)`, which hold for any finite ``s`` and, at depth 1, any
    ``u0``. Any other depth, an array or a float or a traced value, is a real number with no branch on it: the implicit
    solution :math:`t = \frac{\tau}{D}\int_{u_0}^{u} x^{2/D-2}/(s-x)\,\mathrm dx` :cite:`saxe2014` is inverted, in a
    form derived by us with an error near 1e-11 for :math:`u_0 \ge 10^{-6} s`. Nothing overflows. Differentiable in
    everything.

    Args:
        t: time, zero or more.
        s: singular value of the mode; positive, unless depth is the integer 1 or 2.
        u0: strength at time zero, positive, below or above ``s``; of either sign if depth is the integer 1.
        depth: number of layers, 1 or more.
        tau: time constant, the inverse of the learning rate.

    Returns:
        Strength, of the broadcast shape of the arguments.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.non_negative("t", t)
    checks.positive("tau", tau)
    checks.at_least("depth", depth, 1)
    if isinstance(depth, int | np.integer) and depth in (1, 2):
        checks.finite("s", s)
        if depth == 1:
            checks.finite("u0", u0)
        else:
            checks.non_negative("u0", u0)
        return _elementwise(_first if depth == 1 else _second, t, s, u0, tau)
    checks.positive("s", s)
    checks.positive("u0", u0)
    return _elementwise(_any_depth, t, s, u0, depth, tau)


def mode_time(
    u: ArrayLike, *, s: ArrayLike, u0: ArrayLike, depth: ArrayLike, tau: ArrayLike = 1.0
) -> Float[Array, "*batch"]:
    r"""The time a balanced mode takes to a strength, :math:`\frac{\tau}{D}\int_{u_0}^{u} x^{2/D-2}/(s-x)\,\mathrm dx`.

    For depth 2 it is :math:`\frac{\tau}{2s}\ln\frac{u\,(s-u_0)}{u_0\,(s-u)}` :cite:`saxe2014`. The integral is taken
    over :math:`\ln x`, its pole at :math:`s` in closed form, for any real depth with no branch on it.

    Args:
        u: strength to reach, positive, on the same side of ``s`` as ``u0``; ``s`` itself takes forever, and a strength
            further from ``s`` than ``u0`` gives the negative time at which the mode was there.
        s: singular value of the mode, positive.
        u0: strength at time zero, positive and not ``s``.
        depth: number of layers, 1 or more, real.
        tau: time constant, the inverse of the learning rate.

    Returns:
        Time, of the broadcast shape of the arguments.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    for name, value in (("u", u), ("s", s), ("u0", u0), ("tau", tau)):
        checks.positive(name, value)
    checks.at_least("depth", depth, 1)
    if is_concrete((u, s, u0)):
        gap, gap0 = (np.asarray(s) - np.asarray(x) for x in (u, u0))
        checks.require(gap0 != 0, "u0 must not be s, where the mode stays forever")
        checks.require(gap * gap0 >= 0, "u must lie on the same side of s as u0")
    return _elementwise(_time, u, s, u0, depth, tau)


def mode_strength_unbalanced(
    t: ArrayLike, *, s: ArrayLike, a0: ArrayLike, b0: ArrayLike, tau: ArrayLike = 1.0
) -> Float[Array, "*batch"]:
    r"""The strength :math:`u = ab` of a two-layer mode whose layers :math:`a, b` start with any values.

    Solves :math:`\tau\dot a = b\,(s-ab),\ \tau\dot b = a\,(s-ab)`, whose invariant is :math:`a^2-b^2`. The solution of
    :cite:`saxe2014` is hyperbolic; here it is written in the eigenvectors of
    :math:`F = \begin{pmatrix}-\lambda/2 & s\\ s & \lambda/2\end{pmatrix}`, :math:`\lambda = b_0^2 - a_0^2`, with
    eigenvalues :math:`\pm r`: with :math:`q = (a_0, b_0)`, :math:`\epsilon = e^{-2rt/\tau}`,

    .. math:: u = \frac{x_1 x_2}{\epsilon + (q_+^2 + \epsilon\,q_-^2)\,(1-\epsilon)/2r}, \qquad
       x = q_+ e_+ + \epsilon\,q_- e_-,

    where nothing cancels and nothing overflows, for any sign and size of the imbalance (form derived by us; for
    :math:`rt < \tau` the same in powers of :math:`F`).
    Small imbalance learns like a sigmoid at rate :math:`2s`, large imbalance exponentially at rate :math:`|\lambda|`.

    Args:
        t: time, zero or more.
        s: singular value of the mode, finite.
        a0: first layer at time zero.
        b0: second layer at time zero.
        tau: time constant, the inverse of the learning rate.

    Returns:
        Strength, of the broadcast shape of the arguments.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.non_negative("t", t)
    checks.positive("tau", tau)
    for name, value in (("s", s), ("a0", a0), ("b0", b0)):
        checks.finite(name, value)
    return _elementwise(_unbalanced, t, s, a0, b0, tau)


@functools.partial(jax.jit, static_argnums=0)  # called in a notebook, a formula compiles once per shape
def _compiled(function: Callable[..., Scalar], *arrays: Array) -> Array:
    return jax.vmap(function)(*arrays)


def _elementwise(function: Callable[..., Scalar], *arguments: ArrayLike) -> Array:
    arrays = as_floats(*arguments)
    shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
    flat = (jnp.broadcast_to(array, shape).reshape(-1) for array in arrays)
    return _compiled(function, *flat).reshape(shape)


def _first(t: Scalar, s: Scalar, u0: Scalar, tau: Scalar) -> Scalar:
    return s + (u0 - s) * jnp.exp(-t / tau)


def _second(t: Scalar, s: Scalar, u0: Scalar, tau: Scalar) -> Scalar:
    return u0 / (jnp.exp(-2 * s * t / tau) + u0 * 2 * expm1_over(-2 * s, t / tau))


def _any_depth(t: Scalar, s: Scalar, u0: Scalar, depth: Scalar, tau: Scalar) -> Scalar:
    depths = depth[None]
    z = jnp.log(u0 / s)[None] / depths
    rest = Rest(
        order=jnp.zeros(1, jnp.int32),
        z=z,
        end=jnp.zeros_like(z),
        paths=Pathways(depths, s ** (1 / depths), jnp.ones(1, bool)),
        speed=s ** (1 - 2 / depths),
        moves=jnp.abs(z[0]) > 8 * jnp.finfo(z.dtype).eps,
    )
    return s * jnp.exp(depth * approach(BALANCED, rest, t / tau)[0])


def _time(u: Scalar, s: Scalar, u0: Scalar, depth: Scalar, tau: Scalar) -> Scalar:
    start, stop = jnp.log(u0 / s) / depth, jnp.log(u / s) / depth

    def smooth_part(z):
        # 1/d - 1/(exp(depth * z) - 1) / depth stays finite at z = 0, but its two parts do not.
        return jnp.exp((2 - depth) * z) / -jnp.expm1(depth * z) + 1 / (depth * z)

    unit = tau * s ** (2 / depth - 2)
    there = stop == 0
    folds = jnp.where(there, jnp.inf, jnp.log(jnp.where(there, 1, start / jnp.where(there, 1, stop))))
    return unit * (folds / depth + integral(smooth_part, start, stop, 40))


def _unbalanced(t: Scalar, s: Scalar, a0: Scalar, b0: Scalar, tau: Scalar) -> Scalar:
    time = t / tau
    skew = (b0 - a0) * (b0 + a0) / 2
    still = (s == 0) & (skew == 0)
    rate = jnp.where(still, 0, jnp.hypot(jnp.where(still, 1, s), skew))
    fading = jnp.exp(-2 * rate * time)
    spread = expm1_over(-2 * rate, time)
    # Early on: exp(F t) in powers of F, regular where the eigenvectors are not.
    mean = (1 + fading) / 2
    f1, f2 = s * b0 - skew * a0, s * a0 + skew * b0
    early = (mean * a0 + spread * f1) * (mean * b0 + spread * f2)
    early = early / (fading + mean * spread * (a0**2 + b0**2) + spread**2 * (a0 * f1 + b0 * f2))
    # Later: in the eigenvectors, where nothing cancels.
    angle = jnp.arctan2(jnp.where(still, 1, s), -skew) / 2
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rises, falls = a0 * cos + b0 * sin, b0 * cos - a0 * sin
    x1, x2 = rises * cos - fading * falls * sin, rises * sin + fading * falls * cos
    late = x1 * x2 / (fading + (rises**2 + fading * falls**2) * spread)
    return jnp.where(rate * time < 1, early, late)
