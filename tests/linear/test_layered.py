"""Layered networks against automatic differentiation, a plain loop in NumPy and the theory of modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.linear import _layered as layered
from brainjax.linear import (
    decoupled_layers,
    descend,
    descent_direction,
    gaussian_layers,
    path_maps,
    pathway_euler,
    project,
    windows,
)
from brainjax.tasks import hierarchical_task

SHAPES = {
    "equal paths": [(4, 4, 4, 4), (4, 4, 4, 4)],
    "unequal depths and widths": [(5, 9, 3), (5, 6, 7, 8, 3), (5, 3)],
    "large": [(16, 20, 13), (16, 13)],
}


def network(shapes, dtype=jnp.float64, seed=0):
    key = jax.random.key(seed)
    paths = [gaussian_layers(jax.random.fold_in(key, a), sizes, scale=0.9) for a, sizes in enumerate(shapes)]
    inputs, outputs = shapes[0][0], shapes[0][-1]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((inputs, 3 * inputs)) / np.sqrt(3 * inputs)
    yx = rng.standard_normal((outputs, inputs))
    return jax.tree.map(lambda w: w.astype(dtype), paths), jnp.asarray(yx, dtype), jnp.asarray(x @ x.T, dtype)


def loss(paths, yx, xx):
    total = sum(_product(layers) for layers in paths)
    return 0.5 * jnp.trace(total @ xx @ total.T) - jnp.trace(total @ yx.T)


def _product(layers):
    total = layers[0]
    for matrix in layers[1:]:
        total = matrix @ total
    return total


def simulate(paths, yx, xx, rate, frozen, steps):
    """Gradient descent as a plain Python loop; ``frozen(path, j)`` says whether update j leaves a path alone."""
    paths = [list(p) for p in paths]
    for j in range(steps):
        gradients = jax.grad(loss)(paths, yx, xx)
        paths = [
            p if frozen(a, j) else [w - rate * g for w, g in zip(p, gs, strict=True)]
            for a, (p, gs) in enumerate(zip(paths, gradients, strict=True))
        ]
    return paths


@pytest.mark.parametrize("white", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=list(SHAPES))
def test_hand_written_gradient_equals_automatic_differentiation(shapes, white):
    paths, yx, xx = network(shapes)
    xx = jnp.eye(xx.shape[0]) if white else xx
    gates = jnp.linspace(0.3, 1.0, len(paths))
    ours = descent_direction(paths, sigma_yx=yx, sigma_xx=None if white else xx, gate=gates)
    theirs = jax.grad(loss)(paths, yx, xx)
    for a in range(len(paths)):
        for change, gradient in zip(ours[a], theirs[a], strict=True):
            np.testing.assert_allclose(change, -gates[a] * gradient, atol=1e-13)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=list(SHAPES))
def test_descent_with_windows_equals_a_plain_loop(shapes):
    paths, yx, xx = network(shapes)
    rate, steps = 0.05, 12
    closed = {1: range(3, 7)}
    span = windows(3 * rate, 7 * rate, np.array([1.0 if a != 1 else 0.0 for a in range(len(paths))]))
    run = descend(paths, sigma_yx=yx, sigma_xx=xx, rate=rate, steps=steps, every=4, windows=span)
    expected = simulate(paths, yx, xx, rate, lambda a, j: j in closed.get(a, ()), steps)
    for ours, theirs in zip(jax.tree.leaves(run.paths), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(run.time, [0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(run.records[0], path_maps(paths))
    np.testing.assert_allclose(run.records[-1], path_maps(run.paths))
    np.testing.assert_allclose(
        run.records[1, 0], _product(simulate(paths, yx, xx, rate, lambda a, j: a == 1 and j == 3, 4)[0])
    )


def test_a_closed_path_stands_still_but_still_contributes():
    paths, yx, _ = network(SHAPES["equal paths"])
    run = descend(paths, sigma_yx=yx, rate=0.05, steps=400, windows=windows(0.0, 1e9, np.array([1.0, 0.0])))
    np.testing.assert_array_equal(run.paths[1][2], paths[1][2])
    first, second = path_maps(run.paths)
    alone = descend(paths[:1], sigma_yx=yx - second, rate=0.05, steps=400)
    np.testing.assert_allclose(first, path_maps(alone.paths)[0], atol=1e-10)


@pytest.mark.parametrize("start", [0, 1, 149, 150, 700])
def test_edges_of_a_window_are_exact_in_float32(start):
    """A window from update ``start`` of three updates freezes exactly those three, whatever the rate."""
    for rate in (0.01, 0.003, 0.1):
        span = windows(start * rate, (start + 3) * rate, jnp.zeros(1, jnp.float32))
        w = jnp.zeros((1, 1), jnp.float32)
        steps = start + 6
        run = descend([[w]], sigma_yx=jnp.ones_like(w), sigma_xx=w, rate=rate, steps=steps, every=1, windows=span)
        moved = np.diff(np.asarray(run.records[:, 0, 0, 0])) > 0
        assert run.records.dtype == jnp.float32
        np.testing.assert_array_equal(np.flatnonzero(~moved), [start, start + 1, start + 2])


@pytest.mark.parametrize(
    ("shapes", "batch"),
    [
        ([(4, 5, 4), (4, 4)], 5),
        ([(8, 20, 8)], 64),
        pytest.param([(12, 12, 10), (12, 9, 8, 10)], 64, marks=pytest.mark.slow),
        pytest.param([(4, 5, 4), (4, 4)], 64, marks=pytest.mark.slow),
        pytest.param([(12, 12, 10), (12, 9, 8, 10)], 5, marks=pytest.mark.slow),
        pytest.param([(8, 20, 8)], 5, marks=pytest.mark.slow),
    ],
)
def test_a_batch_of_networks_equals_one_at_a_time(shapes, batch):
    """Batched weights, rates, windows and context, whichever of them are batched; small networks go batch-last."""
    paths, yx, xx = network(shapes)
    paths = jax.tree.map(lambda w: w[None] * jnp.linspace(0.5, 1.0, batch)[:, None, None], paths)
    rates, starts = jnp.linspace(0.01, 0.05, batch), jnp.linspace(0, 0.3, batch)
    u, _, vt = np.linalg.svd(yx, full_matrices=False)

    def one(layers, rate, start, u):
        span = windows(start, start + 0.1, jnp.array([0.2] + [1.0] * (len(layers) - 1)))
        run = descend(
            layers,
            sigma_yx=yx,
            sigma_xx=xx,
            rate=rate,
            steps=10,
            every=5,
            windows=span,
            observe=lambda paths, basis: project(path_maps(paths)[0], left=basis[0], right=basis[1]),
            context=(u, jnp.asarray(vt.T)),
        )
        return run.time, run.records, run.paths

    u = jnp.asarray(u)[None] * jnp.ones((batch, 1, 1))
    single = jax.jit(one)
    together = jax.jit(jax.vmap(one))(paths, rates, starts, u)
    for i in (0, batch // 2, batch - 1):
        alone = single(*jax.tree.map(lambda x: x[i], (paths, rates, starts, u)))  # noqa: B023
        for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(ours[i], theirs, atol=1e-12)
    shared = jax.vmap(lambda rate: descend([[x[0] for x in p] for p in paths], sigma_yx=yx, rate=rate, steps=10).paths)
    for ours, theirs in zip(
        jax.tree.leaves(jax.jit(shared)(rates)),
        jax.tree.leaves(descend([[x[0] for x in p] for p in paths], sigma_yx=yx, rate=rates[1], steps=10).paths),
        strict=True,
    ):
        np.testing.assert_allclose(ours[1], theirs, atol=1e-12)


def test_the_batch_last_form_is_what_runs_for_small_networks():
    def lowered(size, batch):
        paths = [[jnp.zeros((batch, size, size), jnp.float32)] * 2] * 2
        train = jax.vmap(lambda p: descend(p, sigma_yx=jnp.eye(size, dtype=jnp.float32), rate=0.1, steps=9).paths)
        return jax.jit(train).lower(paths).as_text()

    assert f"4x4x{64}xf32" in lowered(4, 64)
    assert "dot_general" not in lowered(layered.BATCH_LAST, 64).split("while")[1]
    assert "dot_general" in lowered(layered.BATCH_LAST + 1, 64)


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 16])
def test_derivatives_through_training(size):
    paths, yx, xx = network([(size, size, size), (size, size)])

    @jax.jit
    def final(rate, start, scale):
        layers = jax.tree.map(lambda w: scale * w, paths)
        span = windows(start, start + 0.1, jnp.array([1.0, 0.5]))
        run = descend(layers, sigma_yx=yx, sigma_xx=xx, rate=rate, steps=4, windows=span)
        return loss(run.paths, yx, xx)

    arguments = (jnp.asarray(0.03), jnp.asarray(0.05), jnp.asarray(0.8))
    step = 1e-6
    for number in (0, 2):
        up, down = ([x + d * step * (i == number) for i, x in enumerate(arguments)] for d in (1, -1))
        expected = (final(*up) - final(*down)) / (2 * step)
        np.testing.assert_allclose(jax.grad(final, number)(*arguments), expected, rtol=1e-6)
        np.testing.assert_allclose(jax.jacfwd(final, number)(*arguments), expected, rtol=1e-6)
    batched = jax.vmap(jax.grad(final, 2), (0, None, None))(jnp.array([0.01, 0.03]), *arguments[1:])
    np.testing.assert_allclose(batched[1], jax.grad(final, 2)(*arguments), rtol=1e-10)
    np.testing.assert_allclose(
        jax.grad(lambda r: jnp.sum(jax.vmap(final, (0, None, None))(r, *arguments[1:])))(jnp.array([0.01, 0.03]))[1],
        jax.grad(final)(*arguments),
        rtol=1e-10,
    )


def test_decoupled_layers_stay_decoupled_and_follow_the_euler_steps_of_their_modes():
    task = hierarchical_task()
    rng = np.random.default_rng(0)
    p0 = rng.uniform(0.25, 0.4, (2, 8))
    paths = [
        decoupled_layers(np.tile(p0[a], (depth, 1)), left=task.left, right=task.right, width=11)
        for a, depth in enumerate((2, 4))
    ]
    span = windows(np.array([0.1, 0.5]), np.array([0.3, 0.6]), np.array([[1.0, 0.0], [0.5, 1.0]]))
    run = descend(paths, sigma_yx=task.sigma_yx, rate=0.01, steps=300, every=50, windows=span)
    seen = jax.vmap(jax.vmap(lambda omega: project(omega, left=task.left, right=task.right)))(run.records)
    modes = pathway_euler(
        p0, s=task.singular_values, depth=jnp.array([2.0, 4.0]), dt=0.01, steps=300, every=50, windows=span
    )
    np.testing.assert_allclose(seen.strength, modes.strength, atol=1e-12)
    np.testing.assert_allclose(run.time, modes.time)
    assert float(jnp.max(seen.off_diagonal)) < 1e-24


@pytest.mark.slow
def test_rotating_hidden_units_changes_nothing():
    paths, yx, _ = network([(5, 6, 7, 4)])
    rng = np.random.default_rng(1)
    q6, q7 = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (6, 7))
    ((first, second, third),) = paths
    turned = [(q6 @ first, q7 @ second @ q6.T, third @ q7.T)]
    np.testing.assert_allclose(
        *(descend(p, sigma_yx=yx, rate=0.05, steps=50, every=10).records for p in (paths, turned)), atol=1e-12
    )


def test_gaussian_layers_have_the_stated_spread():
    first, second = gaussian_layers(jax.random.key(0), (60, 80, 50), scale=jnp.array([0.5, 2.0]))
    assert first.shape == (80, 60)
    assert second.shape == (50, 80)
    for matrix, expected in [(first, 0.5 / np.sqrt(60)), (second, 2 / np.sqrt(80))]:
        spread = float(jnp.std(matrix))
        standard_error = expected / np.sqrt(2 * matrix.size)
        assert abs(spread - expected) < 4 * standard_error
        assert abs(float(jnp.mean(matrix))) < 4 * expected / np.sqrt(matrix.size)
    again = gaussian_layers(jax.random.key(0), (60, 80, 50), scale=jnp.array([0.5, 2.0]))
    np.testing.assert_array_equal(first, again[0])


def test_projection_measures_what_is_off_the_diagonal():
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (5, 4))
    k = rng.standard_normal((3, 3))
    outside = rng.standard_normal((5, 4))
    outside -= u @ (u.T @ outside @ v) @ v.T
    seen = project(u @ k @ v.T + outside, left=u, right=v)
    np.testing.assert_allclose(seen.strength, np.diag(k), rtol=1e-12)
    off = np.sum(k**2) - np.sum(np.diag(k) ** 2) + np.sum(outside**2)
    np.testing.assert_allclose(seen.off_diagonal, off / (np.sum(k**2) + np.sum(outside**2)), rtol=1e-12)
    zero = project(np.zeros((5, 4)), left=u, right=v)
    assert float(zero.off_diagonal) == 0
    gradient = jax.grad(lambda m: project(m, left=u, right=v).off_diagonal)(jnp.zeros((5, 4)))
    assert bool(jnp.all(jnp.isfinite(gradient)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: descend([], sigma_yx=np.eye(2), rate=0.1, steps=1), "at least one path"),
        (lambda: descend([[np.ones((2, 3)), np.ones((2, 3))]], sigma_yx=np.eye(2), rate=0.1, steps=1), "do not fit"),
        (lambda: descend([[np.eye(2)], [np.ones((2, 3))]], sigma_yx=np.eye(2), rate=0.1, steps=1), "must agree"),
        (lambda: descend([[np.eye(2)]], sigma_yx=np.eye(3), rate=0.1, steps=1), "sigma_yx"),
        (lambda: descend([[np.eye(2)]], sigma_yx=np.eye(2), sigma_xx=np.eye(3), rate=0.1, steps=1), "sigma_xx"),
        (lambda: descend([[np.eye(2)]], sigma_yx=np.eye(2), rate=-0.1, steps=1), "rate"),
        (lambda: descend([[np.eye(2)]], sigma_yx=np.eye(2), rate=0.1, steps=5, every=2), "every"),
        (lambda: descend([[np.eye(2)]], sigma_yx=np.eye(2), rate=0.1, steps=-1), "steps"),
        (
            lambda: descend(
                [[np.eye(2)]], sigma_yx=np.eye(2), rate=0.1, steps=1, windows=windows(0.0, 1.0, np.ones((1, 1, 2)))
            ),
            "windows",
        ),
        (lambda: gaussian_layers(jax.random.key(0), (3,), scale=1.0), "sizes"),
        (lambda: gaussian_layers(jax.random.key(0), (3, 2), scale=-1.0), "scale"),
        (lambda: gaussian_layers(jax.random.key(0), (3, 2), scale=np.ones(3)), "scale"),
        (lambda: decoupled_layers(np.ones((2, 3)), left=np.eye(3), right=np.eye(3), width=2), "width"),
        (lambda: decoupled_layers(np.ones((2, 3)), left=np.eye(4), right=np.eye(3)), "left"),
        (lambda: project(np.ones((2, 3)), left=np.eye(3), right=np.eye(3)), "left"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
