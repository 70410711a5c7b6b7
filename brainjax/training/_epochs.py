r"""Epochs over data that stays on the device: random order, a scan over batches, evaluation between epochs.

The loop knows neither networks nor losses: a step takes a state and a batch and gives the next state and what there is
to report. Every rule of `brainjax.credit` has such a step, and `supervised_step` makes one for a flax module.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int, Int32

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey

__all__ = ["EpochRun", "Evaluation", "best_epoch", "epochs", "evaluate", "one_epoch", "random_order", "split_rows"]


class EpochRun(NamedTuple):
    """What training leaves."""

    state: Any
    """The state after the last epoch."""
    records: Any
    """What was observed, with a first axis of length epochs + 1; the first is the state before training."""
    info: Any
    """What the step reported, mean over the updates of each epoch; a first axis of length epochs."""


class Evaluation(NamedTuple):
    """How good predictions are."""

    loss: Float[Array, ""]
    """Mean cross-entropy in nats."""
    accuracy: Float[Array, ""]
    """Share of right answers."""


def random_order(key: PRNGKey, rows: Int[ArrayLike, " n"]) -> Int32[Array, " n"]:
    """The same rows in random order.

    They are sorted by random numbers of at least 32 bits. Two rows with the same number, of which there is one pair in
    two orders of 60,000, keep their order; all others are in either order with the same probability. On a CPU this
    takes a fifth of the time of `jax.random.permutation`.

    Args:
        key: typed PRNG key.
        rows: numbers of rows, of shape (n,).
    """
    rows = jnp.asarray(rows, jnp.int32)
    n = rows.shape[0]
    places = jnp.arange(n, dtype=jnp.uint32)
    low = max(1, (n - 1).bit_length())  # bits of a place; those above it in a word are random
    order = places
    # Pass after pass from the lowest bits on, each of which keeps the order of the one before where bits are equal. A
    # sort of words is three times as fast as one of pairs, even in two passes.
    for words in jax.random.bits(key, (math.ceil(32 / (32 - low)), n), jnp.uint32):
        order = order[lax.sort((words << low) | places) & ((1 << low) - 1)]
    return rows[order]


def split_rows(key: PRNGKey, n: int, *, held_out: int) -> tuple[Int32[Array, " train"], Int32[Array, " held"]]:
    """Divide n examples at random into some to train on and some held out, such as for validation.

    Args:
        key: typed PRNG key.
        n: number of examples.
        held_out: how many are held out, from 0 to n - 1.

    Returns:
        Numbers of the rows of both parts, n - ``held_out`` and ``held_out`` of them.

    Raises:
        ValueError: if ``held_out`` is negative or leaves nothing to train on.
    """
    if not 0 <= held_out < n:
        raise ValueError(f"held_out must be at least 0 and below n = {n}, got {held_out}")
    order = random_order(key, jnp.arange(n, dtype=jnp.int32))
    return order[held_out:], order[:held_out]


def epochs(
    key: PRNGKey,
    state: Any,
    *,
    step: Callable[[Any, Any, PRNGKey], tuple[Any, Any]],
    fetch: Callable[[Int32[Array, " batch"]], Any],
    rows: Int[ArrayLike, " n"],
    batch_size: int,
    epochs: int,
    observe: Callable[[Any], Any] = lambda state: (),
    updates: int | None = None,
    shuffle: bool = True,
) -> EpochRun:
    """Train over epochs, as one scan.

    The order of epoch e and the keys of its steps depend on ``key`` and e only, so runs with one key see the same
    batches whatever they train, and training can go on from any epoch (see `one_epoch`).

    Args:
        key: typed PRNG key of orders and steps.
        state: to start from, any tree of arrays.
        step: ``step(state, batch, key) -> (state, info)``.
        fetch: makes a batch of numbers of rows, inside the compiled step: ``lambda r: (images[r], labels[r])``.
        rows: numbers of the rows that are trained on, of shape (n,).
        batch_size: rows in an update, at most n. Rows that fill no batch at the end of an epoch are left out of it.
        epochs: how many, 0 or more.
        observe: what to record of a state between epochs, such as an evaluation; nothing by default.
        updates: updates in an epoch, if it shall not be one pass through the rows; several passes are shuffled anew.
        shuffle: whether rows come in a new random order in every pass. Without it they come as they are.

    Returns:
        The last state, what was observed, and what the steps reported.

    Raises:
        ValueError: if a size is not positive, or ``batch_size`` is larger than the number of rows.
    """
    rows = jnp.asarray(rows, jnp.int32)
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more, got {epochs}")

    def body(state: Any, number: Array) -> tuple[Any, tuple[Any, Any]]:
        state, info = one_epoch(
            key,
            state,
            number,
            step=step,
            fetch=fetch,
            rows=rows,
            batch_size=batch_size,
            updates=updates,
            shuffle=shuffle,
        )
        return state, (info, observe(state))

    first = observe(state)
    last, (info, records) = lax.scan(body, state, jnp.arange(epochs, dtype=jnp.int32))
    return EpochRun(last, jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), first, records), info)


def one_epoch(
    key: PRNGKey,
    state: Any,
    number: Int[ArrayLike, ""],
    *,
    step: Callable[[Any, Any, PRNGKey], tuple[Any, Any]],
    fetch: Callable[[Int32[Array, " batch"]], Any],
    rows: Int[ArrayLike, " n"],
    batch_size: int,
    updates: int | None = None,
    shuffle: bool = True,
) -> tuple[Any, Any]:
    """One epoch of `epochs`: number ``number``, counted from 0 and possibly traced.

    Returns:
        The state after it, and what the steps reported, mean over its updates.
    """
    rows = jnp.asarray(rows, jnp.int32)
    n = rows.shape[0]
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be from 1 to the number of rows, {n}, got {batch_size}")
    whole = n // batch_size
    updates = whole if updates is None else updates
    if updates < 1:
        raise ValueError(f"updates must be 1 or more, got {updates}")
    passes = math.ceil(updates / whole)
    orders, steps = jax.random.split(jax.random.fold_in(key, jnp.asarray(number)))

    def one_pass(k: PRNGKey) -> Array:
        return (random_order(k, rows) if shuffle else rows)[: whole * batch_size]

    order = jnp.concatenate([one_pass(jax.random.fold_in(orders, p)) for p in range(passes)])
    order = order[: updates * batch_size].reshape(updates, batch_size)

    def update(state: Any, inputs: tuple[Array, Array]) -> tuple[Any, Any]:
        chosen, j = inputs
        return step(state, fetch(chosen), jax.random.fold_in(steps, j))

    state, info = lax.scan(update, state, (order, jnp.arange(updates, dtype=jnp.int32)))
    return state, jax.tree.map(lambda a: jnp.mean(a, 0), info)


def evaluate(
    predict: Callable[[Array], Array], images: ArrayLike, labels: Int[ArrayLike, " n"], *, block: int = 1000
) -> Evaluation:
    """Cross-entropy and accuracy of predictions over many examples, a block at a time.

    Args:
        predict: outputs, of shape (block, classes), for a block of images: logarithms of odds (logits).
        images: of shape (n, ...), such as bytes; ``predict`` makes floats of them.
        labels: of shape (n,), from 0.
        block: examples at a time, which bounds the memory. The last block is filled up and the filling not counted.

    Returns:
        Mean cross-entropy and accuracy, NaN and 0 where outputs are not finite.

    Raises:
        ValueError: if ``block`` is not positive, or images and labels differ in number, or there are none.
    """
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    n = labels.shape[0]
    if block < 1:
        raise ValueError(f"block must be 1 or more, got {block}")
    if n < 1 or images.shape[0] != n:
        raise ValueError(f"labels must be one per image, got {n} labels for {images.shape[0]} images")
    block = min(block, n)
    starts = block * jnp.arange(math.ceil(n / block), dtype=jnp.int32)

    def one_block(start: Array) -> tuple[Array, Array]:
        places = start + jnp.arange(block, dtype=jnp.int32)
        real = places < n
        chosen = jnp.minimum(places, n - 1)
        outputs, wanted = predict(images[chosen]), labels[chosen].astype(jnp.int32)
        loss = -jnp.take_along_axis(jax.nn.log_softmax(outputs), wanted[:, None], 1)[:, 0]
        right = (jnp.argmax(outputs, 1).astype(wanted.dtype) == wanted) & jnp.all(jnp.isfinite(outputs), 1)
        return jnp.sum(jnp.where(real, loss, 0)), jnp.sum((real & right).astype(loss.dtype))

    losses, right = lax.map(one_block, starts)
    return Evaluation(jnp.sum(losses) / n, jnp.sum(right) / n)


def best_epoch(
    values: Float[ArrayLike, " records"], *, better: str = "lower", patience: int | None = None
) -> Int32[Array, ""]:
    """The epoch that a declared criterion selects.

    Args:
        values: of a measure on held-out data, one for each record of a run, of shape (records,). Those that are not
            finite are worse than all others.
        better: ``"lower"`` for losses or ``"higher"`` for accuracies.
        patience: how many epochs without a better value end the search, 1 or more; by default it goes to the end.

    Returns:
        The number of the first best record, among those before the search ends.

    Raises:
        ValueError: if ``better`` is another word, ``patience`` is below 1, or there are no values.
    """
    checks.one_of("better", better, ("lower", "higher"))
    if patience is not None and patience < 1:
        raise ValueError(f"patience must be 1 or more, or None, got {patience}")
    values = jnp.asarray(values)
    if values.ndim != 1 or values.shape[0] < 1:
        raise ValueError(f"values must have shape (records,) with at least one, got {values.shape}")
    cost = values if better == "lower" else -values
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)
    if patience is not None:
        cost = jnp.where(_within(cost, patience), cost, jnp.inf)
    return jnp.argmin(cost).astype(jnp.int32)


def _within(cost: Float[Array, " records"], patience: int) -> Bool[Array, " records"]:
    """Which records an observer sees who stops after ``patience`` ones that are no better than the best before."""

    def look(carry: tuple[Array, Array, Array], value: Array) -> tuple[tuple[Array, Array, Array], Array]:
        best, waited, stopped = carry
        improved = value < best
        waited = jnp.where(improved, 0, waited + 1)
        return (jnp.minimum(best, value), waited, stopped | (waited >= patience)), ~stopped

    first = jnp.asarray(jnp.inf, cost.dtype), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return lax.scan(look, first, cost)[1]
