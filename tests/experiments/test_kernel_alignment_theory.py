"""Kernel alignment of two-layer linear students: what must hold exactly, and claims that can fail."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from brainjax import catalog, linear, richness

THEORY, ALIGNED = "rich_lazy/kernel_alignment_theory", "rich_lazy/aligned_exception"
D = 4
FULL = (D + 1) / np.sqrt(D * (D + 3))  # alignment of full rank, whatever the task and the readout


@functools.cache
def experiment(name):
    return catalog.load(name)


def module(name):
    return experiment(name).module


def small(name, **settings):
    config = experiment(name).get_config("quick")
    with config.unlocked():
        config.update({"inputs": D, "steps": 300})
        if name == ALIGNED:
            config.large = 2.0
        config.update(settings)
    return config


@functools.cache
def students():
    """Tiny weights, three tasks: rank one with a readout of a tenth, full rank with that readout and a large one."""
    rng = np.random.default_rng(0)
    starts = []
    for rank, readout in ((1, 0.1), (D, 0.1), (D, 2.0)):
        for _ in range(3):
            left, right = (np.linalg.qr(rng.standard_normal((n, D)))[0][:, :rank] for n in (2 * D, D))
            starts.append((1e-3 / np.sqrt(rank) * left @ right.T, 1e-3 * readout * unit(rng.standard_normal(2 * D))))
    firsts, seconds = (np.stack(x) for x in zip(*starts, strict=True))
    betas = np.stack([unit(rng.standard_normal(D)) for _ in starts])

    def learn(first, second, beta):
        return module(THEORY).learn((first, second[None]), beta, rank=1, rate=0.1, steps=300)

    found = jax.jit(jax.vmap(learn))(firsts, seconds, betas)
    return {name: np.asarray(value).reshape(3, 3) for name, value in found.items()}


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_at_full_rank_all_tasks_are_alike_at_every_readout():
    found = students()
    np.testing.assert_allclose(found["predicted"][1:], FULL, rtol=1e-12)
    np.testing.assert_allclose(found["deviation"][1:], 0, atol=1e-9)
    np.testing.assert_allclose(found["alignment"][1:], FULL, atol=1e-4)
    assert np.ptp(found["alignment"][0]) > 0.01


def test_below_full_rank_the_closed_form_gives_every_task():
    found = students()
    np.testing.assert_allclose(found["alignment"][0], found["predicted"][0], atol=1e-4)
    assert found["loss"].max() < 1e-8
    assert found["weight_change"].min() > 100


@pytest.mark.parametrize(("rank", "norm"), [pytest.param(1, 0.5, marks=pytest.mark.slow), (3, 1.5)])
def test_the_solution_without_a_readout_is_that_of_the_riccati_equation(rank, norm):
    """Weights of equal singular values without a readout are balanced up to a multiple of the identity."""
    a, d = norm**2 / rank, 5
    rng = np.random.default_rng(rank)
    rows = np.linalg.qr(rng.standard_normal((d, rank)))[0]
    beta = rng.standard_normal(d)
    beta /= np.linalg.norm(beta)
    start = linear.balanced_pair(
        np.zeros(1), left=np.eye(1), right=rows, relative_scale=-a, width=rank, rotation=np.eye(rank)
    )
    assert not np.any(start[1])
    end = linear.two_layer_flow(60.0, first=start[0], second=start[1], sigma_yx=beta[None])
    np.testing.assert_allclose(end.linear_map[0], beta, atol=1e-6)
    kernels = [richness.linear_kernel(*layers) for layers in (start, end)]
    exact = module(THEORY).exact_alignment(jnp.asarray(beta), start[0], rank=rank)
    np.testing.assert_allclose(richness.kernel_alignment(*kernels), exact, atol=1e-6)


def test_from_tiny_weights_both_solutions_agree():
    rng = np.random.default_rng(0)
    first = 1e-5 * np.linalg.qr(rng.standard_normal((D, 2)))[0].T
    beta = np.array([0.6, 0.0, 0.8, 0.0])
    exact = module(THEORY).exact_alignment(jnp.asarray(beta), jnp.asarray(first), rank=2)
    predicted = richness.task_alignment(richness.linear_kernel(first, np.zeros(2)), beta)
    np.testing.assert_allclose(exact, predicted, rtol=1e-9)


def test_an_aligned_and_balanced_start_preserves_the_direction_of_the_kernel_and_nothing_else():
    rng = np.random.default_rng(4)
    beta, hidden = unit(rng.standard_normal(D)), unit(rng.standard_normal(2 * D))
    starts = 1e-3 * np.outer(hidden, beta), 1e-3 * hidden[None]
    found = module(ALIGNED).measure(*starts, jnp.asarray(beta), rate=0.1, steps=300)
    assert abs(float(found["alignment"]) - 1) < 1e-12
    assert float(found["overlap"]) == pytest.approx(1, abs=1e-12)
    assert float(found["weight_change"]) > 100
    assert float(found["linearisation_error"]) > 0.9


def test_without_a_readout_it_does_not():
    beta = unit(np.ones(D))
    kernel = richness.linear_kernel(np.eye(2 * D, 1) @ beta[None], np.zeros(2 * D))
    assert float(richness.task_alignment(kernel, beta)) == pytest.approx(2 / np.sqrt(D + 3), rel=1e-12)


@pytest.mark.parametrize("d", [4, 20])
def test_aligned_rank_one_passes_full_rank_where_the_formula_says(d):
    border = module(ALIGNED).crossing(d)
    beta = np.ones(d) / np.sqrt(d)
    readout = np.zeros(d)
    readout[0] = border
    kernel = richness.linear_kernel(np.eye(d, 1) @ beta[None], readout)
    full = (d + 1) / np.sqrt(d * (d + 3))
    assert float(richness.task_alignment(kernel, beta)) == pytest.approx(full, rel=1e-12)


def test_what_gradient_flow_conserves_drifts_with_the_step_only():
    """Not at all from an aligned balanced start; else in proportion to the rate."""
    rng = np.random.default_rng(2)
    beta = np.array([[0.0, 0.6, 0.8]])
    hidden = rng.standard_normal((4, 1))
    hidden /= np.linalg.norm(hidden)

    @functools.partial(jax.jit, static_argnames="steps")
    def drift(first, second, rate, steps):
        end = linear.descend([(first, second)], sigma_yx=beta, rate=rate, steps=steps).paths[0]
        before, after = (linear.balance_differences(layers)[0] for layers in ((first, second), end))
        return jnp.linalg.norm(after - before)

    assert float(drift(0.01 * hidden @ beta, 0.01 * hidden.T, 0.1, 200)) < 1e-14
    other = 0.3 * rng.standard_normal((4, 3)), 0.3 * rng.standard_normal((1, 4))
    coarse, fine = float(drift(*other, 0.1, 200)), float(drift(*other, 0.05, 400))
    assert 1e-4 < fine < coarse
    assert coarse / fine == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"), [(0.0, 0.01, "holds"), (0.02, 0.01, "fails"), (0.0, 0.3, "inconclusive")]
)
def test_agreement_with_the_closed_form_can_fail_and_needs_power(shift, spread, verdict):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, 64))
    noise -= noise.mean(1, keepdims=True)
    dims = ("rank", "seed")
    measured = xr.Dataset(
        {"alignment": (dims, 0.5 + shift + spread * noise), "expected": (dims, np.full((2, 64), 0.5))}
    )
    assert module(THEORY).agrees(measured, "name", "statement").verdict == verdict


def synthetic_theory():
    """Results of every part that follow the closed form for small weights, whatever the norm of the weights."""
    config = experiment(THEORY).get_config("")
    d, noise = config.inputs, np.random.default_rng(0).standard_normal(64)
    axes = {
        "size": {"size": config.sizes, "rank": config.ranks},
        "readout": {"readout": config.readouts, "rank": config.ranks},
        "limit": {"size": config.limits, "rank": config.limit_ranks},
        "dimension": {
            "inputs": config.dimensions,
            "readout": config.dimension_readouts,
            "share": config.shares,
        },
    }
    nodes = {}
    for part, own in axes.items():
        grid = xr.Dataset(coords={**{name: list(values) for name, values in own.items()}, "seed": np.arange(64)})
        inputs = grid.get("inputs", d)
        rank = np.maximum(1, grid["share"] * inputs) if part == "dimension" else grid["rank"]
        x = (0.0 if part == "limit" else grid.get("readout", 0.1)) ** 2
        expected = (1 + 1 / inputs) / np.sqrt(inputs + 3) * (1 + inputs * x) / np.sqrt(1 / rank + 2 * x + inputs * x**2)
        shape = {name: grid[name] for name in own}
        seeds = xr.DataArray(noise - noise.mean(), dims="seed")
        spread = np.sqrt(2 / (d * (d + 2) * (d + 3)) * np.maximum(1 - rank / inputs, 0))
        alignment = (expected + spread * seeds).broadcast_like(grid.seed * xr.zeros_like(expected))
        for name in shape:
            alignment = alignment if name in alignment.dims else alignment.expand_dims({name: grid[name]})
        names = ("alignment", "predicted", "exact")
        node = xr.Dataset({name: alignment for name in names})
        node["expected"], node["deviation"] = xr.broadcast(expected, alignment)[0], xr.broadcast(spread, alignment)[0]
        node.attrs["config"] = json.dumps(config.to_dict())
        nodes[part] = node
    return xr.DataTree.from_dict(nodes)


def test_claims_about_every_part_hold_where_the_closed_form_does_and_fail_where_it_says_so():
    results = synthetic_theory()
    verdicts = {claim.name: claim.verdict for claim in experiment(THEORY).claims(results)}
    fail = {name for name, verdict in verdicts.items() if verdict == "fails"}
    assert {"large weights are lazier", "a share of 0.2, readout 0.1", "a share of 0.6, readout 0.1"} <= fail
    assert all("large weights" in name or "readout 0.1" in name for name in fail)
    assert verdicts["closed form, small weights"] == verdicts["gone at equal norms"] == "holds"
    assert verdicts["a share of 0.2, readout 0"] == verdicts["any norm"] == "holds"
    assert len(experiment(THEORY).figure(results).axes) == 6


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (THEORY, {"parts": ("widths",)}, "parts"),
        (THEORY, {"rank": 5.0}, "rank"),
        (THEORY, {"rank": 1.5}, "rank"),
        (THEORY, {"share": 1.5}, "share"),
        (THEORY, {"size": 0.0}, "size: must be positive"),
        (THEORY, {"readout": -1.0}, "readout"),
        (ALIGNED, {"parts": ("widths",)}, "parts"),
        (ALIGNED, {"inputs": 5}, "even"),
        (ALIGNED, {"kappa": 0.0}, "kappa: must be positive"),
        (ALIGNED, {"large": 10.0}, "large"),
        (ALIGNED, {"readout": -1.0}, "readout"),
    ],
)
def test_bad_values_are_refused(name, settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        experiment(name).check(small(name, **settings))
    assert "\n" not in str(caught.value)
