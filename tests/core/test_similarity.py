"""Similarity of features: linear CKA against its definitions, what it does not see, and many pairs at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit, richness
from brainjax.core import similarity

numbers = np.random.default_rng(5)
X, Y = numbers.normal(size=(30, 6)), numbers.normal(size=(30, 6))
X[:, 0] += 2 * Y[:, 0]
ROTATION = np.linalg.qr(numbers.normal(size=(6, 6)))[0]
CKA = {d: jax.jit(lambda x, y, d=d: similarity.linear_cka(x, y, debiased=d)) for d in (False, True)}
SQUEEZE = np.diag([1, 1, 1, 1, 1, 10.0])


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_does_not_see_rotation_scale_and_shift_but_sees_other_maps(debiased):
    compiled = CKA[debiased]

    def cka(x, y):
        return float(compiled(x, y))

    np.testing.assert_allclose(cka(X, X), 1, rtol=1e-12)
    np.testing.assert_allclose(cka(3 * X @ ROTATION + 1, Y), cka(X, Y), rtol=1e-9)
    np.testing.assert_allclose(cka(Y, X), cka(X, Y), rtol=1e-12)
    assert abs(cka(X @ SQUEEZE, Y) - cka(X, Y)) > 0.05
    assert cka(np.ones((30, 6)), Y) == 0


def similar(x, y, debiased):
    """Linear CKA in numpy: from centred Gram matrices, or from sums over different examples i, j, q, r."""
    n, one = len(x), np.ones(len(x))

    def plain(a, b):
        center = np.eye(n) - 1 / n
        return np.sum((center @ a @ center) * (center @ b @ center))

    def unbiased(a, b):
        a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        total = np.trace(a @ b) + one @ a @ one * (one @ b @ one) / (n - 1) / (n - 2) - 2 / (n - 2) * one @ a @ b @ one
        return total / n / (n - 3)

    hsic, a, b = unbiased if debiased else plain, x @ x.T, y @ y.T
    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


def test_cka_by_its_definitions():
    for debiased in (False, True):
        np.testing.assert_allclose(CKA[debiased](X, Y), similar(X, Y, debiased), rtol=1e-10)


def test_the_debiased_estimate_is_near_zero_for_unrelated_features_where_the_plain_one_is_not():
    pairs = np.random.default_rng(1).normal(size=(2, 200, 12, 20))
    plain, debiased = (np.asarray(jax.jit(jax.vmap(CKA[d]))(*pairs)) for d in (False, True))
    assert plain.min() > 0.3
    assert abs(debiased.mean()) < 4.5 * debiased.std() / np.sqrt(200) + 0.01
    with pytest.raises(ValueError, match="same examples"):
        similarity.linear_cka(X, Y[:-1])
    with pytest.raises(ValueError, match="number of examples must be 4 or more"):
        similarity.linear_cka(X[:3], Y[:3], debiased=True)


def test_a_matrix_of_alignments_is_that_of_its_pairs():
    levels = [X, Y[:, :2], np.ones((30, 4)), X.reshape(30, 3, 2) ** 2]
    for debiased in (False, True):
        found = jax.jit(lambda a, b, d=debiased: similarity.cka_matrix(a, b, debiased=d))(levels, levels[:2])
        assert found.shape == (4, 2)
        np.testing.assert_allclose(found[0], [CKA[debiased](X, X), similar(X, Y[:, :2], debiased)], rtol=1e-10)
        np.testing.assert_allclose(found[3, 1], similar(X**2, Y[:, :2], debiased), rtol=1e-10)
        np.testing.assert_array_equal(found[2], 0)


def test_features_of_any_size_have_an_alignment_and_derivatives():
    @jax.jit
    def both(x, y):
        def values(x, y):
            return similarity.linear_cka(x, y) + similarity.linear_cka(x, y, debiased=True)

        return jax.value_and_grad(values)(x, y)

    single, other = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)
    exact = similar(X, Y, False) + similar(X, Y, True)
    for factor in (1e-25, 1e25):  # fourth powers of these do not fit into float32
        value, slope = both(factor * single, other)
        np.testing.assert_allclose(value, exact, rtol=1e-5)
        assert 0 < abs(factor * slope).max() < 1
    value, slope = both(0 * single, other)
    assert value == 0
    np.testing.assert_array_equal(slope, 0)


def test_topics_share_one_implementation():
    assert credit.linear_cka is similarity.linear_cka
    assert richness.representation_alignment is similarity.representation_alignment
    with pytest.raises(ValueError, match="one set of features or more"):
        similarity.cka_matrix([], [X])
