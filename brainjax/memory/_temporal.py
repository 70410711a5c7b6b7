"""Temporal-difference learning: what a cue predicts is also worth predicting."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from brainjax.core import checks
from brainjax.memory._hebbian import outer, plain_read
from brainjax.memory._rule import MemoryRule, assemble

__all__ = ["Eligible", "td0", "td_lambda"]


class Eligible(NamedTuple):
    """A matrix, the key of the step before, and the decaying sum of the keys up to there."""

    weights: Float[Array, "d_k d_v"]
    previous: Float[Array, "d_k"]
    eligibility: Float[Array, "d_k"]


def td0() -> MemoryRule:
    r"""Temporal differences of one step (:cite:`sutton1988`): the delta rule whose target includes its own prediction.

    .. math:: \delta_t = v_t + \gamma_t S_{t-1}^\top k_t - S_{t-1}^\top k_{t-1}, \qquad
              S_t = S_{t-1} + \beta_t k_{t-1} \delta_t^\top

    The value :math:`v_t` is the outcome that arrives with :math:`k_t`, when the memory judges what it predicted a step
    earlier. A step with :math:`\gamma_t = 0`, such as the first of a trial, is not counted as a consequence of the one
    before. Nothing is learned at the very first step. Constants: ``beta``, 0.2, and ``discount`` (:math:`\gamma`, from
    0 to 1), 0.95, both also controls. Second-order conditioning follows. Sequential only.
    """
    return _temporal_rule("td0", {"beta": 0.2, "discount": 0.95}, lambda constants: None)


def td_lambda() -> MemoryRule:
    r"""Temporal differences with eligibility traces (:cite:`sutton1988`, :cite:`sutton1990`).

    .. math:: S_t = S_{t-1} + \beta_t e_{t-1} \delta_t^\top, \qquad e_t = \gamma_t \lambda e_{t-1} + k_t

    with the error of `td0`. Constants: ``beta``, 0.2, and ``discount`` (:math:`\gamma`, from 0 to 1), 0.95, both also
    controls; ``trace_decay`` (:math:`\lambda`, from 0 to 1), 0.9. A discount of 0 at the first step of a trial also
    ends the traces. Sequential only.
    """
    defaults = {"beta": 0.2, "discount": 0.95, "trace_decay": 0.9}
    return _temporal_rule("td_lambda", defaults, lambda constants: constants["trace_decay"])


def _temporal_rule(name: str, defaults: dict[str, float], trace_decay) -> MemoryRule:
    def init(d_k, d_v, constants, dtype, length):
        return Eligible(jnp.zeros((d_k, d_v), dtype), jnp.zeros(d_k, dtype), jnp.zeros(d_k, dtype))

    def step(state, k, v, controls, constants):
        expected_now, expected_before = state.weights.T @ k, state.weights.T @ state.previous
        error = v + controls["discount"] * expected_now - expected_before
        weights = state.weights + controls["beta"] * outer(state.eligibility, error)
        decay = trace_decay(constants)
        kept = k if decay is None else controls["discount"] * decay * state.eligibility + k
        return Eligible(weights, k, kept)

    def refuse(state, k, v, controls, constants):
        checks.unit("discount", controls["discount"])
        checks.non_negative("beta", controls["beta"])
        if "trace_decay" in constants:
            checks.unit("constant trace_decay", constants["trace_decay"])

    return assemble(
        name,
        init=init,
        step=step,
        read=plain_read,
        defaults=defaults,
        controls={"beta": "step", "discount": "step"},
        refuse=refuse,
    )
