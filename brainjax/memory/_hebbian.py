"""Memories that write without looking: what is stored does not depend on what was stored before."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from brainjax.core import checks
from brainjax.memory._recurrences import decayed_sums, linear_chunk, spans
from brainjax.memory._rule import MemoryRule, Weights, assemble

__all__ = [
    "Centred", "Normalised", "Traces", "covariance", "gated_hebb", "hebb", "hebb_decay", "normalised_linear", "trace",
]  # fmt: skip


class Normalised(NamedTuple):
    """A matrix and the sum of keys by which its reads are divided."""

    weights: Float[Array, "d_k d_v"]
    normaliser: Float[Array, "d_k"]


class Centred(NamedTuple):
    """A matrix and the running means of keys and values."""

    weights: Float[Array, "d_k d_v"]
    key_mean: Float[Array, "d_k"]
    value_mean: Float[Array, "d_v"]


class Traces(NamedTuple):
    """A matrix and the decaying sums of past keys and values."""

    weights: Float[Array, "d_k d_v"]
    key_trace: Float[Array, "d_k"]
    value_trace: Float[Array, "d_v"]


def empty(d_k, d_v, constants, dtype, length) -> Weights:
    """A matrix of zeros."""
    return Weights(jnp.zeros((d_k, d_v), dtype))


def plain_read(state, q, constants) -> Array:
    r"""What all matrices answer, :math:`o = S^\top q`."""
    return state.weights.T @ q


def outer(k: Array, v: Array) -> Float[Array, "d_k d_v"]:
    r"""The matrix :math:`k v^\top`."""
    return k[:, None] * v[None, :]


def hebb() -> MemoryRule:
    r"""Hebb's rule, unnormalised linear attention, learning by contiguity (:cite:`hebb1949`, :cite:`schmidhuber1992`).

    .. math:: S_t = S_{t-1} + \beta_t k_t v_t^\top

    Constants: ``beta``, 1, also a control. Associations grow without bound and are never unlearned by trials without
    outcome. On orthonormal keys every pair is recalled exactly.
    """

    def step(state, k, v, controls, constants):
        return Weights(state.weights + controls["beta"] * outer(k, v))

    def chunk(state, q, k, v, controls, constants, before):
        outputs, weights = linear_chunk(state.weights, q, k, controls["beta"][:, None] * v, spans(None), before)
        return outputs, Weights(weights)

    return assemble(
        "hebb", init=empty, step=step, read=plain_read, chunk=chunk, defaults={"beta": 1.0}, controls={"beta": "step"}
    )


def hebb_decay() -> MemoryRule:
    r"""Hebb's rule with passive forgetting: RetNet (:cite:`sun2023`) and, per step, Mamba-2 (:cite:`dao2024`).

    .. math:: S_t = e^{g_t} S_{t-1} + \beta_t k_t v_t^\top

    Constants: ``beta``, 1, and ``log_decay`` (:math:`g`, zero or less), -0.02; both are also controls. All associations
    decay alike, those of absent cues too.
    """

    def step(state, k, v, controls, constants):
        return Weights(jnp.exp(controls["log_decay"]) * state.weights + controls["beta"] * outer(k, v))

    def chunk(state, q, k, v, controls, constants, before):
        over = spans(jnp.exp(controls["log_decay"]))
        outputs, weights = linear_chunk(state.weights, q, k, controls["beta"][:, None] * v, over, before)
        return outputs, Weights(weights)

    return assemble(
        "hebb_decay",
        init=empty,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 1.0, "log_decay": -0.02},
        controls={"beta": "step", "log_decay": "step"},
    )


def gated_hebb() -> MemoryRule:
    r"""Hebb's rule with a decay per key component: gated linear attention (:cite:`yang2024gla`).

    .. math:: S_t = \mathrm{diag}(e^{g_t}) S_{t-1} + \beta_t k_t v_t^\top

    Constants: ``beta``, 1, also a control, and ``log_decay`` (:math:`g`, zero or less, a number or one per key
    component), -0.02, as a control of shape (steps, d_k). With one key component per cue, cues are forgotten at
    different rates.
    """

    def step(state, k, v, controls, constants):
        return Weights(jnp.exp(controls["log_decay"])[:, None] * state.weights + controls["beta"] * outer(k, v))

    def chunk(state, q, k, v, controls, constants, before):
        over = spans(jnp.exp(controls["log_decay"]))
        outputs, weights = linear_chunk(state.weights, q, k, controls["beta"][:, None] * v, over, before)
        return outputs, Weights(weights)

    return assemble(
        "gated_hebb",
        init=empty,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 1.0, "log_decay": -0.02},
        controls={"beta": "step", "log_decay": "key"},
    )


def normalised_linear() -> MemoryRule:
    r"""Linear attention with its normaliser (:cite:`katharopoulos2020`): a running average of values.

    .. math:: S_t = e^{g_t} S_{t-1} + \beta_t k_t v_t^\top, \quad z_t = e^{g_t} z_{t-1} + \beta_t k_t, \quad
              o = S^\top q / (z \cdot q + \epsilon)

    Constants: ``beta``, 1, and ``log_decay``, 0, both also controls; ``epsilon``, 0. Meant for non-negative keys and
    queries (see `elu_plus_one` and the other features): the denominator of signed ones can vanish. With one component
    per cue the answer to a cue is the fraction of its trials that were reinforced. A query on which nothing was
    written (denominator exactly zero) is answered by zeros.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Normalised(jnp.zeros((d_k, d_v), dtype), jnp.zeros(d_k, dtype))

    def step(state, k, v, controls, constants):
        decay, beta = jnp.exp(controls["log_decay"]), controls["beta"]
        return Normalised(decay * state.weights + beta * outer(k, v), decay * state.normaliser + beta * k)

    def read(state, q, constants):
        return _ratio(state.weights.T @ q, state.normaliser @ q + constants["epsilon"])

    def chunk(state, q, k, v, controls, constants, before):
        over = spans(jnp.exp(controls["log_decay"]))
        beta = controls["beta"][:, None]
        both = jnp.concatenate([state.weights, state.normaliser[:, None]], 1)
        outputs, both = linear_chunk(both, q, k, jnp.concatenate([beta * v, beta], 1), over, before)
        state = Normalised(both[:, :-1], both[:, -1])
        return _ratio(outputs[:, :-1], outputs[:, -1:] + constants["epsilon"]), state

    def refuse(state, k, v, controls, constants):
        checks.non_negative("constant epsilon", constants["epsilon"])

    return assemble(
        "normalised_linear",
        init=init,
        step=step,
        read=read,
        chunk=chunk,
        defaults={"beta": 1.0, "log_decay": 0.0, "epsilon": 0.0},
        controls={"beta": "step", "log_decay": "step"},
        refuse=refuse,
    )


def covariance() -> MemoryRule:
    r"""The covariance rule (:cite:`sejnowski1977`): contingency instead of contiguity.

    .. math:: S_t = S_{t-1} + \beta_t (k_t - \bar k_{t-1})(v_t - \bar v_{t-1})^\top, \qquad
              \bar k_t = (1 - \rho) \bar k_{t-1} + \rho k_t \text{ and the same for } \bar v

    Constants: ``beta``, 1, also a control; ``mean_rate`` (:math:`\rho`, from 0 to 1), 0.05; ``key_mean`` (a number or
    one per key component) and ``value_mean``, the means at the start, 0. With ``mean_rate`` 0 the means stay.
    """

    def init(d_k, d_v, constants, dtype, length):
        means = (jnp.broadcast_to(constants["key_mean"], d_k), jnp.broadcast_to(constants["value_mean"], d_v))
        return Centred(jnp.zeros((d_k, d_v), dtype), *means)

    def step(state, k, v, controls, constants):
        rate = constants["mean_rate"]
        change = outer(k - state.key_mean, v - state.value_mean)
        return Centred(
            state.weights + controls["beta"] * change,
            (1 - rate) * state.key_mean + rate * k,
            (1 - rate) * state.value_mean + rate * v,
        )

    def chunk(state, q, k, v, controls, constants, before):
        rate = constants["mean_rate"]
        key_means, value_means = (
            jnp.concatenate([start[None], decayed_sums(rate * x, 1 - rate, start)])
            for x, start in ((k, state.key_mean), (v, state.value_mean))
        )
        centred = controls["beta"][:, None] * (v - value_means[:-1])
        outputs, weights = linear_chunk(state.weights, q, k - key_means[:-1], centred, spans(None), before)
        return outputs, Centred(weights, key_means[-1], value_means[-1])

    def refuse(state, k, v, controls, constants):
        checks.unit("constant mean_rate", constants["mean_rate"])

    return assemble(
        "covariance",
        init=init,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 1.0, "mean_rate": 0.05, "key_mean": 0.0, "value_mean": 0.0},
        controls={"beta": "step"},
        vectors=("key_mean",),
        refuse=refuse,
    )


def trace() -> MemoryRule:
    r"""Spike-timing-like plasticity with traces of past activity (:cite:`gerstner1996`, :cite:`song2000`).

    .. math:: S_t = S_{t-1} + \beta_t (A_+ \tilde k_t v_t^\top - A_- k_t \tilde v_{t-1}^\top), \qquad
              \tilde k_t = \lambda_k \tilde k_{t-1} + k_t, \quad \tilde v_t = \lambda_v \tilde v_{t-1} + v_t

    A key before a value potentiates, a value before a key depresses, both together potentiate. Constants: ``beta``, 1,
    also a control; ``potentiation`` (:math:`A_+`), 1; ``depression`` (:math:`A_-`), 0.5; ``key_decay`` and
    ``value_decay`` (:math:`\lambda`, from 0 to 1), 0.8. Trace conditioning: a cue that has ended is still paired.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Traces(jnp.zeros((d_k, d_v), dtype), jnp.zeros(d_k, dtype), jnp.zeros(d_v, dtype))

    def step(state, k, v, controls, constants):
        key_trace = constants["key_decay"] * state.key_trace + k
        up, down = (
            constants["potentiation"] * outer(key_trace, v),
            constants["depression"] * outer(k, state.value_trace),
        )
        value_trace = constants["value_decay"] * state.value_trace + v
        return Traces(state.weights + controls["beta"] * (up - down), key_trace, value_trace)

    def chunk(state, q, k, v, controls, constants, before):
        beta = controls["beta"][:, None]
        key_traces = decayed_sums(k, constants["key_decay"], state.key_trace)
        value_traces = jnp.concatenate(
            [state.value_trace[None], decayed_sums(v, constants["value_decay"], state.value_trace)]
        )
        up, down = beta * constants["potentiation"] * v, -beta * constants["depression"] * value_traces[:-1]
        outputs, weights = linear_chunk(state.weights, q, key_traces, up, spans(None), before)
        lowered, change = linear_chunk(jnp.zeros_like(weights), q, k, down, spans(None), before)
        return outputs + lowered, Traces(weights + change, key_traces[-1], value_traces[-1])

    def refuse(state, k, v, controls, constants):
        for name in ("key_decay", "value_decay"):
            checks.unit(f"constant {name}", constants[name])

    return assemble(
        "trace",
        init=init,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 1.0, "potentiation": 1.0, "depression": 0.5, "key_decay": 0.8, "value_decay": 0.8},
        controls={"beta": "step"},
        refuse=refuse,
    )


def _ratio(top: Array, bottom: Array) -> Array:
    empty = bottom == 0
    return jnp.where(empty, jnp.zeros_like(top), top / jnp.where(empty, jnp.ones_like(bottom), bottom))
