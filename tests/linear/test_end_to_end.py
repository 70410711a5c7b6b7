"""End-to-end dynamics against the product rule, finite differences of the SVD, and explicit fractional powers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.flow import piecewise_flow
from brainjax.linear import (
    balance_differences,
    balance_norms,
    descend,
    descent_direction,
    end_to_end_gain,
    end_to_end_rate,
    end_to_end_rate_of_layers,
    gaussian_layers,
    induced_rate,
    singular_rates,
)

# (out, in) and the hidden sizes between them
SHAPES = {
    "square": (4, 4),
    "tall": (5, 3),
    "flat": (3, 5),
}


def balanced(shape, depth, seed=0, values=None):
    """Balanced layers of width min(shape) or wider, with random rotations between them."""
    rng = np.random.default_rng(seed)
    out, inputs = shape
    modes = min(shape)
    values = np.linspace(0.3, 1.7, modes) if values is None else np.asarray(values)
    u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0][:, :modes] for n in (out, inputs))
    bases = [v]
    for _ in range(depth - 1):
        bases.append(np.linalg.qr(rng.standard_normal((modes + 1, modes + 1)))[0][:, :modes])
    bases.append(u)
    root = values ** (1 / depth)
    return [(upper * root) @ lower.T for lower, upper in itertools.pairwise(bases)]


def layer_directions(layers, gradient):
    """Minus the gradient of each layer, by the chain rule."""
    directions = []
    for j in range(len(layers)):
        above, below = np.eye(layers[-1].shape[0]), np.eye(layers[0].shape[1])
        for matrix in reversed(layers[j + 1 :]):
            above = above @ matrix
        for matrix in layers[:j]:
            below = matrix @ below
        directions.append(-above.T @ gradient @ below.T)
    return directions


def product(layers):
    total = layers[0]
    for matrix in layers[1:]:
        total = matrix @ total
    return total


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_the_rate_is_the_sum_of_what_the_layers_induce(shape, depth):
    layers = balanced(shape, depth)
    gradient = np.random.default_rng(1).standard_normal(shape)
    decay = 0.3
    directions = layer_directions(layers, gradient)
    expected = induced_rate(layers, directions)
    np.testing.assert_allclose(end_to_end_rate_of_layers(layers, gradient), expected, atol=1e-12)
    expected = induced_rate(layers, [d - decay * w for d, w in zip(directions, layers, strict=True)])
    found = end_to_end_rate(product(layers), gradient, depth=depth, weight_decay=decay)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_map_of_low_rank_has_the_identity_as_power_zero():
    layers = balanced((4, 5), 3, values=[1.5, 0.7, 0.0, 0.0])
    gradient = np.random.default_rng(1).standard_normal((4, 5))
    expected = induced_rate(layers, layer_directions(layers, gradient))
    # singular values of zero come out as rounding, 1e-16, whose power 2/3 is 1e-11
    np.testing.assert_allclose(end_to_end_rate_of_layers(layers, gradient), expected, atol=1e-9)
    np.testing.assert_allclose(end_to_end_rate(np.zeros((4, 5)), gradient, depth=1), -gradient, atol=1e-14)
    np.testing.assert_allclose(end_to_end_rate(np.zeros((4, 5)), gradient, depth=3), 0 * gradient, atol=1e-14)


@pytest.mark.parametrize(
    "shape", [SHAPES["tall"], *(pytest.param(SHAPES[name], marks=pytest.mark.slow) for name in ("square", "flat"))]
)
def test_derivatives_with_respect_to_the_map(shape):
    w, gradient, direction = (jnp.asarray(np.random.default_rng(n).standard_normal(shape)) for n in range(3))

    @jax.jit
    def total(w):
        return jnp.sum(jnp.sin(end_to_end_rate(w, gradient, depth=3.5)))

    expected = (total(w + 1e-6 * direction) - total(w - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.sum(jax.grad(total)(w) * direction), expected, rtol=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_law_fails_for_unbalanced_layers(depth):
    layers = gaussian_layers(jax.random.key(0), [4] * (depth + 1), scale=1.0)
    gradient = np.random.default_rng(1).standard_normal((4, 4))
    with pytest.raises(ValueError, match="layers must be balanced") as error:
        end_to_end_rate_of_layers(layers, gradient)
    assert "\n" not in str(error.value)
    truth = induced_rate(layers, layer_directions([np.asarray(w) for w in layers], gradient))
    law = end_to_end_rate(product(layers), gradient, depth=depth)
    assert float(jnp.linalg.norm(truth - law) / jnp.linalg.norm(truth)) > 0.2
    np.testing.assert_allclose(end_to_end_rate_of_layers(layers, gradient, tolerance=np.inf), law)


@pytest.mark.slow
def test_layers_that_training_has_left_nearly_balanced_need_a_tolerance():
    layers = [jnp.asarray(w) for w in balanced((4, 4), 3)]
    run = descend([layers], sigma_yx=np.diag([3.0, 2.0, 1.0, 0.5]), rate=1e-3, steps=200)
    gradient = np.ones((4, 4))
    with pytest.raises(ValueError, match="balanced"):
        end_to_end_rate_of_layers(run.paths[0], gradient)
    assert end_to_end_rate_of_layers(run.paths[0], gradient, tolerance=1e-2).shape == (4, 4)


@pytest.mark.parametrize("depth", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_the_gain_is_the_spectrum_of_the_preconditioner(depth):
    """The operator on vectorised gradients is a sum of Kronecker products of fractional powers."""
    w = product(balanced((3, 4), depth))
    powers = [(power(w @ w.T, (depth - j) / depth), power(w.T @ w, (j - 1) / depth)) for j in range(1, depth + 1)]
    operator = sum(np.kron(b, a) for a, b in powers)
    s = np.concatenate([np.linalg.svd(w, compute_uv=False), [0.0]])
    gains = end_to_end_gain(s[:3, None], s[None, :], depth=depth)
    np.testing.assert_allclose(np.sort(np.ravel(gains)), np.linalg.eigvalsh(operator), atol=1e-12)
    gradient = np.random.default_rng(0).standard_normal((3, 4))
    applied = -(operator @ gradient.T.ravel()).reshape(4, 3).T
    np.testing.assert_allclose(end_to_end_rate(w, gradient, depth=depth), applied, atol=1e-12)


def power(square, exponent):
    if exponent == 0:
        return np.eye(len(square))
    values, vectors = np.linalg.eigh(square)
    return (vectors * np.where(values > 1e-12, values, 0) ** exponent) @ vectors.T


def test_gains_of_equal_and_nearly_equal_values():
    x = np.array([0.7, 1e-6, 3.0])
    for depth in (1, 2, 2.5, 7):
        np.testing.assert_allclose(end_to_end_gain(x, x, depth=depth), depth * x ** (2 - 2 / depth), rtol=1e-14)
        near = end_to_end_gain(x, x * (1 + 1e-9), depth=depth)
        np.testing.assert_allclose(near, depth * x ** (2 - 2 / depth), rtol=1e-8)
        assert bool(jnp.all(near >= end_to_end_gain(x, x, depth=depth)))
    for depth in (2, 3):
        y = np.array([0.2, 4.0, 0.0])
        direct = sum(x ** (2 * (depth - j) / depth) * y ** (2 * (j - 1) / depth) for j in range(1, depth + 1))
        np.testing.assert_allclose(end_to_end_gain(x, y, depth=depth), direct, rtol=1e-13)
    assert float(end_to_end_gain(0.0, 0.0, depth=1)) == 1
    assert float(end_to_end_gain(0.0, 0.0, depth=2)) == 0
    np.testing.assert_allclose(end_to_end_gain(0.0, 2.0, depth=4), 2**1.5)


@pytest.mark.slow
def test_real_depth_is_continuous_and_differentiable():
    w = product(balanced((3, 4), 2))
    gradient = np.random.default_rng(0).standard_normal((3, 4))
    rate = jax.jit(lambda n: end_to_end_rate(w, gradient, depth=n))
    np.testing.assert_allclose(rate(3.0), end_to_end_rate(w, gradient, depth=3), atol=1e-14)
    slope = jax.jacfwd(rate)(2.0)
    np.testing.assert_allclose(slope, (rate(2.0 + 1e-6) - rate(2.0 - 1e-6)) / 2e-6, atol=1e-8)
    gradients = jax.grad(lambda x, y, n: end_to_end_gain(x, y, depth=n), (0, 1, 2))
    for x, y in ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 2.0)):
        for n in (1.0, 2.0, 3.0):
            assert all(bool(jnp.isfinite(g)) for g in gradients(x, y, n)), (x, y, n)


@pytest.mark.parametrize("depth", [1, 2, 3, 2.5])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_singular_values_and_vectors_move_as_finite_differences_say(shape, depth):
    w = product(balanced(shape, 2))
    gradient = np.random.default_rng(1).standard_normal(shape)
    rate = np.asarray(end_to_end_rate(w, gradient, depth=depth))
    found = singular_rates(w, gradient, depth=depth)
    step = 1e-5
    ends = [np.linalg.svd(w + sign * step * rate, full_matrices=False) for sign in (1, -1)]
    signs = [np.sign(np.sum(u * np.asarray(found.left), axis=0)) for u, _, _ in ends]
    (ua, sa, va), (ub, sb, vb) = ends
    np.testing.assert_allclose(found.value_rate, (sa - sb) / (2 * step), atol=1e-7)
    np.testing.assert_allclose(found.left_rate, (ua * signs[0] - ub * signs[1]) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(found.right_rate, (va.T * signs[0] - vb.T * signs[1]) / (2 * step), atol=1e-6)
    u, s, v = found.left, found.values, found.right
    rebuilt = (
        (found.left_rate * s[None]) @ v.T + (u * found.value_rate[None]) @ v.T + (u * s[None]) @ found.right_rate.T
    )
    np.testing.assert_allclose(rebuilt, rate, atol=1e-12)


def test_vectors_stand_still_when_the_gradient_is_diagonal_in_their_basis():
    w = product(balanced((4, 4), 2))
    u, _, vt = np.linalg.svd(w)
    found = singular_rates(w, (u * [1.0, -2.0, 0.5, 3.0]) @ vt, depth=3)
    np.testing.assert_allclose(found.left_rate, 0, atol=1e-12)
    np.testing.assert_allclose(found.right_rate, 0, atol=1e-12)
    np.testing.assert_allclose(found.value_rate, -3 * found.values ** (4 / 3) * np.array([1.0, -2.0, 0.5, 3.0]))


def test_equal_singular_values_leave_nan_only_where_no_derivative_exists():
    w = np.diag([2.0, 1.0, 1.0])
    gradient = np.random.default_rng(0).standard_normal((3, 3))
    found = singular_rates(w, gradient, depth=3)
    turned = np.isnan(np.asarray(found.left_rate)).all(axis=0)
    np.testing.assert_array_equal(turned, [False, True, True])
    assert bool(jnp.all(jnp.isfinite(found.value_rate)))
    nearly = singular_rates(np.diag([2.0, 1.0 + 1e-9, 1.0]), gradient, depth=3)
    np.testing.assert_allclose(found.left_rate[:, 0], nearly.left_rate[:, 0], atol=1e-7)
    still = singular_rates(w, np.diag([1.0, 2.0, 3.0]), depth=3)
    np.testing.assert_array_equal(still.left_rate, np.zeros((3, 3)))
    np.testing.assert_array_equal(still.right_rate, np.zeros((3, 3)))


@pytest.mark.slow
def test_gradient_flow_conserves_the_differences():
    layers = gaussian_layers(jax.random.key(2), (4, 5, 3, 4), scale=0.8)
    yx = np.random.default_rng(0).standard_normal((4, 4))

    def field(_, layers, __):
        return descent_direction([layers], sigma_yx=yx)[0]

    states, success = piecewise_flow(field, tuple(layers), jnp.array([0.0, 3.0]), jnp.zeros(1), rtol=1e-10, atol=1e-12)
    assert bool(success[0])
    final = [state[-1] for state in states]
    assert float(jnp.linalg.norm(product(final) - product(layers))) > 0.5, "nothing moved: the test has no power"
    for after, before in zip(balance_differences(final), balance_differences(layers), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-8)
    np.testing.assert_allclose(
        balance_norms(final), [np.linalg.norm(d) for d in balance_differences(layers)], rtol=1e-8
    )


@pytest.mark.slow
def test_gradient_descent_changes_the_differences_by_those_of_its_step():
    layers = [np.asarray(w) for w in gaussian_layers(jax.random.key(2), (4, 5, 3, 4), scale=0.8)]
    yx = np.random.default_rng(0).standard_normal((4, 4))
    rate = 0.1
    for _ in range(5):
        gradients = layer_directions(layers, product(layers) - yx)  # minus the gradients
        steps = [rate * g for g in gradients]
        before, change = balance_differences(layers), balance_differences(steps)
        layers = [w + step for w, step in zip(layers, steps, strict=True)]
        for after, old, new in zip(balance_differences(layers), before, change, strict=True):
            np.testing.assert_allclose(after - old, new, atol=1e-12)
            assert float(jnp.max(jnp.abs(new))) > 1e-6
    drifts = []
    for rate in (0.02, 0.01):
        start = balanced((4, 4), 3)
        run = descend([start], sigma_yx=yx, rate=rate, steps=round(2 / rate))
        drifts.append(float(jnp.max(balance_norms(run.paths[0]))))
    np.testing.assert_allclose(drifts[0] / drifts[1], 2, rtol=0.1)  # the drift over a fixed time is O(rate)


def test_norms_of_balanced_layers_and_their_derivatives():
    assert balance_norms([np.ones((2, 3))]).shape == (0,)
    np.testing.assert_allclose(balance_norms(balanced((4, 5), 4)), np.zeros(3), atol=1e-14)
    gradient = jax.grad(lambda x: jnp.sum(balance_norms([x, x])))(jnp.eye(2))
    assert bool(jnp.all(jnp.isfinite(gradient)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: end_to_end_rate(np.eye(2), np.eye(3), depth=2), "gradient"),
        (lambda: end_to_end_rate(np.ones(2), np.eye(2), depth=2), "linear_map"),
        (lambda: end_to_end_rate(np.eye(2), np.eye(2), depth=0.5), "depth"),
        (lambda: end_to_end_rate(np.eye(2), np.eye(2), depth=2, weight_decay=-1.0), "weight_decay"),
        (lambda: end_to_end_rate(np.eye(2) * np.nan, np.eye(2), depth=2), "linear_map"),
        (lambda: end_to_end_rate_of_layers([], np.eye(2)), "at least one layer"),
        (lambda: end_to_end_rate_of_layers([np.ones((2, 3)), np.ones((2, 3))], np.ones((2, 3))), "do not fit"),
        (lambda: end_to_end_gain(-1.0, 1.0, depth=2), "left_value"),
        (lambda: end_to_end_gain(1.0, -1.0, depth=2), "right_value"),
        (lambda: induced_rate([np.eye(2)], [np.eye(3)]), "directions"),
        (lambda: induced_rate([np.eye(2)], [np.eye(2), np.eye(2)]), "directions"),
        (lambda: singular_rates(np.eye(2), np.eye(2), depth=0), "depth"),
        (lambda: balance_differences([np.ones((2, 3)), np.ones((2, 3))]), "do not fit"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
