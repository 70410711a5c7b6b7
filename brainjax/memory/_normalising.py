"""Hebbian rules that bound themselves: by decay in proportion to activity, by a sliding threshold, by a stabiliser."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from brainjax.core import checks
from brainjax.memory._hebbian import empty, outer, plain_read
from brainjax.memory._recurrences import column_chunk, decayed_sums, linear_chunk, spans
from brainjax.memory._rule import MemoryRule, Weights, assemble, in_range

__all__ = ["Sliding", "Stabilised", "bcm", "bcm_clamped", "mlstm", "oja", "oja_clamped"]


class Sliding(NamedTuple):
    """A matrix and the threshold of each output, a running mean of its squared activity."""

    weights: Float[Array, "d_k d_v"]
    threshold: Float[Array, "d_v"]


class Stabilised(NamedTuple):
    r"""A matrix and a sum of keys, both divided by :math:`e^m`, and the logarithm m."""

    weights: Float[Array, "d_k d_v"]
    normaliser: Float[Array, "d_k"]
    stabiliser: Float[Array, ""]


def oja() -> MemoryRule:
    r"""Oja's subspace rule, running freely (:cite:`oja1982`, :cite:`oja1989`).

    .. math:: y = S_{t-1}^\top k_t + c\, v_t, \qquad S_t = S_{t-1} + \beta_t (k_t y^\top - S_{t-1} y y^\top)

    With :math:`c = 0` the columns come to span the leading principal components of the keys and values have no effect.
    Constants: ``beta``, 0.05, also a control; ``drive`` (:math:`c`), 0. An empty memory without drive stays empty:
    start from a state. Sequential only.
    """

    def step(state, k, v, controls, constants):
        y = state.weights.T @ k + constants["drive"] * v
        return Weights(state.weights + controls["beta"] * outer(k - state.weights @ y, y))

    return assemble(
        "oja", init=empty, step=step, read=plain_read, defaults={"beta": 0.05, "drive": 0.0}, controls={"beta": "step"}
    )


def oja_clamped() -> MemoryRule:
    r"""Oja's rule with the outputs held at the values, each output on its own (:cite:`oja1982`).

    .. math:: S_t = S_{t-1} (I - \beta_t\, \mathrm{diag}(v_t^2)) + \beta_t k_t v_t^\top

    Column :math:`j` approaches :math:`E[k v_j] / E[v_j^2]`: Hebb, normalised by the outcome. Constants: ``beta``, 0.2,
    also a control. Stable for :math:`0 \le \beta v_j^2 \le 2`. Without outcome nothing changes: no extinction.
    """

    def step(state, k, v, controls, constants):
        beta = controls["beta"]
        return Weights((1 - beta * v * v)[None, :] * state.weights + beta * outer(k, v))

    def chunk(state, q, k, v, controls, constants, before):
        beta = controls["beta"][:, None]
        outputs, weights = column_chunk(state.weights, q, k, beta * v, 1 - beta * v * v, before)
        return outputs, Weights(weights)

    def refuse(state, k, v, controls, constants):
        if checks.is_concrete((v, controls["beta"])):
            rates = np.asarray(controls["beta"])[:, None] * np.asarray(v, np.float64) ** 2
            in_range("beta * v_j^2", rates, 0, 2, "the range in which no write amplifies what is stored")

    return assemble(
        "oja_clamped",
        init=empty,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 0.2},
        controls={"beta": "step"},
        refuse=refuse,
    )


_BCM = {"beta": 0.05, "threshold_rate": 0.1, "threshold": 0.0}


def _init_sliding(d_k, d_v, constants, dtype, length) -> Sliding:
    return Sliding(jnp.zeros((d_k, d_v), dtype), jnp.broadcast_to(constants["threshold"], d_v))


def _refuse_sliding(state, k, v, controls, constants) -> None:
    checks.unit("constant threshold_rate", constants["threshold_rate"])


def bcm() -> MemoryRule:
    r"""Bienenstock, Cooper and Munro's rule with a sliding threshold, running freely (:cite:`bienenstock1982`).

    .. math:: y = S_{t-1}^\top k_t + c\, v_t, \quad
              S_t = S_{t-1} + \beta_t k_t \bigl(y (y - \theta_{t-1})\bigr)^\top, \quad
              \theta_t = (1 - \rho) \theta_{t-1} + \rho y^2

    The threshold must slide faster than the weights, else they run away. Constants: ``beta``, 0.05, also a control;
    ``threshold_rate`` (:math:`\rho`, from 0 to 1), 0.1; ``threshold`` (at the start), 0; ``drive`` (:math:`c`), 0.
    Sequential only.
    """

    def step(state, k, v, controls, constants):
        y, rate = state.weights.T @ k + constants["drive"] * v, constants["threshold_rate"]
        weights = state.weights + controls["beta"] * outer(k, y * (y - state.threshold))
        return Sliding(weights, (1 - rate) * state.threshold + rate * y * y)

    return assemble(
        "bcm",
        init=_init_sliding,
        step=step,
        read=plain_read,
        defaults=_BCM | {"drive": 0.0},
        controls={"beta": "step"},
        refuse=_refuse_sliding,
    )


def bcm_clamped() -> MemoryRule:
    r"""The rule `bcm` with the outputs held at the values: Hebb on transformed outcomes (:cite:`bienenstock1982`).

    .. math:: S_t = S_{t-1} + \beta_t k_t \bigl(v_t (v_t - \theta_{t-1})\bigr)^\top, \quad
              \theta_t = (1 - \rho) \theta_{t-1} + \rho v_t^2

    Constants: ``beta``, 0.05, also a control; ``threshold_rate`` (:math:`\rho`, from 0 to 1), 0.1; ``threshold`` (at
    the start), 0.
    """

    def step(state, k, v, controls, constants):
        rate = constants["threshold_rate"]
        weights = state.weights + controls["beta"] * outer(k, v * (v - state.threshold))
        return Sliding(weights, (1 - rate) * state.threshold + rate * v * v)

    def chunk(state, q, k, v, controls, constants, before):
        rate = constants["threshold_rate"]
        after = decayed_sums(rate * v * v, 1 - rate, state.threshold)
        thresholds = jnp.concatenate([state.threshold[None], after[:-1]])
        u = controls["beta"][:, None] * v * (v - thresholds)
        outputs, weights = linear_chunk(state.weights, q, k, u, spans(None), before)
        return outputs, Sliding(weights, after[-1])

    return assemble(
        "bcm_clamped",
        init=_init_sliding,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults=_BCM,
        controls={"beta": "step"},
        refuse=_refuse_sliding,
    )


def mlstm() -> MemoryRule:
    r"""The matrix memory of xLSTM: exponential input gates and a bounded normaliser (:cite:`beck2024`).

    .. math:: S_t = e^{g_t} S_{t-1} + e^{i_t} k_t v_t^\top, \quad z_t = e^{g_t} z_{t-1} + e^{i_t} k_t, \quad
              o = S^\top q / \max(|z \cdot q|, 1)

    Both are kept divided by :math:`e^{m_t}`, :math:`m_t = \max(g_t + m_{t-1}, i_t)`, so that no input gate overflows;
    answers do not depend on :math:`m`, which carries no gradient (of a given start, the first :math:`m` does).
    Constants, both also controls: ``log_decay`` (:math:`g`, zero or less), -0.02; ``log_input`` (:math:`i`, finite), 0.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Stabilised(jnp.zeros((d_k, d_v), dtype), jnp.zeros(d_k, dtype), jnp.zeros((), dtype))

    def step(state, k, v, controls, constants):
        decay, gate = controls["log_decay"], controls["log_input"]
        top = lax.stop_gradient(jnp.maximum(decay + state.stabiliser, gate))
        kept, taken = jnp.exp(decay + state.stabiliser - top), jnp.exp(gate - top)
        return Stabilised(kept * state.weights + taken * outer(k, v), kept * state.normaliser + taken * k, top)

    def read(state, q, constants):
        return state.weights.T @ q / jnp.maximum(jnp.abs(state.normaliser @ q), jnp.exp(-state.stabiliser))

    def chunk(state, q, k, v, controls, constants, before):
        decay, gate = controls["log_decay"], controls["log_input"]
        tops = lax.stop_gradient(_stabilisers(decay, gate, state.stabiliser))
        earlier = jnp.concatenate([state.stabiliser[None], tops[:-1]])
        taken = jnp.exp(gate - tops)[:, None]
        both = jnp.concatenate([state.weights, state.normaliser[:, None]], 1)
        over = spans(jnp.exp(decay + earlier - tops))
        outputs, both = linear_chunk(both, q, k, jnp.concatenate([taken * v, taken], 1), over, before)
        least = jnp.exp(-(earlier if before else tops))[:, None]
        answers = outputs[:, :-1] / jnp.maximum(jnp.abs(outputs[:, -1:]), least)
        return answers, Stabilised(both[:, :-1], both[:, -1], tops[-1])

    def refuse(state, k, v, controls, constants):
        checks.finite("log_input", controls["log_input"])

    return assemble(
        "mlstm",
        init=init,
        step=step,
        read=read,
        chunk=chunk,
        defaults={"log_decay": -0.02, "log_input": 0.0},
        controls={"log_decay": "step", "log_input": "step"},
        refuse=refuse,
    )


def _stabilisers(decay: Array, gate: Array, start: Array) -> Array:
    r"""All :math:`m_t = \max(g_t + m_{t-1}, i_t)` at once."""

    def joined(first, second):
        return first[0] + second[0], jnp.maximum(first[1] + second[0], second[1])

    sums, tops = jax.lax.associative_scan(joined, (decay, gate))
    return jnp.maximum(tops, sums + start)
