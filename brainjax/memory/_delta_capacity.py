r"""How much a memory holds that corrects its errors: the delta rule after one pass, and least squares.

The delta rule :math:`S \leftarrow S + \beta k (v - S^\top k)^\top` writes :math:`N` pairs once each; keys are
independent and uniform on the unit sphere in :math:`d` dimensions, values independent with zero mean and
:math:`\mathbb E |v|^2 = 1`. With the write energy :math:`m_n = \mathbb E |S_n|_F^2 / d` after :math:`n` writes and the
power :math:`M_n` of the read of one stored pair, averages over the new key close exactly:

.. math::
   m_{n+1} &= m_n + \frac{\beta^2 - \beta (2 - \beta) m_n}{d}, \\
   M_{n+1} &= M_n \left(1 - \frac{2 \beta}{d} + \frac{2 \beta^2}{d (d + 2)}\right) + \frac{\beta^2}{d}
     + \frac{\beta^2 m_n}{d + 2}, \qquad M = (1 - \beta)^2 m_n + \beta^2 \text{ right after its write} ,

and the pair's amplitude falls as :math:`\beta (1 - \beta / d)^n`. All of this was derived here; we know of no earlier
publication. In the limit of many dimensions at fixed load :math:`y = N / d` the recursions become differential
equations with the closed forms below.
"""

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, broadcast

__all__ = [
    "delta_best_rate",
    "delta_error",
    "delta_error_finite",
    "delta_pair_amplitude",
    "delta_pair_error",
    "delta_write_energy",
    "least_squares_capacity",
    "least_squares_error",
]


def delta_write_energy(load: ArrayLike, *, rate: ArrayLike = 1.0) -> Array:
    r"""Squared norm of the delta rule's state per dimension, :math:`|S|_F^2 / d`, for many dimensions.

    .. math:: m(\tau) = \frac{\beta}{2 - \beta} \left(1 - e^{-\beta (2 - \beta) \tau}\right)

    Bounded for :math:`0 < \beta < 2`, while a Hebbian state grows as :math:`\tau`.

    Args:
        load: :math:`\tau`, writes per dimension.
        rate: :math:`\beta`, from 0 to 2.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    y, beta = _load(load, rate)
    return beta**2 * y * _decay_mean(beta * (2 - beta) * y)


def delta_pair_amplitude(age: ArrayLike, *, rate: ArrayLike = 1.0) -> Array:
    r"""How much of its value a pair's read still contains, :math:`A(x) = \beta e^{-\beta x}`, for many dimensions.

    Args:
        age: :math:`x`, later writes per dimension.
        rate: :math:`\beta`, from 0 to 2.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("age", age)
    x, beta = _load(age, rate)
    return beta * jnp.exp(-beta * x)


def delta_pair_error(age: ArrayLike, load: ArrayLike, *, rate: ArrayLike = 1.0) -> Array:
    r"""NMSE of a pair that was followed by ``age`` writes per dimension, for many dimensions.

    .. math:: E(x; y) = 1 - 2 \beta e^{-\beta x}
       + \frac{\beta}{2 - \beta} \left(1 - e^{-\beta (2 - \beta) y}\right)
       + \beta^2 e^{-\beta (2 - \beta) y - \beta^2 x}

    At :math:`\beta = 1` the newest pair is exact.

    Args:
        age: :math:`x`, later writes per dimension, from 0 to ``load``.
        load: :math:`y = N / d`, all writes per dimension.
        rate: :math:`\beta`, from 0 to 2.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("age", age)
    x, y, beta = broadcast(*as_floats(age, load, rate))
    y, beta = _load(y, beta)
    fade = jnp.exp(-beta * (2 - beta) * y - beta**2 * x)
    return 1 - 2 * beta * jnp.exp(-beta * x) + delta_write_energy(y, rate=beta) + beta**2 * fade


def delta_error(load: ArrayLike, *, rate: ArrayLike = 1.0) -> Array:
    r"""NMSE of the delta rule after one pass, averaged over the pairs, for many dimensions.

    .. math:: \mathrm{NMSE} = 1 - \frac{2 (1 - e^{-\beta y})}{y}
       + \frac{\beta}{2 - \beta} \left(1 - e^{-\beta (2 - \beta) y}\right)
       + e^{-\beta (2 - \beta) y}\, \frac{1 - e^{-\beta^2 y}}{y}

    which for :math:`\beta = 1` is :math:`(2 - e^{-y}) \left(1 - (1 - e^{-y}) / y\right)`: half of Hebb's :math:`y` at
    small load, 2 at large load. At few pairs the exact value lies below it, see `delta_error_finite`.

    Args:
        load: :math:`y = N / d`, pairs per dimension, zero or more.
        rate: :math:`\beta`, from 0 to 2.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    y, beta = _load(load, rate)
    r = beta * (2 - beta)
    read = beta**2 * jnp.exp(-r * y) * _decay_mean(beta**2 * y)
    return 1 - 2 * beta * _decay_mean(beta * y) + delta_write_energy(y, rate=beta) + read


def delta_error_finite(pairs: int, dimension: ArrayLike, *, rate: ArrayLike = 1.0) -> Array:
    r"""NMSE of the delta rule after one pass, averaged over the pairs: exact for every number of pairs and dimensions.

    The sum of the module's recursions over the pairs.

    Args:
        pairs: :math:`N`, a whole number: it sets how many terms are summed.
        dimension: of the keys.
        rate: :math:`\beta`.

    Raises:
        ValueError: if ``pairs`` is not a positive whole number or a concrete argument is out of range.
    """
    if int(pairs) != pairs or pairs < 1:
        raise ValueError(f"pairs must be a whole number, 1 or more, got {pairs}")
    checks.positive("dimension", dimension)
    d, beta = broadcast(*as_floats(dimension, rate))
    before = jnp.arange(int(pairs)).astype(d.dtype).reshape((-1,) + (1,) * d.ndim)
    d_, beta_ = d[None], beta[None]
    # m after n writes is beta^2 / d times a geometric sum; written so that beta = 0 and beta = 2 are no exceptions
    r = beta_ * (2 - beta_) / d_
    energy = beta_**2 / d_ * _geometric(1 - r, before)
    keep = 1 - 2 * beta_ / d_ + 2 * beta_**2 / (d_ * (d_ + 2))
    added = before * beta_**2 * (1 / d_ + energy / (d_ + 2)) + (1 - beta_) ** 2 * energy + beta_**2
    power = jnp.sum(keep ** (int(pairs) - 1 - before) * added, axis=0) / int(pairs)
    amplitude = beta * jnp.sum((1 - beta_ / d_) ** before, axis=0) / int(pairs)
    return power - 2 * amplitude + 1


def delta_best_rate(load: ArrayLike) -> Scalar:
    r"""The rate :math:`\beta` that minimises `delta_error` at a load: the fuller the memory, the smaller.

    1 in the limit of small load, .76 at y = .7, .26 at y = 4. Found as the root of the derivative and differentiated
    implicitly; a scalar (vectorise with ``jax.vmap``).

    Args:
        load: :math:`y = N / d`, positive.

    Raises:
        ValueError: if the concrete load is not positive.
    """
    checks.positive("load", load)
    (y,) = as_floats(load)
    return monotone_root(jax.grad(lambda beta: delta_error(y, rate=beta)), jnp.zeros_like(y), 1.25)


def least_squares_error(pairs: ArrayLike, dimension: ArrayLike) -> Array:
    r"""NMSE on the stored pairs of the memory that minimises it, for keys in general position.

    .. math:: \mathrm{NMSE} = \max(0,\; 1 - d / N)

    The values' part in the :math:`d`-dimensional space that the keys' coordinates span is fitted, the rest is not.
    The delta rule reaches it over many epochs for :math:`N \le d`; beyond, only as :math:`\beta \to 0` (at a constant
    rate it keeps cycling: 1.03 instead of .50 at :math:`\beta = 1`, :math:`N = 2 d`).

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.at_least("pairs", pairs, 1)
    checks.positive("dimension", dimension)
    n, d = broadcast(*as_floats(pairs, dimension))
    return jnp.maximum(0, 1 - d / n)


def least_squares_capacity(error: ArrayLike, dimension: ArrayLike) -> Array:
    r"""How many pairs least squares holds at a given NMSE, :math:`N = d / (1 - \mathrm{NMSE})`.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.unit("error", error)
    checks.positive("dimension", dimension)
    eps, d = broadcast(*as_floats(error, dimension))
    return d / (1 - eps)


def _load(load: ArrayLike, rate: ArrayLike) -> tuple[Array, Array]:
    checks.non_negative("load", load)
    checks.non_negative("rate", rate)
    checks.require(jnp.asarray(rate) <= 2, "rate must be at most 2: the delta rule diverges above")
    y, beta = broadcast(*as_floats(load, rate))
    return y, beta


def _decay_mean(x: Array) -> Array:
    """(1 - e^-x) / x, and 1 at 0."""
    safe = jnp.where(x == 0, 1, x)
    return jnp.where(x == 0, 1 - x / 2, -jnp.expm1(-safe) / safe)


def _geometric(factor: Array, count: Array) -> Array:
    """1 + f + ... + f^(count - 1)."""
    distance = 1 - factor
    safe = jnp.where(distance == 0, 1, distance)
    return jnp.where(distance == 0, count, (1 - factor**count) / safe)
