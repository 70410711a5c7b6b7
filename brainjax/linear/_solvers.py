"""Three ways to solve the learning of pathways: the steps of gradient descent, its flow, and the exact clock."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike
from brainjax.linear import _pathways
from brainjax.linear._pathways import Windows

__all__ = ["PathwayRun", "pathway_euler"]


class PathwayRun(NamedTuple):
    """What a solver returns."""

    time: Float[Array, " records"]
    """When the states were recorded; the first is 0."""
    p: Float[Array, "records paths modes"]
    """The small layer of each path and mode (any layer, if they are balanced)."""
    strength: Float[Array, "records paths modes"]
    """What each path contributes to the output; zero where it is lesioned."""


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum, and the rounding error that it made."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def pathway_euler(
    p0: ArrayLike,
    *,
    s: ArrayLike,
    depth: ArrayLike,
    dt: ArrayLike,
    steps: int,
    every: int = 1,
    imbalance: ArrayLike = 0.0,
    windows: Windows | None = None,
    lesions: ArrayLike | None = None,
) -> PathwayRun:
    r"""Learn by Euler's steps, :math:`p \leftarrow p + \Delta t\,\dot p`: gradient descent with rate :math:`\Delta t`.

    For decoupled pathways this is what full-batch gradient descent on the layers does, if they are balanced; with an
    imbalance it is Euler's method for the gradient flow. Update number :math:`j` leads from time :math:`j\,\Delta t` to
    :math:`(j+1)\,\Delta t`, and a window acts on it if ``start <= (j + 1/2) dt < stop``; so a window that begins and
    ends at multiples of the step acts on exactly the updates in between, whatever the rounding.

    The sum is compensated: increments far below the rounding error of p still add up, and a small initialisation does
    not stall in float32. Everything but ``steps`` and ``every`` may be traced.

    Args:
        p0: initial state, of shape (paths, modes); of either sign.
        s: singular values, a number or of shape (modes,).
        depth: number of layers, 1 or more, a number or of shape (paths,).
        dt: step of time, positive. Too large a step oscillates or diverges: the relaxation rate of a balanced mode is
            :math:`\sum_a D_a K_a^{2-2/D_a}`, and dt times it must stay below 2.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``.
        imbalance: conserved difference of squares c, zero (balanced) or more, a number or of shape (paths,).
        windows: deficits, from `windows`.
        lesions: true where a path's mode is gone for good, of shape (paths, modes): no output, no learning.

    Returns:
        Times, states and strengths, with ``steps // every + 1`` records, the initial state first.

    Raises:
        ValueError: if a concrete argument is out of its range, a shape does not fit, or there are so many steps that
            the dtype cannot tell the middle of a step from its ends.
    """
    checks.positive("dt", dt)
    p, network = _pathways.describe(p0, s=s, depth=depth, imbalance=imbalance, windows=windows, lesions=lesions)
    if steps * jnp.finfo(p.dtype).eps > 0.25:
        raise ValueError(f"steps must be at most {int(0.25 / jnp.finfo(p.dtype).eps)} in {p.dtype}, got {steps}")
    dt = jnp.asarray(dt, p.dtype)

    def step(carry, j):
        p, lost = carry
        gate = _pathways.gate_at((j.astype(p.dtype) + 0.5) * dt, network.windows)
        return _two_sum(p, dt * _pathways.rate(p, jnp.broadcast_to(gate, p.shape), network) + lost)

    _, states = scan_every(step, (p, jnp.zeros_like(p)), steps=steps, every=every, observe=lambda carry: carry[0])
    time = jnp.arange(0, steps + 1, every).astype(p.dtype) * dt
    return PathwayRun(time, states, jax.vmap(lambda p: _pathways.output(p, network))(states))
