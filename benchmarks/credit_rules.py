"""What an update costs by every credit-assignment rule: the network of the table, 784-256x5-10, batches of 256.

All rules take turns in one process, in interleaved rounds of a few updates each, so that a ratio to backpropagation is
of one moment of the machine. Values are milliseconds per update, the median over rounds; ``<rule>_ratio`` is the median
of the ratios within rounds, ``<rule>_operations`` what the products of the program say that ratio should be. The
settings of rules that settle are those of ``experiments/counter_current/table1.py``.
"""

import statistics
import time
from typing import Any

from benchmarks.method import Benchmark, Goal, Method

WIDTHS, BATCH, UPDATES, TURNS = (784, 256, 256, 256, 256, 256, 10), 256, 4, 5
OPTIONS: dict[str, dict[str, Any]] = {
    "predictive_coding": {"iterations": 6},
    "equilibrium_propagation": {"free_iterations": 8, "nudged_iterations": 5},
}


def every_rule() -> dict[str, float]:
    """Milliseconds per update of every rule, and ratios to backpropagation."""
    import jax
    import jax.numpy as jnp

    from brainjax import credit

    net = credit.mlp(WIDTHS)
    key = jax.random.key(0)
    inputs = jax.random.normal(key, (UPDATES, BATCH, WIDTHS[0]))
    labels = jax.random.randint(key, (UPDATES, BATCH), 0, WIDTHS[-1], jnp.int32)
    programs, operations = {}, {}
    for name in credit.RULES:
        # Noise and clipping are part of a rule's cost, learning is not: a rate of zero keeps every number finite.
        rule = credit.make(name, net, forward=credit.sgd(0.0, clip=1.0), **OPTIONS.get(name, {}))
        state = jax.jit(rule.init)(key)

        def updates(state, rule=rule):
            def body(state, given):
                return rule.step(state, credit.Batch(given[0], given[1]), given[2])

            return jax.lax.scan(body, state, (inputs, labels, jax.random.split(key, UPDATES)))

        programs[name] = jax.jit(updates).lower(state).compile(), state
        operations[name] = credit.program_flops(rule.step, state, credit.Batch(inputs[0], labels[0]), key)
    rounds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(TURNS + 1):
        for name, (program, state) in programs.items():
            begin = time.perf_counter()
            jax.block_until_ready(program(state))
            if turn:  # the first is not counted
                rounds[name].append(1000 * (time.perf_counter() - begin) / UPDATES)
    found = {}
    for name, times in rounds.items():
        ratios = [own / base for own, base in zip(times, rounds["backprop"], strict=True)]
        found[name] = statistics.median(times)
        found[f"{name}_ratio"] = statistics.median(ratios)
        found[f"{name}_operations"] = operations[name] / operations["backprop"]
    return {"value": found["backprop"]} | found


def _ratio(rule: str):
    return lambda round_: round_["one process"][f"{rule}_ratio"]


BENCHMARKS = (
    Benchmark(
        "credit_rules",
        "an update of a network 784-256x5-10 by every credit-assignment rule, batches of 256",
        "ms per update of backprop",
        (Method("one process", every_rule),),
        (Goal("counter-current over backprop, time of an update", _ratio("counter_current"), at_most=1.25),),
    ),
)
