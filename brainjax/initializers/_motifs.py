"""Over-represented motifs of two connections: reciprocal ones, and chains through units with many of both kinds."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete
from brainjax.initializers._protocol import Initializer, initializer, number, square, stream

__all__ = ["motifs"]


def motifs(
    init: Initializer, *, reciprocal: ArrayLike = 0.0, heterogeneity: ArrayLike = 0.0, chain: ArrayLike = 0.0
) -> Initializer:
    r"""Correlate the weights of two connections that share units.

    First, a reciprocal correlation :math:`\tau = \mathrm{corr}(W_{ij}, W_{ji})` by mixing with the transpose,

    .. math:: M \to \tfrac12\big(\sqrt{1+\tau} + \sqrt{1-\tau}\big) M +
              \tfrac12\big(\sqrt{1+\tau} - \sqrt{1-\tau}\big) M^\top,

    which keeps the variance of independent entries of mean zero (that of the diagonal becomes :math:`1 + \tau` times as
    large). Their eigenvalues then fill the ellipse of half axes :math:`g(1+\tau)` and :math:`g(1-\tau)`
    :cite:`sommers1988`. At 1 the matrix is symmetric, at -1 antisymmetric.

    Second, in- and out-strengths that vary from unit to unit, :math:`W_{ij} = a_i M_{ij} b_j`, where :math:`a` and
    :math:`b` are log-normal with mean 1, coefficient of variation :math:`h` and correlation :math:`c`. Where the mean
    weight is not zero, the numbers of motifs relative to independent connections are, in the terms of
    :cite:`zhao2011`, :math:`\alpha_\text{conv} = \alpha_\text{div} = h^2` and :math:`\alpha_\text{chain} = c\,h^2`; the
    outlier of the mean is :math:`1 + c\,h^2` times as large. Where it is zero, the radius of the bulk is
    :math:`\sqrt{\mathbb E\, a^2 b^2} = (1 + h^2)(1 + c\,h^2)^2` times as large (for independent entries, many units).
    Signs and masks are kept by this second step, not by the first: to combine a reciprocal correlation with signs or
    blocks, put it inside, ``signed(motifs(...))`` or ``blocks(motifs(...), ...)``.

    Args:
        init: the initializer of :math:`M`, of square matrices where ``reciprocal`` or ``chain`` is not 0.
        reciprocal: :math:`\tau`, from -1 to 1; may be traced.
        heterogeneity: :math:`h`, zero or more; may be traced.
        chain: :math:`c`, from :math:`-1/(1 + h^2)`, the least that log-normal numbers allow, to 1; may be traced.

    Returns:
        The initializer.

    Raises:
        ValueError: if a concrete value is out of its range, or ``chain`` is not 0 with ``heterogeneity`` 0; when used,
            if the matrix is not square.
    """
    if is_concrete(reciprocal):
        checks.require(np.abs(reciprocal) <= 1, f"reciprocal must be between -1 and 1, got {reciprocal}")
    checks.non_negative("heterogeneity", heterogeneity)
    checks.finite("heterogeneity", heterogeneity)
    if is_concrete(chain) and is_concrete(heterogeneity):
        given, variance = np.asarray(chain, float), np.asarray(heterogeneity, float) ** 2
        least = -1 / (1 + variance)
        checks.require(
            (given <= 1) & (given >= least),
            f"chain must be between {least:.4g} and 1 here, got {chain}",
        )
        checks.require(
            (given == 0) | (variance > 0), f"heterogeneity must be above zero where chain is not 0 (it is {chain})"
        )
    mixes, varies = not _is_zero(reciprocal), not _is_zero(heterogeneity)

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        weights = init(key, shape, dtype)
        if mixes:
            square(shape, "a reciprocal correlation")
            tau = number(reciprocal, dtype)
            plus, minus = _root(1 + tau), _root(1 - tau)
            weights = (plus + minus) / 2 * weights + (plus - minus) / 2 * jnp.swapaxes(weights, -1, -2)
        if varies:
            inward, outward = _strengths(stream(key, "strengths"), shape, heterogeneity, chain, dtype)
            weights = jnp.broadcast_to(inward, shape) * weights * jnp.broadcast_to(outward, shape)
        return weights

    return initializer(build)


def _strengths(key: PRNGKey, shape: tuple[int, ...], h: ArrayLike, c: ArrayLike, dtype: Any) -> tuple[Array, Array]:
    """Log-normal factors of rows (..., rows, 1) and of columns (..., 1, columns)."""
    variance = number(h, dtype) ** 2
    log_variance = jnp.log1p(variance)
    flat = log_variance == 0
    safe = jnp.where(flat, 1, log_variance)
    correlation = jnp.where(flat, 0, jnp.log1p(number(c, dtype) * variance) / safe)  # of the logarithms
    correlation = jnp.clip(correlation, -1, 1)  # rounding at the two ends
    spread = jnp.where(flat, 0, jnp.sqrt(safe))
    rows, columns = shape[-2:]
    if not _is_zero(c):
        square(shape, "a correlation of in- and out-strengths")
    first, second = normal(key, (2, *shape[:-2], max(rows, columns)), dtype)
    second = correlation * first + _root(1 - correlation**2) * second
    inward, outward = (jnp.exp(spread * z - log_variance / 2) for z in (first, second))
    return inward[..., :rows, None], outward[..., None, :columns]


def _root(value: Array) -> Array:
    """Square root with a derivative of zero, not infinity, at zero."""
    above = value > 0
    return jnp.where(above, jnp.sqrt(jnp.where(above, value, 1)), 0)


def _is_zero(value: Any) -> bool:
    return is_concrete(value) and bool(np.all(np.asarray(value) == 0))
