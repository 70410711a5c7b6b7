"""Integrals of smooth functions by Gauss's rule, as a number and as a function of the upper end."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev, legendre

from brainjax.core.types import Array, Scalar

__all__ = ["antiderivative", "evaluate_antiderivative", "integral", "nodes_between"]


def _to_chebyshev(degree: int) -> np.ndarray:
    """The matrix from a series of Legendre's polynomials, up to a degree, to one of Chebyshev's."""
    columns = [np.ones(1), np.array([0.0, 1.0])]
    for k in range(1, degree):
        following = (2 * k + 1) * chebyshev.chebmulx(columns[k])
        following[:k] -= k * columns[k - 1]
        columns.append(following / (k + 1))
    return np.stack([np.pad(column, (0, degree + 1 - column.size)) for column in columns[: degree + 1]], axis=1)


@functools.cache
def _rule(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights, and the matrix from values at the nodes to the antiderivative there and to its series."""
    nodes, weights = legendre.leggauss(order)
    degree = np.arange(order)
    to_series = (degree[:, None] + 0.5) * legendre.legvander(nodes, order - 1).T * weights
    series = legendre.legint(to_series, lbnd=-1, axis=0)
    # Chebyshev's recurrence is the shortest to evaluate: it has no constants of its own
    return nodes, weights, np.concatenate([legendre.legvander(nodes, order) @ series, _to_chebyshev(order) @ series])


def nodes_between(lower: Scalar, upper: Scalar, order: int) -> Array:
    """The nodes of Gauss's rule on an interval."""
    nodes = jnp.asarray(_rule(order)[0], lower.dtype)
    return lower + (upper - lower) * (nodes + 1) / 2


def integral(function: Callable[[Array], Array], lower: Scalar, upper: Scalar, order: int = 24) -> Scalar:
    r"""Integrate an elementwise function over an interval, :math:`\int_a^b f(x)\,\mathrm dx`, by Gauss's rule.

    Exact for polynomials of degree ``2 * order - 1``; the error of an analytic function falls geometrically with the
    order, at a rate set by how far its singularities lie from the interval. Differentiable in both ends.
    """
    weights = jnp.asarray(_rule(order)[1], lower.dtype)
    return (upper - lower) / 2 * jnp.sum(weights * function(nodes_between(lower, upper, order)))


def antiderivative(values: Array, lower: Scalar, upper: Scalar) -> tuple[Array, list[Scalar]]:
    """Turn values at the nodes of an interval into the integral from its lower end, as a function.

    Args:
        values: of shape (order,), taken at ``nodes_between(lower, upper, order)``.
        lower: lower end of the interval, where the integral is zero.
        upper: upper end of the interval.

    Returns:
        The integral at the nodes, of shape (order,), and its Chebyshev series for `evaluate_antiderivative`: order + 1
        scalars, separate so that under ``vmap`` each is contiguous.
    """
    matrix = jnp.asarray(_rule(values.shape[0])[2], values.dtype)
    both = (upper - lower) / 2 * jnp.einsum("ij,j->i", matrix, values, precision=jax.lax.Precision.HIGHEST)
    order = values.shape[0]
    return both[:order], [both[order + k] for k in range(order + 1)]


def evaluate_antiderivative(series: Sequence[Scalar], x: Scalar, lower: Scalar, upper: Scalar) -> Scalar:
    """Evaluate the series of `antiderivative` at one point by Clenshaw's recurrence."""
    y = (2 * x - lower - upper) / (upper - lower)
    twice = 2 * y
    ahead, here = jnp.zeros_like(y), series[-1]
    for coefficient in series[-2:0:-1]:
        ahead, here = here, coefficient + twice * here - ahead
    return series[0] + y * here - ahead
