r"""How many pairs a Hebbian memory holds if each read is replaced by the nearest of the stored values.

Keys and values are random unit vectors in :math:`d_k` and :math:`d_v` dimensions; the read
:math:`o_j = v_j + \sum_{i \ne j} t_{ij} v_i` is decoded as :math:`\arg\max_i v_i \cdot o_j`. The score of the right
value is :math:`1 + a z` and that of a wrong one :math:`s z'`, with standard normal :math:`z, z'` and

.. math:: a^2 = \frac{N - 1}{d_k d_v}, \qquad s^2 = \frac 1{d_k} + \frac 1{d_v} + \frac{N - 2}{d_k d_v} .

Derived here. The product of the two dimensions, the number of weights, takes the place of :math:`d_k` in
`hebb_capacity`: a nearest-value read forgives crosstalk until it reaches the distance between values.
"""

import math

import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtri

from brainjax.core import checks
from brainjax.core.quadrature import integral
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, broadcast
from brainjax.memory._special import wright_omega

__all__ = ["decoding_accuracy", "decoding_capacity", "decoding_capacity_law", "nearest_key_error"]

_RANGE = 7.5  # standard deviations: 6e-14 outside


def decoding_accuracy(pairs: ArrayLike, key_dimension: ArrayLike, value_dimension: ArrayLike) -> Array:
    r"""Probability that the nearest stored value to a read is the right one.

    .. math:: P \simeq \mathbb E_z\, \Phi\!\left( \frac{1 + a z}{s} \right)^{N - 1}

    The scores of wrong values are taken as Gaussian and independent; they are positively correlated, so the formula is
    pessimistic: by up to thirteen points at :math:`d_k = d_v = 16`, seven at 64 and four at 128 (measured, at about
    half of the capacity).

    Args:
        pairs: number of stored pairs, 2 or more.
        key_dimension: :math:`d_k`.
        value_dimension: :math:`d_v`.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.at_least("pairs", pairs, 2)
    n, d_k, d_v = _sizes(pairs, key_dimension, value_dimension)
    return jnp.vectorize(_accuracy)(n, d_k, d_v)


def decoding_capacity(accuracy: ArrayLike, key_dimension: ArrayLike, value_dimension: ArrayLike) -> Scalar:
    """How many pairs are decoded with a given probability each: the inverse of `decoding_accuracy`.

    Found as a root and differentiated implicitly, to a relative accuracy of rounding; scalars (vectorise with
    ``jax.vmap``). At an accuracy that even two pairs miss, it is 2.

    Args:
        accuracy: probability, above 0 and below 1.
        key_dimension: of the keys.
        value_dimension: of the values.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("accuracy", accuracy)
    checks.require(jnp.asarray(accuracy) < 1, "accuracy must be below 1")
    p, d_k, d_v = _sizes(accuracy, key_dimension, value_dimension)
    # A root in ln N; the probit makes the function nearly straight. Far above the law's number nothing is decoded.
    most = jnp.log(8 * d_k * d_v + 16)

    def excess(log_n):
        reached = jnp.clip(_accuracy(jnp.exp(log_n), d_k, d_v), 1e-30, 1 - 1e-6)
        return ndtri(p) - ndtri(reached)

    return jnp.exp(monotone_root(excess, math.log(2.0), most))


def decoding_capacity_law(key_dimension: ArrayLike, value_dimension: ArrayLike, *, every: bool = False) -> Array:
    r"""The leading law of the number of pairs that a Hebbian memory decodes rightly.

    .. math:: N = \frac{d_k d_v}{2 \ln N} \quad \text{(a typical pair)}, \qquad
       N = \frac{d_k d_v}{8 \ln N} \quad \text{(all pairs at once)}

    The first is where the largest of :math:`N` wrong scores reaches the right one, :math:`s \sqrt{2 \ln N} = 1` with
    :math:`s^2 \simeq N / (d_k d_v)`; the second adds the union bound over the pairs. The best linear memory holds all
    up to :math:`d^2 / (2 \ln N)` :cite:`giorlandino2026`. Convergence is logarithmic: a law for exponents,
    see `decoding_capacity` for numbers.

    Args:
        key_dimension: of the keys.
        value_dimension: of the values.
        every: whether all pairs shall be right at once.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    _, d_k, d_v = _sizes(1.0, key_dimension, value_dimension)
    product = d_k * d_v / (4 if every else 1)
    return jnp.exp(wright_omega(jnp.log(product / 2)))


def nearest_key_error(pairs: ArrayLike, dimension: ArrayLike) -> Array:
    r"""Bound on the probability of a wrong read with one-hot values and Gaussian keys of variance :math:`1/d`.

    With a dimension per value the memory is a nearest-neighbour search over keys, whose capacity grows exponentially:

    .. math:: P \le (N - 1)\, P\big(z > |g|\big) = \frac{N - 1}{\pi} \int_0^{\pi/2}
       \left( \frac{\sin^2\theta}{1 + \sin^2\theta} \right)^{d/2} \mathrm d\theta
       = \frac{N - 1}{2}\, I_{1/2}\!\left(\tfrac d2, \tfrac 12\right)

    with independent standard normal :math:`z \in \mathbb R,\ g \in \mathbb R^d` (union bound over the other keys, of
    which the exact comparison is :math:`k_i \cdot k_j > |k_j|^2`). Unit keys never err. Derived here.

    Args:
        pairs: number of stored pairs, 1 or more.
        dimension: of the keys.

    Returns:
        The bound, which may exceed 1.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    n, d, _ = _sizes(pairs, dimension, 1.0)
    return (n - 1) * jnp.vectorize(_shorter)(d)


def _accuracy(n: Scalar, d_k: Scalar, d_v: Scalar) -> Scalar:
    a = jnp.sqrt((n - 1) / (d_k * d_v))
    s = jnp.sqrt(1 / d_k + 1 / d_v + (n - 2) / (d_k * d_v))

    def density(z):
        return jnp.exp((n - 1) * log_ndtr((1 + a * z) / s) - z**2 / 2) / math.sqrt(2 * math.pi)

    return integral(density, jnp.full_like(n, -_RANGE), jnp.full_like(n, _RANGE), 160)


def _shorter(d: Scalar) -> Scalar:
    """The probability that a standard normal vector is shorter than a standard normal number, sign included."""
    width = jnp.minimum(12 * jnp.sqrt(2 / d), math.pi / 2)

    def density(u):  # from the upper end, u = pi/2 - theta
        square = jnp.cos(u) ** 2
        return jnp.exp(d / 2 * jnp.log(square / (1 + square)))

    return integral(density, jnp.zeros_like(d), width, 96) / math.pi


def _sizes(pairs: ArrayLike, key_dimension: ArrayLike, value_dimension: ArrayLike) -> tuple[Array, Array, Array]:
    checks.positive("pairs", pairs)
    checks.positive("key_dimension", key_dimension)
    checks.positive("value_dimension", value_dimension)
    n, d_k, d_v = broadcast(*as_floats(pairs, key_dimension, value_dimension))
    return n, d_k, d_v
