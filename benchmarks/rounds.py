"""Interleaved rounds of methods in fresh processes, and the table of their ratios."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import machine
from benchmarks.method import Benchmark, Method

_TIMEOUT = 900
_MARK = "measured: "

Round = dict[str, dict[str, float]]


def run(benchmark: Benchmark, rounds: int, only: str = "") -> dict[str, Any]:
    """Measures every method once per round, each in a fresh process, and prints as it goes.

    Args:
        benchmark: what to measure.
        rounds: how often; ratios are taken within a round.
        only: leave out methods whose name does not hold this text.

    Returns:
        Everything that was measured, JSON-able.
    """
    print(f"== {benchmark.name}: {benchmark.about}")
    present, missing = [], {}
    for method in benchmark.methods:
        absent = [module for module in method.needs if importlib.util.find_spec(module) is None]
        if absent:
            missing[method.name] = ", ".join(absent)
        elif only in method.name:
            present.append(method)
    for name, modules in missing.items():
        print(f"   {name}: NOT MEASURED, {modules} is not installed (pip install 'brainjax[benchmarks]')")
    measured: list[Round] = []
    noise: list[float] = []
    for number in range(rounds):
        measured.append({})
        for method in present if number % 2 == 0 else present[::-1]:
            noise.append(machine.busy())
            measured[-1][method.name] = _in_fresh_process(benchmark, method)
            numbers = measured[-1][method.name]
            rest = "".join(f"  {key} {value:,.4g}" for key, value in numbers.items() if key != "value")
            print(
                f"   round {number + 1}  {method.name:<34} {numbers['value']:>14,.4g} {benchmark.unit}{rest}",
                flush=True,
            )
    result = {
        "benchmark": benchmark.name,
        "about": benchmark.about,
        "unit": benchmark.unit,
        "machine": machine.describe(),
        "rounds": measured,
        "missing": missing,
        "other_cores_busy": {"median": statistics.median(noise), "largest": max(noise)} if noise else {},
        "goals": _judge(benchmark, measured),
    }
    _print_table(benchmark, result)
    return result


def measure_here(method: Method) -> None:
    """What the fresh process does: measures one method and prints the numbers for its parent."""
    print(_MARK + json.dumps(dict(method.measure())), flush=True)


def _in_fresh_process(benchmark: Benchmark, method: Method) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks", "--child", benchmark.name, method.name]
    done = subprocess.run(
        command, env={**os.environ, **method.environment}, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not lines:
        raise RuntimeError(f"{benchmark.name}, {method.name}: failed with {done.returncode}\n{done.stderr[-3000:]}")
    return json.loads(lines[-1].removeprefix(_MARK))


def _judge(benchmark: Benchmark, measured: list[Round]) -> list[dict[str, Any]]:
    verdicts = []
    for goal in benchmark.goals:
        ratios = [ratio for ratio in (_ratio(goal.ratio, round_) for round_ in measured) if ratio is not None]
        median = statistics.median(ratios) if ratios else None
        bar = f"at least {goal.at_least:g}" if goal.at_least is not None else f"at most {goal.at_most:g}"
        reached = None if median is None else goal.reached(median)
        verdicts.append({"goal": goal.statement, "bar": bar, "ratios": ratios, "median": median, "reached": reached})
    return verdicts


def _ratio(ratio: Any, round_: Mapping[str, Mapping[str, float]]) -> float | None:
    try:
        return ratio(round_)
    except KeyError:
        return None


def _print_table(benchmark: Benchmark, result: dict[str, Any]) -> None:
    facts = result["machine"]
    print("   " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    for verdict in result["goals"]:
        if verdict["median"] is None:
            print(f"   {'not measured':<12} {verdict['goal']} ({verdict['bar']})")
            continue
        word = "reached" if verdict["reached"] else "MISSED"
        each = ", ".join(f"{ratio:.3g}" for ratio in verdict["ratios"])
        print(f"   {word:<12} {verdict['goal']}: {verdict['median']:.3g} ({verdict['bar']}; rounds {each})")
    noise = result["other_cores_busy"]
    if noise:
        print(
            f"   other work kept {noise['median']:.2f} cores busy between the measurements (at worst"
            f" {noise['largest']:.2f}): above about 0.1 the ratios are not to be trusted. What the host does to a"
            " virtual machine is not seen here."
        )
