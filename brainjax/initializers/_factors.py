"""A random matrix plus a low-rank part whose loadings have a chosen overlap."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.draws import normal
from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.initializers._protocol import Initializer, initializer, number, square, stream
from brainjax.initializers._rank import gaussian

__all__ = ["low_rank_factors"]


def low_rank_factors(*, overlap: ArrayLike, spread: ArrayLike = 1.0, gain: ArrayLike = 0.0) -> Initializer:
    r"""A random matrix plus a low-rank one with Gaussian loadings :cite:`mastrogiuseppe2018`.

    .. math:: W = g\,G + \frac1N \sum_{r=1}^R m^{(r)} n^{(r)\top}, \qquad
              n^{(r)}_i = \sum_s J_{rs}\, m^{(s)}_i + \sigma_r\, z^{(r)}_i,

    with independent standard normal :math:`m` and :math:`z` and :math:`G_{ij} \sim \mathcal N(0, 1/N)`. The overlaps
    :math:`n^{(r)} \cdot m^{(s)} / N` tend to :math:`J_{rs}`, with errors of order :math:`N^{-1/2}`. The eigenvalues of
    :math:`W` are a disc of radius :math:`g` and, as :math:`G` is independent of the loadings, one outlier near every
    eigenvalue of :math:`J` outside of it. Singular values see the spread as well: at rank 1 and :math:`g = 0` the only
    one is near :math:`\sqrt{J^2 + \sigma^2}`, so a large effect on the rank need not come with one on the eigenvalues.

    The matrix is not normalised: the bulk and the outliers are controlled separately.

    Args:
        overlap: :math:`J`, of shape (R, R), or a number for rank 1; may be traced.
        spread: :math:`\sigma`, the part of the loadings that does not overlap, zero or more, a number or of shape (R,);
            may be traced.
        gain: :math:`g`, zero or more; may be traced.

    Returns:
        The initializer, of square matrices.

    Raises:
        ValueError: if the overlap is not square or not finite, the spread is negative or of another length, or the gain
            is negative; when used, if the matrix is not square or smaller than R.
    """
    table = np.shape(overlap)
    if table != () and (len(table) != 2 or table[0] != table[1] or table[0] < 1):
        raise ValueError(f"overlap must be a number or have shape (R, R), got shape {table}")
    rank = table[0] if table else 1
    checks.finite("overlap", overlap)
    checks.non_negative("spread", spread)
    checks.finite("spread", spread)
    if np.shape(spread) not in ((), (rank,)):
        raise ValueError(f"spread must be a number or have shape ({rank},), as overlap has, got {np.shape(spread)}")
    noise = gaussian(gain)

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        square(shape, "loadings with an overlap")
        units = shape[-1]
        if rank > units:
            raise ValueError(f"overlap must be at most {units} by {units} for this matrix, got {rank} by {rank}")
        table = jnp.asarray(overlap).astype(dtype).reshape(rank, rank)
        apart = jnp.broadcast_to(jnp.asarray(spread).astype(dtype), (rank,))
        loadings = normal(stream(key, "loadings"), (2, *shape[:-1], rank), dtype)
        m, z = loadings
        n = m @ table.T + z * jnp.broadcast_to(apart, z.shape)
        return noise(key, shape, dtype) + m @ jnp.swapaxes(n, -1, -2) / number(units, dtype)

    return initializer(build)
