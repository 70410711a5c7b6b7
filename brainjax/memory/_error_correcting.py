"""Memories that write an error: the difference between the value and what the memory expected."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.memory._hebbian import empty, outer, plain_read
from brainjax.memory._recurrences import error_chunk, linear_chunk, scores, spans
from brainjax.memory._rule import MemoryRule, Weights, assemble, in_range
from brainjax.memory._triangular import unit_lower_solve

__all__ = [
    "Batched", "Inverse", "Momentum", "bush_mosteller", "decoupled_delta", "delta", "gated_delta", "minibatch_delta",
    "momentum", "normalised_delta", "recursive_least_squares",
]  # fmt: skip

STABLE = "the range in which no write amplifies what is stored"


class Batched(NamedTuple):
    """A matrix, what it was when the present mini-batch began, and the number of writes so far."""

    weights: Float[Array, "d_k d_v"]
    stale: Float[Array, "d_k d_v"]
    written: Int[Array, ""]


class Momentum(NamedTuple):
    """A matrix and the velocity of its descent."""

    weights: Float[Array, "d_k d_v"]
    velocity: Float[Array, "d_k d_v"]


class Inverse(NamedTuple):
    """A matrix and the inverse of the (regularised, discounted) second moment of keys."""

    weights: Float[Array, "d_k d_v"]
    inverse: Float[Array, "d_k d_k"]


def _delta_like(name: str, rate, decays: bool, defaults: dict[str, float], refuse) -> MemoryRule:
    """Delta rules that differ in the learning rate ``rate(k, controls, constants)`` and in whether they decay."""

    def step(state, k, v, controls, constants):
        kept, expected = state.weights, state.weights.T @ k
        if decays:  # after the product: the decayed matrix is then read by nothing but the write
            decay = jnp.exp(controls["log_decay"])
            kept, expected = decay * kept, decay * expected
        return Weights(kept + rate(k, controls, constants) * outer(k, v - expected))

    def chunk(state, q, k, v, controls, constants, before):
        over = spans(jnp.exp(controls["log_decay"]) if decays else None)
        beta = rate(k, controls, constants)[:, None]
        outputs, weights = error_chunk(state.weights, q, k, beta * k, beta * v, over, before)
        return outputs, Weights(weights)

    kinds = {"beta": "step"} | ({"log_decay": "step"} if decays else {})
    return assemble(
        name, init=empty, step=step, read=plain_read, chunk=chunk, defaults=defaults, controls=kinds, refuse=refuse
    )


def _given_rate(k, controls, constants) -> Array:
    return controls["beta"]


def _refuse_delta(state, k, v, controls, constants) -> None:
    if checks.is_concrete((k, controls["beta"])):
        beta, square = np.asarray(controls["beta"]), np.sum(np.asarray(k, np.float64) ** 2, 1)
        in_range("beta * |k|^2", beta * square, 0, 2, STABLE)


def delta() -> MemoryRule:
    r"""The delta rule (:cite:`widrow1960`): DeltaNet as attention, Rescorla and Wagner's model as conditioning.

    .. math:: S_t = S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top

    The step down :math:`\tfrac12 |v - S^\top k|^2` (:cite:`schlag2021`, :cite:`yang2024delta`, :cite:`rescorla1972`).
    Constants: ``beta``, 1, also a control. Stable for :math:`0 \le \beta |k|^2 \le 2`, monotone up to 1, where the
    pair just written is recalled exactly. For more pairs than dimensions a constant rate does not converge to least
    squares. With keys :math:`k = \sum_i \sqrt{\alpha_i} x_i e_i`, :math:`\sqrt{\alpha_i}` times row :math:`i` is the
    associative strength of cue :math:`i` of salience :math:`\alpha_i`.
    """
    return _delta_like("delta", _given_rate, False, {"beta": 1.0}, _refuse_delta)


def gated_delta() -> MemoryRule:
    r"""The delta rule with passive forgetting: gated DeltaNet (:cite:`yang2025`).

    .. math:: \hat S = e^{g_t} S_{t-1}, \qquad S_t = \hat S + \beta_t k_t (v_t - \hat S^\top k_t)^\top

    First decay, then predict with what is left. Constants: ``beta``, 1, and ``log_decay`` (:math:`g`, zero or less),
    -0.02; both are also controls. Stable for :math:`0 \le \beta |k|^2 \le 2`.
    """
    return _delta_like("gated_delta", _given_rate, True, {"beta": 1.0, "log_decay": -0.02}, _refuse_delta)


def normalised_delta() -> MemoryRule:
    r"""Normalised least mean squares (:cite:`widrow1960`): a delta rule blind to the length of keys.

    .. math:: S_t = S_{t-1} + \frac{\beta_t}{\epsilon + |k_t|^2} k_t (v_t - S_{t-1}^\top k_t)^\top

    Constants: ``beta``, 1 (Kaczmarz's projection), from 0 to 2, also a control; ``epsilon``, 1e-6. As a model of
    conditioning a compound of cues shares one unit of salience.
    """

    def rate(k, controls, constants):
        return controls["beta"] / (constants["epsilon"] + jnp.sum(k * k, -1))

    def refuse(state, k, v, controls, constants):
        in_range("beta", controls["beta"], 0, 2, STABLE)
        checks.non_negative("constant epsilon", constants["epsilon"])

    return _delta_like("normalised_delta", rate, False, {"beta": 1.0, "epsilon": 1e-6}, refuse)


def decoupled_delta() -> MemoryRule:
    r"""The delta rule with separate gates for erasing and writing: gated DeltaNet-2 (:cite:`hatamizadeh2026`).

    .. math:: \hat S = \mathrm{diag}(e^{g_t}) S_{t-1}, \qquad
              S_t = \hat S - k_t \bigl(\hat S^\top (b_t \odot k_t)\bigr)^\top + k_t (w_t \odot v_t)^\top

    Constants, all also controls: ``erase`` (:math:`b`, per key component), 1; ``write`` (:math:`w`, per value
    component), 1; ``log_decay`` (:math:`g`, zero or less, per key component), 0. The factor
    :math:`I - k (b \odot k)^\top` has the eigenvalue :math:`1 - \sum_i b_i k_i^2`, refused outside -1 to 1; for
    unequal :math:`b_i` it is not symmetric, and a single write may still amplify. As a model of conditioning,
    extinction and acquisition have rates of their own.
    """

    def step(state, k, v, controls, constants):
        kept = jnp.exp(controls["log_decay"])[:, None] * state.weights
        return Weights(kept + outer(k, controls["write"] * v - kept.T @ (controls["erase"] * k)))

    def chunk(state, q, k, v, controls, constants, before):
        over = spans(jnp.exp(controls["log_decay"]))
        erased, written = controls["erase"] * k, controls["write"] * v
        outputs, weights = error_chunk(state.weights, q, k, erased, written, over, before)
        return outputs, Weights(weights)

    def refuse(state, k, v, controls, constants):
        if checks.is_concrete((k, controls["erase"])):
            square = np.sum(np.asarray(controls["erase"]) * np.asarray(k, np.float64) ** 2, 1)
            in_range("the sum of erase * k^2", square, 0, 2, "eigenvalues of a write from -1 to 1")

    return assemble(
        "decoupled_delta",
        init=empty,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"erase": 1.0, "write": 1.0, "log_decay": 0.0},
        controls={"erase": "key", "write": "value", "log_decay": "key"},
        refuse=refuse,
    )


def bush_mosteller() -> MemoryRule:
    r"""Bush and Mosteller's linear operator (:cite:`bush1951`): each cue corrects its own error.

    .. math:: S_t = S_{t-1} + \beta_t \bigl(k_t v_t^\top - \mathrm{diag}(k_t^2) S_{t-1}\bigr)

    Row :math:`i` moves by :math:`\beta k_i (v - k_i S_i)`, whatever the other cues predict: nothing blocks anything.
    Constants: ``beta``, 0.2, also a control. Stable for :math:`0 \le \beta k_i^2 \le 2` for each component.
    """

    def step(state, k, v, controls, constants):
        own = k[:, None] * state.weights
        return Weights(state.weights + controls["beta"] * k[:, None] * (v[None, :] - own))

    def chunk(state, q, k, v, controls, constants, before):
        beta = controls["beta"][:, None]
        outputs, weights = linear_chunk(state.weights, q, k, beta * v, spans(1 - beta * k * k), before)
        return outputs, Weights(weights)

    def refuse(state, k, v, controls, constants):
        if checks.is_concrete((k, controls["beta"])):
            rates = np.asarray(controls["beta"])[:, None] * np.asarray(k, np.float64) ** 2
            in_range("beta * k_i^2", rates, 0, 2, STABLE)

    return assemble(
        "bush_mosteller",
        init=empty,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 0.2},
        controls={"beta": "step"},
        refuse=refuse,
    )


def minibatch_delta(*, size: int = 4) -> MemoryRule:
    r"""Mini-batch descent: errors are those of the memory as it was when the mini-batch began (:cite:`sun2025`).

    .. math:: S_t = S_{t-1} + \beta_t k_t (v_t - S_{s(t)}^\top k_t)^\top

    with :math:`s(t)` the last multiple of ``size`` below :math:`t`, counted from the state's first write. Constants:
    ``beta``, 0.25, also a control. Option: ``size``, at least 1, where 1 is the delta rule. Stable if the largest
    eigenvalue of :math:`\sum \beta k k^\top` over each mini-batch is at most 2: repeating one cue in a mini-batch
    multiplies its rate.

    Raises:
        ValueError: if ``size`` is below 1.
    """
    checks.at_least("size", size, 1)

    def init(d_k, d_v, constants, dtype, length):
        nothing = jnp.zeros((d_k, d_v), dtype)
        return Batched(nothing, nothing, jnp.zeros((), jnp.int32))

    def step(state, k, v, controls, constants):
        stale = jnp.where(state.written % size == 0, state.weights, state.stale)
        weights = state.weights + controls["beta"] * outer(k, v - stale.T @ k)
        return Batched(weights, stale, state.written + jnp.ones((), jnp.int32))

    def chunk(state, q, k, v, controls, constants, before):
        steps = k.shape[0]
        beta = controls["beta"][:, None]
        batch = (state.written + jnp.arange(steps, dtype=jnp.int32)) // size
        unfinished = (batch == state.written // size) & (state.written % size != 0)
        expected = jnp.where(unfinished[:, None], matmul(beta * k, state.stale), matmul(beta * k, state.weights))
        over = spans(None)
        seen = jnp.where(
            batch[None, :] < batch[:, None], scores(beta * k, k, over, diagonal=False), jnp.zeros((), k.dtype)
        )
        u = unit_lower_solve(seen, beta * v - expected)
        outputs, weights = linear_chunk(state.weights, q, k, u, over, before)
        earlier = jnp.where((batch < batch[-1])[:, None], k, jnp.zeros_like(k))
        stale = jnp.where(unfinished[-1], state.stale, state.weights + matmul(earlier.T, u))
        return outputs, Batched(weights, stale, state.written + jnp.asarray(steps, jnp.int32))

    def refuse(state, k, v, controls, constants):
        if checks.is_concrete((state.written, k, controls["beta"])):
            beta, keys = np.asarray(controls["beta"], np.float64), np.asarray(k, np.float64)
            checks.non_negative("beta", beta)
            batch = (int(state.written) + np.arange(len(keys))) // size
            rooted = np.sqrt(beta)[:, None] * keys
            largest = [np.linalg.norm(rooted[batch == b], 2) ** 2 for b in np.unique(batch)]
            in_range("the largest eigenvalue of the sum of beta k k^T over a mini-batch", largest, 0, 2, STABLE)

    return assemble(
        "minibatch_delta",
        init=init,
        step=step,
        read=plain_read,
        chunk=chunk,
        defaults={"beta": 0.25},
        controls={"beta": "step"},
        refuse=refuse,
    )


def momentum() -> MemoryRule:
    r"""The delta rule with momentum and weight decay: the linear memory of Titans (:cite:`behrouz2025`).

    .. math:: U_t = \eta_t U_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top, \qquad S_t = e^{g_t} S_{t-1} + U_t

    The error is that of the undecayed matrix. Constants, all also controls: ``beta``, 0.1; ``momentum`` (:math:`\eta`,
    from 0 to 1), 0.9; ``log_decay`` (:math:`g`, zero or less), 0. Without decay, repeating one key is stable for
    :math:`0 \le \beta |k|^2 \le 2 (1 + \eta)`, beyond which it is refused. Sequential only.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Momentum(jnp.zeros((d_k, d_v), dtype), jnp.zeros((d_k, d_v), dtype))

    def step(state, k, v, controls, constants):
        gradient = -outer(k, v - state.weights.T @ k)
        velocity = controls["momentum"] * state.velocity - controls["beta"] * gradient
        return Momentum(jnp.exp(controls["log_decay"]) * state.weights + velocity, velocity)

    def refuse(state, k, v, controls, constants):
        checks.unit("momentum", controls["momentum"])
        if checks.is_concrete((k, controls)):
            square = np.sum(np.asarray(k, np.float64) ** 2, 1)
            relative = np.asarray(controls["beta"]) * square / (1 + np.asarray(controls["momentum"]))
            in_range("beta * |k|^2 / (1 + momentum)", relative, 0, 2, "stable for a repeated key")

    return assemble(
        "momentum",
        init=init,
        step=step,
        read=plain_read,
        defaults={"beta": 0.1, "momentum": 0.9, "log_decay": 0.0},
        controls={"beta": "step", "momentum": "step", "log_decay": "step"},
        refuse=refuse,
    )


def recursive_least_squares() -> MemoryRule:
    r"""Recursive least squares, the exact minimiser after every pair: Kalman's filter for a constant state.

    .. math:: g = \frac{P k}{\lambda + k^\top P k}, \quad S_t = S_{t-1} + g (v - S_{t-1}^\top k)^\top, \quad
              P_t = (P_{t-1} - g k^\top P_{t-1}) / \lambda, \quad P_0 = I / \rho

    so that :math:`S_t` minimises :math:`\sum_s \lambda^{t-s} |v_s - S^\top k_s|^2 + \lambda^t \rho |S|^2`. Constants:
    ``ridge`` (:math:`\rho`, positive), 1; ``log_decay`` (:math:`\ln \lambda`, zero or less, finite), 0, also a control.
    From :cite:`plackett1950`; as attention, :cite:`vonoswald2025`. As a model of conditioning it revalues absent cues
    (backward blocking). Sequential only.
    """

    def init(d_k, d_v, constants, dtype, length):
        return Inverse(jnp.zeros((d_k, d_v), dtype), jnp.eye(d_k, dtype=dtype) / constants["ridge"])

    def step(state, k, v, controls, constants):
        kept = jnp.exp(controls["log_decay"])
        pk = state.inverse @ k
        scale = kept + k @ pk
        weights = state.weights + outer(pk / scale, v - state.weights.T @ k)
        return Inverse(weights, (state.inverse - outer(pk, pk) / scale) / kept)

    def refuse(state, k, v, controls, constants):
        checks.positive("constant ridge", constants["ridge"])
        checks.finite("log_decay", controls["log_decay"])

    return assemble(
        "recursive_least_squares",
        init=init,
        step=step,
        read=plain_read,
        defaults={"ridge": 1.0, "log_decay": 0.0},
        controls={"log_decay": "step"},
        refuse=refuse,
    )
