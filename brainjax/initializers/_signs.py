"""Dale's principle: every presynaptic unit excites only, or inhibits only."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete
from brainjax.initializers._protocol import Initializer, initializer, number
from brainjax.initializers._scale import NORMS, to_size

__all__ = ["signed"]


def signed(
    init: Initializer,
    *,
    excitatory: ArrayLike = 0.8,
    balanced: bool = True,
    normalize: str = "frobenius",
    size: ArrayLike | None = None,
) -> Initializer:
    r"""Give the weights out of each unit one sign, :math:`W_{ij} = \epsilon_j\, |M_{ij}|` with column signs.

    The first :math:`f N` columns are excitatory, :math:`\epsilon_j = 1`, the others inhibitory, :math:`\epsilon_j = -1`
    or, when balanced, :math:`-f/(1-f)`, so that excitation and inhibition cancel in the mean (with the actual numbers
    of columns). Unbalanced, the mean weight is a rank-one matrix that makes one large eigenvalue, near
    :math:`N \langle|M|\rangle (2f-1)`; balanced, there is no outlier :cite:`rajan2006`, but the matrix of means stays,
    and with it one large singular value. Only the magnitudes of the given weights are kept, so what structure of rank
    they had is changed; Frobenius norm and masks are not.

    Args:
        init: the initializer of :math:`M`.
        excitatory: the fraction :math:`f` of excitatory columns, from 0 to 1, rounded to a number of columns; may be
            traced.
        balanced: whether inhibition is scaled to cancel excitation.
        normalize: ``"frobenius"``, ``"spectral"``, ``"radius"`` or ``"none"``.
        size: the norm of the result; by default that of :math:`M`.

    Returns:
        The initializer.

    Raises:
        ValueError: if the fraction is not between 0 and 1, the normalisation unknown, or the size negative or given
            without a norm; when used, if signs are to be balanced and all are the same.
    """
    checks.unit("excitatory", excitatory)
    checks.one_of("normalize", normalize, NORMS)
    if size is not None:
        checks.non_negative("size", size)
        if normalize == "none":
            raise ValueError("size must be left out where normalize is 'none'")

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        drawn = init(key, shape, dtype)
        columns = shape[-1]
        count = jnp.round(number(excitatory, dtype) * columns)
        if balanced and is_concrete(excitatory):
            inside = 0 < round(float(np.asarray(excitatory)) * columns) < columns
            checks.require(
                inside, f"excitatory must leave columns of both signs where balanced, got {excitatory} of {columns}"
            )
        others = columns - count
        inhibition = count / jnp.where(others == 0, 1, others) if balanced else jnp.ones_like(count)
        signs = jnp.where(jnp.arange(columns, dtype=dtype) < count, 1, -inhibition)
        weights = jnp.abs(drawn) * jnp.broadcast_to(signs, drawn.shape)
        return to_size(weights, normalize, size, drawn)

    return initializer(build)
