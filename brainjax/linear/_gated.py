r"""Gated deep linear networks: a graph of weight matrices, and gates that choose which paths an example takes.

An edge :math:`e` carries a matrix :math:`W_e` from the node below it to the node above; a path is a chain of edges
from an input node to an output node, and :math:`W_p` the product of its matrices. In example :math:`\mu` the output
node :math:`t` reads :math:`\sum_{p \to t} g_p^\mu W_p\, x_{s(p)}^\mu`, where :math:`s(p)` is the input node of the
path and :math:`g_p` the product of the gates of its nodes and edges. Gates are data: they do not learn. The loss is
half the squared error, summed over output nodes and averaged over examples, and gradient flow on it is

.. math:: \tau \dot W_e = \sum_{p \ni e} W_{\text{above}(p,e)}^\top
   \Big[\Sigma_{yx}(p) - \sum_{j \to t(p)} W_j\, \Sigma_{xx}(j, p)\Big] W_{\text{below}(p,e)}^\top ,

with :math:`\Sigma_{yx}(p) = \langle g_p\, y_{t(p)} x_{s(p)}^\top\rangle` and
:math:`\Sigma_{xx}(j, p) = \langle g_j g_p\, x_{s(j)} x_{s(p)}^\top\rangle` :cite:`saxe2022race`. An edge that lies on
more paths hears more errors and learns faster: the race that names the theory. With all gates open this is the
network of `descend`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import matmul, transposed
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._gated_graph import GatedCorrelations, GatedGraph, Weights, as_weights, same_names

__all__ = [
    "GatedRun",
    "gated_descend",
    "gated_direction",
    "gated_maps",
]


class GatedRun(NamedTuple):
    """What gradient descent on a gated network, or on its modes, returns."""

    time: Float[Array, " records"]
    """When the records were made: learning rate times number of updates; the first is 0."""
    records: Any
    """What was observed, with a first axis of length ``records``."""
    weights: Weights
    """The state of every edge after the last update."""


def gated_maps(graph: GatedGraph, weights: Mapping[str, ArrayLike]) -> tuple[Array, ...]:
    """The end-to-end map :math:`W_p` of every path, each of shape (out, in), whether or not data ever take it.

    Args:
        graph: from `gated_graph`.
        weights: by edge, of shape (units above, units below).

    Raises:
        ValueError: if an edge is missing or unknown, or two edges disagree in the size of a node.
    """
    checked = as_weights(graph, weights)
    plan = _plan(graph, checked)
    maps, _ = _upward(plan, _stacked(checked, plan))
    return tuple(maps[path] for path in graph.paths)


def gated_direction(graph: GatedGraph, weights: Mapping[str, ArrayLike], *, correlations: GatedCorrelations) -> Weights:
    """Minus the gradient of the loss in every edge: the sum over its paths in the equation of this module.

    What paths have in common is computed once: maps from the input up to each edge, and errors from the output down.

    Args:
        graph: from `gated_graph`.
        weights: by edge, of shape (units above, units below).
        correlations: from `gated_correlations`.

    Returns:
        Matrices of the same shapes as ``weights``; zero for an edge on no path.

    Raises:
        ValueError: if an edge or an output node is missing or unknown, or a shape does not fit.
    """
    checked, data = _network(graph, weights, correlations)
    plan = _plan(graph, checked)
    return _unstacked(_direction(plan, _stacked(checked, plan), data), plan)


def gated_descend(
    graph: GatedGraph,
    weights: Mapping[str, ArrayLike],
    *,
    correlations: GatedCorrelations,
    rate: ArrayLike,
    steps: int,
    every: int | None = None,
    observe: Callable[[Weights, Any], Any] | None = None,
    context: Any = None,
) -> GatedRun:
    """Train all edges together by full-batch gradient descent.

    Args:
        graph: from `gated_graph`.
        weights: initial state by edge, of shape (units above, units below).
        correlations: from `gated_correlations`; may be traced, so that which routes are trained can be swept.
        rate: learning rate, positive.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``. By default only the first and last state.
        observe: ``observe(weights, context)``, what to record of a state, any tree of arrays; by default the maps of
            all paths, see `gated_maps`.
        context: arrays that ``observe`` needs.

    Returns:
        Times, records (the initial state first) and the final weights.

    Raises:
        ValueError: if an edge or an output node is missing or unknown, a shape does not fit, a concrete rate is not
            positive, or ``every`` does not divide ``steps``.
    """
    checks.positive("rate", rate)
    if steps < 0:
        raise ValueError(f"steps must be zero or more, got {steps}")
    every = max(steps, 1) if every is None else every
    checked, data = _network(graph, weights, correlations)
    eta = jnp.asarray(rate, next(iter(checked.values())).dtype)
    plan = _plan(graph, checked)
    watch = observe or (lambda state, _: gated_maps(graph, state))

    def step(stacks, _):
        return [w + eta * change for w, change in zip(stacks, _direction(plan, stacks, data), strict=True)]

    last, records = scan_every(
        step,
        _stacked(checked, plan),
        steps=steps,
        every=every,
        observe=lambda stacks: watch(_unstacked(stacks, plan), context),
    )
    return GatedRun(jnp.arange(0, steps + 1, every).astype(eta.dtype) * eta, records, _unstacked(last, plan))


def _network(graph: GatedGraph, weights: Any, correlations: GatedCorrelations) -> tuple[Weights, GatedCorrelations]:
    checked = as_weights(graph, weights)
    targets = tuple(dict.fromkeys(graph.targets))
    same_names("correlations.yx", correlations.yx, targets)
    same_names("correlations.xx", correlations.xx, targets)
    flat, tree = jax.tree.flatten((checked, GatedCorrelations(*map(dict, correlations))))
    checked, data = jax.tree.unflatten(tree, as_floats(*flat))
    for node in targets:
        numbers = graph.paths_to(node)
        columns = sum(checked[graph.paths[p][0]].shape[1] for p in numbers)
        out = checked[graph.paths[numbers[0]][-1]].shape[0]
        checks.shape_of(f"correlations.yx[{node!r}]", data.yx[node], (out, columns), "(out, sum of inputs)")
        checks.shape_of(f"correlations.xx[{node!r}]", data.xx[node], (columns, columns), "(sum of inputs, same)")
    return checked, data


# ------------------------------------------------------- what paths share: the tree of their beginnings, level by level
class _Plan(NamedTuple):
    graph: GatedGraph
    groups: list[list[str]]  # edges that are multiplied as one batch: of one shape, in the same places
    levels: list[dict[str, list[tuple[str, ...]]]]  # by level and edge: beginnings of paths that end with this edge
    widths: dict[str, int]  # number of inputs of a path, by its first edge


def _plan(graph: GatedGraph, weights: Weights) -> _Plan:
    levels: list[dict[str, list[tuple[str, ...]]]] = [{} for _ in range(max(map(len, graph.paths)))]
    for path in graph.paths:
        for l, name in enumerate(path):
            here = levels[l].setdefault(name, [])
            if path[: l + 1] not in here:
                here.append(path[: l + 1])
    widths = {path[0]: weights[path[0]].shape[1] for path in graph.paths}
    groups: dict[Any, list[str]] = {}
    for name in graph.names:
        places = tuple(tuple(widths[start[0]] for start in level.get(name, ())) for level in levels)
        groups.setdefault((weights[name].shape, places), []).append(name)
    return _Plan(graph, list(groups.values()), levels, widths)


def _stacked(weights: Weights, plan: _Plan) -> list[Array]:
    return [jnp.stack([weights[name] for name in group]) for group in plan.groups]


def _unstacked(stacks: Sequence[Array], plan: _Plan) -> Weights:
    found = {name: w[i] for group, w in zip(plan.groups, stacks, strict=True) for i, name in enumerate(group)}
    return {name: found[name] for name in plan.graph.names}


def _pieces(array: Array, starts: Sequence[tuple[str, ...]], plan: _Plan, axis: int) -> list[Array]:
    """Cut an array into what belongs to each of several beginnings of paths."""
    ends = list(itertools.accumulate(plan.widths[start[0]] for start in starts))
    return [jax.lax.slice_in_dim(array, a, b, axis=axis) for a, b in itertools.pairwise([0, *ends])]


def _upward(plan: _Plan, stacks: Sequence[Array]) -> tuple[dict[tuple[str, ...], Array], dict[tuple[int, int], Array]]:
    """Maps from the input by beginning of a path; and by level and group, what the edges of the group multiply."""
    maps: dict[tuple[str, ...], Array] = {}
    lower: dict[tuple[int, int], Array] = {}
    for l, level in enumerate(plan.levels):
        for g, group in enumerate(plan.groups):
            if group[0] not in level:
                continue
            if l == 0:
                maps.update({(name,): stacks[g][i] for i, name in enumerate(group)})
                continue
            wanted = [tuple(c[:-1] for c in level[name]) for name in group]
            joined = {starts: jnp.concatenate([maps[c] for c in starts], axis=1) for starts in wanted}
            common = len(joined) == 1
            lower[l, g] = joined[wanted[0]] if common else jnp.stack([joined[starts] for starts in wanted])
            upper = jax.vmap(matmul, (0, _axis(lower[l, g])))(stacks[g], lower[l, g])
            for i, name in enumerate(group):
                maps.update(zip(level[name], _pieces(upper[i], level[name], plan, axis=1), strict=True))
    return maps, lower


def _direction(plan: _Plan, stacks: Sequence[Array], data: GatedCorrelations) -> list[Array]:
    """Changes of all edges. Errors are carried down transposed, so that no product has a transposed left operand."""
    flip = jax.vmap(transposed)
    maps, lower = _upward(plan, stacks)
    errors: dict[tuple[str, ...], Array] = {}  # transposed: (in, units)
    for node, yx in data.yx.items():
        ending = [plan.graph.paths[p] for p in plan.graph.paths_to(node)]
        missed = yx - matmul(jnp.concatenate([maps[path] for path in ending], axis=1), data.xx[node])
        errors.update(zip(ending, _pieces(transposed(missed), ending, plan, axis=0), strict=True))
    changes = [jnp.zeros_like(w) for w in stacks]
    for l in range(len(plan.levels) - 1, -1, -1):
        level = plan.levels[l]
        for g, group in enumerate(plan.groups):
            if group[0] not in level:
                continue
            heard = jnp.stack([jnp.concatenate([errors[c] for c in level[name]]) for name in group])
            if l == 0:
                changes[g] = changes[g] + flip(heard)
                continue
            common = _axis(lower[l, g]) is None
            changes[g] = changes[g] + flip(jax.vmap(matmul, (_axis(lower[l, g]), 0))(lower[l, g], heard))
            passed = jax.vmap(matmul)(heard, stacks[g])
            rows = [(group[0], jnp.sum(passed, axis=0))] if common else list(zip(group, passed, strict=True))
            for name, row in rows:
                for c, piece in zip(level[name], _pieces(row, level[name], plan, axis=0), strict=True):
                    errors[c[:-1]] = errors[c[:-1]] + piece if c[:-1] in errors else piece
    return changes


def _axis(lower: Array) -> int | None:
    """Axis of the edges of a group; none if all of them multiply the same, which then is there once."""
    return 0 if lower.ndim == 3 else None
