"""The measures that the experiments on convolutional networks define for themselves."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from brainjax import catalog, data

cnn = catalog.load("counter_current/cnn").module
autoencoder = catalog.load("counter_current/autoencoder").module


def kernels(first):
    return jnp.asarray(np.asarray(first, float)[..., None, None])


def test_the_spectral_centroid():
    """One pixel has a flat spectrum: mean distance from the centre of a square. Averaging lowers it, edges raise it."""
    flat = (np.sqrt(2) + np.arcsinh(1)) / 6
    pixel = cnn.spectral_centroid(kernels([[0, 0, 0], [0, 2, 0], [0, 0, 0]]))
    np.testing.assert_allclose(pixel, flat, rtol=2e-3)
    f = (np.arange(1000) + 0.5) / 2000  # one quarter of the square, by the midpoint rule
    found = []
    for sign in (1, -1):  # all ones, or a chess board
        kernel = np.outer([1, sign, 1], [1, sign, 1])
        power = (sign + 2 * np.cos(2 * np.pi * f)) ** 2
        expected = power @ np.hypot(f[:, None], f[None, :]) @ power / power.sum() ** 2
        found.append(cnn.spectral_centroid(kernels(kernel)))
        np.testing.assert_allclose(found[-1], expected, rtol=5e-3)
    assert found[0] < flat < found[1]
    assert np.isnan(cnn.spectral_centroid(kernels(np.zeros((3, 3)))))


def test_kernels_of_independent_weights_have_the_centroid_of_one_pixel():
    found = cnn.spectral_centroid(jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 1, 20000))))
    np.testing.assert_allclose(found, (np.sqrt(2) + np.arcsinh(1)) / 6, rtol=1e-2)


def test_the_linear_bound_is_that_of_principal_components():
    train, test = (data.load("digits", split=split).images.reshape(-1, 64) / 16.0 for split in ("train", "test"))
    whole, left = autoencoder.linear_errors("digits", 0, 300, 9)
    test = test[:300]
    model = PCA(9, svd_solver="full").fit(train)
    np.testing.assert_allclose(left, np.mean((model.inverse_transform(model.transform(test)) - test) ** 2), rtol=1e-4)
    np.testing.assert_allclose(whole, np.mean((test - train.mean(0)) ** 2), rtol=1e-4)
    assert autoencoder.linear_errors("digits", 0, 300, 64)[1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(autoencoder.linear_errors("digits", 4, 300, 9)[1], left / 4, rtol=1e-6)


def test_rates_fall_along_half_a_cosine():
    assert [float(autoencoder.falling(0.01, share, 0.002)) for share in (0, 0.5, 1)] == pytest.approx(
        [0.01, 0.006, 0.002]
    )
    assert float(autoencoder.falling(0.0, 0.5, 0.002)) == 0
