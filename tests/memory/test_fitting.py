"""Rates that generated a noisy learning curve are found again: without bias, and as certainly as is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory
from brainjax.memory import compile_design, fit_rates, make, outcome_rates, parse_design, simulate

DELTA = make("delta")
FAST = {"xla_backend_optimization_level": 0}  # to compile
TRIALS = compile_design(parse_design({"one": "12A+ | 12AB+ | 12A- / 4B?", "two": "14B+ | 14B-"}))
TRUE = {"salience": np.array([0.25, 0.4]), "reinforced": 0.8, "unreinforced": 0.5, "asymptote": 1.3}
SEEDS, NOISE = 48, 0.04


def true_curve():
    beta = outcome_rates(TRIALS, reinforced=TRUE["reinforced"], unreinforced=TRUE["unreinforced"])
    scaled = TRIALS._replace(outcomes=TRUE["asymptote"] * TRIALS.outcomes)
    return simulate(DELTA, scaled, salience=TRUE["salience"], controls={"beta": beta}).responses[:, :, 0]


@pytest.fixture(scope="module")
def fits():
    curve = true_curve()
    noise = NOISE * jax.random.normal(jax.random.key(0), (SEEDS, *curve.shape))
    curves = jnp.concatenate([curve[None], curve[None] + noise])  # the first without noise
    return jax.jit(jax.vmap(lambda y: fit_rates(y, TRIALS, rule=DELTA, beta=0.8)), compiler_options=FAST)(curves), curve


def test_exact_curves_give_exact_rates(fits):
    fit, curve = fits
    for name, value in TRUE.items():
        np.testing.assert_allclose(getattr(fit.rates, name)[0], value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(np.asarray(fit.curve[0]), curve, atol=1e-7)
    assert float(fit.noise[0]) < 1e-6


def test_noisy_curves_give_them_without_bias_and_with_the_stated_errors(fits):
    fit, _ = fits
    assert float(fit.gradient[1:].max()) < 1e-5
    for name in ("salience", "unreinforced", "asymptote"):
        deviation = np.asarray(getattr(fit.rates, name))[1:] - TRUE[name]
        stated = np.asarray(getattr(fit.errors, name))[1:]
        z = deviation.mean(0) / (deviation.std(0, ddof=1) / SEEDS**0.5)
        assert np.all(abs(z) < 4), name
        # the test would see a bias of a tenth
        assert np.all(0.1 * TRUE[name] / (deviation.std(0, ddof=1) / SEEDS**0.5) > 5), name
        spread = (deviation / stated).std(0)
        assert np.all(abs(spread - 1) < 4 / (2 * SEEDS) ** 0.5), name
    noise = np.asarray(fit.noise)[1:]
    assert abs(noise.mean() - NOISE) < 4 * noise.std() / SEEDS**0.5
    np.testing.assert_array_equal(fit.errors.reinforced, 0)


@pytest.mark.slow
def test_what_is_held_or_not_seen():
    trials = compile_design(parse_design("6A+ | 2_"))
    n = jnp.arange(6.0)
    curve = jnp.append(1 - 0.7**n, jnp.array([jnp.nan, jnp.nan]))
    watched = jnp.where(jnp.isnan(curve), 0, 1)
    fit = jax.jit(lambda y: fit_rates(y, trials, rule=DELTA, free=(), observed=watched), compiler_options=FAST)(curve)
    assert float(fit.rates.salience[0]) == pytest.approx(0.3, rel=1e-8)
    assert float(fit.rates.unreinforced) == 1
    assert float(fit.rates.asymptote) == 1
    # without unreinforced trials their rate stays where it began, and is said to be open
    open_ = jax.jit(
        lambda y: fit_rates(y, trials, rule=DELTA, free=("unreinforced",), observed=watched), compiler_options=FAST
    )(curve + 0.01 * jnp.cos(jnp.arange(8.0)))
    assert float(open_.rates.unreinforced) == pytest.approx(1)
    assert float(open_.errors.unreinforced) > 1e3 * float(open_.errors.salience[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": make("softmax")}, "rule must have a control 'beta', got softmax"),
        ({"free": ("salience",)}, "free must be one of"),
        ({"guess": 1.0}, "guess must be below 1"),
        ({"beta": 0.0}, "beta must be positive"),
        ({"curve": np.zeros(3)}, "curve must have shape"),
        ({"steps": 0}, "steps must be 1 or more"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, message):
    settings = {"curve": np.zeros((2, 40)), "rule": DELTA, **options}
    with pytest.raises(ValueError, match=message) as caught:
        fit_rates(settings.pop("curve"), TRIALS, **settings)
    assert "\n" not in str(caught.value)
    assert memory.Rates._fields == ("salience", "reinforced", "unreinforced", "asymptote")
