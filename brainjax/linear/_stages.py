r"""One stage of learning, exactly: between two switches of a deficit all pathways are moved by one clock.

With the clock :math:`\mathrm d\eta = \Omega\,\mathrm dt` every pathway's state is a function of :math:`\eta` alone, so
a stage is a single scalar equation :math:`\mathrm d\eta/\mathrm dt = \Omega(\eta)`, which one integral
:math:`t = \int \mathrm d\eta/\Omega` solves. Its argument is the coordinate of the pathway that leads; the
integral's logarithmic growth towards the end of learning is taken out in closed form, and what is left is smooth. The
reduction and this form of it are derived by us.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.quadrature import antiderivative, evaluate_antiderivative, nodes_between
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, Scalar
from brainjax.linear._coordinates import Coordinate

__all__ = ["Pathways", "Rest", "advance", "approach", "settle"]

_ORDER = 24


class Pathways(NamedTuple):
    """What does not change in a stage. Each field of shape (paths,)."""

    depth: Array
    """Number of layers, real."""
    scale: Array
    """Unit of p: s^(1/depth) for balanced layers, sqrt(imbalance) otherwise."""
    present: Array
    """Boolean: whether the pathway contributes to the output."""

    def unit(self) -> Array:
        """Unit of strength."""
        return self.scale**self.depth


class Rest(NamedTuple):
    """Where a stage would end if it lasted forever; pathways in the order of ``order``, the one that leads first."""

    order: Array
    z: Array
    end: Array
    paths: Pathways
    speed: Array
    """Clock time of each pathway, in units of its scale, per unit of the shared clock."""
    moves: Array
    """Whether anything moves at all, beyond rounding."""


def _total(kind: Coordinate, z: Array, paths: Pathways) -> Scalar:
    return jnp.sum(jnp.where(paths.present, paths.unit() * jax.vmap(kind.strength)(z, paths.depth), 0))


def _leading(first: Scalar, others: Array) -> Array:
    return jnp.concatenate([first[None], others])


def _rest(kind: Coordinate, z: Array, gate: Array, s: Scalar, paths: Pathways, head_start: Array | None = None) -> Rest:
    negative = jnp.minimum(jax.vmap(kind.strength)(z, paths.depth), 0)
    goal = s - jnp.sum(jnp.where(paths.present, paths.unit() * negative, 0))
    reach = jax.vmap(kind.reach)(goal / paths.unit(), paths.depth)
    phase = jax.vmap(kind.phase)(z, paths.depth)
    speed = jnp.where(paths.present, gate * paths.scale ** (paths.depth - 2), 0)
    lowest = z
    if head_start is not None:
        # Without the history that led to a head start, one path may have to end below where it is.
        phase = phase + speed * head_start
        lowest = z - 5 - jnp.abs(z)
    # First comes the pathway that would be the first to do everything on its own; no other can then do more than that.
    needed = (jax.vmap(kind.phase)(reach, paths.depth) - phase) / jnp.where(speed > 0, speed, 1)
    order = jnp.argsort(jnp.where(speed > 0, lax.stop_gradient(needed), jnp.inf))
    z, speed, reach, phase, lowest, paths = jax.tree.map(lambda x: x[order], (z, speed, reach, phase, lowest, paths))
    depth, moving = paths.depth, speed > 0
    ratio = speed[1:] / jnp.where(moving[0], speed[0], 1)
    offset = phase[1:] - ratio * phase[0]
    upper = jnp.maximum(z, reach)

    def places(leading):
        phases = offset + ratio * kind.phase(leading, depth[0])
        others = jax.vmap(kind.unphase)(phases, depth[1:], lowest[1:], upper[1:])
        return _leading(leading, jnp.where(moving[1:], others, z[1:]))

    leading = monotone_root(lambda x: _total(kind, places(x), paths) - s, lowest[0], reach[0], reach[0])
    moves = moving[0]
    if head_start is None:
        eps = float(jnp.finfo(z.dtype).eps)
        moves = moves & (leading - z[0] > 2 * eps * (jnp.abs(leading) + jnp.abs(z[0])))
    return Rest(order, z, places(jnp.where(moves, leading, z[0])), paths, speed, moves)


def _restored(rest: Rest, result: Array) -> Array:
    return jnp.where(rest.moves, result, rest.z)[jnp.argsort(rest.order)]


def settle(
    kind: Coordinate, z: Array, *, gate: Array, s: Scalar, paths: Pathways, head_start: Array | None = None
) -> Array:
    """The coordinates at the end of a stage that lasts forever, of shape (paths,).

    ``head_start`` is the clock time by which each pathway, of shape (paths,), is ahead of its state ``z``.
    """
    rest = _rest(kind, z, gate, s, paths, head_start)
    return _restored(rest, rest.end)


def _interpolated(duration: Scalar, relaxation: Scalar, progress: Array, values: Array) -> Scalar:
    """About where the time since the start, known at a few places, reaches the duration."""
    time = relaxation * progress + values
    below = jnp.sum(time < duration)
    index = jnp.arange(time.size)

    def at(table, i):
        return jnp.sum(jnp.where(index == i, table, 0))

    t0, t1, x0, x1 = at(time, below - 1), at(time, below), at(progress, below - 1), at(progress, below)
    inside = x0 + (x1 - x0) * (duration - t0) / jnp.where(t1 > t0, t1 - t0, 1)
    return jnp.where(below == time.size, x0 + (duration - t0) / relaxation, inside)


def advance(kind: Coordinate, z: Array, duration: Scalar, *, gate: Array, s: Scalar, paths: Pathways) -> Array:
    """The coordinates after a stage of a given duration, of shape (paths,).

    Args:
        kind: the coordinate, balanced or large.
        z: coordinates at the start, of shape (paths,).
        duration: how long the stage lasts, zero or more.
        gate: learning rate of each pathway during the stage, of shape (paths,).
        s: singular value of the mode; the strengths must not sum to more.
        paths: depths, scales and presence.
    """
    return approach(kind, _rest(kind, z, gate, s, paths), duration)


def approach(kind: Coordinate, rest: Rest, duration: Scalar) -> Array:
    """The coordinates that pathways on their way to rest have reached after a duration, of shape (paths,)."""
    end, paths, depth = rest.end, rest.paths, rest.paths.depth
    tip = end[0]
    back = jnp.where(rest.moves, rest.z[0] - tip, -1)
    speed = jnp.where(rest.moves, rest.speed[0], 1)
    ratio = jnp.where(rest.moves, rest.speed[1:], 0) / speed
    floor = jnp.minimum(rest.z, end)[1:]

    def displacements(d):
        amount = ratio * kind.clock(tip, d, depth[0])
        others = jax.vmap(kind.travel)(end[1:], amount, depth[1:], floor)
        return _leading(d, jnp.where(ratio > 0, others, 0))

    # Time over the logarithm of the distance, close to the end.
    paces = jax.vmap(kind.pace)(end, depth)
    slopes = jnp.where(paths.present, paths.unit() * jax.vmap(kind.slope)(end, depth), 0)
    steepness = jnp.sum(slopes * _leading(jnp.ones_like(tip), ratio) * paces[0] / paces)
    relaxation = paces[0] / (speed * jnp.where(rest.moves, steepness, 1))

    def smooth_part(d):
        gains = jax.vmap(kind.gain)(end, displacements(d), depth)
        left = -jnp.sum(jnp.where(paths.present, paths.unit() * gains, 0))
        return kind.pace(tip + d, depth[0]) / (speed * jnp.where(rest.moves, left, 1)) + relaxation / d

    zero = jnp.zeros_like(back)
    nodes = nodes_between(back, zero, _ORDER)
    values, series = antiderivative(jax.vmap(smooth_part)(nodes), back, zero)

    def overtime(progress):
        d = back * jnp.exp(-progress)
        return relaxation * progress + evaluate_antiderivative(series, d, back, zero) - duration

    last = 5 - math.log(jnp.finfo(end.dtype).eps)
    guess = _interpolated(duration, relaxation, jnp.log(back / nodes), values)
    progress = monotone_root(overtime, 0.0, last, guess)
    return _restored(rest, end + displacements(back * jnp.exp(-progress)))
