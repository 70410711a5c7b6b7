"""Alignments and distances of kernels and representations: their definitions, and what leaves them alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness
from tests.richness.references import centring, cosine, positive

N = 6
# compiled once each: operation by operation these would compile dozens of programs
alignment, centred_alignment = jax.jit(richness.kernel_alignment), jax.jit(richness.centred_kernel_alignment)
distance, velocity = jax.jit(richness.kernel_distance), jax.jit(richness.kernel_velocity, static_argnames="angular")
change = jax.jit(richness.kernel_change, static_argnames="relative")
of_states = jax.jit(richness.representation_alignment, static_argnames="centred")
with_target = jax.jit(richness.kernel_target_alignment, static_argnames="normalize")


@pytest.fixture(scope="module")
def kernels():
    rng = np.random.default_rng(0)
    return positive(rng, N, 3), positive(rng, N)


@pytest.fixture(scope="module")
def states():
    rng = np.random.default_rng(1)
    return np.maximum(rng.normal(size=(9, 4)), 0), np.maximum(rng.normal(size=(9, 5)) + 0.3, 0)


def test_kernel_measures_are_their_definitions(kernels):
    k0, k1 = kernels
    h = centring(N)
    assert alignment(k0, k1) == pytest.approx(cosine(k0, k1), rel=1e-13)
    assert centred_alignment(k0, k1) == pytest.approx(cosine(h @ k0 @ h, h @ k1 @ h), rel=1e-12)
    assert distance(k0, k1) == pytest.approx(1 - cosine(k0, k1), rel=1e-13)
    assert change(k0, k1) == pytest.approx(np.linalg.norm(k1 - k0) / np.linalg.norm(k0), rel=1e-13)
    assert change(k0, k1, relative=False) == pytest.approx(np.linalg.norm(k1 - k0), rel=1e-13)


def test_alignment_is_one_only_for_proportional_kernels_and_blind_to_scale(kernels):
    k0, k1 = kernels
    assert alignment(k0, 7 * k0) == pytest.approx(1, abs=1e-14)
    assert distance(k0, 7 * k0) == pytest.approx(0, abs=1e-15)
    assert change(k0, 7 * k0) == pytest.approx(6)
    assert 0 < float(alignment(k0, k1)) < 0.99
    for factor in (1e-30, 1e30):  # squares of these do not fit into float32
        scaled = jnp.asarray(k0 * factor, jnp.float32)
        found = alignment(scaled, jnp.asarray(k1, jnp.float32))
        assert found.dtype == jnp.float32
        assert found == pytest.approx(cosine(k0, k1), rel=1e-5)


def test_distance_keeps_its_digits_between_close_kernels(kernels):
    k0, k1 = kernels
    near = k0 + 1e-5 * k1
    exact = 0.5 * np.sum((k0 / np.linalg.norm(k0) - near / np.linalg.norm(near)) ** 2)
    assert distance(*(jnp.asarray(k, jnp.float32) for k in (k0, near))) == pytest.approx(exact, rel=0.1)
    assert exact < 1e-9


def test_velocity_of_a_turning_kernel():
    # k(t) turns by the angle t in a plane of kernels: distance 1 - cos, angle itself.
    first, second = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    times = np.array([0.0, 0.1, 0.3, 0.4])
    turning = np.cos(times)[:, None, None] * first + np.sin(times)[:, None, None] * second
    gaps = np.diff(times)
    np.testing.assert_allclose(velocity(turning, times), (1 - np.cos(gaps)) / gaps, rtol=1e-12)
    np.testing.assert_allclose(velocity(turning, times, angular=True), 1, rtol=1e-12)


@pytest.mark.parametrize("cut", [9, 3])  # more samples than units, and fewer
def test_representation_alignment_is_that_of_the_gram_matrices(states, cut):
    h0, h1 = (h[:cut] for h in states)
    c0, c1 = (centring(cut) @ h for h in (h0, h1))
    assert of_states(h0, h1) == pytest.approx(cosine(h0 @ h0.T, h1 @ h1.T), rel=1e-12)
    expected = cosine(c0 @ c0.T, c1 @ c1.T)
    assert of_states(h0, h1, centred=True) == pytest.approx(expected, rel=1e-12)
    assert centred_alignment(h0 @ h0.T, h1 @ h1.T) == pytest.approx(expected, rel=1e-11)


def test_representation_alignment_does_not_see_rotations_nor_centred_a_constant(states):
    h0, h1 = states
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    for centred in (False, True):
        plain = float(of_states(h0, h1, centred=centred))
        turned = of_states(h0, 3 * h1 @ rotation, centred=centred)
        assert turned == pytest.approx(plain, rel=1e-12)
    constant = np.arange(5.0)
    shifted = of_states(h0, h1 + constant, centred=True)
    assert shifted == pytest.approx(float(of_states(h0, h1, centred=True)), rel=1e-11)
    assert abs(of_states(h0, h1 + constant) - of_states(h0, h1)) > 0.01


def test_target_alignment(kernels):
    k, _ = kernels
    rng = np.random.default_rng(3)
    y, several = rng.normal(size=N), rng.normal(size=(N, 2))
    along = y @ k @ y / (y @ y)
    assert with_target(k, y) == pytest.approx(along / np.linalg.norm(k), rel=1e-12)
    assert with_target(k, y, normalize="trace") == pytest.approx(along / np.trace(k), rel=1e-12)
    joint = cosine(k, several @ several.T)
    assert with_target(k, several) == pytest.approx(joint, rel=1e-12)
    share = np.trace(several.T @ k @ several) / np.sum(several**2) / np.trace(k)
    assert with_target(k, several, normalize="trace") == pytest.approx(share, rel=1e-12)
    for rule in ("frobenius", "trace"):  # the best a kernel of rank one can do
        assert with_target(np.outer(y, y), -2 * y, normalize=rule) == pytest.approx(1, rel=1e-12)


MEASURES = {
    "alignment": richness.kernel_alignment,
    "centred": richness.centred_kernel_alignment,
    "distance": richness.kernel_distance,
    "change": richness.kernel_change,
    "representation": richness.representation_alignment,
    "CKA": lambda a, b: richness.representation_alignment(a, b, centred=True),
    "target": lambda a, b: richness.kernel_target_alignment(a, b[:, 0]),
    "trace": lambda a, b: richness.kernel_target_alignment(a, b[:, 0], normalize="trace"),
    "weights": lambda a, b: richness.weight_change(a, b, relative=True),
}


def test_silent_networks_give_no_nan_anywhere(kernels):
    """Zero against zero, zero against something, something against zero and against itself; in one program."""
    k = jnp.asarray(kernels[1])
    pairs = jnp.stack([jnp.stack([a, b]) for a in (0 * k, k) for b in (0 * k, k)])

    @jax.jit
    @jax.vmap
    def everything(pair):
        values = {name: measure(*pair) for name, measure in MEASURES.items()}
        gradients = {name: jax.grad(lambda p, m=measure: m(p[0], p[1]))(pair) for name, measure in MEASURES.items()}
        return values, gradients, richness.is_silent(pair[0])

    values, gradients, silent = everything(pairs)
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), name
    for name in ("alignment", "centred", "representation", "CKA", "target", "trace"):
        np.testing.assert_array_equal(values[name][:3], 0)
        assert values[name][3] > 0.05, name
    np.testing.assert_allclose(values["distance"], [1, 1, 1, 0], rtol=0, atol=1e-30)
    np.testing.assert_array_equal(values["change"], [0, np.inf, 1, 0])
    np.testing.assert_array_equal(values["weights"], [0, np.inf, 1, 0])
    np.testing.assert_array_equal(silent, [True, True, False, False])


def test_a_constant_representation_has_no_centred_direction():
    constant = np.full((5, 3), 0.1) * np.arange(1, 4)
    other = np.random.default_rng(4).normal(size=(5, 3))
    assert of_states(constant, other, centred=True) == 0
    assert centred_alignment(constant @ constant.T, other @ other.T) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: richness.kernel_alignment(np.ones((2, 3)), np.ones((2, 3))), r"k0 must have shape \(points, points\)"),
        (lambda: richness.kernel_distance(np.eye(2), np.eye(3)), r"k1 must have shape \(2, 2\)"),
        (lambda: richness.kernel_velocity(np.eye(2)[None], [0.0]), "kernels must have shape"),
        (lambda: richness.kernel_velocity(np.ones((2, 3, 3)), [1.0, 1.0]), "times must be strictly increasing"),
        (lambda: richness.kernel_velocity(np.ones((2, 3, 3)), [1.0]), "times must have shape"),
        (lambda: richness.representation_alignment(np.ones((2, 3)), np.ones((3, 3))), "h0 and h1 must"),
        (lambda: richness.kernel_target_alignment(np.eye(3), np.ones(2)), "y must have shape"),
        (lambda: richness.kernel_target_alignment(np.eye(3), np.ones(3), normalize="none"), "normalize must be one"),
        (lambda: richness.weight_change({"a": np.ones(2)}, [np.ones(2)]), "w0 and w1 must be trees"),
        (lambda: richness.weight_change([np.ones(2)], [np.ones(3)]), r"w1 must have shape \(2\)"),
        (lambda: richness.weight_change([], []), "w0 and w1 must be trees"),
        (lambda: richness.sign_similarity(np.ones(2), np.ones(3)), "h1 must have shape"),
        (lambda: richness.sign_similarity(np.ones(0), np.ones(0)), "h0 must hold"),
        (lambda: richness.silent_units(np.ones(3)), "h must have shape"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
