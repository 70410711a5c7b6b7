r"""The two kinds of pathway, each with the coordinate in which its learning law is regular.

A pathway of depth :math:`D` and strength :math:`K` obeys :math:`\mathrm dp/\mathrm dt = g\,q(p)^{D-1}\,\Omega` with
:math:`K = p\,q^{D-1}`, where :math:`\Omega = s - \sum K` is what is left to learn, so every pathway is moved along
its own curve by one shared clock :math:`\mathrm d\eta = g\,\Omega\,\mathrm dt`. With :math:`p` in units of a ``scale``,

* balanced layers: :math:`q = |p|`, ``scale`` :math:`= s^{1/D}`, coordinate :math:`z = \ln p`;
* one small layer of ``imbalance`` :math:`c > 0`: :math:`q^2 = p^2 + c`, ``scale`` :math:`= \sqrt c`, coordinate
  :math:`z = \operatorname{arsinh} p`.

Both are written so that nothing cancels, neither on the plateau of a small initialisation nor close to the end of
learning, and so that depth is an ordinary real number, with no special case at 1 or 2.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from brainjax.core.quadrature import integral
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, Scalar

__all__ = ["BALANCED", "LARGE", "Coordinate", "expm1_over", "log1p_over"]

_CLOCK_ORDER = 20


def _horner(u: Array, coefficients: list[float]) -> Array:
    total = jnp.full_like(u, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + u * total
    return total


@jax.custom_jvp
def expm1_over(rate: Array, x: Array) -> Array:
    r"""The integral :math:`\int_0^x e^{ry}\,\mathrm dy = (e^{rx}-1)/r`, also for :math:`r \to 0`."""
    u = rate * x
    tiny = jnp.abs(u) < float(jnp.finfo(u.dtype).eps)
    return jnp.where(tiny, x, jnp.expm1(u) / jnp.where(tiny, 1, rate))


@partial(expm1_over.defjvp, symbolic_zeros=True)
def _expm1_over_jvp(primals, tangents):
    rate, x = primals
    rate_dot, x_dot = tangents
    total = expm1_over(rate, x)
    change = jnp.zeros_like(total)
    if not isinstance(x_dot, SymbolicZero):
        change = change + jnp.exp(rate * x) * x_dot
    if not isinstance(rate_dot, SymbolicZero):
        u = rate * x
        small = jnp.abs(u) < 0.1
        near = x**2 * _horner(jnp.where(small, u, 0), [(k + 1) / math.factorial(k + 2) for k in range(12)])
        far = (x * jnp.exp(jnp.where(small, 1, u)) - total) / jnp.where(small, 1, rate)
        change = change + jnp.where(small, near, far) * rate_dot
    return total, change


@jax.custom_jvp
def log1p_over(rate: Array, x: Array) -> Array:
    r"""The inverse of `expm1_over` in its second argument, :math:`\ln(1 + rx)/r`, also for :math:`r \to 0`."""
    u = rate * x
    small = jnp.abs(u) < 0.03
    near = x * _horner(jnp.where(small, -u, 0), [1 / (k + 1) for k in range(13)])
    far = jnp.log1p(jnp.where(small, 1, u)) / jnp.where(small, 1, rate)
    return jnp.where(small, near, far)


@partial(log1p_over.defjvp, symbolic_zeros=True)
def _log1p_over_jvp(primals, tangents):
    rate, x = primals
    rate_dot, x_dot = tangents
    total = log1p_over(rate, x)
    change = jnp.zeros_like(total)
    if not isinstance(x_dot, SymbolicZero):
        change = change + x_dot / (1 + rate * x)
    if not isinstance(rate_dot, SymbolicZero):
        u = rate * x
        small = jnp.abs(u) < 0.03
        near = -(x**2) * _horner(jnp.where(small, -u, 0), [(k + 1) / (k + 2) for k in range(13)])
        far = (x / (1 + jnp.where(small, 1, u)) - total) / jnp.where(small, 1, rate)
        change = change + jnp.where(small, near, far) * rate_dot
    return total, change


class Coordinate(NamedTuple):
    """What a stage of learning needs to know about a kind of pathway, all for scalars in units of the scale."""

    strength: Callable[[Scalar, Scalar], Scalar]
    """``(z, depth)``: the strength K."""
    reach: Callable[[Scalar, Scalar], Scalar]
    """``(strength, depth)``: the coordinate z > the origin at which a positive strength is reached."""
    slope: Callable[[Scalar, Scalar], Scalar]
    """``(z, depth)``: dK/dz."""
    pace: Callable[[Scalar, Scalar], Scalar]
    """``(z, depth)``: clock time per unit of z."""
    gain: Callable[[Scalar, Scalar, Scalar], Scalar]
    """``(z, d, depth)``: K(z + d) - K(z), to full relative precision."""
    clock: Callable[[Scalar, Scalar, Scalar], Scalar]
    """``(z, d, depth)``: clock time from z to z + d, to full relative precision."""
    travel: Callable[[Scalar, Scalar, Scalar, Scalar], Scalar]
    """``(z, amount, depth, lower)``: the displacement d >= lower - z that takes a clock time ``amount`` <= 0."""
    phase: Callable[[Scalar, Scalar], Scalar]
    """``(z, depth)``: clock time counted from a fixed origin, z = 0."""
    unphase: Callable[[Scalar, Scalar, Scalar, Scalar], Scalar]
    """``(phase, depth, lower, upper)``: the inverse of ``phase`` within a bracket."""


def _balanced_travel(z: Scalar, amount: Scalar, depth: Scalar, lower: Scalar) -> Scalar:
    del lower
    return log1p_over(2 - depth, amount * jnp.exp((depth - 2) * z))


def _balanced_unphase(phase: Scalar, depth: Scalar, lower: Scalar, upper: Scalar) -> Scalar:
    del lower, upper
    rate = 2 - depth
    # Below depth 2 the clock reaches p = 0, and there this coordinate ends.
    nearly = 1 - float(jnp.finfo(phase.dtype).eps)
    lowest = jnp.where(rate > 0, -nearly / jnp.where(rate > 0, rate, 1), -jnp.inf)
    return log1p_over(rate, jnp.maximum(phase, lowest))


BALANCED = Coordinate(
    strength=lambda z, depth: jnp.exp(depth * z),
    reach=lambda strength, depth: jnp.log(strength) / depth,
    slope=lambda z, depth: depth * jnp.exp(depth * z),
    pace=lambda z, depth: jnp.exp((2 - depth) * z),
    gain=lambda z, d, depth: jnp.exp(depth * z) * jnp.expm1(depth * d),
    clock=lambda z, d, depth: jnp.exp((2 - depth) * z) * expm1_over(2 - depth, d),
    travel=_balanced_travel,
    phase=lambda z, depth: expm1_over(2 - depth, z),
    unphase=_balanced_unphase,
)
"""Equal layers; p > 0."""


def _log_cosh(z: Array) -> Array:
    size = jnp.abs(z)
    return size + jnp.log1p(jnp.exp(-2 * size)) - jnp.log(jnp.asarray(2, z.dtype))


def _large_pace(z: Array, depth: Array) -> Array:
    return jnp.exp((2 - depth) * _log_cosh(z))


def _large_reach(strength: Scalar, depth: Scalar) -> Scalar:
    goal = jnp.log(strength)
    upper = jnp.arcsinh(jnp.minimum(strength, strength ** (1 / depth)))

    def excess(z):
        return jnp.log(jnp.sinh(z)) + (depth - 1) * _log_cosh(z) - goal

    return monotone_root(excess, 0.0, upper, upper)


def _large_gain(z: Scalar, d: Scalar, depth: Scalar) -> Scalar:
    slant = jnp.tanh(z)
    rise = slant * 2 * jnp.sinh(d / 2) ** 2 + jnp.sinh(d)
    stretch = jnp.expm1((depth - 1) * jnp.log1p(2 * jnp.sinh(d / 2) ** 2 + slant * jnp.sinh(d)))
    return jnp.exp(depth * _log_cosh(z)) * (slant * stretch + rise * (1 + stretch))


@jax.custom_jvp
def _large_clock(z: Scalar, d: Scalar, depth: Scalar) -> Scalar:
    return integral(lambda x: _large_pace(z + x, depth), jnp.zeros_like(d), d, _CLOCK_ORDER)


@partial(_large_clock.defjvp, symbolic_zeros=True)
def _large_clock_jvp(primals, tangents):
    z, d, depth = primals
    z_dot, d_dot, depth_dot = (None if isinstance(t, SymbolicZero) else t for t in tangents)
    total = _large_clock(z, d, depth)
    tangent = jnp.zeros_like(total)
    if d_dot is not None:
        tangent = tangent + _large_pace(z + d, depth) * d_dot
    if z_dot is not None:
        change = integral(lambda x: (2 - depth) * jnp.tanh(z + x) * _large_pace(z + x, depth), jnp.zeros_like(d), d)
        tangent = tangent + change * z_dot
    if depth_dot is not None:
        change = integral(lambda x: -_log_cosh(z + x) * _large_pace(z + x, depth), jnp.zeros_like(d), d)
        tangent = tangent + change * depth_dot
    return total, tangent


def _large_guess(z: Scalar, amount: Scalar, depth: Scalar) -> Scalar:
    """The displacement that takes a clock time, if the pace changed by the same factor everywhere as it does at z."""
    rate = (2 - depth) * jnp.tanh(z)
    far = amount / _large_pace(z, depth)
    return log1p_over(rate, jnp.where(rate * far > -0.9, far, -0.9 / jnp.where(rate == 0, 1, rate)))


def _large_travel(z: Scalar, amount: Scalar, depth: Scalar, lower: Scalar) -> Scalar:
    guess = _large_guess(z, amount, depth)
    return monotone_root(lambda d: _large_clock(z, d, depth) - amount, lower - z, 0.0, guess)


def _large_unphase(phase: Scalar, depth: Scalar, lower: Scalar, upper: Scalar) -> Scalar:
    origin = jnp.zeros_like(phase)
    guess = _large_guess(origin, phase, depth)
    return monotone_root(lambda z: _large_clock(origin, z, depth) - phase, lower, upper, guess)


LARGE = Coordinate(
    strength=lambda z, depth: jnp.sinh(z) * jnp.exp((depth - 1) * _log_cosh(z)),
    reach=_large_reach,
    slope=lambda z, depth: jnp.exp((depth - 2) * _log_cosh(z)) * (1 + depth * jnp.sinh(z) ** 2),
    pace=_large_pace,
    gain=_large_gain,
    clock=_large_clock,
    travel=_large_travel,
    phase=lambda z, depth: _large_clock(jnp.zeros_like(z), z, depth),
    unphase=_large_unphase,
)
"""One layer smaller than the others, which are equal; p of either sign."""
