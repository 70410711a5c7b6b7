r"""What becomes of retrieval errors over layers of memories: discrete failures, continuous noise, several heads.

Three models of a chain of retrievals, derived here after the announcement in :cite:`qiao2025`; loads are
:math:`y = (N - 1) / d` as in `hebb_error`, whose crosstalk they propagate. Everything works elementwise on arrays that
broadcast.
"""

import jax.numpy as jnp
from jax.scipy.special import betainc

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats, broadcast
from brainjax.memory._decoding import decoding_capacity_law

__all__ = [
    "chain_noise",
    "chain_success",
    "heads_capacity_law",
    "heads_error",
    "redundancy_needed",
    "redundant_failure",
    "tolerated_depth",
]

DECISIONS = ("any", "majority", "majority_bound")
SPREADS = ("isotropic", "codes")
HEADS = ("shared", "partitioned", "independent", "random")


# ------------------------------------------------------------------------------------------------ with a clean-up
def chain_success(failure: ArrayLike, *, layers: ArrayLike, width: ArrayLike = 1.0) -> Array:
    r"""Probability that every retrieval of a chain succeeds, if each read is cleaned up to a stored value.

    .. math:: P = (1 - \epsilon)^{L W} \ge 1 - L W \epsilon

    Args:
        failure: :math:`\epsilon`, probability that one retrieval fails, independently of the others; from 0 to 1.
        layers: :math:`L`, how many retrievals follow one another.
        width: :math:`W`, how many of a layer's retrievals must all be right.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.unit("failure", failure)
    checks.non_negative("layers", layers)
    checks.non_negative("width", width)
    eps, depth, w = broadcast(*as_floats(failure, layers, width))
    possible = eps < 1
    some = depth * w > 0
    return jnp.where(possible, jnp.exp(depth * w * jnp.log1p(-jnp.where(possible, eps, 0))), jnp.where(some, 0, 1))


def redundant_failure(failure: ArrayLike, *, copies: ArrayLike, decision: str = "any") -> Array:
    r"""Probability that a retrieval made by several heads fails, if the heads fail independently.

    ================ ================================================================ ============================
    decision         failure                                                          condition
    ================ ================================================================ ============================
    any              :math:`\epsilon^R`                                               one right head is recognised
    majority         :math:`I_\epsilon(\tfrac{R + 1}{2}, \tfrac{R + 1}{2})`           odd :math:`R`, all failures agree
    majority_bound   :math:`e^{-2 R (1/2 - \epsilon)^2}`                              :math:`\epsilon < 1/2` (Hoeffding)
    ================ ================================================================ ============================

    Independence needs more than several linear reads of one vector, see `heads_error`.

    Args:
        failure: :math:`\epsilon` of one head, from 0 to 1.
        copies: :math:`R`, number of heads, 1 or more. Between odd numbers "majority" interpolates; its derivative with
            respect to ``copies`` is not defined.
        decision: one of "any", "majority", "majority_bound".

    Raises:
        ValueError: if a concrete argument is out of range or the decision is unknown.
    """
    checks.one_of("decision", decision, DECISIONS)
    checks.unit("failure", failure)
    checks.at_least("copies", copies, 1)
    eps, r = broadcast(*as_floats(failure, copies))
    if decision == "any":
        return eps**r
    if decision == "majority":
        return betainc((r + 1) / 2, (r + 1) / 2, eps)
    return jnp.where(eps < 0.5, jnp.exp(-2 * r * (0.5 - eps) ** 2), 1)


def redundancy_needed(
    failure: ArrayLike, *, layers: ArrayLike, width: ArrayLike, tolerance: ArrayLike, decision: str = "any"
) -> Array:
    r"""How many independent heads keep a whole chain's failure below a tolerance.

    .. math:: R = \frac{\ln(L W / \delta)}{\ln(1 / \epsilon)} \ \text{(any)}, \qquad
       R = \frac{\ln(L W / \delta)}{2 (1/2 - \epsilon)^2} \ \text{(majority\_bound)}

    from the union bound :math:`L W \epsilon_R \le \delta`: sufficient, and logarithmic in the chain's length.

    Args:
        failure: :math:`\epsilon` of one head, above 0, below 1 (any) or 1/2 (majority_bound).
        layers: :math:`L`.
        width: :math:`W`.
        tolerance: :math:`\delta`, above 0 and below 1.
        decision: "any" or "majority_bound".

    Returns:
        A real number; at least 1.

    Raises:
        ValueError: if a concrete argument is out of range or the decision is unknown.
    """
    checks.one_of("decision", decision, ("any", "majority_bound"))
    checks.positive("failure", failure)
    most = 1.0 if decision == "any" else 0.5
    checks.require(jnp.asarray(failure) < most, f"failure must be below {most:g} for decision {decision!r}")
    checks.at_least("layers", layers, 1)
    checks.at_least("width", width, 1)
    checks.positive("tolerance", tolerance)
    checks.unit("tolerance", tolerance)
    eps, depth, w, delta = broadcast(*as_floats(failure, layers, width, tolerance))
    per_copy = -jnp.log(eps) if decision == "any" else 2 * (0.5 - eps) ** 2
    return jnp.maximum(jnp.log(depth * w / delta) / per_copy, 1)


# --------------------------------------------------------------------------------------------- without a clean-up
def chain_noise(load: ArrayLike, *, layers: ArrayLike, spread: str = "codes") -> Array:
    r"""Noise power, relative to the signal's, after a chain of Hebbian retrievals without any clean-up.

    Layer :math:`l` maps stored codes :math:`k^{(l)}_i \mapsto k^{(l + 1)}_i`: the values of one memory are the keys of
    the next; all codes are independent random unit vectors.

    .. math:: \eta_L = (1 + y)^L - 1 \ \text{(codes)}, \qquad \eta_L = y\, \frac{1 - y^L}{1 - y} \ \text{(isotropic)}

    * ``codes``: what the chain does. Crosstalk is a mixture of stored codes and is passed on with a gain of
      :math:`1 + y`. Exact in expectation for every :math:`N, d, L`.
    * ``isotropic``: if between layers something rotates the noise out of the codes' span, its gain is only :math:`y`
      and the noise stays bounded for :math:`y < 1`. For :math:`N \gg 1`.

    Args:
        load: :math:`y = (N - 1) / d`.
        layers: :math:`L`, a real number is allowed.
        spread: "codes" or "isotropic".

    Raises:
        ValueError: if a concrete argument is out of range or the kind is unknown.
    """
    checks.one_of("spread", spread, SPREADS)
    checks.non_negative("load", load)
    checks.non_negative("layers", layers)
    y, depth = broadcast(*as_floats(load, layers))
    if spread == "codes":
        return jnp.expm1(depth * jnp.log1p(y))
    some = y > 0
    log_y = jnp.log(jnp.where(some, y, 1))
    critical = jnp.abs(y - 1) < 1e-6 if y.dtype == jnp.float64 else jnp.abs(y - 1) < 1e-4
    off = jnp.where(critical, 1, jnp.expm1(log_y))
    # expansion to second order about y = 1
    near = y * depth * (1 + (depth - 1) / 2 * (y - 1))
    return jnp.where(some, jnp.where(critical, near, y * jnp.expm1(depth * log_y) / off), jnp.zeros_like(y))


def tolerated_depth(noise: ArrayLike, load: ArrayLike) -> Array:
    r"""After how many layers the relative noise power of a chain without clean-up reaches a given value.

    .. math:: L = \frac{\ln(1 + \eta)}{\ln(1 + y)} \approx \frac{\eta\, d}{N} \quad (\eta, y \ll 1)

    Depth times the number of pairs is a budget of :math:`\eta` times the number of independent key dimensions.

    Args:
        noise: :math:`\eta`, tolerated noise power over signal power.
        load: :math:`y = (N - 1) / d`, positive.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("noise", noise)
    checks.positive("load", load)
    eta, y = broadcast(*as_floats(noise, load))
    return jnp.log1p(eta) / jnp.log1p(y)


# ---------------------------------------------------------------------------------------------------------- heads
def heads_error(
    pairs: ArrayLike,
    head_dimension: ArrayLike,
    heads: ArrayLike,
    *,
    arrangement: str = "partitioned",
    stream_dimension: ArrayLike | None = None,
) -> Array:
    r"""NMSE of the average of several heads' Hebbian reads: what heads buy.

    Averaging linear reads is one read with the metric :math:`\frac 1H \sum_h W_h^\top W_h` between key codes.

    ============ ========================================================================================
    arrangement  NMSE
    ============ ========================================================================================
    shared       :math:`\frac{N - 1}{d_k}`: every head rotates the same code
    partitioned  :math:`\frac{N - 1}{H d_k}`: disjoint parts of one unit code of :math:`H d_k` dimensions; their sum is
                 one wide head
    independent  :math:`\frac{N - 1}{H d_k}`: every head has its own random unit code
    random       :math:`\frac{N - 1}{d} + \frac{(N - 1)(1 + 1/d) + 2}{H d_k}`: Gaussian projections (variance
                 :math:`1 / d_k`) of one code of :math:`d` dimensions
    ============ ========================================================================================

    Exact. Random projections are worse than none: they add the overlaps' variance and spoil the signal's length.

    Args:
        pairs: number of stored pairs, 1 or more.
        head_dimension: :math:`d_k` of each head.
        heads: :math:`H`.
        arrangement: one of the above.
        stream_dimension: :math:`d` of the common code; only for, and required by, "random".

    Raises:
        ValueError: if a concrete argument is out of range, the arrangement is unknown, or ``stream_dimension`` is
            missing or superfluous.
    """
    checks.one_of("arrangement", arrangement, HEADS)
    if (stream_dimension is None) == (arrangement == "random"):
        raise ValueError(
            f"stream_dimension must be given for arrangement 'random' and only there, got {stream_dimension} "
            f"for {arrangement!r}"
        )
    checks.at_least("pairs", pairs, 1)
    checks.positive("head_dimension", head_dimension)
    checks.at_least("heads", heads, 1)
    n, d_k, h, d = broadcast(
        *as_floats(pairs, head_dimension, heads, 1.0 if stream_dimension is None else stream_dimension)
    )
    if arrangement == "shared":
        return (n - 1) / d_k
    if arrangement == "random":
        checks.positive("stream_dimension", stream_dimension)
        return (n - 1) / d + ((n - 1) * (1 + 1 / d) + 2) / (h * d_k)
    return (n - 1) / (h * d_k)


def heads_capacity_law(model_dimension: ArrayLike, heads: ArrayLike, *, every: bool = False) -> Array:
    r"""How many pairs heads of width :math:`d / H` decode in total, each its own share, by `decoding_capacity_law`.

    .. math:: N = \frac{d^2}{2 H \ln N_h}, \quad N_h = N / H \quad \text{(a typical pair; 8 instead of 2 for all pairs)}

    Fewer and wider heads hold more: the states have :math:`d^2 / H` weights in all.

    Args:
        model_dimension: :math:`d`, of keys and of values.
        heads: :math:`H`.
        every: whether all pairs of a head shall be right at once.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("model_dimension", model_dimension)
    checks.at_least("heads", heads, 1)
    d, h = broadcast(*as_floats(model_dimension, heads))
    return h * decoding_capacity_law(d / h, d / h, every=every)
