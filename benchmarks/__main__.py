"""Measures what the library promises about speed.

Each method runs in a fresh process, methods take turns, and every number that is judged is a ratio within one round;
the median over rounds is compared with a bar.

  python -m benchmarks list
  python -m benchmarks layered_32 --rounds=3 --json=layered_32.json
  python -m benchmarks all

Methods that need PyTorch are left out, and named, where it is not installed (extra: benchmarks).
"""

import importlib
import json
import sys

from absl import app, flags

from benchmarks import rounds
from benchmarks.method import Benchmark

_MODULES = (
    "layered_sweep",
    "trajectories",
    "closed_form",
    "engine",
    "start_up",
    "switch_curve",
    "tree_task",
    "task_batches",
    "recurrent_kernel",
    "rank_sweep",
    "recurrent_training",
    "credit_rules",
    "credit_training",
    "memory_training",
    "memory_torch",
    "conditioning_groups",
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "How often every method is measured.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "File for everything that was measured.")
_ONLY = flags.DEFINE_string("only", "", "Measure only methods whose name holds this text.")


def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name."""
    modules = (importlib.import_module(f"benchmarks.{name}") for name in _MODULES)
    return {benchmark.name: benchmark for module in modules for benchmark in module.BENCHMARKS}


def main(arguments: list[str]) -> None:
    known = benchmarks()
    names = arguments[1:]
    if not names or names == ["list"]:
        for benchmark in known.values():
            print(f"{benchmark.name:<22} {benchmark.about}")
        return
    unknown = [name for name in names if name != "all" and name not in known]
    if unknown:
        raise app.UsageError(f"no benchmark is called {unknown[0]!r}; there are {', '.join(known)}, and all")
    chosen = list(known) if "all" in names else names
    results = [rounds.run(known[name], _ROUNDS.value, _ONLY.value) for name in chosen]
    if _JSON.value:
        with open(_JSON.value, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        benchmark_name, method_name = sys.argv[2:4]
        methods = {method.name: method for method in benchmarks()[benchmark_name].methods}
        rounds.measure_here(methods[method_name])
    else:
        app.run(main)
