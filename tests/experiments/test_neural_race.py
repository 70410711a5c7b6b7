"""The experiment against numbers in the authors' notebook (Saxe, Sodhani & Lewallen 2022)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import catalog, linear

# Half the squared error of seven untrained routes after training from orthogonal weights of gain 2.5, as printed: one
# network of M = 7, K = 4, 64 hidden units, 700 updates at 0.006 / 2.5^(1/3) of a mean over 4 items and 7 features.
UNTRAINED = [83.4480955, 156.602647, 74.4010341, 98.9999438, 108.958971, 106.572793, 106.677925]


def experiment():
    return catalog.load("linear/neural_race")


def orthogonal(rng, rows, columns):
    tall = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
    return tall if rows >= columns else tall.T


@pytest.mark.slow
def test_large_weights_leave_the_authors_error_on_untrained_routes():
    module = experiment().module
    left, s, right = module.task()
    graph, routes = linear.routing_graph(7), linear.trained_routes(7, 4.0).astype(jnp.float32)
    shapes = {"i": (64, 4), "s": (64, 64), "o": (7, 64)}
    rng = np.random.default_rng(0)
    weights = {
        name: jnp.asarray([2.5 * orthogonal(rng, *shapes[name[0]]) for _ in range(6)], jnp.float32)
        for name in graph.names
    }
    seen = linear.routing_correlations(graph, sigma_yx=(left * s) @ right.T, routes=routes)

    def train(weights):
        rate = 0.006 / 2.5 ** (1 / 3) * 49 / 14
        run = linear.gated_descend(graph, weights, correlations=seen, rate=rate, steps=700)
        missed = jnp.stack([omega[-1] for omega in run.records]) - ((left * s) @ right.T)[None]
        return 0.5 * jnp.sum(missed**2, axis=(1, 2)).reshape(7, 7)

    error = np.asarray(jax.jit(jax.vmap(train))(weights))
    on = np.asarray(routes) > 0
    assert error[:, on].max() < 0.01
    offsets = [[error[n, range(7), (np.arange(7) + o) % 7].mean() for o in range(7) if not on[0, o]] for n in range(6)]
    spread = np.std(offsets, ddof=1)  # of the mean over seven routes, over networks and offsets
    assert 4 * spread < 0.7 * np.mean(offsets), "the comparison has no power"
    assert abs(np.mean(UNTRAINED) - np.mean(offsets)) < 4 * spread


def test_the_task_is_the_published_one():
    left, s, right = experiment().module.task()
    np.testing.assert_allclose(s**2, [185, 41, 9, 9], rtol=1e-5)
    features = [[6, 6, 6, 6], [4, 4, 0, 0], [0, 0, 4, 4], *np.diag([3, 3, 3, 3]).tolist()]
    np.testing.assert_allclose(left * s @ right.T, features, atol=1e-5)


def test_means_over_routes_use_the_band_that_was_trained():
    import xarray as xr

    module = experiment().module
    for count in (1.0, 4.0, 6.0):
        row = np.asarray(linear.trained_routes(7, count))[0]
        part = xr.Dataset({"error": (("trained", "offset"), row[None])}, {"trained": [count]})
        assert float(module.over_routes(part.error, part, trained=True)[0]) == 1
        assert float(module.over_routes(part.error, part, trained=False)[0]) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"trained": 8.0}, "trained"), ({"trained": 1.5}, "trained"), ({"init": 0.0}, "init"), ({"part": "x"}, "parts")],
)
def test_bad_values_are_refused(settings, words):
    config = experiment().get_config("")
    with config.unlocked():
        config.update(settings)
    with pytest.raises(ValueError, match=words):
        experiment().check(config)
