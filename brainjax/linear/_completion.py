r"""Matrix completion by a deep linear network: some entries of a matrix are observed, the others have to be inferred.

The product :math:`W = W_D \cdots W_1` of the layers is trained by full-batch gradient descent on the observed entries
:math:`\Omega` of a matrix :math:`M`,

.. math:: L = \frac{1}{2|\Omega|} \sum_{(i,j) \in \Omega} (W_{ij} - M_{ij})^2 .

Nothing but the number of layers and where they start favours a matrix of low rank :cite:`arora2019`. Networks that
first learn another matrix, or only some of the entries, can lose that bias :cite:`kleinman2024`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import chain, matmul, transposed
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._layers import Layers, as_paths

__all__ = [
    "CompletionErrors",
    "CompletionRun",
    "CompletionTask",
    "SwitchedCompletion",
    "complete",
    "complete_branches",
    "complete_switched",
    "completion_direction",
    "completion_errors",
]


class CompletionTask(NamedTuple):
    """A matrix of which some entries are observed."""

    target: ArrayLike
    """The matrix, of shape (rows, columns)."""
    observed: ArrayLike
    """1 where an entry is observed, 0 elsewhere, of shape (rows, columns); weights between 0 and 1 are allowed."""


class CompletionErrors(NamedTuple):
    """Mean-square errors of a completed matrix. The loss is half the first."""

    observed: Float[Array, ""]
    unobserved: Float[Array, ""]
    """NaN if every entry is observed."""
    everywhere: Float[Array, ""]


class CompletionRun(NamedTuple):
    """What gradient descent returns."""

    records: Any
    """What was observed at the steps asked for, with a first axis over them."""
    layers: Layers
    """The layers after the last of these steps."""


class SwitchedCompletion(NamedTuple):
    """What training on two tasks in turn returns, for every time of the switch (the first axis of everything)."""

    at_switch: Layers
    """The layers when the switch comes, each of shape (switches, units above, units below)."""
    records: Any
    """What was observed on the second task, (switches, kept steps, ...): by default the end-to-end matrix."""
    layers: Layers
    """The layers at the end, each of shape (switches, units above, units below)."""


def completion_direction(layers: Sequence[ArrayLike], *, task: CompletionTask) -> Layers:
    r"""Minus the gradient of the loss in every layer.

    .. math:: -\partial L / \partial W_l = (W_D \cdots W_{l+1})^\top E\, (W_{l-1} \cdots W_1)^\top, \qquad
       E = \frac{1}{|\Omega|}\, 1_\Omega \circ (M - W)

    Written by hand: the error is carried down transposed, so that no product has a transposed left operand.

    Args:
        layers: weight matrices, the input's first; hidden sizes may differ.
        task: the matrix, of shape (units of the last layer, inputs of the first), and which entries are observed.

    Returns:
        Matrices of the same shapes as ``layers``.

    Raises:
        ValueError: if a shape does not fit, the concrete target is not finite (also where nothing is observed), a
            concrete observation is outside [0, 1], or none is observed.
    """
    matrices, target, observed, _ = _prepared(layers, task)
    return _direction(matrices, target, observed / jnp.sum(observed))


def completion_errors(linear_map: ArrayLike, *, task: CompletionTask) -> CompletionErrors:
    r"""Mean-square errors over observed, unobserved and all entries.

    Args:
        linear_map: the completed matrix, of shape (rows, columns).
        task: what it should be, and which entries were observed.

    Raises:
        ValueError: if a shape does not fit, the concrete target is not finite (also where nothing is observed), a
            concrete observation is outside [0, 1], or none is observed.
    """
    (omega,), target, seen, _ = _prepared([linear_map], task)
    squares = (omega - target) ** 2
    hidden = jnp.sum(1 - seen)
    some = hidden > 0
    unobserved = jnp.where(some, jnp.sum((1 - seen) * squares) / jnp.where(some, hidden, 1), jnp.nan)
    return CompletionErrors(jnp.sum(seen * squares) / jnp.sum(seen), unobserved, jnp.mean(squares))


def complete(
    layers: Sequence[ArrayLike],
    *,
    task: CompletionTask,
    rate: ArrayLike,
    at: Sequence[int],
    observe: Callable[[Layers], Any] = chain,
) -> CompletionRun:
    r"""Train all layers by full-batch gradient descent and look at them after given numbers of updates.

    Singular values are best taken afterwards, of all records in one call: a decomposition costs as much as many
    updates, and several batched ones in a program can stop XLA on a CPU.

    Args:
        layers: initial weight matrices, the input's first.
        task: the matrix and its observed entries.
        rate: learning rate, positive. Gradient descent follows the flow while it is far below two over the largest
            curvature, about :math:`D\, s^{2 - 2/D} / (\text{rows} \times \text{columns})` for a
            singular value :math:`s` of the matrix.
        at: after how many updates to look, whole numbers in increasing order; 0 is the initial state. Updates are done
            in blocks of their greatest common divisor.
        observe: what to record of the layers, any tree of arrays; by default the end-to-end matrix.

    Returns:
        Records and final layers.

    Raises:
        ValueError: if a task does not fit (see `completion_direction`), the concrete rate is not positive, or ``at`` is
            empty, negative or does not increase.
    """
    checks.positive("rate", rate)
    steps = _steps("at", at)
    matrices, target, observed, speed = _prepared(layers, task, rate)
    block = math.gcd(*steps) or 1
    weights = speed * observed / jnp.sum(observed)
    places = jnp.full(steps[-1] // block + 1, -1, jnp.int32)
    places = places.at[jnp.array(steps) // block].set(jnp.arange(len(steps), dtype=jnp.int32))

    def update(state, _):
        return jax.tree.map(jnp.add, state, _direction(state, target, weights)), None

    def note(state, notes, place):
        return lax.cond(
            place >= 0,
            lambda: jax.tree.map(lambda all_, one: all_.at[place].set(one), notes, observe(state)),
            lambda: notes,
        )

    def several(carry, place):
        state, notes = carry
        state, _ = lax.scan(update, state, length=block)
        return (state, note(state, notes, place)), None

    empty = jax.tree.map(lambda one: jnp.zeros((len(steps), *one.shape), one.dtype), jax.eval_shape(observe, matrices))
    (last, records), _ = lax.scan(several, (matrices, note(matrices, empty, places[0])), places[1:])
    return CompletionRun(records, last)


def complete_branches(
    branches: Sequence[ArrayLike],
    *,
    task: CompletionTask,
    rate: ArrayLike,
    at: Sequence[int],
    observe: Callable[[Layers], Any] = chain,
) -> CompletionRun:
    """Train several networks on one task, as `complete` does with one.

    On a CPU one is trained after another (its weights then stay in the cache: 1.5 times as fast as ``vmap`` at 100
    units and depth 3), elsewhere all at once.

    Args:
        branches: initial weight matrices, the input's first, each of shape (networks, units above, units below).
        task: the matrix and its observed entries.
        rate: learning rate, positive.
        at: after how many updates to look, see `complete`.
        observe: what to record of the layers of one network; by default the end-to-end matrix.

    Returns:
        As `complete`, with a first axis over the networks.

    Raises:
        ValueError: if the layers disagree in their first axis, or anything does not fit, see `complete`.
    """
    stacks = as_floats(*branches)
    for stack in stacks:
        checks.shape_of("each of branches", stack, (None, None, None), "(networks, units above, units below)")
    if len({stack.shape[0] for stack in stacks}) != 1:
        raise ValueError(f"branches must agree in their number of networks, got shapes {[x.shape for x in stacks]}")

    def one(layers):
        return complete(layers, task=task, rate=rate, at=at, observe=observe)

    return lax.map(one, stacks) if jax.default_backend() == "cpu" else jax.vmap(one)(stacks)


def complete_switched(
    layers: Sequence[ArrayLike],
    *,
    first: CompletionTask,
    second: CompletionTask,
    rate: ArrayLike,
    switches: Sequence[int],
    at: Sequence[int],
    observe: Callable[[Layers], Any] = chain,
) -> SwitchedCompletion:
    """Train on one task up to a switch, then on another for a fixed number of updates, for many switches at once.

    The networks of all switches share the updates before theirs: one network is trained on the first task up to the
    last switch, and one branch leaves it at every switch. The two tasks may be different matrices, or one of which
    more entries are observed later.

    Args:
        layers: initial weight matrices, the input's first.
        first: the task before the switch.
        second: the task after it.
        rate: learning rate, positive.
        switches: after how many updates the task changes, whole numbers in increasing order.
        at: after how many further updates to look, in increasing order; the last is the length of the second training.
        observe: what to record of the layers, any tree of arrays; by default the end-to-end matrix.

    Raises:
        ValueError: if a task does not fit (see `completion_direction`), the concrete rate is not positive, or
            ``switches`` or ``at`` are empty, negative or do not increase.
    """
    _steps("switches", switches)
    _steps("at", at)
    before = complete(layers, task=first, rate=rate, at=switches, observe=lambda state: state)
    after = complete_branches(before.records, task=second, rate=rate, at=at, observe=observe)
    return SwitchedCompletion(before.records, after.records, after.layers)


def _prepared(
    layers: Sequence[ArrayLike], task: CompletionTask, rate: ArrayLike = 1.0
) -> tuple[Layers, Array, Array, Array]:
    """Check that everything fits; give it one dtype: layers, target, observed, rate."""
    (matrices,) = as_paths([layers])
    *arrays, target, observed, speed = as_floats(*matrices, *task, rate)
    shape = (arrays[-1].shape[0], arrays[0].shape[1])
    checks.shape_of("target", target, shape, "(rows, columns) of the layers' product")
    checks.shape_of("observed", observed, shape, "(rows, columns)")
    checks.finite("target", target)  # a gap marked by NaN would spoil every layer, although its weight is 0
    checks.unit("observed", observed)
    checks.require(jnp.sum(observed) > 0, "observed must hold at least one entry above 0, got none")
    return tuple(arrays), target, observed, speed


def _direction(layers: Layers, target: Any, weights: Array) -> Layers:
    maps = [layers[0]]
    for matrix in layers[1:]:
        maps.append(matmul(matrix, maps[-1]))
    above = transposed(weights * (target - maps[-1]))  # written out: it is the left operand of a product
    changes = []
    for l in range(len(layers) - 1, -1, -1):
        changes.append(_flip(matmul(maps[l - 1], above) if l else above))
        if l:
            above = matmul(above, layers[l])
    return tuple(reversed(changes))


def _flip(x: Array) -> Array:
    # The barrier keeps the transpose out of the product before it; it is then free in the sum that follows.
    x = lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x
    return jnp.swapaxes(x, 0, 1)


def _steps(name: str, values: Sequence[int]) -> tuple[int, ...]:
    steps = tuple(values)
    whole = all(math.isfinite(step) and int(step) == step for step in steps)
    if not steps or not whole or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
        raise ValueError(f"{name} must be whole numbers of updates, zero or more, in increasing order, got {steps}")
    return tuple(int(step) for step in steps)
