r"""Deep linear networks of several parallel paths, trained layer by layer by gradient descent.

Path :math:`a` maps an input by :math:`\Omega_a = W_a^{D_a} \cdots W_a^1`, the network by :math:`\sum_a \Omega_a`.
Depths and widths may differ between paths. Full-batch gradient descent on the squared error sees the data only through
:math:`\Sigma_{yx}` and :math:`\Sigma_{xx}`:

.. math:: L = \tfrac12 \mathrm{tr}\,\Omega\,\Sigma_{xx}\Omega^\top - \mathrm{tr}\,\Omega\,\Sigma_{yx}^\top
   + \text{const}, \qquad
   \Delta W^l = \eta\,(W^D \cdots W^{l+1})^\top (\Sigma_{yx} - \Omega\,\Sigma_{xx}) (W^{l-1} \cdots W^1)^\top .

Sums over examples or means: the scale of the correlations is the scale of the singular values and of the rate.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import SMALL, matmul, matmul_batch_last
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._layers import Paths, as_paths, path_maps
from brainjax.linear._pathways import Windows

__all__ = ["BATCH_LAST", "LayeredRun", "descend", "descent_direction"]

BATCH_LAST = 15
"""Largest number of units in a layer for which `descend` keeps a batch of networks batch-last on a CPU."""

_WIDE = 64
_UNROLL = 2  # a few per cent faster at 32 units than 1 and 4


class LayeredRun(NamedTuple):
    """What gradient descent returns."""

    time: Float[Array, " records"]
    """When the records were made: learning rate times number of updates; the first is 0."""
    records: Any
    """What was observed, with a first axis of length ``records``: by default maps, (records, paths, out, in)."""
    paths: Any
    """The layers of every path after the last update."""


def descent_direction(
    paths: Sequence[Sequence[ArrayLike]],
    *,
    sigma_yx: ArrayLike,
    sigma_xx: ArrayLike | None = None,
    gate: ArrayLike = 1.0,
) -> Paths:
    """Minus the gradient of the loss in every layer, times the gate of its path.

    Written by hand: the error is carried down transposed, so that no product has a transposed left operand.

    Args:
        paths: the layers of every path, the input's first.
        sigma_yx: correlation of outputs with inputs, of shape (out, in).
        sigma_xx: correlation of inputs, of shape (in, in); by default whitened, the identity.
        gate: what multiplies the gradient of each path, a number or of shape (paths,). A closed path still contributes
            to the output.

    Returns:
        Matrices of the same shapes as ``paths``.

    Raises:
        ValueError: if a shape does not fit.
    """
    network = _network(paths, sigma_yx, sigma_xx, gate)
    speeds = jnp.broadcast_to(network.gate, (len(network.paths),))
    groups = _groups(network.paths)
    stacks = _stacked(network.paths, groups)
    return _unstacked(_direction(stacks, groups, network.sigma_yx, network.sigma_xx, speeds, matmul, _flip), groups)


def descend(
    paths: Sequence[Sequence[ArrayLike]],
    *,
    sigma_yx: ArrayLike,
    sigma_xx: ArrayLike | None = None,
    rate: ArrayLike,
    steps: int,
    every: int | None = None,
    windows: Windows | None = None,
    observe: Callable[[Paths, Any], Any] = lambda paths, context: path_maps(paths),
    context: Any = None,
) -> LayeredRun:
    r"""Train all paths together by full-batch gradient descent, with deficits in some of them.

    Update number :math:`j` leads from time :math:`j\,\eta` to :math:`(j+1)\,\eta`, and a window acts on it if
    ``start <= (j + 1/2) rate < stop``: the semantics of `pathway_euler`, which decoupled balanced layers follow.
    A closed gate stops the learning of a path, not its contribution to the output.

    Under ``vmap`` on a CPU, networks whose layers have at most :data:`BATCH_LAST` units are trained with the batch as
    the last axis, which is 2 to 40 times faster; results agree to rounding.

    Args:
        paths: initial layers of every path, the input's first. Depths and hidden sizes may differ between paths.
        sigma_yx: correlation of outputs with inputs, of shape (out, in).
        sigma_xx: correlation of inputs, of shape (in, in); by default whitened, the identity.
        rate: learning rate, positive.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``. By default only the first and last state.
        windows: deficits, from `windows`, in units of time (updates times rate), the same gate for all modes of a path.
        observe: ``observe(paths, context)``, what to record of a state, any tree of arrays; by default `path_maps`.
        context: arrays that ``observe`` needs, such as a singular basis. Traced values must come this way.

    Returns:
        Times, records (the initial state first) and the final layers.

    Raises:
        ValueError: if a shape does not fit, a concrete argument is out of its range, or ``every`` does not divide
            ``steps``.
    """
    checks.positive("rate", rate)
    if steps < 0:
        raise ValueError(f"steps must be zero or more, got {steps}")
    every = max(steps, 1) if every is None else every
    network = _network(paths, sigma_yx, sigma_xx, rate)
    dtype = network.sigma_yx.dtype
    if steps * jnp.finfo(dtype).eps > 0.25:
        raise ValueError(f"steps must be at most {int(0.25 / jnp.finfo(dtype).eps)} in {dtype}, got {steps}")
    spans = _spans(windows, len(network.paths), dtype)

    def train(network, spans, context):
        return _train(network, spans, lambda paths: observe(paths, context), steps, every, matmul, _flip, _UNROLL)

    def train_batch_last(network, spans, context):
        watch = jax.vmap(observe, -1, -1)
        return _train(network, spans, lambda p: watch(p, context), steps, every, matmul_batch_last, _flip_last)

    largest = max(size for matrix in jax.tree.leaves(network.paths) for size in matrix.shape)
    if jax.default_backend() == "cpu" and largest <= BATCH_LAST:
        train = _batch_last(train, train_batch_last, smallest_batch=0 if largest <= SMALL else _WIDE)
    final, records = train(network, spans, context)
    time = jnp.arange(0, steps + 1, every).astype(dtype) * network.gate
    return LayeredRun(time, records, final)


class _Network(NamedTuple):
    paths: Paths
    sigma_yx: Array
    sigma_xx: Array | None
    gate: Array  # in descend: the rate


def _network(paths: Any, sigma_yx: ArrayLike, sigma_xx: ArrayLike | None, gate: ArrayLike) -> _Network:
    layers = as_paths(paths)
    leaves, tree = jax.tree.flatten(layers)
    *arrays, yx, xx, gate = as_floats(*leaves, sigma_yx, 0.0 if sigma_xx is None else sigma_xx, gate)
    layers = jax.tree.unflatten(tree, arrays)
    outputs, inputs = layers[0][-1].shape[0], layers[0][0].shape[1]
    checks.shape_of("sigma_yx", yx, (outputs, inputs), "(out, in)")
    if sigma_xx is not None:
        checks.shape_of("sigma_xx", xx, (inputs, inputs), "(in, in)")
    return _Network(layers, yx, None if sigma_xx is None else xx, gate)


def _spans(spans: Windows | None, paths: int, dtype: Any) -> Windows | None:
    if spans is None:
        return None
    if spans.gate.shape[1] not in (1, paths) or spans.gate.shape[2] != 1:
        raise ValueError(
            f"windows must have gates of shape (windows, {paths}, 1): layers have no modes; got {spans.gate.shape}"
        )
    return Windows(*(array.astype(dtype) for array in spans))


def _gates(time: Array, spans: Windows, paths: int) -> Array:
    inside = (spans.start <= time[None]) & (time[None] < spans.stop)
    gates = jnp.prod(jnp.where(inside[:, None], spans.gate[:, :, 0], 1), axis=0)
    return jnp.broadcast_to(gates, (paths, *gates.shape[1:]))


def _groups(paths: Paths) -> list[list[int]]:
    """Numbers of the paths that have the same shapes, together: their products are done as one batch."""
    groups: dict[Any, list[int]] = {}
    for number, layers in enumerate(paths):
        groups.setdefault(tuple(matrix.shape for matrix in layers), []).append(number)
    return list(groups.values())


def _stacked(paths: Paths, groups: list[list[int]]) -> Paths:
    """Layers of the paths of each group with a new first axis."""
    return tuple(tuple(jnp.stack(same) for same in zip(*(paths[a] for a in g), strict=True)) for g in groups)


def _unstacked(stacks: Paths, groups: list[list[int]]) -> Paths:
    paths = {a: tuple(m[i] for m in stack) for g, stack in zip(groups, stacks, strict=True) for i, a in enumerate(g)}
    return tuple(paths[a] for a in sorted(paths))


def _train(network, spans, observe, steps, every, product, flip, unroll=1):
    paths, yx, xx, rate = network
    groups = _groups(paths)

    def step(stacks, j):
        if spans is None:
            speeds = jnp.broadcast_to(rate, (len(paths), *rate.shape))
        else:
            speeds = rate[None] * _gates((j.astype(yx.dtype) + 0.5) * rate, spans, len(paths))
        return jax.tree.map(jnp.add, stacks, _direction(stacks, groups, yx, xx, speeds, product, flip))

    last, records = scan_every(
        step,
        _stacked(paths, groups),
        steps=steps,
        every=every,
        observe=lambda stacks: observe(_unstacked(stacks, groups)),
        unroll=unroll,
    )
    return _unstacked(last, groups), records


def _direction(stacks, groups, sigma_yx, sigma_xx, speeds, product, flip):
    """Changes of all layers; matrices have a first axis over the paths of a group, maybe a last one over a batch."""
    products = jax.vmap(product)
    below = []
    for layers in stacks:
        maps = [layers[0]]
        for matrix in layers[1:]:
            maps.append(products(matrix, maps[-1]))
        below.append(maps)
    total = sum((jnp.sum(maps[-1], axis=0) for maps in below[1:]), jnp.sum(below[0][-1], axis=0))
    error = flip(sigma_yx - (total if sigma_xx is None else product(total, sigma_xx)))[None]
    changes = []
    for layers, maps, group in zip(stacks, below, groups, strict=True):
        above = jnp.expand_dims(speeds[np.array(group)], (1, 2)) * error
        change = []
        for l in range(len(layers) - 1, -1, -1):
            change.append(jax.vmap(flip)(products(maps[l - 1], above) if l else above))
            if l:
                above = products(above, layers[l])
        changes.append(tuple(reversed(change)))
    return tuple(changes)


def _flip(x: Array) -> Array:
    # The barrier keeps the transpose out of the product before it; it is then free in the sum that follows.
    x = jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x
    return jnp.swapaxes(x, 0, 1)


# ------------------------------------------------------------------------------- small networks, batch as the last axis
def _flip_last(x: Array) -> Array:
    return jnp.swapaxes(x, 0, 1)


def _batch_last(
    single: Callable[..., Any], batch_last: Callable[..., Any], *, smallest_batch: int
) -> Callable[..., Any]:
    """A function that is ``single``, runs as ``batch_last`` under ``vmap``, and is differentiated as ``single``."""
    fast = custom_vmap(single)

    @fast.def_vmap
    def _(size, batched, *arguments):
        if size < smallest_batch:
            axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
            out = jax.vmap(single, axes, axis_size=size)(*arguments)
            return out, jax.tree.map(lambda _: True, out)

        def last(x, is_batched):
            x = jnp.moveaxis(x, 0, -1) if is_batched else x[..., None]
            return jnp.broadcast_to(x, (*x.shape[:-1], size))

        out = batch_last(*jax.tree.map(last, arguments, tuple(batched)))
        out = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), out)
        return out, jax.tree.map(lambda _: True, out)

    function = jax.custom_jvp(lambda *arguments: fast(*arguments))
    function.defjvp(lambda primals, tangents: jax.jvp(single, primals, tangents))
    return function
