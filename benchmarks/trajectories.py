"""The 800 trajectories of Figure 1 (Kleinman, Achille & Soatto 2024) against a loop over trajectories in plain Python.

4 depths, 100 initialisations, 2 windows, 1000 Euler steps each. The loop is what a script for one figure does; ours is
one compiled function, vmapped over depth, initialisation and window.
"""

import math
import time

from benchmarks.method import Benchmark, Goal, Method

DEPTHS, SEEDS, ONSETS, STEPS, DT, S = (2.0, 5.0, 8.0, 13.0), 100, (0.0, 0.1), 1000, 0.001, 10.0


def _starts():
    import numpy as np

    return np.random.default_rng(0).normal(0, 0.01, (SEEDS, 2))


def python_loop() -> dict[str, float]:
    """One trajectory after another, scalars only; a quarter of them is timed."""
    starts = _starts()[: SEEDS // 4].tolist()
    begin = time.perf_counter()
    total = 0.0
    for depth in DEPTHS:
        half = (depth - 1) / 2
        for onset in ONSETS:
            first, last = round(onset / DT), round((onset + 0.015) / DT)
            for a, b in starts:
                for step in range(STEPS):
                    pace_a, pace_b = (a * a + 1) ** half, (b * b + 1) ** half
                    left = S - a * pace_a - b * pace_b
                    a += DT * pace_a * left
                    if not first <= step < last:
                        b += DT * pace_b * left
                total += a * (a * a + 1) ** half
    rate = 2 * len(DEPTHS) * len(starts) / (time.perf_counter() - begin)
    return {"value": rate, "mean_strength": total / (2 * len(DEPTHS) * len(starts))}


def compiled() -> dict[str, float]:
    import jax
    import jax.numpy as jnp

    from brainjax import linear

    def trajectory(p0, depth, onset):
        gate = linear.windows(onset, onset + 0.015, [1.0, 0.0])
        settings = {"s": S, "depth": depth, "imbalance": 1.0, "dt": DT, "steps": STEPS, "every": 10}
        return linear.pathway_euler(p0[:, None], windows=gate, **settings).strength[:, :, 0]

    over_all = jax.vmap(jax.vmap(jax.vmap(trajectory, (0, None, None)), (None, 0, None)), (None, None, 0))
    arguments = (jnp.asarray(_starts(), jnp.float32), jnp.asarray(DEPTHS), jnp.asarray(ONSETS))
    function = jax.jit(over_all)
    begin = time.perf_counter()
    first = jax.block_until_ready(function(*arguments))
    with_compilation = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(10):
        jax.block_until_ready(function(*arguments))
    without = (time.perf_counter() - begin) / 10
    runs = math.prod(first.shape[:3])
    mean = float(first[..., -1, 0].mean())
    return {"value": runs / without, "with_compilation": runs / with_compilation, "mean_strength": mean}


BENCHMARKS = (
    Benchmark(
        "trajectories",
        "800 trajectories of two pathways, 1000 steps each",
        "trajectories/s",
        (Method("loop in Python", python_loop), Method("compiled", compiled)),
        (
            Goal(
                "compiled over the loop, compilation left out",
                lambda round_: round_["compiled"]["value"] / round_["loop in Python"]["value"],
                100,
            ),
            Goal(
                "compiled over the loop, compilation counted",
                lambda round_: round_["compiled"]["with_compilation"] / round_["loop in Python"]["value"],
                2,
            ),
        ),
    ),
)
