"""Training a recurrent network of 300 units through 100 steps: 16 seeds, batches of 128, Adam.

The library compiles one program and runs a seed per thread, a thread per core, as the sweep engine does. PyTorch's
``nn.RNN`` trains one seed after another on all its threads. Both draw fresh inputs in every update; compiling and the
first updates are not counted. Values are updates per second, of all seeds together.
"""

import os
import time

from benchmarks.method import Benchmark, Goal, Method, over, seconds

SEEDS, UNITS, INPUTS, STEPS, BATCH, UPDATES, RATE = 16, 300, 3, 100, 128, 6, 1e-3
_FLOPS = 6.0 * BATCH * STEPS * UNITS * (UNITS + INPUTS + 1)


def library() -> dict[str, float]:
    """One compiled program, a thread per core."""
    from concurrent.futures import ThreadPoolExecutor

    import jax
    import jax.numpy as jnp
    import optax

    from brainjax import recurrent, training

    def sample(key):
        x = jax.random.normal(key, (BATCH, STEPS, INPUTS))
        return x, jnp.cumsum(x[..., :1], 1) / 10

    def loss(network, batch):
        x, target = batch
        h = recurrent.states(network, x, activation="tanh")
        return jnp.mean((recurrent.readout(network, h) - target) ** 2)

    def run(key):
        for_weights, for_rest, for_batches = jax.random.split(key, 3)
        recurrent_weights = jax.random.normal(for_weights, (UNITS, UNITS)) / jnp.sqrt(1.0 * UNITS)
        network = recurrent.initial_network(for_rest, recurrent_weights, inputs=INPUTS, outputs=1)
        found = training.train(
            for_batches,
            network,
            loss=loss,
            sample=sample,
            transform=optax.adam(RATE),
            steps=UPDATES,
            window=1,
        )
        return found.loss, found.params

    compiled = jax.jit(run).lower(jax.random.key(0)).compile()
    keys = list(jax.random.split(jax.random.key(1), SEEDS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def work():
            return list(pool.map(lambda key: jax.block_until_ready(compiled(key)), keys))

        duration = seconds(work, 1)
        losses = work()[0][0]
    rate = SEEDS * UPDATES / duration
    return {
        "value": rate,
        "gflops": rate * _FLOPS / 1e9,
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
    }


def torch_loop(threads: int) -> dict[str, float]:
    """Updates of one seed; a loop over seeds takes as long for each."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = torch.nn.RNN(INPUTS, UNITS, nonlinearity="tanh", bias=False, batch_first=True)
    output = torch.nn.Linear(UNITS, 1, bias=False)
    with torch.no_grad():
        torch.nn.init.normal_(network.get_parameter("weight_hh_l0"), std=UNITS**-0.5)
    optimiser = torch.optim.Adam([*network.parameters(), *output.parameters()], lr=RATE)

    def update():
        x = torch.randn(BATCH, STEPS, INPUTS)
        target = torch.cumsum(x[..., :1], 1) / 10
        h, _ = network(x)
        loss = torch.mean((output(h) - target) ** 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    first, last = update(), update()
    start = time.perf_counter()
    for _ in range(4 * UPDATES):
        last = update()
    rate = 4 * UPDATES / (time.perf_counter() - start)
    return {"value": rate, "gflops": rate * _FLOPS / 1e9, "first_loss": first, "last_loss": last}


def _torch(threads: int) -> Method:
    name = f"torch nn.RNN, {threads} thread{'s' * (threads > 1)}"
    return Method(name, lambda: torch_loop(threads), {"OMP_NUM_THREADS": str(threads)}, ("torch",))


BENCHMARKS = (
    Benchmark(
        "recurrent_training",
        "16 seeds of a recurrent network of 300 units, 100 steps, batches of 128, Adam",
        "updates/s",
        (Method("threads over seeds", library), _torch(1), _torch(2)),
        (Goal("threads over torch nn.RNN", over("threads over seeds", *(_torch(n).name for n in (1, 2))), 1.8),),
    ),
)
