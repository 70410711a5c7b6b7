"""Estimates from random probes: unbiased, with honest standard errors, and never a kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness
from tests.richness.references import cosine

OUT, PROBES, TRIALS = 12, 16, 1500


def f(params):
    return jnp.tanh(params["w"] @ params["x"]) * params["v"][:, None]


def parameters(seed):
    rng = np.random.default_rng(seed)
    return {"w": jnp.asarray(rng.normal(size=(4, 3))), "x": jnp.asarray(rng.normal(size=(3, 3))), "v": jnp.ones(4)}


@pytest.fixture(scope="module")
def exact():
    kernels = [np.asarray(richness.explicit_kernel(f, parameters(seed))) for seed in (0, 1)]
    assert kernels[0].shape == (OUT, OUT)
    return kernels


@pytest.fixture(scope="module")
def trials():
    before, after = parameters(0), parameters(1)

    def one(key):
        pair = richness.hutchinson_alignment(key, f, before, after, probes=PROBES)
        return pair, richness.hutchinson_moments(key, f, before, probes=PROBES)

    pair, moments = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), TRIALS))
    return {
        "inner": pair.inner,
        "squares0": pair.squared_norm0,
        "squares1": pair.squared_norm1,
        "squares": moments.squared_norm,
        "trace": moments.trace,
        "alignment": pair.alignment,
    }


def test_means_are_unbiased_in_standard_errors(exact, trials):
    k0, k1 = exact
    truth = {
        "inner": np.sum(k0 * k1),
        "squares0": np.sum(k0**2),
        "squares1": np.sum(k1**2),
        "squares": np.sum(k0**2),
        "trace": np.trace(k0),
    }
    for name, expected in truth.items():
        values = np.asarray(trials[name].value)
        error = values.std(ddof=1) / TRIALS**0.5
        assert abs(values.mean() - expected) < 4 * error, name
        # power: leaving out what lies off the diagonal (or taking the trace for it) would be noticed
        wrong = {"inner": np.sum(np.diag(k0) * np.diag(k1)), "trace": np.sqrt(np.sum(k0**2))}
        assert abs(values.mean() - wrong.get(name, np.sum(np.diag(k0) ** 2))) > 8 * error, name


def test_standard_errors_are_the_scatter_of_the_estimates(trials):
    for name, estimate in trials.items():
        scatter = np.asarray(estimate.value).std(ddof=1)
        claimed = np.sqrt(np.mean(np.asarray(estimate.error) ** 2))
        # the scatter itself is known to about 2 % for 1500 trials; the delta method is off by terms of order 1 / probes
        assert claimed == pytest.approx(scatter, rel=0.25 if name == "alignment" else 0.1), name


def test_alignment_converges_and_its_bias_is_of_order_one_over_probes(exact, trials):
    truth = cosine(*exact)
    few = float(np.mean(trials["alignment"].value)) - truth
    keys = jax.random.split(jax.random.key(1), 300)
    many = jax.jit(
        jax.vmap(lambda key: richness.hutchinson_alignment(key, f, parameters(0), parameters(1), probes=16 * PROBES))
    )(keys).alignment.value
    error = float(np.std(many, ddof=1)) / 300**0.5
    assert abs(few) < 0.1
    assert abs(float(np.mean(many)) - truth) < 4 * error + abs(few) / 8
    assert error * 300**0.5 < 0.05


def test_equal_directions_are_recognised_without_error():
    """The kernel of the input weights grows with the square of the readout and does not turn."""
    params = parameters(0)

    def outputs(w, gain):
        return f({**params, "w": w}) * gain

    def both(p):  # the gain is no parameter of the kernel: its derivative is cut
        return outputs(p["w"], jax.lax.stop_gradient(p["gain"]))

    start, end = {"w": params["w"], "gain": jnp.asarray(1.0)}, {"w": params["w"], "gain": jnp.asarray(3.0)}
    found = jax.jit(lambda p, q: richness.hutchinson_alignment(jax.random.key(2), both, p, q, probes=4))(start, end)
    assert found.alignment.value == pytest.approx(1, abs=1e-14)
    assert found.alignment.error == pytest.approx(0, abs=1e-14)
    assert found.squared_norm1.value == pytest.approx(81 * float(found.squared_norm0.value), rel=1e-12)


def test_silent_networks_and_float32():
    params = jax.tree.map(lambda p: p.astype(jnp.float32), parameters(0))
    inputs = jnp.abs(params["x"])
    on, off = params["w"], -jnp.abs(params["w"])

    def rectified(w):
        return jax.nn.relu(w @ inputs)

    def alignment(w):
        return richness.hutchinson_alignment(jax.random.key(3), rectified, on, w, probes=3, together=2).alignment

    (value, error), gradient = jax.jit(jax.vmap(lambda w: (alignment(w), jax.grad(lambda v: alignment(v)[0])(w))))(
        jnp.stack([off, on])
    )
    assert value.dtype == error.dtype == jnp.float32
    np.testing.assert_allclose(value, [0, 1], atol=1e-6)
    np.testing.assert_allclose(error, 0, atol=1e-6)
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("settings", "message"), [({"probes": 1}, "probes must be 2 or more"), ({"together": 0}, "together must be 1")]
)
def test_bad_input_is_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        richness.hutchinson_moments(jax.random.key(0), jnp.sin, jnp.ones(3), **settings)
