"""Association in context: what the tokens say, and the distributions of what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.interleaved import interleave, token_size
from brainjax.tasks import in_context_regression

CUES, DIMENSION, TRIALS, DRAWS = 4, 3, 12, 2000
SINGLE, ADDITIVE = (0.0, 0.0, 0.0, 0.0), (0.5, 0.2, 0.3, 0.0)  # compound, change, noise, shuffled
SHUFFLED = (0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def drawn():
    """Batches from three worlds, of one program; all have the same keys."""

    def one(key, world):
        compound, change, noise, shuffled = world
        return in_context_regression(
            key,
            cues=CUES,
            dimension=DIMENSION,
            trials=TRIALS,
            compound=compound,
            change=change,
            noise=noise,
            shuffled=shuffled,
        )

    some = jax.jit(jax.vmap(one, (0, None)))
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return {world: jax.tree.map(np.asarray, some(keys, world)) for world in (SINGLE, ADDITIVE, SHUFFLED)}


def in_standard_errors(samples, expected):
    return abs(np.mean(samples) - expected) / (np.std(samples) / np.sqrt(len(samples)))


def test_tokens_are_cues_and_then_outcomes(drawn):
    found = drawn[ADDITIVE]
    assert found.tokens.shape == (DRAWS, 2 * TRIALS, token_size(DIMENSION))
    cue, outcome = found.tokens[:, ::2], found.tokens[:, 1::2]
    np.testing.assert_allclose(cue[..., :DIMENSION], found.intensities @ found.codes, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(cue[..., DIMENSION:], 0)
    np.testing.assert_array_equal(outcome[..., :DIMENSION], 0)
    np.testing.assert_array_equal(outcome[..., DIMENSION], found.targets)
    np.testing.assert_array_equal(outcome[..., DIMENSION + 1], 1)
    np.testing.assert_allclose(np.sum(found.codes**2, -1), 1, rtol=1e-12)


def test_a_single_cue_keeps_its_worth(drawn):
    found = drawn[SINGLE]
    np.testing.assert_array_equal(found.intensities.sum(-1), 1)
    cue = np.argmax(found.intensities, -1)
    counts = np.bincount(cue.ravel(), minlength=CUES)
    assert np.all(np.abs(counts - cue.size / CUES) < 4 * np.sqrt(cue.size / CUES * (1 - 1 / CUES)))
    for i in range(CUES):
        worth = np.where(cue == i, found.targets, np.nan)
        spread = np.nanmax(worth, 1) - np.nanmin(worth, 1) if np.all(np.any(cue == i, 1)) else None
        assert spread is None or np.all(spread[np.isfinite(spread)] == 0)
    assert in_standard_errors(found.targets[:, 0], 0) < 4
    assert in_standard_errors(found.targets[:, 0] ** 2, 1) < 4


def test_known_cues_were_there_before(drawn):
    for found in drawn.values():
        for intensities, known in zip(found.intensities[:20], found.known[:20], strict=True):
            seen = set()
            for row, said in zip(intensities, known, strict=True):
                assert said == (set(np.flatnonzero(row)) <= seen)
                seen |= set(np.flatnonzero(row))


def test_compounds_changes_and_noise_have_their_sizes(drawn):
    """Two cues of independent worth: the outcome's variance is the number of cues plus that of the noise."""
    found = drawn[ADDITIVE]
    count = found.intensities.sum(-1)
    assert set(np.unique(count)) == {1, 2}
    assert in_standard_errors(np.mean(count, 1), 1.5) < 4
    assert in_standard_errors(np.mean(found.targets**2 - count, 1), 0.3**2) < 4
    # the same single cue on two neighbouring trials: its worth correlates unless it was drawn again (0.2)
    alone = (count[:, :-1] == 1) & np.all(found.intensities[:, :-1] == found.intensities[:, 1:], -1)
    products = (found.targets[:, :-1] * found.targets[:, 1:])[alone]
    assert products.size > 1000
    assert in_standard_errors(products, 0.8) < 4


def test_shuffling_puts_the_same_outcomes_in_random_order(drawn):
    plain, mixed = drawn[SINGLE], drawn[SHUFFLED]
    np.testing.assert_array_equal(np.sort(mixed.targets), np.sort(plain.targets))
    np.testing.assert_array_equal(mixed.intensities, plain.intensities)
    # each place gets each outcome equally often
    came_from = np.argmin(np.abs(mixed.targets[:, :1] - plain.targets), 1)
    first_of_its_value = np.argmin(np.abs(plain.targets[:, :1] - plain.targets), 1)
    assert np.mean(came_from == first_of_its_value) < 0.6
    np.testing.assert_array_equal(mixed.tokens[:, 1::2, DIMENSION], mixed.targets)


def test_single_precision_throughout():
    shapes = jax.eval_shape(
        lambda key: in_context_regression(key, cues=2, dimension=2, trials=3, dtype=jnp.float32), jax.random.key(0)
    )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(shapes)} == {"float32", "bool"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cues": 1}, "cues must be 2 or more, got 1"),
        ({"dimension": 0}, "dimension must be 1 or more, got 0"),
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"compound": 1.5}, "compound must be between 0 and 1, got 1.5"),
        ({"change": -0.1}, "change must be between 0 and 1, got -0.1"),
        ({"shuffled": 2.0}, "shuffled must be between 0 and 1, got 2.0"),
        ({"noise": -1.0}, "noise must be zero or more, got -1.0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError) as refused:
        in_context_regression(jax.random.key(0), **{"cues": 2, "dimension": 2, "trials": 2} | options)
    assert str(refused.value) == message


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"outcomes must have shape .* got \(3, 1\) and \(4, 2\)"):
        interleave(np.zeros((4, 2)), np.zeros((3, 1)))
