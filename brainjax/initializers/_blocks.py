"""Weights by cell type: who connects to whom, how strongly and with which sign, as tables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brainjax.core import checks
from brainjax.core.draws import uniform
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete
from brainjax.initializers._protocol import Initializer, initializer, stream

__all__ = ["blocks", "types_of_units"]


def blocks(
    init: Initializer | None = None,
    *,
    probabilities: ArrayLike,
    strengths: ArrayLike | None = None,
    signs: ArrayLike | None = None,
    fractions: ArrayLike | None = None,
    sizes: ArrayLike | None = None,
) -> Initializer:
    r"""Sparse weights whose statistics depend on the types of the two units.

    .. math:: W_{ij} = B_{ij}\; J_{ab}\; \epsilon_{ab}\; \frac{|M_{ij}|}{\langle |M| \rangle},
              \qquad B_{ij} \sim \text{Bernoulli}(p_{ab}),

    for postsynaptic unit :math:`i` of type :math:`a` and presynaptic unit :math:`j` of type :math:`b`. Units are
    ordered by type, and tables have the axes (post type, pre type). The rank of the mean over draws is at most the
    number of types, whatever the number of units.

    The magnitudes :math:`|M_{ij}|`, divided by their mean, are those of a given initializer, so that blocks compose
    with spectra and motifs; without signs the weights of that initializer keep theirs.

    Args:
        init: the initializer of :math:`M`; by default all weights of a block have the same magnitude.
        probabilities: :math:`p_{ab}`, of a connection, of shape (types, types); may be traced.
        strengths: :math:`J_{ab}`, mean magnitude of a connection, zero or more, of shape (types, types); 1 by default.
        signs: :math:`\epsilon`, of shape (types,), by presynaptic type (Dale's principle), or (types, types): 1, -1, or
            0; by default those of ``init``, or 1.
        fractions: of units of each type, of rows and of columns alike, of shape (types,), adding up to 1; boundaries
            are rounded to whole units.
        sizes: numbers of units of each type, of shape (types,), instead of fractions; for square matrices.

    Returns:
        The initializer.

    Raises:
        ValueError: if tables differ in shape or hold values out of range, not exactly one of ``fractions`` and
            ``sizes`` is given or it has the wrong length, fractions do not add up to 1; when used, if the sizes do not
            add up to the rows and the columns.
    """
    checks.unit("probabilities", probabilities)
    table = np.shape(probabilities)
    if len(table) != 2 or table[0] != table[1] or table[0] < 1:
        raise ValueError(f"probabilities must have shape (types, types), got {table}")
    types = table[0]
    if strengths is not None:
        checks.non_negative("strengths", strengths)
        checks.finite("strengths", strengths)
        checks.shape_of("strengths", strengths, table, "(post types, pre types), as probabilities have")
    if signs is not None:
        if np.shape(signs) not in ((types,), table):
            raise ValueError(f"signs must have shape ({types},) or {table}, got {np.shape(signs)}")
        if is_concrete(signs):
            given = np.asarray(signs)
            checks.require(np.isin(given, (-1, 0, 1)), f"signs must be 1, -1 or 0, got {given.tolist()}")
    if (fractions is None) == (sizes is None):
        raise ValueError(f"one of fractions and sizes must be given, got {'none' if sizes is None else 'both'}")
    if fractions is not None:
        checks.non_negative("fractions", fractions)
        checks.shape_of("fractions", fractions, (types,), "(types,)")
        if is_concrete(fractions):
            total = float(np.sum(np.asarray(fractions, float)))
            checks.require(abs(total - 1) <= 1e-5, f"fractions must add up to 1, got {total:.6g}")
    else:
        checks.shape_of("sizes", sizes, (types,), "(types,)")
        if is_concrete(sizes):
            given = np.asarray(sizes)
            whole = (given == np.round(given)) & (given >= 0)
            checks.require(whole, f"sizes must be whole numbers, zero or more, got {given.tolist()}")

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        post, pre = (_one_hot(size, types, fractions, sizes, dtype) for size in shape[-2:])

        def spread(values: ArrayLike) -> Array:
            return jnp.broadcast_to(post @ jnp.asarray(values).astype(dtype) @ pre.T, shape)

        chance = uniform(stream(key, "connections"), shape, dtype)
        weights = (chance < spread(probabilities)).astype(dtype)
        if init is not None:
            drawn = init(key, shape, dtype)
            mean = jnp.mean(jnp.abs(drawn), axis=(-2, -1), keepdims=True)
            magnitudes = drawn if signs is None else jnp.abs(drawn)
            weights = weights * magnitudes / jnp.broadcast_to(jnp.where(mean == 0, 1, mean), shape)
        if strengths is not None:
            weights = weights * spread(strengths)
        if signs is not None:
            weights = weights * spread(jnp.broadcast_to(jnp.asarray(signs), table))
        return weights

    return initializer(build)


def types_of_units(count: int, *, fractions: ArrayLike | None = None, sizes: ArrayLike | None = None) -> Array:
    """The type of each of a number of units, as ``blocks`` orders them.

    Args:
        count: the number of units.
        fractions: of units of each type, of shape (types,), adding up to 1.
        sizes: numbers of units of each type, instead.

    Returns:
        Whole numbers from 0, in rising order, of shape (count,).

    Raises:
        ValueError: if not exactly one of ``fractions`` and ``sizes`` is given, or the sizes do not add up to the count.
    """
    if (fractions is None) == (sizes is None):
        raise ValueError(f"one of fractions and sizes must be given, got {'none' if sizes is None else 'both'}")
    if sizes is not None:
        if is_concrete(sizes):
            total = int(np.sum(np.asarray(sizes)))
            checks.require(total == count, f"sizes must add up to the {count} units of the matrix, got {total}")
        ends = jnp.cumsum(jnp.asarray(sizes).astype(jnp.int32))
    else:
        assert fractions is not None
        ends = jnp.round(jnp.cumsum(jnp.asarray(fractions).astype(jnp.float32)) * count).astype(jnp.int32)
    units = jnp.arange(count, dtype=jnp.int32)
    return jnp.sum((units[:, None] >= ends[None, :-1]).astype(jnp.int32), axis=1)


def _one_hot(count: int, types: int, fractions: Any, sizes: Any, dtype: Any) -> Array:
    of_unit = types_of_units(count, fractions=fractions, sizes=sizes)
    return jax.nn.one_hot(of_unit, types, dtype=dtype)
