"""What a benchmark is made of: methods that measure themselves, and goals that compare them."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Method(NamedTuple):
    """One way of doing the work of a benchmark. Runs in a process of its own."""

    name: str
    measure: Callable[[], Mapping[str, float]]
    """Does the work and returns named numbers; ``value`` is what the benchmark compares."""
    environment: Mapping[str, str] = {}
    needs: tuple[str, ...] = ()
    """Modules that may be missing; then the method is left out, and the table says so."""


class Goal(NamedTuple):
    """A bar for a ratio of numbers measured in one round."""

    statement: str
    ratio: Callable[[Mapping[str, Mapping[str, float]]], float]
    """From the numbers of every method of a round. May raise KeyError when a method is missing."""
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, ratio: float) -> bool:
        """Whether a ratio clears the bar."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)


class Benchmark(NamedTuple):
    """Methods for one piece of work, and what their ratios should be."""

    name: str
    about: str
    unit: str
    methods: tuple[Method, ...]
    goals: tuple[Goal, ...]


def over(first: str, *others: str) -> Callable[[Mapping[str, Mapping[str, float]]], float]:
    """The ratio of one method's value to the largest of several others'."""
    return lambda round_: round_[first]["value"] / max(round_[other]["value"] for other in others)


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median duration of some work, after one call that is not counted."""
    work()
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return sorted(durations)[repeats // 2]
