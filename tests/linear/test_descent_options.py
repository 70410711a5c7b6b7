"""What `descend` can do besides plain gradient descent, against updates written out; initial layers; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainjax import linear
from brainjax.linear import descend, descend_nonlinear, path_maps

RATE, STEPS = 0.03, 40
SIZES = ((3, 4, 5), (3, 6, 4, 5))  # two paths of different depth


def paths_and_target(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    paths = [linear.gaussian_layers(k, sizes, scale=0.7) for k, sizes in zip(keys, SIZES, strict=False)]
    return paths, jax.random.normal(keys[2], (5, 3))


def plain_loss(paths, target, cut=None):
    maps = [jax.tree.reduce(lambda total, w: w @ total, tuple(layers)) for layers in paths]
    if cut is not None:
        maps = [o @ m @ i for o, m, i in zip(cut.output, maps, cut.input, strict=True)]
    return 0.5 * jnp.sum((target - sum(maps)) ** 2)


gradient_of = jax.jit(jax.grad(plain_loss))


def written_out(paths, target, *, transform=None, cut=None, disturb=None, gates=None):
    memory = transform.init(tuple(paths)) if transform else None
    paths = tuple(paths)
    for j in range(STEPS):
        at = target if disturb is None else target + disturb(j)
        gradient = gradient_of(paths, at, cut)
        if gates is not None:
            gradient = tuple(tuple(gates(j)[a] * g for g in layers) for a, layers in enumerate(gradient))
        if transform:
            gradient, memory = transform.update(gradient, memory, paths)
        paths = jax.tree.map(lambda w, g: w - RATE * g, paths, gradient)
    return paths


def assert_same(found, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tuple(found), tuple(expected))


@pytest.mark.parametrize(
    "transform", [optax.trace(0.9), optax.add_decayed_weights(0.1)], ids=["momentum", "weight decay"]
)
def test_transforms_of_optax(transform):
    paths, target = paths_and_target()
    windows = linear.windows(10 * RATE, 20 * RATE, [1.0, 0.0])
    found = descend(paths, sigma_yx=target, rate=RATE, steps=STEPS, transform=transform, windows=windows).paths
    expected = written_out(paths, target, transform=transform, gates=lambda j: (1.0, float(not 10 <= j < 20)))
    assert_same(found, expected, rtol=1e-12, atol=1e-14)
    bare = descend(paths, sigma_yx=target, rate=RATE, steps=STEPS, windows=windows).paths
    assert not np.allclose(found[0][0], bare[0][0], atol=1e-3)


def test_a_transform_that_does_nothing_changes_nothing():
    paths, target = paths_and_target()
    settings = {"sigma_yx": target, "rate": RATE, "steps": STEPS}
    plain = descend(paths, **settings)
    same = descend(paths, transform=optax.identity(), **settings)
    assert_same(same.paths, plain.paths, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(same.records, plain.records, rtol=1e-13)


def test_momentum_works_in_float32_under_jit_and_vmap():
    def final(key):
        paths = [linear.gaussian_layers(key, (3, 4, 5), scale=jnp.float32(0.7))]
        run = descend(
            paths,
            sigma_yx=jnp.eye(5, 3, dtype=jnp.float32),
            rate=jnp.float32(RATE),
            steps=STEPS,
            transform=optax.trace(0.9),
        )
        return run.records[-1]

    keys = jax.random.split(jax.random.key(1), 3)
    many = jax.jit(jax.vmap(final))(keys)
    assert many.dtype == jnp.float32
    np.testing.assert_allclose(many[1], final(keys[1]), rtol=1e-4, atol=1e-6)


def test_lesions_cut_modes_out_of_output_and_gradient():
    paths, target = paths_and_target()
    left, _, right = np.linalg.svd(np.asarray(target), full_matrices=False)
    cut = linear.lesions([[0, 1, 0], [1, 0, 1]], left=left, right=right.T)
    run = descend(paths, sigma_yx=target, rate=RATE, steps=STEPS, lesions=cut)
    assert_same(run.paths, written_out(paths, target, cut=cut), rtol=1e-11, atol=1e-13)
    strengths = left.T @ np.asarray(run.records[-1]) @ right.T  # (paths, modes, modes)
    assert np.abs(strengths[0, 1]).max() < 1e-14
    assert np.abs(strengths[0, :, 1]).max() < 1e-14
    assert np.abs(strengths[1, 1, 1]) > 0.1
    nothing = linear.lesions(np.zeros((2, 3)), left=left, right=right.T)
    spared = descend(paths, sigma_yx=target, rate=RATE, steps=STEPS, lesions=nothing)
    assert_same(spared.paths, descend(paths, sigma_yx=target, rate=RATE, steps=STEPS).paths, rtol=1e-12, atol=1e-14)


def test_fresh_noise_on_the_targets():
    paths, target = paths_and_target()
    key = jax.random.key(5)

    def noise(j, scale):
        return scale * jax.random.normal(jax.random.fold_in(key, j), (5, 3))

    run = descend(paths, sigma_yx=target, rate=RATE, steps=STEPS, disturb=noise, context=jnp.asarray(0.3))
    assert_same(run.paths, written_out(paths, target, disturb=lambda j: noise(j, 0.3)), rtol=1e-11, atol=1e-13)


@pytest.mark.slow
# --------------------------------------------------------------------------------------------------- non-linear paths
def test_without_a_nonlinearity_it_is_the_linear_network():
    paths, _ = paths_and_target()
    inputs, outputs = jax.random.normal(jax.random.key(7), (3, 9)), jax.random.normal(jax.random.key(8), (5, 9))
    settings = {"rate": 0.003, "steps": STEPS, "every": 10, "windows": linear.windows(0.03, 0.06, [1.0, 0.3])}
    for transform in (None, optax.trace(0.5)):
        found = descend_nonlinear(
            paths, inputs=inputs, outputs=outputs, activation=lambda x: x, transform=transform, **settings
        )
        expected = descend(
            paths, sigma_yx=outputs @ inputs.T, sigma_xx=inputs @ inputs.T, transform=transform, **settings
        )
        assert_same(found.paths, expected.paths, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.records, expected.records @ inputs, rtol=1e-9, atol=1e-11)
        np.testing.assert_array_equal(found.time, expected.time)


@pytest.mark.parametrize("on_output", [True, False])
def test_a_closed_gate_freezes_a_path_exactly(on_output):
    paths, target = paths_and_target()
    run = descend_nonlinear(
        paths,
        inputs=np.eye(3),
        outputs=target,
        activation=jnp.tanh,
        on_output=on_output,
        rate=RATE,
        steps=STEPS,
        windows=linear.windows(0.0, 1e3, [1.0, 0.0]),
    )
    assert_same(run.paths[1], paths[1], rtol=0, atol=0)
    assert not np.allclose(run.paths[0][0], paths[0][0], atol=1e-3)
    answers = linear.path_responses(run.paths, np.eye(3), activation=jnp.tanh, on_output=on_output)
    np.testing.assert_allclose(run.records[-1], answers, rtol=1e-12)
    linear_part = linear.path_responses([[w] for w in (np.full((5, 3), 9.0),)], np.eye(3), activation=jnp.tanh)
    assert float(jnp.max(linear_part)) == pytest.approx(1.0, abs=1e-6)


# ----------------------------------------------------------------------------------------------------- initial layers
@pytest.mark.slow
def test_orthogonal_layers_are_balanced_and_uniform():
    keys = jax.random.split(jax.random.key(0), 400)
    layers = linear.orthogonal_layers(keys[0], (6, 6, 6), scale=0.5)
    for matrix in layers:
        np.testing.assert_allclose(matrix @ matrix.T, 0.25 * np.eye(6), atol=1e-12)
    np.testing.assert_allclose(linear.balance_norms(layers), 0, atol=1e-12)
    tall, flat = linear.orthogonal_layers(keys[0], (3, 7, 2), scale=[1.0, 2.0])
    np.testing.assert_allclose(tall.T @ tall, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(2), atol=1e-12)
    first = jax.vmap(lambda key: linear.orthogonal_layers(key, (4, 4), scale=1.0)[0][0, 0])(keys)
    # an entry of a uniform orthogonal matrix of size n has mean 0 and mean square 1/n
    assert abs(float(first.mean())) < 4 * float(first.std()) / 20
    assert float((first**2).mean()) == pytest.approx(0.25, abs=4 * float((first**2).std()) / 20)


def test_identity_layers():
    square, tall = linear.identity_layers((2, 2, 3), scale=[2.0, 3.0])
    np.testing.assert_array_equal(square, 2 * np.eye(2))
    np.testing.assert_array_equal(tall, 3 * np.eye(3, 2))


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear.orthogonal_layers(jax.random.key(0), (3,), scale=1.0), "sizes must name"),
        (lambda: linear.identity_layers((3, 3), scale=-1.0), "scale must be"),
        (lambda: linear.identity_layers((3, 3), scale=[1.0, 2.0]), r"scale must be a number or have shape \(1,\)"),
        (lambda: linear.lesions([[2.0]], left=np.eye(1), right=np.eye(1)), "mask must"),
        (lambda: linear.lesions([[1.0, 0.0]], left=np.eye(3), right=np.eye(2)), "left"),
        (
            lambda: descend(
                [[np.eye(2)]],
                sigma_yx=np.eye(2),
                rate=0.1,
                steps=1,
                lesions=linear.lesions(np.zeros((2, 2)), left=np.eye(2), right=np.eye(2)),
            ),
            "lesions.output",
        ),
        (
            lambda: descend_nonlinear(
                [[np.eye(2)]], inputs=np.eye(3), outputs=np.eye(2), activation=jnp.tanh, rate=0.1, steps=1
            ),
            "inputs must",
        ),
        (
            lambda: descend_nonlinear(
                [[np.eye(2)]], inputs=np.eye(2), outputs=np.eye(3), activation=jnp.tanh, rate=0.1, steps=1
            ),
            "outputs must",
        ),
        (
            lambda: descend_nonlinear(
                [[np.eye(2)]], inputs=np.eye(2), outputs=np.eye(2), activation=jnp.tanh, rate=0.0, steps=1
            ),
            "rate must",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert path_maps([[np.eye(2)]]).shape == (1, 2, 2)
