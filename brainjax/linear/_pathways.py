r"""Parallel pathways that learn one task together: their state, their law of learning, their deficits.

Pathway :math:`a` has :math:`D_a` layers. In mode :math:`i` all its layers but one are equal, and
:math:`K = p\,(p^2 + c)^{(D-1)/2}` is its strength, where :math:`c \ge 0` is the conserved difference of squares between
the large layers and the small one, :math:`p`. Gradient flow on :math:`\tfrac12 \sum_i (s_i - \sum_a K_{ai})^2` gives

.. math:: \mathrm d p_{ai}/\mathrm dt = g_{ai}(t)\,(p_{ai}^2 + c_a)^{(D_a-1)/2}\,\Omega_i, \qquad
   \Omega_i = s_i - \textstyle\sum_b K_{bi}.

All arrays of states have shape (paths, modes).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from brainjax.core import checks
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, ArrayLike, as_floats, is_concrete

__all__ = [
    "Network",
    "Windows",
    "lesioned",
    "pathway_rate",
    "safe_power",
    "small_layer",
    "strength",
    "windows",
]


class Windows(NamedTuple):
    """Spans of time in which gates are not all open, one after another. Made by `windows`."""

    start: Float[Array, " windows"]
    """When each begins."""
    stop: Float[Array, " windows"]
    """When each ends, not before it begins and not after the next one begins."""
    gate: Float[Array, "windows #paths #modes"]
    """What multiplies the gradient of each path and mode meanwhile, between 0 and 1."""


class Network(NamedTuple):
    """A validated description of pathways, shared by the solvers."""

    s: Float[Array, " modes"]
    depth: Float[Array, "paths 1"]
    imbalance: Float[Array, "paths 1"]
    windows: Windows
    present: Bool[Array, "paths modes"]
    """False where a path's mode is lesioned: it neither contributes to the output nor learns."""


def safe_power(base: Array, exponent: Array) -> Array:
    """A power of a number that is zero or more, with derivatives that are finite (zero) where the base is zero."""
    at_zero = base <= 0
    power = jnp.exp(exponent * jnp.log(jnp.where(at_zero, 1, base)))
    return jnp.where(at_zero, jnp.where(exponent == 0, 1, 0).astype(base.dtype), power)


def strength(p: ArrayLike, *, depth: ArrayLike, imbalance: ArrayLike = 0.0) -> Array:
    r"""The strength :math:`K = p\,(p^2 + c)^{(D-1)/2}` of pathways; for balanced layers :math:`\mathrm{sign}(p)|p|^D`.

    Elementwise over arguments that broadcast by NumPy's rule.

    Args:
        p: the small layer, or any layer if they are balanced, of either sign.
        depth: number of layers, 1 or more, real.
        imbalance: the conserved difference c of squares, zero (balanced) or more.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.at_least("depth", depth, 1)
    checks.non_negative("imbalance", imbalance)
    p, depth, imbalance = _aligned(p, depth, imbalance)
    return p * _reach(p, depth, imbalance)


def small_layer(k: ArrayLike, *, depth: ArrayLike, imbalance: ArrayLike = 0.0) -> Array:
    r"""The layer :math:`p` of pathways of a given strength, the inverse of `strength` in its first argument.

    For balanced layers in closed form, :math:`\mathrm{sign}(K)|K|^{1/D}`; otherwise by a root. Elementwise over
    arguments that broadcast by NumPy's rule.

    Args:
        k: strength, of either sign.
        depth: number of layers, 1 or more, real.
        imbalance: the conserved difference c of squares, zero (balanced) or more.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.at_least("depth", depth, 1)
    checks.non_negative("imbalance", imbalance)
    balanced = is_concrete(imbalance) and not np.any(np.asarray(imbalance))
    k, depth, imbalance = _aligned(k, depth, imbalance)
    root = jnp.sign(k) * safe_power(jnp.abs(k), 1 / depth)
    if balanced:
        return root

    return _inverse_strength(k, root, depth, imbalance)


@jax.jit  # called in a notebook, the formula compiles once per shape
@jnp.vectorize
def _inverse_strength(k, balanced_root, depth, c):
    bound = jnp.abs(balanced_root)
    return monotone_root(lambda p: p * _reach(p, depth, c) - k, -bound, bound, balanced_root)


def windows(start: ArrayLike, stop: ArrayLike, gate: ArrayLike) -> Windows:
    """Describe the spans of time in which gates are not all open.

    Args:
        start: when each window begins: a number, or one per window in increasing order.
        stop: when each window ends.
        gate: what multiplies the gradients meanwhile, between 0 (no learning) and 1: of shape (paths,), the same in all
            windows, or (windows, paths), or (windows, paths, modes).

    Raises:
        ValueError: if shapes do not fit, a concrete gate lies outside [0, 1], a concrete window ends before it begins,
            or concrete windows overlap.
    """
    checks.unit("gate", gate)
    checks.finite("start", start)
    start, stop, gate = as_floats(start, stop, gate)
    start, stop = jnp.atleast_1d(start), jnp.atleast_1d(stop)
    if start.ndim != 1 or start.shape != stop.shape:
        raise ValueError(f"start and stop must be numbers or of one shape (windows,), got {start.shape}, {stop.shape}")
    count = start.shape[0]
    if gate.ndim == 1:
        gate = jnp.broadcast_to(gate[None], (count, *gate.shape))
    if gate.ndim == 2:
        gate = gate[:, :, None]
    if gate.ndim != 3 or gate.shape[0] != count:
        raise ValueError(
            f"gate must have shape (paths,), ({count}, paths) or ({count}, paths, modes), got {np.shape(gate)}"
        )
    if is_concrete((start, stop)):
        edges = np.stack([np.asarray(start), np.asarray(stop)], axis=1)
        checks.require(edges[:, 0] <= edges[:, 1], "stop must not come before start in any window")
        checks.require(edges[:-1, 1] <= edges[1:, 0], "windows must follow one another without overlap")
    return Windows(start, stop, gate)


def _aligned(*values: ArrayLike) -> tuple[Array, ...]:
    arrays = as_floats(*values)
    shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
    return tuple(jnp.broadcast_to(array, shape) for array in arrays)


def _reach(p: Array, depth: Array, imbalance: Array) -> Array:
    """The product of the layers other than the small one."""
    return safe_power(p**2 + imbalance, (depth - 1) / 2)


def _per_path(name: str, value: Array, paths: int) -> Array:
    if value.shape not in ((), (paths,)):
        raise ValueError(f"{name} must be a number or have shape ({paths},), one per path, got {value.shape}")
    return jnp.broadcast_to(value, (paths,))[:, None]


def lesioned(lesions: ArrayLike | None, paths: int, modes: int) -> Array:
    """Turn a mask of permanent lesions into one of what is present, of shape (paths, modes)."""
    if lesions is None:
        return jnp.ones((paths, modes), bool)
    checks.shape_of("lesions", lesions, (paths, modes), "(paths, modes)")
    return ~jnp.asarray(lesions, bool)


def describe(
    p0: ArrayLike,
    *,
    s: ArrayLike,
    depth: ArrayLike,
    imbalance: ArrayLike,
    windows: Windows | None,
    lesions: ArrayLike | None,
) -> tuple[Float[Array, "paths modes"], Network]:
    """Check the arguments that all solvers share, and give them their full shapes and one dtype."""
    checks.finite("p0", p0)
    checks.finite("s", s)
    checks.at_least("depth", depth, 1)
    checks.non_negative("imbalance", imbalance)
    spans = windows or Windows(jnp.zeros(0), jnp.zeros(0), jnp.ones((0, 1, 1)))
    times = () if windows is None else tuple(windows)
    p, s, depth, imbalance, *_ = as_floats(p0, s, depth, imbalance, *times)
    checks.shape_of("p0", p, (None, None), "(paths, modes)")
    paths, modes = p.shape
    if s.shape not in ((), (modes,)):
        raise ValueError(f"s must be a number or have shape ({modes},), one per mode, got {s.shape}")
    if spans.gate.shape[1] not in (1, paths) or spans.gate.shape[2] not in (1, modes):
        raise ValueError(f"windows are for {spans.gate.shape[1:]} (paths, modes), but p0 has shape {p.shape}")
    spans = Windows(*(array.astype(p.dtype) for array in spans))
    return p, Network(
        s=jnp.broadcast_to(s, (modes,)),
        depth=_per_path("depth", depth, paths),
        imbalance=_per_path("imbalance", imbalance, paths),
        windows=spans,
        present=lesioned(lesions, paths, modes),
    )


def output(p: Array, network: Network) -> Array:
    """The strength that each path contributes to the output, of shape (paths, modes)."""
    depth, imbalance = (jnp.broadcast_to(x, p.shape) for x in (network.depth, network.imbalance))
    return jnp.where(network.present, p * _reach(p, depth, imbalance), 0)


def rate(p: Array, gate: Array, network: Network) -> Array:
    """The time derivative of p, of shape (paths, modes)."""
    depth, imbalance = (jnp.broadcast_to(x, p.shape) for x in (network.depth, network.imbalance))
    left = network.s - jnp.sum(output(p, network), axis=0)
    return jnp.where(network.present, gate * _reach(p, depth, imbalance) * left[None], 0)


def gate_at(time: Array, spans: Windows) -> Array:
    """The gates at a moment, of shape (paths or 1, modes or 1)."""
    inside = ((spans.start <= time) & (time < spans.stop))[:, None, None]
    return jnp.prod(jnp.where(inside, spans.gate, 1), axis=0)


def pathway_rate(
    p: ArrayLike,
    *,
    s: ArrayLike,
    depth: ArrayLike,
    imbalance: ArrayLike = 0.0,
    gate: ArrayLike = 1.0,
    lesions: ArrayLike | None = None,
) -> Float[Array, "paths modes"]:
    r"""The law of learning, :math:`\mathrm dp_{ai}/\mathrm dt = g_{ai}\,(p_{ai}^2 + c_a)^{(D_a-1)/2}\,\Omega_i`.

    Valid for whitened inputs and pathways that are diagonal in the task's singular basis :cite:`shi2022`.

    Args:
        p: state, of shape (paths, modes).
        s: singular values, a number or of shape (modes,).
        depth: number of layers, 1 or more, a number or of shape (paths,).
        imbalance: conserved difference of squares c, zero or more, a number or of shape (paths,).
        gate: what multiplies the gradient, between 0 and 1: a number or of shape (paths, modes) or broadcasting to it.
        lesions: true where a path's mode is gone for good, of shape (paths, modes).

    Returns:
        The derivative of p, of shape (paths, modes).

    Raises:
        ValueError: if a concrete argument is out of its range or a shape does not fit.
    """
    checks.unit("gate", gate)
    state, network = describe(p, s=s, depth=depth, imbalance=imbalance, windows=None, lesions=lesions)
    state, gates = as_floats(state, gate)
    return rate(state, jnp.broadcast_to(gates, state.shape), network)
