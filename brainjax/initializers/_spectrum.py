"""Singular spectra with continuous knobs: functions from the singular values of a base matrix to new ones.

Every knob may be traced: it acts through masks and exponents, never through shapes, so that one compilation serves a
whole sweep and ``jax.vmap`` a whole grid.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, broadcast, is_concrete
from brainjax.initializers._protocol import number

__all__ = [
    "Spectrum",
    "exponential",
    "flat",
    "low_rank_plus_noise",
    "power_law",
    "soft_truncation",
    "truncated",
]

Spectrum = Callable[[Array], Array]
"""From singular values (..., values), in falling order, to singular values of the same shape."""


def truncated(rank: ArrayLike) -> Spectrum:
    r"""Keep the largest singular values, :math:`s_i \to s_i\, [i \le r]`: the best approximation of that rank.

    With Frobenius normalisation this is the construction of :cite:`liu2024`; for a Gaussian base matrix of gain
    :math:`g` and :math:`r \ll N` the largest singular value is then near :math:`g\sqrt{N/r}`.

    Args:
        rank: a whole number from 1 to the number of values; may be traced (above that number it keeps all).

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete rank is not a whole number of 1 or more; when used, if it is above the dimension.
    """
    _whole_rank(rank)
    return lambda values: values * _first(rank, values)


def flat(rank: ArrayLike) -> Spectrum:
    r"""Equal singular values, :math:`s_i = [i \le r]`: a partial isometry, whose every effective rank is :math:`r`.

    Args:
        rank: a whole number from 1 to the number of values; may be traced (above that number it keeps all).

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete rank is not a whole number of 1 or more; when used, if it is above the dimension.
    """
    _whole_rank(rank)
    return lambda values: jnp.ones_like(values) * _first(rank, values)


def power_law(exponent: ArrayLike, rank: ArrayLike | None = None) -> Spectrum:
    r"""Singular values :math:`s_i = i^{-a}\, [i \le r]`, from an isometry at :math:`a = 0` towards rank 1.

    Args:
        exponent: :math:`a`, zero or more; may be traced.
        rank: how many are kept, all by default; may be traced.

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete exponent is negative or infinite, or a concrete rank is not a whole number of 1 or
            more; when used, if the rank is above the dimension.
    """
    checks.finite("exponent", exponent)
    checks.non_negative("exponent", exponent)
    if rank is not None:
        _whole_rank(rank)

    def spectrum(values: Array) -> Array:
        falling = _like(jnp.exp(-number(exponent, values.dtype) * jnp.log(_index(values) + 0.5)), values)
        return falling if rank is None else falling * _first(rank, values)

    return spectrum


def exponential(scale: ArrayLike) -> Spectrum:
    r"""Singular values :math:`s_i = e^{-(i-1)/\tau}`.

    Args:
        scale: :math:`\tau`, in numbers of values, above zero (infinity gives equal values); may be traced.

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete scale is not above zero.
    """
    if is_concrete(scale):
        checks.require(np.asarray(scale) > 0, f"scale must be above zero, got {scale}")
    return lambda values: _like(jnp.exp(-(_index(values) - 0.5) / number(scale, values.dtype)), values)


def soft_truncation(rank: ArrayLike, width: ArrayLike) -> Spectrum:
    r"""A truncation with a rounded edge, :math:`s_i \to s_i\, \sigma\big((r + \tfrac12 - i)/T\big)`.

    :math:`\sigma` is the logistic function. It is smooth in the rank; with width 0 in the limit it is ``truncated``.

    Args:
        rank: :math:`r`, any number above 0, at most the number of values; may be traced.
        width: :math:`T`, in numbers of values, above zero; may be traced.

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete rank or width is not above zero; when used, if the rank is above
            the dimension.
    """
    checks.positive("rank", rank)
    checks.positive("width", width)

    def spectrum(values: Array) -> Array:
        _within(rank, values)
        offset = number(rank, values.dtype) - _index(values)
        return values * _like(jax.nn.sigmoid(offset / number(width, values.dtype)), values)

    return spectrum


def low_rank_plus_noise(rank: ArrayLike, noise: ArrayLike) -> Spectrum:
    r"""From a truncation to the whole base matrix, :math:`\sqrt{1-t^2}\, \hat s^{(r)}_i + t\, \hat s_i`.

    :math:`\hat s^{(r)}` and :math:`\hat s` are the truncated and the base singular values, each with a sum of squares
    of 1. Signal and noise have the same singular vectors; for noise of its own see ``low_rank_factors``.

    Args:
        rank: :math:`r`, a whole number from 1 to the number of values; may be traced.
        noise: :math:`t`, from 0 to 1; may be traced.

    Returns:
        The spectrum.

    Raises:
        ValueError: if a concrete rank is not a whole number of 1 or more, or a concrete noise not between 0 and 1;
            when used, if the rank is above the dimension.
    """
    _whole_rank(rank)
    checks.unit("noise", noise)

    def spectrum(values: Array) -> Array:
        t = number(noise, values.dtype)
        rest = 1 - t**2
        signal = jnp.where(rest > 0, jnp.sqrt(jnp.where(rest > 0, rest, 1)), 0)
        return signal * _unit(values * _first(rank, values)) + t * _unit(values)

    return spectrum


def applied(spectrum: Spectrum | ArrayLike, base: Array) -> Array:
    """The singular values that a spectrum, a function or the values themselves, makes of those of the base matrix."""
    values = spectrum(base) if callable(spectrum) else jnp.asarray(spectrum).astype(base.dtype)
    if values.shape != base.shape:
        if values.shape != base.shape[-1:]:
            raise ValueError(f"spectrum must give {base.shape[-1]} singular values, got shape {values.shape}")
        values = _like(values, base)
    checks.non_negative("spectrum", values)
    return values


def _index(values: Array) -> Array:
    """The numbers 1/2, 3/2, ..., one for each value."""
    return jnp.arange(values.shape[-1], dtype=values.dtype) + 0.5


def _like(one: Array, values: Array) -> Array:
    return broadcast(one, values)[0]


def _first(rank: ArrayLike, values: Array) -> Array:
    _within(rank, values)
    return _like((_index(values) < number(rank, values.dtype)).astype(values.dtype), values)


def _unit(values: Array) -> Array:
    norm = jnp.linalg.norm(values, axis=-1, keepdims=True)
    return values / broadcast(values, jnp.where(norm == 0, 1, norm))[1]


def _whole_rank(rank: Any) -> None:
    if is_concrete(rank):
        given = np.asarray(rank)
        checks.require((given == np.round(given)) & (given >= 1), f"rank must be a whole number, 1 or more, got {rank}")


def _within(rank: Any, values: Array) -> None:
    if is_concrete(rank):
        most = values.shape[-1]
        checks.require(
            np.asarray(rank) <= most, f"rank must be at most {most}, the smaller size of the matrix, got {rank}"
        )
