"""The 800 trajectories of Figure 1 (Kleinman, Achille & Soatto 2024) against a loop over trajectories in plain Python.

4 depths, 100 initialisations, 2 windows, 1000 Euler steps each. One loop has the structure of the published script, the
other is the leanest that plain Python allows (shown, not judged); ours is one compiled function, vmapped over depth,
initialisation and window.
"""

import math
import time

from benchmarks.method import Benchmark, Goal, Method

DEPTHS, SEEDS, ONSETS, STEPS, DT, S = (2.0, 5.0, 8.0, 13.0), 100, (0.0, 0.1), 1000, 0.001, 10.0


def _starts():
    import numpy as np

    return np.random.default_rng(0).normal(0, 0.01, (SEEDS, 2))


def array_loop() -> dict[str, float]:
    """One trajectory after another, as in the published script: numpy, one element at a time, everything kept."""
    import numpy as np

    def strength(p, depth):
        return p * np.power(p**2 + 1, (depth - 1) / 2)

    def trajectory(p0, depth, onset):
        pa, pb, ka, kb = (np.zeros(STEPS + 1) for _ in range(4))
        pa[0], pb[0] = p0
        ka[0], kb[0] = strength(pa[0], depth), strength(pb[0], depth)
        first, last = round(onset / DT), round((onset + 0.015) / DT)
        for step in range(STEPS):
            left = S - ka[step] - kb[step]
            pa[step + 1] = pa[step] + DT * np.sqrt(pa[step] ** 2 + 1) ** (depth - 1) * left
            gate = 0.0 if first <= step < last else 1.0
            pb[step + 1] = pb[step] + gate * DT * np.sqrt(pb[step] ** 2 + 1) ** (depth - 1) * left
            ka[step + 1], kb[step + 1] = strength(pa[step + 1], depth), strength(pb[step + 1], depth)
        return ka, kb

    return _timed(lambda a, b, depth, onset: trajectory((a, b), depth, onset)[0][-1], SEEDS // 10)


def scalar_loop() -> dict[str, float]:
    """The leanest loop that plain Python allows: scalars only, nothing kept."""

    def final(a, b, depth, onset):
        half = (depth - 1) / 2
        first, last = round(onset / DT), round((onset + 0.015) / DT)
        for step in range(STEPS):
            pace_a, pace_b = (a * a + 1) ** half, (b * b + 1) ** half
            left = S - a * pace_a - b * pace_b
            a += DT * pace_a * left
            if not first <= step < last:
                b += DT * pace_b * left
        return a * (a * a + 1) ** half

    return _timed(final, SEEDS // 4)


def _timed(final, seeds: int) -> dict[str, float]:
    starts = _starts()[:seeds].tolist()
    begin = time.perf_counter()
    ends = [float(final(a, b, depth, onset)) for depth in DEPTHS for onset in ONSETS for a, b in starts]
    return {"value": len(ends) / (time.perf_counter() - begin), "mean_strength": sum(ends) / len(ends)}


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
        (
            Method("loop, arrays (as published)", array_loop),
            Method("loop, scalars only", scalar_loop),
            Method("compiled", compiled),
        ),
        (
            Goal(
                "compiled over the loop, compilation left out",
                lambda round_: round_["compiled"]["value"] / round_["loop, arrays (as published)"]["value"],
                100,
            ),
            Goal(
                "compiled over the loop, compilation counted",
                lambda round_: round_["compiled"]["with_compilation"] / round_["loop, arrays (as published)"]["value"],
                2,
            ),
        ),
    ),
)
