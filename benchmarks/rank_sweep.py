"""Recurrent networks of four initial ranks on two-alternative choice, with all measures: one seed of the rank sweep.

100 units, 10,000 updates of 32 trials per rank. The library is timed from its import to the last number, compilation
included, with a thread per core as the sweep engine does it. The loop in PyTorch is what the field runs: rank after
rank, batches from a vectorised generator, tangent kernels from one backward pass per output, at the start and at the
end. Of that loop some hundred updates and one pair of kernels are timed and multiplied.
"""

import math
import os
import time

from benchmarks.method import Benchmark, Goal, Method, over

RANKS, UNITS, STEPS, BATCH, TIMED = (1, 10, 30, 100), 100, 10_000, 32, 300
GAIN, RATE, MOMENTUM, PROBES, KERNEL_PROBES = 1.25, 0.003, 0.9, 320, 32
COHERENCES = (0.0, 6.4, 12.8, 25.6, 51.2)


def library() -> dict[str, float]:
    """All ranks with one compiled program, from the first line to the last number."""
    start = time.perf_counter()
    from concurrent.futures import ThreadPoolExecutor

    import jax
    import jax.numpy as jnp
    import optax

    from brainjax import initializers, recurrent, tasks, training

    task = tasks.DECISION_TASKS["two_alternative"]

    def run(key, rank):
        for_base, for_rest, for_training = jax.random.split(key, 3)
        weights = initializers.rank_structured(spectrum=initializers.truncated(rank), gain=GAIN)
        network = recurrent.initial_network(
            for_rest, weights(for_base, (UNITS, UNITS), jnp.float32), inputs=task.inputs, outputs=task.outputs
        )
        found = training.learn_decisions(
            for_training,
            network,
            task=task,
            transform=optax.sgd(RATE, momentum=MOMENTUM),
            steps=STEPS,
            every=STEPS,
            window=math.gcd(STEPS, 100),
            probes=PROBES,
            kernel_probes=KERNEL_PROBES,
        )
        return found.initial, found.records, found.loss, found.accuracy

    key = jax.random.key(0)
    compiled = jax.jit(run).lower(key, jnp.float32(1)).compile()
    after_compiling = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda rank: jax.block_until_ready(compiled(key, jnp.float32(rank))), RANKS))
    duration = time.perf_counter() - start
    return {
        "value": 3600 / duration,
        "seconds": duration,
        "compiling": after_compiling - start,
        "first_alignment": float(found[0][1].kernel_alignment[-1]),
        "last_alignment": float(found[-1][1].kernel_alignment[-1]),
        "last_loss": float(found[-1][2][-STEPS // 1000 :].mean()),
    }


def torch_loop(threads: int) -> dict[str, float]:
    """Seconds of one update and of one kernel, times their numbers."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)

    def batch(size: int):
        side = torch.randint(2, (size,))
        coherence = torch.tensor(COHERENCES)[torch.randint(len(COHERENCES), (size,))]
        half = (coherence / 200) * (1 - 2 * side)
        stimulus = 0.5 + torch.stack([half, -half], 1)[:, None] + 0.1 * torch.randn(size, 7, 2)
        x = torch.zeros(size, 8, 3)
        x[:, :7, 0], x[:, :7, 1:] = 1.0, stimulus
        labels = torch.zeros(size, 8, dtype=torch.long)
        labels[:, 7] = 1 + side
        return x, labels

    def forward(weights, x):
        w_in, w, w_out = weights
        h = torch.zeros(x.shape[0], w.shape[0])
        rates = []
        for t in range(x.shape[1]):
            h = torch.relu(x[:, t] @ w_in.T + h @ w.T)
            rates.append(h)
        return torch.stack(rates, 1) @ w_out.T, h

    def initial(rank: int):
        base = GAIN * torch.randn(UNITS, UNITS) / math.sqrt(UNITS)
        u, s, v = torch.linalg.svd(base)
        low = (u[:, :rank] * s[:rank]) @ v[:rank]
        w = low * torch.linalg.norm(base) / torch.linalg.norm(low)
        w_in = (2 * torch.rand(UNITS, 3) - 1) / math.sqrt(3)
        w_out = (2 * torch.rand(3, UNITS) - 1) / math.sqrt(UNITS)
        return [m.clone().requires_grad_(True) for m in (w_in, w, w_out)]

    def train(weights, steps: int):
        optimiser = torch.optim.SGD(weights, lr=RATE, momentum=MOMENTUM)
        loss = torch.zeros(())
        for _ in range(steps):
            x, labels = batch(BATCH)
            outputs, _ = forward(weights, x)
            loss = torch.nn.functional.cross_entropy(outputs.reshape(-1, 3), labels.reshape(-1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return float(loss.detach())

    def kernel(weights, x):
        outputs = forward(weights, x)[0].reshape(-1)
        rows = torch.empty(outputs.shape[0], UNITS * UNITS)
        for i in range(outputs.shape[0]):
            rows[i] = torch.autograd.grad(outputs[i], weights[1], retain_graph=True)[0].reshape(-1)
        return rows @ rows.T

    def measures(first, rates, weights, start, x):
        last, (_, h) = kernel(weights, x[:KERNEL_PROBES]), forward(weights, x)
        gram, other = rates @ rates.T, h @ h.T
        return [
            (first * last).sum() / (first.norm() * last.norm()),
            (gram * other).sum() / (gram.norm() * other.norm()),
            (torch.sign(rates) == torch.sign(h)).float().mean(),
            (weights[1] - start).norm(),
        ]

    weights = initial(RANKS[1])
    probe, _ = batch(PROBES)
    train(weights, 20)
    start = time.perf_counter()
    loss = train(weights, TIMED)
    update = (time.perf_counter() - start) / TIMED
    start = time.perf_counter()
    first, rates = kernel(weights, probe[:KERNEL_PROBES]), forward(weights, probe)[1]
    both = time.perf_counter() - start
    start = time.perf_counter()
    with torch.no_grad():
        before = weights[1].clone()
    found = measures(first, rates, weights, before, probe)
    both += time.perf_counter() - start
    duration = len(RANKS) * (STEPS * update + both)
    return {
        "value": 3600 / duration,
        "seconds": duration,
        "milliseconds_per_update": 1e3 * update,
        "seconds_per_kernel": both / 2,
        "loss": loss,
        "alignment_with_itself": float(found[0]),
    }


def _torch(threads: int) -> Method:
    name = f"PyTorch loop, {threads} thread{'s' * (threads > 1)} (extrapolated)"
    return Method(name, lambda: torch_loop(threads), {"OMP_NUM_THREADS": str(threads)}, ("torch",))


BENCHMARKS = (
    Benchmark(
        "rank_sweep",
        "recurrent networks of 100 units, four initial ranks, 10,000 updates, tangent kernels",
        "seeds/hour",
        (Method("library", library), _torch(1), _torch(2)),
        (Goal("library over the PyTorch loop", over("library", *(_torch(n).name for n in (1, 2))), 5),),
    ),
)
