"""Memories that keep every pair: softmax attention and modern Hopfield retrieval."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.core.types import ArrayLike, as_floats
from brainjax.memory._rule import MemoryRule, assemble

__all__ = ["Exemplars", "hopfield", "hopfield_energy", "hopfield_update", "softmax"]


class Exemplars(NamedTuple):
    """All pairs so far, in a store of fixed room; a pair beyond the room turns the store's answers into NaN."""

    keys: Float[Array, "room d_k"]
    values: Float[Array, "room d_v"]
    written: Int[Array, ""]
    """How many pairs were written, int32; the rows from there on are empty."""


def softmax() -> MemoryRule:
    r"""Softmax attention, an exemplar model (:cite:`vaswani2017`, :cite:`nosofsky1986`).

    .. math:: o = \sum_i v_i \frac{e^{b\, q \cdot k_i}}{\sum_j e^{b\, q \cdot k_j}}

    Constant: ``inverse_temperature`` (:math:`b`), 1; the transformer's is :math:`1/\sqrt{d_k}`. Large :math:`b`: the
    nearest exemplar. An empty memory answers zeros. The state has room for ``length`` pairs; `apply` makes one that
    has room for its sequence. Chunked, the scores of a chunk against the whole store are in memory at a time; parallel,
    all of them.
    """
    return _exemplar_rule("softmax", 1)


def hopfield(*, steps: int = 1) -> MemoryRule:
    r"""Modern Hopfield retrieval (:cite:`ramsauer2021`): the query is completed before the values are read.

    .. math:: \xi_{s+1} = \sum_i k_i\, \mathrm{softmax}_i(b\, k \cdot \xi_s), \quad \xi_0 = q, \qquad
              o = \sum_i v_i\, \mathrm{softmax}_i(b\, k \cdot \xi_{\text{steps} - 1})

    With values equal to keys this is ``steps`` updates of the network, each of which lowers `hopfield_energy`; with one
    step it is softmax attention. Constant: ``inverse_temperature``, 1. Option: ``steps``, at least 1.

    Raises:
        ValueError: if ``steps`` is below 1.
    """
    checks.at_least("steps", steps, 1)
    return _exemplar_rule("hopfield", steps)


def hopfield_update(patterns: ArrayLike, probe: ArrayLike, *, inverse_temperature: ArrayLike) -> Float[Array, "d"]:
    r"""One update :math:`\xi \leftarrow X^\top \mathrm{softmax}(b X \xi)` of a modern Hopfield network.

    Args:
        patterns: stored patterns X, shape (patterns, d).
        probe: the network's state, shape (d,).
        inverse_temperature: b.
    """
    patterns, probe, b = _checked(patterns, probe, inverse_temperature)
    return patterns.T @ jax.nn.softmax(b * (patterns @ probe))


def hopfield_energy(patterns: ArrayLike, probe: ArrayLike, *, inverse_temperature: ArrayLike) -> Float[Array, ""]:
    r"""Energy of a modern Hopfield network (:cite:`ramsauer2021`), zero or more.

    .. math:: E(\xi) = -\frac1b \log \sum_i e^{b\, x_i \cdot \xi} + \tfrac12 |\xi|^2 + \frac1b \log N
              + \tfrac12 \max_i |x_i|^2

    Args:
        patterns: stored patterns, shape (patterns, d).
        probe: the network's state, shape (d,).
        inverse_temperature: b, positive.
    """
    patterns, probe, b = _checked(patterns, probe, inverse_temperature)
    attraction = jax.nn.logsumexp(b * (patterns @ probe)) - jnp.log(jnp.asarray(patterns.shape[0], patterns.dtype))
    return (jnp.sum(probe**2) + jnp.max(jnp.sum(patterns**2, 1))) / 2 - attraction / b


def _checked(patterns: ArrayLike, probe: ArrayLike, inverse_temperature: ArrayLike) -> tuple[Array, Array, Array]:
    checks.positive("inverse_temperature", inverse_temperature)
    patterns, probe, b = as_floats(patterns, probe, inverse_temperature)
    checks.shape_of("patterns", patterns, (None, None), "(patterns, d)")
    checks.shape_of("probe", probe, patterns.shape[1:], "(d,)")
    return patterns, probe, b


def _exemplar_rule(name: str, updates: int) -> MemoryRule:
    def init(d_k, d_v, constants, dtype, length):
        checks.at_least("length", length, 1)
        return Exemplars(jnp.zeros((length, d_k), dtype), jnp.zeros((length, d_v), dtype), jnp.zeros((), jnp.int32))

    def store(state: Exemplars, k: Array, v: Array) -> Exemplars:
        """Write rows; rows without room become NaN."""
        new = k.shape[0]
        room = state.keys.shape[0]
        if new > room:
            raise ValueError(f"{name}: got {new} pairs for a state with room for {room}: give init_state a length")
        fits = state.written + new <= room
        keys, values = (
            lax.dynamic_update_slice(
                held, jnp.where(fits, rows, jnp.full_like(rows, jnp.nan)), (state.written, jnp.zeros((), jnp.int32))
            )
            for held, rows in ((state.keys, k), (state.values, v))
        )
        return Exemplars(keys, values, state.written + jnp.asarray(new, jnp.int32))

    def answers(state: Exemplars, q: Array, seen: Array, constants) -> Array:
        """Reads of rows of queries, each of which sees the first ``seen`` pairs."""
        b = constants["inverse_temperature"]
        open_to = jnp.arange(state.keys.shape[0], dtype=jnp.int32)[None, :] < seen[:, None]
        for j in range(updates):
            weights = _masked_softmax(b * matmul(q, state.keys.T), open_to)
            q = matmul(weights, state.values if j == updates - 1 else state.keys)
        return q

    def step(state, k, v, controls, constants):
        return store(state, k[None], v[None])

    def read(state, q, constants):
        return answers(state, q[None], state.written[None], constants)[0]

    def chunk(state, q, k, v, controls, constants, before):
        start = state.written
        state = store(state, k, v)
        seen = start + jnp.arange(0 if before else 1, k.shape[0] + (not before), dtype=jnp.int32)
        return answers(state, q, seen, constants), state

    def refuse(state, k, v, controls, constants):
        checks.non_negative("constant inverse_temperature", constants["inverse_temperature"])

    return assemble(
        name, init=init, step=step, read=read, chunk=chunk, defaults={"inverse_temperature": 1.0}, refuse=refuse
    )


def _masked_softmax(logits: Array, open_to: Array) -> Array:
    """Rows of weights that sum to one over what is open, or are zero where nothing is."""
    least = jnp.asarray(jnp.finfo(logits.dtype).min, logits.dtype)
    top = lax.stop_gradient(jnp.max(jnp.where(open_to, logits, least), 1, keepdims=True))
    shifted = jnp.where(open_to, logits - top, -jnp.inf)
    weights = jnp.exp(shifted)
    total = jnp.sum(weights, 1, keepdims=True)
    return weights / jnp.where(total == 0, jnp.ones_like(total), total)
