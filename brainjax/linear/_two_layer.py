r"""Two-layer linear networks in closed form: the whole course of learning from :math:`\lambda`-balanced weights.

Stack the layers as :math:`Q = \begin{pmatrix} W_1^\top \\ W_2 \end{pmatrix}`. If inputs are white and
:math:`W_2^\top W_2 - W_1 W_1^\top = \lambda I`, gradient flow on the squared error makes :math:`Q Q^\top` obey a matrix
Riccati equation :cite:`fukumizu1998,braun2022,domine2024`,

.. math:: \tau\frac{\mathrm d}{\mathrm dt} QQ^\top = F QQ^\top + QQ^\top F - (QQ^\top)^2, \qquad
   F = \begin{pmatrix} -\frac\lambda2 I & \Sigma_{yx}^\top \\ \Sigma_{yx} & \frac\lambda2 I \end{pmatrix},

.. math:: QQ^\top(t) = e^{Ft} Q_0\,[\,I + Q_0^\top G_t Q_0\,]^{-1} Q_0^\top e^{Ft}, \qquad
   G_t = \int_0^t e^{2Fs}\,\mathrm ds \qquad (\tau = 1).

This holds for any numbers of inputs, hidden units and outputs, any rank of :math:`\Sigma_{yx}` and any
:math:`\lambda`; but computed as it stands it loses all digits once :math:`t\,\|F\|` passes 18 in float32. The same
formula over a short step is harmless, and the steps compose exactly. Here each step (derived by us)

* is taken in the singular basis of :math:`\Sigma_{yx}`, where :math:`F` is a set of 2 by 2 blocks, so that weak modes
  on their plateau are not disturbed by the rounding of strong ones;
* divides :math:`Q` by a triangular root of the bracket, found by Gram-Schmidt on the columns of
  :math:`\begin{pmatrix} Q \\ I \end{pmatrix}` with the inner product :math:`\mathrm{diag}(G, I)`: no column is ever
  shorter than 1, :math:`QQ^\top` stays positive semi-definite, and no LAPACK is called, so many networks run side by
  side.

The weights themselves come out up to a common rotation of the hidden units, on which nothing else depends.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, is_concrete
from brainjax.linear._balanced import relative_scale, require_balanced

__all__ = ["TwoLayer", "two_layer_flow", "two_layer_switches", "two_layer_tangent_kernel"]

LONGEST_STEP = 2.0
"""Longest step in units of the largest eigenvalue of F; the series below are exact to rounding up to it."""

_TERMS = 32
_TRACED_SUBSTEPS = 32


class TwoLayer(NamedTuple):
    """Weights of a two-layer network, maybe at several times, up to a common rotation of the hidden units."""

    first: Float[Array, "*times hidden in"]
    """First layer."""
    second: Float[Array, "*times out hidden"]
    """Second layer."""

    @property
    def linear_map(self) -> Float[Array, "*times out in"]:
        """The map of the network, the product of its layers."""
        return self.second @ self.first

    @property
    def input_gram(self) -> Float[Array, "*times in in"]:
        """Similarity of inputs in the hidden layer, for one-hot inputs: the transpose of ``first`` times itself."""
        return jnp.swapaxes(self.first, -1, -2) @ self.first

    @property
    def output_gram(self) -> Float[Array, "*times out out"]:
        """Similarity of the outputs' read-outs: ``second`` times its transpose."""
        return self.second @ jnp.swapaxes(self.second, -1, -2)

    @property
    def gram(self) -> Float[Array, "*times units units"]:
        """All of them, the matrix that obeys the Riccati equation; inputs first, then outputs."""
        stacked = jnp.concatenate([self.first, jnp.swapaxes(self.second, -1, -2)], axis=-1)
        return jnp.swapaxes(stacked, -1, -2) @ stacked


def two_layer_flow(
    t: ArrayLike,
    *,
    first: ArrayLike,
    second: ArrayLike,
    sigma_yx: ArrayLike,
    tau: ArrayLike = 1.0,
    tolerance: float | None = None,
    substeps: int | None = None,
) -> TwoLayer:
    r"""The exact state of a two-layer network at given times, from :math:`\lambda`-balanced weights.

    See the equations at the head of this module. :math:`\lambda` is read off the weights, as `relative_scale` does.
    The interval between neighbouring times is divided into equal substeps, whose number does not change the solution,
    only its rounding; each must be no longer than the time constant of the fastest mode,
    :math:`\tau/\sqrt{s_1^2 + \lambda^2/4}`. The time taken grows with the number of hidden units and of substeps.

    With whitened inputs, a loss :math:`\tfrac12\|\Sigma_{yx} - W_2 W_1\|^2`, and gradient descent at rate
    :math:`\eta`, time is :math:`\eta` times the number of updates.

    Differentiable in everything, also where singular values are equal or zero.

    Args:
        t: a time, or times in increasing order, zero or more.
        first: first layer at time zero, of shape (hidden, in).
        second: second layer at time zero, of shape (out, hidden).
        sigma_yx: correlation of outputs with inputs, of shape (out, in).
        tau: time constant, the inverse of the learning rate.
        tolerance: how far concrete weights may be from :math:`\lambda`-balanced, as a share of their squared norm; by
            default a thousand roundings. With ``math.inf`` the law is applied to any weights, for which it is an
            approximation. Traced weights are not checked.
        substeps: how many in every interval; by default as many as the longest interval needs, or 32 when times,
            weights or ``sigma_yx`` are traced. Where traced values need more, the state is NaN.

    Returns:
        The layers at the times, with a first axis of times unless ``t`` is a number.

    Raises:
        ValueError: if a shape does not fit, a concrete argument is out of its range or not in order, concrete weights
            are not balanced, or ``substeps`` is too small for concrete arguments.
    """
    checks.non_negative("t", t)
    checks.finite("t", t)
    checks.positive("tau", tau)
    times, w1, w2, yx, tau = as_floats(t, first, second, sigma_yx, tau)
    if times.ndim > 1:
        raise ValueError(f"t must be a number or have shape (times,), got {times.shape}")
    if times.ndim:
        checks.increasing("t", times, strictly=False)
    checks.shape_of("tau", tau, ())
    _check(w1, w2, yx, (first, second), tolerance)
    longest = (
        np.max(np.diff(np.atleast_1d(t), prepend=0) / np.asarray(tau), initial=0) if is_concrete((t, tau)) else None
    )
    count = _substeps(substeps, longest, first, second, sigma_yx)
    task = _task(yx, relative_scale(w1, w2), sigma_yx)
    lengths = jnp.diff(jnp.atleast_1d(times), prepend=jnp.zeros(1, times.dtype)) / tau
    states = _solve(task, w1, w2, lengths, count)
    return states if times.ndim else TwoLayer(states.first[0], states.second[0])


def two_layer_switches(
    *,
    first: ArrayLike,
    second: ArrayLike,
    sigma_yx: ArrayLike,
    durations: ArrayLike,
    records: int = 1,
    tau: ArrayLike = 1.0,
    tolerance: float | None = None,
    substeps: int | None = None,
) -> tuple[Float[Array, "tasks records"], TwoLayer]:
    r"""The exact state of a two-layer network that learns several tasks, one after another.

    The solution is restarted at each switch with the state that it has reached; :math:`\lambda` is conserved and does
    not change :cite:`braun2022`. So this is transfer, forgetting and reversal in closed form.

    Args:
        first: first layer at time zero, of shape (hidden, in).
        second: second layer at time zero, of shape (out, hidden).
        sigma_yx: correlation of outputs with inputs in each task, of shape (tasks, out, in).
        durations: how long each task is learned, zero or more, a number or of shape (tasks,).
        records: how many equally spaced times to return per task, after its start; the last is its end.
        tau: time constant, the inverse of the learning rate.
        tolerance: as in `two_layer_flow`.
        substeps: between neighbouring records, as in `two_layer_flow`.

    Returns:
        Times since the very start, of shape (tasks, records + 1), the start of each task among them, and the layers at
        these times, with the same two first axes.

    Raises:
        ValueError: as `two_layer_flow` does.
    """
    checks.non_negative("durations", durations)
    checks.finite("durations", durations)
    checks.positive("tau", tau)
    if records < 1:
        raise ValueError(f"records must be 1 or more, got {records}")
    w1, w2, yx, spans, tau = as_floats(first, second, sigma_yx, durations, tau)
    checks.shape_of("sigma_yx", yx, (None, None, None), "(tasks, out, in)")
    tasks = yx.shape[0]
    if spans.shape not in ((), (tasks,)):
        raise ValueError(f"durations must be a number or have shape ({tasks},), one per task, got {spans.shape}")
    checks.shape_of("tau", tau, ())
    _check(w1, w2, yx[0], (first, second), tolerance)
    longest = np.max(durations) / (records * np.asarray(tau)) if is_concrete((durations, tau)) else None
    count = _substeps(substeps, longest, first, second, sigma_yx)
    task = _task(yx, relative_scale(w1, w2), sigma_yx)
    spans = jnp.broadcast_to(spans, (tasks,))
    lengths = spans / (records * tau)

    def learn(weights, now):
        task, length = now
        states = _solve(task, *weights, jnp.broadcast_to(length, (records,)), count)
        with_start = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), TwoLayer(*weights), states)
        return TwoLayer(states.first[-1], states.second[-1]), with_start

    _, states = lax.scan(learn, TwoLayer(w1, w2), (task, lengths))
    ends = jnp.cumsum(spans)
    times = (ends - spans)[:, None] + spans[:, None] * jnp.linspace(0, 1, records + 1, dtype=spans.dtype)[None, :]
    return times, states


def two_layer_tangent_kernel(state: TwoLayer, inputs: ArrayLike) -> Float[Array, "*times rows rows"]:
    r"""The neural tangent kernel of a two-layer network, from the diagonal blocks of :math:`QQ^\top`.

    .. math:: \Theta = I_{N_o} \otimes X^\top W_1^\top W_1 X + W_2 W_2^\top \otimes X^\top X,

    the inner products of the derivatives of all outputs at all examples with respect to all weights
    :cite:`braun2022`.

    Args:
        state: layers, maybe with axes of times in front.
        inputs: examples as columns, of shape (in, examples).

    Returns:
        The kernel, with rows and columns in the order (output, example), examples fastest: out times examples of them.

    Raises:
        ValueError: if a shape does not fit.
    """
    first, second, x = as_floats(state.first, state.second, inputs)
    checks.shape_of("inputs", x, (first.shape[-1], None), "(in, examples)")
    hidden = first @ x
    seen = jnp.swapaxes(hidden, -1, -2) @ hidden
    read = second @ jnp.swapaxes(second, -1, -2)
    outputs, examples = second.shape[-2], x.shape[1]
    size = outputs * examples
    by_input = jnp.einsum("ij,...ab->...iajb", jnp.eye(outputs, dtype=x.dtype), seen)
    by_output = jnp.einsum("...ij,ab->...iajb", read, x.T @ x)
    return (by_input + by_output).reshape(*first.shape[:-2], size, size)


class _Task(NamedTuple):
    """What is to be learned, in the singular basis of its correlation; maybe with an axis of tasks in front."""

    left: Array  # (out, out)
    right: Array  # (in, in)
    powers: Array  # (terms, units, units): powers of F / rate in that basis
    rate: Array  # the largest eigenvalue of F, not below any


def _check(w1: Array, w2: Array, yx: Array, given: tuple[ArrayLike, ArrayLike], tolerance: float | None) -> None:
    checks.shape_of("first", w1, (None, None), "(hidden, in)")
    checks.shape_of("second", w2, (None, w1.shape[0]), "(out, hidden)")
    checks.shape_of("sigma_yx", yx, (w2.shape[0], w1.shape[1]), "(out, in)")
    require_balanced(given, scaled=True, tolerance=tolerance, name="first and second")


def _task(yx: Array, scale: Scalar, given: ArrayLike) -> _Task:
    if is_concrete(given):  # no LAPACK call in the compiled program
        basis = np.linalg.svd(np.asarray(given, np.float64), full_matrices=True)
        u, s, vt = (jnp.asarray(part, yx.dtype) for part in basis)
    else:
        u, s, vt = jnp.linalg.svd(lax.stop_gradient(yx), full_matrices=True)
    if yx.ndim == 3:
        return jax.vmap(_task_in_basis, (0, None, 0, 0, 0))(yx, scale, u, s, vt)
    return _task_in_basis(yx, scale, u, s, vt)


@jax.jit
def _task_in_basis(yx: Array, scale: Scalar, u: Array, s: Array, vt: Array) -> _Task:
    outputs, inputs = yx.shape
    seen = u.T @ yx @ vt.T
    exact = jnp.zeros_like(seen).at[jnp.arange(s.shape[0]), jnp.arange(s.shape[0])].set(s)
    # The value is exactly diagonal, the derivative that of the whole matrix: regular also where values are equal.
    yx = exact + (seen - lax.stop_gradient(seen))
    half = jnp.broadcast_to(scale / 2, (inputs + outputs,))
    signs = jnp.concatenate([-jnp.ones(inputs, yx.dtype), jnp.ones(outputs, yx.dtype)])
    f = jnp.block([[jnp.zeros((inputs, inputs), yx.dtype), yx.T], [yx, jnp.zeros((outputs, outputs), yx.dtype)]])
    f = f + jnp.diag(signs * half)
    rate = lax.stop_gradient(jnp.hypot(jnp.max(s), scale / 2))
    unit = f / jnp.where(rate > 0, rate, 1)
    identity = jnp.eye(inputs + outputs, dtype=yx.dtype)
    _, powers = lax.scan(lambda power, _: (matmul(power, unit), power), identity, None, length=_TERMS)
    return _Task(u, vt.T, powers, rate)


def _substeps(given: int | None, longest: Any, first: ArrayLike, second: ArrayLike, yx: ArrayLike) -> int:
    """How many substeps an interval of the longest length (None: traced) is divided into."""
    if given is not None and given < 1:
        raise ValueError(f"substeps must be 1 or more, got {given}")
    if longest is None or not is_concrete((first, second, yx)):
        return _TRACED_SUBSTEPS if given is None else given
    w1, w2 = (np.asarray(layer, np.float64) for layer in (first, second))
    scale = (np.sum(w2**2) - np.sum(w1**2)) / len(w1)
    rate = np.hypot(np.max(np.linalg.norm(np.asarray(yx, np.float64), 2, axis=(-2, -1))), scale / 2)
    needed = max(1, math.ceil(float(longest) * rate / LONGEST_STEP * (1 - 1e-6)))
    if given is not None and given < needed:
        raise ValueError(f"substeps must be at least {needed} for these times and rates, got {given}")
    return needed if given is None else given


_OVER = 1 / np.array([math.factorial(k) for k in range(_TERMS + 1)], float)


@functools.partial(jax.jit, static_argnames="count")  # called in a notebook, it compiles once per shape
def _solve(task: _Task, w1: Array, w2: Array, lengths: Array, count: int) -> TwoLayer:
    inputs = w1.shape[1]
    dtype = w1.dtype
    start = jnp.concatenate([matmul(w1, task.right), matmul(w2.T, task.left)], axis=1)  # Q^T in the singular basis
    exp_terms = jnp.asarray(_OVER[:-1], dtype)
    integral_terms = jnp.asarray(_OVER[1:] * 2.0 ** np.arange(_TERMS), dtype)

    def interval(rows, length):
        step = length / count
        x = step * task.rate
        powers = jnp.cumprod(jnp.concatenate([jnp.ones(1, dtype), jnp.broadcast_to(x, (_TERMS - 1,))]))
        grow = jnp.tensordot(exp_terms * powers, task.powers, 1)
        gain = jnp.tensordot(integral_terms * powers, task.powers, 1) * step
        rows = jnp.where(x <= LONGEST_STEP * (1 + 1e-5), rows, jnp.nan)
        substep = jax.checkpoint(lambda rows, _: (matmul(_divided(rows, gain), grow), None))
        rows, _ = lax.scan(substep, rows, None, length=count)
        return rows, rows

    _, rows = lax.scan(interval, start, lengths)
    back_in, back_out = task.right.T, task.left.T
    first = jax.vmap(lambda r: matmul(r[:, :inputs], back_in))(rows)
    second = jax.vmap(lambda r: matmul(r[:, inputs:], back_out).T)(rows)
    return TwoLayer(first, second)


def _divided(rows: Array, gain: Array) -> Array:
    """Rows of Q^T, left-divided by a triangular root of I + Q^T G Q: Gram-Schmidt in the inner product diag(G, I)."""
    hidden, units = rows.shape
    eye = jnp.eye(hidden, dtype=rows.dtype)
    vectors = jnp.concatenate([rows, eye], axis=1)
    duals = jnp.concatenate([matmul(rows, gain), eye], axis=1)
    number = jnp.arange(hidden)[:, None]

    def remove(pair, k):
        vectors, duals = pair
        vector, dual = (lax.dynamic_index_in_dim(x, k, 0, keepdims=False) for x in (vectors, duals))
        inverse = lax.rsqrt(jnp.sum(vector * dual))
        vector, dual = vector * inverse, dual * inverse
        overlap = jnp.where(number > k, jnp.sum(vectors * dual[None, :], axis=1)[:, None], 0)
        own = number == k
        vectors = jnp.where(own, vector[None, :], vectors - overlap * vector[None, :])
        duals = jnp.where(own, dual[None, :], duals - overlap * dual[None, :])
        return (vectors, duals), None

    (vectors, _), _ = lax.scan(remove, (vectors, duals), jnp.arange(hidden))
    return vectors[:, :units]
