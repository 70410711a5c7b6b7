"""The knob of a family of spectra that gives a requested effective rank."""

from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jax import lax

from brainjax.core import checks
from brainjax.core.ranks import effective_rank, participation_ratio, stable_rank
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, is_concrete
from brainjax.initializers._spectrum import Spectrum, applied, power_law

__all__ = ["knob_for_rank"]

_MEASURES: dict[str, Callable[[Array], Array]] = {
    "participation_ratio": participation_ratio,
    "effective_rank": effective_rank,
    "stable_rank": stable_rank,
}
_STEEPEST = 60.0  # the second singular value is below rounding error in any precision


def knob_for_rank(
    target: ArrayLike,
    *,
    family: str | Callable[[Scalar], Spectrum],
    size: int | ArrayLike,
    measure: str | Callable[[Array], Array] = "participation_ratio",
    bracket: tuple[ArrayLike, ArrayLike] | None = None,
) -> Scalar:
    r"""Solve :math:`\text{rank}\big(s(x)\big) = \text{target}` for the knob :math:`x` of a family of spectra.

    The rank must rise or fall with the knob. Newton's method inside a bracket, with bisection where it fails; the knob
    may be differentiated with respect to the target (and what the family closes over), by the implicit function
    theorem. ``jax.vmap`` over targets makes a grid of evenly spaced ranks.

    Args:
        target: the effective rank, a number from 1 to the number of values; may be traced.
        family: ``"power_law"`` (the knob is the exponent), ``"exponential"`` (the knob is the scale), or a function
            from the knob to a spectrum, such as ``lambda t: low_rank_plus_noise(2, t)``.
        size: the number of singular values, or the singular values of the base matrix themselves, in falling order;
            a number stands for equal ones, which only matter where the family depends on the base.
        measure: ``"participation_ratio"`` (power 2), ``"effective_rank"``, ``"stable_rank"``, or a smooth function of
            singular values.
        bracket: two knobs with the solution between them; needed for a function, not for a name.

    Returns:
        The knob, a scalar; NaN where a traced target is out of reach.

    Raises:
        ValueError: if the family or measure is unknown, a bracket is missing, not increasing, or given with a name,
            the size is not positive, or a concrete target is out of reach.
    """
    if isinstance(measure, str):
        checks.one_of("measure", measure, tuple(_MEASURES))
        measure = _MEASURES[measure]
    if np.ndim(size) == 0:
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"size must be a positive whole number, or singular values, got {size!r}")
        size = [1.0] * int(size)
    checks.non_negative("size", size)
    target, base = as_floats(target, size)
    build, low, high, back = _family(family, bracket)
    low, high = (jnp.asarray(end).astype(target.dtype) for end in (low, high))

    def rank(x: Array) -> Array:
        return measure(applied(build(x), base))

    first, last = rank(low), rank(high)
    least, most = jnp.minimum(first, last), jnp.maximum(first, last)
    rounding = 100 * float(jnp.finfo(target.dtype).eps)
    reached = (target >= least * (1 - rounding)) & (target <= most * (1 + rounding))
    if is_concrete(reached):
        checks.require(
            reached, f"target must be between {float(least):.6g} and {float(most):.6g} for this family, got {target}"
        )
    sign = lax.stop_gradient(jnp.where(last >= first, 1, -1).astype(target.dtype))
    x = monotone_root(lambda x: sign * (rank(x) - target), low, high)
    return back(jnp.where(reached, x, jnp.nan))


def _family(family: Any, bracket: Any) -> tuple[Callable[[Any], Spectrum], Any, Any, Callable[[Array], Array]]:
    """The family over a finite bracket, and the way back to its knob."""
    if callable(family):
        if bracket is None or len(bracket) != 2:
            raise ValueError(f"bracket must be two knobs where family is a function, got {bracket}")
        checks.require(
            np.asarray(bracket[0] < bracket[1]) if is_concrete(bracket) else True,
            f"bracket must be increasing, got {bracket}",
        )
        return cast(Callable[[Any], Spectrum], family), bracket[0], bracket[1], lambda x: x
    checks.one_of("family", family, ("power_law", "exponential"))
    if bracket is not None:
        raise ValueError("bracket must be left out where family is a name")
    if family == "power_law":
        return power_law, 0.0, _STEEPEST, lambda x: x
    return _exponential_rate, 0.0, _STEEPEST, lambda x: 1 / x  # in the rate, which is finite for equal values


def _exponential_rate(rate: Any) -> Spectrum:
    return lambda values: jnp.exp(-rate * jnp.arange(values.shape[-1], dtype=values.dtype))
