"""The critical-period law over a grid of 100,000 points as one vmapped function."""

import time

from benchmarks.method import Benchmark, Goal, Method

DEPTHS, ONSETS, DURATIONS, SEEDS = 5, 50, 4, 100


def closed_form() -> dict[str, float]:
    import jax
    import jax.numpy as jnp

    from brainjax import linear

    depth = jnp.linspace(2.0, 8.0, DEPTHS)
    onset = jnp.linspace(0.0, 9.0, ONSETS)
    duration = jnp.linspace(0.5, 2.0, DURATIONS)
    k0 = 0.01 * jnp.exp(0.1 * jax.random.normal(jax.random.key(0), (SEEDS, 2)))

    def curve(depth, onset, duration, k0):
        return linear.critical_period_curve(onset, duration=duration, s=1.0, k0=k0, depth=depth)

    function = curve
    for axis in range(4):
        function = jax.vmap(function, tuple(0 if axis == 3 - place else None for place in range(4)))
    function = jax.jit(function)
    begin = time.perf_counter()
    strengths = jax.block_until_ready(function(depth, onset, duration, k0))
    compilation = time.perf_counter() - begin
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        strengths = jax.block_until_ready(function(depth, onset, duration, k0))
        times.append(time.perf_counter() - begin)
    assert strengths.size == 100_000
    return {"value": sorted(times)[1], "first_call": compilation, "mean_strength": float(strengths.mean())}


BENCHMARKS = (
    Benchmark(
        "closed_form",
        "100,000 points (depth x onset x duration x seed) of the critical-period law",
        "s",
        (
            Method("one vmapped function", closed_form),
            Method("the same in float64", closed_form, {"JAX_ENABLE_X64": "1"}),
        ),
        (Goal("seconds for 100,000 points", lambda round_: round_["one vmapped function"]["value"], at_most=1.0),),
    ),
)
