"""Designs as arrays: one row per group, padded to the longest, and the same in random order."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from brainjax.core import checks
from brainjax.core.draws import uniform
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats
from brainjax.memory._designs import Design

__all__ = ["Trials", "compile_design", "outcome_rates", "shuffle_trials"]


class Trials(NamedTuple):
    """All trials of a design. Where ``present`` is false, a row only fills up a shorter group."""

    cues: Float[Array, "groups trials cues"]
    """Intensities, 0 where a cue is absent; cues in the order of ``design.cues``."""
    outcomes: Float[Array, "groups trials outcomes"]
    """Magnitudes, 0 where an outcome does not occur; in the order of ``design.outcomes``."""
    test: Bool[Array, "groups trials"]
    """Whether the trial is only read."""
    present: Bool[Array, "groups trials"]
    phase: Int[Array, "groups trials"]
    """Number of the phase, from 0."""
    block: Int[Array, "groups trials"]
    """Trials of a group that share a number are in random order among themselves."""


def compile_design(design: Design, key: PRNGKey | None = None, *, dtype: Any = None) -> Trials:
    """Turn a design into arrays, once; they are constants of whatever program runs them.

    Args:
        design: from `parse_design`.
        key: typed PRNG key that draws the order of what is to be shuffled. Without one the trials stay in the order
            written, for `shuffle_trials` to draw later (many seeds at once by ``vmap``).
        dtype: of intensities and magnitudes; JAX's default float by default.

    Returns:
        The trials.
    """
    dtype = jnp.result_type(float) if dtype is None else dtype
    groups = len(design.groups)
    longest = max(sum(len(phase.trials) for phase in group) for group in design.phases)
    cues = np.zeros((groups, longest, len(design.cues)))
    outcomes = np.zeros((groups, longest, len(design.outcomes)))
    test, present = np.zeros((groups, longest), bool), np.zeros((groups, longest), bool)
    phase_of = np.zeros((groups, longest), np.int32)
    block = np.full((groups, longest), np.iinfo(np.int32).max, np.int32)
    for g, group in enumerate(design.phases):
        rows = [
            (p, b, trial) for p, phase in enumerate(group) for trial, b in zip(phase.trials, phase.blocks, strict=True)
        ]
        for t, (p, b, trial) in enumerate(rows):
            for name, intensity in trial.cues:
                cues[g, t, design.cues.index(name)] = intensity
            for name, magnitude in trial.outcomes:
                outcomes[g, t, design.outcomes.index(name)] = magnitude
            test[g, t], present[g, t], phase_of[g, t], block[g, t] = trial.test, True, p, b
        phase_of[g, len(rows) :] = len(group)
    trials = Trials(
        jnp.asarray(cues, dtype), jnp.asarray(outcomes, dtype), jnp.asarray(test), jnp.asarray(present),
        jnp.asarray(phase_of), jnp.asarray(block),
    )  # fmt: skip
    return trials if key is None else shuffle_trials(key, trials)


def shuffle_trials(key: PRNGKey, trials: Trials) -> Trials:
    """Draw the order of the trials that a design shuffles, independently in each group; the others stay.

    Every order of a shuffled phase or bracket is equally likely.

    Args:
        key: typed PRNG key.
        trials: from `compile_design`.

    Returns:
        The same trials in another order.
    """
    drawn = uniform(key, trials.block.shape)
    order = jnp.lexsort((drawn, trials.block), axis=-1)

    def reorder(rows):
        places = order if rows.ndim == 2 else order[:, :, None]
        return jnp.take_along_axis(rows, jnp.broadcast_to(places, (*order.shape, *rows.shape[2:])), axis=1)

    return Trials(*(reorder(rows) for rows in trials))


def outcome_rates(trials: Trials, *, reinforced: ArrayLike, unreinforced: ArrayLike) -> Float[Array, "groups trials"]:
    r"""Learning rates that depend on whether an outcome occurs: Rescorla and Wagner's :math:`\beta` per trial.

    Pass the result as the control ``beta`` of a rule that has one.

    Args:
        trials: from `compile_design`.
        reinforced: rate on trials with any outcome, a number.
        unreinforced: rate on trials without, a number.

    Raises:
        ValueError: if a concrete rate is negative.
    """
    checks.non_negative("reinforced", reinforced)
    checks.non_negative("unreinforced", unreinforced)
    _, on, off = as_floats(trials.outcomes, reinforced, unreinforced)
    return jnp.where(jnp.any(trials.outcomes != 0, axis=-1), on, off)
