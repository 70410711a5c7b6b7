"""Where the numbers come from: processor, versions, and how busy the machine is with other things."""

import importlib.metadata
import os
import platform
import time


def describe() -> dict[str, str]:
    """Processor, cores, and versions of what is measured."""
    facts = {"cpu": _cpu(), "cores": str(len(os.sched_getaffinity(0))), "python": platform.python_version()}
    for package in ("jax", "jaxlib", "numpy", "torch", "brainjax"):
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "missing"
    return facts


def busy(during: float = 0.5) -> float:
    """How many cores other work keeps busy, measured while this process sleeps."""
    before = _clock_ticks()
    time.sleep(during)
    return max(0.0, (_clock_ticks() - before) / os.sysconf("SC_CLK_TCK") / during)


def _clock_ticks() -> int:
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, interrupt, soft, steal, *_ = (int(x) for x in stat.readline().split()[1:])
    return user + nice + system + interrupt + soft + steal


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
