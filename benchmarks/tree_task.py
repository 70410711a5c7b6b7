"""The tree task with two paths of layers (depth 4, 100 units): three windows, many seeds, and what records cost.

A unit of work is one network trained for 1,000 updates. Counted are the products of the forward and backward pass.
"""

import itertools
import time

from benchmarks.method import Benchmark, Goal, Method, over, seconds

DEPTH, WIDTH, RATE, STEPS, LENGTH = 4, 100, 0.01, 1000, 150
WINDOWS, SEEDS, SNAPSHOTS = (0, 400, 750), 256, 100
DIMS = {"strength": ("path", "mode")}
_SIZES = (8, *(WIDTH,) * (DEPTH - 1), 15)
FLOPS = 2 * 3 * 2.0 * 8 * sum(a * b for a, b in itertools.pairwise(_SIZES[1:]))
"""Of one update of two paths: forward, error and gradient; with one-hot inputs the first layer costs nothing more."""


def network(key, onset, every=None):
    """Trains one network from the paper's kind of start; the second path is gated for a while."""
    import jax
    import jax.numpy as jnp

    from brainjax import linear, tasks

    task = tasks.hierarchical_task(dtype=jnp.float32)
    strengths = 0.01 * (1 + 0.1 * jax.random.normal(key, (8,)))
    each = jnp.broadcast_to(strengths ** (1 / DEPTH), (DEPTH, 8))
    layers = linear.decoupled_layers(each, left=task.left, right=task.right, width=WIDTH)
    run = linear.descend(
        [layers, layers],
        sigma_yx=task.outputs,
        rate=RATE,
        steps=STEPS,
        every=every,
        windows=linear.windows(onset, onset + LENGTH * RATE, [1.0, 0.0]),
    )
    seen = jax.vmap(lambda omega: linear.project(omega, left=task.left, right=task.right))(run.records[-1])
    return seen.strength, run


def run(key, config):
    """One network: the experiment that the engine sweeps."""
    return {"strength": network(key, config.onset)[0]}


def three_windows() -> dict[str, float]:
    """The three windows of Figure 2 as one program, after a first call."""
    import jax
    import jax.numpy as jnp

    onsets = jnp.array([RATE * start for start in WINDOWS])
    train = jax.jit(jax.vmap(lambda onset: network(jax.random.key(0), onset, every=10)[1].records))
    start = time.perf_counter()
    jax.block_until_ready(train(onsets))
    first = time.perf_counter() - start
    duration = seconds(lambda: jax.block_until_ready(train(onsets)), 5)
    return {"value": len(WINDOWS) / duration, "seconds": duration, "first_call": first}


def engine() -> dict[str, float]:
    """All seeds through the engine, its planning, compilation and result included."""
    import numpy as np
    from ml_collections import ConfigDict

    from brainjax.sweep import execute, make_plan, product, seeds

    start = time.perf_counter()
    plan = make_plan(run, ConfigDict({"seed": 0, "onset": 0.0}), product(seeds(SEEDS)))
    result = execute(plan)
    assert result is not None
    duration = time.perf_counter() - start
    return {
        "value": SEEDS / duration,
        "seconds": duration,
        "gflops": SEEDS * STEPS * FLOPS / duration / 1e9,
        "width": plan.width,
        "gated": float(np.asarray(result["strength"])[:, 1, 0].mean()),
    }


def records(every: int | None) -> dict[str, float]:
    """One network alone, with or without records of both maps."""
    import jax

    train = jax.jit(lambda key: network(key, 0.0, every)[1])
    duration = seconds(lambda: jax.block_until_ready(train(jax.random.key(0))), 15)
    return {"value": 1 / duration, "milliseconds": 1e3 * duration}


def published(threads: int, networks: int) -> dict[str, float]:
    """The published loop over networks."""
    from benchmarks import published_loops

    published_loops.tree_task(1, steps=50, threads=threads)
    start = time.perf_counter()
    published_loops.tree_task(networks, steps=STEPS, threads=threads)
    return {"value": networks / (time.perf_counter() - start)}


def _published(networks: int) -> tuple[Method, ...]:
    return tuple(
        Method(
            f"published loop, {threads} thread{'s' * (threads > 1)}",
            lambda threads=threads: published(threads, networks),
            {"OMP_NUM_THREADS": str(threads)},
            ("torch",),
        )
        for threads in (1, 2)
    )


_LOOPS = tuple(method.name for method in _published(1))

BENCHMARKS = (
    Benchmark(
        "tree_windows",
        "tree task, three windows of deficit",
        "networks/s",
        (Method("three windows at once", three_windows), *_published(3)),
        (Goal("three windows at once over the published loop", over("three windows at once", *_LOOPS), 3),),
    ),
    Benchmark(
        "tree_seeds",
        f"tree task, {SEEDS} seeds",
        "networks/s",
        (Method("engine", engine), *_published(4)),
        (Goal("engine over the published loop", over("engine", *_LOOPS), 25),),
    ),
    Benchmark(
        "tree_records",
        f"tree task, one network: {SNAPSHOTS} records of its maps or none",
        "networks/s",
        (
            Method("no records", lambda: records(None)),
            Method(f"{SNAPSHOTS} records", lambda: records(STEPS // SNAPSHOTS)),
        ),
        (
            Goal(
                "time with records over time without",
                lambda round_: round_["no records"]["value"] / round_[f"{SNAPSHOTS} records"]["value"],
                at_most=1.05,
            ),
        ),
    ),
)
