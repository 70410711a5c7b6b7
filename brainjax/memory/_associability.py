"""Conditioning with a learned associability: how fast a cue learns depends on what it has been good for."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from brainjax.core import checks
from brainjax.memory._hebbian import outer, plain_read
from brainjax.memory._rule import MemoryRule, assemble, in_range

__all__ = ["Attended", "Opponent", "mackintosh", "pearce_hall"]


class Attended(NamedTuple):
    """A matrix and the associability of each cue."""

    weights: Float[Array, "d_k d_v"]
    associability: Float[Array, "d_k"]


class Opponent(NamedTuple):
    """Excitatory and inhibitory associations, both zero or more, and the associability of each cue."""

    excitatory: Float[Array, "d_k d_v"]
    inhibitory: Float[Array, "d_k d_v"]
    associability: Float[Array, "d_k"]

    @property
    def weights(self) -> Float[Array, "d_k d_v"]:
        """The net associations."""
        return self.excitatory - self.inhibitory


def mackintosh() -> MemoryRule:
    r"""Mackintosh's model (:cite:`mackintosh1975`): attention goes to the best predictor.

    With :math:`V_{ij} = k_i S_{ij}` what cue :math:`i` alone predicts of outcome :math:`j`, in the form with graded
    changes of associability:

    .. math:: \Delta S_{ij} = \beta \alpha_i k_i (v_j - V_{ij}), \qquad
              \Delta \alpha_i = \theta \sum_j \bigl(|v_j - \textstyle\sum_{l \ne i} V_{lj}| - |v_j - V_{ij}|\bigr)

    The second for present cues (:math:`k_i \ne 0`) only, kept from ``alpha_min`` to ``alpha_max``; both changes see the
    values before the trial. The error is each cue's own, so that blocking comes from lost associability alone.
    Constants: ``beta``, 0.4, also a control; ``theta``, 0.2; ``alpha`` (at the start, a number or one per cue), 0.5;
    ``alpha_min``, 0.1; ``alpha_max``, 1. One key component per cue. Sequential only.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Attended(jnp.zeros((d_k, d_v), dtype), jnp.broadcast_to(constants["alpha"], d_k))

    def step(state, k, v, controls, constants):
        own = k[:, None] * state.weights
        others = jnp.sum(own, 0)[None, :] - own
        rates = controls["beta"] * state.associability * k
        better = jnp.sum(jnp.abs(v[None, :] - others) - jnp.abs(v[None, :] - own), 1)
        moved = state.associability + constants["theta"] * better
        return Attended(state.weights + rates[:, None] * (v[None, :] - own), _kept(state, moved, k, constants))

    def refuse(state, k, v, controls, constants):
        _refuse_associability(constants)
        if checks.is_concrete((k, controls["beta"], constants["alpha_max"])):
            square = np.asarray(k, np.float64) ** 2
            rates = np.asarray(controls["beta"])[:, None] * square * np.asarray(constants["alpha_max"])
            in_range("beta * alpha_max * k_i^2", rates, 0, 2, "the range in which no write amplifies what is stored")

    return assemble(
        "mackintosh",
        init=init,
        step=step,
        read=plain_read,
        defaults={"beta": 0.4, "theta": 0.2, "alpha": 0.5, "alpha_min": 0.1, "alpha_max": 1.0},
        controls={"beta": "step"},
        vectors=("alpha",),
        refuse=refuse,
    )


def pearce_hall() -> MemoryRule:
    r"""Pearce and Hall's model: attention goes to what is followed by surprise.

    The first form is that of :cite:`pearce1980`; here, as revised by Pearce, Kaye and Hall (:cite:`pearce1982`), with
    :math:`E` and :math:`I` the excitatory and inhibitory associations and the error :math:`\delta_j = v_j - \sum_i
    k_i (E_{ij} - I_{ij})`:

    .. math:: \Delta E_{ij} = \beta_E \alpha_i k_i v_j \;\; (\delta_j > 0), \qquad
              \Delta I_{ij} = \beta_I \alpha_i k_i |\delta_j| \;\; (\delta_j < 0), \qquad
              \alpha_i \leftarrow (1 - \theta) \alpha_i + \theta \sum_j |\delta_j|

    The last for present cues (:math:`k_i \ne 0`) only, kept from ``alpha_min`` to ``alpha_max``; all changes see the
    values before the trial. Outcomes are zero or more. Excitation grows by the outcome, not by the error: the approach
    to the asymptote slows only as associability falls, and may overshoot. Constants: ``beta`` (:math:`\beta_E`), 0.2,
    and ``beta_inhibitory`` (:math:`\beta_I`), 0.2, both also controls; ``theta``, 0.3; ``alpha`` (at the start, a
    number or one per cue), 0.5; ``alpha_min``, 0; ``alpha_max``, 1. One key component per cue. Sequential only.
    """

    def init(d_k, d_v, constants, dtype, length):
        nothing = jnp.zeros((d_k, d_v), dtype)
        return Opponent(nothing, nothing, jnp.broadcast_to(constants["alpha"], d_k))

    def step(state, k, v, controls, constants):
        error = v - state.weights.T @ k
        nothing = jnp.zeros_like(v)
        rates = state.associability * k
        gained = outer(controls["beta"] * rates, jnp.where(error > 0, v, nothing))
        lost = outer(controls["beta_inhibitory"] * rates, jnp.where(error < 0, -error, nothing))
        theta = constants["theta"]
        moved = (1 - theta) * state.associability + theta * jnp.sum(jnp.abs(error))
        return Opponent(state.excitatory + gained, state.inhibitory + lost, _kept(state, moved, k, constants))

    def refuse(state, k, v, controls, constants):
        _refuse_associability(constants)
        for name in ("beta", "beta_inhibitory"):
            checks.non_negative(name, controls[name])

    return assemble(
        "pearce_hall",
        init=init,
        step=step,
        read=plain_read,
        defaults={"beta": 0.2, "beta_inhibitory": 0.2, "theta": 0.3, "alpha": 0.5, "alpha_min": 0.0, "alpha_max": 1.0},
        controls={"beta": "step", "beta_inhibitory": "step"},
        vectors=("alpha",),
        refuse=refuse,
    )


def _kept(state, moved: Array, k: Array, constants) -> Array:
    bounded = jnp.clip(moved, constants["alpha_min"], constants["alpha_max"])
    return jnp.where(k != 0, bounded, state.associability)


def _refuse_associability(constants) -> None:
    checks.unit("constant theta", constants["theta"])
    low, start, high = constants["alpha_min"], constants["alpha"], constants["alpha_max"]
    checks.non_negative("constant alpha_min", low)
    if checks.is_concrete((low, start, high)) and not np.all((low <= start) & (start <= high)):
        raise ValueError(f"constant alpha must be from alpha_min = {low:g} to alpha_max = {high:g}, got {start}")
