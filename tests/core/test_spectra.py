"""Singular values and effective rank against definitions worked out by hand and by numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.spectra import effective_rank, singular_values
from tests import as_user


def with_values(values, rows, columns, seed=0):
    random = np.random.default_rng(seed)
    left = np.linalg.qr(random.normal(size=(rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(random.normal(size=(columns, columns)))[0][:, : len(values)]
    return left * values @ right.T


def test_singular_values_of_a_stack():
    chosen = np.array([[3.0, 2.0, 0.5], [1.0, 1.0, 0.0]])
    stack = np.stack([with_values(values, 5, 3, seed) for seed, values in enumerate(chosen)])
    np.testing.assert_allclose(singular_values(stack), chosen, atol=1e-14)
    np.testing.assert_allclose(singular_values(stack.swapaxes(1, 2), count=2), chosen[:, :2], atol=1e-14)


def test_derivatives_of_singular_values_are_overlaps_also_where_they_coincide_or_vanish():
    values = np.array([2.0, 1.0, 0.3])
    matrix, change = with_values(values, 4, 3), np.random.default_rng(3).normal(size=(4, 3))
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    _, tangent = jax.jvp(singular_values, (matrix,), (change,))
    np.testing.assert_allclose(tangent, np.sum(left * (change @ right.T), axis=0), atol=1e-12)
    for equal in ([1.0, 1.0, 1.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]):
        gradient = jax.grad(lambda x: singular_values(x).sum())(jnp.asarray(with_values(np.array(equal), 4, 3)))
        assert np.isfinite(gradient).all()


def test_a_matrix_with_nan_spoils_only_itself():
    stack = np.stack([np.eye(3), np.full((3, 3), np.nan)])
    values = singular_values(stack)
    np.testing.assert_allclose(values[0], 1)
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize("count", [1, 2, 5, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_values_count_fully_and_zeros_do_not(count, dtype):
    values = np.concatenate([np.full(count, 1e-3), np.zeros(7)]).astype(dtype)
    rank = effective_rank(values)
    assert rank.dtype == dtype
    np.testing.assert_allclose(rank, count, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_two_values_by_hand():
    # shares 3/4 and 1/4: exp(-(3/4) ln(3/4) - (1/4) ln(1/4)) = 4 / 3^(3/4)
    np.testing.assert_allclose(effective_rank([3.0, 1.0]), 4 / 3**0.75, rtol=1e-14)


def test_scale_does_not_matter_and_a_zero_matrix_has_rank_zero():
    values = np.random.default_rng(0).uniform(size=(4, 6))
    np.testing.assert_allclose(effective_rank(values), effective_rank(1e-30 * values), rtol=1e-12)
    assert effective_rank(np.zeros(3)) == 0
    np.testing.assert_array_equal(effective_rank(np.zeros((2, 3))), [0, 0])


def test_gradient_is_that_of_the_formula_and_finite_at_zeros():
    values = np.array([0.5, 1.0, 2.0])
    step = 1e-6
    finite = [(effective_rank(values + step * e) - effective_rank(values - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(jax.grad(effective_rank)(jnp.asarray(values)), finite, atol=1e-8)
    for zeros in ([1.0, 0.0], [0.0, 0.0]):
        assert np.isfinite(jax.grad(effective_rank)(jnp.array(zeros))).all()


def test_numbers_and_lists_and_transformations():
    both = jax.jit(jax.vmap(lambda x: effective_rank(singular_values(x))))(jnp.stack([jnp.eye(3), 2 * jnp.eye(3)]))
    np.testing.assert_allclose(both, 3)
    assert singular_values([[3, 0], [0, 4]]).tolist() == [4.0, 3.0]


def test_refusals():
    with pytest.raises(ValueError, match=r"matrices must have shape \(\.\.\., rows, columns\), got \(3,\)"):
        singular_values(np.ones(3))
    with pytest.raises(ValueError, match=r"count must be from 1 to 2 .* got 3"):
        singular_values(np.ones((2, 4)), count=3)
    with pytest.raises(ValueError, match=r"count must be from 1 to 2 .* got 0"):
        singular_values(np.ones((2, 4)), count=0)
    with pytest.raises(ValueError, match=r"values must be zero or more, got -1"):
        effective_rank([1.0, -1.0])
    with pytest.raises(ValueError, match=r"values must have shape .* got a number"):
        effective_rank(2.0)


def test_second_derivatives():
    matrix = np.random.default_rng(5).normal(size=(3, 3))
    values = np.linalg.svd(matrix, compute_uv=False)
    u, _, vt = np.linalg.svd(matrix)
    turn = np.outer(
        u[:, 1], vt[0]
    )  # mixes the first two modes: d2 s_0 = s_0 / (s_0^2 - s_1^2) along it, by perturbation
    second = jax.hessian(lambda x: singular_values(matrix + x * turn)[0])(0.0)
    np.testing.assert_allclose(second, values[0] / (values[0] ** 2 - values[1] ** 2), rtol=1e-10)


def test_two_threads_may_take_singular_values_of_batches(tmp_path):
    """As the sweep engine does. With one batched call of the decomposition this does not end (jax 0.10, two cores)."""
    code = """
    from concurrent.futures import ThreadPoolExecutor
    import jax
    from brainjax.core.spectra import singular_values

    def one(seed):
        return singular_values(jax.random.normal(jax.random.key(seed), (19, 100, 100)))

    seeds = jax.numpy.arange(4)
    compiled = jax.jit(jax.vmap(one)).lower(seeds).compile()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda number: jax.block_until_ready(compiled(seeds + number)), range(24)))
    print(len(done), *done[0].shape)
    """
    assert as_user.run(code, cwd=tmp_path, timeout=60).split() == ["24", "4", "19", "100"]
