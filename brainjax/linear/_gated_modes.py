r"""The neural race reduction: learning of a gated network, one number per edge and mode.

If all correlations of a gated network have their singular vectors in common, one orthonormal basis per node, then
edges :math:`W_e = R_{\text{above}}\, \mathrm{diag}(B_e)\, R_{\text{below}}^\top` keep this form, and each mode learns
for itself :cite:`saxe2022race`:

.. math:: \tau \dot B_e = \sum_{p \ni e} \Big(\prod_{f \in p,\, f \ne e} B_f\Big)
   \Big[S(p) - \sum_{j \to t(p)} D(j, p) \prod_{f \in j} B_f\Big] .
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._gated import GatedRun
from brainjax.linear._gated_graph import GatedCorrelations, GatedGraph, Weights, as_named

__all__ = ["GatedModes", "decoupled_edges", "gated_mode_euler", "gated_mode_rate", "gated_modes"]


class GatedModes(NamedTuple):
    """Correlations of a gated network on the modes of its nodes."""

    s: Float[Array, "paths modes"]
    r"""Diagonal of :math:`R_t^\top \Sigma_{yx}(p) R_s`, of shape (paths, modes)."""
    d: Float[Array, "paths paths modes"]
    r"""Diagonal of :math:`R_{s(j)}^\top \Sigma_{xx}(j, p) R_{s(p)}`; zero for paths to different output nodes."""
    off_diagonal: Float[Array, ""]
    """Share of the squared norm of all correlations that is not on these diagonals: 0 if the reduction is exact."""


def gated_modes(graph: GatedGraph, correlations: GatedCorrelations, *, bases: Mapping[str, ArrayLike]) -> GatedModes:
    """What the reduction needs to know of the data, and how far the data are from fulfilling its condition.

    Args:
        graph: from `gated_graph`.
        correlations: from `gated_correlations`.
        bases: by node, orthonormal modes as columns, of shape (units, modes), at least for all input and output nodes.

    Raises:
        ValueError: if a basis is missing or a shape does not fit.
    """
    ends = dict.fromkeys([*graph.sources, *graph.targets])
    missing = [node for node in ends if node not in bases]
    if missing:
        raise ValueError(f"bases must be given for {', '.join(ends)}; it lacks {missing[0]!r}")
    leaves, tree = jax.tree.flatten(({node: jnp.asarray(bases[node]) for node in ends}, correlations))
    basis, data = jax.tree.unflatten(tree, as_floats(*leaves))
    modes = basis[graph.sources[0]].shape[-1]
    for node, array in basis.items():
        checks.shape_of(f"bases[{node!r}]", array, (None, modes), "(units, modes)")
    count = len(graph.paths)
    s: dict[int, Array] = {}
    d: dict[tuple[int, int], Array] = {}
    norm = sum(jnp.sum(array**2) for array in jax.tree.leaves(data))
    for target in dict.fromkeys(graph.targets):
        numbers = graph.paths_to(target)
        widths = [basis[graph.sources[p]].shape[0] for p in numbers]
        out, columns = basis[target].shape[0], sum(widths)
        checks.shape_of(f"correlations.yx[{target!r}]", data.yx[target], (out, columns), "(out, sum of inputs)")
        checks.shape_of(f"correlations.xx[{target!r}]", data.xx[target], (columns, columns), "(sum of inputs, same)")
        cuts = np.cumsum(widths)[:-1].tolist()
        for p, yx, xx in zip(
            numbers, jnp.split(data.yx[target], cuts, 1), jnp.split(data.xx[target], cuts, 1), strict=True
        ):
            right = basis[graph.sources[p]]
            s[p] = jnp.sum(basis[target] * matmul(yx, right), axis=0)
            for j, block in zip(numbers, jnp.split(xx, cuts, 0), strict=True):
                d[j, p] = jnp.sum(basis[graph.sources[j]] * matmul(block, right), axis=0)
    kept = sum(jnp.sum(diagonal**2) for diagonal in (*s.values(), *d.values()))
    share = jnp.where(norm > 0, jnp.maximum(norm - kept, 0) / jnp.where(norm > 0, norm, 1), 0)
    zero = jnp.zeros(modes, share.dtype)
    pairs = jnp.stack([jnp.stack([d.get((j, p), zero) for p in range(count)]) for j in range(count)])
    return GatedModes(jnp.stack([s[p] for p in range(count)]), pairs, share)


def decoupled_edges(
    graph: GatedGraph, strengths: Mapping[str, ArrayLike], *, bases: Mapping[str, ArrayLike]
) -> Weights:
    r"""Matrices :math:`R_{\text{above}}\, \mathrm{diag}(B_e)\, R_{\text{below}}^\top` that start on the modes.

    Args:
        graph: from `gated_graph`.
        strengths: by edge, of shape (modes,).
        bases: by node, orthonormal modes as columns, of shape (units, modes), for all nodes.

    Raises:
        ValueError: if an edge or a node is missing, or a shape does not fit.
    """
    b = as_named("strengths", strengths, graph.names)
    nodes = tuple(dict.fromkeys(node for _, *pair in graph.edges for node in pair))
    r = as_named("bases", bases, nodes)
    modes = b[graph.names[0]].size
    for name, array in b.items():
        checks.shape_of(f"strengths[{name!r}]", array, (modes,), "(modes,)")
    for node, array in r.items():
        checks.shape_of(f"bases[{node!r}]", array, (None, modes), "(units, modes)")
    return {name: matmul(r[above] * b[name][None, :], r[below].T) for name, below, above in graph.edges}


def gated_mode_rate(graph: GatedGraph, strengths: Mapping[str, ArrayLike], *, s: ArrayLike, d: ArrayLike) -> Weights:
    r"""How fast every edge learns in every mode, :math:`\tau \dot B_e`: the equation of this module.

    Args:
        graph: from `gated_graph`.
        strengths: :math:`B_e` by edge, of shape (modes,).
        s: correlation of each path's input with its target, of shape (paths, modes).
        d: correlation of the inputs of two paths, of shape (paths, paths, modes); what stands there for paths to
            different output nodes is not used. Exclusive routes with whitened inputs: the share of examples that take
            the route on the diagonal, zero elsewhere.

    Returns:
        By edge, of shape (modes,).

    Raises:
        ValueError: if an edge is missing or unknown, or a shape does not fit.
    """
    b, s, d = _described(graph, strengths, s, d)
    return _rate(graph, b, s, d)


def gated_mode_euler(
    graph: GatedGraph,
    strengths: Mapping[str, ArrayLike],
    *,
    s: ArrayLike,
    d: ArrayLike,
    dt: ArrayLike,
    steps: int,
    every: int = 1,
) -> GatedRun:
    """Learn by Euler's steps: what gradient descent with rate ``dt`` does to a network of `decoupled_edges`.

    Args:
        graph: from `gated_graph`.
        strengths: initial state by edge, of shape (modes,).
        s: see `gated_mode_rate`.
        d: see `gated_mode_rate`.
        dt: step of time, positive.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``.

    Returns:
        Times, strengths by edge of shape (records, modes) (the initial state first), and the final strengths.

    Raises:
        ValueError: if an edge is missing or unknown, a shape does not fit, or a concrete step is not positive.
    """
    checks.positive("dt", dt)
    b, s, d = _described(graph, strengths, s, d)
    dt = jnp.asarray(dt, s.dtype)

    def step(b, _):
        rate = _rate(graph, b, s, d)
        return {name: b[name] + dt * rate[name] for name in b}

    last, records = scan_every(step, b, steps=steps, every=every)
    return GatedRun(jnp.arange(0, steps + 1, every).astype(dt.dtype) * dt, records, last)


def _described(graph: GatedGraph, strengths: Mapping[str, ArrayLike], s: ArrayLike, d: ArrayLike):
    named = as_named("strengths", strengths, graph.names)
    *arrays, s, d = as_floats(*named.values(), s, d)
    b = dict(zip(named, arrays, strict=True))
    modes, count = b[graph.names[0]].size, len(graph.paths)
    for name, array in b.items():
        checks.shape_of(f"strengths[{name!r}]", array, (modes,), "(modes,)")
    checks.shape_of("s", s, (count, modes), "(paths, modes)")
    checks.shape_of("d", d, (count, count, modes), "(paths, paths, modes)")
    return b, s, d


def _rate(graph: GatedGraph, b: Weights, s: Array, d: Array) -> Weights:
    # Paths side by side: row l of a path holds its l-th edge, and ones where it is shorter than the longest.
    depth = max(map(len, graph.paths))
    number = {name: i for i, name in enumerate(graph.names)}
    index = np.array([[number[e] for e in path] + [len(number)] * (depth - len(path)) for path in graph.paths]).T
    table = jnp.stack([*(b[name] for name in graph.names), jnp.ones_like(s[0])])
    layers = [table[row] for row in index]  # each of shape (paths, modes)
    below, above = [jnp.ones_like(s)], [jnp.ones_like(s)]
    for lower, upper in zip(layers, layers[::-1], strict=True):
        below.append(below[-1] * lower)
        above.append(above[-1] * upper)
    same = np.array([[t == u for u in graph.targets] for t in graph.targets])
    error = s - jnp.sum(jnp.where(same[:, :, None], d, 0) * below[-1][:, None, :], axis=0)
    heard = jnp.concatenate([low * up * error for low, up in zip(below, above[-2::-1], strict=False)])
    lies_on = jnp.asarray(index.reshape(1, -1) == np.arange(len(number))[:, None], s.dtype)  # (edges, places in paths)
    return dict(zip(graph.names, matmul(lies_on, heard), strict=True))
