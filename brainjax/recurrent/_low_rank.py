r"""Low-rank connectivity: eigenvalues that leave the bulk of random ones."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Complex

from brainjax.core import checks
from brainjax.core.spectra import eigenvalues
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["Outliers", "low_rank_outliers"]


class Outliers(NamedTuple):
    """What the low-rank part adds to the spectrum."""

    values: Complex[Array, " rank"]
    """Eigenvalues of the overlap matrix, by falling modulus."""
    outside: Bool[Array, " rank"]
    """Which of them lie outside the bulk, and so are eigenvalues of the whole matrix; the others drown in it."""


def low_rank_outliers(left: ArrayLike, right: ArrayLike, *, bulk: ArrayLike = 0.0) -> Outliers:
    r"""Outlying eigenvalues of :math:`W = G + \tfrac1N M N^\top`, a random bulk plus a matrix of low rank.

    They are those of the overlap matrix :math:`J = \tfrac1N N^\top M` whose modulus exceeds the radius of the bulk, if
    :math:`G` has independent entries of variance :math:`g^2/N` and does not depend on the two factors: up to
    :math:`O(1/\sqrt N)` :cite:`tao2013,mastrogiuseppe2018`. Without a bulk they are all the eigenvalues that are not
    zero, exactly. Factors that were made from :math:`G` (by learning, say) have other outliers :cite:`schuessler2020`.

    Args:
        left: :math:`M`, of shape (units, rank).
        right: :math:`N`, of shape (units, rank).
        bulk: radius of the bulk, :math:`g`.

    Returns:
        Eigenvalues of the overlap matrix, and which leave the bulk.

    Raises:
        ValueError: if the factors do not have one and the same shape, or a concrete radius is negative.
    """
    checks.non_negative("bulk", bulk)
    m, n, radius = as_floats(left, right, bulk)
    checks.shape_of("left", m, (None, None), "(units, rank)")
    checks.shape_of("right", n, m.shape, "(units, rank), that of left")
    values = eigenvalues(n.T @ m / m.shape[0])
    values = values[jnp.argsort(-jnp.abs(values))]
    return Outliers(values, jnp.abs(values) > radius)
