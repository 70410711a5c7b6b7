"""The routing network: its graph, its three strengths per mode, and what they conserve."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from brainjax.linear import (
    decoupled_edges,
    gated_correlations,
    gated_descend,
    gated_mode_rate,
    gated_modes,
    routing_conserved,
    routing_correlations,
    routing_graph,
    routing_rate,
    routing_shared_rate,
    routing_time,
    trained_routes,
)

M, K = 3, 2
LEFT, S, RIGHT_T = np.linalg.svd(np.array([[6.0, 6, 6], [4, 0, 1], [0, 4, 2], [1, 2, 5]]), full_matrices=False)


def bases(width=5):
    hidden = {node: np.linalg.qr(np.random.default_rng(i).standard_normal((width, 3)))[0]
              for i, node in enumerate(("read", "write"))}  # fmt: skip
    return hidden | {f"x{i}": RIGHT_T.T for i in range(M)} | {f"y{j}": LEFT for j in range(M)}


time_to = jax.jit(routing_time)


def test_routes_are_a_band_round_the_circle():
    np.testing.assert_array_equal(trained_routes(4, 2), np.eye(4) + np.roll(np.eye(4), 1, 1))
    np.testing.assert_array_equal(trained_routes(4, 3), sum(np.roll(np.eye(4), o, 1) for o in (-1, 0, 1)))
    traced = jax.jit(lambda k: trained_routes(7, k))
    for k in range(8):
        routes = np.asarray(traced(float(k)))
        assert (routes.sum(0) == k).all()
        assert (routes.sum(1) == k).all()


def test_correlations_are_those_of_a_data_set_with_one_route_per_example():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 6)), rng.standard_normal((4, 6))
    for dedicated in (False, True):
        graph = routing_graph(M, dedicated=dedicated)
        routes = np.asarray(trained_routes(M, K))
        taken = np.repeat(np.eye(M * M) * routes.reshape(-1), 6, axis=1)  # route by route, all six items
        seen = gated_correlations(
            graph,
            inputs={f"x{i}": np.tile(x, M * M) for i in range(M)},
            outputs={f"y{j}": np.tile(y, M * M) for j in range(M)},
            gates=np.tile(taken, (1 + dedicated, 1)),
        )
        short = routing_correlations(graph, sigma_yx=y @ x.T / 6, sigma_xx=x @ x.T / 6, routes=routes)
        for ours, theirs in zip(jax.tree.leaves(short), jax.tree.leaves(seen), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-14)


@jax.jit
def both(weights, b0, k):
    """Gradient descent and the Euler steps of the three strengths, with any number of trained routes."""
    graph = routing_graph(M)
    seen = routing_correlations(graph, sigma_yx=LEFT * S @ RIGHT_T, routes=trained_routes(M, k))
    run = gated_descend(graph, weights, correlations=seen, rate=0.05, steps=120)
    return run, jax.lax.fori_loop(0, 120, lambda _, b: b + 0.05 * routing_rate(b, s=S, domains=M, trained=k), b0)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_network_follows_its_three_strengths_and_untrained_routes_come_along(k):
    graph = routing_graph(M)
    b0 = np.array([0.3, 0.25, 0.35])[:, None] * np.array([1.0, 1.1, 0.9])
    start = {name: b0[0 if name[0] == "i" else 2 if name[0] == "o" else 1] for name in graph.names}
    weights = decoupled_edges(graph, start, bases=bases())

    run, b = both(weights, jnp.asarray(b0), float(k))
    assert float(jnp.abs(b.prod(0) / S - 1).min()) < 0.5 < float(jnp.abs(b0.prod(0) / S - 1).min())
    for omega in run.records:
        np.testing.assert_allclose(omega[-1], LEFT * np.asarray(b.prod(0)) @ RIGHT_T, atol=1e-10)


def test_three_strengths_are_the_general_reduction():
    graph = routing_graph(M)
    b = np.random.default_rng(1).uniform(0.2, 1, (3, 3))
    seen = routing_correlations(graph, sigma_yx=LEFT * S @ RIGHT_T, routes=trained_routes(M, K))
    modes = jax.jit(lambda seen: gated_modes(graph, seen, bases=bases()))(seen)
    assert float(modes.off_diagonal) < 1e-12
    strengths = {name: b[0 if name[0] == "i" else 2 if name[0] == "o" else 1] for name in graph.names}
    rate = gated_mode_rate(graph, strengths, s=modes.s, d=modes.d)
    ours = routing_rate(b, s=S, domains=M, trained=K)
    for row, name in enumerate(("in1", "shared", "out2")):
        np.testing.assert_allclose(rate[name], ours[row], rtol=1e-12)


def test_what_is_conserved_drifts_in_proportion_to_the_rate():
    b0 = jnp.full((3, 3), 0.4)
    run = jax.jit(
        lambda rate, steps: jax.lax.fori_loop(
            0, steps, lambda _, b: b + rate * routing_rate(b, s=S, domains=M, trained=K), b0
        )
    )
    drift = []
    for halvings in range(3):
        b = run(0.02 / 2**halvings, 200 * 2**halvings)
        drift.append(np.asarray(routing_conserved(b, domains=M) - routing_conserved(b0, domains=M))[0])
        np.testing.assert_allclose(b[0], b[2], rtol=1e-13)
    drift = np.array(drift)
    assert (np.abs(drift[0]) > 1e-5).all(), "the comparison has no power"
    np.testing.assert_allclose(drift[:-1] / drift[1:], 2.0, atol=0.15)
    assert (np.abs(drift[-1]) < 0.05 * np.asarray(b[1]) ** 2).all()


def test_one_equation_for_the_shared_edge():
    b1, b2 = 0.6, 0.9
    c = routing_conserved([[b1], [b2], [b1]], domains=M)[0, 0]
    whole = routing_rate([[b1], [b2], [b1]], s=5.0, domains=M, trained=K)[1, 0]
    np.testing.assert_allclose(routing_shared_rate(b2, s=5.0, domains=M, trained=K, conserved=c), whole, rtol=1e-14)


def test_final_strengths_are_those_of_the_authors_notebook():
    """Their Euler steps of the shared edge from 0.08 (M = 7, K = 4), printed after time 35 for s of 13.6, 6.4 and 3."""
    printed = np.array([4.56346388, 3.54859045, 2.75428469])
    s = np.sqrt([185.0, 41.0, 9.0])
    c = 0.08**2 - 7 * 0.08**2
    rate = routing_shared_rate(printed, s=s, domains=7, trained=4, conserved=c)
    relaxation = 4 / 49 * (printed**2 - c) * (3 * printed**2 - c) / 7
    np.testing.assert_allclose(rate / relaxation / printed, 0, atol=2e-7)
    before = time_to(0.99 * printed, start=0.08, s=s, domains=7, trained=4, conserved=c)
    assert (np.asarray(before) < 35).all()


@pytest.mark.parametrize("start", [(0.08, 0.08), (0.3, 0.3 * np.sqrt(7)), (0.05, 1.5), (0.4, 2.0)])
def test_time_to_a_strength_against_quadrature_and_the_ode(start):
    """Square of the conserved quantity negative, zero and positive; the authors' M = 7, K = 4."""
    b1, b2 = start
    s, m, k = 6.4, 7.0, 4.0
    c = b2**2 - m * b1**2
    ends = b2 + np.array([0.1, 0.5, 0.9, 0.99]) * ((m * s) ** (1 / 3) - b2)
    time = time_to(ends, start=b2, s=s, domains=m, trained=k, conserved=c)

    def slowness(x):
        return 1 / (k / m**2 * (x**2 - c) * (s - x * (x**2 - c) / m))

    expected = [integrate.quad(slowness, b2, end, epsabs=1e-12, epsrel=1e-11, limit=500)[0] for end in ends]
    np.testing.assert_allclose(time, expected, rtol=1e-9)
    path = integrate.solve_ivp(
        lambda _, b: np.array([b[1] * b[2], m * b[0] * b[2], b[0] * b[1]]) * k / m**2 * (s - b[0] * b[1] * b[2]),
        (0, float(time[2])), [b1, b2, b1], method="DOP853", rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(path.y[1, -1], ends[2], rtol=1e-8)


def test_time_at_its_edges():
    f = functools.partial(time_to, start=0.1, s=2.0, domains=4.0, trained=2.0)
    ends = np.array([0.1, 5.0, 1.0, 2.0])
    time = f(ends, conserved=-0.03)
    assert float(time[0]) == 0
    assert np.isnan(time[1])
    assert np.isinf(f(np.full(4, 2.0), conserved=0.0)[0])  # (M s)^(1/3) = 2
    near = [f(ends, conserved=c)[2] for c in (-1e-9, 0.0, 1e-9)]
    np.testing.assert_allclose(near, near[1], rtol=1e-6)
    slope = jax.jit(jax.grad(lambda b: routing_time(b, start=0.1, s=2.0, domains=4, trained=2, conserved=-0.03)))(1.0)
    np.testing.assert_allclose(
        slope, 1 / routing_shared_rate(1.0, s=2.0, domains=4, trained=2, conserved=-0.03), rtol=1e-10
    )
    f32 = f(ends.astype(np.float32), conserved=-0.03)
    assert f32.dtype == jnp.float32
    np.testing.assert_allclose(f32[2], time[2], rtol=3e-6)


@pytest.mark.slow
def test_a_dedicated_edge_learns_a_share_of_what_the_shared_edge_learns():
    """In one update from symmetric edges the shared edge moves K M times as far as that of a single route."""
    graph = routing_graph(M, dedicated=True)
    seen = routing_correlations(graph, sigma_yx=LEFT * S @ RIGHT_T, routes=trained_routes(M, K))
    modes = jax.jit(lambda seen: gated_modes(graph, seen, bases=bases()))(seen)
    rate = gated_mode_rate(graph, {name: jnp.full(3, 0.3) for name in graph.names}, s=modes.s, d=modes.d)
    np.testing.assert_allclose(rate["shared"] / rate["own0_0"], K * M, rtol=1e-12)
    np.testing.assert_array_equal(rate["own2_1"], 0)  # never taken
    assert graph.paths[M * M + 5] == ("in1", "own1_2", "out2")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: routing_graph(0), "domains"),
        (lambda: trained_routes(3, 4), "trained"),
        (lambda: trained_routes(3, -1), "trained"),
        (lambda: trained_routes(3, 1.5), "trained"),
        (lambda: routing_correlations(routing_graph(2), sigma_yx=np.eye(2), routes=np.eye(3)), "routes"),
        (lambda: routing_correlations(routing_graph(2), sigma_yx=np.eye(2), routes=-np.eye(2)), "routes"),
        (
            lambda: routing_correlations(routing_graph(2), sigma_yx=np.eye(2), sigma_xx=np.eye(3), routes=np.eye(2)),
            "sigma_xx",
        ),
        (lambda: routing_rate(np.ones((2, 3)), s=1.0, domains=3, trained=1), "strengths"),
        (lambda: routing_rate(np.ones((3, 3)), s=np.ones(2), domains=3, trained=1), "s must"),
        (lambda: routing_shared_rate(1.0, s=1.0, domains=0, trained=1, conserved=0.0), "domains"),
        (lambda: routing_time(1.0, start=0.1, s=1.0, domains=3, trained=1, conserved=0.5), "start"),
        (lambda: routing_time(1.0, start=0.0, s=1.0, domains=3, trained=1, conserved=-0.5), "start"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
