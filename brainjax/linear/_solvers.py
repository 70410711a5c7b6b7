"""Three ways to solve the learning of pathways: the steps of gradient descent, its flow, and the exact clock."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

from brainjax.core import checks
from brainjax.core.flow import piecewise_flow
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats, is_concrete
from brainjax.linear import _pathways
from brainjax.linear._coordinates import BALANCED, LARGE
from brainjax.linear._pathways import Network, Windows
from brainjax.linear._stages import Pathways, advance

__all__ = ["PathwayRun", "pathway_clock", "pathway_euler", "pathway_flow"]


class PathwayRun(NamedTuple):
    """What a solver returns."""

    time: Float[Array, " records"]
    """When the states were recorded."""
    p: Float[Array, "records paths modes"]
    """The small layer of each path and mode (any layer, if they are balanced)."""
    strength: Float[Array, "records paths modes"]
    """What each path contributes to the output; zero where it is lesioned."""
    success: Bool[Array, ""]
    """Whether every number is finite and no integration gave up."""


def _run(time: Array, states: Array, network: Network) -> PathwayRun:
    outputs = jax.vmap(lambda p: _pathways.output(p, network))(states)
    return PathwayRun(time, states, outputs, jnp.all(jnp.isfinite(states)))


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
    return _run(time, states, network)


def _record_times(times: ArrayLike) -> None:
    checks.non_negative("times", times)
    checks.finite("times", times)
    if np.ndim(times) != 1:
        raise ValueError(f"times must have shape (records,), got {np.shape(times)}")
    checks.increasing("times", times, strictly=False)


def _pieces(times: Array, windows: Windows, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """All edges in time from 0 on, the gates between them, and which edge each record is.

    What lies between two edges follows from their order, also where they coincide: a piece of no length yet has the
    gates that it would have if an edge moved, and the derivatives are right.
    """
    zero, last = jnp.zeros_like(times[:1]), times[-1]
    switches = jnp.stack([windows.start, windows.stop], axis=1).reshape(-1)
    # Not a clip, whose derivative at 0 is one half.
    switches = jnp.where(switches < 0, 0, jnp.where(switches > last, last, switches))
    edges = jnp.concatenate([zero, times, switches])
    order = jnp.argsort(edges, stable=True)
    rank = jnp.argsort(order)
    recorded, starts, stops = rank[1 : 1 + times.size], rank[1 + times.size :: 2], rank[2 + times.size :: 2]
    piece = jnp.arange(edges.size - 1)[:, None]
    inside = (starts[None] <= piece) & (piece < stops[None])
    gates = jnp.prod(jnp.where(inside[:, :, None, None], windows.gate[None], 1), axis=1)
    return edges[order], jnp.broadcast_to(gates, (edges.size - 1, *shape)), recorded


def pathway_flow(
    p0: ArrayLike,
    *,
    times: ArrayLike,
    s: ArrayLike,
    depth: ArrayLike,
    imbalance: ArrayLike = 0.0,
    windows: Windows | None = None,
    lesions: ArrayLike | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 10_000,
    solver: Any = None,
    adjoint: Any = None,
) -> PathwayRun:
    r"""Learn by gradient flow, integrated adaptively; no step crosses the edge of a window.

    The relaxation rate of a balanced mode is :math:`\sum_a D_a K_a^{2-2/D_a}`, and an explicit solver takes about a
    third of a step per unit of rate times time, however little still happens: for long times take `pathway_clock`, or
    an implicit ``solver``.

    Args:
        p0: state at time 0, of shape (paths, modes); of either sign.
        times: when to record, zero or more, in increasing order, of shape (records,).
        s: singular values, a number or of shape (modes,).
        depth: number of layers, 1 or more, a number or of shape (paths,).
        imbalance: conserved difference of squares c, zero (balanced) or more, a number or of shape (paths,).
        windows: deficits, from `windows`.
        lesions: true where a path's mode is gone for good, of shape (paths, modes).
        rtol: relative tolerance; 1e-9 in float64 and 1e-6 in float32 by default.
        atol: absolute tolerance; a thousandth of ``rtol`` by default.
        max_steps: most steps between two edges or records; more give NaN and no success.
        solver: a diffrax solver, Tsitouras 5 by default.
        adjoint: a diffrax adjoint; ``diffrax.ForwardMode()`` for forward-mode derivatives.

    Returns:
        The states and strengths at ``times``.

    Raises:
        ValueError: if a concrete argument is out of its range or a shape does not fit.
    """
    _record_times(times)
    p, network = _pathways.describe(p0, s=s, depth=depth, imbalance=imbalance, windows=windows, lesions=lesions)
    p, times = as_floats(p, jnp.asarray(times, p.dtype))
    edges, gates, index = _pieces(times, network.windows, p.shape)
    states, _ = piecewise_flow(
        lambda t, p, gate: _pathways.rate(p, gate, network),
        p,
        edges,
        gates,
        rtol=rtol,
        atol=atol,
        max_steps=max_steps,
        solver=solver,
        adjoint=adjoint,
    )
    return _run(times, states[index], network)


def pathway_clock(
    p0: ArrayLike,
    *,
    times: ArrayLike,
    s: ArrayLike,
    depth: ArrayLike,
    imbalance: ArrayLike = 0.0,
    windows: Windows | None = None,
    lesions: ArrayLike | None = None,
) -> PathwayRun:
    r"""Learn by gradient flow, exactly, through the clock :math:`\mathrm d\eta = \Omega\,\mathrm dt` that paths share.

    Between two edges or records every path moves along its own curve by :math:`g_a\,\eta`, and :math:`\eta(t)` solves
    one scalar equation per mode. There is no tolerance, and time can be as long as one likes. Derived by us.

    Args:
        p0: state at time 0, of shape (paths, modes). With balanced layers zero or more, and a path at zero stays there;
            with an imbalance of either sign.
        times: when to record, zero or more, in increasing order, of shape (records,).
        s: singular values, positive, at least the sum of the initial strengths; a number or of shape (modes,).
        depth: number of layers, 1 or more, real, a number or of shape (paths,).
        imbalance: conserved difference of squares c: the number 0 for balanced layers, or positive in every path, a
            number or of shape (paths,). A traced value is taken to be positive.
        windows: deficits, from `windows`.
        lesions: true where a path's mode is gone for good, of shape (paths, modes).

    Returns:
        The states and strengths at ``times``.

    Raises:
        ValueError: if a concrete argument is out of its range or a shape does not fit.
    """
    _record_times(times)
    checks.positive("s", s)
    balanced = is_concrete(imbalance) and not np.any(np.asarray(imbalance))
    if balanced:
        checks.non_negative("p0", p0)
    else:
        checks.positive("imbalance", imbalance)
    p, network = _pathways.describe(p0, s=s, depth=depth, imbalance=imbalance, windows=windows, lesions=lesions)
    if balanced and is_concrete((p0, depth)):
        moves = (np.asarray(p0) > 0) | (np.broadcast_to(np.asarray(depth), p.shape[:1])[:, None] >= 2)
        checks.require(moves, "p0 must be positive where depth is below 2: a balanced path cannot be followed from 0")
    if is_concrete((p0, s, depth, imbalance, lesions)):
        layers, c = np.asarray(p0, float), np.broadcast_to(np.asarray(imbalance, float), p.shape[:1])[:, None]
        deep = np.broadcast_to(np.asarray(depth, float), p.shape[:1])[:, None]
        strengths = layers * (layers**2 + c) ** ((deep - 1) / 2)
        total = np.sum(strengths if lesions is None else np.where(np.asarray(lesions), 0, strengths), axis=0)
        allowed = np.asarray(s, float) * (1 + 1e-6)
        checks.require(total <= allowed, "p0 must give strengths that sum to at most s in each mode")
    p, times = as_floats(p, jnp.asarray(times, p.dtype))
    edges, gates, index = _pieces(times, network.windows, p.shape)
    kind = BALANCED if balanced else LARGE
    moves = network.present & (p > 0) if balanced else network.present
    depth = network.depth[:, 0]

    def scale_of(s: Array) -> Array:
        return s ** (1 / depth) if balanced else jnp.sqrt(network.imbalance[:, 0])

    def enter(p, moves, s):
        x = p / scale_of(s)
        return jnp.log(jnp.where(moves, x, 1)) if balanced else jnp.arcsinh(x)

    def leave(z, p, moves, s):
        return jnp.where(moves, scale_of(s) * (jnp.exp(z) if balanced else jnp.sinh(z)), p)

    def move(z, duration, gate, s, moves):
        return advance(kind, z, duration, gate=gate, s=s, paths=Pathways(depth, scale_of(s), moves))

    def piece(z, inputs):
        duration, gate = inputs
        z = jax.vmap(move, (1, None, 1, 0, 1), 1)(z, duration, gate, network.s, moves)
        return z, z

    start = jax.vmap(enter, (1, 1, 0), 1)(p, moves, network.s)
    _, path = lax.scan(piece, start, (jnp.diff(edges), gates))
    path = jnp.concatenate([start[None], path])[index]
    states = jax.vmap(lambda z: jax.vmap(leave, (1, 1, 1, 0), 1)(z, p, moves, network.s))(path)
    return _run(times, states, network)
