"""What the null models of a connectome keep, exactly, and that they change the rest."""

import jax
import numpy as np
import pytest

from brainjax import data


@pytest.fixture(scope="module")
def weights():
    """Sparse counts with hubs and one connection of a unit with itself."""
    rng = np.random.default_rng(0)
    chance = np.outer(rng.uniform(0.05, 0.9, 30), rng.uniform(0.05, 1.0, 30))
    dense = rng.integers(1, 9, (30, 30)) * (rng.uniform(size=(30, 30)) < chance) * 1.0
    np.fill_diagonal(dense, 0)
    dense[3, 3] = 7
    return dense


@pytest.fixture(scope="module")
def drawn(weights):
    keys = jax.random.split(jax.random.key(0), 3)
    return np.asarray(jax.jit(jax.vmap(lambda key: data.rewired(key, weights)))(keys))


def test_rewiring_keeps_degrees_and_what_each_unit_sends(weights, drawn):
    for one in drawn:
        np.testing.assert_array_equal((one != 0).sum(0), (weights != 0).sum(0))
        np.testing.assert_array_equal((one != 0).sum(1), (weights != 0).sum(1))
        np.testing.assert_array_equal(np.sort(one, axis=0), np.sort(weights, axis=0))
        np.testing.assert_array_equal(np.diag(one), np.diag(weights))


def test_rewiring_forgets_who_was_connected(weights, drawn):
    """Overlap with the original falls to that of independent networks of these degrees, and draws differ."""
    there = weights != 0
    degrees = there.sum(1, keepdims=True) * there.sum(0, keepdims=True) / there.sum()
    by_chance = np.minimum(degrees, 1)[there].sum() / there.sum()
    overlaps = [((one != 0) & there).sum() / there.sum() for one in drawn]
    overlaps.append(((drawn[0] != 0) & (drawn[1] != 0)).sum() / there.sum())
    assert by_chance < 0.5
    np.testing.assert_allclose(overlaps, by_chance, atol=0.1)


def test_without_swaps_all_stays(weights):
    np.testing.assert_array_equal(data.rewired(jax.random.key(0), weights, swaps=0), weights)


def test_scattering_keeps_the_weights_and_not_their_places(weights):
    one = np.asarray(data.scattered(jax.random.key(1), weights))
    np.testing.assert_array_equal(np.sort(one.ravel()), np.sort(weights.ravel()))
    np.testing.assert_array_equal(np.diag(one), np.diag(weights))
    assert np.std((one != 0).sum(0)) < 0.7 * np.std((weights != 0).sum(0))


@pytest.mark.parametrize("fraction", [0.0, 0.8, 1.0])
def test_signs_are_presynaptic_and_as_many_as_asked(fraction, weights):
    one = np.asarray(data.random_signs(jax.random.key(2), weights + 1, excitatory=fraction))
    np.testing.assert_array_equal(np.abs(one), weights + 1)
    signs = np.sign(one)
    assert (signs == signs[:1]).all()
    assert (signs[0] == 1).sum() == round(30 * fraction)


def test_the_core_is_what_receives_and_sends():
    weights = np.zeros((5, 5))
    weights[1, 0] = weights[0, 1] = weights[2, 1] = weights[3, 2] = 1  # 0 <-> 1 -> 2 -> 3, and 4 only to itself
    weights[4, 4] = 1
    found = data.Connectome(weights, tuple("abcde"), "chemical", np.sign(weights).astype(np.int8), "")
    core = data.recurrent_core(found)
    assert core.names == ("a", "b")
    np.testing.assert_array_equal(core.weights, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(core.signs, [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="receives and sends"):
        data.recurrent_core(found._replace(weights=np.eye(5)))


def test_bad_input_is_refused(weights):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"weights must have shape \(N, N\), got \(2, 30\)"):
        data.rewired(key, weights[:2])
    with pytest.raises(ValueError, match="weights must be concrete"):
        jax.jit(lambda w: data.rewired(key, w))(weights)
    with pytest.raises(ValueError, match="swaps"):
        data.rewired(key, weights, swaps=-1)
    with pytest.raises(ValueError, match="weights must have shape"):
        data.scattered(key, weights[:2])
    with pytest.raises(ValueError, match="excitatory must be between 0 and 1, got 2"):
        data.random_signs(key, weights, excitatory=2)
