"""The size of a matrix in the senses in which random networks are compared, and bringing it to a given one."""

from typing import Any

import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.spectra import singular_values, spectral_radius
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, broadcast
from brainjax.initializers._protocol import Initializer, initializer, square

__all__ = ["NORMS", "matched", "norm_of", "rescale"]

NORMS = ("frobenius", "spectral", "radius", "none")
"""Frobenius norm, largest singular value, spectral radius, or no normalisation."""


def norm_of(matrices: ArrayLike, norm: str) -> Array:
    r"""Frobenius norm :math:`\|W\|_F`, largest singular value or spectral radius of every matrix of a stack.

    Args:
        matrices: of shape (..., rows, columns); square for the spectral radius.
        norm: ``"frobenius"``, ``"spectral"`` or ``"radius"``.

    Returns:
        Of shape (...).

    Raises:
        ValueError: if the norm is none of the three, or the spectral radius is asked of matrices that are not square.
    """
    checks.one_of("norm", norm, NORMS[:-1])
    (stack,) = as_floats(matrices)
    if norm == "frobenius":
        return jnp.sqrt(jnp.sum(stack**2, axis=(-2, -1)))
    if norm == "spectral":
        return singular_values(stack, count=1)[..., 0]
    return spectral_radius(stack)


def rescale(matrices: ArrayLike, *, norm: str, size: ArrayLike) -> Array:
    r"""Multiply every matrix of a stack by the positive number that gives it a norm: :math:`W\, c / \|W\|`.

    Matrices of one Frobenius norm have different dynamics: at rank 1 the spectral radius is
    :math:`\|W\|\, |v \cdot u|`, a random number near zero as often as above the gain, and the largest singular value
    grows as :math:`\sqrt{N/r}`. So compare arms under more than one norm.

    Args:
        matrices: of shape (..., rows, columns).
        norm: ``"frobenius"``, ``"spectral"`` (largest singular value), ``"radius"`` (spectral radius), or ``"none"``,
            which leaves all as it is.
        size: the norm afterwards, zero or more, a number or of shape (...).

    Returns:
        Of the shape of ``matrices``; where the norm is zero already, the matrix as it is.

    Raises:
        ValueError: if the norm is unknown, the size negative, or the spectral radius is asked of matrices that are not
            square.
    """
    checks.one_of("norm", norm, NORMS)
    checks.non_negative("size", size)
    (stack,) = as_floats(matrices)
    return (
        stack if norm == "none" else _times(stack, _ratio(jnp.asarray(size).astype(stack.dtype), norm_of(stack, norm)))
    )


def matched(
    init: Initializer, *, norm: str = "frobenius", size: ArrayLike | None = None, like: Initializer | None = None
) -> Initializer:
    """Bring what an initializer draws to a given norm, or to that of another initializer with the same key.

    The second makes matched arms: ``matched(blocks(...), norm="radius", like=gaussian(1.25))``.

    Args:
        init: any initializer.
        norm: ``"frobenius"``, ``"spectral"`` or ``"radius"``.
        size: the norm afterwards, zero or more; may be traced.
        like: an initializer whose norm is taken; either this or ``size``.

    Returns:
        The initializer.

    Raises:
        ValueError: if the norm is unknown, the size negative, or not exactly one of ``size`` and ``like`` is given.
    """
    checks.one_of("norm", norm, NORMS[:-1])
    if (size is None) == (like is None):
        raise ValueError(f"one of size and like must be given, got {'none' if size is None else 'both'}")
    if size is not None:
        checks.non_negative("size", size)

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        drawn = init(key, shape, dtype)
        return to_size(drawn, norm, size, None if like is None else like(key, shape, dtype))

    return initializer(build)


def to_size(matrices: Array, norm: str, size: ArrayLike | None, model: Array | None) -> Array:
    """Bring matrices to a size, or else to the norm of others, with one decomposition at most."""
    if norm == "none":
        return matrices
    if norm == "radius":
        square(matrices.shape, "a spectral radius")
    if size is not None:
        return rescale(matrices, norm=norm, size=size)
    assert model is not None
    both = norm_of(jnp.stack([matrices, model]), norm)
    return _times(matrices, _ratio(both[1], both[0]))


def _ratio(wanted: Array, present: Array) -> Array:
    wanted, present = broadcast(wanted, present)
    zero = present == 0
    return jnp.where(zero, 1, wanted / jnp.where(zero, 1, present))


def _times(matrices: Array, factor: Array) -> Array:
    return matrices * broadcast(matrices, factor[..., None, None])[1]
