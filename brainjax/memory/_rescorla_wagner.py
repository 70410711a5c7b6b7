r"""Exact results of the model of Rescorla and Wagner, trial by trial :cite:`rescorla1972`.

.. math:: \Delta V_i = \alpha_i \beta \Big(\lambda - \sum_{j \text{ present}} V_j\Big) \quad \text{for each cue present}

with saliences :math:`\alpha_i`, a learning rate :math:`\beta` of the outcome and an asymptote :math:`\lambda`. Every
repeated trial is a linear map of the strengths, so that whole phases have closed forms; they were derived here and hold
for :math:`0 \le \beta \sum_i \alpha_i \le 2`, beyond which the model diverges. Numbers of trials may be real: the
formulas interpolate. All are functions of what the delta rule does under `simulate`.
"""

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats, broadcast

__all__ = [
    "acquisition_strength",
    "blocking_strength",
    "compound_strengths",
    "configural_strengths",
    "contingency_strengths",
    "extinction_strength",
    "inhibition_strengths",
    "overexpectation_strengths",
    "partial_reinforcement_strength",
    "superconditioning_strengths",
]


def acquisition_strength(
    trials: ArrayLike, *, salience: ArrayLike, beta: ArrayLike, asymptote: ArrayLike = 1.0, initial: ArrayLike = 0.0
) -> Array:
    r"""Strength of one cue after reinforced trials.

    .. math:: V_n = \lambda + (V_0 - \lambda) (1 - \alpha \beta)^n

    Args:
        trials: :math:`n`; any shape that broadcasts with the others.
        salience: :math:`\alpha`.
        beta: :math:`\beta`.
        asymptote: :math:`\lambda`.
        initial: :math:`V_0`. An inhibitor presented alone without outcome returns to 0 by this formula with
            ``asymptote=0``: a known failure of the model.

    Raises:
        ValueError: if a concrete number of trials, salience or rate is negative, or the rates are beyond stability.
    """
    n, alpha, rate, limit, start = broadcast(*as_floats(trials, salience, beta, asymptote, initial))
    _trials("trials", n)
    a = _rate(alpha, rate)
    return limit + (start - limit) * (1 - a) ** n


def extinction_strength(trials: ArrayLike, *, salience: ArrayLike, beta: ArrayLike, initial: ArrayLike = 1.0) -> Array:
    r"""Strength of one cue after unreinforced trials, :math:`V_n = V_0 (1 - \alpha \beta)^n`.

    Args:
        trials: :math:`n`.
        salience: :math:`\alpha`.
        beta: :math:`\beta` of the absence of the outcome.
        initial: :math:`V_0`.

    Raises:
        ValueError: as `acquisition_strength`.
    """
    return acquisition_strength(trials, salience=salience, beta=beta, asymptote=0.0, initial=initial)


def compound_strengths(
    trials: ArrayLike,
    *,
    saliences: ArrayLike,
    beta: ArrayLike,
    asymptote: ArrayLike = 1.0,
    initial: ArrayLike = 0.0,
) -> Float[Array, "*trials cues"]:
    r"""Strengths of the cues of a compound after trials of it.

    .. math:: V_i = V_i^0 + \frac{\alpha_i}{\sum_j \alpha_j} \Big(\lambda - \sum_j V_j^0\Big)
       \left(1 - \Big(1 - \beta \sum_j \alpha_j\Big)^n\right)

    The cues share what is left to be learned in proportion to their saliences. With its initial values this is
    overshadowing (0, 0), blocking :math:`(\lambda, 0)`, overexpectation :math:`(\lambda, \lambda)`, superconditioning
    :math:`(-\lambda, 0)`, and with :math:`\lambda = 0` protection from extinction :math:`(1, -1)`.

    Args:
        trials: :math:`n`, any shape.
        saliences: :math:`\alpha_i`, shape (cues,), their sum positive.
        beta: :math:`\beta`, a number.
        asymptote: :math:`\lambda`, a number.
        initial: :math:`V_i^0`, a number or shape (cues,).

    Returns:
        Strengths, with a last axis over the cues.

    Raises:
        ValueError: as `acquisition_strength`, or if a shape does not fit.
    """
    n, alpha, beta, limit, start = as_floats(trials, saliences, beta, asymptote, initial)
    checks.shape_of("saliences", alpha, (None,), "(cues,)")
    start = jnp.broadcast_to(start, alpha.shape)
    total = jnp.sum(alpha)
    _trials("trials", n)
    checks.non_negative("saliences", alpha)
    checks.positive("sum of saliences", total)
    learned = (limit - jnp.sum(start)) * (1 - (1 - _rate(total, beta)) ** n)
    share = (alpha / total).reshape((1,) * n.ndim + alpha.shape)
    return start.reshape(share.shape) + share * learned[..., None]


def blocking_strength(
    pretraining: ArrayLike,
    trials: ArrayLike,
    *,
    blocker: ArrayLike,
    blocked: ArrayLike,
    beta: ArrayLike,
    asymptote: ArrayLike = 1.0,
    second_asymptote: ArrayLike | None = None,
) -> Array:
    r"""Strength of the added cue B after A+ trials and then AB+ trials.

    .. math:: V_B = \frac{\alpha_B}{\alpha_A + \alpha_B}
       \Big(\lambda' - \lambda \big(1 - (1 - \alpha_A \beta)^m\big)\Big)
       \left(1 - \big(1 - (\alpha_A + \alpha_B) \beta\big)^n\right)

    Vanishes for long pretraining (blocking); 0 pretraining is the control (overshadowing); a larger second outcome
    unblocks.

    Args:
        pretraining: :math:`m`, trials of A+.
        trials: :math:`n`, trials of AB+.
        blocker: salience of A.
        blocked: salience of B.
        beta: :math:`\beta`.
        asymptote: :math:`\lambda` of the first phase.
        second_asymptote: :math:`\lambda'` of the second; by default the first's.

    Raises:
        ValueError: as `acquisition_strength`.
    """
    second = asymptote if second_asymptote is None else second_asymptote
    m, n, a, b, rate, first, limit = broadcast(
        *as_floats(pretraining, trials, blocker, blocked, beta, asymptote, second)
    )
    _trials("trials", n)
    learned = acquisition_strength(m, salience=a, beta=rate, asymptote=first)
    return b / (a + b) * (limit - learned) * (1 - (1 - _rate(a + b, rate)) ** n)


def overexpectation_strengths(
    pretraining: ArrayLike, trials: ArrayLike, *, saliences: ArrayLike, beta: ArrayLike, asymptote: ArrayLike = 1.0
) -> Float[Array, "*trials cues"]:
    r"""Strengths after every cue was reinforced alone and then all together.

    .. math:: V_i = V_i^m + \frac{\alpha_i}{\sum_j \alpha_j} \Big(\lambda - \sum_j V_j^m\Big) (1 - (1 - \beta
       \textstyle\sum_j \alpha_j)^n), \qquad V_i^m = \lambda \left(1 - (1 - \alpha_i \beta)^m\right)

    Two cues at asymptote fall to :math:`\lambda / 2` each: they lose strength although the outcome still comes.

    Args:
        pretraining: :math:`m`, reinforced trials of each cue alone, a number.
        trials: :math:`n`, reinforced trials of the compound, any shape.
        saliences: shape (cues,).
        beta: :math:`\beta`, a number.
        asymptote: :math:`\lambda`, a number.

    Raises:
        ValueError: as `compound_strengths`.
    """
    m, n, alpha, rate, limit = as_floats(pretraining, trials, saliences, beta, asymptote)
    start = acquisition_strength(m, salience=alpha, beta=rate, asymptote=limit)
    return compound_strengths(n, saliences=alpha, beta=rate, asymptote=limit, initial=start)


def superconditioning_strengths(
    trials: ArrayLike,
    *,
    inhibitor: ArrayLike,
    target: ArrayLike,
    beta: ArrayLike,
    inhibition: ArrayLike = 1.0,
    asymptote: ArrayLike = 1.0,
) -> Float[Array, "*trials cues"]:
    r"""Strengths of an inhibitor and a new cue that are reinforced together.

    `compound_strengths` from :math:`(-I, 0)`: with equal saliences and full inhibition the target reaches
    :math:`\lambda`, twice what it would reach beside a neutral cue.

    Args:
        trials: reinforced trials of the compound, any shape.
        inhibitor: salience of the inhibitor, a number.
        target: salience of the new cue, a number.
        beta: :math:`\beta`, a number.
        inhibition: :math:`I`, minus the inhibitor's strength at the start, a number.
        asymptote: :math:`\lambda`, a number.

    Returns:
        Strengths of (inhibitor, target) in the last axis.

    Raises:
        ValueError: as `compound_strengths`.
    """
    n, first, second, rate, below, limit = as_floats(trials, inhibitor, target, beta, inhibition, asymptote)
    start = jnp.stack([-below, jnp.zeros_like(below)])
    return compound_strengths(n, saliences=jnp.stack([first, second]), beta=rate, asymptote=limit, initial=start)


def inhibition_strengths(
    cycles: ArrayLike, *, excitor: ArrayLike, inhibitor: ArrayLike, beta: ArrayLike, asymptote: ArrayLike = 1.0
) -> Float[Array, "*cycles 2"]:
    r"""Strengths of A and B after cycles of an A+ trial followed by an AB- trial: conditioned inhibition.

    With :math:`a = \alpha_A \beta,\ b = \alpha_B \beta`, the deviation from the limit :math:`(\lambda, -\lambda)` is
    multiplied in each cycle by

    .. math:: M = \begin{pmatrix} (1 - a)^2 & -a \\ -b (1 - a) & 1 - b \end{pmatrix}, \qquad
       M^n = \frac{\mu_+^n (M - \mu_- I) - \mu_-^n (M - \mu_+ I)}{\mu_+ - \mu_-},

    whose eigenvalues :math:`\mu_\pm` are real for :math:`0 < a \le 1`: the slow one is :math:`1 - b / 2` to leading
    order where :math:`b \ll a \ll 1`.

    Args:
        cycles: :math:`n`, any shape.
        excitor: salience of A, a number; its product with the rate above 0, at most 1.
        inhibitor: salience of B, a number; its product with the rate above 0, at most 1.
        beta: :math:`\beta`, a number.
        asymptote: :math:`\lambda`, a number.

    Returns:
        Strengths of (A, B) in the last axis.

    Raises:
        ValueError: as `acquisition_strength`.
    """
    n, alpha, gamma, beta, limit = as_floats(cycles, excitor, inhibitor, beta, asymptote)
    _trials("cycles", n)
    a, b = _rate(alpha, beta), _rate(gamma, beta)
    _rate(alpha + gamma, beta)
    for name, rate in (("excitor", a), ("inhibitor", b)):
        checks.positive(f"{name} times beta", rate)
        checks.unit(f"{name} times beta", rate)
    half = ((1 - a) ** 2 + 1 - b) / 2
    root = jnp.sqrt((((1 - a) ** 2 - (1 - b)) / 2) ** 2 + a * b * (1 - a))
    distinct = root > 0
    safe = jnp.where(distinct, root, 1)
    plus, minus = half + root, half - root
    # M^n (-1, 1) by Cayley and Hamilton: s M (-1, 1) + c (-1, 1)
    s = jnp.where(distinct, (plus**n - minus**n) / (2 * safe), n * half ** (n - 1))
    c = jnp.where(distinct, (plus * minus**n - minus * plus**n) / (2 * safe), (1 - n) * half**n)
    first = s * (-((1 - a) ** 2) - a) - c
    second = s * (b * (1 - a) + 1 - b) + c
    return jnp.stack([limit * (1 + first), limit * (second - 1)], axis=-1)


def configural_strengths(
    trials: ArrayLike,
    *,
    cues: int,
    beta: ArrayLike,
    asymptote: ArrayLike = 1.0,
    initial: ArrayLike = 0.0,
) -> Float[Array, "*trials cues"]:
    r"""Strengths of equally salient cues after reinforced trials of a compound whose key is scaled to length 1.

    .. math:: V_i = V_i^0 + \frac{1}{\sqrt m} \Big(\lambda - \frac{1}{\sqrt m} \sum_j V_j^0\Big)
       \left(1 - (1 - \beta)^n\right)

    Not Rescorla and Wagner's model, but what the delta rule does with normalised keys: a blocked cue reaches
    :math:`(1 - 1/\sqrt 2) / \sqrt 2 = .207` instead of 0, an overshadowed one :math:`.707` instead of .5.

    Args:
        trials: :math:`n`, any shape.
        cues: :math:`m`, how many make up the compound.
        beta: :math:`\beta`, a number from 0 to 2.
        asymptote: :math:`\lambda`, a number.
        initial: :math:`V_i^0`, a number or shape (cues,).

    Raises:
        ValueError: as `compound_strengths`.
    """
    checks.at_least("cues", cues, 1)
    n, beta, limit, start = as_floats(trials, beta, asymptote, initial)
    _trials("trials", n)
    start = jnp.broadcast_to(start, (cues,))
    scale = cues**-0.5
    learned = scale * (limit - scale * jnp.sum(start)) * (1 - (1 - _rate(jnp.ones_like(beta), beta)) ** n)
    return start.reshape((1,) * n.ndim + (cues,)) + learned[..., None]


def partial_reinforcement_strength(
    trials: ArrayLike,
    *,
    probability: ArrayLike,
    reinforced: ArrayLike,
    unreinforced: ArrayLike,
    asymptote: ArrayLike = 1.0,
    initial: ArrayLike = 0.0,
) -> Array:
    r"""Mean strength of one cue whose trials are reinforced at random.

    .. math:: \mathbb E V_n = V_\infty + (V_0 - V_\infty) (1 - \pi a - (1 - \pi) a')^n, \qquad
       V_\infty = \frac{\pi a \lambda}{\pi a + (1 - \pi) a'}

    Equal rates give :math:`\pi \lambda`, the frequency of reinforcement.

    Args:
        trials: :math:`n`.
        probability: :math:`\pi` of reinforcement, independent from trial to trial.
        reinforced: :math:`a = \alpha \beta` of reinforced trials.
        unreinforced: :math:`a' = \alpha \beta'` of unreinforced trials.
        asymptote: :math:`\lambda`.
        initial: :math:`V_0`.

    Raises:
        ValueError: as `acquisition_strength`, or if the concrete probability is outside [0, 1].
    """
    checks.unit("probability", probability)
    n, p, on, off, limit, start = broadcast(
        *as_floats(trials, probability, reinforced, unreinforced, asymptote, initial)
    )
    _trials("trials", n)
    rate = _rate(p * on + (1 - p) * off, jnp.ones_like(p))
    some = rate > 0
    end = jnp.where(some, p * on * limit / jnp.where(some, rate, 1), start)
    return end + (start - end) * (1 - rate) ** n


def contingency_strengths(
    with_cue: ArrayLike,
    without_cue: ArrayLike,
    *,
    reinforced: ArrayLike = 1.0,
    unreinforced: ArrayLike = 1.0,
    asymptote: ArrayLike = 1.0,
) -> Float[Array, "*shape 2"]:
    r"""Where the mean strengths of a context and a cue in it settle: the strength of a cue is its contingency.

    .. math:: V_X = \frac{\beta p_0 \lambda}{\beta p_0 + \beta' (1 - p_0)}, \qquad
       V_X + V_A = \frac{\beta p_1 \lambda}{\beta p_1 + \beta' (1 - p_1)}

    For equal rates :math:`V_A = \lambda (p_1 - p_0)` :cite:`chapman1990`. The solution at which the expected
    changes of both trial types (context alone, context with cue) vanish; independent of how often each occurs.

    Args:
        with_cue: :math:`p_1`, probability of the outcome on trials with the cue.
        without_cue: :math:`p_0`, on trials of the context alone.
        reinforced: :math:`\beta`, positive.
        unreinforced: :math:`\beta'`, positive.
        asymptote: :math:`\lambda`.

    Returns:
        Strengths of (context, cue) in the last axis.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    for name, value in (("with_cue", with_cue), ("without_cue", without_cue)):
        checks.unit(name, value)
    for name, value in (("reinforced", reinforced), ("unreinforced", unreinforced)):
        checks.positive(name, value)
    p1, p0, on, off, limit = broadcast(*as_floats(with_cue, without_cue, reinforced, unreinforced, asymptote))
    both, context = (on * p * limit / (on * p + off * (1 - p)) for p in (p1, p0))
    return jnp.stack([context, both - context], axis=-1)


def _trials(name: str, value: Array) -> None:
    checks.non_negative(name, value)


def _rate(salience: ArrayLike, beta: ArrayLike) -> Array:
    """The product of salience and rate, refused where the model diverges."""
    checks.non_negative("salience", salience)
    checks.non_negative("beta", beta)
    alpha, rate = broadcast(*as_floats(salience, beta))
    checks.require(
        alpha * rate <= 2, "beta times the sum of saliences must be at most 2, beyond which learning diverges"
    )
    return alpha * rate
