"""Signs, blocks, motifs and factors: what holds for every draw, and means against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import initializers as ini

KEY = jax.random.key(5)
N = 20


def draws(init, count, shape=(N, N)):
    return np.asarray(jax.jit(jax.vmap(lambda key: init(key, shape)))(jax.random.split(KEY, count)))


def standard_errors(samples, expected):
    """How many standard errors the mean over the first axis is from what is expected."""
    return (samples.mean(0) - expected) / (samples.std(0, ddof=1) / np.sqrt(len(samples)))


# ------------------------------------------------------------------------------------------------------------ signs
@pytest.mark.parametrize("balanced", [True, False])
def test_columns_have_one_sign_and_the_norm_stays(balanced):
    base = ini.gaussian(1.25)
    plain = np.asarray(base(KEY, (N, N)))
    found = np.asarray(ini.signed(base, excitatory=0.75, balanced=balanced)(KEY, (N, N)))
    assert np.all(found[:, :15] >= 0)
    assert np.all(found[:, 15:] <= 0)
    np.testing.assert_allclose(np.linalg.norm(found), np.linalg.norm(plain), rtol=1e-13)
    ratio = np.abs(found) / np.abs(plain)
    np.testing.assert_allclose(ratio[:, 15:] / ratio[0, 0], 3 if balanced else 1, rtol=1e-12)
    np.testing.assert_allclose(ratio[:, :15] / ratio[0, 0], 1, rtol=1e-12)
    rows = draws(ini.signed(base, excitatory=0.75, balanced=balanced, normalize="none"), 400).mean((1, 2))
    mean = 1.25 * np.sqrt(2 / np.pi / N) * (0 if balanced else 0.5)
    assert abs(standard_errors(rows, mean)) < 4


def test_the_fraction_may_be_traced():
    def found(excitatory):
        return ini.signed(ini.gaussian(), excitatory=excitatory)(KEY, (6, 8))

    many = np.asarray(jax.jit(jax.vmap(found))(jnp.array([0.5, 0.75])))
    for one, excitatory in zip(many, (0.5, 0.75), strict=True):
        np.testing.assert_allclose(one, found(excitatory), rtol=1e-12)
        assert np.all(np.sign(one).sum(0) == 6 * np.where(np.arange(8) < 8 * excitatory, 1, -1))


# ----------------------------------------------------------------------------------------------------------- blocks
TABLES = {
    "probabilities": np.array([[0.1, 0.5, 0.0], [0.3, 0.9, 1.0], [0.2, 0.4, 0.6]]),
    "strengths": np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 3.0], [2.0, 0.1, 0.0]]),
    "signs": np.array([1, -1, 1]),
}
SIZES = [10, 6, 4]


def spread(table):
    of_unit = np.repeat(np.arange(3), SIZES)
    return np.asarray(table)[of_unit[:, None], of_unit[None, :]]


def test_entries_have_the_mean_and_variance_of_their_block():
    found = draws(ini.blocks(sizes=SIZES, **TABLES), 600)
    p, size = spread(TABLES["probabilities"]), spread(TABLES["strengths"] * TABLES["signs"])
    assert set(np.unique(found[:, :10, :10])) == {0.0, 1.0}
    some = (p > 0) & (p < 1) & (size != 0)
    np.testing.assert_array_equal(found[:, ~some], np.broadcast_to((p * size)[~some], found[:, ~some].shape))
    z = standard_errors(found[:, some], (p * size)[some])
    assert np.abs(z).max() < 4.8  # of 380 entries
    assert 0.8 < z.std() < 1.2
    assert np.linalg.matrix_rank(p * size) <= 3


def test_magnitudes_come_from_the_initializer_within():
    table = {**TABLES, "probabilities": np.ones((3, 3))}
    base = ini.rank_structured(spectrum=ini.truncated(2))
    plain = np.asarray(base(KEY, (N, N)))
    found = ini.blocks(base, sizes=SIZES, **table)(KEY, (N, N))
    expected = spread(table["strengths"] * table["signs"]) * np.abs(plain) / np.abs(plain).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    signed = ini.blocks(base, probabilities=np.ones((3, 3)), sizes=SIZES)(KEY, (N, N))
    np.testing.assert_allclose(signed, plain / np.abs(plain).mean(), rtol=1e-12)


def test_by_fractions_and_by_edge_signs_and_nested_masks():
    by_size = ini.blocks(sizes=SIZES, **TABLES)(KEY, (N, N))
    by_fraction = jax.jit(lambda f, p: ini.blocks(fractions=f, **{**TABLES, "probabilities": p})(KEY, (N, N)))(
        jnp.array(SIZES) / N, jnp.asarray(TABLES["probabilities"])
    )
    np.testing.assert_array_equal(by_fraction, by_size)
    edges = {**TABLES, "signs": np.tile(TABLES["signs"], (3, 1))}
    np.testing.assert_array_equal(ini.blocks(sizes=SIZES, **edges)(KEY, (N, N)), by_size)
    thirds = ini.types_of_units(10, fractions=np.full(3, 1 / 3))
    np.testing.assert_array_equal(thirds, [0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    sparse, dense = (ini.blocks(probabilities=[[p]], sizes=[N])(KEY, (N, N)) for p in (0.2, 0.6))
    assert np.all(dense >= sparse)  # one key: the connections of the sparser matrix are among the denser's


# ----------------------------------------------------------------------------------------------------------- motifs
@pytest.mark.parametrize("tau", [-1.0, -0.4, 0.6, 1.0])
def test_reciprocal_correlation(tau):
    found = draws(ini.motifs(ini.gaussian(), reciprocal=tau), 300)
    upper = np.triu_indices(N, 1)
    there, back = found[:, *upper], found.swapaxes(1, 2)[:, *upper]
    assert abs(standard_errors((there * back).mean(1), tau / N)) < 4
    assert abs(standard_errors((found[:, ~np.eye(N, dtype=bool)] ** 2).mean(1), 1 / N)) < 4
    diagonal = np.diagonal(found, axis1=1, axis2=2)
    if tau > -1:
        assert abs(standard_errors((diagonal**2).mean(1), (1 + tau) / N)) < 4
    if abs(tau) == 1:
        np.testing.assert_allclose(found, tau * found.swapaxes(1, 2), atol=1e-12)


@pytest.mark.slow
def test_strengths_have_the_moments_asked_for_and_masks_stay():
    h, c = 0.5, -0.6
    ones = lambda key, shape, dtype: jnp.ones(shape, dtype)  # noqa: E731
    found = draws(ini.motifs(ones, heterogeneity=h, chain=c), 3000, (3, 3))
    off = found[:, [0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    assert np.abs(standard_errors(off, 1)).max() < 4
    convergent, divergent, chain = (
        found[:, 0, 1] * found[:, 0, 2],
        found[:, 1, 0] * found[:, 2, 0],
        found[:, 0, 1] * found[:, 1, 2],
    )
    for pairs, alpha in ((convergent, h**2), (divergent, h**2), (chain, c * h**2)):
        assert abs(standard_errors(pairs, 1 + alpha)) < 4
    assert abs(standard_errors(chain, 1)) > 6  # the test would see a missing correlation
    masked = ini.blocks(probabilities=[[0.3]], sizes=[N])
    with_motifs = ini.motifs(masked, heterogeneity=h, chain=1.0)(KEY, (N, N))
    np.testing.assert_array_equal(np.asarray(with_motifs) > 0, np.asarray(masked(KEY, (N, N))) > 0)


@pytest.mark.slow
def test_without_motifs_nothing_changes_and_knobs_are_traced():
    plain = ini.gaussian()(KEY, (N, N))
    np.testing.assert_array_equal(ini.motifs(ini.gaussian())(KEY, (N, N)), plain)

    def total(knobs):
        tau, h, c = knobs
        return ini.motifs(ini.gaussian(), reciprocal=tau, heterogeneity=h, chain=c)(KEY, (N, N))

    knobs = jnp.array([[0.0, 0.0, 0.0], [0.3, 0.5, 1.0], [1.0, 0.5, -0.8]])
    many, slopes = jax.jit(jax.vmap(lambda x: (total(x), jax.jacfwd(total)(x))))(knobs)
    np.testing.assert_allclose(many[0], plain, atol=1e-12)
    np.testing.assert_allclose(many[1], total((0.3, 0.5, 1.0)), atol=1e-12)
    assert np.isfinite(slopes).all()


# ---------------------------------------------------------------------------------------------------------- factors
@pytest.mark.slow
def test_overlaps_and_singular_values_of_factors():
    overlap, spread_ = np.array([[1.5, 0.4], [-0.3, 0.5]]), np.array([1.0, 2.0])
    found = draws(ini.low_rank_factors(overlap=overlap, spread=spread_), 300, (60, 60))
    # E tr W = tr J, E tr W^2 = sum of E (n.m/N)(n.m/N) = tr J^2 + O(1/N): compare with the exact finite-size moments
    assert abs(standard_errors(np.trace(found, axis1=1, axis2=2), np.trace(overlap))) < 4
    np.testing.assert_array_equal(np.linalg.matrix_rank(found[:5]), 2)
    # E ||W||^2 = (1/N^2) sum_rs E (m_r.m_s)(n_r.n_s); for J = 0 it is sum_r sigma_r^2
    apart = draws(ini.low_rank_factors(overlap=0 * overlap, spread=spread_), 300, (60, 60))
    assert abs(standard_errors((apart**2).sum((1, 2)), (spread_**2).sum())) < 4
    noise = ini.low_rank_factors(overlap=0.0, spread=0.0, gain=1.3)(KEY, (N, N))
    np.testing.assert_allclose(noise, ini.gaussian(1.3)(KEY, (N, N)), rtol=1e-13)


# ------------------------------------------------------------------------------------------------------ composition
def test_everything_composes_with_traced_knobs_in_one_compilation():
    traces = []

    @jax.jit
    def weights(rank, angle, tau, h, f, p):
        traces.append(1)
        task = jnp.eye(N)[:, :1]
        low = ini.rank_structured(spectrum=ini.truncated(rank), gain=1.25, directions=(task, task), alignment=angle)
        init = ini.blocks(
            ini.signed(ini.motifs(low, reciprocal=tau, heterogeneity=h, chain=0.5), excitatory=f),
            probabilities=jnp.full((2, 2), p),
            fractions=[0.5, 0.5],
        )
        return ini.matched(init, norm="radius", size=0.9)(KEY, (N, N))

    for knobs in ((1, 0.0, 0.0, 0.2, 0.8, 1.0), (5, 0.5, 0.3, 0.1, 0.5, 0.5)):
        found = np.asarray(weights(*knobs))
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(found)).max(), 0.9, rtol=1e-10)
        count = round(knobs[4] * N)
        assert np.all(found[:, :count] >= 0)
        assert np.all(found[:, count:] <= 0)
    assert len(traces) == 1


GOOD = {"probabilities": np.full((2, 2), 0.5), "sizes": [3, 3]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ini.signed(ini.gaussian(), excitatory=1.2), r"excitatory must be between 0 and 1, got 1\.2"),
        (
            lambda: ini.signed(ini.gaussian(), excitatory=0.99),
            r"excitatory must leave columns of both signs .* got 0\.99 of 6",
        ),
        (lambda: ini.signed(ini.gaussian(), size=-1.0), "size must be zero or more"),
        (
            lambda: ini.blocks(**{**GOOD, "probabilities": [[0.5, 1.5], [0, 0]]}),
            r"probabilities must be between 0 and 1, got 1\.5",
        ),
        (
            lambda: ini.blocks(**{**GOOD, "probabilities": [0.5, 0.5]}),
            r"probabilities must have shape \(types, types\), got \(2,\)",
        ),
        (lambda: ini.blocks(**GOOD, strengths=np.ones((2, 3))), r"strengths must have shape \(2, 2\) .* got \(2, 3\)"),
        (lambda: ini.blocks(**GOOD, strengths=-np.ones((2, 2))), "strengths must be zero or more, got -1"),
        (lambda: ini.blocks(**GOOD, signs=[1, -1, 1]), r"signs must have shape \(2,\) or \(2, 2\), got \(3,\)"),
        (lambda: ini.blocks(**GOOD, signs=[1, 2]), r"signs must be 1, -1 or 0, got \[1, 2\]"),
        (lambda: ini.blocks(**GOOD, fractions=[0.5, 0.5]), "one of fractions and sizes must be given, got both"),
        (lambda: ini.blocks(**{**GOOD, "sizes": None}, fractions=[0.5, 0.6]), r"fractions must add up to 1, got 1\.1"),
        (lambda: ini.blocks(**{**GOOD, "sizes": None}), "one of fractions and sizes must be given, got none"),
        (lambda: ini.blocks(**{**GOOD, "sizes": [3, 4]}), "sizes must add up to the 6 units of the matrix, got 7"),
        (lambda: ini.blocks(**{**GOOD, "sizes": [3, 3, 0]}), r"sizes must have shape \(2\) \(types,\), got \(3,\)"),
        (lambda: ini.blocks(**{**GOOD, "sizes": [2.5, 3.5]}), "sizes must be whole numbers"),
        (lambda: ini.motifs(ini.gaussian(), reciprocal=1.5), r"reciprocal must be between -1 and 1, got 1\.5"),
        (lambda: ini.motifs(ini.gaussian(), heterogeneity=-1.0), "heterogeneity must be zero or more"),
        (lambda: ini.motifs(ini.gaussian(), chain=0.5), "heterogeneity must be above zero where chain is not 0"),
        (
            lambda: ini.motifs(ini.gaussian(), heterogeneity=1.0, chain=-0.6),
            r"chain must be between -0\.5 and 1 here, got -0\.6",
        ),
        (
            lambda: ini.low_rank_factors(overlap=np.ones((1, 2))),
            r"overlap must be a number or have shape \(R, R\), got shape \(1, 2\)",
        ),
        (lambda: ini.low_rank_factors(overlap=1.0, spread=np.ones(2)), r"spread must be a number or have shape \(1,\)"),
        (lambda: ini.low_rank_factors(overlap=np.eye(7)), "overlap must be at most 6 by 6 for this matrix, got 7 by 7"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()(KEY, (6, 6))


def test_refused_rectangles():
    for init in (
        ini.motifs(ini.gaussian(), reciprocal=0.5),
        ini.motifs(ini.gaussian(), heterogeneity=0.5, chain=0.5),
        ini.low_rank_factors(overlap=1.0),
    ):
        with pytest.raises(ValueError, match=r"shape must be \(\.\.\., N, N\) for .*, got \(2, 3\)"):
            init(KEY, (2, 3))
