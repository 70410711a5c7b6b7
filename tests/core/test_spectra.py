"""Singular values and vectors, eigenvalues and effective rank against definitions worked out by hand and by numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.spectra import decompose, effective_rank, eigenvalues, singular_values, spectral_radius
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
    with pytest.raises(ValueError, match=r"matrices must be square, of shape \(\.\.\., N, N\), got \(2, 3\)"):
        eigenvalues(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"matrices must have shape \(\.\.\., rows, columns\), got \(3,\)"):
        decompose(np.ones(3))
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


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_decompositions_of_a_stack(shape):
    stack = np.random.default_rng(1).normal(size=(2, 3, *shape))
    left, values, right = jax.jit(jax.vmap(decompose))(stack)
    np.testing.assert_allclose(values, np.linalg.svd(stack, compute_uv=False), atol=1e-13)
    np.testing.assert_allclose((left * values[..., None, :]) @ right, stack, atol=1e-13)
    for part in (left, right.swapaxes(-1, -2)):
        assert part.shape == (2, 3, shape[0] if part is left else shape[1], min(shape))
        one = np.broadcast_to(np.eye(min(shape)), (2, 3, min(shape), min(shape)))
        np.testing.assert_allclose(part.swapaxes(-1, -2) @ part, one, atol=1e-13)


def test_eigenvalues_of_a_stack_fall_in_modulus():
    stack = np.random.default_rng(2).normal(size=(3, 5, 5))
    stack[2] = np.nan
    found = np.asarray(jax.jit(jax.vmap(eigenvalues))(stack))
    assert np.isnan(found[2]).all()
    assert np.all(np.diff(np.abs(found[:2])) <= 1e-14)
    expected = np.linalg.eigvals(stack[:2])
    for one, other in zip(found[:2], expected, strict=True):
        np.testing.assert_allclose(np.sort_complex(one), np.sort_complex(other), atol=1e-12)
    np.testing.assert_allclose(spectral_radius(stack[:2]), np.abs(expected).max(-1), atol=1e-12)
    assert spectral_radius(stack[0].astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(spectral_radius([[0, 2], [-2, 0]]), 2, rtol=1e-15)


def test_derivatives_of_vectors_and_eigenvalues():
    random = np.random.default_rng(4)
    matrix, change = random.normal(size=(4, 4)), random.normal(size=(4, 4))

    def best_of_rank_one(x):
        left, values, right = decompose(x)
        return jnp.outer(left[:, 0], right[0]) * values[0]

    for function in (best_of_rank_one, spectral_radius):
        _, tangent = jax.jvp(function, (jnp.asarray(matrix),), (jnp.asarray(change),))
        finite = (function(matrix + 1e-6 * change) - function(matrix - 1e-6 * change)) / 2e-6
        np.testing.assert_allclose(tangent, finite, atol=1e-7)
    gradient = jax.grad(spectral_radius)(jnp.asarray(matrix))
    np.testing.assert_allclose(jnp.sum(gradient * change), tangent, rtol=1e-10)


@pytest.mark.slow
def test_two_threads_may_take_singular_values_of_batches(tmp_path):
    """As the sweep engine does. With one batched call of the decomposition this does not end (jax 0.10, two cores)."""
    code = """
    from concurrent.futures import ThreadPoolExecutor
    import jax
    from brainjax.core.spectra import decompose, singular_values, spectral_radius

    def one(seed):
        matrices = jax.random.normal(jax.random.key(seed), (19, 100, 100))
        return singular_values(matrices), decompose(matrices[:2]), spectral_radius(matrices[:2, :40, :40])

    seeds = jax.numpy.arange(4)
    compiled = jax.jit(jax.vmap(one)).lower(seeds).compile()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda number: jax.block_until_ready(compiled(seeds + number)), range(24)))
    print(len(done), *done[0][0].shape)
    """
    assert as_user.run(code, cwd=tmp_path, timeout=60).split() == ["24", "4", "19", "100"]
