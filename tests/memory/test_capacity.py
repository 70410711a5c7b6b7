"""Capacity of Hebbian, forgetting, delta-rule and least-squares memories; derivatives and precision of all formulas.

Each formula is judged in standard errors against memories filled with random pairs, and against a second derivation.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from brainjax import memory
from brainjax.memory._special import half_gamma_ratio

D, N, SETS = 24, 18, 3000
FAST = {"xla_backend_optimization_level": 0}  # to compile
fast = functools.partial(jax.jit, compiler_options=FAST)


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def z_score(samples, expected):
    """Distance of a mean from its expectation in standard errors; one number per independent set."""
    samples = np.asarray(samples)
    return abs(samples.mean() - float(expected)) / (samples.std(ddof=1) / math.sqrt(samples.size))


def hebb_errors(keys, values):
    """Mean-square error of all reads of each set."""
    reads = np.einsum("sid,sjd,sjv->siv", keys, keys, values, optimize=True)
    return ((reads - values) ** 2).sum(-1).mean(-1)


# ------------------------------------------------------------------------------------------------------------ overlaps
def test_overlaps_of_random_unit_vectors():
    np.testing.assert_allclose(
        memory.mean_absolute_overlap(np.array([16, 64, 256])), [0.2026, 0.1001, 0.0499], atol=5e-5
    )
    t = (unit(np.random.default_rng(0), 6000, D) * unit(np.random.default_rng(1), 6000, D)).sum(-1)
    assert z_score(t**2, 1 / D) < 4
    assert z_score(abs(t), memory.mean_absolute_overlap(D)) < 4
    assert abs(float(memory.mean_absolute_overlap(1e6)) * math.sqrt(math.pi * 1e6 / 2) - 1) < 1e-6
    x = jnp.array([0.5, 1.0, 3.2, 40.0, 5e3])
    np.testing.assert_allclose(half_gamma_ratio(x), np.exp(scipy.special.gammaln(x) - scipy.special.gammaln(x + 0.5)),
                               rtol=1e-11)  # fmt: skip
    np.testing.assert_allclose(half_gamma_ratio(jnp.float32(5e3)), half_gamma_ratio(jnp.float64(5e3)), rtol=1e-6)


def test_the_worst_values_spoil_a_read_by_the_sum_of_overlaps():
    rng = np.random.default_rng(2)
    overlaps = np.einsum("sid,sd->si", unit(rng, SETS, N, D), unit(rng, SETS, D))[:, 1:]
    # values along one direction with the overlaps' signs: the crosstalk is their absolute sum
    assert z_score(abs(overlaps).sum(-1), memory.worst_case_error(N, D)) < 4
    assert z_score(abs(overlaps).sum(-1), memory.worst_case_error(N + 1, D)) > 8
    sizes = np.array([16.0, 64.0, 256.0])
    np.testing.assert_allclose(memory.worst_case_capacity(1.0, sizes), [5.9, 11.0, 21.0], atol=0.06)
    np.testing.assert_allclose(memory.worst_case_error(memory.worst_case_capacity(0.3, sizes), sizes), 0.3, rtol=1e-12)


def test_the_exponents_one_half_and_one():
    sizes = np.array([256.0, 512.0, 1024.0, 4096.0])
    for capacity, slope in ((memory.worst_case_capacity, 0.5), (memory.hebb_capacity, 1.0)):
        fitted = np.polyfit(np.log(sizes), np.log(capacity(0.5, sizes) - 1), 1)[0]
        assert abs(fitted - slope) < 1e-3


def test_coherence():
    rng = np.random.default_rng(3)
    keys = unit(rng, 400, N, D)
    gram = abs(np.einsum("sid,sjd->sij", keys, keys)) * (1 - np.eye(N))
    violated = (gram.max((1, 2)) > memory.coherence_bound(N, D, 0.2)).mean()
    assert violated <= 0.2
    # the simplex reaches the bound: N = d + 1 vectors of overlap -1/d
    centred = np.eye(D + 1) - 1 / (D + 1)
    simplex = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    overlap = abs(simplex @ simplex.T)[0, 1]
    np.testing.assert_allclose(memory.welch_bound(D + 1, D), overlap, rtol=1e-12)
    assert float(memory.welch_bound(D, D)) == 0
    # no values spoil these reads by more than the bound says
    values = np.sign(simplex @ simplex.T)[0][:, None]
    spoilt = abs((simplex @ simplex[0])[1:] @ values[1:])
    assert spoilt[0] == pytest.approx(overlap * D)
    assert float(memory.coherence_capacity(spoilt[0], overlap)) == pytest.approx(D + 1)


# ---------------------------------------------------------------------------------------------------------------- Hebb
def test_mean_square_error_of_hebb():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(SETS, N, 3)) / math.sqrt(3)
    spherical = hebb_errors(unit(rng, SETS, N, D), values)
    assert z_score(spherical, memory.hebb_error(N, D)) < 4
    assert z_score(spherical, memory.hebb_error(N + 1, D)) > 4
    gaussian = hebb_errors(rng.normal(size=(SETS, N, D)) / math.sqrt(D), values)
    assert z_score(gaussian, memory.hebb_error(N, D, keys="gaussian")) < 4
    assert z_score(gaussian, memory.hebb_error(N, D)) > 4
    frames = np.linalg.qr(rng.normal(size=(5, D, N)))[0].swapaxes(1, 2)
    np.testing.assert_allclose(hebb_errors(frames, values[:5]), 0, atol=1e-25)
    assert float(memory.hebb_error(N, D, keys="orthogonal")) == 0
    for kind in ("sphere", "gaussian"):
        back = memory.hebb_error(memory.hebb_capacity(0.7, D, keys=kind), D, keys=kind)
        assert float(back) == pytest.approx(0.7)
    assert float(memory.hebb_capacity(0.0, D, keys="orthogonal")) == D
    assert np.isnan(fast(lambda n: memory.hebb_error(n, D, keys="orthogonal"))(D + 1.0))


def test_keys_that_share_a_direction():
    rng = np.random.default_rng(5)
    rho, common = 0.3, 0.5
    z = unit(rng, SETS, N, D - 1)
    keys = np.concatenate([np.full((SETS, N, 1), math.sqrt(rho)), math.sqrt(1 - rho) * z], -1)
    values = rng.normal(size=(SETS, N, 4)) * math.sqrt((1 - common) / 4)
    shifted = values + math.sqrt(common) * np.eye(4)[0]
    found = hebb_errors(keys, shifted)
    assert z_score(found, memory.equicorrelated_error(N, D, rho, mean_square=common)) < 4
    theirs = float(memory.equicorrelated_error(N, D, rho)) + (N - 1) ** 2 * rho**2 * common
    assert z_score(found, theirs) > 4  # pairs of other pairs: (N - 1)(N - 2), not (N - 1)^2
    zero_mean = hebb_errors(keys, values / math.sqrt(1 - common))
    assert z_score(zero_mean, memory.equicorrelated_error(N, D, rho)) < 4
    assert float(memory.equicorrelated_error(N, D, 0.0)) == pytest.approx((N - 1) / (D - 1))
    many = memory.equicorrelated_capacity(0.5, 1e9, rho)
    assert float(many) == pytest.approx(1 + 0.5 / rho**2)


def test_the_best_gain():
    rng = np.random.default_rng(6)
    keys, values = unit(rng, SETS, N, D), rng.normal(size=(SETS, N, 3)) / math.sqrt(3)
    reads = np.einsum("sid,sjd,sjv->siv", keys, keys, values, optimize=True)
    error = memory.hebb_error(N, D)
    gain = float(memory.best_gain(error))
    corrected = ((gain * reads - values) ** 2).sum(-1).mean(-1)
    assert z_score(corrected, memory.gain_corrected_error(error)) < 4
    assert float(memory.gain_corrected_error(error)) == pytest.approx(float(error / (1 + error)))
    # a read of amplitude A and power M, at any gain
    amplitude, power = 0.4, 0.9
    gains = np.linspace(0, 2, 2001)
    errors = gains**2 * power - 2 * gains * amplitude + 1
    raw = power - 2 * amplitude + 1
    assert float(memory.best_gain(raw, amplitude=amplitude)) == pytest.approx(gains[errors.argmin()], abs=1e-3)
    assert float(memory.gain_corrected_error(raw, amplitude=amplitude)) == pytest.approx(errors.min(), abs=1e-5)


def test_forgetting():
    rng = np.random.default_rng(7)
    decay, age, pairs, d = 0.95, 6, 30, 16
    keys, values = unit(rng, SETS, pairs, d), rng.normal(size=(SETS, pairs, 3)) / math.sqrt(3)
    weights = decay ** np.arange(pairs - 1, -1, -1.0)
    probe = pairs - 1 - age
    overlaps = np.einsum("snd,sd->sn", keys, keys[:, probe]) * weights
    noise = np.einsum("sn,snv->sv", overlaps, values) - weights[probe] * values[:, probe]
    assert float(memory.decayed_signal(age, decay)) == pytest.approx(weights[probe])
    power = (noise**2).sum(-1)
    assert z_score(power, memory.decayed_noise(age, d, decay, pairs=pairs)) < 4
    assert z_score(power, 1 / d / (1 - decay**2)) > 4  # the stationary state with the pair's own share
    assert float(memory.decayed_noise(0, d, 1.0, pairs=pairs)) == pytest.approx((pairs - 1) / d)
    assert float(memory.decayed_signal(10, 0.98)) == pytest.approx(0.817, abs=5e-4)
    assert float(memory.decayed_noise(10, 64, 0.98)) == pytest.approx(0.395 - 0.98**20 / 64, abs=5e-4)


def test_the_span_of_a_forgetting_memory():
    span = memory.memory_span(1000.0, 0.99, ratio=2.0)
    noise = memory.decayed_noise(span, 1000.0, 0.99) + memory.decayed_signal(span, 0.99) ** 2 / 1000
    assert float(memory.decayed_signal(span, 0.99) ** 2 / noise) == pytest.approx(2)
    for d in (1e3, 1e5):
        decays = np.sqrt(1 - np.exp(1) / d * np.linspace(0.5, 2, 3001))
        spans = memory.memory_span(d, decays)
        assert float(spans.max()) == pytest.approx(d / math.e, rel=5 / d)
        assert float(memory.memory_span(d, memory.best_decay(d))) == pytest.approx(
            float(spans.max()), rel=20 / d**2 + 1e-7
        )


# ---------------------------------------------------------------------------------------------------------- delta rule
def delta_pass(rng, sets, pairs, d, rate, d_v=3):
    keys, values = unit(rng, sets, pairs, d), rng.normal(size=(sets, pairs, d_v)) / math.sqrt(d_v)
    state = np.zeros((sets, d, d_v))
    for n in range(pairs):
        k = keys[:, n]
        error = values[:, n] - np.einsum("sd,sdv->sv", k, state)
        state += rate * k[:, :, None] * error[:, None, :]
    reads = np.einsum("snd,sdv->snv", keys, state)
    return ((reads - values) ** 2).sum(-1), (state**2).sum((1, 2)) / d


@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_the_delta_rule_after_one_pass(rate):
    errors, energy = delta_pass(np.random.default_rng(8), 2000, N, D, rate)
    finite = fast(memory.delta_error_finite, static_argnums=0)
    exact = finite(N, D, rate=rate)
    assert z_score(errors.mean(-1), exact) < 4
    assert z_score(errors.mean(-1), memory.hebb_error(N, D)) > 8
    assert z_score(energy, rate / (2 - rate) * (1 - (1 - rate * (2 - rate) / D) ** N)) < 4
    # many dimensions at the same load: the difference from the closed form falls as 1 / d
    y = N / D
    gaps = [float(finite(round(y * d), d, rate=rate) - memory.delta_error(y, rate=rate))
            for d in (512, 1024, 2048)]  # fmt: skip
    assert abs(gaps[2]) < 2e-3
    for first, second in itertools.pairwise(gaps):
        assert second / first == pytest.approx(0.5, abs=0.01)


def test_delta_rule_numbers_and_limits():
    y = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(memory.delta_error(y), [0.297, 0.600, 1.059], atol=5e-4)
    np.testing.assert_allclose(memory.delta_error(y), (2 - np.exp(-y)) * (1 - (1 - np.exp(-y)) / y), rtol=1e-12)
    loads = np.array([0.125, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(memory.delta_error(loads, rate=0.5), [0.285, 0.381, 0.493, 0.671], atol=1e-3)
    assert float(memory.delta_error(0.01)) == pytest.approx(0.005, rel=0.01)
    assert float(memory.delta_error(1e6)) == pytest.approx(2, abs=1e-5)
    assert float(memory.delta_error(0.0, rate=0.3)) == pytest.approx(0.7**2)
    assert float(memory.delta_error_finite(1, D, rate=0.3)) == pytest.approx(0.7**2)
    assert float(memory.delta_error(1.0, rate=0.0)) == 1
    # at the rate 2 each write is a reflection: the energy grows without bound
    assert float(memory.delta_write_energy(3.0, rate=2.0)) == pytest.approx(12.0)
    assert float(memory.delta_write_energy(0.7, rate=1.0)) == pytest.approx(1 - math.exp(-0.7))


def test_one_pair_follows_its_differential_equation():
    beta, tau, later = 0.6, 0.8, 1.1

    def energy(t):
        return beta / (2 - beta) * (1 - math.exp(-beta * (2 - beta) * t))

    start = (1 - beta) ** 2 * energy(tau) + beta**2
    solution = scipy.integrate.solve_ivp(
        lambda x, m: -2 * beta * m + beta**2 * (1 + energy(tau + x)), (0, later), [start], rtol=1e-10, atol=1e-12
    )
    amplitude = beta * math.exp(-beta * later)
    assert float(memory.delta_pair_amplitude(later, rate=beta)) == pytest.approx(amplitude)
    found = memory.delta_pair_error(later, tau + later, rate=beta)
    assert float(found) == pytest.approx(solution.y[0, -1] - 2 * amplitude + 1, rel=1e-8)
    assert float(memory.delta_pair_error(0.0, 2.0)) == pytest.approx(0, abs=1e-15)  # the newest pair is exact
    mean = scipy.integrate.quad(lambda x: float(memory.delta_pair_error(x, 1.9, rate=beta)), 0, 1.9)[0] / 1.9
    assert float(memory.delta_error(1.9, rate=beta)) == pytest.approx(mean, rel=1e-9)


def test_the_best_rate_falls_with_the_load():
    loads = np.array([0.05, 0.25, 0.5, 0.7, 1.0, 2.0, 4.0])
    best = fast(jax.vmap(memory.delta_best_rate))(loads)
    np.testing.assert_allclose(best, [1.00, 0.95, 0.84, 0.76, 0.65, 0.44, 0.26], atol=0.0051)
    rates = np.linspace(0.001, 1.4, 1400)
    errors = fast(memory.delta_error)(loads[:, None], rate=rates[None])
    np.testing.assert_allclose(best, rates[np.asarray(errors).argmin(1)], atol=1e-3)


def test_least_squares():
    rng = np.random.default_rng(9)
    keys, values = unit(rng, 300, N, 9), rng.normal(size=(300, N, 5))
    fitted = keys @ (np.linalg.pinv(keys) @ values)
    errors = ((fitted - values) ** 2).mean((1, 2))
    assert z_score(errors, memory.least_squares_error(N, 9)) < 4
    assert z_score(errors, memory.least_squares_error(N, 8)) > 4
    assert float(memory.least_squares_error(9, 9)) == 0
    assert float(memory.least_squares_error(memory.least_squares_capacity(0.3, 9), 9)) == pytest.approx(0.3)


# -------------------------------------------------------------------------------------------------- as JAX functions
FORMULAS = {
    "worst_case_error": lambda n, d, x: memory.worst_case_error(n, d),
    "coherence_bound": lambda n, d, x: memory.coherence_bound(n, d, 0.1),
    "welch_bound": lambda n, d, x: memory.welch_bound(n, d),
    "equicorrelated_error": lambda n, d, x: memory.equicorrelated_error(n, d, 0.1 * x, mean_square=0.2),
    "decayed_noise": lambda n, d, x: memory.decayed_noise(2 * x, d, 0.9 * x, pairs=n),
    "memory_span": lambda n, d, x: memory.memory_span(d, 0.9 * x),
    "best_decay": lambda n, d, x: memory.best_decay(d, ratio=x),
    "delta_error": lambda n, d, x: memory.delta_error(n / d, rate=x),
    "delta_error_finite": lambda n, d, x: memory.delta_error_finite(20, d, rate=x),
    "delta_pair_error": lambda n, d, x: memory.delta_pair_error(0.2, n / d, rate=x),
    "least_squares_error": lambda n, d, x: memory.least_squares_error(n, d),
    "softmax_error": lambda n, d, x: memory.softmax_error(n, d, 5 * x),
    "hopfield_capacity": lambda n, d, x: memory.hopfield_capacity(d, sharpness=x, radius=2.0, failure=0.1),
    "decoding_accuracy": lambda n, d, x: memory.decoding_accuracy(n, d, d * x),
    "decoding_capacity_law": lambda n, d, x: memory.decoding_capacity_law(d, d * x),
    "nearest_key_error": lambda n, d, x: memory.nearest_key_error(n, d),
}
ROOTS = {
    "delta_best_rate": lambda n, d, x: memory.delta_best_rate(n / d),
    "decoding_capacity": lambda n, d, x: memory.decoding_capacity(0.6 * x, d, d),
}


def along_d(functions, n, d, x):
    return jax.jvp(lambda d: {name: f(n, d, x) for name, f in functions.items()}, (d,), (jnp.ones_like(d),))


def test_all_are_traced_and_keep_their_precision():
    numbers = [jax.ShapeDtypeStruct((), jnp.float32)] * 3
    for name, value in jax.eval_shape(lambda *x: {key: f(*x) for key, f in FORMULAS.items()}, *numbers).items():
        assert value.dtype == jnp.float32, name


@pytest.mark.slow
@pytest.mark.parametrize("functions", [FORMULAS, ROOTS], ids=["formulas", "roots"])
def test_derivatives_in_both_precisions(functions):
    run = fast(functools.partial(along_d, functions))
    (double, slopes), (above, _), (below, _) = (run(30.0, 24.0 + step, 0.9) for step in (0, 1e-5, -1e-5))
    single, low = run(*(jnp.float32(value) for value in (30, 24, 0.9)))
    for name in functions:
        assert single[name].dtype == low[name].dtype == jnp.float32, name
        np.testing.assert_allclose(single[name], double[name], rtol=3e-4, err_msg=name)
        np.testing.assert_allclose(low[name], slopes[name], rtol=3e-3, err_msg=name)
        expected = float(above[name] - below[name]) / 2e-5
        assert float(slopes[name]) == pytest.approx(expected, rel=1e-4, abs=1e-7), name
        assert abs(expected) > 1e-6, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memory.hebb_error(0, 4), "pairs must be 1 or more, got 0"),
        (lambda: memory.hebb_error(2, -1), "dimension must be positive"),
        (lambda: memory.hebb_error(5, 4, keys="orthogonal"), "pairs must be at most dimension"),
        (lambda: memory.hebb_error(5, 4, keys="cube"), "keys must be one of 'sphere'"),
        (lambda: memory.equicorrelated_error(5, 4, 1.2), "correlation must be between 0 and 1"),
        (lambda: memory.coherence_capacity(0.1, 0.0), "coherence must be positive"),
        (lambda: memory.best_decay(2.0), "dimension must be above e times ratio"),
        (lambda: memory.delta_error(1.0, rate=2.5), "rate must be at most 2"),
        (lambda: memory.delta_error_finite(0, 3), "pairs must be a whole number"),
        (lambda: memory.softmax_error(3, 1, 2.0), "dimension must be 2 or more"),
        (lambda: memory.decoding_capacity(1.0, 4, 4), "accuracy must be below 1"),
        (lambda: memory.hopfield_capacity(8, failure=0.0), "failure must be positive"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
