"""Conditioning experiments with a network that stays as it is: trials are tokens, the response is what it predicts.

A network that was trained on sequences of cues and outcomes learns within a sequence, whatever its weights have
learned before. A conditioning design is then a sequence of tokens, and the animal is the frozen network.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from brainjax.core import checks
from brainjax.core.interleaved import interleave
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.memory._conditioning import COMPOUNDS, cue_keys
from brainjax.memory._trials import Trials

__all__ = ["ProbeSequences", "difference_index", "probe", "probe_sequences"]


class ProbeSequences(NamedTuple):
    """A design as sequences, one for every test trial."""

    tokens: Float[Array, "groups tests tokens size"]
    """All learning trials before the test, then the test's cues; zeros after it."""
    position: Int[Array, "groups tests"]
    """Number of the token at which the response is read; -1 where a group has fewer tests."""


def probe_sequences(trials: Trials, codes: ArrayLike, *, compound: str = "sum") -> ProbeSequences:
    """Turn a compiled design into the sequences that put it to a network.

    Each pair of cues and outcomes becomes two tokens (see `brainjax.core.interleaved`). A test trial is put to a copy
    of its own, in which no other test was: tests change nothing, as in `simulate`. A trial of nothing is a cue token
    of zeros and an outcome token of zeros.

    Args:
        trials: from `compile_design`, concrete.
        codes: of the cues, shape (cues, dimension), in the order of ``design.cues``; may be traced. To test what a
            network does and not what it knows, take codes that it was not trained with.
        compound: one of `COMPOUNDS`: simultaneous cues are one token, the sum of their codes (``sum``), the same of
            length 1 (``unit``), or several pairs of tokens, one cue after the other in alphabetical order, each with
            the trial's outcome (``tokens``). A test with several cues is one token, their sum, in the last case too.

    Returns:
        Tokens and the places where to read.

    Raises:
        ValueError: if the trials are traced, a group has no test trial, or a shape or name does not fit.
    """
    checks.one_of("compound", compound, COMPOUNDS)
    if not checks.is_concrete(trials):
        raise ValueError("trials must be concrete, as from compile_design, got a traced array")
    cues, outcomes = np.asarray(trials.cues), np.asarray(trials.outcomes)
    test, present = np.asarray(trials.test), np.asarray(trials.present)
    (codes,) = as_floats(codes)
    checks.shape_of("codes", codes, (cues.shape[-1], None), "(cues, dimension), cues as in trials")
    asked = [np.flatnonzero(test[g] & present[g]) for g in range(len(test))]
    if min(len(rows) for rows in asked) < 1:
        raise ValueError("trials must have a test trial ('?') in every group")

    copies = {}
    for g, rows in enumerate(asked):
        for j, t in enumerate(rows):
            pairs = [
                pair
                for s in np.flatnonzero(present[g, :t] & ~test[g, :t])
                for pair in _pairs(cues[g, s], outcomes[g, s], compound)
            ]
            copies[g, j] = [*pairs, (cues[g, t], np.zeros(outcomes.shape[-1]))]
    tests, longest = max(len(rows) for rows in asked), max(map(len, copies.values()))
    intensity = np.zeros((len(test), tests, longest, cues.shape[-1]))
    outcome = np.zeros((len(test), tests, longest, outcomes.shape[-1]))
    position = np.full((len(test), tests), -1, np.int32)
    for place, pairs in copies.items():
        for n, (given, followed_by) in enumerate(pairs):
            intensity[(*place, n)], outcome[(*place, n)] = given, followed_by
        position[place] = 2 * (len(pairs) - 1)

    keys = cue_keys(jnp.asarray(intensity, codes.dtype), codes, compound="unit" if compound == "unit" else "sum")
    tokens = interleave(keys, jnp.asarray(outcome, codes.dtype))
    after = np.arange(2 * longest) > position[:, :, None]
    return ProbeSequences(jnp.where(after[..., None], 0, tokens), jnp.asarray(position))


def _pairs(cues: np.ndarray, outcomes: np.ndarray, compound: str) -> list[tuple[np.ndarray, np.ndarray]]:
    there = np.flatnonzero(cues)
    if compound != "tokens" or there.size < 2:
        return [(cues, outcomes)]
    return [(np.where(np.arange(cues.size) == i, cues, 0), outcomes) for i in there]


def probe(
    network: Callable[[Array], Array], trials: Trials, codes: ArrayLike, *, compound: str = "sum"
) -> Float[Array, "groups tests outcomes"]:
    """Put a conditioning design to a network whose weights stay as they are.

    Args:
        network: from tokens of shape (sequences, tokens, dimension + outcomes + 1) to predictions of the outcomes at
            every token, shape (sequences, tokens, outcomes). Only what it says at the tokens of test cues is used; a
            causal network says it before any outcome of that trial.
        trials: from `compile_design`, concrete.
        codes: of the cues, see `probe_sequences`.
        compound: how simultaneous cues become tokens, see `probe_sequences`.

    Returns:
        Responses to each group's test trials, in their order; NaN where a group has fewer.

    Raises:
        ValueError: as `probe_sequences`, or if the network's predictions have another shape.
    """
    tokens, position = probe_sequences(trials, codes, compound=compound)
    groups, tests, steps, size = tokens.shape
    said = network(tokens.reshape(groups * tests, steps, size))
    count = trials.outcomes.shape[-1]
    checks.shape_of("the network's predictions", said, (groups * tests, steps, count), "(sequences, tokens, outcomes)")
    place = jnp.maximum(position, 0)[:, :, None, None]
    read = jnp.take_along_axis(said.reshape(groups, tests, steps, count), place, axis=2)[:, :, 0]
    return jnp.where(position[:, :, None] < 0, jnp.nan, read)


def difference_index(treated: ArrayLike, control: ArrayLike, *, magnitude: ArrayLike = 1.0) -> Float[Array, "..."]:
    r"""How much less the treated group responds than its control, in units of the outcome.

    .. math:: I = \frac{V_{\text{control}} - V_{\text{treated}}}{\lambda}

    Unlike the ratio :math:`1 - V_{\text{treated}} / V_{\text{control}}` it stays bounded where a control group hardly
    responds, as untrained networks do: for responses from 0 to :math:`\lambda` it lies between -1 and 1.

    Args:
        treated: responses.
        control: responses of the control group, of the same shape.
        magnitude: of the outcome, :math:`\lambda`, positive.

    Raises:
        ValueError: if the shapes differ or a concrete magnitude is not positive.
    """
    checks.positive("magnitude", magnitude)
    treated, control, size = as_floats(treated, control, magnitude)
    checks.shape_of("control", control, treated.shape, "as treated")
    return (control - treated) / size
