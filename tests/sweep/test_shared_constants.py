"""A data set that a run closes over is passed to its program once, not written into it."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax.sweep import execute, make_plan, product, seeds, static, traced
from brainjax.sweep import program as programs

DIMS = {"mean": (), "sum": ()}
IMAGES = np.arange(2**21, dtype=np.int64).astype(np.uint8).reshape(2**11, 2**10)  # 2 MB


def run_on(images):
    def run(key, config):
        def step(total, j):
            row = jax.random.randint(jax.random.fold_in(key, j), (), 0, len(images))
            return total + config.rate * jnp.asarray(images)[row].astype(float), None

        total = jax.lax.scan(step, jnp.zeros(images.shape[1]), jnp.arange(config.steps, dtype=jnp.int32))[0]
        return {"mean": jnp.mean(total), "sum": jnp.sum(total)}

    return run


def planned(images, n=3, **options):
    config = ConfigDict({"seed": 0, "rate": 0.5, "steps": 4})
    axes = product(static(steps=[4, 5]), traced(rate=[0.5, 1.0]), seeds(n))
    return make_plan(run_on(images), config, axes, dims=DIMS, **options)


def test_results_are_those_of_plain_calls_and_the_program_stays_small():
    plan = planned(IMAGES)
    assert max(len(low.as_text()) for low in plan.lowered) < 50_000
    assert [len(program.shared) for program in plan.programs] == [1, 1]
    found = execute(plan)
    config = ConfigDict({"seed": 0, "rate": 1.0, "steps": 5})
    key = jax.random.fold_in(jax.random.key(0), jnp.uint32(2))
    wanted = run_on(IMAGES)(key, config)
    for name in DIMS:
        np.testing.assert_allclose(found[name].sel(steps=5, rate=1.0, seed=2), wanted[name], rtol=1e-12)


def test_other_data_is_another_program():
    other = IMAGES.copy()
    other[5, 5] += 1
    first, second, again = (plan.layout.points for plan in (planned(IMAGES), planned(other), planned(IMAGES.copy())))
    assert all(a.fingerprint != b.fingerprint for a, b in zip(first, second, strict=True))
    assert all(a.fingerprint == b.fingerprint for a, b in zip(first, again, strict=True))


def test_shared_data_does_not_count_as_the_state_of_a_run():
    program = planned(IMAGES).programs[0]
    assert 8 * 2**10 <= program.live_bytes < 10 * 2**10
    assert not program.one_by_one


def test_a_worker_process_gets_the_data_inside_its_program():
    program = planned(IMAGES).programs[0]
    arguments = [np.full(4, 0.5), np.arange(4, dtype=np.uint32)]
    here = program.lower(4).compile()(*arguments, *program.shared)
    there = jax.export.deserialize(bytearray(program.export(4))).call(*arguments)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_runs_one_by_one_come_out_the_same_whatever_their_number(monkeypatch):
    monkeypatch.setattr(programs, "_CACHE_BYTES", 1024)
    few, many = planned(IMAGES, 1), planned(IMAGES, 3)
    assert few.width == many.width == 1
    few, many = execute(few), execute(many)
    for name in DIMS:
        np.testing.assert_array_equal(few[name], many[name].isel(seed=slice(0, 1)))
