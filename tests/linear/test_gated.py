"""Gated networks against automatic differentiation over examples, a plain network of paths, and their modes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.linear import (
    GatedCorrelations,
    decoupled_edges,
    descend,
    gated_correlations,
    gated_descend,
    gated_direction,
    gated_graph,
    gated_maps,
    gated_mode_euler,
    gated_mode_rate,
    gated_modes,
    path_gates,
)

# Two inputs, two outputs; paths of one to three edges, parallel edges, and a shortcut.
EDGES = {
    "ah": ("a", "h"),
    "bh": ("b", "h"),
    "hk": ("h", "k"),
    "hk2": ("h", "k"),
    "ku": ("k", "u"),
    "kv": ("k", "v"),
    "hu": ("h", "u"),
    "bv": ("b", "v"),
}
SIZES = {"a": 3, "b": 2, "h": 4, "k": 5, "u": 3, "v": 2}
GRAPH = gated_graph(EDGES)
EXAMPLES = 9


def product(weights, path):
    return functools.reduce(lambda below, edge: weights[edge] @ below, path[1:], weights[path[0]])


def draw(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    weights = {e: (0.5 * rng.standard_normal((SIZES[t], SIZES[s]))).astype(dtype) for e, (s, t) in EDGES.items()}
    data = {n: rng.standard_normal((SIZES[n], EXAMPLES)).astype(dtype) for n in "abuv"}
    nodes = {n: rng.uniform(size=EXAMPLES).astype(dtype) for n in "ahku"}
    edges = {e: rng.integers(0, 2, EXAMPLES).astype(dtype) for e in ("hk", "hk2", "bv", "kv", "ah")}
    return weights, data, nodes, edges


@jax.jit
def correlations(data, nodes, edges):
    gates = path_gates(GRAPH, nodes=nodes, edges=edges)
    return gated_correlations(GRAPH, inputs={n: data[n] for n in "ab"}, outputs={n: data[n] for n in "uv"}, gates=gates)


def loss(weights, data, nodes, edges):
    """Half the squared error over examples of a pass from node to node, knowing nothing of paths."""
    active = {n: data[n] for n in "ab"}
    for node in "ab":
        active[node] = active[node] * nodes.get(node, np.ones(EXAMPLES))[None, :]
    for node in "hkuv":
        arriving = sum(
            edges.get(e, np.ones(EXAMPLES))[None, :] * (weights[e] @ active[s])
            for e, (s, t) in EDGES.items()
            if t == node
        )
        active[node] = nodes.get(node, np.ones(EXAMPLES))[None, :] * arriving
    return sum(jnp.sum((data[n] - active[n]) ** 2) for n in "uv") / (2 * EXAMPLES)


slope = jax.jit(jax.grad(loss))


@jax.jit
def direction(weights, seen):
    return gated_direction(GRAPH, weights, correlations=seen)


@functools.partial(jax.jit, static_argnames=("steps", "every"))
def train_all(weights, seen, rate, *, steps, every=None):
    return gated_descend(
        GRAPH, weights, correlations=seen, rate=rate, steps=steps, every=every,
        observe=lambda state, _: (state, gated_maps(GRAPH, state)),
    )  # fmt: skip


def test_the_graph_finds_all_paths():
    assert len(GRAPH.paths) == 2 * 2 * 2 + 2 + 1
    assert ("ah", "hk2", "kv") in GRAPH.paths
    assert GRAPH.paths_to("v") == tuple(i for i, path in enumerate(GRAPH.paths) if path[-1] in ("kv", "bv"))


@pytest.mark.parametrize("seed", [0, 1])
def test_direction_equals_automatic_differentiation_over_examples(seed):
    weights, data, nodes, edges = draw(seed)
    ours = direction(weights, correlations(data, nodes, edges))
    theirs = slope(weights, data, nodes, edges)
    for name, gradient in theirs.items():
        assert float(jnp.abs(gradient).max()) > 1e-3, "the comparison has no power"
        np.testing.assert_allclose(ours[name], -gradient, atol=1e-12)


def test_descent_is_a_plain_loop_and_records_it():
    weights, data, nodes, edges = draw()
    seen = correlations(data, nodes, edges)
    run = train_all(weights, seen, 0.1, steps=6, every=3)
    state = weights
    for _ in range(6):
        gradient = slope(state, data, nodes, edges)
        state = {name: np.asarray(state[name] - 0.1 * gradient[name]) for name in state}
    for name, expected in state.items():
        np.testing.assert_allclose(run.weights[name], expected, atol=1e-13)
    np.testing.assert_allclose(run.time, [0, 0.3, 0.6])
    for recorded in run.records[0].values():
        assert recorded.shape[0] == 3
    for path, maps in zip(GRAPH.paths, run.records[1], strict=True):
        for record, at in ((0, weights), (-1, state)):
            np.testing.assert_allclose(maps[record], product(at, path), atol=1e-13)


def test_correlations_are_those_of_paths_and_pairs_of_paths():
    _, data, nodes, edges = draw()
    gates = np.asarray(path_gates(GRAPH, nodes=nodes, edges=edges))
    seen = correlations(data, nodes, edges)
    numbers = GRAPH.paths_to("u")
    ends = np.cumsum([0, *(SIZES[GRAPH.sources[p]] for p in numbers)])
    for p, a, b in zip(numbers, ends, ends[1:], strict=False):
        x = gates[p] * data[GRAPH.sources[p]]
        np.testing.assert_allclose(seen.yx["u"][:, a:b], data["u"] @ x.T / EXAMPLES, atol=1e-14)
        for j, c, d in zip(numbers, ends, ends[1:], strict=False):
            other = gates[j] * data[GRAPH.sources[j]]
            np.testing.assert_allclose(seen.xx["u"][c:d, a:b], other @ x.T / EXAMPLES, atol=1e-14)


def test_with_open_gates_it_is_a_network_of_parallel_paths():
    rng = np.random.default_rng(2)
    shapes = [(3, 6, 5, 4), (3, 6, 4)]
    paths = [[0.5 * rng.standard_normal((n, m)) for m, n in itertools.pairwise(p)] for p in shapes]
    x, y = rng.standard_normal((3, 20)), rng.standard_normal((4, 20))
    graph = gated_graph(
        {
            "a1": ("x", "a"), "a2": ("a", "aa"), "a3": ("aa", "y"),
            "b1": ("x", "b"), "b2": ("b", "y"),
        }
    )  # fmt: skip
    assert graph.paths == (("a1", "a2", "a3"), ("b1", "b2"))

    @jax.jit
    def both(paths):
        seen = gated_correlations(graph, inputs={"x": x}, outputs={"y": y}, gates=np.ones((2, 20)))
        weights = dict(zip(graph.names, [*paths[0], *paths[1]], strict=True))
        return gated_descend(graph, weights, correlations=seen, rate=0.05, steps=40, every=20), descend(
            paths, sigma_yx=y @ x.T / 20, sigma_xx=x @ x.T / 20, rate=0.05, steps=40, every=20
        )

    ours, plain = both(paths)
    np.testing.assert_allclose(np.stack(ours.records, 1), plain.records, atol=1e-13)
    assert float(jnp.abs(plain.records[-1] - plain.records[0]).max()) > 0.1


def test_an_edge_may_occur_twice_in_a_path():
    """Weights shared over two moments of time: both occurrences add to the change."""
    rng = np.random.default_rng(3)
    graph = gated_graph(
        {"in": ("x", "h"), "again": ("h", "h"), "out": ("h", "y")},
        [("in", "again", "again", "out"), ("in", "again", "out")],
    )
    weights = {"in": rng.standard_normal((4, 3)), "again": rng.standard_normal((4, 4)), "out": np.eye(2, 4)}
    x, y, g = rng.standard_normal((3, 7)), rng.standard_normal((2, 7)), rng.integers(0, 2, (2, 7)).astype(float)

    def unrolled(w):
        h = w["again"] @ w["in"] @ x
        answer = w["out"] @ (g[1][None, :] * h + g[0][None, :] * (w["again"] @ h))
        return jnp.sum((y - answer) ** 2) / 14

    @jax.jit
    def both(weights):
        seen = gated_correlations(graph, inputs={"x": x}, outputs={"y": y}, gates=g)
        return gated_direction(graph, weights, correlations=seen), jax.grad(unrolled)(weights)

    ours, theirs = both(weights)
    for name, gradient in theirs.items():
        np.testing.assert_allclose(ours[name], -gradient, atol=1e-12)


@functools.cache
def on_modes(modes=2):
    """Data for which the reduction is exact: one orthonormal basis per node, gates that differ between modes."""
    rng = np.random.default_rng(4)
    bases = {node: np.linalg.qr(rng.standard_normal((size, modes)))[0] for node, size in SIZES.items()}
    s = {target: rng.uniform(1, 2, (len(GRAPH.paths_to(target)), modes)) for target in "uv"}
    yx, xx = {}, {}
    for target in "uv":
        numbers = GRAPH.paths_to(target)
        right = [bases[GRAPH.sources[p]] for p in numbers]
        root = rng.standard_normal((len(numbers), 20, modes))
        d = np.einsum("jnm,pnm->jpm", root, root) / 20
        yx[target] = np.hstack([bases[target] * s[target][i] @ right[i].T for i in range(len(numbers))])
        xx[target] = np.block(
            [[right[j] * d[j, p] @ right[p].T for p in range(len(numbers))] for j in range(len(numbers))]
        )
    return bases, GatedCorrelations(yx, xx), {name: rng.uniform(0.2, 0.6, modes) for name in GRAPH.names}


@jax.jit
def of_modes(seen, bases):
    return gated_modes(GRAPH, seen, bases=bases)


@pytest.mark.slow
def test_decoupled_edges_follow_the_reduction_step_by_step():
    bases, seen, b0 = on_modes()
    weights = decoupled_edges(GRAPH, b0, bases=bases)
    full = train_all(weights, seen, 0.02, steps=200, every=100)
    s, d, off = of_modes(seen, bases)
    assert float(off) < 1e-14
    reduced = jax.jit(lambda b: gated_mode_euler(GRAPH, b, s=s, d=d, dt=0.02, steps=200, every=100))(b0)
    np.testing.assert_allclose(reduced.time, full.time)
    for name, below, above in GRAPH.edges:
        there = bases[above].T @ np.asarray(full.records[0][name]) @ bases[below]
        np.testing.assert_allclose(there, np.stack([np.diag(b) for b in reduced.records[name]]), atol=1e-12)
        assert float(jnp.abs(reduced.weights[name] - b0[name]).max()) > 1e-2, "the comparison has no power"


def test_the_reduction_says_when_its_condition_fails():
    bases, seen, _ = on_modes()
    _, data, nodes, edges = draw()
    assert float(of_modes(correlations(data, nodes, edges), bases).off_diagonal) > 0.1
    turned = seen._replace(yx={**seen.yx, "u": seen.yx["u"][:, ::-1]})
    assert float(of_modes(turned, bases).off_diagonal) > 1e-3


def test_rate_of_modes_is_the_slope_of_their_loss():
    _, seen, b0 = on_modes()
    s, d, _ = of_modes(seen, on_modes()[0])

    def energy(b):
        whole = [functools.reduce(jnp.multiply, [b[e] for e in path]) for path in GRAPH.paths]
        pairs = [(j, p) for t in "uv" for j in GRAPH.paths_to(t) for p in GRAPH.paths_to(t)]
        linear = sum(jnp.sum(s[p] * whole[p]) for p in range(len(whole)))
        return 0.5 * sum(jnp.sum(d[j, p] * whole[j] * whole[p]) for j, p in pairs) - linear

    rate = jax.jit(lambda b: gated_mode_rate(GRAPH, b, s=s, d=d))(b0)
    for name, gradient in jax.jit(jax.grad(energy))(b0).items():
        np.testing.assert_allclose(rate[name], -gradient, atol=1e-12)


@pytest.mark.slow
def test_float32_jit_and_a_batch():
    weights, data, nodes, edges = draw(dtype=np.float32)
    seen = correlations(data, nodes, edges)
    assert seen.yx["u"].dtype == jnp.float32

    @jax.jit
    @jax.vmap
    def final(scale, rate):
        start = {name: scale * w for name, w in weights.items()}
        return gated_descend(GRAPH, start, correlations=seen, rate=rate, steps=5).weights

    together = final(jnp.array([1.0, 0.5], jnp.float32), jnp.array([0.05, 0.1], jnp.float32))
    alone = train_all(draw()[0], correlations(*draw()[1:]), 0.05, steps=5).weights
    for name in GRAPH.names:
        assert together[name].dtype == jnp.float32
        np.testing.assert_allclose(together[name][0], alone[name], atol=2e-6)


def small():
    return gated_graph({"in": ("x", "h"), "out": ("h", "y")})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gated_graph({}), "edges"),
        (lambda: gated_graph({"in": ("x", "h"), "out": ("h", "y")}, [("in", "up")]), "'up'"),
        (lambda: gated_graph({"in": ("x", "h"), "out": ("k", "y")}, [("in", "out")]), "connect"),
        (lambda: gated_graph({"in": ("x", "h"), "out": ("h", "y")}, [("in",)]), "no edge leaves"),
        (lambda: gated_graph({"in": ("x", "h"), "out": ("h", "y")}, [("in", "out")] * 2), "twice"),
        (lambda: gated_graph({"in": ("x", "h"), "out": ("h", "y")}, []), "at least one path"),
        (lambda: gated_graph({"on": ("x", "y"), "back": ("y", "x")}), "cycle"),
        (lambda: gated_graph({"in": ("x", "h"), "loop": ("h", "h"), "out": ("h", "y")}), "cycle"),
        (lambda: path_gates(small()), "at least one gate"),
        (lambda: path_gates(small(), nodes={"z": np.ones(3)}), "nodes"),
        (lambda: path_gates(small(), nodes={"h": np.ones(3)}, edges={"in": np.ones(2)}), "'in'"),
        (
            lambda: gated_correlations(small(), inputs={}, outputs={"y": np.ones((2, 3))}, gates=np.ones((1, 3))),
            "inputs",
        ),
        (
            lambda: gated_correlations(
                small(), inputs={"x": np.ones((2, 3))}, outputs={"y": np.ones((2, 4))}, gates=np.ones((1, 3))
            ),
            "outputs",
        ),
        (lambda: gated_maps(small(), {"in": np.eye(2)}), "lacks 'out'"),
        (lambda: gated_maps(small(), {"in": np.eye(2), "out": np.eye(3)}), "node 'h'"),
        (lambda: train(yx=np.eye(3)), "correlations.yx"),
        (lambda: train(xx=np.eye(3)), "correlations.xx"),
        (lambda: train(rate=0.0), "rate"),
        (lambda: train(steps=5, every=2), "every"),
        (lambda: train(steps=-1), "steps"),
        (lambda: gated_mode_rate(small(), {"in": [1.0], "out": [1.0]}, s=[[1.0, 2.0]], d=[[[1.0]]]), "s must"),
        (lambda: decoupled_edges(small(), {"in": [1.0], "out": [1.0]}, bases={"x": np.eye(1)}), "bases"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def train(yx=None, xx=None, rate=0.1, steps=2, every=None):
    seen = GatedCorrelations({"y": np.eye(2) if yx is None else yx}, {"y": np.eye(2) if xx is None else xx})
    return gated_descend(
        small(), {"in": np.eye(2), "out": np.eye(2)}, correlations=seen, rate=rate, steps=steps, every=every
    )
