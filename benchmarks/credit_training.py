"""Training on Fashion-MNIST: an epoch of backpropagation and of counter-current learning, and what the interface costs.

Everything is there before the clock starts: images in memory (bytes here, standardised floats for PyTorch), programs
compiled, a few updates done. Then an epoch in random order is timed. The library trains several seeds with one compiled
program, a seed per thread and a thread per core, as the sweep engine does; PyTorch trains one seed after another on all
its threads, so a second seed takes as long as the first. Values are epochs per second, of all seeds together.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.method import Benchmark, Goal, Method, over

IMAGES, SEEDS = 60_000, 8


class Settings(NamedTuple):
    """What both sides train."""

    widths: tuple[int, ...]
    batch: int
    rate: float
    momentum: float = 0.0
    clip: float = float("inf")

    @property
    def updates(self) -> int:
        """Updates in an epoch."""
        return IMAGES // self.batch


BACKPROP = Settings((784, 256, 128, 64, 10), 128, rate=0.05, momentum=0.9)
COUNTER_CURRENT = Settings((784, 256, 256, 256, 256, 256, 10), 256, rate=1.0, clip=1.0)


def numpy_split() -> tuple[Any, ...]:
    """Training images and labels as numpy arrays, mean and standard deviation of the pixels as fractions of white."""
    import numpy as np

    from brainjax import data

    split = data.load("fashion_mnist")
    fractions = np.asarray(split.images, np.float32) / 255
    return np.asarray(split.images), np.asarray(split.labels), float(fractions.mean()), float(fractions.std())


def _batches() -> Callable[..., Any]:
    """What makes a batch of rows, from the arrays of the data set: arguments of the program, not constants in it."""
    from brainjax import credit, data

    task = data.image_task("fashion_mnist")

    def fetch(rows, images, labels):
        return credit.Batch(*task._replace(images=images, labels=labels).batch(rows))

    return fetch


def _rule(name: str, settings: Settings) -> Any:
    from brainjax import credit

    if name == "backprop":
        net = credit.mlp(settings.widths, "relu", bias=True)
        return credit.make(name, net, forward=credit.sgd(settings.rate, momentum=settings.momentum))
    optimiser = credit.sgd(settings.rate, clip=settings.clip)
    return credit.make(name, credit.mlp(settings.widths, "elu"), forward=optimiser, feedback=optimiser)


def epochs_of(name: str, settings: Settings, seed_count: int) -> dict[str, float]:
    """An epoch of some seeds at once, a thread per core."""
    from concurrent.futures import ThreadPoolExecutor

    import jax
    import jax.numpy as jnp

    from brainjax import data, training

    fetch, rule, task = _batches(), _rule(name, settings), data.image_task("fashion_mnist")

    def epoch(state, key, images, labels):
        state, info = training.one_epoch(
            key,
            state,
            0,
            step=rule.step,
            fetch=lambda rows: fetch(rows, images, labels),
            rows=jnp.arange(IMAGES, dtype=jnp.int32),
            batch_size=settings.batch,
        )
        return state, info.loss

    keys = list(jax.random.split(jax.random.key(0), seed_count))
    states = [jax.jit(rule.init)(key) for key in keys]
    arguments = task.images, task.labels
    compiled = jax.jit(epoch).lower(states[0], keys[0], *arguments).compile()

    def one(state: Any, key: Any) -> Any:
        return jax.block_until_ready(compiled(state, key, *arguments))

    one(states[0], keys[0])
    with ThreadPoolExecutor(min(os.cpu_count() or 1, seed_count)) as pool:
        start = time.perf_counter()
        found = list(pool.map(one, states, keys))
        duration = time.perf_counter() - start
    return {
        "value": seed_count / duration,
        "seconds": duration,
        "loss": sum(float(loss) for _, loss in found) / seed_count,
    }


def interface(name: str, settings: Settings) -> dict[str, float]:
    """Time of the rule's step over that of the same update written out, both in one scan over the same batches."""
    import jax
    import jax.numpy as jnp

    from brainjax import data, training

    fetch, rule, task = _batches(), _rule(name, settings), data.image_task("fashion_mnist")
    key = jax.random.key(0)
    update_count = 12_800 // settings.batch
    rows = training.random_order(key, jnp.arange(IMAGES, dtype=jnp.int32))[: update_count * settings.batch]
    rows = rows.reshape(update_count, settings.batch)
    state = jax.jit(rule.init)(key)
    by_hand = _backprop_by_hand if name == "backprop" else _counter_current_by_hand

    def compiled(step, start):
        def run(start, images, labels):
            return jax.lax.scan(lambda carry, r: step(carry, fetch(r, images, labels)), start, rows)

        program = jax.jit(run).lower(start, task.images, task.labels).compile()
        return lambda: jax.block_until_ready(program(start, task.images, task.labels))

    runs = (
        compiled(lambda state, batch: rule.step(state, batch, key), state),
        compiled(lambda carry, batch: by_hand(carry, batch, settings), _carry(state, settings)),
    )
    losses = float(jnp.mean(runs[0]()[1].loss)), float(jnp.mean(runs[1]()[1]))
    if abs(losses[0] / losses[1] - 1) > 1e-3:
        raise RuntimeError(f"the updates written out are not those of the rule: mean losses {losses}")
    ratios, durations = [], []
    for turn in range(15):
        times = {number: _once(runs[number]) for number in ((0, 1) if turn % 2 else (1, 0))}
        ratios.append(times[0] / times[1])
        durations.append(times[0])
    return {"value": statistics.median(ratios), "ms_per_update": 1e3 * statistics.median(durations) / update_count}


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _carry(state: Any, settings: Settings) -> Any:
    """Weights, and momenta where there are any."""
    import jax
    import jax.numpy as jnp

    up = [tuple(layer[name] for name in ("kernel", "bias") if name in layer) for layer in state.forward]
    if not settings.momentum:
        return [w for (w,) in up], [layer["kernel"] for layer in state.feedback]
    return up, jax.tree.map(jnp.zeros_like, up)


def _backprop_by_hand(carry: Any, batch: Any, settings: Settings) -> Any:
    """Gradient by `jax.value_and_grad`, momentum in line."""
    import jax
    import jax.numpy as jnp

    weights, momenta = carry

    def loss(weights):
        x = batch.inputs
        for number, (kernel, bias) in enumerate(weights):
            x = x @ kernel + bias
            x = jax.nn.relu(x) if number < len(weights) - 1 else x
        labels = jax.nn.one_hot(batch.targets, x.shape[-1], dtype=x.dtype)
        return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(x), -1))

    value, slopes = jax.value_and_grad(loss)(weights)
    momenta = jax.tree.map(lambda m, g: settings.momentum * m + g, momenta, slopes)
    return (jax.tree.map(lambda w, m: w - settings.rate * m, weights, momenta), momenta), value


def _counter_current_by_hand(carry: Any, batch: Any, settings: Settings) -> Any:
    """The derivatives of all losses written out; each net's gradient is clipped to its norm."""
    import jax
    import jax.numpy as jnp

    up, down = carry
    depth, size, classes = len(up), batch.inputs.shape[0], settings.widths[-1]
    same = jax.nn.one_hot(batch.targets, classes, dtype=batch.inputs.dtype)

    def slope(elu):
        return jnp.where(elu > 0, 1, elu + 1)

    rising = [batch.inputs]
    for kernel in up[:-1]:
        rising.append(jax.nn.elu(rising[-1] @ kernel))
    logits = rising[-1] @ up[-1]
    falling = [jnp.eye(classes, dtype=logits.dtype)]
    for kernel in down[:0:-1]:
        falling.append(jax.nn.elu(falling[-1] @ kernel))
    falling = [falling[-1] @ down[0], *falling[::-1]]
    to_up, to_down = [], []
    for level in range(depth):
        a, b = rising[level], falling[level]
        error = (a @ b.T - same) * (256 / (a.shape[1] * size * classes))
        if level:
            to_up.append(rising[level - 1].T @ ((error @ b) * slope(a)))
        back = error.T @ a
        to_down.append(falling[level + 1].T @ (back * slope(b) if level else back))
    logs = jax.nn.log_softmax(logits)
    to_up.append(rising[-1].T @ ((jnp.exp(logs) - same) / size))

    def moved(weights, slopes):
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in slopes))
        rate = settings.rate * jnp.minimum(1, settings.clip / norm)
        return [w - rate * g for w, g in zip(weights, slopes, strict=True)]

    return (moved(up, to_up), moved(down, to_down)), -jnp.mean(jnp.sum(same * logs, -1))


def _torch(name: str, work: str, **options: Any) -> tuple[Method, ...]:
    """A method in PyTorch, on one thread and on two."""

    def on(threads: int) -> Method:
        def measure() -> dict[str, float]:
            from benchmarks import torch_credit

            return getattr(torch_credit, work)(threads, **options)

        label = f"{name}, {threads} thread{'s' * (threads > 1)}"
        return Method(label, measure, {"OMP_NUM_THREADS": str(threads)}, ("torch",))

    return on(1), on(2)


_LOADER = _torch("torch DataLoader", "backprop", loader=True)
_TENSORS = _torch("torch tensors", "backprop", loader=False)
_PLAIN = _torch("torch", "counter_current")


def _names(methods: tuple[Method, ...]) -> tuple[str, ...]:
    return tuple(method.name for method in methods)


def _value(name: str) -> Callable[..., float]:
    return lambda measured: measured[name]["value"]


BENCHMARKS = (
    Benchmark(
        "credit_backprop",
        "an epoch of Fashion-MNIST: 784-256-128-64-10, relu, batches of 128, momentum",
        "epochs/s",
        (
            Method("8 seeds on threads", lambda: epochs_of("backprop", BACKPROP, SEEDS)),
            Method("one seed", lambda: epochs_of("backprop", BACKPROP, 1)),
            *_LOADER,
            *_TENSORS,
        ),
        (
            Goal("8 seeds over torch DataLoader", over("8 seeds on threads", *_names(_LOADER)), 3.5),
            Goal("8 seeds over torch tensors", over("8 seeds on threads", *_names(_TENSORS)), 2.2),
            Goal("one seed over torch tensors", over("one seed", *_names(_TENSORS)), 1.6),
        ),
    ),
    Benchmark(
        "credit_counter_current",
        "an epoch of Fashion-MNIST by counter-current learning: 784-256x5-10, elu, batches of 256",
        "epochs/s",
        (
            Method("one seed", lambda: epochs_of("counter_current", COUNTER_CURRENT, 1)),
            Method("8 seeds on threads", lambda: epochs_of("counter_current", COUNTER_CURRENT, SEEDS)),
            *_PLAIN,
        ),
        (
            Goal("one seed over torch", over("one seed", *_names(_PLAIN)), 1.8),
            Goal("8 seeds over torch", over("8 seeds on threads", *_names(_PLAIN)), 1.8),
        ),
    ),
    Benchmark(
        "credit_interface",
        "time of rule.step over that of the same update written out, in one scan over batches",
        "times",
        (
            Method("backprop", lambda: interface("backprop", BACKPROP)),
            Method("counter_current", lambda: interface("counter_current", COUNTER_CURRENT)),
        ),
        (
            Goal("rule over written out, backprop", _value("backprop"), at_most=1.05),
            Goal("rule over written out, counter-current", _value("counter_current"), at_most=1.05),
        ),
    ),
)
