r"""One stage of learning, exactly: between two switches of a deficit all pathways are moved by one clock.

With the clock :math:`\mathrm d\eta = \Omega\,\mathrm dt` every pathway's state is a function of :math:`\eta` alone, so a
stage is a single scalar equation :math:`\mathrm d\eta/\mathrm dt = \Omega(\eta)`, which one integral
:math:`t = \int \mathrm d\eta/\Omega` solves. Its argument is the coordinate of the pathway that leads; the
integral's logarithmic growth towards the end of learning is taken out in closed form, and what is left is smooth. The
reduction and this form of it are derived by us.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.quadrature import antiderivative, evaluate_antiderivative, nodes_between
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, Scalar
from brainjax.linear._coordinates import Coordinate

__all__ = ["Pathways", "advance", "settle"]

_ORDER = 32


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


def _strengths(kind: Coordinate, z: Array, paths: Pathways) -> Array:
    return jnp.where(paths.present, paths.unit() * jax.vmap(kind.strength)(z, paths.depth), 0)


def _speeds(gate: Array, paths: Pathways) -> Array:
    """Clock time of each pathway, in units of its scale, per unit of the shared clock."""
    return jnp.where(paths.present, gate * paths.scale ** (paths.depth - 2), 0)


def _pick(leads: Array, values: Array) -> Scalar:
    return jnp.sum(jnp.where(leads, values, 0))


class _Rest(NamedTuple):
    """Where a stage would end if it lasted forever."""

    leads: Array
    ratio: Array
    end: Array
    moves: Array


def _rest(
    kind: Coordinate, z: Array, gate: Array, s: Scalar, paths: Pathways, head_start: Array | None = None
) -> _Rest:
    speed = _speeds(gate, paths)
    moving = speed > 0
    strength = _strengths(kind, z, paths)
    left = s - jnp.sum(strength)
    # The pathway that would be the first to do everything on its own; no other one can then do more than that.
    goal = s + jnp.sum(jnp.maximum(-strength, 0))
    reach = jax.vmap(kind.reach)(goal / paths.unit(), paths.depth)
    phase = jax.vmap(kind.phase)(z, paths.depth)
    lowest = z
    if head_start is not None:
        # Without the history that led to a head start, one path may have to end below where it is.
        phase = phase + speed * head_start
        lowest = z - 5 - jnp.abs(z)
    needed = (jax.vmap(kind.phase)(reach, paths.depth) - phase) / jnp.where(moving, speed, 1)
    leader = jnp.argmin(jnp.where(moving, lax.stop_gradient(needed), jnp.inf))
    leads = jnp.arange(z.size) == leader
    ratio = jnp.where(moving, speed, 0) / _pick(leads, jnp.where(moving, speed, 1))
    offset = phase - ratio * _pick(leads, phase)
    depth = _pick(leads, paths.depth)

    def places(leading):
        phases = offset + ratio * kind.phase(leading, depth)
        others = jax.vmap(kind.unphase)(phases, paths.depth, lowest, jnp.maximum(z, reach))
        return jnp.where(leads, leading, jnp.where(moving, others, z))

    start, stop = _pick(leads, lowest), _pick(leads, reach)
    leading = monotone_root(lambda x: jnp.sum(_strengths(kind, places(x), paths)) - s, start, stop, stop)
    noise = 8 * jnp.finfo(z.dtype).eps
    moves = jnp.any(moving) & (left > noise * s)
    if head_start is None:
        moves = moves & (leading - start > noise * (1 + jnp.abs(leading)))
    return _Rest(leads, ratio, places(jnp.where(moves, leading, start)), moves)


def settle(
    kind: Coordinate, z: Array, *, gate: Array, s: Scalar, paths: Pathways, head_start: Array | None = None
) -> Array:
    """The coordinates at the end of a stage that lasts forever, of shape (paths,).

    ``head_start`` is the clock time by which each pathway, of shape (paths,), is ahead of its state ``z``.
    """
    rest = _rest(kind, z, gate, s, paths, head_start)
    return jnp.where(rest.moves, rest.end, z)


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
    rest = _rest(kind, z, gate, s, paths)
    leads, ratio, end = rest.leads, rest.ratio, rest.end
    depth = _pick(leads, paths.depth)
    tip = _pick(leads, end)
    back = jnp.where(rest.moves, _pick(leads, z) - tip, -1)
    paces = jax.vmap(kind.pace)(end, paths.depth)
    slopes = jnp.where(paths.present, paths.unit() * jax.vmap(kind.slope)(end, paths.depth), 0)
    speed = _pick(leads, _speeds(gate, paths))
    speed = jnp.where(rest.moves, speed, 1)
    pace = _pick(leads, paces)
    # Time over logarithm of the distance, close to the end.
    relaxation = pace / (speed * jnp.where(rest.moves, jnp.sum(slopes * ratio * pace / paces), 1))

    def displacements(d):
        amount = ratio * kind.clock(tip, d, depth)
        others = jax.vmap(kind.travel)(end, amount, paths.depth, jnp.minimum(z, end))
        return jnp.where(leads, d, jnp.where(ratio > 0, others, 0))

    def smooth_part(d):
        gains = jax.vmap(kind.gain)(end, displacements(d), paths.depth)
        left = -jnp.sum(jnp.where(paths.present, paths.unit() * gains, 0))
        return kind.pace(tip + d, depth) / (speed * jnp.where(rest.moves, left, 1)) + relaxation / d

    zero = jnp.zeros_like(back)
    series = antiderivative(jax.vmap(smooth_part)(nodes_between(back, zero, _ORDER)), back, zero)

    def overtime(progress):
        d = back * jnp.exp(-progress)
        return relaxation * progress + evaluate_antiderivative(series, d, back, zero) - duration

    last = 5 - jnp.log(jnp.finfo(z.dtype).eps)
    progress = monotone_root(overtime, 0.0, last)
    ahead = end + displacements(back * jnp.exp(-progress))
    return jnp.where(rest.moves, ahead, z)
