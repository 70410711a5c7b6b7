r"""A hierarchy of items as a task: a balanced binary tree whose leaves are items and whose nodes are their features.

Every node of the tree is a feature that is 1 for the items below it and 0 for all others. So items share the features
of their common ancestors, and the singular values of the task order the distinctions from the broadest to the finest.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["Correlations", "LinearTask", "correlations", "hierarchical_task"]


class Correlations(NamedTuple):
    """All that full-batch gradient descent in a linear network sees of the data: sums over the examples."""

    sigma_yx: Float[Array, "out in"]
    """Sum over examples of output times input."""
    sigma_xx: Float[Array, "in in"]
    """Sum over examples of input times input."""


class LinearTask(NamedTuple):
    """Examples as columns, their correlations (sums over the examples), and the singular basis of ``sigma_yx``."""

    inputs: Float[Array, "in examples"]
    outputs: Float[Array, "out examples"]
    sigma_yx: Float[Array, "out in"]
    sigma_xx: Float[Array, "in in"]
    left: Float[Array, "out modes"]
    """Output singular vectors as columns."""
    singular_values: Float[Array, " modes"]
    """In falling order."""
    right: Float[Array, "in modes"]
    """Input singular vectors as columns."""


def correlations(inputs: ArrayLike, outputs: ArrayLike) -> Correlations:
    r""":math:`\Sigma_{yx} = Y X^\top` and :math:`\Sigma_{xx} = X X^\top`, summed over examples, not averaged.

    Sums belong to the loss :math:`\tfrac12 \sum_\mu |y_\mu - \Omega x_\mu|^2`. Averaging over :math:`P` examples
    divides both by :math:`P`: singular values fall, and learning slows down, by that factor.

    Args:
        inputs: examples as columns, of shape (in, examples).
        outputs: their targets as columns, of shape (out, examples).

    Raises:
        ValueError: if an argument is not a matrix or the numbers of examples differ.
    """
    x, y = as_floats(inputs, outputs)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"inputs and outputs must be (in, examples) and (out, examples), got {x.shape} and {y.shape}")
    return Correlations(y @ x.T, x @ x.T)


def hierarchical_task(levels: int = 3, *, dtype: Any = None) -> LinearTask:
    r"""The binary tree of :cite:`saxe2019` as used by :cite:`kleinman2024`: ``2**levels`` items, one feature per node.

    Inputs are one-hot, :math:`X = I`, so they are white and :math:`\Sigma_{yx} = Y`. With three levels there are 8
    items and 15 features, and the singular values are :math:`\sqrt{15}, \sqrt 7, \sqrt 3, \sqrt 3, 1, 1, 1, 1`:
    for sums
    over examples, as everywhere here; with means they are 8 times smaller.

    The basis is given in closed form (derived by us): right singular vectors are the constant and the Haar wavelets of
    the tree. With :math:`L` levels the constant has :math:`s^2 = 2^{L+1} - 1`, and the wavelet that tells apart the two
    halves below a node of level :math:`l` (the root is level 0) has :math:`s^2 = 2^{L-l} - 1`. Equal singular values
    leave the basis open; this one is a choice.

    Args:
        levels: how often the items are split in two, 0 or more.
        dtype: of all arrays; JAX's default float by default.

    Returns:
        The examples, their correlations, and the singular basis, modes from the broadest distinction to the finest.

    Raises:
        ValueError: if ``levels`` is not a whole number from 0 to 12.
    """
    if not isinstance(levels, int | np.integer) or isinstance(levels, bool) or not 0 <= levels <= 12:
        raise ValueError(f"levels must be a whole number from 0 to 12, got {levels!r}")
    items = 2**levels
    features, right, squares = [], [np.full(items, items**-0.5)], [2 * items - 1]
    for level in range(levels + 1):
        size = items >> level
        for node in range(2**level):
            below = np.zeros(items)
            below[node * size : (node + 1) * size] = 1
            features.append(below)
            if size > 1:
                sign = np.where(np.arange(items) < node * size + size // 2, 1, -1)
                right.append(below * sign * size**-0.5)
                squares.append(size - 1)
    y, v, s = np.stack(features), np.stack(right, axis=1), np.sqrt(np.array(squares, float))
    eye = np.eye(items)
    dtype = jnp.result_type(float) if dtype is None else dtype
    return LinearTask(*(jnp.asarray(array, dtype) for array in (eye, y, y, eye, y @ v / s, s, v)))
