"""The phenomena of conditioning as data: two groups each, the effect seen in animals, the effect that rules predict.

An effect is the response of the treated group to its test trial minus that of the control group. Controls are matched
in time and exposure, so that a rule that merely forgets, or dilutes what was presented often, shows no effect. The
predictions hold for orthonormal cues and compounds as sums, and follow from the rules' equations:

* ``hebb``: what was paired more is stronger; nothing is ever unlearned; ``hebb_decay`` also forgets with time;
* ``bush_mosteller``: each cue has its own error, so that cues do not compete;
* ``delta`` (Rescorla and Wagner): cues share the error; ``gated_delta`` forgets as well;
* ``normalised_linear``: the fraction of a cue's trials that were reinforced, diluted in compounds, blind to order;
* ``recursive_least_squares``: the ridge regression of outcomes on cues, blind to order.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.memory._conditioning import overlapping_codes, simulate, tested_response
from brainjax.memory._designs import Design, parse_design
from brainjax.memory._rule import MemoryRule
from brainjax.memory._trials import compile_design

__all__ = ["BATTERY", "BatteryEffects", "Phenomenon", "battery_design", "effect_signs", "run_battery"]

RULES_PREDICTED = (
    "hebb", "hebb_decay", "bush_mosteller", "delta", "gated_delta", "normalised_linear", "recursive_least_squares",
)  # fmt: skip


class Phenomenon(NamedTuple):
    """One phenomenon of conditioning."""

    name: str
    treated: str
    """Design of the treated group, ending in its test trial; see `parse_design`."""
    control: str
    """Design of the control group."""
    animals: int
    """Sign of the effect in animals (or people); 0 where none is expected."""
    predicted: Mapping[str, int]
    """Sign of the effect by rule."""
    meaning: str
    """What the effect shows."""


class BatteryEffects(NamedTuple):
    """Responses of all phenomena's groups, in the order of the phenomena."""

    treated: Float[Array, "phenomena"]
    control: Float[Array, "phenomena"]
    effect: Float[Array, "phenomena"]
    """Treated minus control."""


def _signs(text: str) -> dict[str, int]:
    """Signs in the order of `RULES_PREDICTED`."""
    return {rule: {"+": 1, "0": 0, "-": -1}[sign] for rule, sign in zip(RULES_PREDICTED, text.split(), strict=True)}


BATTERY: tuple[Phenomenon, ...] = (
    #                                                                   hebb, decay, bush, delta, gated, average, ridge
    Phenomenon("acquisition", "40A+ | A?", "40_ | A?", 1, _signs("+ + + + + + +"), "a paired cue is answered"),
    Phenomenon(
        "extinction", "40A+ | 40A- | A?", "40A+ | 40_ | A?", -1, _signs("0 0 - - - - -"),
        "unreinforced trials, not time, undo what was learned",
    ),
    Phenomenon(
        "forgetting", "40A+ | 100_ | A?", "40A+ | A?", 0, _signs("0 - 0 0 - 0 0"), "time alone undoes what was learned"
    ),
    Phenomenon(
        "spontaneous recovery", "40A+ | 40A- | 100_ | A?", "40A+ | 40A- | A?", 1, _signs("0 - 0 0 0 0 0"),
        "an extinguished response returns with time",
    ),
    Phenomenon(
        "renewal", "X: 40A+ | Y: 40A- | X: A?", "X: 40A+ | Y: 40A- | Y: A?", 1, _signs("+ + + + + + +"),
        "extinction belongs to its context",
    ),
    Phenomenon(
        "blocking", "40A+ | 40AB+ | B?", "40C+ | 40AB+ | B?", -1, _signs("0 0 0 - - 0 -"),
        "a cue that predicts nothing new is not learned",
    ),
    Phenomenon(
        "backward blocking", "40AB+ | 40A+ | B?", "40AB+ | 40_ | B?", -1, _signs("0 0 0 0 0 0 -"),
        "what one cue explains is later taken from the other",
    ),
    Phenomenon(
        "overshadowing", "40AB+ | B?", "40B+ | B?", -1, _signs("0 0 0 - - 0 -"), "cues of a compound share the outcome"
    ),
    Phenomenon(
        "conditioned inhibition", "80(A+ / AB-) | B?", "80(A+ / B-) | B?", -1, _signs("0 0 0 - - 0 -"),
        "a cue that announces an omission opposes the response",
    ),
    Phenomenon(
        "inhibition by summation", "80(A+ / AB- / C+) | BC?", "80(A+ / B- / C+) | BC?", -1, _signs("0 0 0 - - 0 -"),
        "an inhibitor lowers the response to another excitor",
    ),
    Phenomenon(
        "inhibition by retardation", "80(A+ / AB-) | 10B+ | B?", "80(A+ / B-) | 10B+ | B?", -1, _signs("0 0 0 - - 0 -"),
        "an inhibitor is slow to become an excitor",
    ),
    Phenomenon(
        "overexpectation", "40A+ / 40B+ | 40AB+ | A?", "40A+ / 40B+ | 40_ | A?", -1, _signs("+ + 0 - + 0 -"),
        "two full predictors together lose although they are reinforced",
    ),
    Phenomenon(
        "superconditioning", "80(A+ / AB-) | 40BC+ | C?", "80(A+ / B-) | 40BC+ | C?", 1, _signs("0 0 0 + + 0 +"),
        "a cue beside an inhibitor gains more",
    ),
    Phenomenon(
        "latent inhibition", "40A- | 5A+ | A?", "40_ | 5A+ | A?", -1, _signs("0 0 0 0 0 - -"),
        "a cue that meant nothing is learned slowly",
    ),
    Phenomenon(
        "latent inhibition: order", "40A- | 5A+ | A?", "5A+ | 40A- | A?", 1, _signs("0 + + + + 0 0"),
        "no effect: preexposure is no more than partial reinforcement",
    ),
    Phenomenon(
        "latent inhibition: summation", "40A- | 40C+ | AC?", "40_ | 40C+ | AC?", 0, _signs("0 0 0 0 0 - 0"),
        "an effect: the preexposed cue is an inhibitor or dilutes, not only slow to be learned",
    ),
    Phenomenon(
        "outcome preexposure", "X: 40_+ | X: 10A+ | A?", "X: 40_ | X: 10A+ | A?", -1, _signs("0 0 0 - - 0 -"),
        "the context blocks the cue",
    ),
    Phenomenon(
        "second-order conditioning", "40A+ | 10AB- | B?", "40C+ | 10AB- | B?", 1, _signs("0 0 0 - - 0 -"),
        "a cue paired with a predictor becomes one (simultaneous; serial cues need temporal differences)",
    ),
    Phenomenon(
        "sensory preconditioning", "40AB- | 40B+ | A?", "40(A- / B-) | 40B+ | A?", 1, _signs("0 0 0 0 0 0 -"),
        "cues are associated with each other before any outcome",
    ),
    Phenomenon(
        "negative patterning", "80(A+ / B+ / AB-) | A?", "80(A+ / B+ / AB-) | AB?", 1, _signs("- - - - - 0 -"),
        "a compound can mean the opposite of its cues (needs a configural cue)",
    ),
)  # fmt: skip
"""Phenomena with the protocols by which rules are compared: see the module for what each rule computes."""


def battery_design(phenomena: Sequence[Phenomenon] = BATTERY) -> Design:
    """All groups of some phenomena as one design: treated and control of the first, of the second, and so on.

    Raises:
        ValueError: if there is no phenomenon, two have the same name, or a design is ill-formed.
    """
    names = [phenomenon.name for phenomenon in phenomena]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"phenomena must be one or more with different names, got {names}")
    roles = (("treated", 1), ("control", 2))
    return _parsed(tuple((f"{each.name}, {role}", each[field]) for each in phenomena for role, field in roles))


@functools.cache
def _parsed(strings: tuple[tuple[str, str], ...]) -> Design:
    return parse_design(dict(strings))


def run_battery(
    rule: MemoryRule,
    *,
    phenomena: Sequence[Phenomenon] = BATTERY,
    constants: Mapping[str, ArrayLike] | None = None,
    salience: ArrayLike = 1.0,
    compound: str = "sum",
    overlap: ArrayLike = 0.0,
    dtype: Any = None,
) -> BatteryEffects:
    r"""Run all phenomena through a memory rule, in one program.

    Deterministic: no phenomenon of the battery has a random order. Batch over constants or overlaps with ``jax.vmap``;
    several rules may be run within one ``jax.jit``.

    Args:
        rule: from `make`.
        phenomena: `BATTERY`, some of it, or others.
        constants: of the rule, by name.
        salience: :math:`\alpha` of all cues, a number.
        compound: how simultaneous cues become keys, see `simulate`.
        overlap: of any two cues' codes, from 0 (orthonormal) to 1; see `overlapping_codes`.
        dtype: JAX's default float by default.

    Returns:
        Responses and effects in the order of ``phenomena``.

    Raises:
        ValueError: as `battery_design` and `simulate`.
    """
    design = battery_design(phenomena)
    trials = compile_design(design, dtype=dtype)
    checks.unit("overlap", overlap)
    codes = overlapping_codes(len(design.cues), jnp.asarray(overlap, trials.cues.dtype))
    run = simulate(rule, trials, codes=codes, salience=salience, compound=compound, constants=constants)
    responses = tested_response(run, trials)[:, 0]
    treated, control = responses[::2], responses[1::2]
    return BatteryEffects(treated, control, treated - control)


def effect_signs(effects: ArrayLike, *, negligible: ArrayLike = 0.01) -> Int[Array, "*shape"]:
    """Signs of effects, 0 for those of at most a negligible size (in units of the outcome).

    Raises:
        ValueError: if the concrete size is negative.
    """
    checks.non_negative("negligible", negligible)
    effect, small = as_floats(effects, negligible)
    return jnp.where(jnp.abs(effect) > small, jnp.sign(effect), 0).astype(jnp.int32)
