"""Batches of a decision task against an event-driven generator of the same trials, per trial.

The event-driven generator is written as laboratories write them: an environment draws the variables of a trial, adds
its periods one by one, fills in observations and noise period by period, and is then stepped through, one observation
and one label per call; 32 trials are stacked into a batch. It runs on NumPy, on one core. The batches of the library
are drawn inside a scan, as training does it, also on one core; all their inputs and labels enter a sum, so that nothing
can be left out.
"""

import abc
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from benchmarks.method import Benchmark, Goal, Method, over

BATCH, BATCHES, TIMED = 32, 3000, 60
STEP, NOISE = 100, 1.0  # milliseconds; standard deviation of the noise of one second's root
_ONE_CORE = {"NPROC": "1", "OMP_NUM_THREADS": "1"}


class Environment(abc.ABC):
    """Trials as a list of periods over an observation array that grows with them."""

    channels: ClassVar[int]
    timing: ClassVar[Mapping[str, int]]
    """Milliseconds of each period."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)
        self.sigma = NOISE / np.sqrt(STEP)
        self.theta = np.array([0.0, np.pi])

    def new_trial(self) -> dict[str, Any]:
        """Lays out the periods, fills them, and returns the variables of the trial."""
        self.start, self.end, self.now, self.step_now = {}, {}, 0, 0
        for name, duration in self.timing.items():
            self.start[name] = self.now // STEP
            self.now += duration
            self.end[name] = self.now // STEP
        self.observations = np.zeros((self.now // STEP, self.channels), np.float32)
        self.truth = np.zeros(self.now // STEP, np.int64)
        return self.fill()

    @abc.abstractmethod
    def fill(self) -> dict[str, Any]:
        """Draws the variables of a trial and fills in its observations and labels."""

    def within(self, period: str | None) -> slice:
        """The steps of a period, or all."""
        return slice(None) if period is None else slice(self.start[period], self.end[period])

    def add(self, value: Any, period: str | None = None, where: Any = slice(None)) -> None:
        """Adds a value to channels in a period."""
        self.observations[self.within(period), where] += value

    def add_noise(self, period: str, where: Any = slice(None)) -> None:
        """Adds normal noise to channels in a period."""
        shape = self.observations[self.within(period), where].shape
        self.observations[self.within(period), where] += self.sigma * self.random.randn(*shape)

    def step(self) -> tuple[np.ndarray, int, bool]:
        """The next observation, its label, and whether it is the last."""
        observation, truth = self.observations[self.step_now], self.truth[self.step_now]
        self.step_now += 1
        return observation, truth, self.step_now == len(self.truth)


class TwoAlternative(Environment):
    """Which of two channels is higher?"""

    channels = 3
    timing: ClassVar = {"fixation": 0, "stimulus": 700, "delay": 0, "decision": 100}

    def fill(self) -> dict[str, Any]:
        """Draws and fills one trial."""
        trial = {"side": self.random.choice([0, 1]), "coherence": self.random.choice([0, 6.4, 12.8, 25.6, 51.2])}
        self.add(1, where=0)
        mean = 0.5 + trial["coherence"] / 200 * np.cos(self.theta - self.theta[trial["side"]])
        self.add(mean, "stimulus", slice(1, 3))
        self.add_noise("stimulus", slice(1, 3))
        self.observations[self.within("decision")] = 0
        self.truth[self.within("decision")] = 1 + trial["side"]
        return trial


class DelayedMatch(Environment):
    """Same or different after a delay?"""

    channels = 3
    timing: ClassVar = {"fixation": 0, "sample": 100, "delay": 500, "test": 100, "decision": 100}

    def fill(self) -> dict[str, Any]:
        """Draws and fills one trial."""
        trial = {"truth": self.random.choice([1, 2]), "sample": self.random.choice(self.theta)}
        test = trial["sample"] if trial["truth"] == 1 else np.mod(trial["sample"] + np.pi, 2 * np.pi)
        self.add(1, where=0)
        self.observations[self.within("decision"), 0] = 0
        for period, angle in (("sample", trial["sample"]), ("test", test)):
            self.add(0.5 + 0.5 * np.cos(self.theta - angle), period, slice(1, 3))
            self.add_noise(period, slice(1, 3))
        self.truth[self.within("decision")] = trial["truth"]
        return trial


class ContextDecision(Environment):
    """Which channel of the cued modality is higher?"""

    channels = 7
    timing: ClassVar = {"fixation": 0, "stimulus": 200, "delay": 500, "decision": 100}

    def fill(self) -> dict[str, Any]:
        """Draws and fills one trial."""
        trial = {name: self.random.choice([1, 2]) for name in ("truth", "other")}
        trial["context"] = self.random.choice([0, 1])
        coherences = [self.random.choice([5, 15, 50]) for _ in range(2)]
        choices = [trial["truth"], trial["other"]]
        if trial["context"] == 1:
            choices.reverse()
        self.add(1, where=0)
        for modality, (choice, coherence) in enumerate(zip(choices, coherences, strict=True)):
            signed = coherence if choice == 1 else -coherence
            self.add((1 + signed / 100) / 2, "stimulus", 1 + 2 * modality)
            self.add((1 - signed / 100) / 2, "stimulus", 2 + 2 * modality)
        self.add_noise("stimulus")
        self.observations[self.within("decision")] = 0
        self.add(1, where=5 + trial["context"])
        self.truth[self.within("decision")] = trial["truth"]
        return trial


ENVIRONMENTS = {
    "two_alternative": TwoAlternative,
    "delayed_match": DelayedMatch,
    "context_decision": ContextDecision,
}


def event_driven_batch(environment: Environment, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of shape (size, steps, channels) and labels of shape (size, steps), made one step at a time."""
    inputs, labels = [], []
    for _ in range(size):
        environment.new_trial()
        observations, truths, done = [], [], False
        while not done:
            observation, truth, done = environment.step()
            observations.append(observation)
            truths.append(truth)
        inputs.append(np.stack(observations))
        labels.append(np.array(truths))
    return np.stack(inputs), np.stack(labels)


def event_driven(task: str) -> dict[str, float]:
    """Trials per second of the event-driven generator."""
    environment = ENVIRONMENTS[task](1)
    event_driven_batch(environment, BATCH)
    start = time.perf_counter()
    for _ in range(TIMED):
        event_driven_batch(environment, BATCH)
    each = (time.perf_counter() - start) / (TIMED * BATCH)
    return {"value": 1 / each, "microseconds_per_trial": 1e6 * each}


def library(task: str, one_key: bool) -> dict[str, float]:
    """Trials per second inside one compiled scan; compilation is reported apart."""
    import jax
    import jax.numpy as jnp

    from brainjax import tasks

    sample = tasks.DECISION_TASKS[task].sample

    def draw(key):
        return tasks.batch(sample, key, BATCH) if one_key else jax.vmap(sample)(jax.random.split(key, BATCH))

    @jax.jit
    def total(key):
        def step(sums, key):
            trials = draw(key)
            return (sums[0] + trials.inputs, sums[1] + trials.labels), None

        zero = (jnp.zeros_like(draw(key).inputs), jnp.zeros_like(draw(key).labels))
        return jax.lax.scan(step, zero, jax.random.split(key, BATCHES))[0]

    start = time.perf_counter()
    jax.block_until_ready(total(jax.random.key(0)))
    first = time.perf_counter() - start
    durations = []
    for seed in range(1, 4):
        start = time.perf_counter()
        jax.block_until_ready(total(jax.random.key(seed)))
        durations.append(time.perf_counter() - start)
    each = sorted(durations)[1] / (BATCHES * BATCH)
    return {"value": 1 / each, "microseconds_per_trial": 1e6 * each, "first_call_seconds": first}


def _benchmark(task: str) -> Benchmark:
    methods = (
        Method("batch, one key", lambda: library(task, True), _ONE_CORE),
        Method("vmap over keys", lambda: library(task, False), _ONE_CORE),
        Method("event-driven", lambda: event_driven(task), _ONE_CORE),
    )
    return Benchmark(
        f"batches_{task}",
        f"batches of {BATCH} trials of {task.replace('_', ' ')}",
        "trials/s",
        methods,
        (
            Goal("batch over event-driven", over("batch, one key", "event-driven"), at_least=100),
            Goal("vmap over keys over event-driven", over("vmap over keys", "event-driven"), at_least=100),
        ),
    )


BENCHMARKS = tuple(_benchmark(task) for task in ENVIRONMENTS)
