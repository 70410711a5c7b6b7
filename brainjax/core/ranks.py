r"""How many singular values or eigenvalues count: the effective ranks in use, which disagree strongly on one matrix.

For singular values that are not all zero

.. math:: 1 \le \text{stable} \le \text{participation}_2 \le \text{participation}_1 \le \text{Roy–Vetterli}
          \le \text{numerical rank},

with equality everywhere for values that are equal or zero: with :math:`p_i \propto s_i^2` the stable rank is the
exponential of the Rényi entropy of infinite order and the participation ratio of power 2 that of order 2; with
:math:`p_i \propto s_i` the participation ratio of power 1 has order 2, the effective rank order 1 and the rank order 0.
(The middle step changes from one :math:`p` to the other; it is Hölder's inequality for the moments 1, 2 and 4.) All are
free of scale, and 0 for a zero matrix.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats, broadcast

__all__ = [
    "effective_rank",
    "eigenvalue_rank",
    "energy_rank",
    "numerical_rank",
    "participation_ratio",
    "stable_rank",
]


def effective_rank(values: ArrayLike) -> Float[Array, "*stack"]:
    r"""Effective rank :math:`\exp(-\sum_i p_i \ln p_i)` with :math:`p_i = s_i / \sum_k s_k` :cite:`roy2007`.

    It is 1 for one singular value above zero, and the number of values if all are equal. That of a zero matrix is not
    defined; here it is 0. Derivatives are finite also where values vanish: a zero value adds nothing to them, although
    the derivative towards positive values is infinite there.

    Args:
        values: singular values, zero or more, of shape (..., values).

    Returns:
        A number between 1 and the number of values (or 0), of shape (...).

    Raises:
        ValueError: if there is no axis of values, or a concrete value is negative.
    """
    s = _checked(values)
    total = jnp.sum(s, axis=-1, keepdims=True)
    empty = total == 0
    share = s / jnp.where(empty, 1, total)
    none = share == 0
    entropy = -jnp.sum(jnp.where(none, 0, share * jnp.log(jnp.where(none, 1, share))), axis=-1)
    return jnp.where(empty[..., 0], 0, jnp.exp(entropy))


def numerical_rank(values: ArrayLike, *, tolerance: ArrayLike | None = None) -> Float[Array, "*stack"]:
    r"""Number of singular values above rounding error, :math:`\#\{i : s_i > \text{tolerance} \cdot \max_k s_k\}`.

    Args:
        values: singular values, zero or more, of shape (..., values).
        tolerance: relative to the largest value, a number; by default the number of values times the machine precision,
            as NumPy has it for square matrices.

    Returns:
        A whole number in floating point, of shape (...); NaN where a value is NaN.

    Raises:
        ValueError: if there is no axis of values, or a concrete value or the tolerance is negative.
    """
    s, largest = _relative(values)
    if tolerance is None:
        tolerance = s.shape[-1] * float(jnp.finfo(s.dtype).eps)
    checks.non_negative("tolerance", tolerance)
    count = jnp.sum((s > jnp.asarray(tolerance).astype(s.dtype)).astype(s.dtype), axis=-1)
    return jnp.where(jnp.isnan(largest), jnp.nan, count)


def stable_rank(values: ArrayLike) -> Float[Array, "*stack"]:
    r"""Stable rank :math:`\sum_i s_i^2 / \max_i s_i^2 = \|A\|_F^2 / \|A\|_2^2`.

    Args:
        values: singular values, zero or more, of shape (..., values).

    Returns:
        A number between 1 and the number of values (0 for a zero matrix), of shape (...).

    Raises:
        ValueError: if there is no axis of values, or a concrete value is negative.
    """
    s, _ = _relative(values, constant_scale=False)
    return jnp.sum(s**2, axis=-1)


def participation_ratio(values: ArrayLike, *, power: int = 2) -> Float[Array, "*stack"]:
    r"""Participation ratio :math:`(\sum_i s_i^p)^2 / \sum_i s_i^{2p}`.

    Power 2 is that of the eigenvalues of :math:`A A^\top`, the usual dimension of a covariance or a kernel
    :math:`A A^\top`. For the eigenvalues of a kernel itself take power 1.

    Args:
        values: singular values, zero or more, of shape (..., values).
        power: 1 or 2.

    Returns:
        A number between 1 and the number of values (0 for a zero matrix), of shape (...).

    Raises:
        ValueError: if there is no axis of values, a concrete value is negative, or the power is neither 1 nor 2.
    """
    checks.one_of("power", power, (1, 2))
    s, _ = _relative(values)
    weight = s if power == 1 else s**2
    squares = jnp.sum(weight**2, axis=-1)
    return jnp.sum(weight, axis=-1) ** 2 / jnp.where(squares == 0, 1, squares)


def energy_rank(values: ArrayLike, *, share: ArrayLike = 0.95) -> Float[Array, "*stack"]:
    r"""The least number of singular values that together hold a share of :math:`\sum_i s_i^2 = \|A\|_F^2`.

    A share that is reached up to rounding error counts as reached.

    Args:
        values: singular values, zero or more, of shape (..., values), in any order.
        share: a number between 0 and 1.

    Returns:
        A whole number in floating point, at least 1 (0 for a zero matrix), of shape (...); NaN where a value is NaN.

    Raises:
        ValueError: if there is no axis of values, a concrete value is negative, or the share is not between 0 and 1.
    """
    checks.unit("share", share)
    s, largest = _relative(values)
    energy = jnp.cumsum(jnp.sort(s**2, axis=-1, descending=True), axis=-1)
    rounding = s.shape[-1] * float(jnp.finfo(s.dtype).eps)
    wanted = (1 - rounding) * jnp.asarray(share).astype(s.dtype) * energy[..., -1:]
    count = 1 + jnp.sum((energy[..., :-1] < wanted).astype(s.dtype), axis=-1)
    return jnp.where(jnp.isnan(largest), jnp.nan, jnp.where(largest == 0, 0, count))


def eigenvalue_rank(eigenvalues: ArrayLike) -> Float[Array, "*stack"]:
    r"""Mean modulus of the eigenvalues over the largest, :math:`\sum_i |\lambda_i| / (N |\lambda_1|)` :cite:`liu2024`.

    Unlike the others it is a fraction of the dimension :math:`N`, sees only eigenvalues, and so does not change under
    similarity transformations; a single outlier makes it small. A large matrix of independent entries of mean zero has
    2/3, by the circular law.

    Args:
        eigenvalues: real or complex, of shape (..., N), in any order.

    Returns:
        A number from 1/N to 1 (0 where all eigenvalues are 0), of shape (...).

    Raises:
        ValueError: if there is no axis of eigenvalues.
    """
    modulus, _ = _relative(jnp.abs(jnp.asarray(eigenvalues)), "eigenvalues", constant_scale=False)
    return jnp.mean(modulus, axis=-1)


def _checked(values: ArrayLike, name: str = "values") -> Array:
    checks.non_negative(name, values)
    (s,) = as_floats(values)
    if s.ndim < 1 or s.shape[-1] < 1:
        raise ValueError(f"{name} must have shape (..., {name}), got {'a number' if s.ndim < 1 else s.shape}")
    return s


def _relative(values: ArrayLike, name: str = "values", *, constant_scale: bool = True) -> tuple[Array, Array]:
    """The values over the largest, so that no power of them overflows, and the largest.

    What is free of scale does not change, nor do its derivatives, when the scale is taken for a constant.
    """
    s = _checked(values, name)
    largest = jnp.max(s, axis=-1)
    scale = lax.stop_gradient(largest) if constant_scale else largest
    scale = jnp.where(largest == 0, 1, scale)
    return s / broadcast(s, scale[..., None])[1], largest
