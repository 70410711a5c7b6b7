"""Softmax reads and reads decoded by the nearest value, in standard errors and against special functions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from brainjax import memory
from brainjax.memory._special import log_sphere_mean, wright_omega
from tests.memory.test_capacity import fast, unit, z_score


# -------------------------------------------------------------------------------------------------------------- softmax
def log_mean_by_bessel(b, d):
    nu = d / 2 - 1
    return np.log(scipy.special.ive(nu, b)) + b + scipy.special.gammaln(d / 2) + nu * np.log(2 / b)


def test_the_mean_of_an_exponential_over_the_sphere():
    d, b = (x.ravel() for x in np.meshgrid([2.0, 3.0, 4.5, 16.0, 64.0, 1000.0], [0.0, 1e-3, 1.0, 8.0, 40.0, 600.0]))
    found, (by_b, by_d) = fast(jax.vmap(jax.value_and_grad(log_sphere_mean, argnums=(0, 1))))(b, d)
    none = b == 0
    np.testing.assert_allclose(np.asarray(found)[none], 0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(found)[b == 1e-3], (b**2 / (2 * d))[b == 1e-3], atol=1e-10)
    with np.errstate(divide="ignore", invalid="ignore"):
        bessel = log_mean_by_bessel(np.where(none, 1, b), d)
        step = 1e-4 * d
        slopes = (
            log_mean_by_bessel(np.where(none, 1, b), d + step) - log_mean_by_bessel(np.where(none, 1, b), d - step)
        ) / (2 * step)
    usable = np.isfinite(bessel) & np.isfinite(slopes) & ~none
    assert usable.sum() >= 20
    np.testing.assert_allclose(np.asarray(found)[usable], bessel[usable], rtol=1e-9, atol=1e-10)
    plain = usable & (d > 2)
    np.testing.assert_allclose(np.asarray(by_d)[plain], slopes[plain], rtol=1e-4, atol=1e-7)
    # at d = 2 the slope of the integrand is singular at its end
    np.testing.assert_allclose(np.asarray(by_d)[usable & ~plain], slopes[usable & ~plain], rtol=1e-3, atol=1e-4)
    # the derivative with respect to b is the mean overlap under the tilted measure: a ratio of Bessel functions
    ratios = scipy.special.ive(d / 2, b)[usable] / scipy.special.ive(d / 2 - 1, b)[usable]
    np.testing.assert_allclose(np.asarray(by_b)[usable], ratios, rtol=1e-8)
    assert np.isfinite([by_b, by_d]).all()


def test_softmax_reads():
    rng = np.random.default_rng(10)
    d, b = 64, 8.0
    for pairs, printed, sets in ((1024, 0.132, 100), (4096, 0.487, 40)):
        t = np.sqrt(rng.beta(0.5, (d - 1) / 2, (sets, pairs - 1))) * rng.choice([-1, 1], (sets, pairs - 1))  # overlaps
        w = np.exp(b * (t - 1))
        assert z_score(w.sum(-1), memory.softmax_competition(pairs, d, b)) < 4
        errors = (w.sum(-1) ** 2 + (w**2).sum(-1)) / (1 + w.sum(-1)) ** 2  # the mean over values
        assert z_score(errors, memory.softmax_error(pairs, d, b)) < 4
        assert float(memory.softmax_error(pairs, d, b)) == pytest.approx(printed, abs=0.01)
    assert float(memory.softmax_competition(7, d, 0.0)) == pytest.approx(6)
    held = memory.softmax_capacity(64.0, 8.0)
    assert float(memory.softmax_competition(held, 64.0, 8.0)) == pytest.approx(1)
    assert float(held) == pytest.approx(math.exp(7.5), rel=0.06)
    # the Gaussian estimate of the competition, exp(b^2 / 2d), overstates it where b is not far below d
    x = 1024 * math.exp(16**2 / 32 - 16)
    assert x / float(memory.softmax_competition(1025, 16, 16.0)) == pytest.approx(6.58, abs=0.01)
    w = np.exp(16 * (np.sqrt(rng.beta(0.5, 7.5, (300, 1023))) * rng.choice([-1, 1], (300, 1023)) - 1))
    errors = (w.sum(-1) ** 2 + (w**2).sum(-1)) / (1 + w.sum(-1)) ** 2
    assert float(memory.softmax_error(1024, 16, 16.0)) == pytest.approx(errors.mean(), rel=0.2)


def test_the_guarantee_for_modern_hopfield_networks():
    for d, radius, c in ((20.0, 3.0, 3.1546), (75.0, 1.0, 1.3718)):
        count = float(memory.hopfield_capacity(d, radius=radius))
        assert (count / math.sqrt(0.001)) ** (4 / (d - 1)) == pytest.approx(c, abs=1e-4)
    x = jnp.array([-20.0, -1.0, 0.5, 1.0, 1.3, 4.0, 60.0])
    np.testing.assert_allclose(wright_omega(x), scipy.special.wrightomega(x), rtol=1e-13)


# ------------------------------------------------------------------------------------------------------------- decoding
def test_decoding_by_the_nearest_value():
    rng = np.random.default_rng(11)
    d = 64
    formula = np.asarray(fast(memory.decoding_accuracy)(np.array([64.0, 128.0, 256.0, 1024.0]), d, d))
    np.testing.assert_allclose(formula, [0.998, 0.956, 0.693, 0.087], atol=1e-3)
    for pairs, expected in zip((64, 128, 256), formula, strict=False):
        right = []
        for _ in range(6):
            keys, values = unit(rng, pairs, d), unit(rng, pairs, d)
            scores = keys @ (keys.T @ values) @ values.T
            right.append((scores.argmax(1) == np.arange(pairs)).mean())
        assert -0.02 < np.mean(right) - expected < 0.11  # pessimistic, never optimistic


@pytest.mark.slow
def test_the_law_of_decoding():
    sizes = np.array([64.0, 4096.0, 65536.0, 1e6])
    typical = np.asarray(memory.decoding_capacity_law(sizes, sizes))
    np.testing.assert_allclose(typical * 2 * np.log(typical), sizes**2, rtol=1e-12)
    every = np.asarray(memory.decoding_capacity_law(sizes, sizes, every=True))
    np.testing.assert_allclose(every * 8 * np.log(every), sizes**2, rtol=1e-12)
    exact = fast(jax.vmap(lambda d: memory.decoding_capacity(0.5, d, d)))(sizes)
    assert float(memory.decoding_accuracy(exact[0], 64.0, 64.0)) == pytest.approx(0.5, abs=1e-9)
    # the largest of N numbers lies below sqrt(2 ln N) by a share that falls as ln ln N / ln N
    excess = np.asarray(exact)[1:] / typical[1:] - 1
    assert np.all(np.diff(excess) < 0)
    assert np.all(
        (excess > 0) & (excess < (np.log(np.log(typical[1:])) + np.log(4 * np.pi)) / (2 * np.log(typical[1:])))
    )


def test_one_value_per_dimension_is_a_search_for_the_nearest_key():
    rng = np.random.default_rng(12)
    d = np.array([1.0, 4.0, 30.0, 200.0])
    expected = scipy.special.betainc(d / 2, 0.5, 0.5) / 2
    np.testing.assert_allclose(memory.nearest_key_error(2, d), expected, rtol=1e-10)
    keys = rng.normal(size=(20_000, 2, 4))
    wrong = (keys[:, 0] * keys[:, 1]).sum(-1) > (keys[:, 0] ** 2).sum(-1)
    assert z_score(wrong.astype(float), memory.nearest_key_error(2, 4)) < 4
