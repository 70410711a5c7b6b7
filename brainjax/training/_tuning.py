r"""Training whose constant is chosen first by short trials, all of it one program."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Int32

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.training._epochs import random_order

__all__ = ["TunedRun", "tuned_epochs"]


class TunedRun(NamedTuple):
    """What training leaves."""

    state: Any
    """The state after the last epoch."""
    records: Any
    """What was observed, with a first axis of length epochs + 1; the first is the state before training."""
    scores: Float[Array, " trials"]
    """Of every trial, when it ended."""
    chosen: Int32[Array, ""]
    """The number of the trial that went on: the first of the best."""


def tuned_epochs(
    key: PRNGKey,
    state: Any,
    values: Float[ArrayLike, " trials"],
    *,
    step: Callable[[Any, Any, PRNGKey, Array], tuple[Any, Any]],
    fetch: Callable[[Int32[Array, " batch"]], Any],
    rows: Int[ArrayLike, " n"],
    batch_size: int,
    trial_updates: int,
    epochs: int,
    score: Callable[[Any], Array],
    observe: Callable[[Any], Any],
) -> TunedRun:
    """Try several values of a constant, such as the learning rate, and train over epochs with the best.

    Every trial starts from ``state`` and sees the first batches that `epochs` would see with this key; the one with the
    best score goes on from where it ended. So the result is that of `epochs` with the chosen value, and the trials cost
    all but one of them. The step is compiled once.

    Args:
        key: typed PRNG key of orders and steps.
        state: to start from, any tree of arrays.
        values: to try, of shape (trials,).
        step: ``step(state, batch, key, value) -> (state, info)``; the info is not kept.
        fetch: makes a batch of numbers of rows, inside the compiled step.
        rows: numbers of the rows that are trained on, of shape (n,).
        batch_size: rows in an update, at most n. Rows that fill no batch at the end of an epoch are left out of it.
        trial_updates: how long a trial is: from 1 to the updates of an epoch.
        epochs: how many, 1 or more, with the trial.
        score: of a state, the higher the better; one that is not finite is worse than all others.
        observe: what to record of a state between epochs.

    Returns:
        The last state, what was observed, the scores, and which value was chosen.

    Raises:
        ValueError: if a size is not positive, ``batch_size`` is larger than the number of rows, ``trial_updates`` than
            an epoch, or there are no values.
    """
    rows, values = jnp.asarray(rows, jnp.int32), jnp.asarray(values)
    n, trials = rows.shape[0], values.size
    checks.at_least("epochs", epochs, 1)
    if values.ndim != 1 or not trials:
        raise ValueError(f"values must have shape (trials,) with at least one, got {values.shape}")
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be from 1 to the number of rows, {n}, got {batch_size}")
    whole = n // batch_size
    if not 1 <= trial_updates <= whole:
        raise ValueError(f"trial_updates must be from 1 to the {whole} updates of an epoch, got {trial_updates}")

    def stage(carry: Any, given: tuple[Array, ...]) -> tuple[Any, tuple[Any, Array]]:
        now, kept, best, chosen = carry
        number, epoch, begin, end = given
        trying = (number >= 1) & (number <= trials)
        now = _either(trying, state, _either(number == trials + 1, kept, now))
        value = values[jnp.where(trying, number - 1, chosen)]
        orders, steps = jax.random.split(jax.random.fold_in(key, epoch))
        order = random_order(jax.random.fold_in(orders, 0), rows)[: whole * batch_size].reshape(whole, batch_size)

        def update(j: Array, now: Any) -> Any:
            return step(now, fetch(order[j]), jax.random.fold_in(steps, j), value)[0]

        now = lax.fori_loop(begin, end, update, now)
        reached, seen = lax.cond(trying, lambda s: (_finite(score(s)), nothing), lambda s: (lowest, observe(s)), now)
        better = trying & (reached > best)
        kept, best = _either(better, now, kept), jnp.where(better, reached, best)
        return (now, kept, best, jnp.where(better, number - 1, chosen)), (seen, reached)

    def _finite(score: Array) -> Array:
        return jnp.where(jnp.isfinite(score), score, lowest)

    state = jax.tree.map(jnp.asarray, state)
    seen, reached = jax.eval_shape(lambda s: (observe(s), score(s)), state)
    nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), seen)
    lowest = jnp.asarray(-jnp.inf, reached.dtype)
    # The stages: no update; the trials; the epochs, of which the first goes on from where the best trial ended.
    first = np.arange(epochs) == 0
    numbers = np.arange(1 + trials + epochs)
    epoch = np.r_[np.zeros(1 + trials), np.arange(epochs)]
    begin = np.r_[np.zeros(1 + trials), np.where(first, trial_updates, 0)]
    end = np.r_[0, np.full(trials, trial_updates), np.full(epochs, whole)]
    stages = tuple(jnp.asarray(x, jnp.int32) for x in (numbers, epoch, begin, end))
    carry = state, state, lowest, jnp.zeros((), jnp.int32)
    (last, _, _, chosen), (records, scores) = lax.scan(stage, carry, stages)
    records = jax.tree.map(lambda x: jnp.concatenate([x[:1], x[1 + trials :]]), records)
    return TunedRun(last, records, scores[1 : 1 + trials], chosen)


def _either(flag: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), yes, no)
