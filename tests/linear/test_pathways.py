"""Pathways: conversions, the law of learning, and what the solvers promise beyond agreeing with each other."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import linear
from tests.linear.references import pathway_ode

P = np.array([-1.3, -0.2, 0.0, 0.05, 0.7, 2.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("imbalance", [0.0, 1e-3, 1.0])
def test_strength_and_its_inverse(dtype, imbalance):
    depth = np.array([1.0, 2.0, 2.5, 5.0, 13.0], dtype)[:, None]
    k = linear.strength(P.astype(dtype), depth=depth, imbalance=imbalance)
    assert k.dtype == dtype
    expected = P * (P**2 + imbalance) ** ((depth.astype(float) - 1) / 2)
    np.testing.assert_allclose(k, expected, rtol=200 * np.finfo(dtype).eps)
    back = linear.small_layer(k, depth=depth, imbalance=imbalance)
    np.testing.assert_allclose(back, np.broadcast_to(P, back.shape), rtol=100 * np.finfo(dtype).eps, atol=1e-30)


def test_derivatives_at_the_saddle_are_finite():
    for depth in (1.0, 1.5, 2.0, 3.0):
        slope = jax.grad(lambda p, d=depth: linear.strength(p, depth=d))(0.0)
        assert float(slope) == (1.0 if depth == 1 else 0.0)
        assert np.isfinite(jax.grad(lambda d: linear.strength(0.0, depth=d))(depth))
        assert np.isfinite(jax.grad(lambda k, d=depth: linear.small_layer(k, depth=d))(0.0))


def test_the_law_against_the_loss():
    """At depth 2 dp/dt is minus the gradient of the loss in the last layer; deeper ones go by the chain of layers."""
    s, layers = 1.7, jnp.array([[0.4, 0.4], [0.6, 0.6]])  # (paths, layers), balanced

    def loss(layers):
        return 0.5 * (s - jnp.sum(jnp.prod(layers, axis=1))) ** 2

    expected = -jax.grad(loss)(layers)[:, :1]
    got = linear.pathway_rate(layers[:, :1], s=s, depth=2.0)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    large = jnp.array([[0.1, 1.2, 1.2, 1.2], [-0.2, 0.9, 0.9, 0.9]])
    imbalance = large[:, 1] ** 2 - large[:, 0] ** 2
    got = linear.pathway_rate(large[:, :1], s=s, depth=4.0, imbalance=imbalance)
    np.testing.assert_allclose(got, -jax.grad(loss)(large)[:, :1], rtol=1e-13)
    np.testing.assert_allclose(linear.pathway_rate(large[:, :1], s=s, depth=4.0, imbalance=imbalance, gate=0.0), 0)


TIMES = np.array([0.0, 0.5, 1.0, 4.0])
CASES = {
    "balanced": {"p0": [[0.3], [0.4]], "depth": [3.0, 2.0], "imbalance": 0.0},
    "large": {"p0": [[0.05], [-0.1]], "depth": [3.0, 5.0], "imbalance": [0.7, 1.2]},
}


def solve(name, kind, onset, *, dtype=np.float64, **options):
    case = CASES[kind]
    gate = linear.windows(jnp.asarray(onset, dtype), jnp.asarray(onset + 0.6, dtype), np.array([1, 0.25], dtype))
    solver = getattr(linear, f"pathway_{name}")
    depth, imbalance = np.asarray(case["depth"], dtype), case["imbalance"]
    imbalance = np.asarray(imbalance, dtype) if kind == "large" else imbalance
    p0, times = np.asarray(case["p0"], dtype), TIMES.astype(dtype)
    return solver(p0, times=times, s=dtype(1.5), depth=depth, imbalance=imbalance, windows=gate, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-8), (np.float32, 1e-5)])
@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", ["flow", "clock"])
def test_both_exact_solvers_against_scipy(name, kind, dtype, tolerance):
    run = jax.jit(lambda onset: solve(name, kind, onset, dtype=dtype))(dtype(0.7))
    assert run.strength.dtype == dtype
    assert run.strength.shape == (4, 2, 1)
    assert bool(run.success)
    case = CASES[kind]
    spans = [(0.7, [1, 1]), (0.6, [1, 0.25]), (2.7, [1, 1])]
    p, k = pathway_ode(
        np.ravel(case["p0"]), spans, s=1.5, depth=np.array(case["depth"]), imbalance=np.asarray(case["imbalance"])
    )
    np.testing.assert_allclose(run.p[-1, :, 0], p, atol=tolerance)
    np.testing.assert_allclose(run.strength[-1, :, 0], k, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_derivatives_in_the_time_of_a_window_agree_also_at_zero(kind):
    def end(onset, name, **options):
        return solve(name, kind, onset, **options).strength[-1, 1, 0]

    clock = jax.jit(jax.value_and_grad(lambda onset: end(onset, "clock")))
    flow = jax.jit(jax.grad(lambda onset: end(onset, "flow")))
    forward = jax.jit(jax.jacfwd(lambda onset: end(onset, "flow", adjoint=diffrax.ForwardMode())))
    for onset in (0.0, 0.3):
        slope = clock(onset)[1]
        np.testing.assert_allclose(flow(onset), slope, rtol=1e-6)
        np.testing.assert_allclose(forward(onset), slope, rtol=1e-6)
        h = 1e-4
        values = [clock(onset + n * h)[0] for n in range(4)]
        np.testing.assert_allclose(slope, np.dot([-11, 18, -9, 2], values) / (6 * h), rtol=1e-6)


@pytest.mark.slow
def test_the_clock_reaches_times_that_no_explicit_solver_does():
    """Figure 7 of Kleinman et al. lasts 10^4 units of time at a relaxation rate of 126."""
    settings = {"s": 10.0, "depth": 4.0, "times": [0.0, 1e4, 1e9]}
    p0 = np.full((2, 1), 0.005)
    run = linear.pathway_clock(p0, **settings, windows=linear.windows(5000.0, 5100.0, [1.0, 0.0]))
    np.testing.assert_allclose(run.strength[1:, :, 0], 5, rtol=1e-9)
    failed = linear.pathway_flow(p0, **settings, max_steps=50)
    assert not bool(failed.success)
    assert np.isnan(failed.strength[-1]).all()
    np.testing.assert_array_equal(failed.p[0], p0)


@pytest.mark.slow
def test_a_balanced_path_at_zero_stays_and_one_path_is_enough():
    run = linear.pathway_clock([[0.4], [0.0]], times=[1.0], s=1.0, depth=3.0)
    alone = linear.pathway_clock([[0.4]], times=[1.0], s=1.0, depth=3.0)
    np.testing.assert_array_equal(run.strength[0, 1], 0)
    np.testing.assert_allclose(run.strength[0, 0], alone.strength[0, 0], rtol=1e-12)
    np.testing.assert_allclose(alone.strength[0, 0], linear.mode_strength(1.0, s=1.0, u0=0.4**3, depth=3.0), rtol=1e-10)


BAD = [
    ("clock", {"p0": [[0.3], [-0.1]]}, "p0 must be zero or more, got -0.1"),
    ("clock", {"p0": [[0.3], [0.0]], "depth": 1.5}, "p0 must be positive where depth is below 2"),
    ("clock", {"p0": [[0.9], [0.9]], "depth": 2.0}, "sum to at most s"),
    ("clock", {"s": 0.0}, "s must be positive"),
    ("clock", {"imbalance": [0.0, 1.0]}, "imbalance must be positive"),
    ("clock", {"times": [1.0, 0.5]}, "times must be in increasing order"),
    ("flow", {"times": 1.0}, r"times must have shape \(records,\)"),
    ("flow", {"times": [-1.0, 1.0]}, "times must be zero or more"),
    ("flow", {"windows": linear.windows(0.0, 1.0, [1.0, 0.0, 1.0])}, "windows are for"),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD)
def test_bad_input(name, change, words):
    given = {"p0": [[0.3], [0.3]], "s": 1.0, "depth": 3.0, "times": [0.0, 1.0], **change}
    with pytest.raises(ValueError, match=words) as caught:
        getattr(linear, f"pathway_{name}")(given.pop("p0"), **given)
    assert "\n" not in str(caught.value)


def test_too_many_steps_for_the_dtype_are_refused():
    with pytest.raises(ValueError, match="steps must be at most"):
        linear.pathway_euler(np.full((1, 1), 0.1, np.float32), s=1.0, depth=2.0, dt=0.1, steps=10_000_000)


@pytest.mark.parametrize(
    ("start", "stop", "gate", "words"),
    [
        ([0.0, 1.0], [1.5, 2.0], [1.0, 0.0], "windows must follow one another without overlap"),
        (1.0, 0.5, [1.0, 0.0], "stop must not come before start"),
        (0.0, 1.0, [1.0, 1.2], "gate must be between 0 and 1, got 1.2"),
        (0.0, 1.0, [1.0, -0.1], "gate must be between 0 and 1, got -0.1"),
        ([0.0, 1.0], 2.0, [1.0, 0.0], "start and stop must be"),
        (np.nan, 1.0, [1.0, 0.0], "start must be finite"),
        ([0.0, 1.0], [0.5, 2.0], np.ones((3, 2)), r"gate must have shape \(paths,\), \(2, paths\)"),
    ],
)
def test_windows_that_make_no_sense_are_refused(start, stop, gate, words):
    with pytest.raises(ValueError, match=words) as caught:
        linear.windows(start, stop, gate)
    assert "\n" not in str(caught.value)


def test_windows_may_touch():
    spans = linear.windows([0.0, 1.0], [1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(spans.gate[:, :, 0], [[1, 0], [0, 1]])
