r"""Many steps of a gated recurrence at once, by matrix products.

.. math:: S_t = D_t S_{t-1} + k_t u_t^\top, \qquad D_t = a_t I \text{ or } \mathrm{diag}(a_t)

with :math:`u_t` given (Hebbian memories) or an error, :math:`u_t = v_t - (D_t S_{t-1})^\top x_t` (error-correcting
ones). Let :math:`\Gamma_{ij} = \prod_{j < l \le i} a_l` for :math:`i \ge j`. Then

.. math:: S_i = \Gamma_{i0} S_0 + \sum_{j \le i} \Gamma_{ij} k_j u_j^\top, \qquad
          (I + L) U = V - (\Gamma_{\cdot 0} X) S_0, \quad L_{ij} = \Gamma_{ij}\, x_i \cdot k_j \; (j < i).

The products of gates are built as products, never as differences of sums of logarithms nor as quotients. Nothing can
overflow while gates are at most 1 in size, gates of zero or of negative sign are exact, and gradients stay finite.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from brainjax.core.products import matmul, transposed
from brainjax.memory._triangular import batched_products, diagonal_blocks, stacked_blocks, unit_lower_solve

__all__ = ["Spans", "column_chunk", "decayed_sums", "error_chunk", "linear_chunk", "scores", "spans"]


class Spans(NamedTuple):
    """Products of gates over stretches of a chunk; without decay all are None."""

    gates: Array | None
    """One number per step, (steps,), or one per step and key component, (steps, d_k)."""
    upto: Array | None
    """Of the gates up to the step, its own included."""
    until: Array | None
    """Of those before the step."""
    rest: Array | None
    """Of those after the step, to the end of the chunk."""
    between: Array | None
    """For gates of one number per step, the matrix of products from after column j up to row i; zero above."""


def spans(gates: Array | None) -> Spans:
    """The products of gates that a chunk needs."""
    if gates is None:
        return Spans(None, None, None, None, None)
    return Spans(gates, *_along(gates), _between(gates) if gates.ndim == 1 else None)


def scores(
    x: Float[Array, "steps d_k"], k: Float[Array, "steps d_k"], over: Spans, *, own: bool = True, diagonal: bool = True
) -> Float[Array, "steps steps"]:
    r"""Lower triangular :math:`x_i \cdot \Gamma_{ij} k_j`, by default with the row's own gate and the diagonal.

    Args:
        x: what reads.
        k: what was written.
        over: products of gates.
        own: whether row i is read behind its own gate (after the decay of step i).
        diagonal: whether row i sees key i; never without ``own``.
    """
    steps = x.shape[0]
    if over.gates is not None and over.gates.ndim == 2:
        return _channel_scores(x, k, over.gates, own=own, diagonal=diagonal and own)
    plain = matmul(x, k.T)
    if over.between is None:
        return jnp.tril(plain, 0 if diagonal and own else -1)
    if own:
        weights = over.between if diagonal else jnp.tril(over.between, -1)
    else:
        weights = jnp.concatenate([jnp.zeros((1, steps), x.dtype), over.between[:-1]])
    return plain * weights


def linear_chunk(
    weights: Float[Array, "d_k d_v"],
    q: Float[Array, "steps d_k"],
    k: Float[Array, "steps d_k"],
    u: Float[Array, "steps d_v"],
    over: Spans,
    before: bool,
) -> tuple[Float[Array, "steps d_v"], Float[Array, "d_k d_v"]]:
    """Reads and last state of a recurrence whose writes are given."""
    far = matmul(_scaled(over.until if before else over.upto, q), weights)
    near = matmul(scores(q, k, over, own=not before), u)
    return far + near, _advanced(weights, k, u, over)


def error_chunk(
    weights: Float[Array, "d_k d_v"],
    q: Float[Array, "steps d_k"],
    k: Float[Array, "steps d_k"],
    x: Float[Array, "steps d_k"],
    v: Float[Array, "steps d_v"],
    over: Spans,
    before: bool,
) -> tuple[Float[Array, "steps d_v"], Float[Array, "d_k d_v"]]:
    """Reads and last state of a recurrence that writes ``v`` less what ``x`` reads of the decayed state."""
    expected = matmul(_scaled(over.upto, x), weights)
    u = unit_lower_solve(scores(x, k, over, diagonal=False), v - expected)
    return linear_chunk(weights, q, k, u, over, before)


def column_chunk(
    weights: Float[Array, "d_k d_v"],
    q: Float[Array, "steps d_k"],
    k: Float[Array, "steps d_k"],
    u: Float[Array, "steps d_v"],
    gates: Float[Array, "steps d_v"],
    before: bool,
) -> tuple[Float[Array, "steps d_v"], Float[Array, "d_k d_v"]]:
    r"""Reads and last state of :math:`S_t = S_{t-1} \mathrm{diag}(a_t) + k_t u_t^\top`, in which columns decay."""
    steps, width = u.shape
    n = _power_of_two(steps)
    upto, until, rest = _along(gates)
    plain = jnp.pad(matmul(q, k.T), (0, n - steps))
    padded = jnp.pad(u, ((0, n - steps), (0, 0)))
    near = jnp.zeros_like(padded) if before else jnp.diagonal(plain)[:, None] * padded
    for size, ups, rests in _across_borders(gates, n, own=not before):
        pairs = n // (2 * size)
        corner = diagonal_blocks(plain, 2 * size)[:, size:, :size]
        moved = ups * batched_products(corner, rests * padded.reshape(pairs, 2, size, width)[:, 0])
        both = near.reshape(pairs, 2, size, width)
        near = jnp.stack([both[:, 0], both[:, 1] + moved], 1).reshape(n, width)
    far = (until if before else upto) * matmul(q, weights)
    return far + near[:steps], upto[-1][None, :] * weights + matmul(transposed(k), rest * u)


def decayed_sums(
    x: Float[Array, "steps d"], decay: Float[Array, ""], start: Float[Array, "d"]
) -> Float[Array, "steps d"]:
    r"""Traces :math:`\tilde x_t = \lambda \tilde x_{t-1} + x_t` of all steps, from :math:`\tilde x_0` = ``start``."""
    gates = jnp.broadcast_to(decay, x.shape[:1])
    return matmul(_between(gates), x) + _running_products(gates)[:, None] * start[None, :]


def _advanced(weights: Array, k: Array, u: Array, over: Spans) -> Array:
    written = matmul(transposed(_scaled(over.rest, k)), u)
    if over.upto is None:
        return weights + written
    last = over.upto[-1]
    return (last[:, None] if last.ndim else last) * weights + written


def _scaled(factors: Array | None, x: Array) -> Array:
    if factors is None:
        return x
    return (factors[:, None] if factors.ndim == 1 else factors) * x


def _along(gates: Array) -> tuple[Array, Array, Array]:
    """Products up to and including each step, before it, and after it to the end."""
    one = jnp.ones_like(gates[:1])
    upto = _running_products(gates)
    rest = _running_products(gates[::-1])[::-1]
    return upto, jnp.concatenate([one, upto[:-1]]), jnp.concatenate([rest[1:], one])


def _running_products(x: Array) -> Array:
    """Along the first axis, by doubling: exact zeros, no division in any derivative."""
    shift = 1
    while shift < x.shape[0]:
        x = jnp.concatenate([x[:shift], x[shift:] * x[:-shift]])
        shift *= 2
    return x


def _between(gates: Float[Array, "steps"]) -> Float[Array, "steps steps"]:
    steps = gates.shape[0]
    below = jnp.tri(steps, k=-1, dtype=bool)
    rows = jnp.where(below, gates[:, None], jnp.ones((), gates.dtype))
    return jnp.tril(_running_products(rows))


def _channel_scores(x: Array, k: Array, gates: Array, *, own: bool, diagonal: bool) -> Array:
    """Scores with one gate per key component, from blocks of one step up to the chunk."""
    steps, width = x.shape
    n = _power_of_two(steps)
    x, k = (jnp.pad(rows, ((0, n - steps), (0, 0))) for rows in (x, k))
    found = jnp.sum(x * k, 1)[:, None, None] if diagonal else jnp.zeros((n, 1, 1), x.dtype)
    for size, upto, rest in _across_borders(gates, n, own):
        pairs = (n // (2 * size), 2, size, width)
        readers, writers = x.reshape(pairs)[:, 1], k.reshape(pairs)[:, 0]
        corner = batched_products(readers * upto, jnp.swapaxes(writers * rest, 1, 2))
        found = stacked_blocks(found, corner)
    return found[0, :steps, :steps]


def _across_borders(gates: Array, n: int, own: bool) -> Iterator[tuple[int, Array, Array]]:
    """Products of gates around the borders between neighbouring blocks of 1, 2, 4, ... steps.

    Yields the size, the products from a border up to each row of the block behind it, and those from behind each row
    of the block in front of it to the border, both of shape (pairs, size, width). Every path of gates from a column
    to a row crosses one such border: the product splits there into two factors that are both at most 1 in size where
    gates are.
    """
    steps, width = gates.shape
    total = jnp.pad(gates, ((0, n - steps), (0, 0)), constant_values=1)[:, None, :]
    upto = total if own else jnp.ones_like(total)
    rest = jnp.ones_like(total)
    size = 1
    while size < n:
        pairs = n // (2 * size)
        ups, rests = upto.reshape(pairs, 2, size, width), rest.reshape(pairs, 2, size, width)
        yield size, ups[:, 1], rests[:, 0]
        totals = total.reshape(pairs, 2, 1, width)
        upto = jnp.concatenate([ups[:, 0], totals[:, 0] * ups[:, 1]], 1)
        rest = jnp.concatenate([rests[:, 0] * totals[:, 1], rests[:, 1]], 1)
        total = totals[:, 0] * totals[:, 1]
        size *= 2


def _power_of_two(steps: int) -> int:
    return 1 << (steps - 1).bit_length()
