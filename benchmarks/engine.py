"""What the sweep engine costs over its own executable, what a second worker brings, and what seeds do to memory.

64 chunks of at least 50 ms of a two-pathway network. The bare loop calls the very executable that `execute` uses, from
a thread per core, and keeps nothing; `execute` also labels the results and writes the store. The compiled program comes
from a cache in both, so that only running is compared.
"""

import concurrent.futures
import tempfile
import time

from benchmarks.method import Benchmark, Goal, Method

CHUNKS, WIDTH, SIZE, STEPS = 64, 16, 32, 600
DIMS = {"loss": (), "strengths": ("path", "mode")}


def run(key, config):
    """One network: the experiment that is swept."""
    import jax
    import jax.numpy as jnp

    from brainjax.linear import descend, gaussian_layers, path_maps

    paths = [gaussian_layers(k, (SIZE,) * 5, scale=0.7) for k in jax.random.split(key)]
    target = jnp.diag(jnp.linspace(1.0, 0.1, SIZE))
    maps = path_maps(descend(paths, sigma_yx=target, rate=config.rate, steps=config.steps).paths)
    return {"loss": 0.5 * jnp.sum((target - maps.sum(0)) ** 2), "strengths": jnp.diagonal(maps, axis1=1, axis2=2)}


def _planned(seeds_: int, workers: int, steps: int = STEPS):
    import jax
    from ml_collections import ConfigDict

    from brainjax.sweep import make_plan, product, seeds

    jax.config.update("jax_compilation_cache_dir", tempfile.mkdtemp())
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    config = ConfigDict({"seed": 0, "rate": 0.01, "steps": steps})
    return make_plan(run, config, product(seeds(seeds_)), workers=workers, width=WIDTH)


def _engine(workers: int) -> dict[str, float]:
    from brainjax.sweep import execute

    plan = _planned(CHUNKS * WIDTH, workers)
    plan.lowered[0].compile()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        execute(plan, folder)
        duration = time.perf_counter() - begin
    return {"value": duration, "chunk_ms": 1000 * duration * workers / CHUNKS}


def bare() -> dict[str, float]:
    import numpy as np

    plan = _planned(CHUNKS * WIDTH, 2)
    plan.lowered[0].compile()
    begin = time.perf_counter()
    executable = plan.lowered[0].compile()
    blocks = [np.arange(start, start + WIDTH, dtype=np.uint32) for start in range(0, CHUNKS * WIDTH, WIDTH)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda block: [np.asarray(out) for out in executable(block)], blocks))
    duration = time.perf_counter() - begin
    return {"value": duration, "chunk_ms": 1000 * duration * 2 / CHUNKS}


def _temporary_memory(seeds_: int) -> dict[str, float]:
    (lowered,) = _planned(seeds_, 2).lowered
    return {"value": float(lowered.compile().memory_analysis().temp_size_in_bytes)}


BENCHMARKS = (
    Benchmark(
        "engine",
        f"{CHUNKS} chunks of {WIDTH} networks of {SIZE} units",
        "s",
        (
            Method("bare executable, 2 threads", bare),
            Method("execute, 2 workers", lambda: _engine(2)),
            Method("execute, 1 worker", lambda: _engine(1)),
        ),
        (
            Goal(
                "execute over the bare executable",
                lambda round_: round_["execute, 2 workers"]["value"] / round_["bare executable, 2 threads"]["value"],
                at_most=1.10,
            ),
            Goal(
                "one worker over two",
                lambda round_: round_["execute, 1 worker"]["value"] / round_["execute, 2 workers"]["value"],
                1.6,
            ),
        ),
    ),
    Benchmark(
        "memory",
        "temporary memory of the compiled chunk, by the number of seeds",
        "bytes",
        (Method("16 seeds", lambda: _temporary_memory(16)), Method("1024 seeds", lambda: _temporary_memory(1024))),
        (
            Goal(
                "1024 seeds over 16 seeds",
                lambda round_: round_["1024 seeds"]["value"] / round_["16 seeds"]["value"],
                at_most=1.0,
            ),
        ),
    ),
)
