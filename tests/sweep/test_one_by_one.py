"""Runs too large for a chunk of four to stay in the cache follow one another, each a chunk; only the speed changes."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax.sweep import execute, make_plan, product, seeds, traced
from brainjax.sweep import program as programs

DIMS = {"trace": ("step",), "final": ()}


def run(key, config):
    start = jax.random.normal(key, (config.size, config.size)) / config.size**0.5

    def step(w, _):
        w = w - config.rate * (w @ w.T @ w - w)
        return w, jnp.sum(w**2)

    last, trace = jax.lax.scan(step, start, length=6)
    return {"trace": trace, "final": jnp.sum(last)}


def results(size):
    config = ConfigDict({"seed": 0, "size": size, "rate": 0.1})
    plan = make_plan(run, config, product(traced(rate=[0.05, 0.1]), seeds(3)))
    return plan, execute(plan)


def traced_program(size):
    config = ConfigDict({"seed": 0, "size": size, "rate": 0.1})
    return programs.trace(run, config, {"rate": "float64"}, label="", salted=False)


def test_large_runs_follow_one_another_and_small_ones_do_not():
    small, large = traced_program(100), traced_program(170)  # 80 and 231 KB of state
    assert not small.one_by_one
    assert large.one_by_one
    count = sum("while" in line for line in large.lower(4).as_text().splitlines())
    assert count > sum("while" in line for line in small.lower(4).as_text().splitlines())


def test_results_are_those_of_runs_side_by_side(monkeypatch):
    plan, found = results(170)
    assert plan.width == 1
    monkeypatch.setattr(programs, "_CACHE_BYTES", 1 << 30)
    _, side_by_side = results(170)
    for name in DIMS:
        np.testing.assert_allclose(found[name], side_by_side[name], rtol=1e-10)
