"""Gaussian weights, and weights composed of a basis, a singular spectrum, a normalisation and an alignment."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.spectra import decompose
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, is_concrete
from brainjax.initializers._alignment import align, checked_directions
from brainjax.initializers._protocol import Initializer, initializer, number, stream
from brainjax.initializers._scale import NORMS, to_size
from brainjax.initializers._spectrum import Spectrum, applied, truncated

__all__ = ["gaussian", "rank_structured", "truncate"]


def gaussian(gain: ArrayLike = 1.0) -> Initializer:
    r"""Independent entries :math:`W_{ij} \sim \mathcal N(0, g^2 / \text{columns})`.

    For square matrices the eigenvalues fill the disc of radius :math:`g`, the singular values the interval from 0 to
    :math:`2g` (quarter-circle law), and the Frobenius norm is near :math:`g\sqrt N`.

    Args:
        gain: :math:`g`, zero or more; may be traced.

    Returns:
        The initializer.

    Raises:
        ValueError: if a concrete gain is negative or not finite.
    """
    _checked_gain(gain)

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        return number(gain, dtype) * _unit_gaussian(key, shape, dtype)

    return initializer(build)


def rank_structured(
    *,
    spectrum: Spectrum | ArrayLike | None = None,
    basis: str = "gaussian",
    gain: ArrayLike = 1.0,
    normalize: str = "frobenius",
    size: ArrayLike | None = None,
    directions: Sequence[ArrayLike | None] | None = None,
    alignment: ArrayLike = 0.0,
) -> Initializer:
    r"""Weights :math:`W = c\, U\, \mathrm{diag}(s')\, V^\top` of a given singular spectrum :math:`s'`.

    A base matrix :math:`U\,\mathrm{diag}(s)\,V^\top` is drawn; a spectrum turns its singular values :math:`s` into
    others; directions turn its first singular vectors; and :math:`c > 0` brings the result to a norm, by default that
    of the base matrix. So, with one key, all ranks share one base matrix, and full rank is the base matrix exactly: the
    truncations of :cite:`liu2024` are ``rank_structured(spectrum=truncated(r), gain=1.25)``.

    The spectra are ``truncated``, ``flat``, ``power_law``, ``exponential``, ``soft_truncation`` and
    ``low_rank_plus_noise``. All their knobs, gain, size and alignment may be traced: one compilation serves a sweep.

    With directions :math:`t^l_i` and :math:`t^r_i` the first left and right singular vectors are
    :math:`u_i = \cos\theta\, t^l_i + \sin\theta\, p^l_i` and :math:`v_i` likewise, where the :math:`p` are random and
    orthogonal to the directions: 0 is aligned, :math:`\pi/2` orthogonal to the task. It works the same for recurrent
    and for feed-forward weights, for instance with singular vectors of a gradient or of the target map.

    Args:
        spectrum: a function from the base matrix's singular values (..., values), in falling order, to non-negative
            ones, or such values themselves; by default those of the base matrix.
        basis: ``"gaussian"``, the base matrix is that of ``gaussian(gain)`` with the same key; ``"haar"``, it is its
            orthogonal polar factor, uniformly distributed, with equal singular values and the same expected squared
            norm. The singular vectors are the same.
        gain: :math:`g` of the base matrix, above zero.
        normalize: ``"frobenius"``, ``"spectral"`` (largest singular value), ``"radius"`` (spectral radius; square
            matrices only), or ``"none"``.
        size: the norm of the result; by default that of the base matrix.
        directions: orthonormal columns ``(left, right)`` of shapes (rows, k) and (columns, k), or (rows,) and
            (columns,) for one; either may be ``None``. At most half as many as there are units, unless the alignment is
            0.
        alignment: the angle :math:`\theta` with the directions, in radians, from 0 to :math:`\pi/2`.

    Returns:
        The initializer.

    Raises:
        ValueError: if the basis or the normalisation is unknown, the gain not positive, the size negative, the
            alignment without directions or out of range, the directions not orthonormal or of differing numbers, or
            the size given without a norm; when used, if a rank is above the dimension, the spectrum negative or of the
            wrong length, the directions do not fit the shape, or a spectral radius is asked of matrices that are not
            square.
    """
    checks.one_of("basis", basis, ("gaussian", "haar"))
    checks.one_of("normalize", normalize, NORMS)
    checks.positive("gain", gain)
    if size is not None:
        checks.non_negative("size", size)
        if normalize == "none":
            raise ValueError("size must be left out where normalize is 'none'")
    left, right = _pair(directions)
    if is_concrete(alignment):
        angle = np.asarray(alignment)
        checks.require(
            (angle >= 0) & (angle <= np.pi / 2), f"alignment must be between 0 and pi/2 (radians), got {alignment}"
        )
        if left is None and right is None:
            checks.require(angle == 0, f"directions must be given where alignment is not 0, got {alignment}")
    plain = basis == "gaussian" and left is None and right is None

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        rows, columns = shape[-2:]
        g = number(gain, dtype)
        drawn = _unit_gaussian(key, shape, dtype)
        base = g * drawn
        if plain and spectrum is None:
            return to_size(base, normalize, size, base)
        u, values, v = decompose(drawn)
        if basis == "haar":
            values = jnp.full_like(values, np.sqrt(rows / min(rows, columns)))
        values = g * values
        chosen = values if spectrum is None else applied(spectrum, values)
        if normalize in ("frobenius", "spectral"):  # both are functions of the singular values alone
            measure = _frobenius if normalize == "frobenius" else _largest
            wanted = measure(values) if size is None else jnp.broadcast_to(number(size, dtype), values.shape[:-1])
            present = measure(chosen)
            scale = jnp.where(present == 0, 1, wanted / jnp.where(present == 0, 1, present))
            chosen = chosen * jnp.broadcast_to(scale[..., None], chosen.shape)
        turned_u, turned_v = u, v
        if left is not None:
            turned_u = align(stream(key, "left"), u, left, alignment, "directions[0] (left)")
        if right is not None:
            turned = align(stream(key, "right"), jnp.swapaxes(v, -1, -2), right, alignment, "directions[1] (right)")
            turned_v = jnp.swapaxes(turned, -1, -2)
        weights = _product(turned_u, chosen, turned_v)
        if plain:  # a spectrum that changes nothing gives the base matrix itself, free of rounding
            unchanged = jnp.all(chosen == values, axis=-1)[..., None, None]
            weights = jnp.where(jnp.broadcast_to(unchanged, weights.shape), base, weights)
        if normalize != "radius":
            return weights
        reference = base if basis == "gaussian" or size is not None else _product(u, values, v)
        return to_size(weights, "radius", size, reference)

    return initializer(build)


def truncate(matrices: ArrayLike, rank: ArrayLike) -> Array:
    r"""The best approximation of a given rank to every matrix of a stack, :math:`\sum_{i \le r} s_i u_i v_i^\top`.

    Args:
        matrices: of shape (..., rows, columns).
        rank: a whole number from 1 to the smaller size of a matrix; may be traced.

    Returns:
        Of the shape of ``matrices``, not rescaled.

    Raises:
        ValueError: if there are fewer than two axes, or a concrete rank is not a whole number in that range.
    """
    (stack,) = as_floats(matrices)
    left, values, right = decompose(stack)
    return _product(left, applied(truncated(rank), values), right)


def _unit_gaussian(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
    return normal(stream(key, "base"), shape, dtype) / np.sqrt(shape[-1]).astype(dtype)


def _product(left: Array, values: Array, right: Array) -> Array:
    return (left * jnp.broadcast_to(values[..., None, :], left.shape)) @ right


def _frobenius(values: Array) -> Array:
    return jnp.linalg.norm(values, axis=-1)


def _largest(values: Array) -> Array:
    return jnp.max(values, axis=-1)


def _checked_gain(gain: Any) -> None:
    checks.finite("gain", gain)
    checks.non_negative("gain", gain)


def _pair(directions: Sequence[ArrayLike | None] | None) -> tuple[Array | None, Array | None]:
    if directions is None:
        return None, None
    if not isinstance(directions, tuple | list) or len(directions) != 2:
        raise ValueError(f"directions must be a pair (left, right), got {type(directions).__name__}")
    left = checked_directions("directions[0] (left)", directions[0])
    right = checked_directions("directions[1] (right)", directions[1])
    if left is not None and right is not None and left.shape[1] != right.shape[1]:
        raise ValueError(f"directions must be as many left as right, got {left.shape[1]} and {right.shape[1]}")
    return left, right
