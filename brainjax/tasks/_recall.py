r"""Associative recall: pairs of tokens are shown once, then keys are asked for at power-law gaps.

Multi-query associative recall (:cite:`arora2024zoology`) and its variant with keys that get a second value. A sequence
shows N pairs of a key and a value, one after the other, and then asks for each key once:

.. math:: k_1 v_1\, k_2 v_2 \dots k_N v_N \;\; \cdot\cdot\, k_3 \,\cdot\, k_1 \,\cdot\cdot\cdot\, k_2 \dots

Tokens are whole numbers: 0 is blank, those below half of the vocabulary are keys, the others values. After the pairs,
every second step is a slot for a query. The queries' slots are drawn one after the other without replacement, slot g,
counted from 1, in proportion to :math:`g^{a-1}` among those left. Keys and values are drawn without replacement.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from brainjax.core import checks
from brainjax.core.draws import uniform
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete

__all__ = ["RecallSequence", "ReassignedSequence", "associative_recall", "reassigned_recall"]


class RecallSequence(NamedTuple):
    """A sequence of tokens and what is right at the queries. A batch has the same fields with a leading axis."""

    tokens: Int[Array, "*batch steps"]
    """int32, below the size of the vocabulary."""
    targets: Int[Array, "*batch steps"]
    """int32: the value of the key that is asked for at this step; 0 where none is."""
    mask: Float[Array, "*batch steps"]
    """1 at queries, 0 elsewhere."""


class ReassignedSequence(NamedTuple):
    """A recall sequence in which keys may have had another value before."""

    tokens: Int[Array, "*batch steps"]
    targets: Int[Array, "*batch steps"]
    """int32: the last value of the key that is asked for at this step; 0 where none is."""
    mask: Float[Array, "*batch steps"]
    """1 at queries, 0 elsewhere."""
    old: Int[Array, "*batch steps"]
    """int32: the first value of the key that is asked for, if it got a second one; -1 elsewhere."""


def associative_recall(
    key: PRNGKey,
    *,
    vocabulary: int,
    pairs: ArrayLike,
    steps: int,
    most: int | None = None,
    gap_exponent: ArrayLike = 0.01,
    noise: ArrayLike = 0.0,
    dtype: Any = None,
) -> RecallSequence:
    """One sequence of multi-query associative recall (:cite:`arora2024zoology`); map it over keys for a batch.

    The benchmark also has more words than steps. Its random tokens between queries may be keys of the sequence; here
    they are values, so that what followed a key last is always what it asks for.

    Args:
        key: typed PRNG key.
        vocabulary: number of tokens, with the blank one.
        pairs: N, from 1 to ``most``; may be traced.
        steps: length of the sequence, 4N or more.
        most: largest number of pairs; by default ``pairs``, which must then be concrete.
        gap_exponent: a; small: queries come soon after the pairs (the benchmark has 0.01), 1: anywhere.
        noise: probability of a random value in place of a blank, from 0 to 1, at each free step.
        dtype: of the mask; JAX's default float by default.

    Returns:
        The sequence. Where a traced number of pairs is not from 1 to ``most``, the mask is NaN.

    Raises:
        ValueError: if there are more than ``steps / 4`` pairs or more than keys or values, a concrete number of pairs
            is not a whole number from 1 to ``most``, ``most`` is left out with traced pairs, ``gap_exponent`` is not
            finite, or ``noise`` is no probability.
    """
    most = _most(pairs, most)
    _room(vocabulary, most, most)
    if 4 * most > steps:
        raise ValueError(f"steps must be at least 4 times the number of pairs, {most}, got {steps}")
    return RecallSequence(*_sequence(key, vocabulary, pairs, None, steps, most, gap_exponent, noise, dtype)[:3])


def reassigned_recall(
    key: PRNGKey,
    *,
    vocabulary: int,
    pairs: ArrayLike,
    reassigned: ArrayLike,
    steps: int,
    most: int | None = None,
    gap_exponent: ArrayLike = 0.01,
    noise: ArrayLike = 0.0,
    dtype: Any = None,
) -> ReassignedSequence:
    """One sequence in which some keys get a second value, after all first ones: the last value counts.

    The keys that get one are drawn without replacement, in random order. All values of a sequence differ, so an answer
    is either the new value, the old one, or another.

    Args:
        key: typed PRNG key.
        vocabulary: number of tokens, with the blank one.
        pairs: number of keys N, from 1 to ``most``; may be traced.
        reassigned: number of keys with a second value, M, from 0 to N; may be traced.
        steps: length of the sequence, 4N + 2M or more.
        most: largest number of keys; by default ``pairs``, which must then be concrete.
        gap_exponent: see `associative_recall`.
        noise: see `associative_recall`.
        dtype: of the mask; JAX's default float by default.

    Returns:
        The sequence. Where traced numbers do not fit, which cannot be refused, the mask is NaN.

    Raises:
        ValueError: if concrete numbers do not fit into the steps or are not whole or out of range, there are fewer keys
            than ``most`` or fewer values than twice that, ``most`` is left out with traced pairs, ``gap_exponent`` is
            not finite, or ``noise`` is no probability.
    """
    most = _most(pairs, most)
    _room(vocabulary, most, 2 * most)
    if is_concrete((pairs, reassigned)):
        _whole("reassigned", reassigned, 0, int(np.max(np.asarray(pairs))))
        needed = int(np.max(4 * np.asarray(pairs) + 2 * np.asarray(reassigned)))
        if needed > steps:
            raise ValueError(f"steps must be at least 4 pairs + 2 reassigned = {needed}, got {steps}")
    if 4 * most > steps:
        raise ValueError(f"steps must be at least 4 times the number of pairs, {most}, got {steps}")
    return ReassignedSequence(*_sequence(key, vocabulary, pairs, reassigned, steps, most, gap_exponent, noise, dtype))


def _sequence(
    key: PRNGKey,
    vocabulary: int,
    pairs: ArrayLike,
    reassigned: ArrayLike | None,
    steps: int,
    most: int,
    gap_exponent: ArrayLike,
    noise: ArrayLike,
    dtype: Any,
) -> tuple[Array, Array, Array, Array]:
    """Tokens, targets, mask and old values of one sequence."""
    again = 0 if reassigned is None else reassigned
    checks.shape_of("pairs", pairs, ())
    checks.shape_of("reassigned", again, ())
    checks.finite("gap_exponent", gap_exponent)
    checks.unit("noise", noise)
    dtype = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
    n, m = (jnp.asarray(x).astype(jnp.int32) for x in (pairs, again))
    half = vocabulary // 2
    # All random numbers of the sequence in one row: XLA takes seconds to compile each draw under vmap.
    sizes = (half - 1, vocabulary - half, most, steps // 2, steps)
    row = uniform(key, (sum(sizes),))
    for_keys, for_values, for_second, for_slots, for_noise = jnp.split(row, np.cumsum(sizes)[:-1])

    j = jnp.arange(most, dtype=jnp.int32)
    shown = min(2 * most, vocabulary - half)

    # Sorting random numbers draws without replacement; with Gumbel noise on log weights, one by one by these weights.
    context = 2 * (n + m)
    slot = jnp.arange(steps // 2, dtype=jnp.int32)
    free = slot < (steps - context) // 2
    exponent = jnp.asarray(gap_exponent).astype(row.dtype)
    weight = (exponent - 1) * jnp.log(slot.astype(row.dtype) + 1)
    gumbel = -jnp.log(-jnp.log(jnp.maximum(for_slots, jnp.finfo(row.dtype).tiny)))
    scores = for_keys, for_values, jnp.where(j < n, for_second, -1.0), jnp.where(free, weight + gumbel, -jnp.inf)
    first_keys, first_values, second, slots = _first(scores, (most, shown, most, most))
    keys, values, asked = 1 + first_keys, half + first_values, context + 2 * slots

    at = jnp.arange(steps, dtype=jnp.int32)
    here = (at[:, None] == asked[None, :]) & (j < n)[None, :]  # (steps, most): which key is asked for at which step

    def placed(x: Array) -> Array:
        return jnp.sum(jnp.where(here, x[None, :], 0), 1, dtype=jnp.int32)

    number = at // 2  # of the pair
    of = jnp.where(number < n, number, second[jnp.clip(number - n, 0, most - 1)])
    pair = jnp.where(at % 2 == 0, keys[jnp.clip(of, 0, most - 1)], values[jnp.clip(number, 0, shown - 1)])
    query = jnp.any(here, 1)
    filler = _filler(for_noise, noise, half, vocabulary)
    tokens = jnp.where(at < context, pair, jnp.where(query, placed(keys), filler))
    fits = (n >= 1) & (n <= most) & (m >= 0) & (m <= n) & (context + 2 * n <= steps)
    mask = jnp.where(fits, query.astype(dtype), jnp.asarray(jnp.nan, dtype))
    if reassigned is None:
        return tokens, placed(values[:most]), mask, jnp.full_like(tokens, -1)
    # Key j's first value is value j, the second value of the i-th key that gets one is value n + i.
    changes = (second[None, :] == j[:, None]) & (j < m)[None, :]
    changed = jnp.any(changes, 1)
    last = jnp.where(changed, n + jnp.sum(jnp.where(changes, j[None, :], 0), 1, dtype=jnp.int32), j)
    old = jnp.where(jnp.any(here & changed[None, :], 1), placed(values[:most]), -1)
    return tokens, placed(values[jnp.clip(last, 0, shown - 1)]), mask, old


def _first(scores: Sequence[Float[Array, " _"]], counts: Sequence[int]) -> list[Int[Array, " _"]]:
    """The places of the largest of each of several scores, in falling order, by one sort: each costs compilation."""
    longest = max(score.shape[0] for score in scores)
    rows = [jnp.pad(score, (0, longest - score.shape[0]), constant_values=-jnp.inf) for score in scores]
    order = lax.top_k(jnp.stack(rows), max(counts))[1].astype(jnp.int32)
    return [order[i, :count] for i, count in enumerate(counts)]


def _filler(u: Float[Array, " steps"], noise: ArrayLike, half: int, vocabulary: int) -> Int[Array, " steps"]:
    """Blanks, and random values in their place with the given probability, from uniform numbers."""
    p = jnp.asarray(noise).astype(u.dtype)
    some = jnp.where(p > 0, u / jnp.where(p > 0, p, 1), 0)  # uniform on [0, 1) where u < p
    value = half + jnp.floor(some * (vocabulary - half)).astype(jnp.int32)
    return jnp.where(u < p, jnp.minimum(value, vocabulary - 1), 0)


def _most(pairs: ArrayLike, most: int | None) -> int:
    if most is None:
        if not is_concrete(pairs):
            raise ValueError("most must be given where pairs is traced")
        most = int(np.max(np.asarray(pairs)))
    if most < 1:
        raise ValueError(f"pairs must be 1 or more, got {most}")
    _whole("pairs", pairs, 1, most)
    return most


def _room(vocabulary: int, keys: int, values: int) -> None:
    half = vocabulary // 2
    if half - 1 < keys or vocabulary - half < values:
        raise ValueError(
            f"vocabulary must have {keys} keys and {values} values, got {vocabulary} tokens: "
            f"a blank, {max(half - 1, 0)} keys and {vocabulary - half} values"
        )


def _whole(name: str, value: ArrayLike, low: int, high: int) -> None:
    if is_concrete(value):
        given = np.asarray(value)
        right = (given == np.round(given)) & (given >= low) & (given <= high)
        checks.require(right, f"{name} must be a whole number from {low} to {high}, got {given}")
