"""The two-layer solution against the layers' own differential equation, the Riccati equation, and single modes."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from brainjax.linear import (
    balance_differences,
    balanced_pair,
    gaussian_layers,
    mode_strength,
    mode_strength_unbalanced,
    random_balanced_pair,
    relative_scale,
    two_layer_flow,
    two_layer_switches,
    two_layer_tangent_kernel,
)
from brainjax.linear._balanced import orthonormal
from brainjax.sweep.program import lapack_calls

# sizes (in, hidden, out), relative scale, rank of the task
CASES = {
    "square": ((4, 4, 4), 0.7, 4),
    "square, negative scale": ((4, 4, 4), -2.0, 4),
    "more inputs": ((5, 3, 3), -1.5, 3),
    "more inputs, positive": ((5, 3, 3), 1.0, 3),
    "more outputs": ((3, 3, 5), 5.0, 3),
    "bottleneck": ((4, 2, 5), 0.5, 4),
    "bottleneck, no scale": ((4, 2, 5), 0.0, 4),
    "wide": ((3, 7, 4), 0.0, 3),
    "wide, as many as outputs": ((3, 4, 4), 1.0, 3),
    "low rank": ((5, 4, 4), 0.3, 2),
    "low rank, no scale": ((5, 4, 4), 0.0, 1),
    "one hidden unit": ((3, 1, 2), -0.4, 2),
}


def task(sizes, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((sizes[2], rank)) @ rng.standard_normal((rank, sizes[0])) / rank


def start(sizes, scale, seed=0):
    """Balanced weights with random directions, in NumPy: nothing to compile."""
    rng = np.random.default_rng(seed + 100)
    inputs, hidden, outputs = sizes
    modes = min(sizes)
    s = np.zeros(hidden)
    s[:modes] = np.linspace(0.02, 0.3, modes)
    left, right, turn = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (outputs, inputs, hidden))
    left, right = (np.pad(x, ((0, 0), (0, max(hidden - len(x), 0))))[:, :hidden] for x in (left, right))
    root = np.sqrt(scale**2 + 4 * s**2)
    return turn @ (np.sqrt((root - scale) / 2)[:, None] * right.T), (left * np.sqrt((root + scale) / 2)) @ turn.T


def gram(first, second):
    q = np.concatenate([np.asarray(first).T, second])
    return q @ q.T


def layer_flow(layers, times, yx):
    """The layers at increasing times, by integrating gradient flow of the layers themselves; no JAX."""
    first, second = (np.asarray(w) for w in layers)

    def split(state):
        return state[: first.size].reshape(first.shape), state[first.size :].reshape(second.shape)

    def field(_, state):
        w1, w2 = split(state)
        error = yx - w2 @ w1
        return np.concatenate([(w2.T @ error).ravel(), (error @ w1.T).ravel()])

    begin = np.concatenate([first.ravel(), second.ravel()])
    if times[-1] == 0:
        return [(first, second)] * len(times)
    once, places = np.unique(times, return_inverse=True)
    found = solve_ivp(field, (0, times[-1]), begin, "DOP853", t_eval=once, rtol=1e-12, atol=1e-14)
    return [split(state) for state in found.y.T[places]]


def grams(path):
    return np.stack([gram(*layers) for layers in path])


@pytest.mark.parametrize("case", CASES)
def test_the_solution_is_gradient_flow_of_the_layers(case):
    sizes, scale, rank = CASES[case]
    first, second = start(sizes, scale)
    yx = task(sizes, rank)
    times = np.array([0.0, 0.1, 0.7, 2.0, 2.0, 6.0])
    expected = grams(layer_flow((first, second), times, yx))
    assert np.abs(expected[-1] - expected[0]).max() > 0.3, "nothing was learned: the comparison has no power"
    found = two_layer_flow(times, first=first, second=second, sigma_yx=yx)
    np.testing.assert_allclose(found.gram, expected, atol=1e-10)
    np.testing.assert_allclose(found.gram[0], gram(first, second), atol=1e-14)
    inputs = sizes[0]
    np.testing.assert_allclose(found.input_gram, expected[:, :inputs, :inputs], atol=1e-8)
    np.testing.assert_allclose(found.linear_map, expected[:, inputs:, :inputs], atol=1e-8)
    np.testing.assert_allclose(found.output_gram, expected[:, inputs:, inputs:], atol=1e-8)


@pytest.mark.parametrize("case", ["square", "more inputs", "bottleneck", "wide", "low rank, no scale"])
def test_the_solution_satisfies_the_riccati_equation(case):
    sizes, scale, rank = CASES[case]
    first, second = start(sizes, scale, 1)
    yx = jnp.asarray(task(sizes, rank))
    signs = np.concatenate([-np.ones(sizes[0]), np.ones(sizes[2])])
    f = np.block([[np.zeros((sizes[0],) * 2), yx.T], [yx, np.zeros((sizes[2],) * 2)]]) + scale / 2 * np.diag(signs)

    def state(t):
        return two_layer_flow(t, first=first, second=second, sigma_yx=yx, substeps=8).gram

    for t in (0.0, 0.4, 1.5, 5.0):
        p, rate = jax.jvp(state, (jnp.asarray(t),), (jnp.asarray(1.0),))
        np.testing.assert_allclose(rate, f @ p + p @ f - p @ p, atol=1e-10)


@pytest.mark.slow
def test_restarting_anywhere_continues_the_same_solution():
    sizes, scale, rank = CASES["bottleneck"]
    first, second = start(sizes, scale)
    yx = task(sizes, rank)
    middle = two_layer_flow(1.3, first=first, second=second, sigma_yx=yx)
    twice = two_layer_flow(2.1, first=middle.first, second=middle.second, sigma_yx=yx)
    once = two_layer_flow(3.4, first=first, second=second, sigma_yx=yx)
    np.testing.assert_allclose(twice.gram, once.gram, atol=1e-12)
    finer = two_layer_flow(3.4, first=first, second=second, sigma_yx=yx, substeps=50)
    np.testing.assert_allclose(finer.gram, once.gram, atol=1e-12)
    slower = two_layer_flow(6.8, first=first, second=second, sigma_yx=yx, tau=2.0)
    np.testing.assert_allclose(slower.gram, once.gram, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0, -3.0])
def test_the_end_of_learning(scale):
    """The whole task is learned, and its singular values are shared between the layers as their scale demands."""
    first, second = start((4, 4, 4), scale)
    u, _, vt = np.linalg.svd(task((4, 4, 4), 4))
    s = np.array([2.0, 1.0, 0.7, 0.5])
    u[:, 3] *= np.sign(np.linalg.det(u @ vt) * np.linalg.det(second @ first))
    yx = (u * s) @ vt
    end = two_layer_flow(100.0, first=first, second=second, sigma_yx=yx)
    root = np.sqrt(scale**2 + 4 * s**2)
    np.testing.assert_allclose(end.linear_map, yx, atol=1e-9)
    np.testing.assert_allclose(end.input_gram, vt.T * ((root - scale) / 2) @ vt, atol=1e-9)
    np.testing.assert_allclose(end.output_gram, u * ((root + scale) / 2) @ u.T, atol=1e-9)
    difference = balance_differences([end.first, end.second])[0]
    np.testing.assert_allclose(difference, scale * np.eye(4), atol=1e-11)


def test_a_balanced_square_network_cannot_change_the_sign_of_its_determinant():
    """At scale zero a map of the wrong orientation never learns the weakest mode; any other scale can."""
    u, _, vt = np.linalg.svd(task((4, 4, 4), 4))
    s = np.array([2.0, 1.0, 0.8, 0.1])
    first, second = start((4, 4, 4), 0.0)
    u[:, 3] *= -np.sign(np.linalg.det(u @ vt) * np.linalg.det(second @ first))
    yx = (u * s) @ vt
    stuck = two_layer_flow(60.0, first=first, second=second, sigma_yx=yx).linear_map
    np.testing.assert_allclose(stuck, (u * (s * [1, 1, 1, 0])) @ vt, atol=1e-6)
    first, second = start((4, 4, 4), 0.5)
    np.testing.assert_allclose(two_layer_flow(60.0, first=first, second=second, sigma_yx=yx).linear_map, yx, atol=1e-9)


def test_a_bottleneck_learns_the_strongest_modes():
    sizes, scale, rank = CASES["bottleneck"]
    first, second = start(sizes, scale)
    yx = task(sizes, rank)
    u, s, vt = np.linalg.svd(yx)
    end = two_layer_flow(2000.0, first=first, second=second, sigma_yx=yx)
    np.testing.assert_allclose(end.linear_map, (u[:, :2] * s[:2]) @ vt[:2], atol=1e-8)


def test_single_modes_follow_the_laws_of_single_modes():
    s, u0 = np.array([2.0, 1.2, 0.5]), np.array([0.01, 0.1, 0.7])
    left, right = (np.linalg.qr(np.random.default_rng(n).standard_normal((4, 3)))[0] for n in (0, 1))
    times = np.linspace(0, 9, 7)
    for scale in (0.0, 0.9, -4.0):
        first, second = balanced_pair(u0, left=left, right=right, relative_scale=scale)
        found = two_layer_flow(times, first=first, second=second, sigma_yx=(left * s) @ right.T)
        modes = np.einsum("oi,top,pi->ti", left, found.linear_map, right)
        a0, b0 = (np.linalg.norm(x, axis=axis) for x, axis in ((first, 1), (second, 0)))
        expected = mode_strength_unbalanced(times[:, None], s=s[None], a0=a0[None], b0=b0[None])
        np.testing.assert_allclose(modes, expected, atol=1e-11)
        if scale == 0:
            rich = mode_strength(times[:, None], s=s[None], u0=u0[None], depth=2)
            np.testing.assert_allclose(modes, rich, atol=1e-11)


def test_the_rate_of_relaxation():
    """Near the end the map relaxes at twice the eigenvalue of F, 2 sqrt(s^2 + scale^2 / 4)."""
    for scale in (0.0, 1.0, -3.0):
        first, second = balanced_pair([0.5], left=[[1.0]], right=[[1.0]], relative_scale=scale)
        expected = 2 * math.sqrt(0.8**2 + scale**2 / 4)
        times = np.array([12.0, 13.0]) / expected
        left_over = 0.8 - two_layer_flow(times, first=first, second=second, sigma_yx=[[0.8]]).linear_map[:, 0, 0]
        np.testing.assert_allclose(math.log(left_over[0] / left_over[1]), 1, rtol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_scale_is_the_lazy_limit(sign):
    """The map goes to the task exponentially at rate |scale|, from anywhere; the error falls as 1 / scale^2."""
    yx = task((4, 4, 4), 4)
    left_over = []
    for scale in (30.0, 60.0, 120.0):
        first, second = start((4, 4, 4), sign * scale)
        times = np.array([0.5, 1.0, 2.0]) / scale
        found = two_layer_flow(times, first=first, second=second, sigma_yx=yx).linear_map
        lazy = yx + np.asarray(second @ first - yx) * np.exp(-scale * times)[:, None, None]
        left_over.append(float(jnp.max(jnp.abs(found - lazy))))
    np.testing.assert_allclose(np.divide(left_over[:-1], left_over[1:]), 4, rtol=0.15)
    assert left_over[-1] < 1e-3


@pytest.mark.slow
def test_a_scale_of_zero_is_reached_continuously_from_both_sides():
    yx = task((4, 4, 4), 3)

    @jax.jit
    def learned(scale):
        first, second = random_balanced_pair(jax.random.key(0), (4, 4, 4), strengths=0.2, relative_scale=scale)
        return two_layer_flow(1.5, first=first, second=second, sigma_yx=yx, substeps=8).gram

    middle = learned(jnp.asarray(0.0))
    for scale in (1e-6, -1e-6):
        np.testing.assert_allclose(learned(scale), middle, atol=2e-5)
    slope = jax.jacfwd(learned)(jnp.asarray(0.0))
    np.testing.assert_allclose(slope, (learned(1e-5) - learned(-1e-5)) / 2e-5, atol=1e-6)


@pytest.mark.slow
def test_derivatives_in_everything_also_where_singular_values_are_equal_or_zero():
    sizes = (3, 2, 3)
    yx = jnp.diag(jnp.array([1.0, 1.0, 0.0]))
    rng = np.random.default_rng(0)
    directions = (1.0, 1.0, rng.standard_normal(yx.shape), 1.0)

    @jax.jit
    def outcome(t, scale, yx, size):
        strengths = size * jnp.array([0.2, 0.2])
        first, second = random_balanced_pair(jax.random.key(0), sizes, strengths=strengths, relative_scale=scale)
        state = two_layer_flow(t, first=first, second=second, sigma_yx=yx, substeps=4)
        return jnp.sum(jnp.sin(state.gram))

    reverse, step = jax.jit(jax.grad(outcome, (0, 1, 2, 3))), 1e-5
    forward = jax.jit(lambda at, along: jax.jvp(outcome, at, along)[1])
    for scale in (0.0, 0.4):
        at = (jnp.asarray(1.2), jnp.asarray(scale), yx, jnp.asarray(1.0))
        back = reverse(*at)
        for number, direction in enumerate(directions):
            along = tuple(jnp.asarray(direction) if i == number else jnp.zeros_like(x) for i, x in enumerate(at))
            ends = (outcome(*(x + sign * step * d for x, d in zip(at, along, strict=True))) for sign in (1, -1))
            expected = np.subtract(*ends) / (2 * step)
            np.testing.assert_allclose(jnp.sum(back[number] * direction), expected, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(forward(at, along), expected, rtol=1e-6, atol=1e-8)
    assert bool(jnp.isfinite(reverse(jnp.asarray(0.0), *at[1:])[0]))


@pytest.mark.slow
def test_nothing_at_all_to_learn_from_is_harmless():
    """No task, no scale, weights of zero: every function of F is then taken at zero."""
    zero = jnp.zeros((2, 2))

    def outcome(x):
        return jnp.sum(two_layer_flow(x, first=zero + x, second=zero + x, sigma_yx=zero, substeps=1).gram)

    value, slope = jax.jit(jax.value_and_grad(outcome))(0.0)
    assert float(value) == 0
    assert bool(jnp.isfinite(slope))


@pytest.mark.parametrize(
    "case",
    ["square", "bottleneck", *(pytest.param(x, marks=pytest.mark.slow) for x in ("more inputs", "wide", "low rank"))],
)
def test_float32_stays_accurate_up_to_late_times(case):
    sizes, scale, rank = CASES[case]
    first, second = start(sizes, scale)
    yx = task(sizes, rank)
    times = np.concatenate([np.linspace(0, 20, 21), np.linspace(40, 200, 5)])
    single = [jnp.asarray(x, jnp.float32) for x in (times, first, second, yx)]
    double = [jnp.asarray(np.asarray(x), jnp.float64) for x in single]  # the same numbers

    def solve(t, first, second, yx):
        return two_layer_flow(t, first=first, second=second, sigma_yx=yx, tolerance=1e-5)

    found, exact = solve(*single), solve(*double)
    assert found.first.dtype == jnp.float32
    error = np.abs(np.asarray(found.gram) - np.asarray(exact.gram)).max((1, 2)) / np.abs(exact.gram).max()
    assert error.max() < 5e-6


def test_the_naive_form_fails_where_this_one_does_not():
    """Why there are substeps: e^(Ft) as it stands has no digits left in float32."""
    sizes, scale, rank = CASES["square"]
    q0, yx = (
        np.asarray(x, np.float32)
        for x in (np.concatenate([start(sizes, scale)[0].T, start(sizes, scale)[1]]), task(sizes, rank))
    )
    half = np.float32(scale / 2) * np.eye(4, dtype=np.float32)
    values, vectors = np.linalg.eigh(np.block([[-half, yx.T], [yx, half]]))
    t = np.float32(25.0)
    grown = (vectors * np.exp(values * t)) @ vectors.T @ q0
    middle = np.eye(4, dtype=np.float32) + q0.T @ (vectors * (np.expm1(2 * values * t) / (2 * values))) @ vectors.T @ q0
    naive = grown @ np.linalg.solve(middle, grown.T)
    ours = two_layer_flow(t, first=q0[:4].T, second=q0[4:], sigma_yx=yx, tolerance=1e-5).gram
    exact = two_layer_flow(
        float(t), first=start(sizes, scale)[0], second=start(sizes, scale)[1], sigma_yx=task(sizes, rank)
    ).gram
    assert not np.abs(naive - np.asarray(exact)).max() < 0.1
    assert np.abs(np.asarray(ours) - np.asarray(exact)).max() < 1e-5


@pytest.mark.slow
def test_tasks_one_after_another():
    sizes = (4, 3, 5)
    first, second = start(sizes, 0.4)
    tasks, spans = np.stack([task(sizes, 3, seed) for seed in (0, 1, 2)]), np.array([1.5, 0.0, 2.5])
    time, states = two_layer_switches(first=first, second=second, sigma_yx=tasks, durations=spans, records=5)
    assert time.shape == (3, 6)
    np.testing.assert_allclose(time[:, -1], [1.5, 1.5, 4.0])
    np.testing.assert_allclose(time[:, 0], [0.0, 1.5, 1.5])
    layers = (first, second)
    for number in range(3):
        since = np.linspace(0, spans[number], 6)
        path = layer_flow(layers, since, tasks[number])
        np.testing.assert_allclose(states.gram[number], grams(path), atol=1e-10)
        layers = path[-1]
    jitted = jax.jit(functools.partial(two_layer_switches, records=5, substeps=6))
    again = jitted(first=first, second=second, sigma_yx=tasks, durations=spans)[1]
    np.testing.assert_allclose(again.gram, states.gram, atol=1e-11)


def test_the_tangent_kernel_is_that_of_automatic_differentiation():
    sizes = (4, 3, 2)
    first, second = start(sizes, 0.0)
    x = np.random.default_rng(0).standard_normal((4, 5))
    state = two_layer_flow([0.0, 2.0], first=first, second=second, sigma_yx=task(sizes, 2))
    kernels = two_layer_tangent_kernel(state, x)
    assert kernels.shape == (2, 10, 10)
    for number in range(2):
        jacobians = jax.jacobian(lambda w1, w2: w2 @ w1 @ x, (0, 1))(state.first[number], state.second[number])
        flat = np.concatenate([np.reshape(j, (10, -1)) for j in jacobians], axis=1)
        np.testing.assert_allclose(kernels[number], flat @ flat.T, atol=1e-12)


@pytest.mark.slow
def test_many_networks_at_once_without_lapack():
    sizes = (4, 3, 4)
    yx = task(sizes, 4)

    def one(key, scale):
        first, second = random_balanced_pair(key, sizes, strengths=0.1, relative_scale=scale)
        return two_layer_flow([0.5, 3.0], first=first, second=second, sigma_yx=yx, substeps=4).gram

    keys, scales = jax.random.split(jax.random.key(0), 5), jnp.linspace(-1, 1, 5)
    together = jax.jit(jax.vmap(one))
    for i in (0, 2, 4):
        np.testing.assert_allclose(together(keys, scales)[i], one(keys[i], scales[i]), atol=1e-12)
    assert lapack_calls(together.lower(keys, scales).compile().as_text()) == []


def test_too_few_substeps_for_traced_values_give_nan_not_a_wrong_answer():
    first, second = start((3, 3, 3), 0.5)
    yx = task((3, 3, 3), 3)
    run = jax.jit(lambda t: two_layer_flow(t, first=first, second=second, sigma_yx=yx, substeps=2).gram)
    assert bool(jnp.all(jnp.isfinite(run(1.0))))
    assert bool(jnp.all(jnp.isnan(run(100.0))))


@pytest.mark.slow
def test_random_pairs_have_the_map_and_the_scale_they_were_asked_for():
    sizes, strengths = (5, 3, 4), np.array([0.1, 0.5, 2.0])
    keys = jax.random.split(jax.random.key(0), 400)
    draw = jax.jit(
        jax.vmap(
            lambda key, scale: random_balanced_pair(key, sizes, strengths=strengths, relative_scale=scale), (0, None)
        )
    )
    for scale in (0.0, 1.0, -2.0):
        first, second = draw(keys, scale)
        found = np.linalg.svd(second[0] @ first[0], compute_uv=False)
        np.testing.assert_allclose(found[:3], strengths[::-1], atol=1e-13)
        difference = balance_differences([first[0], second[0]])[0]
        np.testing.assert_allclose(difference, scale * np.eye(3), atol=1e-13)
        np.testing.assert_allclose(relative_scale(first[0], second[0]), scale, atol=1e-13)
        # uniform directions: any entry of the map has mean 0 and variance sum(s^2) / (in out)
        entries = np.asarray(second @ first)[:, 1, 2]
        variance = np.sum(strengths**2) / 20
        assert abs(entries.mean()) < 4 * np.sqrt(variance / 400)
        assert abs(np.mean(entries**2) / variance - 1) < 4 * np.sqrt(2 / 400)


def test_orthonormal_columns_in_float32():
    drawn = jax.random.normal(jax.random.key(3), (200, 8, 8), jnp.float32)
    basis = jax.vmap(orthonormal)(drawn)
    products = jnp.swapaxes(basis, -1, -2) @ basis
    assert float(jnp.max(jnp.abs(products - jnp.eye(8, dtype=jnp.float32)[None]))) < 2e-6
    expected = np.linalg.qr(np.asarray(drawn[0], float))[0]
    expected = expected * np.sign(np.sum(expected * np.asarray(basis[0]), axis=0))[None]
    np.testing.assert_allclose(basis[0], expected, atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 3.0, -3.0, 1e4, -1e4])
def test_balanced_pairs_are_exact_in_relative_terms(scale):
    strengths = np.array([1e-3, 2.0])
    first, second = balanced_pair(strengths, left=np.eye(2), right=np.eye(2), relative_scale=scale)
    np.testing.assert_allclose(np.diag(second @ first), strengths, rtol=1e-14)
    large = 1 if scale >= 0 else 0
    squares = [np.diag(first) ** 2, np.diag(second) ** 2]
    np.testing.assert_allclose(squares[large], (np.hypot(scale, 2 * strengths) + abs(scale)) / 2, rtol=1e-14)


@pytest.mark.slow
def test_which_scales_are_possible():
    s = np.array([0.3, 0.2])

    def pair(inputs, outputs, width, scale):
        sizes = (inputs, width, outputs)
        strengths = s[: min(sizes)]
        layers = random_balanced_pair(jax.random.key(0), sizes, strengths=strengths, relative_scale=scale)
        difference = balance_differences(layers)[0]
        np.testing.assert_allclose(difference, scale * np.eye(width), atol=1e-14)

    pair(2, 4, 4, 1.0)
    pair(4, 2, 4, -1.0)
    pair(2, 2, 2, 1.0)
    pair(2, 2, 2, -1.0)
    pair(2, 2, 5, 0.0)
    for inputs, outputs, width, scale in ((4, 2, 4, 1.0), (2, 4, 4, -1.0), (2, 2, 3, 0.1), (2, 2, 3, -0.1)):
        with pytest.raises(ValueError, match="relative_scale must be zero or") as error:
            pair(inputs, outputs, width, scale)
        assert "\n" not in str(error.value)
    traced = jax.jit(
        lambda scale: random_balanced_pair(jax.random.key(0), (2, 3, 2), strengths=0.1, relative_scale=scale)
    )
    assert all(bool(jnp.all(jnp.isnan(x))) for x in traced(0.5))
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in traced(0.0))


def test_unbalanced_weights_are_refused_and_the_law_would_be_wrong():
    first, second = gaussian_layers(jax.random.key(0), (3, 3, 3), scale=1.0)
    yx = task((3, 3, 3), 3)
    with pytest.raises(ValueError, match="first and second must be balanced") as error:
        two_layer_flow(1.0, first=first, second=second, sigma_yx=yx)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="must be balanced"):
        two_layer_switches(first=first, second=second, sigma_yx=yx[None], durations=1.0)
    times = np.array([0.5, 1.0])
    forced = two_layer_flow(times, first=first, second=second, sigma_yx=yx, tolerance=math.inf)
    truth = grams(layer_flow((first, second), times, yx))
    assert float(jnp.max(jnp.abs(forced.gram - truth))) > 0.1


PAIR = (np.eye(2), np.eye(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: two_layer_flow(-1.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)), "t must be zero"),
        (lambda: two_layer_flow([1.0, 0.5], first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)), "t must be in incr"),
        (lambda: two_layer_flow(np.ones((1, 1)), first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)), "t must be a num"),
        (lambda: two_layer_flow(np.inf, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)), "t must be finite"),
        (lambda: two_layer_flow(1.0, first=np.ones((3, 2)), second=PAIR[1], sigma_yx=np.eye(2)), "second"),
        (lambda: two_layer_flow(1.0, first=np.ones(2), second=PAIR[1], sigma_yx=np.eye(2)), "first"),
        (lambda: two_layer_flow(1.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(3)), "sigma_yx"),
        (lambda: two_layer_flow(1.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2), tau=0.0), "tau"),
        (lambda: two_layer_flow(9.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2), substeps=2), "at least 5"),
        (lambda: two_layer_flow(9.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2), substeps=0), "substeps"),
        (lambda: two_layer_switches(first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2), durations=1.0), "sigma_yx"),
        (
            lambda: two_layer_switches(first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)[None], durations=[1.0, 2.0]),
            "durations",
        ),
        (
            lambda: two_layer_switches(first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)[None], durations=-1.0),
            "durations",
        ),
        (
            lambda: two_layer_switches(
                first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)[None], durations=1.0, records=0
            ),
            "records",
        ),
        (lambda: balanced_pair([-1.0], left=[[1.0]], right=[[1.0]]), "strengths"),
        (lambda: balanced_pair([1.0, 1.0], left=np.eye(2), right=np.ones((2, 1))), "right"),
        (lambda: balanced_pair([1.0, 1.0], left=np.eye(2), right=np.eye(2), width=1), "width"),
        (lambda: balanced_pair([1.0], left=[[1.0]], right=[[1.0]], rotation=np.eye(2)), "rotation"),
        (lambda: balanced_pair([1.0], left=[[1.0]], right=[[1.0]], relative_scale=np.nan), "relative_scale"),
        (lambda: random_balanced_pair(jax.random.key(0), (2, 2), strengths=1.0), "sizes"),
        (lambda: random_balanced_pair(jax.random.key(0), (2, 3, 2), strengths=np.ones(3)), "strengths"),
        (
            lambda: two_layer_tangent_kernel(
                two_layer_flow(1.0, first=PAIR[0], second=PAIR[1], sigma_yx=np.eye(2)), np.ones((3, 1))
            ),
            "inputs",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
