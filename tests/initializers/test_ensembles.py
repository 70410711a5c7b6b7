"""Large random matrices against their laws, and against measurements made independently of this code.

Means over draws are compared in standard errors. A measured number carries its own sampling error, which is not known:
it is taken for the mean of as few draws as it may have been, plus half a unit of its last digit.
"""

import math

import jax
import numpy as np
import pytest

from brainjax import initializers as ini
from brainjax.core.spectra import effective_rank, eigenvalue_rank, numerical_rank, participation_ratio, stable_rank

GAIN = 1.25


def draws(init, count, units, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: init(key, (units, units))))(keys))


def radii(matrices):
    """Moduli of the eigenvalues, in falling order."""
    return -np.sort(-np.abs(np.linalg.eigvals(matrices)), axis=-1)


def values_of(matrices):
    return np.linalg.svd(matrices, compute_uv=False)


def agrees_with_law(samples, expected, bias=0.0):
    """The mean within four standard errors, and a stated correction for finite size."""
    error = np.std(samples, ddof=1) / math.sqrt(np.size(samples))
    assert abs(np.mean(samples) - expected) < 4 * error + bias, (np.mean(samples), error, expected)


def agrees_with_measurement(samples, measured, draws_then, digit):
    """The difference of two means within four standard errors; ``digit`` is the last one that was printed."""
    error = np.std(samples, ddof=1) * math.sqrt(1 / len(samples) + 1 / draws_then)
    assert abs(np.mean(samples) - measured) < 4 * error + digit / 2, (np.mean(samples), error, measured)


# ------------------------------------------------------------------------------------------------------- truncation
@pytest.fixture(scope="module")
def truncations():
    """Twelve base matrices of 200 units and gain 1.25, and their truncations."""
    base = draws(ini.gaussian(GAIN), 12, 200)
    left, values, right = np.linalg.svd(base)
    found = {}
    for rank in (1, 2, 5, 20, 200):
        kept = np.where(np.arange(200) < rank, values, 0)
        kept *= np.linalg.norm(values, axis=1, keepdims=True) / np.linalg.norm(kept, axis=1, keepdims=True)
        found[rank] = (kept, (left * kept[:, None, :]) @ right)
    one = ini.rank_structured(spectrum=ini.truncated(20), gain=GAIN)(
        jax.random.split(jax.random.key(0), 12)[3], (200, 200)
    )
    np.testing.assert_allclose(one, found[20][1][3], atol=1e-11)  # they are what the initializer gives
    return found


@pytest.mark.slow
def test_largest_singular_value_of_truncations(truncations):
    largest = {rank: values[:, 0] for rank, (values, _) in truncations.items()}
    agrees_with_law(largest[1], GAIN * math.sqrt(200), bias=GAIN / (4 * math.sqrt(200)))  # E ||W||, to the next order
    for rank, measured in ((1, 17.71), (2, 12.63), (5, 8.16), (200, 2.48)):
        agrees_with_measurement(largest[rank], measured, 1, 0.01)


@pytest.mark.slow
def test_spectral_radius_of_truncations(truncations):
    at_20, full = (radii(truncations[rank][1])[:, 0] for rank in (20, 200))
    agrees_with_measurement(at_20, 1.32, 1, 0.01)
    agrees_with_measurement(full, 1.30, 1, 0.01)
    assert at_20.std(ddof=1) < 0.25


def test_radius_at_rank_one_is_a_random_draw():
    """lambda = ||W|| v.u with independent directions u and v: half-normal, E |lambda| near g sqrt(2 / pi)."""
    units = 40
    found = draws(ini.rank_structured(spectrum=ini.truncated(1), gain=GAIN), 600, units)
    radius = np.abs(np.trace(found, axis1=1, axis2=2))
    norms = np.linalg.norm(found, axis=(1, 2))
    # E |first coordinate of a random unit vector|, exact; it is sqrt(2 / (pi N)) for many units
    overlap = math.exp(math.lgamma(units / 2) - math.lgamma((units + 1) / 2)) / math.sqrt(math.pi)
    agrees_with_law(radius, norms.mean() * overlap)
    agrees_with_law(radius**2, (norms**2).mean() / units)
    assert abs(norms.mean() * overlap / (GAIN * math.sqrt(2 / math.pi)) - 1) < 0.02
    assert (radius < 0.1 * GAIN).mean() > 0.03  # near zero or above the gain: the norm does not fix the dynamics
    assert (radius > GAIN).mean() > 0.2


# --------------------------------------------------------------------------------------------------------- Gaussian
@pytest.fixture(scope="module")
def ginibre():
    return draws(ini.gaussian(GAIN), 6, 300, seed=1)


@pytest.mark.slow
def test_ginibre(ginibre):
    values, moduli = values_of(ginibre), radii(ginibre)
    # E tr WW' = g^2 N and E tr (WW')^2 = g^4 (2 N + 1) exactly
    agrees_with_law((values**2).sum(1), GAIN**2 * 300)
    agrees_with_law((values**4).sum(1), GAIN**4 * 601)
    for rank, measured in ((participation_ratio, 149.9), (stable_rank, 78.4), (effective_rank, 240.8)):
        agrees_with_measurement(rank(values), measured, 1, 0.1)
    agrees_with_measurement(eigenvalue_rank(moduli), 0.649, 1, 0.001)
    # circular law: a fraction r^2 inside radius r; quarter-circle law for s / g on [0, 2]
    fraction = (moduli[:, :, None] < GAIN * np.array([0.3, 0.6, 0.9])).mean((0, 1))
    np.testing.assert_allclose(fraction, [0.09, 0.36, 0.81], atol=0.015)
    t = np.array([0.4, 1.0, 1.6])
    law = (t * np.sqrt(4 - t**2) / 2 + 2 * np.arcsin(t / 2)) / np.pi
    np.testing.assert_allclose((values[:, :, None] < GAIN * t).mean((0, 1)), law, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "measured"), [(30, (24.6, 29.6, 30.0, 0.064)), (100, (58.1, 90.7, 98.7, 0.224)), (1, (1, 1, 1, 1 / 300))]
)
def test_effective_ranks_of_truncations(ginibre, rank, measured):
    some = ginibre[: 3 if rank > 1 else 1]
    left, values, right = np.linalg.svd(some)
    kept = values * (np.arange(300) < rank)
    moduli = radii((left * kept[:, None, :]) @ right) if rank > 1 else np.eye(1, 300)
    found = stable_rank(kept), participation_ratio(kept), effective_rank(kept), eigenvalue_rank(moduli)
    for samples, number, digit in zip(found, measured, (0.1, 0.1, 0.1, 0.001), strict=True):
        if rank == 1:
            np.testing.assert_allclose(samples, number, rtol=1e-12)
        else:
            agrees_with_measurement(samples, number, 1, digit)
    np.testing.assert_array_equal(numerical_rank(kept), rank)


# -------------------------------------------------------------------------------------------------------- biological
def test_signs_make_an_outlier_that_balance_removes():
    """200 units, four fifths excitatory, magnitudes of Gaussian weights, Frobenius norm kept."""
    plain = draws(ini.signed(ini.gaussian(GAIN), balanced=False), 8, 200)
    balanced = draws(ini.signed(ini.gaussian(GAIN)), 8, 200)
    moduli, of_balanced = radii(plain), radii(balanced)
    agrees_with_measurement(moduli[:, 0], 8.5, 1, 0.1)
    agrees_with_law(
        moduli[:, 0], 200 * (0.8 - 0.2) * GAIN * math.sqrt(2 / (math.pi * 200)), bias=0.1
    )  # N <W>, + O(1/N)
    agrees_with_measurement(moduli[:, 1], 0.78, 1, 0.01)
    agrees_with_measurement(of_balanced[:, 0], 0.93, 1, 0.01)
    agrees_with_measurement(eigenvalue_rank(moduli), 0.063, 1, 0.001)
    agrees_with_measurement(eigenvalue_rank(of_balanced), 0.390, 1, 0.001)
    for matrices in (plain, balanced):  # singular values do not see the balance
        agrees_with_measurement(stable_rank(values_of(matrices)), 1.56, 1, 0.01)
    np.testing.assert_allclose(np.linalg.norm(balanced, axis=(1, 2)), np.linalg.norm(plain, axis=(1, 2)), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.5, pytest.param(-0.5, marks=pytest.mark.slow)])
def test_reciprocal_correlation_gives_the_elliptic_law(tau):
    found = np.linalg.eigvals(draws(ini.motifs(ini.gaussian(), reciprocal=tau), 4, 150))
    # uniform in the ellipse: mean squares of the parts are a quarter of the squared half axes
    agrees_with_law((found.real**2).mean(1), (1 + tau) ** 2 / 4, bias=1 / 150)
    agrees_with_law((found.imag**2).mean(1), (1 - tau) ** 2 / 4, bias=1 / 150)
    inside = (found.real / (1 + tau)) ** 2 + (found.imag / (1 - tau)) ** 2
    np.testing.assert_allclose((inside < 0.5).mean(), 0.5, atol=0.04)


@pytest.mark.slow
def test_chains_move_the_outlier_and_the_radius():
    h, units = 0.4, 100
    keys = jax.random.split(jax.random.key(0), 8)
    ones = lambda key, shape, dtype: jax.numpy.ones(shape, dtype)  # noqa: E731
    sparse = ini.blocks(probabilities=[[0.2]], sizes=[units])

    @jax.jit
    def matrices(chain):
        def under(key):
            arms = (ini.motifs(init, heterogeneity=h, chain=chain) for init in (sparse, ini.gaussian(), ones))
            return [arm(key, (units, units)) for arm in arms]

        return jax.vmap(under)(keys)

    plain = radii(draws(ini.gaussian(), 8, units))[:, 0]
    for chain in (-0.5, 0.0, 1.0):
        with_mean, without, factors = map(np.asarray, matrices(chain))
        # a = a_i b_i of every unit. The mean of W has the eigenvalue p times their sum.
        products = np.diagonal(factors, axis1=1, axis2=2)
        agrees_with_law(products, 1 + chain * h**2)
        agrees_with_law(products**2, (1 + h**2) ** 2 * (1 + chain * h**2) ** 4)
        agrees_with_law(radii(with_mean)[:, 0] - 0.2 * products.sum(1), 0, bias=1)  # + O(1)
        # Without a mean: W = D_a G D_b has the eigenvalues of D_b D_a G, whose radius is the root mean square of a b.
        expected = plain * np.sqrt((products**2).mean(1))
        agrees_with_law(radii(without)[:, 0] / expected, 1, bias=1 / math.sqrt(units))  # the edge is that wide


# ----------------------------------------------------------------------------------------------- low rank and noise
@pytest.mark.slow
@pytest.mark.parametrize(
    "gain", [0.1, pytest.param(0.3, marks=pytest.mark.slow), pytest.param(0.8, marks=pytest.mark.slow)]
)
def test_low_rank_signal_in_noise(gain):
    """Numerically of full rank, of low stable rank; the outliers are where the theory of spikes has them."""
    units, overlap, spread = 200, 1.5, 0.8
    found = draws(ini.low_rank_factors(overlap=np.diag([overlap, overlap / 2]), spread=spread, gain=gain), 8, units)
    values = values_of(found)
    np.testing.assert_array_equal(numerical_rank(values), units)
    signal = draws(ini.low_rank_factors(overlap=np.diag([overlap, overlap / 2]), spread=spread), 8, units)
    squares = values_of(signal)[:, :2] ** 2  # the same signals, under the same keys
    # a singular value t of the signal becomes (t^2 + g^2) / t, above the edge 2 g of the noise
    largest = (squares[:, 0] + gain**2) / np.sqrt(squares[:, 0])
    agrees_with_law(values[:, 0] - largest, 0, bias=gain**2 / math.sqrt(units))
    stable = (squares.sum(1) + gain**2 * units) / largest**2
    agrees_with_law(stable_rank(values) / stable, 1, bias=1 / math.sqrt(units))
    assert np.all(effective_rank(values) > 100)  # which sees the noise as well
    outlier = np.linalg.eigvals(found).real.max(1)
    agrees_with_law(outlier - np.linalg.eigvals(signal).real.max(1), 0, bias=0.02)
