r"""How far learning moved weights, active units and outputs.

Beside the alignments: these see scale. Lazy learning changes the weights little against their size, keeps the pattern
of active units, and is described by the network linearised around its first parameters :cite:`chizat2019`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.similarity import norm
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats
from brainjax.richness._alignment import ratio_of_norms

__all__ = ["linearisation_error", "linearised", "sign_similarity", "silent_units", "weight_change"]


def weight_change(w0: Any, w1: Any, *, relative: bool = False) -> Scalar:
    r"""Frobenius norm :math:`\|W_1 - W_0\|_F` of the change, over all entries of all arrays of a tree.

    Args:
        w0: weights before: an array or any tree of arrays.
        w1: weights after, of the same structure and shapes. For one number per array, ``jax.tree.map`` over this.
        relative: whether to divide by :math:`\|W_0\|_F`.

    Returns:
        The change. A relative change from zero weights is infinite, or 0 if nothing changed; derivatives are 0 there
        and where nothing changed.

    Raises:
        ValueError: if the trees or the shapes differ, or hold no array.
    """
    before, structure = jax.tree.flatten(w0)
    after, other = jax.tree.flatten(w1)
    if structure != other or not before:
        raise ValueError(f"w0 and w1 must be trees of one structure with an array or more, got {structure} and {other}")
    for a, b in zip(before, after, strict=True):
        checks.shape_of("w1", b, jnp.shape(a), "as w0")
    floats = as_floats(*before, *after)
    olds, news = floats[: len(before)], floats[len(before) :]
    start = jnp.concatenate([a.ravel() for a in olds])
    change = norm(jnp.concatenate([b.ravel() for b in news]) - start)
    return ratio_of_norms(change, norm(start)) if relative else change


def sign_similarity(h0: ArrayLike, h1: ArrayLike) -> Scalar:
    """Share of entries whose sign is the same before and after, where zero is a sign of its own.

    For rectified units this is agreement about which units are on, the measure of :cite:`liu2024`. Two
    silent networks agree everywhere: see `silent_units`. Its derivative is zero.

    Args:
        h0: activity before, any shape, such as (samples, units).
        h1: activity after, of the same shape.

    Returns:
        A number between 0 and 1.

    Raises:
        ValueError: if the shapes differ or are empty.
    """
    a, b = as_floats(h0, h1)
    checks.shape_of("h1", b, a.shape, "as h0")
    if a.size == 0:
        raise ValueError(f"h0 must hold an entry or more, got shape {a.shape}")
    return jnp.mean((jnp.sign(a) == jnp.sign(b)).astype(a.dtype))


def silent_units(h: ArrayLike) -> Scalar:
    """Share of units that are zero for every sample.

    Args:
        h: activity, shape (..., units); all axes but the last are samples.

    Returns:
        A number between 0 and 1.

    Raises:
        ValueError: if there is no axis of samples and one of units, or nothing along one.
    """
    (a,) = as_floats(h)
    if a.ndim < 2 or a.size == 0:
        raise ValueError(f"h must have shape (samples, ..., units), got {a.shape}")
    return jnp.mean(jnp.all(a == 0, axis=tuple(range(a.ndim - 1))).astype(a.dtype))


def linearised(f: Callable[[Any], Array], params0: Any) -> Callable[[Any], Array]:
    r"""The function :math:`p \mapsto f(p_0) + J(p_0)(p - p_0)`, without forming the Jacobian.

    Args:
        f: from a tree of parameters to an array of outputs.
        params0: where it is linearised.

    Returns:
        A function of parameters like ``params0``; train it as ``f`` to get the lazy counterpart of a network.
    """
    first, push = jax.linearize(f, params0)
    return lambda params: first + push(jax.tree.map(lambda new, old: new - old, params, params0))


def linearisation_error(f: Callable[[Any], Array], params0: Any, params1: Any, *, linear_params: Any = None) -> Scalar:
    r"""Error of the linearised network, relative to how far the outputs moved.

    .. math:: \frac{\| f(p_1) - f(p_0) - J(p_0)(q - p_0) \|}{\| f(p_1) - f(p_0) \|}

    With :math:`q = p_1` it is the curvature met on the way from :math:`p_0` to :math:`p_1`. With :math:`q` the
    parameters to which the linearised network was trained (`linearised`), it says how well lazy training describes
    training. Near 0: lazy. At 1 the linear part explains nothing; it may exceed 1.

    Args:
        f: from a tree of parameters to an array of outputs, of any shape.
        params0: parameters before.
        params1: parameters after, of the same structure and shapes.
        linear_params: :math:`q`; by default ``params1``.

    Returns:
        The error. If the outputs did not move it is infinite, or 0 if the linear part did not move either.
    """
    first, push = jax.linearize(f, params0)
    target = params1 if linear_params is None else linear_params
    moved = f(params1) - first
    along = push(jax.tree.map(lambda new, old: new - old, target, params0))
    return ratio_of_norms(norm(moved - along), norm(moved))
