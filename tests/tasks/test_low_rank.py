"""Random matrices of low rank and random sets of entries: their defining properties and their distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.tasks import low_rank_matrix, observed_entries


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(12, 12), (8, 20)])
def test_rank_and_mean_square_entry(rank, shape):
    matrix = low_rank_matrix(jax.random.key(rank), shape, rank=rank)
    assert matrix.shape == shape
    np.testing.assert_allclose(jnp.mean(matrix**2), 1, rtol=1e-13)
    values = np.linalg.svd(matrix, compute_uv=False)
    assert values[rank - 1] > 1e-2
    assert (values[rank:] < 1e-12).all()


@pytest.mark.slow
def test_the_rank_may_be_traced_and_lower_ranks_share_factors():
    key, shape = jax.random.key(0), (9, 7)
    traced = jax.jit(jax.vmap(lambda rank: low_rank_matrix(key, shape, rank=rank, most=4)))(jnp.array([1.0, 2.0, 4.0]))
    for rank, matrix in zip((1, 2, 4), traced, strict=True):
        np.testing.assert_allclose(matrix, low_rank_matrix(key, shape, rank=rank, most=4), atol=1e-12)
        np.testing.assert_allclose(matrix, low_rank_matrix(key, shape, rank=rank), atol=1e-12)
    column_space = np.linalg.svd(traced[1])[0][:, :2]  # of rank 2; the column of the rank-1 matrix lies in it
    rest = traced[0] - column_space @ column_space.T @ traced[0]
    assert np.abs(rest).max() < 1e-12


def test_singular_values_lie_near_their_typical_size():
    n, rank = 200, 5
    values = [np.linalg.svd(low_rank_matrix(jax.random.key(k), (n, n), rank=rank), compute_uv=False) for k in range(4)]
    np.testing.assert_allclose(np.mean([v[:rank] for v in values]), n / rank**0.5, rtol=0.03)


@pytest.mark.parametrize("count", [1, 13, 63])
def test_the_number_of_observed_entries_is_exact(count):
    mask = observed_entries(jax.random.key(1), (7, 9), count=count)
    assert mask.shape == (7, 9)
    assert mask.sum() == count
    assert set(np.unique(mask)) <= {0.0, 1.0}


def test_the_count_may_be_traced_and_larger_sets_hold_smaller_ones():
    counts = jnp.array([3, 10, 20])
    masks = jax.jit(jax.vmap(lambda count: observed_entries(jax.random.key(2), (5, 6), count=count)))(counts)
    np.testing.assert_array_equal(masks.sum((1, 2)), counts)
    assert (jnp.diff(masks, axis=0) >= 0).all()


def test_every_entry_is_as_likely_as_any_other():
    draws = 4000
    keys = jax.random.split(jax.random.key(3), draws)
    masks = jax.vmap(lambda key: observed_entries(key, (4, 5), count=6))(keys)
    deviation = (masks.mean(0) - 0.3) / np.sqrt(0.3 * 0.7 / draws)
    assert np.abs(deviation).max() < 4  # twenty entries
    pairs = (masks[:, 0, 0] * masks[:, 3, 4]).mean()  # a fixed number of entries: slightly exclusive
    expected = 6 * 5 / (20 * 19)
    assert abs(pairs - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.slow)])
def test_dtypes(dtype):
    key = jax.random.key(0)
    assert low_rank_matrix(key, (3, 3), rank=1, dtype=dtype).dtype == dtype
    assert observed_entries(key, (3, 3), count=2, dtype=dtype).dtype == dtype


def test_refusals():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"shape must be two positive sizes, got \(3,\)"):
        low_rank_matrix(key, (3,), rank=1)
    with pytest.raises(ValueError, match=r"shape must be two positive sizes, got \(3, 0\)"):
        observed_entries(key, (3, 0), count=1)
    with pytest.raises(ValueError, match="rank must be a whole number from 1 to 2, got 3"):
        low_rank_matrix(key, (3, 3), rank=3, most=2)
    with pytest.raises(ValueError, match=r"rank must be a whole number from 1 to 2, got 1\.5"):
        low_rank_matrix(key, (3, 3), rank=1.5, most=2)
    with pytest.raises(ValueError, match="most must be 1 or more, got 0"):
        low_rank_matrix(key, (3, 3), rank=0)
    with pytest.raises(ValueError, match="most must be given where rank is traced"):
        jax.jit(lambda rank: low_rank_matrix(key, (3, 3), rank=rank))(2)
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 9, got 10"):
        observed_entries(key, (3, 3), count=10)
