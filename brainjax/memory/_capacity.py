r"""How much a Hebbian memory holds: three questions with three answers.

A linear memory stores :math:`N` pairs as :math:`S = \sum_i k_i v_i^\top` and is read with a stored key,

.. math:: o_j = S^\top k_j = |k_j|^2 v_j + \sum_{i \ne j} t_{ij} v_i, \qquad t_{ij} = k_i \cdot k_j .

Keys are independent and uniform on the unit sphere in :math:`d` dimensions unless said otherwise, values independent
of the keys and of one another with :math:`\mathbb E |v|^2 = 1`. How many pairs it holds depends on what is asked:

* *no value may be spoilt, whatever the values are*: the overlaps' absolute values add up, :math:`N \sim \sqrt d`
  (`worst_case_capacity`);
* *the mean-square error of a typical read*: the overlaps add up at random, :math:`N \sim d` (`hebb_capacity`);
* *the nearest of the stored values is the right one*: :math:`N \sim d_k d_v / (2 \ln N)` (`decoding_capacity_law`).

:cite:`qiao2025` announces the first. The formulas and their constants were derived here; they are exact for every
:math:`N` and :math:`d` where a docstring does not say otherwise. NMSE stands for
:math:`\mathbb E |o_j - v_j|^2 / \mathbb E |v_j|^2`. Everything works elementwise on arrays that broadcast.
"""

import math

import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats, broadcast
from brainjax.memory._special import half_gamma_ratio

__all__ = [
    "best_gain",
    "coherence_bound",
    "coherence_capacity",
    "decayed_noise",
    "decayed_signal",
    "equicorrelated_capacity",
    "equicorrelated_error",
    "gain_corrected_error",
    "hebb_capacity",
    "hebb_error",
    "best_decay",
    "mean_absolute_overlap",
    "memory_span",
    "welch_bound",
    "worst_case_capacity",
    "worst_case_error",
]

KEY_KINDS = ("sphere", "gaussian", "orthogonal")


def mean_absolute_overlap(dimension: ArrayLike) -> Array:
    r"""Mean absolute overlap of two random unit vectors.

    .. math:: \mathbb E |t| = \frac{\Gamma(d/2)}{\sqrt\pi\, \Gamma((d+1)/2)} \simeq \sqrt{\frac{2}{\pi d}} .

    The mean-square overlap is exactly :math:`1/d`.

    Args:
        dimension: of the vectors, positive.

    Raises:
        ValueError: if a concrete dimension is not positive.
    """
    checks.positive("dimension", dimension)
    (d,) = as_floats(dimension)
    return half_gamma_ratio(d / 2) / math.sqrt(math.pi)


def worst_case_error(pairs: ArrayLike, dimension: ArrayLike) -> Array:
    r"""Mean length of the crosstalk that the worst values cause, relative to a value's length.

    .. math:: \max_v \frac{\mathbb E |o_j - v_j|}{|v|} = (N - 1)\, \mathbb E |t|

    Attained by values along one direction with the signs of the overlaps, :math:`v_i = \operatorname{sign}(t_{ij}) u`.
    The bound is the triangle inequality; it holds for one probed pair (see `coherence_bound` for all at once).

    Args:
        pairs: number of stored pairs, 1 or more.
        dimension: of the keys.

    Returns:
        An amplitude, not a square.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    n, d = _load(pairs, dimension)
    return (n - 1) * mean_absolute_overlap(d)


def worst_case_capacity(error: ArrayLike, dimension: ArrayLike) -> Array:
    r"""How many pairs a memory holds with a crosstalk of at most ``error`` whatever the values: the square-root law.

    .. math:: N = 1 + \frac{\epsilon}{\mathbb E |t|} \simeq 1 + \epsilon \sqrt{\pi d / 2}

    Args:
        error: largest mean crosstalk relative to a value's length.
        dimension: of the keys.

    Returns:
        The number of pairs, a real number.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("error", error)
    eps, d = broadcast(*as_floats(error, dimension))
    return 1 + eps / mean_absolute_overlap(d)


def coherence_bound(pairs: ArrayLike, dimension: ArrayLike, failure: ArrayLike = 0.01) -> Array:
    r"""A bound on the largest overlap of all pairs of random unit keys, violated with at most the given probability.

    .. math:: \mu = \max_{i \ne j} |t_{ij}| \le \sqrt{\frac{2 \ln(N^2 / \delta)}{d}}

    Union bound over the pairs of the cap's measure, :math:`P(t > u) \le e^{-d u^2 / 2}`.

    Args:
        pairs: number of keys.
        dimension: of the keys.
        failure: probability :math:`\delta`, above 0 and at most 1.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("failure", failure)
    checks.unit("failure", failure)
    n, d, delta = _load(pairs, dimension, failure)
    return jnp.sqrt(2 * (2 * jnp.log(n) - jnp.log(delta)) / d)


def coherence_capacity(error: ArrayLike, coherence: ArrayLike) -> Array:
    r"""How many pairs any set of unit keys of a given coherence holds with a worst crosstalk of at most ``error``.

    .. math:: N = 1 + \epsilon / \mu

    Deterministic: for every pair and all values. No set of keys has a coherence below `welch_bound`.

    Args:
        error: largest crosstalk relative to a value's length.
        coherence: largest absolute overlap of two keys, positive.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("error", error)
    checks.positive("coherence", coherence)
    eps, mu = broadcast(*as_floats(error, coherence))
    return 1 + eps / mu


def welch_bound(pairs: ArrayLike, dimension: ArrayLike) -> Array:
    r"""The smallest coherence that unit vectors can have :cite:`welch1974`.

    .. math:: \mu \ge \sqrt{\frac{N - d}{d (N - 1)}} \quad (N > d), \qquad 0 \text{ otherwise}

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    n, d = _load(pairs, dimension)
    more = n > d
    ratio = jnp.where(more, (n - d) / (d * jnp.where(more, n - 1, 1)), 1)
    return jnp.where(more, jnp.sqrt(ratio), 0)


def hebb_error(pairs: ArrayLike, dimension: ArrayLike, *, keys: str = "sphere") -> Array:
    r"""NMSE of a Hebbian memory probed with its keys: the linear law.

    ============ =================================== =====================================================
    keys         NMSE                                condition
    ============ =================================== =====================================================
    sphere       :math:`(N - 1) / d`                 uniform unit vectors
    gaussian     :math:`(N + 1) / d`                 :math:`\mathcal N(0, I/d)`; 2/d is due to their length
    orthogonal   0                                   :math:`N \le d`; no such keys otherwise (NaN)
    ============ =================================== =====================================================

    Independent of the values' dimension. The signal-to-noise ratio is the inverse.

    Args:
        pairs: number of stored pairs, 1 or more.
        dimension: of the keys.
        keys: one of "sphere", "gaussian", "orthogonal".

    Raises:
        ValueError: if a concrete argument is out of range, the kind is unknown, or more orthogonal keys are asked for
            than there are dimensions.
    """
    checks.one_of("keys", keys, KEY_KINDS)
    n, d = _load(pairs, dimension)
    if keys == "orthogonal":
        checks.require(n <= d, "pairs must be at most dimension where keys are orthogonal")
        return jnp.where(n <= d, jnp.zeros_like(n), jnp.nan)
    return (n + 1) / d if keys == "gaussian" else (n - 1) / d


def hebb_capacity(error: ArrayLike, dimension: ArrayLike, *, keys: str = "sphere") -> Array:
    r"""How many pairs a Hebbian memory holds at a given NMSE, the inverse of `hebb_error`.

    .. math:: N = 1 + d\, \mathrm{NMSE} \text{ (sphere)}, \qquad N = d\, \mathrm{NMSE} - 1 \text{ (gaussian)},
       \qquad N = d \text{ (orthogonal)}

    At a signal-to-noise ratio of at least :math:`\rho`, put ``error`` :math:`= 1 / \rho`.

    Args:
        error: NMSE. Gaussian keys do not reach less than :math:`2/d`; the result is then below 1.
        dimension: of the keys.
        keys: one of "sphere", "gaussian", "orthogonal".

    Raises:
        ValueError: if a concrete argument is out of range or the kind is unknown.
    """
    checks.one_of("keys", keys, KEY_KINDS)
    checks.non_negative("error", error)
    checks.positive("dimension", dimension)
    eps, d = broadcast(*as_floats(error, dimension))
    return {"sphere": 1 + d * eps, "gaussian": d * eps - 1, "orthogonal": d}[keys]


def equicorrelated_error(
    pairs: ArrayLike, dimension: ArrayLike, correlation: ArrayLike, *, mean_square: ArrayLike = 0.0
) -> Array:
    r"""NMSE of a Hebbian memory whose keys share a direction: generalisation between similar cues.

    Keys :math:`k_i = \sqrt\rho\, m + \sqrt{1 - \rho}\, z_i` with a common unit vector :math:`m` and independent unit
    vectors :math:`z_i \perp m`; values of mean :math:`c` and :math:`\mathbb E |v|^2 = 1`.

    .. math:: \mathrm{NMSE} = (N - 1) \left( \rho^2 + \frac{(1 - \rho)^2}{d - 1} \right)
       + (N - 1)(N - 2)\, \rho^2 |c|^2

    Args:
        pairs: number of stored pairs, 1 or more.
        dimension: of the keys, 2 or more.
        correlation: :math:`\rho`, the mean overlap of two keys, from 0 to 1.
        mean_square: :math:`|c|^2`, the part of the values' mean square that is common to all, from 0 to 1.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.unit("mean_square", mean_square)
    checks.at_least("dimension", dimension, 2)
    n, d, rho, common = _load(pairs, dimension, correlation, mean_square)
    return (n - 1) * _correlated_square(d, rho) + (n - 1) * (n - 2) * rho**2 * common


def equicorrelated_capacity(error: ArrayLike, dimension: ArrayLike, correlation: ArrayLike) -> Array:
    r"""How many pairs with keys of a common overlap a Hebbian memory holds at a given NMSE, for zero-mean values.

    .. math:: N = 1 + \frac{\mathrm{NMSE}}{\rho^2 + (1 - \rho)^2 / (d - 1)} \le 1 + \frac{\mathrm{NMSE}}{\rho^2}

    Whatever the dimension, it stays below the bound on the right.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("error", error)
    checks.at_least("dimension", dimension, 2)
    eps, d, rho = broadcast(*as_floats(error, dimension, correlation))
    return 1 + eps / _correlated_square(d, rho)


def best_gain(error: ArrayLike, *, amplitude: ArrayLike = 1.0) -> Array:
    r"""The factor on a read that minimises its NMSE.

    .. math:: c^* = \frac{A}{M}, \qquad M = \frac{\mathbb E |o|^2}{\mathbb E |v|^2} = \mathrm{NMSE} + 2 A - 1

    For Hebbian memories :math:`A = 1` and :math:`c^* = 1 / (1 + \mathrm{NMSE})`.

    Args:
        error: NMSE of the read as it is.
        amplitude: :math:`A = \mathbb E\, o \cdot v / \mathbb E |v|^2`, how much of the value the read contains.

    Raises:
        ValueError: if the concrete error is negative.
    """
    checks.non_negative("error", error)
    eps, a = broadcast(*as_floats(error, amplitude))
    return a / (eps + 2 * a - 1)


def gain_corrected_error(error: ArrayLike, *, amplitude: ArrayLike = 1.0) -> Array:
    r"""NMSE after the best factor on the read.

    .. math:: 1 - \frac{A^2}{M} = \frac{\mathrm{NMSE}}{1 + \mathrm{NMSE}} \quad (A = 1)

    Never above 1: a raw NMSE above 1 does not mean that nothing was retrieved. Arguments as in `best_gain`.

    Raises:
        ValueError: if the concrete error is negative.
    """
    checks.non_negative("error", error)
    eps, a = broadcast(*as_floats(error, amplitude))
    return 1 - a * best_gain(eps, amplitude=a)


# ------------------------------------------------------------------------------------------------------- forgetting
def decayed_signal(age: ArrayLike, decay: ArrayLike) -> Array:
    r"""What is left of a pair in :math:`S \leftarrow \lambda S + k v^\top` after later writes: :math:`\lambda^a`.

    Raises:
        ValueError: if the concrete age is negative or the decay outside [0, 1].
    """
    checks.non_negative("age", age)
    checks.unit("decay", decay)
    a, lam = broadcast(*as_floats(age, decay))
    return lam**a


def decayed_noise(age: ArrayLike, dimension: ArrayLike, decay: ArrayLike, *, pairs: ArrayLike = math.inf) -> Array:
    r"""Crosstalk power at a pair of a given age in :math:`S \leftarrow \lambda S + k v^\top`, unit keys on the sphere.

    .. math:: \frac 1d \left( \frac{1 - \lambda^{2N}}{1 - \lambda^2} - \lambda^{2a} \right)

    Args:
        age: :math:`a`, how many pairs were written after this one, from 0 to ``pairs - 1``.
        dimension: of the keys.
        decay: :math:`\lambda`, from 0 to 1, below 1 where ``pairs`` is infinite.
        pairs: :math:`N`, how many were written in all; the stationary state by default.

    Returns:
        Mean square relative to that of a value. The signal's power is `decayed_signal` squared.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("age", age)
    checks.positive("dimension", dimension)
    checks.unit("decay", decay)
    checks.at_least("pairs", pairs, 1)
    a, d, lam, n = broadcast(*as_floats(age, dimension, decay, pairs))
    forgets = lam < 1
    square = jnp.where(forgets, lam, 0.5) ** 2
    count = jnp.where(forgets, (1 - square**n) / (1 - square), n)
    return (count - lam ** (2 * a)) / d


def memory_span(dimension: ArrayLike, decay: ArrayLike, *, ratio: ArrayLike = 1.0) -> Array:
    r"""How old a pair of a decaying Hebbian memory may be for a signal-to-noise ratio of at least :math:`\rho`.

    .. math:: a_{\max} = \frac{\ln\!\big(d (1 - \lambda^2) / \rho\big)}{2 \ln(1 / \lambda)}

    In the stationary state, with the pair's own share counted as noise (a relative error of order
    :math:`1 - \lambda^2`). Negative if even the newest pair misses the ratio.

    Args:
        dimension: of the keys.
        decay: :math:`\lambda`, above 0 and below 1.
        ratio: :math:`\rho`, signal power over noise power, positive.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("dimension", dimension)
    checks.unit("decay", decay)
    checks.positive("ratio", ratio)
    d, lam, rho = broadcast(*as_floats(dimension, decay, ratio))
    return jnp.log(d * (1 - lam) * (1 + lam) / rho) / (-2 * jnp.log(lam))


def best_decay(dimension: ArrayLike, *, ratio: ArrayLike = 1.0) -> Array:
    r"""The decay :math:`\lambda` at which a forgetting memory reaches back furthest, for :math:`d \gg e \rho`.

    .. math:: 1 - \lambda^2 \simeq \frac{e \rho}{d}, \qquad a_{\max} \simeq \frac{d}{e \rho}

    To leading order in :math:`\rho / d`. Forgetting costs a factor :math:`e` against the :math:`d / \rho` pairs of a
    memory that is filled once (`hebb_capacity`), and never fails altogether.

    Args:
        dimension: of the keys, above :math:`e \rho`.
        ratio: :math:`\rho`, signal power over noise power, positive.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("ratio", ratio)
    d, rho = broadcast(*as_floats(dimension, ratio))
    checks.require(d > math.e * rho, "dimension must be above e times ratio")
    return jnp.sqrt(1 - math.e * rho / d)


def _load(pairs: ArrayLike, dimension: ArrayLike, *others: ArrayLike) -> tuple[Array, ...]:
    checks.at_least("pairs", pairs, 1)
    checks.positive("dimension", dimension)
    return broadcast(*as_floats(pairs, dimension, *others))


def _correlated_square(d: Array, rho: Array) -> Array:
    checks.unit("correlation", rho)
    return rho**2 + (1 - rho) ** 2 / (d - 1)
