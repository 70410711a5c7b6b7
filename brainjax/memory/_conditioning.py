r"""Conditioning experiments on any memory rule: cues are keys, outcomes are values, the response is a read.

On a trial with cue intensities :math:`x_i` the key is :math:`k = \sum_i \sqrt{\alpha_i}\, x_i c_i` with codes
:math:`c_i` of the cues. For orthonormal codes the delta rule at :math:`\beta` is then exactly the model of Rescorla and
Wagner :cite:`rescorla1972` with saliences :math:`\alpha_i`,

.. math:: \Delta V_i = \alpha_i \beta x_i \Big(\lambda - \sum_j x_j V_j\Big), \quad V_i = \sqrt{\alpha_i}\, S^\top c_i ,

in which :math:`V_i` is the response to cue :math:`i` alone. Responses are read before the trial's outcome is written.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats
from brainjax.memory._rule import MemoryRule, fill, values
from brainjax.memory._trials import Trials

__all__ = ["COMPOUNDS", "Conditioning", "cue_keys", "overlapping_codes", "random_codes", "simulate", "tested_response"]

COMPOUNDS = ("sum", "unit", "tokens")
"""How several cues become keys: their sum; their sum scaled to length 1; one key after the other."""


class Conditioning(NamedTuple):
    """What the animals did. Axes are groups, trials, (cues,) outcomes."""

    responses: Float[Array, "groups trials outcomes"]
    """To the trial's cues, before its outcome; 0 where a row only fills up a shorter group."""
    strengths: Float[Array, "groups trials cues outcomes"] | None
    """Response to each cue alone at intensity 1, before each trial; None unless asked for."""
    state: Any
    """What each group's memory holds at the end, with a first axis over the groups."""


def overlapping_codes(count: int, overlap: ArrayLike, *, dimension: int | None = None) -> Float[Array, "cues d_k"]:
    r"""Unit codes of which any two have the same overlap :math:`\rho`: cues that generalise to one another.

    The symmetric root :math:`C = a I + b 1 1^\top` of the Gram matrix :math:`(1 - \rho) I + \rho 1 1^\top`, with
    :math:`a = \sqrt{1 - \rho}` and :math:`b = (\sqrt{1 - \rho + n \rho} - a) / n`. Orthonormal at :math:`\rho = 0`.

    Args:
        count: number of cues, :math:`n`.
        overlap: :math:`\rho`, from 0 to 1; may be traced.
        dimension: of the codes, ``count`` or more; ``count`` by default.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.at_least("count", count, 1)
    dimension = count if dimension is None else dimension
    checks.at_least("dimension", dimension, count)
    checks.unit("overlap", overlap)
    (rho,) = as_floats(overlap)
    a = jnp.sqrt(1 - rho)
    b = (jnp.sqrt(1 - rho + count * rho) - a) / count
    square = a * jnp.eye(count, dtype=rho.dtype) + b * jnp.ones((count, count), rho.dtype)
    return jnp.pad(square, ((0, 0), (0, dimension - count)))


def random_codes(key: PRNGKey, count: int, dimension: int, *, dtype: Any = None) -> Float[Array, "cues d_k"]:
    r"""Random unit codes: cues with accidental overlaps of order :math:`1 / \sqrt{d_k}`.

    Args:
        key: typed PRNG key.
        count: number of cues.
        dimension: of the codes.
        dtype: JAX's default float by default.

    Raises:
        ValueError: if a size is not positive.
    """
    checks.at_least("count", count, 1)
    checks.at_least("dimension", dimension, 1)
    codes = normal(key, (count, dimension), dtype)
    return codes / jnp.linalg.norm(codes, axis=1, keepdims=True)


def cue_keys(
    intensities: ArrayLike, codes: ArrayLike, *, salience: ArrayLike = 1.0, compound: str = "sum"
) -> Float[Array, "*lead d_k"]:
    r"""Keys of trials, :math:`k = \sum_i \sqrt{\alpha_i}\, x_i c_i`.

    Args:
        intensities: :math:`x`, shape (..., cues).
        codes: shape (cues, d_k).
        salience: :math:`\alpha`, a number or shape (cues,).
        compound: "sum", or "unit" to scale each key to length 1 (a trial without cues stays 0). With the second, a
            compound is a configuration: its overlap with one of two equal cues is :math:`1 / \sqrt 2`, so that the
            square is Pearce's similarity of 1/2 :cite:`pearce1987`, and Rescorla and Wagner's summation is lost.

    Raises:
        ValueError: if a shape does not fit, the kind is unknown or a concrete salience is negative.
    """
    checks.one_of("compound", compound, COMPOUNDS[:2])
    checks.non_negative("salience", salience)
    x, codes, alpha = as_floats(intensities, codes, salience)
    checks.shape_of("codes", codes, (None, None), "(cues, d_k)")
    count = codes.shape[0]
    checks.shape_of("intensities", x, (*x.shape[:-1], count), "(..., cues)")
    if alpha.ndim:
        checks.shape_of("salience", alpha, (count,), "(cues,)")
    weights = jnp.sqrt(jnp.broadcast_to(alpha, (count,)))
    keys = x @ (weights[:, None] * codes)
    if compound == "sum":
        return keys
    square = jnp.sum(keys**2, axis=-1, keepdims=True)
    some = square > 0
    return jnp.where(some, keys / jnp.sqrt(jnp.where(some, square, 1)), 0)


def simulate(
    rule: MemoryRule,
    trials: Trials,
    *,
    codes: ArrayLike | None = None,
    salience: ArrayLike = 1.0,
    compound: str = "sum",
    constants: Mapping[str, ArrayLike] | None = None,
    controls: Mapping[str, ArrayLike] | None = None,
    state: Any = None,
    strengths: bool = False,
) -> Conditioning:
    r"""Run all groups of a design through a memory rule.

    A test trial is read without any write or decay; a trial of nothing (``_``) is a write with a key of zero, in which
    decaying rules forget. Pure and traceable: batch over constants, saliences, codes, or keys of `shuffle_trials` with
    ``jax.vmap``.

    Args:
        rule: from `make`.
        trials: from `compile_design`.
        codes: of the cues, shape (cues, d_k); orthonormal by default. See `overlapping_codes` and `random_codes`.
        salience: :math:`\alpha`, a number or one per cue.
        compound: one of `COMPOUNDS`: how simultaneous cues become keys (see `cue_keys`). ``tokens`` writes the cues
            of a trial one after the other, in alphabetical order, each with the trial's outcome; each is one step of
            decay, and error correction then compares the outcome with each cue alone, so that blocking disappears. The
            response is still read with the sum.
        constants: of the rule, numbers by name.
        controls: of the rule by name, with leading axes (groups, trials); see also `outcome_rates`.
        state: what all groups' memories hold at the start (axes as in the result); empty by default.
        strengths: whether to read every cue alone before every trial.

    Returns:
        Responses, strengths and final states.

    Raises:
        ValueError: if anything does not fit, or concrete learning rates are beyond the rule's stability for these keys.
    """
    checks.one_of("compound", compound, COMPOUNDS)
    count = trials.cues.shape[-1]
    (cues, outcomes) = as_floats(trials.cues, trials.outcomes)
    codes = jnp.eye(count, dtype=cues.dtype) if codes is None else jnp.asarray(codes, cues.dtype)
    salience = jnp.asarray(salience, cues.dtype)
    checks.shape_of("codes", codes, (count, None), "(cues, d_k), cues as in trials")
    kind = "unit" if compound == "unit" else "sum"
    keys = cue_keys(cues, codes, salience=salience, compound=kind)
    alone = cue_keys(jnp.eye(count, dtype=cues.dtype), codes, salience=salience, compound=kind)
    groups, steps = trials.test.shape
    d_k, d_v = codes.shape[1], outcomes.shape[-1]
    numbers = values(rule, constants, cues.dtype, d_k)
    filled = fill(rule, controls, numbers, (groups, steps), d_k, d_v, cues.dtype)
    learn = trials.present & ~trials.test
    if state is None:
        room = steps * (count if compound == "tokens" else 1)
        one = rule.init_state(d_k, d_v, constants=numbers, dtype=cues.dtype, length=room)
        state = jax.tree.map(lambda x: jnp.broadcast_to(x, (groups, *x.shape)), one)
    if rule.refuse is not None and checks.is_concrete((keys, outcomes, filled, numbers, state, learn)):
        written = cues[:, :, :, None] * alone[None, None] if compound == "tokens" else keys[:, :, None]
        _refuse(rule, state, written, outcomes, filled, numbers, learn)

    def write(state, key, outcome, control, active):
        after = rule.step(state, key, outcome, control, numbers)
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), after, state)

    def trial(state, now):
        key, intensity, outcome, control, active = now
        response = rule.read(state, key, numbers)
        each = jax.vmap(lambda q: rule.read(state, q, numbers))(alone) if strengths else None
        if compound != "tokens":
            return write(state, key, outcome, control, active), (response, each)
        there = intensity > 0
        # a trial without cues is one step with a key of zero
        there = there.at[0].set(there[0] | ~jnp.any(there))

        def token(state, cue):
            own, one = cue
            return write(state, own, outcome, control, active & one), None

        state, _ = lax.scan(token, state, (intensity[:, None] * alone, there))
        return state, (response, each)

    def group(state, *rows):
        return lax.scan(trial, state, rows)

    last, (responses, each) = jax.vmap(group)(state, keys, cues, outcomes, filled, learn)
    return Conditioning(jnp.where(trials.present[:, :, None], responses, 0), each, last)


def _refuse(rule, state, written, outcomes, controls, constants, learn) -> None:
    """Apply a rule's own checks to what each group writes; ``written`` has the axes (groups, trials, tokens, d_k)."""
    repeats = written.shape[2]
    for g in range(learn.shape[0]):
        rows = np.flatnonzero(np.asarray(learn[g]))
        if rows.size:
            keys = np.asarray(written[g])[rows].reshape(rows.size * repeats, -1)
            values_ = np.repeat(np.asarray(outcomes[g])[rows], repeats, axis=0)
            now = {name: np.repeat(np.asarray(x[g])[rows], repeats, axis=0) for name, x in controls.items()}
            rule.refuse(jax.tree.map(lambda x, g=g: x[g], state), keys, values_, now, constants)


def tested_response(result: Conditioning, trials: Trials) -> Float[Array, "groups outcomes"]:
    """Mean response over the test trials of each group; NaN in a group without any.

    Args:
        result: from `simulate`.
        trials: those that were simulated.
    """
    weights = (trials.test & trials.present).astype(result.responses.dtype)
    number = jnp.sum(weights, axis=1)
    total = jnp.sum(weights[:, :, None] * result.responses, axis=1)
    return jnp.where(number[:, None] > 0, total / jnp.where(number > 0, number, 1)[:, None], jnp.nan)
