r"""Three tasks of the laboratory: two-alternative choice, delayed match-to-sample, context-dependent decision.

A trial is a sequence of steps. Channel 0 is the fixation cue; stimulus channels code a direction on a ring of two
places, so that evidence for one choice raises one channel as much as it lowers the other. The network reports class 0
until the decision period and then choice 1 or 2.

Two presets say what exactly is shown; both follow the NeuroGym library, of which :cite:`molano2022` is the description
and :cite:`liu2024` a user. They differ in the fixation cue, the context cue and the placement of noise:

============  ==========================================  ==================================================
preset        ``neurogym_0_0_2``                          ``neurogym_2``
============  ==========================================  ==================================================
two choices   cue on until the decision                   cue on in the fixation period only, which is empty
match         cue on until the decision                   the same
context       cue on until the decision; context shown;   cue on in the fixation period only, which is empty;
              noise on all 7 channels                     5 channels, modality 1 always relevant; noise on the
                                                          stimulus only. With ``cued=True``: 7 channels
============  ==========================================  ==================================================

The standard deviation of the noise per step is that library's default, 1 divided by the square root of steps of 100 ms.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, is_concrete
from brainjax.tasks._trials import Schedule, Trial, choice, draw, noise_during, noisy_steps, schedule

__all__ = [
    "CONTEXT_COHERENCES",
    "PRESETS",
    "TWO_COHERENCES",
    "check_percentages",
    "context_decision",
    "delayed_match",
    "two_alternative",
]

PRESETS = ("neurogym_0_0_2", "neurogym_2")
TWO_COHERENCES = (0.0, 6.4, 12.8, 25.6, 51.2)
CONTEXT_COHERENCES = (5.0, 15.0, 50.0)


def two_alternative(
    key: PRNGKey,
    *,
    size: int | None = None,
    preset: str = "neurogym_0_0_2",
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = TWO_COHERENCES,
    fixation: ArrayLike = 0,
    stimulus: ArrayLike = 7,
    delay: ArrayLike = 0,
    decision: ArrayLike = 1,
    steps: int | None = None,
    dtype: Any = None,
) -> Trial:
    r"""Two-alternative choice: which of two noisy channels is higher on average?

    In the stimulus period channel :math:`k \in \{1, 2\}` shows
    :math:`\tfrac12 \pm \tfrac{c}{200} + \sigma \xi`, with the plus sign on the side that is right; coherence :math:`c`
    and side are drawn anew in each trial. At coherence 0 the label is a coin toss.

    Args:
        key: typed PRNG key.
        size: number of trials; by default one, without a leading axis.
        preset: ``"neurogym_0_0_2"`` or ``"neurogym_2"``; the table of this module says how they differ.
        noise: standard deviation of the noise on each stimulus channel per step.
        coherences: percentages from 0 to 100, equally likely, of shape (coherences,).
        fixation: length of the first period in steps; may be traced, as may be the three others.
        stimulus: length of the second period.
        delay: length of the third period.
        decision: length of the last period.
        steps: number of steps, by default the sum of the periods (8). Later steps are zero and have weight zero.
        dtype: of inputs and weights; by default that of ``noise`` and ``coherences``.

    Returns:
        Trials with 3 inputs: fixation cue and two stimulus channels.

    Raises:
        ValueError: if the preset is unknown, the noise negative, a coherence outside 0 to 100, or periods do not fit.
    """
    dtype, noise, rings = _checked(preset, noise, coherences, dtype)
    periods = schedule(steps, dtype=dtype, fixation=fixation, stimulus=stimulus, delay=delay, decision=decision)
    shown = periods.during["stimulus"]
    cue = _fixation_cue(periods, preset == "neurogym_0_0_2", dtype)

    def build(uniform: Array) -> Trial:
        side = choice(uniform[0], 2)
        mean = rings[side, choice(uniform[1], rings.shape[1])]
        xi = noise_during(periods, ["stimulus"], uniform[2:].reshape(-1, 2), noise)
        return _trial(periods, [cue, jnp.where(shown[:, None], mean[None, :], 0) + xi], side)

    return draw(key, size, 2 + 2 * noisy_steps(periods, "stimulus"), dtype, build)


def delayed_match(
    key: PRNGKey,
    *,
    size: int | None = None,
    preset: str = "neurogym_0_0_2",
    noise: ArrayLike = 0.1,
    fixation: ArrayLike = 0,
    sample: ArrayLike = 1,
    delay: ArrayLike = 5,
    test: ArrayLike = 1,
    decision: ArrayLike = 1,
    steps: int | None = None,
    dtype: Any = None,
) -> Trial:
    r"""Delayed match-to-sample: is what is shown after a delay the same as what was shown before it?

    A stimulus is :math:`(1, 0)` or :math:`(0, 1)` on its two channels, plus noise :math:`\sigma \xi`. Sample and match
    are drawn independently; the stimulus channels are zero in the delay. Label 1 is a match, 2 is none.

    Args:
        key: typed PRNG key.
        size: number of trials; by default one, without a leading axis.
        preset: ``"neurogym_0_0_2"`` or ``"neurogym_2"``, which agree on this task.
        noise: standard deviation of the noise on each stimulus channel per step of sample and test.
        fixation: length of the first period in steps; may be traced, as may be the four others.
        sample: length of the second period.
        delay: length of the third period.
        test: length of the fourth period.
        decision: length of the last period.
        steps: number of steps, by default the sum of the periods (8). Later steps are zero and have weight zero.
        dtype: of inputs and weights; by default that of ``noise``.

    Returns:
        Trials with 3 inputs: fixation cue and two stimulus channels.

    Raises:
        ValueError: if the preset is unknown, the noise negative, or periods do not fit.
    """
    dtype, noise, rings = _checked(preset, noise, (100.0,), dtype)
    periods = schedule(steps, dtype=dtype, fixation=fixation, sample=sample, delay=delay, test=test, decision=decision)
    in_sample, in_test = periods.during["sample"], periods.during["test"]
    cue = _fixation_cue(periods, True, dtype)

    def build(uniform: Array) -> Trial:
        differs, first = choice(uniform[0], 2), choice(uniform[1], 2)
        before, after = (rings[side] for side in (first, (first + differs) % 2))
        mean = jnp.where(in_sample[:, None], before, jnp.where(in_test[:, None], after, 0))
        xi = noise_during(periods, ["sample", "test"], uniform[2:].reshape(-1, 2), noise)
        return _trial(periods, [cue, mean + xi], differs)

    return draw(key, size, 2 + 2 * noisy_steps(periods, "sample", "test"), dtype, build)


def context_decision(
    key: PRNGKey,
    *,
    size: int | None = None,
    preset: str = "neurogym_0_0_2",
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = CONTEXT_COHERENCES,
    cued: bool | None = None,
    fixation: ArrayLike = 0,
    stimulus: ArrayLike = 2,
    delay: ArrayLike = 5,
    decision: ArrayLike = 1,
    steps: int | None = None,
    dtype: Any = None,
) -> Trial:
    r"""Context-dependent decision: report the evidence of the modality that the context cue names, ignore the other.

    Each modality has two channels that show :math:`\tfrac12 (1 \pm \tfrac{c}{100}) + \sigma \xi` in the stimulus
    period. Choice and coherence of both modalities and the context are independent. The context cue is 1 on the
    channel of the relevant modality at every step of the trial, the decision included; in ``neurogym_0_0_2`` noise
    falls on the fixation and context channels too, in the stimulus period.

    Args:
        key: typed PRNG key.
        size: number of trials; by default one, without a leading axis.
        preset: ``"neurogym_0_0_2"`` or ``"neurogym_2"``; the table of this module says how they differ.
        noise: standard deviation of the noise on each noisy channel per step.
        coherences: percentages from 0 to 100, equally likely, of shape (coherences,).
        cued: whether the context is drawn and shown; by default only in ``"neurogym_0_0_2"``, which has no other form.
            Without a cue the first modality is always relevant.
        fixation: length of the first period in steps; may be traced, as may be the three others.
        stimulus: length of the second period.
        delay: length of the third period.
        decision: length of the last period.
        steps: number of steps, by default the sum of the periods (8). Later steps are zero and have weight zero.
        dtype: of inputs and weights; by default that of ``noise`` and ``coherences``.

    Returns:
        Trials with 7 inputs: fixation cue, two channels of each modality, two context channels (left out without cue).

    Raises:
        ValueError: if the preset is unknown, the noise negative, a coherence outside 0 to 100, periods do not fit, or
            the context of ``"neurogym_0_0_2"`` is not to be cued.
    """
    dtype, noise, rings = _checked(preset, noise, coherences, dtype)
    old = preset == "neurogym_0_0_2"
    cued = old if cued is None else cued
    if old and not cued:
        raise ValueError("cued must be True with preset 'neurogym_0_0_2' (it may be False with 'neurogym_2')")
    periods = schedule(steps, dtype=dtype, fixation=fixation, stimulus=stimulus, delay=delay, decision=decision)
    shown = periods.during["stimulus"]
    in_trial = jnp.any(jnp.stack(list(periods.during.values())), 0)
    cue = _fixation_cue(periods, old, dtype)

    def build(uniform: Array) -> Trial:
        sides, levels = choice(uniform[0:2], 2), choice(uniform[2:4], rings.shape[1])
        context = choice(uniform[4], 2) if cued else jnp.int32(0)
        mean = rings[sides, levels].reshape(4)
        channels = [cue, jnp.where(shown[:, None], mean[None, :], 0)]
        if cued:
            named = (jnp.arange(2, dtype=jnp.int32) == context)[None, :] & in_trial[:, None]
            channels.append(named.astype(dtype))
        xi = noise_during(periods, ["stimulus"], uniform[5:].reshape(-1, 7 if old else 4), noise)
        if old:
            channels = [jnp.concatenate(channels, 1) + xi]
        else:
            channels[1] = channels[1] + xi
        return _trial(periods, channels, sides[context])

    return draw(key, size, 5 + (7 if old else 4) * noisy_steps(periods, "stimulus"), dtype, build)


def _checked(preset: str, noise: ArrayLike, coherences: ArrayLike, dtype: Any) -> tuple[Any, Array, Array]:
    checks.one_of("preset", preset, PRESETS)
    checks.shape_of("noise", noise, ())
    checks.finite("noise", noise)
    checks.non_negative("noise", noise)
    check_percentages("coherences", coherences)
    given = as_floats(noise, coherences)[0]
    dtype = given.dtype if dtype is None else jnp.dtype(dtype)
    return dtype, given.astype(dtype), _rings(coherences, dtype)


def check_percentages(name: str, value: ArrayLike | Sequence[float]) -> None:
    """Refuse anything but one or more numbers from 0 to 100 in a row."""
    checks.shape_of(name, value, (None,))
    if is_concrete(value):
        given = np.asarray(value)
        right = given.size > 0 and np.all((given >= 0) & (given <= 100))
        checks.require(right, f"{name} must be one or more percentages from 0 to 100, got {given}")


def _rings(coherences: ArrayLike | Sequence[float], dtype: Any) -> Array:
    """The means of two channels that differ by a percentage, of shape (sides, coherences, 2): larger on the side."""
    if is_concrete(coherences):  # by NumPy: rounded in one way only, compiled or not
        half = np.asarray(coherences, dtype) / np.asarray(200, dtype)
        first = np.stack([0.5 + half, 0.5 - half], 1)
        return jnp.asarray(np.stack([first, first[:, ::-1]]))
    half = jnp.asarray(coherences).astype(dtype) / 200
    first = jnp.stack([0.5 + half, 0.5 - half], 1)
    return jnp.stack([first, first[:, ::-1]])


def _fixation_cue(periods: Schedule, until_decision: bool, dtype: Any) -> Array:
    """One channel, of shape (steps, 1): 1 until the decision period, or in the fixation period only."""
    names = [name for name in periods.during if name != "decision"] if until_decision else ["fixation"]
    on = jnp.any(jnp.stack([periods.during[name] for name in names]), 0)
    return on.astype(dtype)[:, None]


def _trial(periods: Schedule, channels: list[Array], chosen: Array) -> Trial:
    at_decision = periods.during["decision"]
    labels = jnp.where(at_decision, 1 + chosen, 0)
    return Trial(jnp.concatenate(channels, 1), labels, periods.weights, at_decision)
