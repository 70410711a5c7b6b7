"""Pathways solved three ways, against each other and against numbers obtained from the authors' code.

Kleinman, Achille & Soatto (2024). Their gate acts one update earlier than gradient descent's would: a window
``[first, last)`` in steps freezes the updates first - 1 to last - 2, so one that begins at 0 freezes one update less.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import linear

DT = 0.001
SETTINGS = {
    "balanced": {
        "p0": [[0.3, 0.4], [0.35, 0.3], [0.4, 0.35]],
        "depth": [2.0, 3.0, 4.5],
        "imbalance": 0.0,
    },
    "large": {
        "p0": [[0.02, -0.05], [-0.01, 0.03], [0.05, 0.01]],
        "depth": [2.0, 3.0, 4.5],
        "imbalance": 1.0,
    },
}
WINDOWS = linear.windows(
    [0.2, 0.9], [0.5, 1.3], [[[1.0, 1.0], [0.0, 0.5], [1.0, 0.2]], [[0.3, 1.0], [1.0, 0.0], [0.0, 1.0]]]
)
LESIONS = [[False, False], [False, True], [False, False]]


@pytest.mark.parametrize("kind", ["balanced", pytest.param("large", marks=pytest.mark.slow)])
def test_flow_clock_and_small_steps_agree(kind):
    settings = {**SETTINGS[kind], "s": [2.0, 1.5], "windows": WINDOWS, "lesions": LESIONS}
    p0 = settings.pop("p0")
    times = np.array([0.0, 0.3, 0.5, 1.0, 2.0])
    flow = linear.pathway_flow(p0, times=times, **settings)
    clock = linear.pathway_clock(p0, times=times, **settings)
    np.testing.assert_allclose(clock.strength, flow.strength, atol=2e-8)
    np.testing.assert_allclose(clock.p, flow.p, atol=2e-8)
    records = np.array([0, 3, 5, 10, 20])
    errors = []
    for dt in (2e-3, 1e-3):
        euler = linear.pathway_euler(p0, dt=dt, steps=round(2 / dt), every=round(0.1 / dt), **settings)
        np.testing.assert_allclose(euler.time[records], times, atol=1e-12)
        errors.append(np.abs(euler.strength[records] - flow.strength).max())
    assert errors[0] < 0.02
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.1)  # Euler's error halves with its step
    lesioned = flow.strength[:, 1, 1]
    np.testing.assert_array_equal(lesioned, 0)


def authors(depth, onset, *, start, shift):
    """Final strengths of the published script's trajectories: 999 updates."""
    gate = linear.windows(onset - shift, onset - shift + 15 * DT, [1.0, 0.0])
    options = {"s": 10.0, "imbalance": 1.0, "dt": DT, "steps": 999, "every": 999, "windows": gate}

    @jax.jit
    @jax.vmap
    def ends(p0):
        return linear.pathway_euler(p0[:, None], depth=depth, **options).strength[-1, :, 0]

    return np.asarray(ends(start))


def starts():
    """The script's own initial values: one draw for the early row of its figure, one for the late row."""
    rng = np.random.default_rng(49827345)
    return rng.normal(0, 0.01, (100, 2)), rng.normal(0, 0.01, (100, 2))


def test_figure_1_authors_gate():
    early, late = starts()
    first = {5.0: (8.042153085846873, 1.95784691415311), 13.0: (9.485584626725483, 0.5144153732745279)}
    table = {
        2.0: (5.689, 0.070, 5.528, 0.077),
        5.0: (8.227, 0.173, 5.073, 0.501),
        13.0: (9.554, 0.063, 4.983, 1.549),
    }
    for depth, (mean, deviation, late_mean, late_deviation) in table.items():
        ends = authors(depth, 0.0, start=early, shift=DT)
        np.testing.assert_allclose(ends.sum(1), 10, atol=1e-3 if depth == 2 else 1e-9)
        assert abs(ends[:, 0].mean() - mean) < 6e-4
        assert abs(ends[:, 0].std() - deviation) < 1.5e-3
        if depth in first:
            np.testing.assert_allclose(ends[0], first[depth], atol=1e-9)
        ends = authors(depth, 0.1, start=late, shift=DT)
        assert abs(ends[:, 0].mean() - late_mean) < 6e-4
        assert abs(ends[:, 0].std() - late_deviation) < 1e-2


def test_figure_1_gradient_descent_gate():
    early, _ = starts()
    for depth, (mean, deviation) in {2.0: (5.737, 0.070), 5.0: (8.344, 0.159), 13.0: (9.596, 0.056)}.items():
        ends = authors(depth, 0.0, start=early, shift=0.0)[:, 0]
        assert abs(ends.mean() - mean) < 6e-4
        assert abs(ends.std() - deviation) < 1.5e-3


@pytest.mark.parametrize(
    ("shift", "known"),
    [
        (0.01, {2.0: (6.818913, 3.181087), 3.0: (8.375152, 1.624848), 4.0: (9.024133, 0.975867)}),
        (0.0, {2.0: (7.217374, 2.782626), 3.0: (8.773359, 1.226641), 4.0: (9.289298, 0.710702)}),
    ],
)
def test_figure_7_in_both_gate_semantics(shift, known):
    """p0 = 0.005 in both paths, s = 10, dt = 0.01, a window of five steps at the start."""
    gate = linear.windows(-shift, 0.05 - shift, [1.0, 0.0])
    for depth, ends in known.items():
        steps = {2.0: 1000, 3.0: 10_000, 4.0: 400_000}[depth]
        run = linear.pathway_euler(
            jnp.full((2, 1), 0.005), s=10.0, depth=depth, dt=0.01, steps=steps, every=steps, windows=gate
        )
        np.testing.assert_allclose(run.strength[-1, :, 0], ends, atol=2e-6)


@pytest.mark.slow
def test_figure_7_steps_to_half():
    for depth, steps, count in ((2.0, 100, 64), (3.0, 3000, 2001), (4.0, 250_000, 200_007)):
        run = linear.pathway_euler(jnp.full((2, 1), 0.005), s=10.0, depth=depth, dt=0.01, steps=steps)
        reached = int(jnp.argmax(run.strength[:, :, 0].sum(1) >= 5.0))
        assert reached == count


@pytest.mark.slow
def test_zero_initialisation_by_exact_flow():
    known = {2.0: 5.74268, 5.0: 8.39830, 8.0: 9.23627, 13.0: 9.63156}
    for depth, free in known.items():
        settings = {"s": 10.0, "p0": 0.0, "depth": depth, "imbalance": 1.0}
        gated = linear.critical_period_curve_large(0.0, duration=15 * DT, **settings)
        assert abs(10 - gated - free) < 6e-6


def test_euler_does_not_stall_in_float32():
    """The increment is below half an ulp of p: a naive sum would stay at the start for ever."""
    start = np.full((2, 1), 5e-4)
    options = {"s": 10.0, "depth": 4.0, "dt": 0.01, "steps": 1_000_000, "every": 500_000}
    single = linear.pathway_euler(jnp.asarray(start, jnp.float32), **options)
    double = linear.pathway_euler(jnp.asarray(start), **options)
    assert single.p.dtype == jnp.float32
    assert (np.asarray(single.p[-1]) > start * 1.02).all()
    np.testing.assert_allclose(np.asarray(single.p, np.float64), double.p, rtol=1e-5)
    increment = np.float32(0.01 * 10 * (5e-4) ** 3)
    assert np.float32(5e-4) + increment == np.float32(5e-4)


@pytest.mark.slow
def test_symmetries_and_identities():
    options = {"depth": 3.0, "times": np.array([0.0, 1.0, 30.0])}
    p0 = np.array([[0.3], [0.25]])
    one = linear.pathway_flow(p0, s=1.0, **options).strength
    swapped = linear.pathway_flow(p0[::-1], s=1.0, **options).strength
    np.testing.assert_allclose(one, swapped[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(one[-1].sum(0), 1.0, atol=1e-7)
    # s -> k s, K0 -> k K0, t -> t / k^(2 - 2/D) makes K -> k K
    k = 2.5
    faster = linear.pathway_flow(
        p0 * k ** (1 / 3), s=k, depth=3.0, times=np.array([0.0, 1.0, 30.0]) / k ** (2 - 2 / 3)
    ).strength
    np.testing.assert_allclose(faster, k * one, rtol=1e-7)
    invariant = p0[0, 0] ** -1 - p0[1, 0] ** -1
    p = linear.pathway_flow(p0, s=1.0, **options).p[:, :, 0]
    np.testing.assert_allclose(p[:, 0] ** -1 - p[:, 1] ** -1, invariant, atol=1e-7)


def test_depth_one_has_no_critical_period():
    """At depth 1 the clocks add: whatever the onset, what counts is how much the other learned meanwhile."""
    gate = linear.windows(0.0, 0.5, [1.0, 0.0])
    free = linear.pathway_flow([[0.1], [0.1]], s=1.0, depth=1.0, times=[0.5, 40.0], windows=gate).strength[:, :, 0]
    # alone, the first path closes its part of the gap: K = K0 + (s - 2 K0)(1 - e^-t); then both share the rest equally
    alone = 0.1 + 0.8 * (1 - np.exp(-0.5))
    np.testing.assert_allclose(free[0], [alone, 0.1], atol=1e-7)
    np.testing.assert_allclose(free[1], [alone + (0.9 - alone) / 2, 0.1 + (0.9 - alone) / 2], atol=1e-7)


def test_a_lesion_leaves_the_mode_to_the_other_path():
    run = linear.pathway_euler(
        jnp.full((2, 2), 0.3),
        s=[2.0, 1.0],
        depth=3.0,
        dt=0.01,
        steps=4000,
        every=4000,
        lesions=[[True, False], [False] * 2],
    )
    np.testing.assert_allclose(run.strength[-1], [[0, 0.5], [2.0, 0.5]], atol=1e-6)
    assert float(run.p[-1, 0, 0]) == pytest.approx(0.3)  # it does not learn either


@pytest.mark.slow
def test_gradients_are_finite_at_the_saddle():
    def end(p0):
        return linear.pathway_euler(p0, s=1.0, depth=3.0, dt=0.1, steps=20, every=20).strength[-1].sum()

    for start in (jnp.zeros((2, 1)), jnp.array([[0.0], [-0.2]])):
        assert jnp.isfinite(jax.grad(end)(start)).all()


def test_vmaps_over_everything_continuous():
    def end(p0, depth, onset, dt):
        gate = linear.windows(onset, onset + 0.5, [1.0, 0.25])
        return linear.pathway_euler(p0, s=1.0, depth=depth, dt=dt, steps=40, every=40, windows=gate).strength[-1, 1, 0]

    p0, depth, onset, dt = (
        jnp.full((5, 2, 1), 0.4),
        jnp.linspace(1, 5, 5),
        jnp.linspace(0, 1, 5),
        jnp.linspace(0.02, 0.1, 5),
    )
    batch = jax.jit(jax.vmap(end))(p0, depth, onset, dt)
    single = [end(p0[i], depth[i], onset[i], dt[i]) for i in range(5)]
    np.testing.assert_allclose(batch, jnp.stack(single), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 0.5}, "depth"),
        ({"imbalance": -1.0}, "imbalance"),
        ({"s": [1.0, 2.0, 3.0]}, "s must"),
        ({"p0": 0.3}, "p0"),
        ({"dt": 0.0}, "dt"),
        ({"steps": 10, "every": 3}, "every"),
        ({"lesions": [True, False]}, "lesions"),
    ],
)
def test_bad_input_is_one_line(change, words):
    given = {"p0": np.full((2, 2), 0.3), "s": 1.0, "depth": 2.0, "dt": 0.1, "steps": 10, **change}
    with pytest.raises(ValueError, match=words) as caught:
        linear.pathway_euler(given.pop("p0"), **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "stop", "gate", "words"),
    [
        (0.0, 1.0, [1.0, 1.5], "gate"),
        (1.0, 0.5, [1.0, 0.0], "stop"),
        ([0.0, 0.5], [1.0, 2.0], [1.0, 0.0], "overlap"),
        ([0.0, 1.0], [0.5], [1.0, 0.0], "shape"),
        (0.0, 1.0, [[[[1.0]]]], "gate"),
    ],
)
def test_bad_windows_are_one_line(start, stop, gate, words):
    with pytest.raises(ValueError, match=words) as caught:
        linear.windows(start, stop, gate)
    assert "\n" not in str(caught.value)
