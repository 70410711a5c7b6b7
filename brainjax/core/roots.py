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

    Newton's step where it stays inside the bracket and halves the last but one step, a bisection otherwise; the loop
    stops at rounding error, so a batch under ``vmap`` costs as many steps as its hardest member. A function without a
    sign change gives the end of the bracket that is nearer to one; NaN gives NaN.

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
    eps = jnp.finfo(start.dtype).eps
    tiny = jnp.finfo(start.dtype).tiny

    def solve(f, x):
        def look(x):
            return jax.jvp(f, (x,), (jnp.ones_like(x),))

        def unfinished(state):
            _, _, _, _, _, _, count, done = state
            return ~done & (count < max_steps)

        def step(state):
            low, high, x, value, slope, before, count, _ = state
            newton = x - value / jnp.where(slope > 0, slope, 1)
            good = (slope > 0) & (newton > low) & (newton < high) & (2 * jnp.abs(value) <= before * slope)
            x_new = jnp.where(good, newton, low + (high - low) / 2)
            value, slope = look(x_new)
            moved = jnp.abs(x_new - x)
            low = jnp.where(value < 0, x_new, low)
            high = jnp.where(value < 0, high, x_new)
            done = (moved <= 2 * eps * jnp.abs(x_new) + tiny) | (value == 0) | jnp.isnan(value)
            return low, high, x_new, value, slope, moved, count + 1, done

        value, slope = look(x)
        at_lower, at_upper = f(lower), f(upper)
        low = jnp.where(value < 0, x, lower)
        high = jnp.where(value < 0, upper, x)
        outside = (at_lower >= 0) | (at_upper <= 0)
        invalid = jnp.isnan(value) | jnp.isnan(at_lower) | jnp.isnan(at_upper)
        state = (low, high, x, value, slope, high - low, 0, outside | invalid | (value == 0))
        *_, x, value, _, _, _, _ = lax.while_loop(unfinished, step, state)
        x = jnp.where(at_lower >= 0, lower, jnp.where(at_upper <= 0, upper, x))
        return jnp.where(invalid | jnp.isnan(value), jnp.nan, x)

    def tangent_solve(linear, y):
        slope = linear(jnp.ones_like(y))
        return y * jnp.where(slope == 0, 0, 1 / jnp.where(slope == 0, 1, slope))

    return lax.custom_root(function, start, solve, tangent_solve)
