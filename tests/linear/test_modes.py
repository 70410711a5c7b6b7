import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from brainjax.linear import mode_strength, mode_strength_unbalanced, mode_time
from tests.linear.references import mode_ode, mode_quadrature

RNG = np.random.default_rng(7)
DEPTHS = np.concatenate([np.arange(1.0, 9), [1.3, 1.999999, 2.000001, 2.6, 5.5, 7.3]])
S = np.exp(RNG.normal(size=DEPTHS.size))
START = S * np.exp(RNG.uniform(-9, 0.7, DEPTHS.size))  # some above s
PART = RNG.uniform(0.05, 0.98, DEPTHS.size)
TARGET = S + (START - S) * (1 - PART) ** 3
strength = jax.jit(lambda t, s, u0, depth: mode_strength(t, s=s, u0=u0, depth=depth))
time = jax.jit(lambda u, s, u0, depth: mode_time(u, s=s, u0=u0, depth=depth))
reverse_mode = jax.jit(jax.grad(strength, argnums=(0, 1, 2, 3)))
forward_mode = jax.jit(jax.jacfwd(strength, argnums=(0, 1, 2, 3)))


def test_published_times():
    """Times from 1e-3 to 2.5 at s = 3, printed with nine decimals."""
    t = time(2.5, 3.0, 1e-3, np.array([2.0, 3, 4, 5]))
    np.testing.assert_allclose(t, [1.602578682, 3.277760439, 5.311914629, 7.069522699], atol=6e-10)


def test_closed_form_of_the_time_at_depth_four():
    s, u0, u = 3.0, 1e-3, np.array([0.01, 0.5, 2.5, 2.999])

    def primitive(u):
        v, r = np.sqrt(u), np.sqrt(s)
        return -1 / (2 * s * v) + np.log((r + v) / (r - v)) / (4 * s**1.5)

    np.testing.assert_allclose(time(u, s, u0, 4.0), primitive(u) - primitive(u0), rtol=1e-12)


def test_deep_limit_of_the_time():
    """As depth grows, depth times the time tends to a closed form, with an error of order 1 / depth."""
    s, u0, u = 3.0, 0.05, 2.5
    limit = np.log(u * (s - u0) / (u0 * (s - u))) / s**2 + (1 / u0 - 1 / u) / s
    errors = [abs(depth * float(time(u, s, u0, depth)) / limit - 1) for depth in (100.0, 200.0, 400.0)]
    assert errors[0] < 0.1
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.05)


def test_the_time_is_the_integral_and_depth_is_one_traced_number():
    t = time(TARGET, S, START, DEPTHS)
    expected = [mode_quadrature(*values) for values in zip(TARGET, S, START, DEPTHS, strict=True)]
    np.testing.assert_allclose(t, expected, rtol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_the_strength_solves_the_ode_at_any_real_depth(dtype, tolerance):
    t = np.asarray(time(TARGET, S, START, DEPTHS))
    got = strength(*(x.astype(dtype) for x in (t, S, START, DEPTHS)))
    assert got.dtype == dtype
    expected = [mode_ode(*values) for values in zip(t, S, START, DEPTHS, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=tolerance)


def test_a_very_small_start_is_still_accurate():
    t = time(0.5, 1.0, 1e-10, np.array([2.0, 2.5, 3.0]))
    np.testing.assert_allclose(strength(t, 1.0, 1e-10, np.array([2.0, 2.5, 3.0])), 0.5, rtol=1e-7)


@pytest.mark.slow
def test_two_spans_of_time_make_one():
    half = strength(0.3, S, START, DEPTHS)
    np.testing.assert_allclose(strength(0.7, S, half, DEPTHS), strength(1.0, S, START, DEPTHS), rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_closed_forms_agree_with_the_traced_depth_and_never_overflow(depth, dtype):
    t = np.array([0.0, 0.1, 1.0, 10.0, 1e4], dtype)
    for u0 in (1e-5, 0.5, 3.0):
        closed = mode_strength(t, s=dtype(2), u0=dtype(u0), depth=depth)
        assert closed.dtype == dtype
        assert np.isfinite(closed).all()
        np.testing.assert_allclose(closed[-1], 2, rtol=1e-6)
        tolerance = 3e-7 if dtype == np.float32 else 1e-10
        general = strength(t, dtype(2), dtype(u0), dtype(depth))
        np.testing.assert_allclose(closed, general, rtol=4 * tolerance, atol=tolerance)


def test_closed_forms_take_any_singular_value_and_start():
    np.testing.assert_allclose(mode_strength(2.0, s=0.0, u0=0.5, depth=2), 0.5 / (1 + 2 * 0.5 * 2.0))
    np.testing.assert_allclose(mode_strength(2.0, s=3.0, u0=0.0, depth=2), 0)
    np.testing.assert_allclose(mode_strength(1e4, s=-3.0, u0=0.5, depth=2), 0, atol=1e-15)
    np.testing.assert_allclose(mode_strength(0.5, s=-3.0, u0=-1.0, depth=1), -3 + 2 * np.exp(-0.5))
    slope = jax.grad(lambda s: mode_strength(2.0, s=s, u0=0.5, depth=2))
    step = (mode_strength(2.0, s=1e-5, u0=0.5, depth=2) - mode_strength(2.0, s=-1e-5, u0=0.5, depth=2)) / 2e-5
    np.testing.assert_allclose(slope(0.0), step, rtol=1e-8)


@pytest.mark.slow
def test_the_time_constant_scales_time():
    np.testing.assert_allclose(
        mode_strength(1.2, s=2.0, u0=0.01, depth=3.0, tau=4.0),
        mode_strength(0.3, s=2.0, u0=0.01, depth=3.0),
        rtol=1e-12,
    )
    np.testing.assert_allclose(mode_time(1.0, s=2.0, u0=0.01, depth=3.0, tau=4.0), 4 * time(1.0, 2.0, 0.01, 3.0))


def test_learning_lasts_forever_and_time_runs_backwards():
    assert np.isinf(mode_time(2.0, s=2.0, u0=0.1, depth=3.0))
    there = mode_time(0.5, s=2.0, u0=0.1, depth=3.0)
    np.testing.assert_allclose(mode_time(0.1, s=2.0, u0=0.5, depth=3.0), -there, rtol=1e-12)
    for t in (1e3, 1e30, np.inf):
        np.testing.assert_allclose(strength(t, S, START, DEPTHS), S, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [(2.0, 1.0, 0.01, 2.0), (3.0, 1.0, 0.01, 1.0), (0.0, 1.0, 0.01, 3.0), (5.0, 1.0, 0.01, 4.3), (3.0, 1.0, 1.7, 2.5)],
)
def test_derivatives_in_every_argument(point):
    got, forward = reverse_mode(*point), forward_mode(*point)
    np.testing.assert_allclose(got, forward, rtol=1e-12, atol=1e-14)
    for k in range(4):
        # Forward differences of third order, so that no argument leaves its range.
        h = 1e-4 * max(point[k], 0.01)
        values = [strength(*(x + n * h * (i == k) for i, x in enumerate(point))) for n in range(4)]
        slope = np.dot([-11, 18, -9, 2], values) / (6 * h)
        np.testing.assert_allclose(got[k], slope, rtol=2e-7, atol=1e-9)


def unbalanced_ode(t, s, a0, b0):
    solution = solve_ivp(
        lambda _, x: x[::-1] * (s - x[0] * x[1]), (0, t), [a0, b0], method="DOP853", rtol=1e-12, atol=1e-14
    )
    return np.prod(solution.y[:, -1])


UNBALANCED = [
    *zip(*np.random.default_rng(3).normal(size=(3, 12)), strict=True),
    (2.0, 0.3, 0.3),  # no imbalance
    (2.0, 0.3, -0.3),  # on its way to the saddle
    (2.0, 5.0, 0.01),  # imbalance of either sign
    (2.0, 0.01, 5.0),
    (0.0, 0.5, 0.5),
    (0.0, 0.5, 0.2),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 5e-6)])
def test_unbalanced_layers_solve_their_ode(dtype, tolerance):
    t = np.array([0.0, 0.2, 1.0, 4.0])
    s, a0, b0 = np.array(UNBALANCED).T[:, :, None]
    got = mode_strength_unbalanced(t.astype(dtype), s=s.astype(dtype), a0=a0.astype(dtype), b0=b0.astype(dtype))
    assert got.dtype == dtype
    expected = [[unbalanced_ode(t, *case) if t > 0 else case[1] * case[2] for t in t] for case in UNBALANCED]
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_unbalanced_layers_without_imbalance_are_the_balanced_mode_and_late_times_are_finite():
    t = np.array([0.0, 0.5, 2.0, 1e6])
    balanced = mode_strength(t, s=2.0, u0=0.01, depth=2)
    np.testing.assert_allclose(mode_strength_unbalanced(t, s=2.0, a0=0.1, b0=0.1), balanced, rtol=1e-12)
    np.testing.assert_allclose(mode_strength_unbalanced(t, s=2.0, a0=0.1, b0=0.1 + 1e-9), balanced, rtol=1e-6)
    np.testing.assert_allclose(mode_strength_unbalanced(1e6, s=2.0, a0=-3.0, b0=0.1), 2.0, rtol=1e-12)


def test_unbalanced_layers_obey_their_invariant_at_the_start_of_each_span():
    """A second property: u(t) follows du/dt = sqrt(lambda^2 + 4 u^2) (s - u), whatever the signs."""
    s, a0, b0, t = 1.3, 0.7, -0.2, 0.9
    u, slope = jax.value_and_grad(lambda t: mode_strength_unbalanced(t, s=s, a0=a0, b0=b0))(t)
    np.testing.assert_allclose(slope, np.sqrt((a0**2 - b0**2) ** 2 + 4 * u**2) * (s - u), rtol=1e-12)


@pytest.mark.parametrize(
    "point", [(1.0, 0.0, 0.5, 0.5), (1.0, 0.0, 0.5, -0.5), (2.0, 1.0, 0.5, 0.5), (1.0, -1.0, 0.7, 0.2)]
)
def test_unbalanced_derivatives(point):
    def f(t, s, a0, b0):
        return mode_strength_unbalanced(t, s=s, a0=a0, b0=b0)

    got = jax.jit(jax.grad(f, argnums=(0, 1, 2, 3)))(*point)
    h = 1e-5
    for k in range(4):
        up, down = (f(*(x + sign * h * (i == k) for i, x in enumerate(point))) for sign in (1, -1))
        np.testing.assert_allclose(got[k], (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


BAD = [
    (mode_strength, (-1.0,), {"s": 1.0, "u0": 0.1, "depth": 2.0}, "t must be zero or more, got -1.0"),
    (mode_strength, (1.0,), {"s": 0.0, "u0": 0.1, "depth": 2.0}, "s must be positive"),
    (mode_strength, (1.0,), {"s": 1.0, "u0": [0.1, 0.0], "depth": 3}, "u0 must be positive"),
    (mode_strength, (1.0,), {"s": 1.0, "u0": -0.1, "depth": 2}, "u0 must be zero or more"),
    (mode_strength, (1.0,), {"s": 1.0, "u0": 0.1, "depth": 0.5}, "depth must be 1 or more, got 0.5"),
    (mode_strength, (1.0,), {"s": 1.0, "u0": 0.1, "depth": 2, "tau": 0.0}, "tau must be positive"),
    (mode_time, (2.0,), {"s": 1.0, "u0": 0.1, "depth": 2.0}, "u must lie on the same side of s"),
    (mode_time, (0.5,), {"s": 1.0, "u0": 1.0, "depth": 2.0}, "u0 must not be s"),
    (mode_strength_unbalanced, (1.0,), {"s": np.nan, "a0": 0.1, "b0": 0.1}, "s must be finite"),
]


@pytest.mark.parametrize(("function", "arguments", "keywords", "message"), BAD)
def test_bad_input(function, arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments, **keywords)


def test_arguments_broadcast():
    got = mode_strength(np.ones((3, 1)), s=np.ones(2), u0=[0.1, 0.2], depth=2)
    assert got.shape == (3, 2)
    assert jnp.isscalar(float(mode_strength(1, s=1, u0=0.1, depth=3)))
