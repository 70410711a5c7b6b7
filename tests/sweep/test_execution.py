"""Execution in this process: values, labels, ragged results, shards and executors."""

import concurrent.futures
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from ml_collections import ConfigDict

from brainjax.sweep import collect, execute, make_plan, product, seeds, static, traced, zipped

CONFIG = ConfigDict({"seed": 5, "width": 3, "lr": 0.1, "power": 2, "flag": False, "limit": 1e9}).lock()
DIMS = {"y": ("unit",), "total": (), "count": ()}


def run(key, config):
    y = config.lr * jax.random.normal(key, (4,)) ** config.power
    return {"y": y, "total": y.sum(), "count": jnp.asarray(config.width)}


AXES = product(static(width=[2, 3]), seeds([4, 1, 9]), traced(lr=[0.1, 0.2]))


def swept(function=run, axes=AXES, store=None, **options):
    return execute(make_plan(function, CONFIG, axes, dims=DIMS, **options), store)


def test_every_run_stands_under_its_own_labels():
    result = swept()
    assert result["y"].dims == ("width", "seed", "lr", "unit")
    for width in (2, 3):
        for seed in (4, 1, 9):
            for lr in (0.1, 0.2):
                key = jax.random.fold_in(jax.random.key(5), seed)
                expected = lr * jax.random.normal(key, (4,)) ** 2
                got = result.sel(width=width, seed=seed, lr=lr)
                np.testing.assert_allclose(got["y"], expected, rtol=1e-12)
                assert int(got["count"]) == width


def test_zipped_axes_keep_each_fields_values():
    axes = product(zipped("case", traced(lr=[0.1, 0.3]), static(width=[2, 5])), seeds(2))
    result = swept(axes=axes)
    assert result["total"].dims == ("case", "seed")
    np.testing.assert_array_equal(result["lr"], [0.1, 0.3])
    np.testing.assert_array_equal(result["count"][:, 0], [2, 5])
    np.testing.assert_allclose(result["y"][1], 3 * result["y"][0], rtol=1e-12)


def test_traced_integers_and_booleans_keep_their_type():
    def typed(key, config):
        assert jnp.issubdtype(config.power.dtype, jnp.integer)
        assert config.flag.dtype == bool
        return {"total": jnp.where(config.flag, config.power, 0).astype(float)}

    result = swept(typed, product(traced(power=[1, 2], flag=[False, True]), seeds(1)))
    np.testing.assert_array_equal(result["total"][..., 0], [[0, 1], [0, 2]])


def test_seeds_are_shared_across_points_unless_independent():
    paired = swept(axes=product(traced(lr=[1.0, 2.0]), seeds(3)))
    np.testing.assert_allclose(paired["y"][1], 2 * paired["y"][0], rtol=1e-12)
    apart = swept(axes=product(traced(lr=[1.0, 2.0]), seeds(3)), independent=True)
    assert not np.isclose(apart["y"][1], 2 * apart["y"][0]).any()
    again = swept(axes=product(traced(lr=[2.0]), seeds([2])), independent=True)
    np.testing.assert_array_equal(again["y"].squeeze(), apart["y"].sel(lr=2.0, seed=2))


def test_diverged_runs_are_kept_and_counted():
    def diverging(key, config):
        return {"total": jnp.where(config.lr > 0.15, jnp.nan, 1.0)}

    result = swept(diverging)
    assert result.attrs["diverged_runs"] == 6
    assert np.isnan(result["total"].sel(lr=0.2)).all()
    assert (result["total"].sel(lr=0.1) == 1).all()


def ragged_run(key, config):
    return {"y": config.lr * jnp.arange(1.0, config.width + 1)}


def test_ragged_pad_fills_with_nan_and_tells_lengths():
    result = swept(ragged_run, ragged="pad")
    np.testing.assert_array_equal(result["unit_length"], [2, 3])
    assert np.isnan(result["y"].sel(width=2)[..., 2]).all()
    np.testing.assert_allclose(result["y"].sel(width=3, lr=0.2)[0], [0.2, 0.4, 0.6])
    assert result.attrs["diverged_runs"] == 0


def test_ragged_tree_has_a_node_per_static_point():
    result = swept(ragged_run, ragged="tree")
    assert isinstance(result, xr.DataTree)
    assert result["width=2"]["y"].shape == (3, 2, 2)
    assert result["width=3"]["y"].shape == (3, 2, 3)


def test_ragged_pad_refuses_what_has_no_nan():
    with pytest.raises(ValueError, match=r"'y' holds int.*tree"):
        swept(lambda key, config: {"y": jnp.arange(config.width)}, ragged="pad")


def test_shards_meet_in_one_store(tmp_path):
    axes = product(traced(lr=[0.1, 0.2]), seeds(30))
    whole = swept(axes=axes, width=8)
    parts = [swept(axes=axes, width=8, store=tmp_path, shard=(i, 3)) for i in (2, 0, 1)]
    assert parts[0] is None
    assert parts[1] is None
    assert parts[2].identical(whole)
    assert collect(tmp_path).identical(whole)
    with pytest.raises(ValueError, match="store"):
        swept(axes=axes, shard=(0, 2))


def test_any_executor_takes_the_chunks():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        plan = make_plan(run, CONFIG, product(traced(lr=[0.1]), seeds(9)), dims=DIMS, width=4)
        result = execute(plan, executor=executor)
    np.testing.assert_allclose(result["y"], execute(plan)["y"], rtol=1e-12)


def test_progress_counts_runs_up_to_the_total():
    seen = []
    plan = make_plan(run, CONFIG, product(seeds(40)), dims=DIMS, width=8, name="toy")
    execute(plan, progress=seen.append)
    assert [event.label for event in seen] == ["toy"] * len(seen)
    assert seen[0].done == 0
    assert seen[-1].done == seen[-1].total == 40
    assert all(a.done <= b.done for a, b in itertools.pairwise(seen))


def test_an_error_while_running_reaches_the_caller(tmp_path):
    def failing(key, config):
        def fail(_):
            raise RuntimeError("the host has failed")

        return {
            "total": jax.pure_callback(fail, jax.ShapeDtypeStruct((), jnp.float64), config.lr, vmap_method="sequential")
        }

    with pytest.raises(Exception, match="the host has failed"):
        swept(failing, product(traced(lr=[0.1]), seeds(2)), store=tmp_path)
