"""Two-pathway deep linear networks in layer space, 1024 seeds: the engine against what one would write otherwise.

A unit of work is one update of all layers of one network (a "seed-step"); slow methods do fewer of them. Counted are
the products of the forward and backward pass: 6 (D - 1) of size n for two paths of D layers. The engine's time
holds its planning, compilation and result; all other methods are timed after a first call.
"""

import time

from benchmarks.method import Benchmark, Goal, Method, over, seconds

DEPTH, SEEDS, RATE, SCALE = 4, 1024, 0.01, 0.7
DIMS = {"loss": ()}
_TORCH = ("torch",)


def run(key, config):
    """One network: the experiment that the engine sweeps."""
    import jax
    import jax.numpy as jnp

    from brainjax.linear import descend, gaussian_layers, path_maps

    sizes = (config.size,) * (DEPTH + 1)
    paths = [gaussian_layers(k, sizes, scale=SCALE) for k in jax.random.split(key)]
    target = jnp.diag(jnp.linspace(1.0, 0.1, config.size))
    final = descend(paths, sigma_yx=target, rate=RATE, steps=config.steps).paths
    return {"loss": 0.5 * jnp.sum((target - jnp.sum(path_maps(final), axis=0)) ** 2)}


def _flops(size: int) -> float:
    return 6 * (DEPTH - 1) * 2.0 * size**3


def engine(size: int, steps: int) -> dict[str, float]:
    import numpy as np
    from ml_collections import ConfigDict

    from brainjax.sweep import execute, make_plan, product, seeds

    start = time.perf_counter()
    plan = make_plan(run, ConfigDict({"seed": 0, "size": size, "steps": steps}), product(seeds(SEEDS)))
    result = execute(plan)
    assert result is not None
    rate = SEEDS * steps / (time.perf_counter() - start)
    return {
        "value": rate,
        "gflops": rate * _flops(size) / 1e9,
        "width": plan.width,
        "loss": float(np.mean(np.asarray(result["loss"]))),
    }


def plain_vmap(size: int, steps: int) -> dict[str, float]:
    """What everybody writes: ``jit(vmap(scan(grad)))`` over all seeds."""
    import jax
    import jax.numpy as jnp

    target = jnp.diag(jnp.linspace(1.0, 0.1, size))

    def product(layers):
        total = layers[0]
        for layer in layers[1:]:
            total = layer @ total
        return total

    def loss(paths):
        return 0.5 * jnp.sum((target - product(paths[0]) - product(paths[1])) ** 2)

    def train(key):
        keys = jax.random.split(key, (2, DEPTH))
        spread = SCALE / size**0.5
        paths = [[spread * jax.random.normal(keys[a, d], (size, size)) for d in range(DEPTH)] for a in range(2)]

        def step(paths, _):
            return jax.tree.map(lambda w, g: w - RATE * g, paths, jax.grad(loss)(paths)), None

        return loss(jax.lax.scan(step, paths, length=steps)[0])

    batch = jax.jit(jax.vmap(train))
    keys = jax.random.split(jax.random.key(0), SEEDS)
    duration = seconds(lambda: jax.block_until_ready(batch(keys)), 1)
    return {"value": SEEDS * steps / duration, "loss": float(batch(keys).mean())}


def xla_matmul() -> dict[str, float]:
    """The machine's own rate: dependent products of size 1024, all cores."""
    import jax

    a = jax.random.normal(jax.random.key(0), (1024, 1024)) / 32
    chained = jax.jit(lambda b: jax.lax.scan(lambda c, _: (a @ c, None), b, length=30)[0])
    gflops = 30 * 2 * 1024**3 / seconds(lambda: jax.block_until_ready(chained(a)), 5) / 1e9
    return {"value": gflops, "gflops": gflops}


def _torch_method(name, function, size, steps, seeds_):
    def measure(threads):
        def work():
            from benchmarks import torch_networks

            return getattr(torch_networks, function)(size, steps, seeds_, threads)

        return work

    return tuple(
        Method(
            f"{name}, {threads} thread{'s' * (threads > 1)}",
            measure(threads),
            {"OMP_NUM_THREADS": str(threads)},
            _TORCH,
        )
        for threads in (1, 2)
    )


def _best(name):
    return (f"{name}, 1 thread", f"{name}, 2 threads")


def _engine_over_matmul(round_):
    return round_["engine"]["gflops"] / round_["XLA product of size 1024 (GFLOP/s)"]["gflops"]


def _benchmark(size: int, steps: int, slower: int, goals: tuple[Goal, ...], torch: bool = True) -> Benchmark:
    methods = [
        Method("engine", lambda: engine(size, steps)),
        Method("jit(vmap(scan(grad)))", lambda: plain_vmap(size, max(steps // slower, 1))),
    ]
    if torch:
        methods += [
            *_torch_method("torch.func vmap", "functional", size, max(steps // slower, 1), SEEDS),
            *_torch_method("torch bmm, gradient by hand", "by_hand", size, max(steps // slower, 1), SEEDS),
            *_torch_method("torch loop over seeds", "loop", size, 300, 4),
            Method("XLA product of size 1024 (GFLOP/s)", xla_matmul),
        ]
    return Benchmark(
        f"layered_{size}",
        f"two paths of {DEPTH} layers of {size} units, {SEEDS} seeds",
        "seed-steps/s",
        tuple(methods),
        goals,
    )


BENCHMARKS = (
    _benchmark(
        32,
        2000,
        8,
        (
            Goal("engine over torch.func vmap", over("engine", *_best("torch.func vmap")), 3),
            Goal("engine over batched PyTorch by hand", over("engine", *_best("torch bmm, gradient by hand")), 2),
            Goal("engine over a PyTorch loop", over("engine", *_best("torch loop over seeds")), 25),
            Goal("engine over jit(vmap(scan(grad)))", over("engine", "jit(vmap(scan(grad)))"), 3),
            Goal("engine's arithmetic over XLA's product of size 1024", _engine_over_matmul, 1 / 3),
        ),
    ),
    _benchmark(
        10,
        20000,
        80,
        (
            Goal("engine over torch.func vmap", over("engine", *_best("torch.func vmap")), 3),
            Goal("engine over a PyTorch loop", over("engine", *_best("torch loop over seeds")), 100),
        ),
    ),
    _benchmark(
        4,
        60000,
        300,
        (Goal("engine over jit(vmap(scan(grad)))", over("engine", "jit(vmap(scan(grad)))"), 8),),
        torch=False,
    ),
)
