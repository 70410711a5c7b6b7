"""Ten thousand groups of animals through 120 trials of conditioning each, every group with parameters of its own.

Half the groups are blocked (A+, then AB+, then B-), half are controls (C+ first): Rescorla and Wagner's model with a
learning rate and a salience for each cue drawn for every group. The library runs all of them in one compiled program,
on one core, part by part (a part fits the cache). The rivals are simulators as one writes them in Python, a group after
the other and a trial after the other: with numpy vectors, as packages of models of learning do, and, leaner than these,
with numbers in a dictionary. They run fewer groups, and their time is taken to grow with the number.
Values are groups per second.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.method import Benchmark, Goal, Method, over, seconds

GROUPS, FEWER, PART = 10_000, 500, 250
DESIGN = {"blocked": "40A+ | 40AB+ | 40B-", "control": "40C+ | 40AB+ | 40B-"}
CUES = "ABC"


def _parameters() -> tuple[Any, Any]:
    """Learning rates, (animals, 1), and saliences, (animals, 3): an animal is one blocked and one control group."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.uniform(0.05, 0.5, GROUPS // 2), rng.uniform(0.2, 1.0, (GROUPS // 2, 3))


def library() -> dict[str, float]:
    """One program, all responses of all trials."""
    import jax
    import jax.numpy as jnp

    from brainjax import memory

    rule, trials = memory.make("delta"), memory.compile_design(memory.parse_design(DESIGN), dtype=jnp.float32)

    def responses(own):
        beta, salience = own
        return memory.simulate(rule, trials, salience=salience, constants={"beta": beta}).responses[..., 0]

    def everyone(*parameters):
        return jax.lax.map(responses, parameters, batch_size=PART)

    beta, salience = (jnp.asarray(x, jnp.float32) for x in _parameters())
    begin = time.perf_counter()
    program = jax.jit(everyone).lower(beta, salience).compile()
    to_compile = time.perf_counter() - begin
    found = program(beta, salience)
    duration = seconds(lambda: jax.block_until_ready(program(beta, salience)), 9)
    blocked, control = (float(x) for x in found[: FEWER // 2, :, 80].mean(0))
    return {
        "value": GROUPS / duration,
        "seconds": duration,
        "compile_seconds": to_compile,
        "blocked": blocked,
        "control": control,
    }


def _designs() -> list[list[tuple[str, float]]]:
    """Trials of both groups: cues and outcome."""
    first = [[("A", 1.0)], [("C", 1.0)]]
    return [40 * begin + 40 * [("AB", 1.0)] + 40 * [("B", 0.0)] for begin in first]


def _one_after_the_other(run: Callable[[Any, Any, Any], list[float]]) -> dict[str, float]:
    designs = _designs()
    rates, saliences = _parameters()
    some = slice(None, FEWER // 2)

    def work() -> list[list[list[float]]]:
        return [[run(d, b, s) for d in designs] for b, s in zip(rates[some], saliences[some], strict=True)]

    found = work()
    blocked, control = (sum(animal[g][80] for animal in found) / len(found) for g in range(2))
    duration = seconds(work) * GROUPS / FEWER
    return {"value": GROUPS / duration, "seconds": duration, "blocked": float(blocked), "control": float(control)}


def dictionaries() -> dict[str, float]:
    """Strengths in a dictionary."""

    def run(trials: list[tuple[str, float]], beta: Any, salience: Any) -> list[float]:
        rates = {cue: float(beta) * float(alpha) for cue, alpha in zip(CUES, salience, strict=True)}
        strengths = dict.fromkeys(CUES, 0.0)
        responses = []
        for cues, outcome in trials:
            expected = sum(strengths[cue] for cue in cues)
            responses.append(expected)
            for cue in cues:
                strengths[cue] += rates[cue] * (outcome - expected)
        return responses

    return _one_after_the_other(run)


def vectors() -> dict[str, float]:
    """Strengths and cues in numpy vectors."""
    import numpy as np

    def run(trials: list[tuple[str, float]], beta: Any, salience: Any) -> list[float]:
        strengths = np.zeros(len(CUES))
        responses = []
        for cues, outcome in trials:
            x = np.array([cue in cues for cue in CUES], float)
            expected = x @ strengths
            responses.append(expected)
            strengths += beta * salience * x * (outcome - expected)
        return responses

    return _one_after_the_other(run)


METHODS = (
    Method("one program", library),
    Method("Python, dictionaries", dictionaries),
    Method("Python, numpy vectors", vectors),
)

BENCHMARKS = (
    Benchmark(
        "conditioning_groups",
        "10,000 groups of 120 trials of Rescorla and Wagner's model, parameters of their own",
        "groups/s",
        METHODS,
        (
            Goal("seconds for 10,000 groups", lambda round_: round_["one program"]["seconds"], at_most=1),
            Goal("one program over Python, numpy vectors", over("one program", "Python, numpy vectors"), at_least=200),
            Goal("one program over Python, dictionaries", over("one program", "Python, dictionaries"), at_least=200),
        ),
    ),
)
