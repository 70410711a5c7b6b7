"""Matrix completion after a switch of tasks: one curve of nine switch times, at the published settings.

Published: depth 3, 100 units, switches after 0 to 100,000 updates, 30,000 more after each, every run from the start:
586,000 iterations. Here the runs share what comes before their switch: 100,000 + 9 x 30,000 updates. The published loop
is timed over 600 iterations and multiplied.
"""

import time

from benchmarks.method import Benchmark, Goal, Method, over

SWITCHES = (0, 1000, 5000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000)
AFTER, N, DEPTH, TIMED = 30_000, 100, 3, 600
ITERATIONS = sum(SWITCHES) + AFTER * len(SWITCHES)
_UPDATE = 3 * (DEPTH - 1) * 2.0 * N**3  # arithmetic of the products of one update


def shared() -> dict[str, float]:
    """The library, from the first line to the last number: drawing, tracing, compiling, training, singular values."""
    start = time.perf_counter()
    import jax
    import numpy as np

    from brainjax import linear, tasks
    from brainjax.core.spectra import effective_rank, singular_values

    @jax.jit
    def curve(key):
        for_first, for_second, for_mask, for_layers = jax.random.split(key, 4)
        observed = tasks.observed_entries(for_mask, (N, N), count=2000)
        first, second = (
            linear.CompletionTask(tasks.low_rank_matrix(k, (N, N), rank=rank), observed)
            for k, rank in ((for_first, 10), (for_second, 5))
        )
        layers = linear.gaussian_layers(for_layers, (N,) * (DEPTH + 1), scale=1e-3 ** (1 / DEPTH))
        run = linear.complete_switched(
            layers, first=first, second=second, rate=0.2, switches=SWITCHES, at=(AFTER // 2, AFTER)
        )
        errors = jax.vmap(lambda omega: linear.completion_errors(omega, task=second).everywhere)(run.records[:, -1])
        return errors, effective_rank(singular_values(run.records[:, -1]))

    errors, ranks = jax.block_until_ready(curve(jax.random.key(1)))
    duration = time.perf_counter() - start
    work = (SWITCHES[-1] + AFTER * len(SWITCHES)) * _UPDATE
    return {
        "value": 3600 / duration,
        "seconds": duration,
        "gflops": work / duration / 1e9,
        "first_error": float(np.asarray(errors)[0]),
        "last_error": float(np.asarray(errors)[-1]),
        "last_rank": float(np.asarray(ranks)[-1]),
    }


def published(threads: int) -> dict[str, float]:
    """Seconds of one iteration of the published loop, times their number."""
    from benchmarks import published_loops

    published_loops.completion(100, depth=DEPTH, n=N, threads=threads)
    start = time.perf_counter()
    published_loops.completion(TIMED, depth=DEPTH, n=N, threads=threads)
    each = (time.perf_counter() - start) / TIMED
    return {"value": 3600 / (each * ITERATIONS), "milliseconds_per_iteration": 1e3 * each, "seconds": each * ITERATIONS}


def _published(threads: int) -> Method:
    name = f"published loop, {threads} thread{'s' * (threads > 1)} (extrapolated)"
    return Method(name, lambda: published(threads), {"OMP_NUM_THREADS": str(threads)}, ("torch",))


BENCHMARKS = (
    Benchmark(
        "switch_curve",
        "matrix completion, depth 3, nine switch times up to 100,000 updates",
        "curves/hour",
        (Method("shared prefix", shared), _published(1), _published(2)),
        (
            Goal(
                "shared prefix over the published loop",
                over("shared prefix", *(_published(threads).name for threads in (1, 2))),
                12,
            ),
        ),
    ),
)
