"""A scan that keeps every k-th step."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.types import Array

__all__ = ["scan_every"]

Carry = TypeVar("Carry")


def scan_every(
    step: Callable[[Carry, Array], Carry],
    carry: Carry,
    *,
    steps: int,
    every: int = 1,
    observe: Callable[[Carry], Any] = lambda carry: carry,
    unroll: int = 1,
) -> tuple[Carry, Any]:
    """Apply a step many times and record an observation of the state before the first and after every k-th step.

    Args:
        step: ``step(carry, j) -> carry``, where ``j`` is the number of the step, an int32 counted from 0.
        carry: the state, any tree of arrays.
        steps: how many steps.
        every: record after each ``every`` steps; it must divide ``steps``.
        observe: what to record of a state; everything by default.
        unroll: how many steps one iteration of the inner loop does.

    Returns:
        The last state, and the records with a new first axis of length ``steps // every + 1``.

    Raises:
        ValueError: if ``steps`` is negative or ``every`` does not divide it.
    """
    if steps < 0:
        raise ValueError(f"steps must be zero or more, got {steps}")
    if every < 1 or steps % every:
        raise ValueError(f"every must be 1 or more and divide steps = {steps}, got {every}")

    def inner(state, j):
        return step(state, j), None

    def outer(state, block):
        counts = block * every + jnp.arange(every, dtype=jnp.int32)
        state, _ = lax.scan(inner, state, counts, unroll=min(unroll, every))
        return state, observe(state)

    first = observe(carry)
    last, records = lax.scan(outer, carry, jnp.arange(steps // every, dtype=jnp.int32))
    return last, jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), first, records)
