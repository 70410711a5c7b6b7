r"""Feature maps for keys and queries, which the caller applies before `apply`.

With non-negative features a normalised linear memory is a kernel smoother, :math:`\phi(q) \cdot \phi(k)` in place of
softmax's :math:`e^{q \cdot k}`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["dpfp", "elu_plus_one", "identity", "relu", "taylor", "unit_norm"]


def identity(x: ArrayLike) -> Float[Array, "... d"]:
    """The vector itself: plain linear attention."""
    return as_floats(x)[0]


def elu_plus_one(x: ArrayLike) -> Float[Array, "... d"]:
    r""":math:`\mathrm{elu}(x) + 1`: :math:`x + 1` above zero, :math:`e^x` below (:cite:`katharopoulos2020`)."""
    return jax.nn.elu(as_floats(x)[0]) + 1


def relu(x: ArrayLike) -> Float[Array, "... d"]:
    """The positive part."""
    return jax.nn.relu(as_floats(x)[0])


def unit_norm(x: ArrayLike, *, epsilon: ArrayLike = 0.0) -> Float[Array, "... d"]:
    r""":math:`x / \sqrt{|x|^2 + \epsilon}`, so that a learning rate is a rate; zeros stay zeros."""
    (x,) = as_floats(x)
    square = jnp.sum(x * x, -1, keepdims=True) + jnp.asarray(epsilon).astype(x.dtype)
    return x * jax.lax.rsqrt(jnp.where(square > 0, square, jnp.ones_like(square)))


def dpfp(x: ArrayLike, *, order: int = 1) -> Float[Array, "... features"]:
    r"""Deterministic parameter-free projection (:cite:`schlag2021`): products of rectified halves.

    With :math:`r = \mathrm{relu}([x, -x])` of :math:`2d` components, the features are :math:`r_i r_{i+j}` (indices
    modulo :math:`2d`) for each shift :math:`j` from 1 to ``order``: sparse, non-negative, :math:`2d \times` order.

    Args:
        x: shape (..., d).
        order: how many shifts, from 1 to 2d - 1.

    Returns:
        The features, shape (..., 2 d order).

    Raises:
        ValueError: if the order is outside its range.
    """
    (x,) = as_floats(x)
    most = 2 * x.shape[-1] - 1
    if not 1 <= order <= most:
        raise ValueError(f"order must be from 1 to {most} (twice the width, less 1), got {order}")
    r = jax.nn.relu(jnp.concatenate([x, -x], -1))
    return jnp.concatenate([r * jnp.roll(r, -j, -1) for j in range(1, order + 1)], -1)


def taylor(x: ArrayLike) -> Float[Array, "... features"]:
    r"""Features of the exponential's second-order expansion: the road from linear to softmax attention.

    .. math:: \phi(x) = \bigl(1,\; x / d^{1/4},\; \mathrm{vec}(x x^\top) / \sqrt{2 d}\bigr), \qquad
              \phi(q) \cdot \phi(k) = 1 + s + s^2/2, \quad s = q \cdot k / \sqrt d

    It differs from :math:`e^s` by :math:`O(s^3)` and is at least 1/2.

    Args:
        x: shape (..., d).

    Returns:
        The features, shape (..., 1 + d + d^2).
    """
    (x,) = as_floats(x)
    d = x.shape[-1]
    checks.at_least("width of x", d, 1)
    square = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], d * d) / (2 * d) ** 0.5
    return jnp.concatenate([jnp.ones_like(x[..., :1]), x / d**0.25, square], -1)
