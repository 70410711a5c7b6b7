"""As a user runs it (one device, two cores, float32): bitwise the same result however the runs are spread.

These also are the tests that XLA's deadlock on few cores is avoided: each has a time limit.
"""

import numpy as np
import pytest
import xarray as xr

from tests import as_user

CODE = """
    import sys
    import jax, jax.numpy as jnp
    from ml_collections import ConfigDict
    from brainjax.sweep import execute, make_plan, product, seeds, static, traced

    DIMS = {"y": ("unit",), "loss": ("step",)}

    def run(key, config):
        w = jax.random.normal(key, (10, 10)) / 4
        a = jnp.eye(10) + w @ w.T
        right = jnp.ones(10)

        def step(w, _):
            y = jax.nn.softmax(w @ right)
            if config.solves >= 1:
                y = jax.scipy.linalg.solve_triangular(a, y, lower=True)
            if config.solves >= 2:
                y = y + jnp.linalg.cholesky(a)[0]
            if config.solves >= 3:
                y = jnp.linalg.solve(a + jnp.diag(y) / 100, y)
            return w - config.lr * jnp.outer(y, right) + config.lr * jnp.tanh(w), (y**2).sum()

        w, loss = jax.lax.scan(step, w, None, length=config.steps)
        return {"y": w[0], "loss": loss}

    if __name__ == "__main__":
        solves, steps, *sweeps = sys.argv[1:]
        config = ConfigDict({"seed": 0, "lr": 0.1, "solves": int(solves), "steps": int(steps)}).lock()
        for sweep in sweeps:
            out, workers, *named = sweep.split()
            axes = product(traced(lr=[0.01, 0.1]), seeds([int(name) for name in named]))
            plan = make_plan(run, config, axes, workers=int(workers) or None, width=8)
            print(plan)
            execute(plan).to_netcdf(out, engine="h5netcdf")
"""


def words(out, named, workers=0):
    return " ".join(map(str, (out, workers, *named)))


def sweeps(tmp_path, *each, solves=0, steps=60):
    """What one process prints that runs the sweeps one after another, and their results."""
    text = as_user.run(CODE, solves, steps, *(words(*one) for one in each), cwd=tmp_path)
    return text, *(xr.load_dataset(tmp_path / out, engine="h5netcdf") for out, *_ in each)


def same_runs(one, other):
    for name in one:
        np.testing.assert_array_equal(one[name], other[name].sel(seed=one["seed"]))


def test_bitwise_the_same_over_seed_count_seed_order_and_workers(tmp_path):
    text, whole = sweeps(tmp_path, ("whole.nc", range(40)))
    assert "thread(s)" in text
    _, few, reverse = sweeps(tmp_path, ("few.nc", [3, 17]), ("reverse.nc", range(39, -1, -1), 1))
    same_runs(few, whole)
    same_runs(reverse, whole)
    assert np.unique(whole["y"].isel(lr=0, unit=0)).size == 40


@pytest.mark.parametrize("solves", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_batched_solves_run_to_the_end_and_the_plan_says_how(tmp_path, solves):
    text, whole, one = sweeps(tmp_path, ("whole.nc", range(48)), ("one.nc", [5, 44], 1), solves=solves, steps=200)
    assert "worker process(es), because the program holds" in text
    assert "deadlocks" in text
    assert np.isfinite(whole["y"]).all()
    same_runs(one, whole)


@pytest.mark.slow
def test_a_lost_worker_costs_its_chunk_only(tmp_path):
    code = CODE.replace(
        "execute(plan).to_netcdf",
        "import os, signal, subprocess\n"
        "            def shoot(event):\n"
        "                if event.done == 8:\n"
        "                    subprocess.run(['pkill', '-KILL', '-f', 'brainjax.sweep.worker', '--oldest'])\n"
        "            execute(plan, progress=shoot).to_netcdf",
    ).replace("'--oldest'", "'--parent', str(os.getpid())")
    out = as_user.run(code, 1, 200, words("shot.nc", range(24), 1), cwd=tmp_path)
    assert "worker process" in out
    _, whole = sweeps(tmp_path, ("whole.nc", range(24), 1), solves=1, steps=200)
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "shot.nc", engine="h5netcdf"), whole)


def test_singular_values_of_many_matrices_do_not_hang(tmp_path):
    """One decomposition of 120 matrices of 60 rows in a chunk: run from two threads, such a program never ended."""
    code = """
        import jax, jax.numpy as jnp
        from ml_collections import ConfigDict
        from brainjax.sweep import execute, make_plan, product, seeds

        DIMS = {"s": ("matrix",)}

        def run(key, config):
            return {"s": jnp.linalg.svd(jax.random.normal(key, (30, 60, 60)), compute_uv=False)[:, 0]}

        if __name__ == "__main__":
            plan = make_plan(run, ConfigDict({"seed": 0}), product(seeds(32)), workers=2, width=4)
            print(plan)
            print("finite", bool(jnp.isfinite(execute(plan)["s"].values).all()))
    """
    text = as_user.run(code, cwd=tmp_path)
    assert "a batched LAPACK call (lapack_sgesdd_ffi)" in text
    assert "finite True" in text
