r"""Norms and alignments of tangent kernels that are too large to form, from products with random vectors.

For a vector :math:`z` of independent signs, :math:`\mathbb E z z^\top = I`, so that :cite:`hutchinson1989`

.. math::
    \langle K_0, K_1 \rangle_F = \mathbb E\, (K_0 z) \cdot (K_1 z) , \qquad
    \|K\|_F^2 = \mathbb E\, \|K z\|^2 , \qquad \operatorname{tr} K = \mathbb E\, z \cdot K z .

Means over probes estimate these without bias, and the spread over probes gives their standard errors. The alignment is
a ratio of such means, all from the same probes: much of their scatter is common and cancels. Its standard error is that
of the linearised ratio (the delta method); its bias is of order one over the number of probes, and it never exceeds 1.
The standard error of the alignment was derived by us.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from brainjax.core.types import Array, PRNGKey, Scalar
from brainjax.richness._tangent import _linear_maps

__all__ = ["AlignmentEstimate", "Estimate", "KernelMoments", "hutchinson_alignment", "hutchinson_moments"]


class Estimate(NamedTuple):
    """A number estimated from random probes."""

    value: Scalar
    error: Scalar
    """Standard error."""


class KernelMoments(NamedTuple):
    """What `hutchinson_moments` returns; both are unbiased."""

    trace: Estimate
    squared_norm: Estimate
    r""":math:`\|K\|_F^2`; the participation ratio of the eigenvalues is about trace² over this."""


class AlignmentEstimate(NamedTuple):
    """What `hutchinson_alignment` returns. All but the alignment are unbiased."""

    alignment: Estimate
    """0 with error 0 if a kernel is zero."""
    inner: Estimate
    r""":math:`\langle K_0, K_1 \rangle_F`."""
    squared_norm0: Estimate
    r""":math:`\|K_0\|_F^2`."""
    squared_norm1: Estimate
    r""":math:`\|K_1\|_F^2`."""


def hutchinson_alignment(
    key: PRNGKey,
    f: Callable[[Any], Array],
    params0: Any,
    params1: Any,
    *,
    probes: int = 64,
    together: int = 8,
) -> AlignmentEstimate:
    r"""Alignment of the tangent kernels of ``f`` at two sets of parameters, without forming a kernel.

    Memory is that of ``together`` gradients. For a kernel with few large eigenvalues, the usual case, the relative
    standard error of a squared norm is about :math:`\sqrt{2 / \text{probes}}`; that of the alignment is far smaller
    where the kernels are alike, and zero where they are proportional.

    Args:
        key: typed PRNG key.
        f: from a tree of floating-point parameters to an array of outputs, with forward derivatives.
        params0: parameters before.
        params1: parameters after.
        probes: number of random vectors, two or more.
        together: how many are multiplied at once; changes speed and memory, not the estimate.

    Returns:
        Estimates with their standard errors.

    Raises:
        ValueError: if there are fewer than two probes, or ``together`` is not positive.
    """
    multiply0, like = _linear_maps(f, params0)
    multiply1, _ = _linear_maps(f, params1)

    def products(z: Array) -> tuple[Array, Array, Array]:
        a, b = multiply0(z), multiply1(z)
        return jnp.sum(a * b), jnp.sum(a * a), jnp.sum(b * b)

    cross, first, second = _over_probes(key, products, like, probes, together)
    inner, squared0, squared1 = (_estimate(x) for x in (cross, first, second))
    size0, size1 = squared0.value, squared1.value
    none = (size0 == 0) | (size1 == 0)
    size0, size1 = (jnp.where(none, 1, size) for size in (size0, size1))
    scale = jnp.sqrt(size0) * jnp.sqrt(size1)
    value = jnp.where(none, 0, inner.value / scale)
    pulls = cross / scale - value * (first / size0 + second / size1) / 2  # what each probe does to the ratio
    error = jnp.where(none, 0, _estimate(pulls).error)
    return AlignmentEstimate(Estimate(value, error), inner, squared0, squared1)


def hutchinson_moments(
    key: PRNGKey, f: Callable[[Any], Array], params: Any, *, probes: int = 64, together: int = 8
) -> KernelMoments:
    """Trace and squared Frobenius norm of a tangent kernel, without forming it.

    Args:
        key: typed PRNG key.
        f: from a tree of floating-point parameters to an array of outputs, with forward derivatives.
        params: the parameters.
        probes: number of random vectors, two or more.
        together: how many are multiplied at once; changes speed and memory, not the estimate.

    Returns:
        Estimates with their standard errors.

    Raises:
        ValueError: if there are fewer than two probes, or ``together`` is not positive.
    """
    multiply, like = _linear_maps(f, params)

    def products(z: Array) -> tuple[Array, Array]:
        a = multiply(z)
        return jnp.sum(z * a), jnp.sum(a * a)

    trace, squares = _over_probes(key, products, like, probes, together)
    return KernelMoments(_estimate(trace), _estimate(squares))


def _over_probes(
    key: PRNGKey, products: Callable[[Array], Any], like: jax.ShapeDtypeStruct, probes: int, together: int
) -> Any:
    if probes < 2:
        raise ValueError(f"probes must be 2 or more, got {probes}")
    if together < 1:
        raise ValueError(f"together must be 1 or more, got {together}")

    def one(k: Array) -> Any:
        return products(jax.random.rademacher(k, like.shape, like.dtype))

    return lax.map(one, jax.random.split(key, probes), batch_size=min(together, probes))


def _estimate(values: Array) -> Estimate:
    count = values.shape[0]
    mean = jnp.mean(values)
    squares = jnp.sum((values - mean) ** 2)
    none = squares == 0
    error = jnp.where(none, 0, jnp.sqrt(jnp.where(none, 1, squares) / (count * (count - 1))))
    return Estimate(mean, error)
