"""From the start of `brainjax run` to its first result: with an empty compilation cache, and the second time."""

import os
import re
import subprocess
import sys
import tempfile
import time

from benchmarks.method import Benchmark, Goal, Method

_FIRST = re.compile(r": [1-9]\d* of \d+ runs")


def _first_result(cache: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "brainjax", "run", "critical_periods/deficit_window", "--variant=quick"]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--out={folder}/out"],
            env={**os.environ, "XDG_CACHE_HOME": cache, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if _FIRST.search(line):
                duration = time.perf_counter() - begin
                process.kill()
                process.wait()
                return duration
    raise RuntimeError("no result came:\n" + "".join(lines))


def cold() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        return {"value": _first_result(cache)}


def warm() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        _first_result(cache)
        return {"value": _first_result(cache)}


BENCHMARKS = (
    Benchmark(
        "start_up",
        "process start to first result of critical_periods/deficit_window, quick variant",
        "s",
        (Method("empty cache", cold), Method("second run", warm)),
        (
            Goal(
                "second run over the first",
                lambda round_: round_["second run"]["value"] / round_["empty cache"]["value"],
                at_most=0.6,
            ),
        ),
    ),
)
