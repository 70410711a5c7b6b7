"""Turning the first singular vectors of a matrix to a given angle with given directions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brainjax.core.draws import normal
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, is_concrete
from brainjax.initializers._protocol import number

__all__ = ["align"]


def checked_directions(name: str, directions: ArrayLike | None) -> Array | None:
    """Directions as columns; refuses what is not orthonormal."""
    if directions is None:
        return None
    (columns,) = as_floats(directions)
    if columns.ndim == 1:
        columns = columns[:, None]
    if columns.ndim != 2:
        raise ValueError(f"{name} must have shape (units,) or (units, directions), got {columns.shape}")
    if is_concrete(columns):
        given = np.asarray(columns, float)
        tolerance = 1e-4  # of rounding in float32
        lengths = np.linalg.norm(given, axis=0)
        if not np.all(np.abs(lengths - 1) <= tolerance):
            worst = lengths[np.argmax(np.abs(lengths - 1))]
            raise ValueError(f"{name} must be unit vectors, got one of length {worst:.6g}")
        overlap = np.abs(given.T @ given - np.diag(lengths**2)).max()
        if not overlap <= tolerance:
            raise ValueError(f"{name} must be orthogonal to one another, got an inner product of {overlap:.6g}")
    return columns


def align(key: PRNGKey, basis: Array, directions: Array, angle: ArrayLike, name: str = "directions") -> Array:
    r"""Rotate a basis so that its first vectors have a given angle with given directions.

    With :math:`k` directions :math:`t_i` the first :math:`k` vectors become
    :math:`u_i = \cos\theta\, t_i + \sin\theta\, p_i`, where the :math:`p_i` are random, orthonormal, and orthogonal to
    all directions. The others follow in a rigid rotation (a product of :math:`k` reflections), so that the basis stays
    orthonormal, and stays random where it was.

    Args:
        key: typed PRNG key, for the :math:`p_i`.
        basis: orthonormal columns, of shape (..., units, vectors).
        directions: orthonormal columns, of shape (units, k).
        angle: :math:`\theta`, in radians; may be traced.
        name: of the directions, for messages.

    Returns:
        Of the shape of ``basis``.

    Raises:
        ValueError: if the number of units differs, there are more directions than vectors, or there is no room for
            vectors orthogonal to the directions at an angle that may differ from 0.
    """
    units, vectors = basis.shape[-2:]
    count = directions.shape[1]
    if directions.shape[0] != units or count > vectors:
        raise ValueError(
            f"{name} must have shape ({units}, k) with k at most {vectors} for this matrix, got {directions.shape}"
        )
    if 2 * count > units and not (is_concrete(angle) and np.all(np.asarray(angle) == 0)):
        raise ValueError(
            f"{name} must number at most half of the {units} units unless alignment is 0 (a plain number), got {count}"
        )
    theta, directions = number(angle, basis.dtype), directions.astype(basis.dtype)
    flat = basis.reshape(-1, units, vectors)

    def one(key: PRNGKey, basis: Array) -> Array:
        wanted = jnp.cos(theta) * directions
        if 2 * count <= units:
            wanted = wanted + jnp.sin(theta) * _perpendicular(key, directions)
        return _rotated(basis, wanted)

    return jax.vmap(one)(jax.random.split(key, flat.shape[0]), flat).reshape(basis.shape)


def _perpendicular(key: PRNGKey, directions: Array) -> Array:
    """As many random orthonormal columns, orthogonal to the directions (Gram–Schmidt, each step done twice)."""
    drawn = normal(key, directions.shape, directions.dtype)

    def step(i: Any, found: Array) -> Array:
        vector = drawn[:, i]
        for _ in range(2):
            vector = vector - directions @ (directions.T @ vector) - found @ (found.T @ vector)
        return found.at[:, i].set(vector / jnp.linalg.norm(vector))

    return lax.fori_loop(0, directions.shape[1], step, jnp.zeros_like(directions))


def _rotated(basis: Array, wanted: Array) -> Array:
    """Reflections that take the first columns of the basis to the wanted ones, one after the other."""

    def step(i: Any, basis: Array) -> Array:
        # Both vectors are orthogonal to the columns that are in place already, which therefore stay.
        difference = basis[:, i] - wanted[:, i]
        square = difference @ difference
        factor = jnp.where(square > 0, 2 / jnp.where(square > 0, square, 1), 0)
        return basis - factor * difference[:, None] * (difference @ basis)[None, :]

    return lax.fori_loop(0, wanted.shape[1], step, basis)
