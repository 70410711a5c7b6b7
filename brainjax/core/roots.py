"""The root of an increasing function of one number, found inside a bracket and differentiated implicitly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.types import ArrayLike, Scalar, as_floats

__all__ = ["monotone_root"]


def monotone_root(
    function: Callable[[Scalar], Scalar],
    lower: ArrayLike,
    upper: ArrayLike,
    guess: ArrayLike | None = None,
    *,
    max_steps: int = 100,
) -> Scalar:
    r"""Solve :math:`f(x) = 0` for an increasing scalar function inside :math:`[\text{lower}, \text{upper}]`.

    Newton's step, cut at the ends of the bracket, where it is at most half the step before, a bisection otherwise; the
    loop stops at rounding error, so a batch under ``vmap`` costs as many steps as its hardest member. A function
    without a sign change gives the end of the bracket that is nearer to one; NaN gives NaN.

    Derivatives with respect to everything ``function`` closes over come from the implicit function theorem,
    :math:`\mathrm d x = -\partial_\theta f\,\mathrm d\theta / f'(x)`, in forward and in reverse mode and to any order.
    The bracket and the guess carry none. A root where the slope vanishes is given a zero derivative.

    Args:
        function: increasing, differentiable, from a scalar to a scalar; it may close over traced values.
        lower: lower end of the bracket, a scalar.
        upper: upper end of the bracket, a scalar.
        guess: where to start; the middle of the bracket by default.
        max_steps: most steps; a bisection alone needs about 60 in float64.

    Returns:
        The root, a scalar of the inputs' dtype.
    """
    lower, upper, start = as_floats(lower, upper, jnp.nan if guess is None else guess)
    if guess is None:
        start = lower + (upper - lower) / 2
    lower, upper, start = (lax.stop_gradient(value) for value in (lower, upper, jnp.clip(start, lower, upper)))
    eps = float(jnp.finfo(start.dtype).eps)
    # Newton's step squares the error, so a step this small leaves rounding only.
    enough = eps ** (2 / 3)
    floor = eps * (upper - lower) + float(jnp.finfo(start.dtype).tiny)

    def solve(f, x):
        def unfinished(state):
            *_, count, done = state
            return ~done & (count < max_steps)

        def step(state):
            low, high, x, before, count, _ = state
            value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            low = jnp.where(value < 0, x, low)
            high = jnp.where(value < 0, high, x)
            newton = jnp.clip(x - value / jnp.where(slope > 0, slope, 1), low, high)
            small = enough * jnp.abs(newton) + floor
            good = (slope > 0) & ((2 * jnp.abs(value) <= before * slope) | (jnp.abs(newton - x) <= small))
            following = jnp.where(good, newton, low + (high - low) / 2)
            following = jnp.where(value == 0, x, jnp.where(jnp.isnan(value), jnp.nan, following))
            moved = jnp.abs(following - x)
            done = ~(moved > jnp.where(good, small, 2 * eps * jnp.abs(following) + floor))
            return low, high, following, moved, count + 1, done

        at_lower, at_upper = jax.vmap(f)(jnp.stack([lower, upper]))
        outside = (at_lower >= 0) | (at_upper <= 0)
        invalid = jnp.isnan(at_lower) | jnp.isnan(at_upper)
        _, _, x, _, _, _ = lax.while_loop(
            unfinished, step, (lower, upper, x, upper - lower, jnp.zeros((), jnp.int32), outside | invalid)
        )
        x = jnp.where(at_lower >= 0, lower, jnp.where(at_upper <= 0, upper, x))
        return jnp.where(invalid, jnp.nan, x)

    def tangent_solve(linear, y):
        slope = linear(jnp.ones_like(y))
        return y * jnp.where(slope == 0, 0, 1 / jnp.where(slope == 0, 1, slope))

    return lax.custom_root(function, start, solve, tangent_solve)
