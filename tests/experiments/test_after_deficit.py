"""What the theory of the experiment rests on, by second derivations: the Hessian, the law of shares, discrete steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

from brainjax import catalog
from brainjax.sweep import execute, make_plan, product, seeds, static, traced


@functools.cache
def experiment():
    return catalog.load("critical_periods/after_deficit")


def settings(**changes):
    config = experiment().get_config("quick")
    with config.unlocked():
        config.update(changes)
    return config


@functools.cache
def swept(part, depth, levels):
    axes = product(static(part=[part]), static(depth=[depth]), traced(**{part: levels}), seeds(2))
    return execute(make_plan(experiment().run, settings(after=1000, every=100), axes)).squeeze("part", drop=True)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_trace_of_the_hessian_by_automatic_differentiation(depth):
    rng = np.random.default_rng(0)
    diagonals = jnp.asarray(rng.uniform(0.2, 1.2, (depth, 2, 8)))
    shapes = [(8, 8)] * (depth - 1) + [(15, 8)]
    layers = [[jnp.zeros(shape).at[:8, :8].set(jnp.diag(d)) for shape, d in zip(shapes, path, strict=True)]
              for path in diagonals.transpose(1, 0, 2)]  # fmt: skip
    flat, rebuild = ravel_pytree(layers)

    def output(flat):
        return sum(functools.reduce(lambda below, w: w @ below, path, jnp.eye(8)) for path in rebuild(flat))

    target = output(flat)
    hessian = jax.jit(jax.hessian(lambda flat: 0.5 * jnp.sum((target - output(flat)) ** 2)))
    trace = np.trace(hessian(flat))
    np.testing.assert_allclose(experiment().module.flatness(diagonals), trace, rtol=1e-10)


@pytest.mark.slow
def test_decay_is_gradient_descent_of_the_modes():
    result = swept("decay", 4, (0.0, 0.01, 0.02))
    np.testing.assert_allclose(result.share, result.predicted, atol=1e-9)
    assert float(abs(result.share.sel(decay=0.02) - result.share.sel(decay=0.0)).max()) > 0.01


def test_decay_keeps_every_split_at_depth_2():
    share = swept("decay", 2, (0.02,)).share
    np.testing.assert_allclose(share - share.isel(record=0), 0, atol=1e-12)
    assert (share > 0.9).all()


@pytest.mark.slow
def test_the_law_of_shares_is_the_limit_of_weak_decay():
    """The share follows the derived law up to an error proportional to lambda, after equal lambda times time."""
    config = settings(steps=1000, after=1000)
    depth, errors = 4, {}
    result = swept("decay", depth, (0.0, 0.01, 0.02))
    q, rate = 2 - 2 / depth, config.rate
    for record, decay in ((-1, 0.01), (5, 0.02)):  # records are 100 updates apart
        share = result.share.sel(decay=decay).isel(seed=0, depth=0)
        time = rate * 100 * (record % 11)

        def law(_, x, decay=decay):
            return decay * depth * (x**q / (x**q + (1 - x) ** q) - x)

        solved = solve_ivp(law, (0, time), share.isel(record=0).values, rtol=1e-10, atol=1e-12).y[:, -1]
        moved = abs(share.isel(record=record) - share.isel(record=0)).values
        errors[decay] = abs(share.isel(record=record).values - solved)[4:].max()
        assert errors[decay] < 0.25 * moved[4:].min()
    assert 1.3 < errors[0.02] / errors[0.01] < 3


def test_the_equal_split_is_unstable_at_the_stated_rate():
    """Two paths that differ a little, in networks of modes: the difference of shares grows at (D - 2) lambda."""
    for depth in (2, 3, 4):
        config = settings(depth=depth, after=1000, every=500, decay=0.002)
        s = np.sqrt([15, 7, 3, 3, 1, 1, 1, 1])
        share = np.array([0.5001, 0.4999])
        strength = experiment().module.valley_flow(jnp.asarray((share[:, None] * s) ** (1 / depth)), config)
        x = strength[:, 0] / strength.sum(1) - 0.5
        grown = np.log(x[-1] / x[1]) / (500 * config.rate)  # the first records still settle on the valley
        np.testing.assert_allclose(grown, (depth - 2) * 0.002, rtol=0.03, atol=1e-8)


def test_noise_is_fresh_and_of_the_stated_size():
    noise = experiment().module.fresh_noise
    drawn = np.stack([noise(j, (jax.random.key(0), jnp.asarray(0.3))) for j in range(20)])
    assert abs(drawn.std() / 0.3 - 1) < 4 / np.sqrt(2 * drawn.size)
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 4 / np.sqrt(drawn[0].size)


def test_claims_can_fail():
    """The same numbers with the paths exchanged, and with treatments that do nothing or too much."""
    decay = swept("decay", 4, (0.0, 0.01, 0.02))
    trees = {
        "as they are": decay,
        "exchanged": decay.assign(share=1 - decay.share),
    }
    verdicts = {
        name: {claim.name: claim.verdict for claim in experiment().claims(xr.DataTree.from_dict({"decay": padded(d)}))}
        for name, d in trees.items()
    }
    assert verdicts["as they are"] == {"going on undoes nothing": "holds", "decay locks": "holds"}
    assert verdicts["exchanged"]["decay locks"] == "fails"


def padded(data):
    return data.expand_dims(part=["decay"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": ("sleep",)}, "parts"),
        ({"depth": 1}, "depth"),
        ({"width": 7}, "width"),
        ({"decay": -1.0}, "decay"),
        ({"noise": -1.0}, "noise"),
        ({"momentum": 1.0}, "momentum"),
    ],
)
def test_bad_values_are_refused(changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        experiment().check(settings(**changes))
    assert "\n" not in str(caught.value)
