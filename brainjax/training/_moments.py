r"""Training that is looked at after given numbers of updates, which need not be evenly spaced."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int, Int32

from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.training._epochs import random_order

__all__ = ["recorded_at"]


def recorded_at(
    key: PRNGKey,
    state: Any,
    *,
    step: Callable[[Any, Any, PRNGKey], tuple[Any, Any]],
    fetch: Callable[[Int32[Array, " batch"]], Any],
    rows: Int[ArrayLike, " n"],
    batch_size: int,
    moments: Sequence[int],
    observe: Callable[[Any], Any],
) -> tuple[Any, Any]:
    """Train as `epochs` does, on the same batches, and record after given numbers of updates.

    The dense look at the beginning that early learning needs costs no observations later. Both step and observation
    are compiled once; the orders of all epochs are drawn before the first update.

    Args:
        key: typed PRNG key of orders and steps.
        state: to start from, any tree of arrays.
        step: ``step(state, batch, key) -> (state, info)``; the info is not kept.
        fetch: makes a batch of numbers of rows, inside the compiled step.
        rows: numbers of the rows that are trained on, of shape (n,).
        batch_size: rows in an update, at most n. Rows that fill no batch at the end of an epoch are left out of it.
        moments: numbers of updates, increasing, 0 or more: ``(0, 10, 100, 1000)``. Training ends at the last.
        observe: what to record of a state.

    Returns:
        The last state, and what was observed, with a first axis as long as ``moments``.

    Raises:
        ValueError: if the moments are not whole numbers that increase from 0 or more, or ``batch_size`` is not from 1
            to the number of rows.
    """
    rows = jnp.asarray(rows, jnp.int32)
    n, times = rows.shape[0], [int(moment) for moment in moments]
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be from 1 to the number of rows, {n}, got {batch_size}")
    steady = all(a < b for a, b in zip([-1, *times], times, strict=False)) and times == list(moments)
    if not times or not steady:
        raise ValueError(f"moments must be whole numbers that increase from 0 or more, got {tuple(moments)}")
    whole = n // batch_size

    def one_order(number: Array) -> tuple[Array, Array]:
        orders, steps = jax.random.split(jax.random.fold_in(key, number))
        order = random_order(jax.random.fold_in(orders, 0), rows)[: whole * batch_size]
        return order.reshape(whole, batch_size), steps

    order, steps = lax.map(one_order, jnp.arange(max(1, -(-times[-1] // whole)), dtype=jnp.int32))

    def update(j: Array, state: Any) -> Any:
        number, place = j // whole, j % whole
        return step(state, fetch(order[number, place]), jax.random.fold_in(steps[number], place))[0]

    def advance(state: Any, ends: tuple[Array, Array]) -> tuple[Any, Any]:
        state = lax.fori_loop(ends[0], ends[1], update, state)
        return state, observe(state)

    last = jnp.asarray(times, jnp.int32)
    return lax.scan(advance, state, (jnp.concatenate([jnp.zeros(1, jnp.int32), last[:-1]]), last))
