"""The tree-structured task against its definition, a numerical decomposition and the published singular values."""

import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.tasks import correlations, hierarchical_task


def test_items_and_features_are_the_published_ones():
    task = hierarchical_task()
    assert task.inputs.shape == (8, 8)
    assert task.outputs.shape == (15, 8)
    assert task.outputs.dtype == jnp.float64
    np.testing.assert_array_equal(task.inputs, np.eye(8))
    np.testing.assert_array_equal(jnp.sum(task.outputs, axis=0), 4)
    np.testing.assert_array_equal(jnp.sum(task.outputs, axis=1), [8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1])
    assert float(jnp.sum(task.outputs**2)) == 32


def test_items_share_the_features_of_their_common_ancestors():
    y = hierarchical_task(4).outputs
    for i in range(16):
        for j in range(16):
            assert float(y[:, i] @ y[:, j]) == 4 - (i ^ j).bit_length() + 1


@pytest.mark.parametrize("levels", [0, 1, 3, 5])
def test_closed_form_basis_is_a_singular_value_decomposition(levels):
    task = hierarchical_task(levels)
    modes = 2**levels
    s, u, v = (np.asarray(x) for x in (task.singular_values, task.left, task.right))
    np.testing.assert_allclose((u * s) @ v.T, task.sigma_yx, atol=1e-13)
    np.testing.assert_allclose(u.T @ u, np.eye(modes), atol=1e-13)
    np.testing.assert_allclose(v.T @ v, np.eye(modes), atol=1e-13)
    np.testing.assert_allclose(s, np.linalg.svd(task.sigma_yx, compute_uv=False)[:modes], rtol=1e-13)


def test_published_singular_values_in_both_scales():
    task = hierarchical_task(3)
    squares = np.array([15, 7, 3, 3, 1, 1, 1, 1])
    np.testing.assert_allclose(task.singular_values, np.sqrt(squares), rtol=1e-15)
    mean = np.linalg.svd(task.outputs @ task.inputs.T / 8, compute_uv=False)
    np.testing.assert_allclose(8 * mean, task.singular_values, rtol=1e-13)


def test_correlations_are_sums_over_examples():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 20)), rng.standard_normal((2, 20))
    sums = correlations(x, y)
    np.testing.assert_allclose(sums.sigma_yx, sum(np.outer(y[:, i], x[:, i]) for i in range(20)), rtol=1e-12)
    np.testing.assert_allclose(sums.sigma_xx, sum(np.outer(x[:, i], x[:, i]) for i in range(20)), rtol=1e-12)
    task = hierarchical_task()
    np.testing.assert_array_equal(correlations(task.inputs, task.outputs).sigma_yx, task.sigma_yx)


def test_float32_on_request():
    assert {array.dtype for array in hierarchical_task(2, dtype=jnp.float32)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("levels", [-1, True, 13])
def test_bad_levels_are_refused(levels):
    with pytest.raises(ValueError, match=r"levels must be a whole number from 0 to 12, got"):
        hierarchical_task(levels)


def test_examples_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="examples"):
        correlations(np.ones((3, 4)), np.ones((2, 5)))
