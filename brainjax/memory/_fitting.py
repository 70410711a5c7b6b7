r"""Fitting learning rates to a learning curve by damped Gauss-Newton steps through the simulated experiment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.memory._conditioning import simulate
from brainjax.memory._rule import MemoryRule
from brainjax.memory._trials import Trials, outcome_rates

__all__ = ["RateFit", "Rates", "fit_rates"]

FREE = ("unreinforced", "asymptote")


class Rates(NamedTuple):
    """Parameters of a learning curve."""

    salience: Float[Array, "cues"]
    r""":math:`\alpha_i`."""
    reinforced: Float[Array, ""]
    r""":math:`\beta` on trials with an outcome; it sets the unit of the saliences and is given, not fitted."""
    unreinforced: Float[Array, ""]
    r""":math:`\beta'` on trials without."""
    asymptote: Float[Array, ""]
    r""":math:`\lambda`, the response that an outcome of magnitude 1 supports."""


class RateFit(NamedTuple):
    """What was fitted, how certainly and how well."""

    rates: Rates
    errors: Rates
    """Standard errors from the curvature at the optimum; 0 for what was held, huge for what the data leave open."""
    noise: Float[Array, ""]
    """Standard deviation of the residuals, corrected for the number of fitted parameters."""
    curve: Float[Array, "groups trials"]
    """The fitted curve."""
    gradient: Float[Array, ""]
    """Largest derivative of half the sum of squares with respect to an unconstrained parameter: 0 at an optimum."""


def fit_rates(
    curve: ArrayLike,
    trials: Trials,
    *,
    rule: MemoryRule,
    beta: ArrayLike = 1.0,
    free: tuple[str, ...] = FREE,
    guess: ArrayLike = 0.3,
    observed: ArrayLike | None = None,
    steps: int = 40,
) -> RateFit:
    r"""Fit saliences and learning rates to responses, by least squares.

    .. math:: \min_{\alpha, \beta', \lambda} \sum_n w_n \big(y_n - \hat y_n(\alpha, \beta, \beta', \lambda)\big)^2

    Only products :math:`\alpha_i \beta` and :math:`\alpha_i \beta'` shape the curve of an error-correcting rule, so the
    rate of reinforced trials is given and the rest is relative to it. The parameters are unconstrained:
    :math:`\alpha_i \beta` is logistic in the first, :math:`\beta' / \beta` and :math:`\lambda` are exponentials of
    the others. Levenberg's and Marquardt's damped Gauss-Newton steps :cite:`marquardt1963`, derivatives in forward mode
    through the simulation, no decomposition: it may be batched with ``jax.vmap`` over curves.

    Args:
        curve: responses read before each trial's outcome, shape (groups, trials), or (trials,) for one group.
        trials: the experiment, from `compile_design`, in the order in which it was run.
        rule: a rule with a control ``beta``, from `make`; for Rescorla and Wagner's model ``make("delta")``.
        beta: :math:`\beta` of reinforced trials, a positive number.
        free: which of "unreinforced" and "asymptote" are fitted beside the saliences; without them
            :math:`\beta' = \beta`, :math:`\lambda = 1`.
        guess: of all :math:`\alpha_i \beta` at the start, above 0 and below 1.
        observed: weights :math:`w`, zero or more, shape as ``curve``; by default 1 on every trial.
        steps: how many steps are tried.

    Returns:
        Rates, their standard errors (for independent noise of one variance), the noise and the fitted curve.

    Raises:
        ValueError: if a shape does not fit, the rule has no control ``beta``, or a concrete argument is out of range.
    """
    if "beta" not in rule.controls:
        raise ValueError(f"rule must have a control 'beta', got {rule.name} with {sorted(rule.controls)}")
    for name in free:
        checks.one_of("free", name, FREE)
    checks.positive("beta", beta)
    checks.positive("guess", guess)
    checks.require(jnp.asarray(guess) < 1, "guess must be below 1")
    checks.at_least("steps", steps, 1)
    _, data, rate, start = as_floats(trials.outcomes, curve, beta, guess)
    groups, length = trials.test.shape
    if data.ndim == 1 and groups == 1:
        data = data[None]
    checks.shape_of("curve", data, (groups, length), "(groups, trials)")
    weights = jnp.ones_like(data) if observed is None else jnp.asarray(observed, data.dtype).reshape(data.shape)
    checks.non_negative("observed", weights)
    weights = jnp.where(trials.present, weights, 0)
    data = jnp.where(weights > 0, data, 0)
    root = jnp.sqrt(weights)
    cues = trials.cues.shape[-1]

    def rates_of(u: Array) -> Rates:
        places = {name: cues + j for j, name in enumerate(free)}
        ratio, limit = (jnp.exp(u[places[name]]) if name in places else jnp.ones_like(rate) for name in FREE)
        return Rates(jax.nn.sigmoid(u[:cues]) / rate, rate, ratio * rate, limit)

    def predicted(u: Array) -> Array:
        rates = rates_of(u)
        beta_of = outcome_rates(trials, reinforced=rate, unreinforced=rates.unreinforced)
        scaled = trials._replace(outcomes=trials.outcomes.astype(data.dtype) * rates.asymptote)
        run = simulate(rule, scaled, salience=rates.salience, controls={"beta": beta_of})
        return jnp.sum(run.responses, axis=-1)

    def residuals(u: Array) -> Array:
        return (root * (predicted(u) - data)).ravel()

    def with_slopes(u: Array) -> tuple[Array, Array]:
        slopes, values = jax.jacfwd(lambda x: (residuals(x),) * 2, has_aux=True)(u)
        return values, slopes

    def normal(values: Array, slopes: Array) -> tuple[Array, Array, Array]:
        return 0.5 * values @ values, slopes.T @ values, slopes.T @ slopes

    def attempt(carry, _):
        u, loss, gradient, curvature, damping = carry
        scale = jnp.diagonal(curvature)
        # a parameter that the data do not touch keeps its value
        inert = scale <= jnp.finfo(u.dtype).tiny
        damped = curvature + jnp.diag(damping * scale + jnp.where(inert, 1, 0))
        change = -_inverse(damped) @ gradient
        trial = u + jnp.clip(change, -2, 2)
        fresh = normal(*with_slopes(trial))
        better = fresh[0] < loss
        kept = [
            jnp.where(better, new, old)
            for new, old in zip((trial, *fresh), (u, loss, gradient, curvature), strict=True)
        ]
        damping = jnp.clip(jnp.where(better, damping / 5, damping * 4), 1e-9, 1e9)
        return (*kept, damping), None

    sizes = jnp.max(jnp.abs(data))
    begin = {"unreinforced": jnp.zeros_like(rate), "asymptote": jnp.log(jnp.where(sizes > 0, sizes, 1))}
    u = jnp.concatenate([jnp.full(cues, jax.scipy.special.logit(start)), *(begin[name][None] for name in free)])
    first = (u, *normal(*with_slopes(u)), jnp.full_like(rate, 1e-2))
    (u, loss, gradient, curvature, _), _ = lax.scan(attempt, first, length=steps)
    number = jnp.sum(weights > 0).astype(data.dtype)
    variance = 2 * loss / jnp.maximum(number - u.shape[0], 1)
    scale = jnp.diagonal(curvature)
    floor = jnp.max(scale) * jnp.finfo(u.dtype).eps ** 2
    spread = jnp.sqrt(variance * jnp.abs(jnp.diagonal(_inverse(curvature + jnp.diag(floor + 0 * scale)))))
    stretch = jax.jacfwd(rates_of)(u)
    errors = Rates(*(jnp.abs(part) @ spread for part in stretch))
    return RateFit(rates_of(u), errors, jnp.sqrt(variance), predicted(u), jnp.max(jnp.abs(gradient)))


def _inverse(matrix: Array) -> Array:
    """Of a positive definite matrix of a few rows, by Gauss and Jordan's elimination."""
    size = matrix.shape[0]

    def eliminate(i, both):
        row = both[i] / both[i, i]
        return (both - both[:, i][:, None] * row[None, :]).at[i].set(row)

    both = jnp.concatenate([matrix, jnp.eye(size, dtype=matrix.dtype)], axis=1)
    return lax.fori_loop(0, size, eliminate, both)[:, size:]
