import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import linear
from tests.linear.references import pathway_ode

FREE = [1, 0]


@jax.jit
def curve(onset, duration, s, k0, depth):
    return linear.critical_period_curve(onset, duration=duration, s=s, k0=k0, depth=depth)


@jax.jit
def curve_large(onset, duration, s, p0, depth, imbalance):
    return linear.critical_period_curve_large(onset, duration=duration, s=s, p0=p0, depth=depth, imbalance=imbalance)


@jax.jit
def split(k0, s, clock, depth):
    return linear.final_split(k0, s=s, clock=clock, depth=depth)


@jax.jit
def split_large(p0, s, clock, depth, imbalance):
    return linear.final_split_large(p0, s=s, clock=clock, depth=depth, imbalance=imbalance)


@jax.jit
def window_clock(onset, duration, s, k0, depth):
    return linear.window_clock(onset, duration=duration, s=s, k0=k0, depth=depth)


@jax.jit
def window_clock_large(onset, duration, s, p0, depth, imbalance):
    return linear.window_clock_large(onset, duration=duration, s=s, p0=p0, depth=depth, imbalance=imbalance)


# --- numbers from elsewhere ---


@pytest.mark.slow
def test_curve_known_from_adaptive_integration():
    """s = 1, 0.01 in both pathways, a window of 1.5: final strength of the gated pathway, printed with four digits."""
    onset = np.array([0, 1, 2, 3, 4, 5, 6, 8])
    known = {
        2.0: [0.0574, 0.1123, 0.2999, 0.4570, 0.4937, 0.4991, 0.4999, 0.5000],
        4.0: [0.0637, 0.0652, 0.0689, 0.0824, 0.1559, 0.3809, 0.4897, 0.5000],
    }
    for depth, values in known.items():
        np.testing.assert_allclose(
            linear.critical_period_curve(onset, duration=1.5, s=1, k0=0.01, depth=depth), values, atol=5.1e-5
        )


@pytest.mark.slow
def test_early_damage_of_a_small_initialisation_is_not_monotone_in_depth():
    got = linear.critical_period_curve(0.0, duration=1.5, s=1.0, k0=0.01, depth=np.arange(2.0, 7))
    np.testing.assert_allclose(got, [0.0574, 0.0655, 0.0637, 0.0595, 0.0551], atol=5.1e-5)


@pytest.mark.slow
def test_zero_initialisation_under_exact_flow():
    """Large initialisation, s = 10, no initial strength, window [0, 0.015): clock and the free path's end."""
    depth = np.array([2.0, 5, 8, 13])
    clock = window_clock_large(0.0, 0.015, 10.0, 0.0, depth, 1.0)
    np.testing.assert_allclose(clock, [0.148872, 0.148846, 0.148819, 0.148769], atol=6e-7)
    np.testing.assert_allclose(
        split_large(0.0, 10.0, clock, depth, 1.0)[:, 0], [5.74268, 8.39830, 9.23627, 9.63156], atol=6e-6
    )


@pytest.mark.slow
def test_the_closing_of_the_window_sharpens_with_depth():
    """Onsets at which the damage is undone by 10, 50 and 90 %, s = 1, k0 = 0.01, duration 1.5, two digits."""
    onset = np.arange(0, 14, 0.01)
    for depth, sharpness in zip([2.0, 3, 4, 6, 8], [1.08, 0.57, 0.42, 0.30, 0.26], strict=True):
        values = np.asarray(curve(onset, 1.5, 1.0, 0.01, depth))
        healed = (values - values[0]) / (0.5 - values[0])
        t10, t50, t90 = np.interp([0.1, 0.5, 0.9], healed, onset)
        assert (t90 - t10) / t50 == pytest.approx(sharpness, abs=0.02)


# --- the ODE ---

RNG = np.random.default_rng(3)
N = 40
ONSET = RNG.uniform(0, 8, N) * (RNG.random(N) < 0.9)
DURATION = RNG.uniform(0, 3, N)
K0 = 0.01 * np.exp(RNG.normal(size=(N, 2)))
DEPTH = np.concatenate([RNG.uniform(1, 8, N - 8), np.arange(1.0, 9)])
P0 = RNG.normal(0, 0.05, (N, 2))
DEPTH_LARGE = np.concatenate([RNG.uniform(1, 13, N - 5), [1, 2, 5, 8, 13]])
IMBALANCE = np.exp(RNG.uniform(-1.5, 1, N))
BALANCED = (ONSET, DURATION, np.ones(N), K0, DEPTH)
LARGE = (ONSET / 30, DURATION / 60, np.full(N, 10.0), P0, DEPTH_LARGE, IMBALANCE)


@functools.cache
def reference(large):
    final = []
    for i in range(N):
        if large:
            p0, s, depth, imbalance, scale = P0[i], 10.0, DEPTH_LARGE[i], IMBALANCE[i], (1 / 30, 1 / 60)
        else:
            p0, s, depth, imbalance, scale = K0[i] ** (1 / DEPTH[i]), 1.0, DEPTH[i], 0.0, (1, 1)
        spans = [(ONSET[i] * scale[0], [1, 1]), (DURATION[i] * scale[1], FREE), (400 / s, [1, 1])]
        final.append(pathway_ode(p0, spans, s=s, depth=depth, imbalance=imbalance)[1])
    final = np.array(final)
    np.testing.assert_allclose(final.sum(1), s, rtol=1e-10)  # the reference itself has arrived
    return final[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-5)])
@pytest.mark.parametrize("large", [False, True])
def test_the_curve_is_where_the_ode_ends_at_any_real_depth(large, dtype, tolerance):
    function, arguments = (curve_large, LARGE) if large else (curve, BALANCED)
    got = function(*(x.astype(dtype) for x in arguments))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, reference(large), rtol=0, atol=tolerance * arguments[2][0])


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_the_clock_of_the_window_decides(large):
    """The curve and the split through the window's clock are one law, whatever happened before the window."""
    if large:
        both = split_large(P0, 10.0, window_clock_large(*LARGE), DEPTH_LARGE, IMBALANCE)
        np.testing.assert_allclose(both[:, 1], curve_large(*LARGE), rtol=0, atol=1e-8)
    else:
        both = split(K0, 1.0, window_clock(*BALANCED), DEPTH)
        np.testing.assert_allclose(both[:, 1], curve(*BALANCED), rtol=0, atol=1e-9)
    np.testing.assert_allclose(both.sum(1), 10.0 if large else 1.0, rtol=1e-12)


# --- identities ---


def test_the_split_solves_its_equations():
    clock = RNG.uniform(-2, 2, N)
    for depth in (1.0, 1.5, 2.0, 2.0 + 1e-9, 3.0, 6.5):
        k = np.asarray(split(K0, 1.0, clock, depth))
        p, p0 = k ** (1 / depth), K0 ** (1 / depth)

        def phase(p, e=2 - depth):
            return np.log(p) if abs(e) < 1e-6 else (p**e - 1) / e

        np.testing.assert_allclose(k.sum(1), 1, rtol=1e-12)
        gap = phase(p[:, 0]) - phase(p[:, 1]) - (phase(p0[:, 0]) - phase(p0[:, 1]))
        possible = k.min(1) > K0.min(1) if depth < 2 else np.ones(N, bool)
        np.testing.assert_allclose(gap[possible], clock[possible], rtol=1e-6, atol=1e-6)
        assert possible.sum() > 5


def test_depth_two_in_closed_form():
    clock = np.linspace(-3, 3, 13)
    got = split(K0[:1], 1.0, clock, 2.0)
    expected = 1 / (1 + K0[0, 0] / K0[0, 1] * np.exp(2 * clock))
    np.testing.assert_allclose(got[:, 1], expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("depth", "primitive"),
    [
        pytest.param(2.0, np.arcsinh, marks=pytest.mark.slow),
        (3.0, np.arctan),
        pytest.param(4.0, lambda p: p / np.sqrt(1 + p**2), marks=pytest.mark.slow),
        pytest.param(5.0, lambda p: (p / (1 + p**2) + np.arctan(p)) / 2, marks=pytest.mark.slow),
    ],
)
def test_large_initialisation_against_closed_forms_of_the_clock(depth, primitive):
    clock = np.linspace(-0.1, 0.1, N)
    k = split_large(P0, 10.0, clock, depth, 1.0)
    p = linear.small_layer(k, depth=depth, imbalance=1.0)
    gap = np.diff(primitive(np.asarray(P0)) - primitive(np.asarray(p)))[:, 0]
    np.testing.assert_allclose(gap, clock, atol=1e-9)
    np.testing.assert_allclose(k.sum(1), 10, rtol=1e-11)


def test_depth_one_is_flat():
    """A linear pathway has no critical period beyond what it missed: the outcome is linear in the clock."""
    clock = np.array([0.0, 0.1, 0.4])
    np.testing.assert_allclose(
        split(0.01, 1.0, clock, 1.0), np.stack([0.5 + clock / 2, 0.5 - clock / 2], 1), rtol=1e-11
    )


@pytest.mark.slow
def test_pathways_may_be_swapped():
    clock = RNG.uniform(-1, 1, N)
    np.testing.assert_allclose(
        split(K0, 1.0, clock, DEPTH), split(K0[:, ::-1], 1.0, -clock, DEPTH)[:, ::-1], rtol=0, atol=1e-10
    )
    there, back = (
        split_large(P0, 10.0, clock / 10, DEPTH_LARGE, 1.0),
        split_large(P0[:, ::-1], 10.0, -clock / 10, DEPTH_LARGE, 1.0),
    )
    np.testing.assert_allclose(there, back[:, ::-1], rtol=0, atol=1e-8)


@pytest.mark.slow
def test_strength_and_time_scale_together():
    k = 3.7
    time = k ** -(2 - 2 / DEPTH)
    scaled = curve(ONSET * time, DURATION * time, k, k * K0, DEPTH)
    np.testing.assert_allclose(scaled, k * curve(*BALANCED), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_equal_pathways_without_a_window_end_equal_in_both_precisions():
    """Up to rounding, which the race amplifies by the derivative of the outcome in a pathway's start, p0^(2 - D)."""
    k0, depth = 1e-4, np.array([1.0, 2, 2.5, 4, 9])
    amplified = np.maximum(1, k0 ** (2 / depth - 1))
    for dtype in (np.float32, np.float64):
        for onset in (0.0, 3.0, 100.0):
            got = curve(dtype(onset), dtype(0), dtype(1), dtype(k0), depth.astype(dtype))
            assert (np.abs(np.asarray(got) - 0.5) <= 10 * np.finfo(dtype).eps * amplified).all()


@pytest.mark.slow
def test_a_later_window_leaves_more_and_a_very_late_one_everything():
    onset = np.linspace(0, 30, 200)
    for depth in (2.0, 3.0, 6.0):
        values = np.asarray(curve(onset, 1.5, 1.0, 0.01, depth))
        assert np.all(np.diff(values) > -1e-10)
        assert abs(values[-1] - 0.5) < 1e-9
    np.testing.assert_allclose(curve(np.inf, 1.5, 1.0, 0.01, 3.0), 0.5, rtol=1e-9)
    np.testing.assert_allclose(curve_large(np.inf, 1.5, 1.0, 0.01, 3.0, 1.0), 0.5, rtol=1e-9)


@pytest.mark.slow
def test_an_endless_window_leaves_the_initial_strength():
    np.testing.assert_allclose(curve(0.0, np.inf, 1.0, 0.01, np.array([2.0, 3.0, 5.0])), 0.01, rtol=1e-9)


@pytest.mark.slow
def test_depth_two_is_not_special():
    near = curve(1.0, 1.5, 1.0, 0.01, 2.0 + np.array([-1e-6, -1e-9, 0, 1e-9, 1e-6]))
    slope = jax.grad(curve, argnums=4)(1.0, 1.5, 1.0, 0.01, 2.0)
    np.testing.assert_allclose(near, near[2] + slope * np.array([-1e-6, -1e-9, 0, 1e-9, 1e-6]), rtol=0, atol=1e-11)


# --- derivatives ---


def forward_difference(function, point, k):
    """Third order and one-sided, so that no argument leaves its range."""
    h = 2e-4 * max(point[k], 0.05)
    values = [function(*(x + n * h * (i == k) for i, x in enumerate(point))) for n in range(4)]
    return np.dot([-11, 18, -9, 2], np.asarray(values)) / (6 * h)


slopes = jax.jit(jax.grad(curve, argnums=(0, 1, 2, 3, 4)))
slopes_forward = jax.jit(jax.jacfwd(curve, argnums=(0, 1, 2, 3, 4)))
slopes_large = jax.jit(jax.grad(curve_large, argnums=(0, 1, 2, 3, 4, 5)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        (2.0, 1.0, 1.0, 0.01, 3.0),
        (0.0, 1.0, 1.0, 0.01, 3.0),
        (1.0, 0.0, 1.0, 0.01, 3.0),
        (0.0, 0.0, 1.0, 0.01, 2.0),
        (0.0, 0.5, 1.0, 0.01, 1.0),
        (1.5, 1.5, 1.0, 0.01, 2.0),
        (20.0, 1.0, 1.0, 0.01, 4.0),
    ],
)
def test_derivatives_of_the_curve(point):
    got = slopes(*point)
    np.testing.assert_allclose(got, slopes_forward(*point), rtol=1e-9, atol=1e-12)
    assert np.isfinite(got).all()
    for k in range(5):
        np.testing.assert_allclose(got[k], forward_difference(curve, point, k), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [(0.03, 0.02, 10.0, 0.01, 5.0, 1.0), (0.0, 0.0, 10.0, 0.01, 2.0, 0.7), (0.0, 0.02, 10.0, -0.02, 7.5, 1.3)]
)
def test_derivatives_for_large_initialisation(point):
    got = slopes_large(*point)
    assert np.isfinite(got).all()
    for k in range(6):
        h = 1e-5
        if point[k] == 0:
            expected = forward_difference(curve_large, point, k)
        else:
            up, down = (curve_large(*(x + sign * h * (i == k) for i, x in enumerate(point))) for sign in (1, -1))
            expected = (up - down) / (2 * h)
        np.testing.assert_allclose(got[k], expected, rtol=2e-6, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_in_each_pathway_are_finite_everywhere(dtype):
    arguments = [x[::4].astype(dtype) for x in BALANCED]
    got = jax.vmap(jax.grad(curve, argnums=(0, 1, 2, 3, 4)))(*arguments)
    assert all(np.isfinite(g).all() for g in got)
    h = 1e-6
    if dtype is np.float64:
        for b in range(2):
            step = h * arguments[3][:, b : b + 1] * (np.arange(2) == b)
            up, down = (curve(*arguments[:3], arguments[3] + sign * step, arguments[4]) for sign in (1, -1))
            np.testing.assert_allclose(got[3][:, b], (up - down) / (2 * step[:, b]), rtol=1e-4, atol=1e-3)


# --- use ---


@pytest.mark.slow
def test_shapes_of_the_results():
    assert linear.critical_period_curve(0, duration=1, s=1, k0=0.01, depth=3).shape == ()
    onset, k0 = np.zeros((4, 1)), np.full((3, 2), 0.01)
    assert curve(onset, 1.0, 1.0, k0, 3.0).shape == (4, 3)
    assert split(k0, 1.0, onset, 3.0).shape == (4, 3, 2)
    assert linear.final_split([0.01, 0.02], s=1, clock=0, depth=2).shape == (2,)


@pytest.mark.slow
def test_numpy_numbers_decide_the_dtype_and_python_numbers_follow():
    assert curve(np.float32(0), 1.0, 1.0, np.float32(0.01), 3.0).dtype == jnp.float32
    assert (
        linear.critical_period_curve(0, duration=np.float32(1), s=1, k0=np.float32(0.01), depth=3).dtype == jnp.float32
    )


@pytest.mark.slow
def test_too_much_strength_gives_nan_where_it_cannot_be_refused():
    assert np.isnan(curve(0.0, 1.0, 1.0, np.array([0.6, 0.6]), 3.0))
    assert np.isfinite(curve(0.0, 1.0, 1.0, np.array([0.5, 0.5]), 3.0))


BAD = [
    (linear.critical_period_curve, (-1.0,), {}, "onset must be zero or more, got -1.0"),
    (linear.critical_period_curve, (0.0,), {"duration": -0.5}, "duration must be zero or more"),
    (linear.critical_period_curve, (0.0,), {"k0": 0.0}, "k0 must be positive and finite, got 0.0"),
    (linear.critical_period_curve, (0.0,), {"k0": [0.1, -0.1]}, "k0 must be positive and finite, got -0.1"),
    (
        linear.critical_period_curve,
        (0.0,),
        {"k0": [0.1, 0.1, 0.1]},
        r"axis of length 2 \(free, gated\), got shape \(3,\)",
    ),
    (linear.critical_period_curve, (0.0,), {"k0": 0.6}, "k0 must not sum to more than s"),
    (linear.critical_period_curve, (0.0,), {"depth": 0}, "depth must be 1 or more"),
    (linear.critical_period_curve, (0.0,), {"s": 0.0}, "s must be positive"),
    (linear.critical_period_curve_large, (0.0,), {"imbalance": 0.0}, "imbalance must be positive"),
    (linear.critical_period_curve_large, (0.0,), {"p0": 2.0}, "p0 must not give strengths that sum to more than s"),
    (linear.window_clock, (np.nan,), {}, "onset must be zero or more, got nan"),
]


@pytest.mark.parametrize(("function", "arguments", "keywords", "message"), BAD)
def test_bad_input_is_refused_in_one_line(function, arguments, keywords, message):
    given = {"duration": 1.0, "s": 1.0, "depth": 3.0}
    given |= {"p0": 0.01, "imbalance": 1.0} if function is linear.critical_period_curve_large else {"k0": 0.01}
    with pytest.raises(ValueError, match=message) as caught:
        function(*arguments, **(given | keywords))
    assert "\n" not in str(caught.value)


def test_bad_clock():
    with pytest.raises(ValueError, match="clock must be finite"):
        linear.final_split(0.01, s=1.0, clock=np.inf, depth=2.0)
