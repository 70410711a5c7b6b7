"""A training pass of a memory along a sequence: all gradients of 8 heads of 64 dimensions, float32.

The chunked form of the gated delta rule against its scan over steps and against dense causal softmax attention (the
better of all heads at once and head by head), the chunked form of decayed Hebb against its scan, and the chunked form
at lengths from 1k to 16k. Derivatives are those of half the sum of squared outputs with respect to queries, keys,
values and, for memories, the learning rate and the log decay of every step; every head is one `brainjax.memory.apply`.

All programs take turns in one process, so that a ratio is of one moment of the machine. Values are milliseconds, the
medians over turns; a ratio is the median of the ratios within turns. Lengths are judged doubling by doubling, the time
of 2T over twice that of T, and the largest counts: 1 is linear, 2 is quadratic.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.method import Benchmark, Goal, Method

HEADS, SIZE, STEPS, LENGTHS, TURNS = 8, 64, 4096, (1024, 2048, 4096, 8192, 16384), 5


def draw(steps: int, heads: int = HEADS, size: int = SIZE) -> tuple[Any, ...]:
    """Queries, unit keys, values, learning rates in (0, 1), log decays around -0.02, as numpy arrays, heads first."""
    import numpy as np

    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((heads, steps, size)) / size**0.5 for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta, decay = (rng.standard_normal((heads, steps)) for _ in range(2))
    found = q, k, v, 1 / (1 + np.exp(-beta)), -np.log1p(np.exp(decay - 4))
    return tuple(x.astype(np.float32) for x in found)


def memory_head(rule: str, form: str) -> Callable[..., Any]:
    """Outputs of one head, from queries, keys, values, learning rates and log decays."""
    from brainjax import memory

    made = memory.make(rule)

    def head(q, k, v, beta, log_decay):
        controls = {"beta": beta, "log_decay": log_decay}
        return memory.apply(made, q, k, v, controls=controls, form=form).outputs

    return head


def compiled(outputs: Callable[..., Any], arrays: tuple[Any, ...], *, backward: bool = True) -> Callable[[], Any]:
    """One call of a program: the gradients with respect to all arrays, or the outputs alone."""
    import jax
    import jax.numpy as jnp

    def loss(arrays):
        return 0.5 * jnp.sum(outputs(*arrays) ** 2)

    def forward(arrays):
        return outputs(*arrays)

    arrays = jax.tree.map(jnp.asarray, arrays)
    program = jax.jit(jax.value_and_grad(loss) if backward else forward).lower(arrays).compile()
    return lambda: jax.block_until_ready(program(arrays))


def in_turns(programs: Mapping[str, Callable[[], Any]], turns: int = TURNS) -> dict[str, list[float]]:
    """Milliseconds of every program in every turn, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(turns + 1):
        for name, program in programs.items():
            begin = time.perf_counter()
            program()
            if turn:
                times[name].append(1000 * (time.perf_counter() - begin))
    return times


def ratio(above: list[float], below: list[float]) -> float:
    """Median over turns of the ratios within turns."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def softmax_head(q, k, v):
    """Outputs of one head of causal softmax attention, with the whole matrix of scores."""
    import jax
    import jax.numpy as jnp

    scores = q @ k.T * SIZE**0.5  # unit keys: as spread as with the usual normalisation of both
    seen = jnp.tri(q.shape[0], dtype=bool)
    return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)) @ v


def training() -> dict[str, float]:
    """All of it."""
    import jax

    arrays = draw(STEPS)
    programs = {
        f"{short}_{form}": compiled(jax.vmap(memory_head(rule, form)), arrays)
        for short, rule in (("delta", "gated_delta"), ("hebb", "hebb_decay"))
        for form in ("chunked", "sequential")
    }
    programs["softmax_together"] = compiled(jax.vmap(softmax_head), arrays[:3])
    programs["softmax_by_head"] = compiled(lambda *qkv: jax.lax.map(lambda one: softmax_head(*one), qkv), arrays[:3])
    for length in LENGTHS:
        if length != STEPS:
            programs[f"delta_{length}"] = compiled(jax.vmap(memory_head("gated_delta", "chunked")), draw(length))
    times = in_turns(programs)
    found = {name: statistics.median(each) for name, each in times.items()}
    times[f"delta_{STEPS}"] = chunked = times["delta_chunked"]
    softmax = [min(both) for both in zip(times["softmax_together"], times["softmax_by_head"], strict=True)]
    doublings = {
        f"doubling_to_{b}": ratio(times[f"delta_{b}"], times[f"delta_{a}"]) / 2 for a, b in itertools.pairwise(LENGTHS)
    }
    return {
        "value": found["delta_chunked"],
        **found,
        "scan_over_chunked": ratio(times["delta_sequential"], chunked),
        "softmax_over_chunked": ratio(softmax, chunked),
        "hebb_scan_over_chunked": ratio(times["hebb_sequential"], times["hebb_chunked"]),
        **doublings,
        "worst_doubling": max(doublings.values()),
    }


def _number(name: str):
    return lambda round_: round_["one process"][name]


BENCHMARKS = (
    Benchmark(
        "memory_training",
        "gradients through 4096 steps of 8 heads of 64 dimensions, gated delta rule and its rivals",
        "ms, chunked",
        (Method("one process", training),),
        (
            Goal("scan over chunked, gated delta rule", _number("scan_over_chunked"), at_least=4),
            Goal("dense softmax attention over chunked gated delta rule", _number("softmax_over_chunked"), at_least=8),
            Goal("scan over chunked, decayed Hebb", _number("hebb_scan_over_chunked"), at_least=4),
            Goal("time of 2T over twice that of T, worst from 1k to 16k", _number("worst_doubling"), at_most=1.6),
        ),
    ),
)
