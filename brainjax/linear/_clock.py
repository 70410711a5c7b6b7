r"""Critical periods in closed form: two pathways, one shared clock, and a window in which one of them is cut off.

While both pathways learn, the difference of their clocks cannot change; a window of deficit moves the free pathway
alone, by :math:`C = \int_{\text{window}} \Omega\,\mathrm dt`. So the final split depends on the whole history through
that one number. The reduction and the law are derived by us; the model is that of :cite:`shi2022` and
:cite:`kleinman2024`.

Functions ending in ``_large`` treat the "large" initialisation: in each pathway one layer :math:`p` is smaller than the
others, which are equal, :math:`q^2 - p^2 = c`, and :math:`p` may have either sign. The others treat balanced layers.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, is_concrete
from brainjax.linear._coordinates import BALANCED, LARGE, Coordinate
from brainjax.linear._stages import Pathways, advance, settle

__all__ = [
    "critical_period_curve",
    "critical_period_curve_large",
    "final_split",
    "final_split_large",
    "window_clock",
    "window_clock_large",
]

Problem = tuple[Array, Scalar, Pathways]


def _pairs(name: str, start: Any) -> Any:
    """Give a number to both pathways, and refuse a trailing axis other than of two pathways."""
    shape = jnp.asarray(start).shape if isinstance(start, list | tuple) else np.shape(start)
    if shape == ():
        return [start, start]
    if shape[-1] != 2:
        raise ValueError(
            f"{name} must be a number for both pathways or end in an axis of length 2 (free, gated), got shape {shape}"
        )
    return start


def _strengths(kind: Coordinate, z: Array, paths: Pathways) -> Array:
    return paths.unit() * jax.vmap(kind.strength)(z, paths.depth)


def _problem(kind: Coordinate, z: Array, s: Scalar, paths: Pathways) -> Problem:
    """What cannot be refused because it is traced, more strength than there is to learn, gives NaN."""
    fits = jnp.sum(_strengths(kind, z, paths)) <= s * (1 + 100 * float(jnp.finfo(z.dtype).eps))
    return jnp.where(fits, z, jnp.nan), s, paths


def _balanced_problem(start: Array, s: Scalar, depth: Scalar) -> Problem:
    depths = jnp.full((2,), depth)
    return _problem(BALANCED, jnp.log(start / s) / depth, s, Pathways(depths, s ** (1 / depths), jnp.ones(2, bool)))


def _large_problem(start: Array, s: Scalar, depth: Scalar, imbalance: Scalar) -> Problem:
    scale = jnp.full((2,), jnp.sqrt(imbalance))
    return _problem(LARGE, jnp.arcsinh(start / scale), s, Pathways(jnp.full((2,), depth), scale, jnp.ones(2, bool)))


def _window(kind: Coordinate, problem: Problem, onset: Scalar, duration: Scalar) -> tuple[Array, Array]:
    """The coordinates at the beginning and at the end of the window."""
    z, s, paths = problem

    def stage(z, gate_and_length):
        gate, length = gate_and_length
        z = advance(kind, z, length, gate=gate, s=s, paths=paths)
        return z, z

    gates = jnp.asarray([[1, 1], [1, 0]], z.dtype)
    # a loop, so that the compiler sees one stage, not two
    _, (begin, end) = lax.scan(stage, z, (gates, jnp.stack([onset, duration])))
    return begin, end


def _window_clock(kind: Coordinate, problem: Problem, onset: Scalar, duration: Scalar) -> Scalar:
    begin, end = _window(kind, problem, onset, duration)
    depth, scale = problem[2].depth[0], problem[2].scale[0]
    return scale ** (2 - depth) * kind.clock(begin[0], end[0] - begin[0], depth)


def _gated_strength(kind: Coordinate, problem: Problem, onset: Scalar, duration: Scalar) -> Scalar:
    _, s, paths = problem
    _, end = _window(kind, problem, onset, duration)
    end = settle(kind, end, gate=jnp.ones_like(end), s=s, paths=paths)
    return _strengths(kind, end, paths)[1]


def _split(kind: Coordinate, problem: Problem, clock: Scalar) -> Array:
    z, s, paths = problem
    ahead = clock * jnp.asarray([1, 0], z.dtype)
    return _strengths(kind, settle(kind, z, gate=jnp.ones_like(z), s=s, paths=paths, head_start=ahead), paths)


def _split_balanced(k0, s, clock, depth):
    return _split(BALANCED, _balanced_problem(k0, s, depth), clock)


def _split_of_large(p0, s, clock, depth, imbalance):
    return _split(LARGE, _large_problem(p0, s, depth, imbalance), clock)


def _clock_balanced(k0, onset, duration, s, depth):
    return _window_clock(BALANCED, _balanced_problem(k0, s, depth), onset, duration)


def _clock_of_large(p0, onset, duration, s, depth, imbalance):
    return _window_clock(LARGE, _large_problem(p0, s, depth, imbalance), onset, duration)


def _gated_balanced(k0, onset, duration, s, depth):
    return _gated_strength(BALANCED, _balanced_problem(k0, s, depth), onset, duration)


def _gated_of_large(p0, onset, duration, s, depth, imbalance):
    return _gated_strength(LARGE, _large_problem(p0, s, depth, imbalance), onset, duration)


@functools.partial(jax.jit, static_argnums=0)  # called in a notebook, a formula compiles once per shape
def _over_batch(function: Callable[..., Array], start: Array, *arguments: Array) -> Array:
    """Apply a function of a pair and scalars over the broadcast shape of a batch of pairs and arrays."""
    shape = jnp.broadcast_shapes(start.shape[:-1], *(argument.shape for argument in arguments))
    start = jnp.broadcast_to(start, (*shape, 2)).reshape(-1, 2)
    flat = [jnp.broadcast_to(argument, shape).reshape(-1) for argument in arguments]
    result = jax.vmap(function)(start, *flat)
    return result.reshape(*shape, *result.shape[1:])


def _check_balanced(k0: ArrayLike, s: ArrayLike, depth: ArrayLike) -> None:
    checks.positive("k0", k0)
    checks.positive("s", s)
    checks.at_least("depth", depth, 1)
    if is_concrete((k0, s)):
        total = np.sum(np.asarray(k0), axis=-1)
        checks.require(total <= np.asarray(s), "k0 must not sum to more than s over the two pathways")


def _check_large(p0: ArrayLike, s: ArrayLike, depth: ArrayLike, imbalance: ArrayLike) -> None:
    checks.finite("p0", p0)
    checks.positive("s", s)
    checks.at_least("depth", depth, 1)
    checks.positive("imbalance", imbalance)
    if is_concrete((p0, s, depth, imbalance)):
        p, s, depth, imbalance = (np.asarray(x, float) for x in (p0, s, depth, imbalance))
        strength = p * (p**2 + imbalance[..., None]) ** ((depth[..., None] - 1) / 2)
        checks.require(
            np.sum(strength, axis=-1) <= s, "p0 must not give strengths that sum to more than s over the two pathways"
        )


def _check_window(onset: ArrayLike, duration: ArrayLike) -> None:
    checks.non_negative("onset", onset)
    checks.non_negative("duration", duration)


def final_split(k0: ArrayLike, *, s: ArrayLike, clock: ArrayLike, depth: ArrayLike) -> Float[Array, "*batch 2"]:
    r"""The strengths (free, gated) that two balanced pathways end with, when the free one is ahead by a clock time.

    Solves, with :math:`p = K^{1/D}` and :math:`C` the clock time of the deficit,

    .. math:: p_b^{2-D} - p_a^{2-D} = p_{b0}^{2-D} - p_{a0}^{2-D} + (D-2)\,C, \qquad p_a^D + p_b^D = s,

    for :math:`D = 2`: :math:`K_b = s / (1 + (K_{a0}/K_{b0})\,e^{2C})`. Derived by us; model of :cite:`kleinman2024`.

    Valid for whitened inputs and pathways that are diagonal in the task's singular basis, under gradient flow. For
    ``clock = 0`` it is the race without a deficit. Differentiable in everything; depth is any real number from 1 on.

    Args:
        k0: initial strengths, positive: a number for both pathways, or an array ending in an axis of 2 (free, gated).
        s: singular value of the mode, at least the sum of ``k0``.
        clock: how far the free pathway's clock is ahead; negative if the gated one's is.
        depth: number of layers, 1 or more.

    Returns:
        Final strengths, of the broadcast shape of the arguments with a last axis (free, gated); they sum to ``s``.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    k0 = _pairs("k0", k0)
    _check_balanced(k0, s, depth)
    checks.finite("clock", clock)
    start, *rest = as_floats(k0, s, clock, depth)
    return _over_batch(_split_balanced, start, *rest)


def final_split_large(
    p0: ArrayLike, *, s: ArrayLike, clock: ArrayLike, depth: ArrayLike, imbalance: ArrayLike
) -> Float[Array, "*batch 2"]:
    r"""The strengths (free, gated) that two pathways of large initialisation end with; see `final_split`.

    Solves :math:`G(p_a) - G(p_b) = G(p_{a0}) - G(p_{b0}) + C` with :math:`K_a + K_b = s`, where
    :math:`K = p\,(p^2 + c)^{(D-1)/2}` and :math:`G(p) = \int_0^p (x^2+c)^{-(D-1)/2}\,\mathrm dx`. Derived by us; model
    of :cite:`kleinman2024`.

    Args:
        p0: initial small layer, of either sign: a number for both pathways, or ending in an axis of 2 (free, gated).
        s: singular value of the mode, positive, at least the sum of the initial strengths.
        clock: how far the free pathway's clock is ahead.
        depth: number of layers, 1 or more, real.
        imbalance: the conserved difference c of the squares of the large and the small layers, positive.

    Returns:
        Final strengths, of the broadcast shape of the arguments with a last axis (free, gated); they sum to ``s``.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    p0 = _pairs("p0", p0)
    _check_large(p0, s, depth, imbalance)
    checks.finite("clock", clock)
    start, *rest = as_floats(p0, s, clock, depth, imbalance)
    return _over_batch(_split_of_large, start, *rest)


def window_clock(
    onset: ArrayLike, *, duration: ArrayLike, s: ArrayLike, k0: ArrayLike, depth: ArrayLike
) -> Float[Array, "*batch"]:
    r"""The clock time :math:`C = \int \Omega\,\mathrm dt` by which a window of deficit sets the gated pathway back.

    About :math:`s` times the duration on the plateau before learning, zero once learning is over. Arguments as in
    `critical_period_curve`; with :math:`C`, `final_split` gives the outcome. Derived by us.

    Returns:
        The clock time, of the broadcast shape of the arguments.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    k0 = _pairs("k0", k0)
    _check_balanced(k0, s, depth)
    _check_window(onset, duration)
    start, *rest = as_floats(k0, onset, duration, s, depth)
    return _over_batch(_clock_balanced, start, *rest)


def window_clock_large(
    onset: ArrayLike, *, duration: ArrayLike, s: ArrayLike, p0: ArrayLike, depth: ArrayLike, imbalance: ArrayLike
) -> Float[Array, "*batch"]:
    """The clock time by which a deficit sets the gated pathway back, for large initialisation; see `window_clock`.

    Returns:
        The clock time, of the broadcast shape of the arguments.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    p0 = _pairs("p0", p0)
    _check_large(p0, s, depth, imbalance)
    _check_window(onset, duration)
    start, *rest = as_floats(p0, onset, duration, s, depth, imbalance)
    return _over_batch(_clock_of_large, start, *rest)


def critical_period_curve(
    onset: ArrayLike, *, duration: ArrayLike, s: ArrayLike, k0: ArrayLike, depth: ArrayLike
) -> Float[Array, "*batch"]:
    r"""The final strength of a pathway that cannot learn from ``onset`` to ``onset + duration``, exactly.

    Two balanced pathways of equal depth share one mode,
    :math:`\mathrm dK/\mathrm dt = g\,D K^{2-2/D}(s - K_a - K_b)`; the second one's gate :math:`g` is 0 in the window.
    An early window leaves it with next to nothing, a window after learning with its full share: the critical period of
    :cite:`kleinman2024`. The solution is exact up to rounding and a quadrature of spectral accuracy; derived by us.

    Time is that of gradient flow on :math:`\tfrac12\sum(s - K)^2` (learning rate times the number of steps). Valid for
    whitened inputs and pathways that are diagonal in the task's singular basis. Differentiable in everything,
    also at an onset or a duration of zero; depth is any real number from 1 on, so it can be swept by ``vmap``.

    Args:
        onset: beginning of the window, zero or more.
        duration: length of the window, zero or more.
        s: singular value of the mode, at least the sum of ``k0``.
        k0: initial strengths, positive: a number for both pathways, or an array ending in an axis of 2 (free, gated).
        depth: number of layers, 1 or more.

    Returns:
        Final strength of the gated pathway, of the broadcast shape of the arguments (without the axis of 2).

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    k0 = _pairs("k0", k0)
    _check_balanced(k0, s, depth)
    _check_window(onset, duration)
    start, *rest = as_floats(k0, onset, duration, s, depth)
    return _over_batch(_gated_balanced, start, *rest)


def critical_period_curve_large(
    onset: ArrayLike, *, duration: ArrayLike, s: ArrayLike, p0: ArrayLike, depth: ArrayLike, imbalance: ArrayLike
) -> Float[Array, "*batch"]:
    r"""The final strength of the gated pathway for large initialisation; see `critical_period_curve`.

    Args:
        onset: beginning of the window, zero or more.
        duration: length of the window, zero or more.
        s: singular value of the mode, positive, at least the sum of the initial strengths.
        p0: initial small layer, of either sign: a number for both pathways, or ending in an axis of 2 (free, gated).
        depth: number of layers, 1 or more, real.
        imbalance: the conserved difference c of the squares of the large and the small layers, positive.

    Returns:
        Final strength of the gated pathway, of the broadcast shape of the arguments (without the axis of 2).

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    p0 = _pairs("p0", p0)
    _check_large(p0, s, depth, imbalance)
    _check_window(onset, duration)
    start, *rest = as_floats(p0, onset, duration, s, depth, imbalance)
    return _over_batch(_gated_of_large, start, *rest)
