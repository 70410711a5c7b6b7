r"""Kernels along training: how far the tangent kernel has turned and grown, with only the first one kept.

A kernel at every record would take records × outputs² numbers. `kernel_observer` keeps the first kernel and reduces
every later one to a few numbers at once; `follow_kernel` also keeps the latest, which gives the velocity.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats
from brainjax.richness._alignment import kernel_alignment, kernel_change, kernel_distance, norm

__all__ = ["KernelCurves", "KernelShift", "follow_kernel", "kernel_observer", "kernel_shift"]

State = TypeVar("State")


class KernelShift(NamedTuple):
    """How a kernel differs from the first one: numbers, or curves over records."""

    alignment: Array
    """Kernel alignment with the first kernel: blind to scale."""
    distance: Array
    """1 - alignment, with its digits."""
    change: Array
    """Frobenius norm of the change over that of the first kernel: sees scale."""
    size: Array
    """Frobenius norm of the kernel; 0 tells that the network is silent."""


class KernelCurves(NamedTuple):
    """What `follow_kernel` returns: curves over records, the first of them before training."""

    shift: KernelShift
    velocity: Array
    """Kernel distance between successive records per step, one fewer than records. It depends on the spacing: see
    `kernel_velocity`."""


def kernel_shift(first: ArrayLike, kernel: ArrayLike) -> KernelShift:
    """Compares a kernel with the first one.

    Args:
        first: the first kernel, shape (points, points).
        kernel: a later one over the same points.

    Returns:
        Four numbers.

    Raises:
        ValueError: if they are not square matrices of one size.
    """
    before, after = as_floats(first, kernel)
    return KernelShift(
        kernel_alignment(before, after), kernel_distance(before, after), kernel_change(before, after), norm(after)
    )


def kernel_observer(kernel: Callable[[State], ArrayLike], first: ArrayLike) -> Callable[[State], KernelShift]:
    """What to observe in :func:`brainjax.core.record.scan_every` to get the kernel's course along training.

    ``observe=kernel_observer(kernel, kernel(start))`` records the shift from the first kernel and keeps that one only.
    Observe other things too with ``lambda state: (observer(state), loss(state))``.

    Args:
        kernel: from a state of training to the kernel over the probes.
        first: the kernel that others are compared with, shape (points, points).

    Returns:
        A function from a state to a `KernelShift`.
    """
    return lambda state: kernel_shift(first, kernel(state))


def follow_kernel(
    step: Callable[[State, Array], State],
    state: State,
    *,
    kernel: Callable[[State], ArrayLike],
    steps: int,
    every: int = 1,
) -> tuple[State, KernelCurves]:
    """Trains, and follows the kernel from record to record; keeps the first kernel and the latest.

    Args:
        step: ``step(state, j) -> state``, where ``j`` is the number of the step, an int32 counted from 0.
        state: the first state, any tree of arrays.
        kernel: from a state to the kernel over the probes, shape (points, points).
        steps: how many steps.
        every: record after each ``every`` steps; it must divide ``steps``.

    Returns:
        The last state, and curves with ``steps // every + 1`` records.

    Raises:
        ValueError: if ``steps`` is negative, ``every`` does not divide it, or kernels are not square.
    """
    if steps < 0:
        raise ValueError(f"steps must be zero or more, got {steps}")
    if every < 1 or steps % every:
        raise ValueError(f"every must be 1 or more and divide steps = {steps}, got {every}")
    (first,) = as_floats(kernel(state))

    def record(carry: tuple[State, Array], block: Array) -> tuple[tuple[State, Array], tuple[KernelShift, Scalar]]:
        now, latest = carry

        def inner(inside: State, j: Array) -> State:
            return step(inside, block * every + j)

        now, _ = scan_every(inner, now, steps=every, every=every, observe=lambda _: None)
        (following,) = as_floats(kernel(now))
        return (now, following), (kernel_shift(first, following), kernel_distance(latest, following) / every)

    blocks = jnp.arange(steps // every, dtype=jnp.int32)
    (state, _), (shifts, velocity) = lax.scan(record, (state, first), blocks)
    start = kernel_shift(first, first)
    shifts = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, shifts)
    return state, KernelCurves(shifts, velocity)
