"""The transfer experiments on small matrices: what must hold exactly, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import catalog

NAMES = ("transfer/task_switch", "transfer/growing_observations")
PART = {NAMES[0]: "depth", NAMES[1]: "controls"}


@functools.cache
def experiment(name):
    return catalog.load(name)


def small(name, **settings):
    config = experiment(name).get_config("quick")
    part = PART[name]
    with config.unlocked():
        config.update({"n": 8, "observed": 30, "rate": 0.5, "second_time": 100.0, "part": part})
        config[f"by_{part}"].update({"switches": (0.0, 10.0, 60.0), "controls": True})
        if name == NAMES[1]:
            config.first_observed = 20
        config.update(settings)
    return config


@functools.cache
def outcome(name, depth):
    config = small(name, depth=depth)
    experiment(name).check(config)
    with jax.numpy_dtype_promotion("standard"):
        return jax.jit(lambda key: experiment(name).run(key, config))(jax.random.key(1))


@pytest.mark.parametrize("name", [pytest.param(NAMES[0], marks=pytest.mark.slow), NAMES[1]])
def test_one_layer_cannot_be_harmed(name):
    """It never moves what is not observed, so that neither tasks nor controls matter; but it fits what is."""
    error = outcome(name, 1)["error"]
    unobserved = error[:, :, 1]
    np.testing.assert_array_equal(unobserved[:2], unobserved[0, 0] + jnp.zeros((2, 3)))  # fresh ones start elsewhere
    assert float(error[..., 0].max()) < 0.2 < float(unobserved.min())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_switch_at_the_start_is_no_switch(name):
    found = outcome(name, 2)
    switched, longer, fresh = found["error"]
    np.testing.assert_allclose(switched[0], longer[0], rtol=1e-12)
    assert float(abs(switched - longer)[1:].min()) > 1e-6
    assert float(abs(switched - fresh).min()) > 1e-6
    np.testing.assert_allclose(found["course"][:, -1], switched[:, 1], rtol=1e-12)
    assert (found["effective_rank"][0, 1:] > 1).all()
    assert (jnp.diff(found["values"], axis=-1) <= 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"parts": ("widths",)}, "parts"),
        ({"depth": 0}, "depth"),
        ({"rank": 99}, "rank"),
        ({"observed": 65}, "observed"),
        ({"rate": 0.0}, "rate: must be positive"),
        ({"rate": 0.3}, "whole multiples"),
    ],
)
def test_bad_values_are_refused(name, settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        experiment(name).check(small(name, **settings))
    assert "\n" not in str(caught.value)
