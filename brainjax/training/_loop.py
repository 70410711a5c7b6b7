r"""Gradient descent on fresh batches, as one scan: records along the way, and the state at which a loss was reached."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, PRNGKey

if TYPE_CHECKING:
    import optax

__all__ = ["TrainingRun", "train"]


class TrainingRun(NamedTuple):
    """What training leaves."""

    records: Any
    """What was observed, with a first axis of length ``steps // every + 1``; the first is the initial state."""
    loss: Float[Array, " windows"]
    """Training loss, mean over the updates of every window, each on its own batch before the update."""
    params: Any
    """The parameters after the last update."""
    at_level: Any
    """The parameters after the first window whose loss was at most ``level``; the last ones if there was none."""
    updates_to_level: Float[Array, ""]
    """Updates after which that was; -1 if never."""


def train(
    key: PRNGKey,
    params: Any,
    *,
    loss: Callable[[Any, Any], Array],
    sample: Callable[[PRNGKey], Any],
    transform: "optax.GradientTransformation",
    steps: int,
    every: int | None = None,
    window: int | None = None,
    level: ArrayLike = -jnp.inf,
    observe: Callable[[Any], Any] = lambda params: (),
    unroll: int = 1,
) -> TrainingRun:
    """Train on a fresh batch in every update.

    The batch of update j is ``sample(fold_in(key, j))``: it depends on nothing else, so runs with one key see the same
    batches whatever they train. The batches of a window are drawn together, which is faster than one by one; they must
    fit in memory.

    Args:
        key: typed PRNG key of the batches.
        params: initial parameters, any tree of floating-point arrays.
        loss: ``loss(params, batch)``, a number.
        sample: ``sample(key)``, one batch: any tree of arrays.
        transform: what optax makes of a gradient; its result is added to the parameters: ``optax.sgd(0.1)``.
        steps: how many updates.
        every: observe after each ``every`` updates; it must divide ``steps``. By default only at both ends.
        window: how many updates the loss is averaged over; it must divide ``every``. By default ``every``, but at most
            100 if that divides it.
        level: a loss. The parameters when a window first has it, or less, are kept: a comparison of different networks
            at equal loss.
        observe: what to record of the parameters, any tree of arrays; nothing by default.
        unroll: how many updates one iteration of the inner loop does.

    Returns:
        Records, losses, the last parameters, and those at the level.

    Raises:
        ValueError: if ``steps``, ``every`` or ``window`` is not positive or does not divide the one before.
    """
    every = steps if every is None else every
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"every must divide steps, both 1 or more, got every = {every} and steps = {steps}")
    if window is None:
        window = 100 if every % 100 == 0 else every
    if window < 1 or every % window:
        raise ValueError(f"window must be 1 or more and divide every = {every}, got {window}")
    checks.shape_of("level", level, ())

    def update(carry, batch):
        params, memory = carry
        value, gradient = jax.value_and_grad(loss)(params, batch)
        with jax.numpy_dtype_promotion("standard"):
            change, memory = transform.update(gradient, memory, params)
        params = jax.tree.map(lambda w, c: w + c.astype(w.dtype), params, change)
        return (params, memory), value

    def one_window(carry, first):
        state, kept, reached = carry
        numbers = first + jnp.arange(window, dtype=jnp.int32)
        batches = jax.vmap(lambda j: sample(jax.random.fold_in(key, j)))(numbers)
        state, losses = lax.scan(update, state, batches, unroll=min(unroll, window))
        mean = jnp.mean(losses)
        new = (reached < 0) & (mean <= jnp.asarray(level).astype(mean.dtype))
        kept = jax.tree.map(lambda now, old: jnp.where(new, now, old), state[0], kept)
        return (state, kept, jnp.where(new, (first + window).astype(reached.dtype), reached)), mean

    def block(carry, number):
        inner, losses = carry[0], carry[1]
        firsts = number * every + window * jnp.arange(every // window, dtype=jnp.int32)
        inner, means = lax.scan(one_window, inner, firsts)
        return inner, lax.dynamic_update_slice(losses, means, (number * (every // window),))

    params = jax.tree.map(jnp.asarray, params)
    with jax.numpy_dtype_promotion("standard"):
        memory = transform.init(params)
    _, of_loss = jax.eval_shape(lambda: update((params, memory), sample(key)))
    never = jnp.asarray(-1, of_loss.dtype)
    carry = ((params, memory), params, never), jnp.zeros(steps // window, of_loss.dtype)
    (((params, _), kept, reached), losses), records = scan_every(
        block, carry, steps=steps // every, observe=lambda carry: observe(carry[0][0][0])
    )
    kept = jax.tree.map(lambda a, b: jnp.where(reached < 0, a, b), params, kept)
    return TrainingRun(records, losses, params, kept, reached)
