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
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import SMALL, matmul, matmul_batch_last
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._layers import Lesions, Paths, as_paths, lesioned_maps, path_maps
from brainjax.linear._pathways import Windows

if TYPE_CHECKING:
    import optax

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
    lesions: Lesions | None = None,
    transform: "optax.GradientTransformation | None" = None,
    disturb: Callable[[Array, Any], Array] | None = None,
    observe: Callable[[Paths, Any], Any] | None = None,
    context: Any = None,
) -> LayeredRun:
    r"""Train all paths together by full-batch gradient descent, with deficits in some of them.

    Update number :math:`j` leads from time :math:`j\,\eta` to :math:`(j+1)\,\eta`, and a window acts on it if
    ``start <= (j + 1/2) rate < stop``: the semantics of `pathway_euler`, which decoupled balanced layers follow.
    A closed gate stops the learning of a path, not its contribution to the output.

    Under ``vmap`` on a CPU, networks whose layers have at most :data:`BATCH_LAST` units are trained with the batch as
    the last axis, which is 2 to 40 times faster; results agree to rounding. (Not with lesions, a transform or a
    disturbance.)

    Args:
        paths: initial layers of every path, the input's first. Depths and hidden sizes may differ between paths.
        sigma_yx: correlation of outputs with inputs, of shape (out, in).
        sigma_xx: correlation of inputs, of shape (in, in); by default whitened, the identity.
        rate: learning rate, positive.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``. By default only the first and last state.
        windows: deficits, from `windows`, in units of time (updates times rate), the same gate for all modes of a path.
        lesions: modes that paths have lost for good, from `lesions`.
        transform: what optax makes of the gradient before the step along minus it: ``optax.trace(0.9)`` is
            momentum, ``optax.add_decayed_weights(1e-3)`` weight decay. The rate stays that of ``rate``, so leave it out
            of the transform. Gates act before it: momentum and decay go on moving a gated path.
        disturb: ``disturb(j, context)``, of shape (out, in), is added to ``sigma_yx`` in update number ``j``: noise on
            the targets, fresh in every update, is ``noise @ inputs.T``.
        observe: ``observe(paths, context)``, what to record of a state, any tree of arrays; by default the maps of all
            paths as they act, see `path_maps` (with lesions applied).
        context: arrays that ``observe`` and ``disturb`` need, such as a singular basis. Traced values must come this
            way.

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
    spans = windows_for(windows, len(network.paths), dtype)
    if lesions is not None:
        lesions = _fitting(lesions, network)
    watch = observe or (lambda paths, _: path_maps(paths) if lesions is None else lesioned_maps(paths, lesions))

    if lesions is None and transform is None and disturb is None:
        final, records = _plain(network, spans, context, watch, steps, every)
    else:
        final, records = _general(network, spans, context, watch, steps, every, lesions, transform, disturb)
    time = jnp.arange(0, steps + 1, every).astype(dtype) * network.gate
    return LayeredRun(time, records, final)


def _plain(network, spans, context, observe, steps, every):
    """Gradient descent and nothing else; small networks keep a batch as the last axis."""

    def train(network, spans, context):
        return _train(network, spans, lambda paths: observe(paths, context), steps, every, matmul, _flip, _UNROLL)

    def train_batch_last(network, spans, context):
        watch = jax.vmap(observe, -1, -1)
        return _train(network, spans, lambda p: watch(p, context), steps, every, matmul_batch_last, _flip_last)

    largest = max(size for matrix in jax.tree.leaves(network.paths) for size in matrix.shape)
    if jax.default_backend() == "cpu" and largest <= BATCH_LAST:
        train = _batch_last(train, train_batch_last, smallest_batch=0 if largest <= SMALL else _WIDE)
    return train(network, spans, context)


def _general(network, spans, context, observe, steps, every, lesions, transform, disturb):
    """The same with what else may happen in an update."""
    paths, yx, xx, rate = network
    groups = _groups(paths)
    ones = jnp.ones(len(paths), yx.dtype)

    def step(carry, j):
        stacks, memory = carry
        gates = ones if spans is None else gates_at((j.astype(yx.dtype) + 0.5) * rate, spans, len(paths))
        target = yx if disturb is None else yx + disturb(j, context).astype(yx.dtype)
        change = _direction(stacks, groups, target, xx, gates, matmul, _flip, lesions)
        if transform is not None:
            gradient = jax.tree.map(jnp.negative, _unstacked(change, groups))
            with jax.numpy_dtype_promotion("standard"):
                update, memory = transform.update(gradient, memory, _unstacked(stacks, groups))
            change = _stacked(jax.tree.map(lambda u: -u.astype(yx.dtype), update), groups)
        return jax.tree.map(lambda w, c: w + rate * c, stacks, change), memory

    with jax.numpy_dtype_promotion("standard"):
        memory = () if transform is None else transform.init(paths)
    (last, _), records = scan_every(
        step,
        (_stacked(paths, groups), memory),
        steps=steps,
        every=every,
        observe=lambda carry: observe(_unstacked(carry[0], groups), context),
    )
    return _unstacked(last, groups), records


def _fitting(lesions: Lesions, network: "_Network") -> Lesions:
    outputs, inputs = network.sigma_yx.shape
    count = len(network.paths)
    checks.shape_of("lesions.output", lesions.output, (count, outputs, outputs), "(paths, out, out)")
    checks.shape_of("lesions.input", lesions.input, (count, inputs, inputs), "(paths, in, in)")
    return Lesions(*(jnp.asarray(array, network.sigma_yx.dtype) for array in lesions))


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


def windows_for(spans: Windows | None, paths: int, dtype: Any) -> Windows | None:
    if spans is None:
        return None
    if spans.gate.shape[1] not in (1, paths) or spans.gate.shape[2] != 1:
        raise ValueError(
            f"windows must have gates of shape (windows, {paths}, 1): layers have no modes; got {spans.gate.shape}"
        )
    return Windows(*(array.astype(dtype) for array in spans))


def gates_at(time: Array, spans: Windows, paths: int) -> Array:
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
            speeds = rate[None] * gates_at((j.astype(yx.dtype) + 0.5) * rate, spans, len(paths))
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


def _direction(stacks, groups, sigma_yx, sigma_xx, speeds, product, flip, lesions=None):
    """Changes of all layers; matrices have a first axis over the paths of a group, maybe a last one over a batch."""
    products = jax.vmap(product)
    below = []
    for layers in stacks:
        maps = [layers[0]]
        for matrix in layers[1:]:
            maps.append(products(matrix, maps[-1]))
        below.append(maps)
    # what a path has lost is cut out of its map, and so out of the error that it hears of (transposed: from the left)
    intact = [None if lesions is None else (lesions.output[np.array(g)], lesions.input[np.array(g)]) for g in groups]
    heard = [
        maps[-1] if cut is None else products(products(cut[0], maps[-1]), cut[1])
        for maps, cut in zip(below, intact, strict=True)
    ]
    total = sum((jnp.sum(maps, axis=0) for maps in heard[1:]), jnp.sum(heard[0], axis=0))
    error = flip(sigma_yx - (total if sigma_xx is None else product(total, sigma_xx)))[None]
    changes = []
    for layers, maps, group, cut in zip(stacks, below, groups, intact, strict=True):
        above = jnp.expand_dims(speeds[np.array(group)], (1, 2)) * error
        if cut is not None:
            above = products(products(cut[1], above), cut[0])
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
