"""What a gated network is made of: its graph of edges and paths, the gates of examples, and their correlations.

The equations stand in ``_gated.py``, which trains such networks.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = [
    "GatedCorrelations",
    "GatedGraph",
    "Weights",
    "as_named",
    "as_weights",
    "gated_correlations",
    "gated_graph",
    "path_gates",
    "same_names",
]

Weights = dict[str, Array]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class GatedGraph:
    """Edges and paths of a gated network; made by `gated_graph`, which checks them. To JAX it is a constant."""

    edges: tuple[tuple[str, str, str], ...]
    """Name of every edge, the node below it and the node above it."""
    paths: tuple[tuple[str, ...], ...]
    """Names of the edges of every path, the input's first."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all edges."""
        return tuple(name for name, _, _ in self.edges)

    @property
    def sources(self) -> tuple[str, ...]:
        """The input node of every path."""
        below = {name: node for name, node, _ in self.edges}
        return tuple(below[path[0]] for path in self.paths)

    @property
    def targets(self) -> tuple[str, ...]:
        """The output node of every path."""
        above = {name: node for name, _, node in self.edges}
        return tuple(above[path[-1]] for path in self.paths)

    def paths_to(self, target: str) -> tuple[int, ...]:
        """Numbers of the paths that end at an output node."""
        return tuple(number for number, end in enumerate(self.targets) if end == target)


class GatedCorrelations(NamedTuple):
    r"""What gradient descent needs to know of the data, for every output node.

    The columns of an output node are the inputs of its paths, path after path in the order of ``graph.paths_to``: block
    :math:`p` of ``yx`` is :math:`\Sigma_{yx}(p)`, block :math:`(j, p)` of ``xx`` is :math:`\Sigma_{xx}(j, p)`.
    """

    yx: dict[str, Array]
    """By output node, of shape (out, sum of inputs)."""
    xx: dict[str, Array]
    """By output node, of shape (sum of inputs, sum of inputs)."""


def gated_graph(edges: Mapping[str, tuple[str, str]], paths: Sequence[Sequence[str]] | None = None) -> GatedGraph:
    """Describe a gated network.

    Args:
        edges: by name, the node below an edge and the node above it. Several edges may join the same two nodes.
        paths: for every path the names of its edges, the input's first; by default all paths from nodes that no edge
            enters to nodes that no edge leaves. An edge may occur several times in a path: weights that are shared over
            time.

    Raises:
        ValueError: if a path is empty or given twice, names an unknown edge, does not connect, or does not lead from an
            input node to an output node; or, by default, if the edges form a cycle.
    """
    ends = {name: (str(below), str(above)) for name, (below, above) in edges.items()}
    if not ends:
        raise ValueError("edges must hold at least one edge, got none")
    below, above = ({pair[side] for pair in ends.values()} for side in (0, 1))
    if paths is None:
        chosen = _all_paths(ends, list(dict.fromkeys(node for node, _ in ends.values() if node not in above)))
    else:
        chosen = [tuple(path) for path in paths]
    if not chosen or not all(chosen):
        raise ValueError(f"paths must hold at least one path of at least one edge, got {[len(p) for p in chosen]}")
    for number, path in enumerate(chosen):
        unknown = [name for name in path if name not in ends]
        if unknown:
            raise ValueError(f"paths[{number}] must name edges among {', '.join(ends)}, got {unknown[0]!r}")
        for lower, upper in itertools.pairwise(path):
            if ends[lower][1] != ends[upper][0]:
                raise ValueError(
                    f"paths[{number}] must connect: {lower!r} ends at {ends[lower][1]!r}, "
                    f"{upper!r} begins at {ends[upper][0]!r}"
                )
        if ends[path[0]][0] in above or ends[path[-1]][1] in below:
            raise ValueError(
                f"paths[{number}] must lead from a node that no edge enters to one that no edge leaves, "
                f"got {ends[path[0]][0]!r} to {ends[path[-1]][1]!r}"
            )
    if len(set(chosen)) < len(chosen):
        twice = next(path for path in chosen if chosen.count(path) > 1)
        raise ValueError(f"paths must differ from one another, got {twice} twice")
    return GatedGraph(tuple((name, *pair) for name, pair in ends.items()), tuple(chosen))


def path_gates(
    graph: GatedGraph,
    *,
    nodes: Mapping[str, ArrayLike] | None = None,
    edges: Mapping[str, ArrayLike] | None = None,
) -> Float[Array, "paths examples"]:
    """The gate of every path in every example: the product of the gates of its nodes and edges.

    Args:
        graph: from `gated_graph`.
        nodes: gates by name of the node, each of shape (examples,); those not named are open. Between 0 and 1 or not.
        edges: gates by name of the edge, likewise.

    Raises:
        ValueError: if no gate is given, a name is unknown, or lengths differ.
    """
    given = {"nodes": dict(nodes or {}), "edges": dict(edges or {})}
    known = {"nodes": {node for _, *pair in graph.edges for node in pair}, "edges": set(graph.names)}
    for what, gates in given.items():
        unknown = sorted(set(gates) - known[what])
        if unknown:
            raise ValueError(f"{what} must be among {', '.join(sorted(known[what]))}, got {unknown[0]!r}")
    arrays = as_floats(*given["nodes"].values(), *given["edges"].values())
    if not arrays:
        raise ValueError("nodes or edges must hold at least one gate, got none")
    for name, array in zip([*given["nodes"], *given["edges"]], arrays, strict=True):
        checks.shape_of(f"the gate of {name!r}", array, (arrays[0].size,), "(examples,)")
    of_node = dict(zip(given["nodes"], arrays, strict=False))
    of_edge = dict(zip(given["edges"], arrays[len(of_node) :], strict=True))
    ends = {name: (below, above) for name, below, above in graph.edges}
    rows = []
    for path in graph.paths:
        gate = of_node.get(ends[path[0]][0], jnp.ones_like(arrays[0]))
        for name in path:
            for factor in (of_edge.get(name), of_node.get(ends[name][1])):
                gate = gate if factor is None else gate * factor
        rows.append(gate)
    return jnp.stack(rows)


def gated_correlations(
    graph: GatedGraph,
    *,
    inputs: Mapping[str, ArrayLike],
    outputs: Mapping[str, ArrayLike],
    gates: ArrayLike,
) -> GatedCorrelations:
    r"""Correlations of a data set as each path sees it, :math:`\Sigma_{yx}(p)` and :math:`\Sigma_{xx}(j, p)`.

    They are means over examples: an example that takes no path counts in the number of examples.

    Args:
        graph: from `gated_graph`.
        inputs: by input node, examples as columns, of shape (in, examples).
        outputs: by output node, targets as columns, of shape (out, examples).
        gates: the gate of every path in every example, of shape (paths, examples), see `path_gates`.

    Raises:
        ValueError: if a node is missing or unknown, or numbers of examples differ.
    """
    sources, targets = (tuple(dict.fromkeys(nodes)) for nodes in (graph.sources, graph.targets))
    same_names("inputs", inputs, sources)
    same_names("outputs", outputs, targets)
    g, *arrays = as_floats(gates, *(inputs[node] for node in sources), *(outputs[node] for node in targets))
    checks.shape_of("gates", g, (len(graph.paths), None), "(paths, examples)")
    x, y = dict(zip(sources, arrays, strict=False)), dict(zip(targets, arrays[len(sources) :], strict=True))
    for name, nodes in (("inputs", x), ("outputs", y)):
        for node, array in nodes.items():
            checks.shape_of(f"{name}[{node!r}]", array, (None, g.shape[1]), "(units, examples)")
    yx, xx = {}, {}
    for node in targets:
        seen = jnp.concatenate([g[p][None, :] * x[graph.sources[p]] for p in graph.paths_to(node)])
        yx[node] = matmul(y[node], seen.T) / g.shape[1]
        xx[node] = matmul(seen, seen.T) / g.shape[1]
    return GatedCorrelations(yx, xx)


def as_named(argument: str, given: Mapping[str, ArrayLike], wanted: Sequence[str]) -> dict[str, Array]:
    """Check that there is an array for every name and no other; give all of them one dtype and the order of names."""
    same_names(argument, given, wanted)
    return dict(zip(wanted, as_floats(*(given[name] for name in wanted)), strict=True))


def as_weights(graph: GatedGraph, weights: Mapping[str, ArrayLike]) -> Weights:
    """Check that there is a matrix for every edge and that edges agree in the sizes of nodes."""
    arrays = as_named("weights", weights, graph.names)
    sizes: dict[str, tuple[int, str]] = {}
    for name, below, above in graph.edges:
        checks.shape_of(f"weights[{name!r}]", arrays[name], (None, None), "(units above, units below)")
        for node, size in zip((above, below), arrays[name].shape, strict=True):
            other, first = sizes.setdefault(node, (size, name))
            if other != size:
                raise ValueError(f"weights must agree in node {node!r}: {first!r} has {other} units, {name!r} {size}")
    return arrays


def same_names(argument: str, given: Mapping[str, Any], wanted: Sequence[str]) -> None:
    if set(given) != set(wanted):
        shown = [name for name in wanted if name not in given] or sorted(set(given) - set(wanted))
        what = "lacks" if set(wanted) - set(given) else "also has"
        raise ValueError(f"{argument} must be given for {', '.join(wanted)}; it {what} {shown[0]!r}")


def _all_paths(ends: Mapping[str, tuple[str, str]], inputs: Sequence[str]) -> list[tuple[str, ...]]:
    leaving: dict[str, list[str]] = {}
    for name, (below, _) in ends.items():
        leaving.setdefault(below, []).append(name)

    def onward(node: str, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        if len(path) > len(ends):
            raise ValueError(f"edges must not form a cycle unless paths are given, got one through {path[-1]!r}")
        return [
            whole
            for name in leaving.get(node, ())
            for whole in ([(*path, name)] if ends[name][1] not in leaving else onward(ends[name][1], (*path, name)))
        ]

    if not inputs:
        raise ValueError("edges must not form a cycle unless paths are given: every node is entered by an edge")
    return [path for node in inputs for path in onward(node, ())]
