"""What a trial is, when its periods are, and how a trial or a batch of trials is drawn with one call of the generator.

The lengths of periods are data: a period is a mask over a fixed number of steps, so that one compiled program serves
every length of, say, the delay.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from brainjax.core import checks
from brainjax.core.draws import uniform
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete

__all__ = ["Schedule", "Trial", "batch", "choice", "draw", "gaussian", "noise_during", "noisy_steps", "schedule"]


class Trial(NamedTuple):
    """Input, target and weight at every step. A batch of trials has the same fields with a leading axis."""

    inputs: Float[Array, "*batch steps in"]
    labels: Int[Array, "*batch steps"]
    """The class that is right at each step; in decision tasks 0 is "not yet", and 1 and 2 are the choices."""
    mask: Float[Array, "*batch steps"]
    """Weight of each step in the loss."""
    decision: Bool[Array, "*batch steps"]
    """Whether the choice is judged at this step."""


class Schedule(NamedTuple):
    """The periods of a trial as masks over its steps."""

    during: dict[str, Bool[Array, " steps"]]
    weights: Float[Array, " steps"]
    """1 within the trial, 0 after it."""
    longest: dict[str, int]
    """The length of each period in steps; where it is traced, the number of all steps."""


def schedule(steps: int | None, *, dtype: Any, **durations: ArrayLike) -> Schedule:
    """Lay periods of the given lengths one after another from step 0.

    Args:
        steps: number of steps, at least the sum of the durations; by default their sum, which must then be concrete.
        dtype: of the weights.
        **durations: the length of each period in steps, in the order of the periods; may be traced, and is then cut
            to a whole number.

    Returns:
        The masks. Where traced durations do not fit, which cannot be refused, all weights are NaN.

    Raises:
        ValueError: if a duration is not one whole number, zero or more (one or more for ``decision``), if the periods
            do not fit, or ``steps`` is left out with a traced duration.
    """
    for name, value in durations.items():
        least = 1 if name == "decision" else 0
        checks.shape_of(name, value, ())
        if is_concrete(value):
            given = np.asarray(value)
            right = np.isfinite(given) & (given == np.round(given)) & (given >= least)
            checks.require(right, f"{name} must be a whole number of steps, {least} or more, got {given}")
    if is_concrete(durations):
        total = sum(int(np.asarray(value)) for value in durations.values())
        steps = total if steps is None else steps
        if total > steps:
            listed = ", ".join(f"{name} {int(np.asarray(value))}" for name, value in durations.items())
            raise ValueError(f"steps must be {total} or more to hold all periods ({listed}), got {steps}")
    elif steps is None:
        raise ValueError(f"steps must be given where one of {', '.join(durations)} is traced")
    step = jnp.arange(steps, dtype=jnp.int32)
    end, during = jnp.int32(0), {}
    for name, value in durations.items():
        start, end = end, end + jnp.asarray(value).astype(jnp.int32)
        during[name] = (step >= start) & (step < end)
    weights = (step < end).astype(dtype)
    longest = {name: int(np.asarray(v)) if is_concrete(v) else steps for name, v in durations.items()}
    return Schedule(during, jnp.where(end > steps, jnp.nan, 1).astype(dtype) * weights, longest)


def noisy_steps(periods: Schedule, *names: str) -> int:
    """How many steps of noise are drawn for the named periods: two at least, since a product over one is no product."""
    return max(2, min(periods.weights.shape[0], sum(periods.longest[name] for name in names)))


def noise_during(
    periods: Schedule, names: Sequence[str], uniform: Array, noise: Array
) -> Float[Array, "steps channels"]:
    """Normal noise in the named periods, zero in all others.

    Args:
        periods: the schedule.
        names: of the periods with noise.
        uniform: numbers uniform between -1 and 1, of shape (noisy steps, channels): those of the first noisy step,
            the second, and so on, whenever these are.
        noise: standard deviation.
    """
    noisy = jnp.any(jnp.stack([periods.during[name] for name in names]), 0)
    order = jnp.cumsum(noisy, dtype=jnp.int32) - 1
    row = jnp.arange(uniform.shape[0], dtype=jnp.int32)
    place = jnp.where(noisy[:, None] & (order[:, None] == row[None, :]), noise, 0)
    # As a matrix product, each normal number is computed once, not in the loop over all inputs, and its factor is
    # rounded apart from the sum that follows: a trial is bitwise the same however it is compiled.
    return jnp.matmul(place, gaussian(uniform), precision=jax.lax.Precision.HIGHEST)


def draw(key: PRNGKey, size: int | None, count: int, dtype: Any, build: Callable[[Array], Trial]) -> Trial:
    """Make a trial, or a batch of ``size`` trials, from numbers that are uniform between -1 and 1, all drawn at once.

    Args:
        key: typed PRNG key.
        size: number of trials; ``None`` for one trial without a leading axis.
        count: how many numbers a trial needs.
        dtype: of the numbers.
        build: from ``count`` numbers to a trial.

    Raises:
        ValueError: if the size is below one.
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be 1 or more, got {size}")
    above = np.nextafter(np.asarray(-1, dtype), np.asarray(0, dtype))  # the normal quantile of -1 is infinite
    shape = (count,) if size is None else (size, count)
    drawn = uniform(key, shape, dtype, low=above, high=1)
    return build(drawn) if size is None else jax.vmap(build)(drawn)


def choice(uniform: Array, options: int) -> Array:
    """Turn numbers uniform between -1 and 1 into integers from 0 to ``options - 1``, equally likely."""
    chosen = jnp.floor((uniform + 1) * (options / 2)).astype(jnp.int32)
    return jnp.minimum(chosen, options - 1)


def gaussian(uniform: Array) -> Array:
    """Turn numbers uniform between -1 and 1 into standard normal ones."""
    return jax.lax.erf_inv(uniform) * np.sqrt(2).astype(uniform.dtype)


def batch(generator: Callable[..., Trial], key: PRNGKey, size: int) -> Trial:
    """Draw a batch of trials from one key, with one call of the random generator for all of them.

    Faster than ``jax.vmap(generator)(jax.random.split(key, size))``, and drawn from the same distribution with other
    numbers.

    Args:
        generator: a task of this package, or ``functools.partial`` of one: it must take the keyword ``size``.
        key: typed PRNG key.
        size: number of trials.

    Returns:
        The trials, with a leading axis of length ``size``.

    Raises:
        ValueError: if the size is below one.
    """
    return generator(key, size=size)
