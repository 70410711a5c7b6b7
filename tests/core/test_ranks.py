"""Effective ranks against definitions by hand, their ordering, and what leaves them unchanged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core import spectra
from brainjax.core.spectra import (
    effective_rank,
    eigenvalue_rank,
    eigenvalues,
    energy_rank,
    numerical_rank,
    participation_ratio,
    singular_values,
    stable_rank,
)


def participation_of_values(values):
    return participation_ratio(values, power=1)


ORDERED = (stable_rank, participation_ratio, participation_of_values, effective_rank, numerical_rank)
EVERY = (*ORDERED, energy_rank, eigenvalue_rank)
SMOOTH = (0, 1, 2, 3, 6)


@jax.jit
def all_ranks(values):
    return jnp.stack([rank(values) for rank in EVERY], axis=-1)


@jax.jit
def derivatives(values):
    """First and second, of every rank, at every row."""
    return jax.vmap(jax.jacrev(all_ranks))(values), jax.vmap(jax.jacfwd(jax.jacrev(all_ranks)))(values)


def padded(rows):
    """Rows of six values, so that every test runs the same two programs."""
    rows = np.atleast_2d(np.asarray(rows, float))
    return np.pad(rows, ((0, 512 - len(rows)), (0, 6 - rows.shape[1])))


def test_by_hand():
    # squares 9 and 1, fourth powers 81 and 1; the order and zeros do not matter, but for the mean over N = 6
    expected = [10 / 9, 100 / 82, 16 / 10, 4 / 3**0.75, 2, 2, 4 / 18]
    found = all_ranks(padded([[3.0, 1.0, 0.0], [0.0, 3.0, 1.0]]))
    np.testing.assert_allclose(found[:2], [expected] * 2, rtol=1e-14)
    np.testing.assert_array_equal(found[2:], 0)  # a zero matrix


def test_ordering_with_equality_for_flat_spectra_only():
    random = np.random.default_rng(0)
    values = np.exp(random.uniform(0, 4, size=(500, 1)) * random.normal(size=(500, 6)))
    values *= random.uniform(size=(500, 6)) < 0.8
    values = values[(values > 0).sum(1) >= 2]
    ranks = np.asarray(all_ranks(padded(values)))[: len(values), :5]
    assert np.all(ranks[:, 0] >= 1)
    assert np.all(np.diff(ranks) >= -1e-12 * ranks[:, 1:])
    spread_out = (values > 0).sum(1) - ranks[:, 0] > 1e-3  # clearly not flat: every step is strict
    assert spread_out.mean() > 0.9
    relative = values / values.max(1, keepdims=True)
    seen = np.all(
        (relative == 0) | (relative > 1e-4), axis=1
    )  # but for values that rounding hides from all but the last
    assert np.all(np.diff(ranks)[spread_out & seen] > 0)
    flat = 2.5 * (np.arange(6) < np.arange(1, 7)[:, None])
    np.testing.assert_allclose(all_ranks(padded(flat))[:6, :5], np.arange(1, 7)[:, None] * np.ones(5), rtol=1e-13)


def test_scale_does_not_matter_even_where_powers_would_overflow():
    values = np.random.default_rng(1).uniform(0.1, 1, size=(4, 6)).astype(np.float32)
    plain, *scaled = all_ranks(np.stack([values, values * np.float32(1e-30), values * np.float32(1e30)]))
    assert plain.dtype == np.float32
    for other in scaled:
        np.testing.assert_allclose(other, plain, rtol=2e-6)


def test_rotations_change_none_and_similarity_leaves_the_eigenvalue_rank():
    random = np.random.default_rng(2)
    matrix = random.normal(size=(6, 6)) @ np.diag([1.0, 1, 0.5, 0.1, 0.1, 0])
    q, r = (np.linalg.qr(random.normal(size=(6, 6)))[0] for _ in range(2))
    change = np.eye(6) + 0.3 * random.normal(size=(6, 6))
    stack = np.stack([matrix, q @ matrix @ r, 7 * matrix.T, change @ matrix @ np.linalg.inv(change)])

    def both(x):
        return all_ranks(singular_values(x))[:6], eigenvalue_rank(eigenvalues(x))

    by_values, by_eigenvalues = map(np.asarray, jax.jit(jax.vmap(both))(stack))
    np.testing.assert_allclose(by_values[1:3], by_values[[0, 0]], rtol=1e-10)
    np.testing.assert_allclose(by_eigenvalues[[2, 3]], by_eigenvalues[[0, 0]], rtol=1e-10)
    assert abs(by_values[3, 0] - by_values[0, 0]) > 0.01
    assert abs(by_eigenvalues[1] - by_eigenvalues[0]) > 0.01


def test_nan_spoils_only_its_row():
    found = all_ranks(padded([[1.0, 1.0], [np.nan, 1.0]]))
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[0, :6], [2, 2, 2, 2, 2, 2])


def test_derivatives_are_those_of_the_formulas_and_finite_at_zeros():
    point, step = np.array([0.5, 1.0, 2.0, 0.7, 0.3, 1.1]), 1e-6
    around = padded([point, *(point + step * np.eye(6)), *(point - step * np.eye(6)), [1, 1, 0, 0, 0, 0], np.zeros(6)])
    ranks = np.asarray(all_ranks(around))
    first, second = (np.asarray(x)[:, SMOOTH] for x in derivatives(around))
    differences = (ranks[1:7] - ranks[7:13]).T / (2 * step)
    np.testing.assert_allclose(first[0], differences[SMOOTH, :], atol=1e-8)
    np.testing.assert_allclose(second[0], np.moveaxis(first[1:7] - first[7:13], 0, 2) / (2 * step), atol=1e-7)
    assert np.isfinite(first).all()


def test_thresholds():
    values = np.array([1.0, 1e-3, 1e-9, 1e-20])
    twenty = np.ones(20)  # 19 of them hold 0.95 exactly

    @jax.jit
    def counts(share, tolerance):
        return energy_rank(twenty, share=share), numerical_rank(values, tolerance=tolerance)

    assert [float(x) for x in counts(0.95, 1e-6)] == [19, 2]
    assert [float(x) for x in counts(0.951, 0.1)] == [20, 1]
    assert [float(x) for x in counts(1.0, 1e-10)] == [20, 3]
    assert numerical_rank(values) == 3
    assert numerical_rank(values.astype(np.float32)) == 2


def test_refusals():
    for rank in (*ORDERED, energy_rank):
        with pytest.raises(ValueError, match="values must be zero or more, got -1"):
            rank([1.0, -1.0])
        with pytest.raises(ValueError, match=r"values must have shape \(\.\.\., values\), got a number"):
            rank(2.0)
    with pytest.raises(ValueError, match=r"eigenvalues must have shape \(\.\.\., eigenvalues\), got a number"):
        eigenvalue_rank(2.0)
    with pytest.raises(ValueError, match="power must be one of 1, 2, got 3"):
        participation_ratio([1.0], power=3)
    with pytest.raises(ValueError, match=r"share must be between 0 and 1, got 1\.5"):
        energy_rank([1.0], share=1.5)
    with pytest.raises(ValueError, match="tolerance must be zero or more, got -1"):
        numerical_rank([1.0], tolerance=-1.0)
    assert set(spectra.__all__) >= {rank.__name__ for rank in EVERY if rank is not participation_of_values}
