"""Where a result came from: versions, device, precision, chunk width, and the state of the source tree."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from brainjax.sweep.plan import Plan

_PACKAGES = ("brainjax", "jax", "jaxlib", "numpy", "diffrax", "xarray", "h5netcdf", "scipy", "ml_collections")


def provenance(plan: Plan) -> dict[str, Any]:
    """What a reader needs to repeat a result bit by bit, as JSON values."""
    source = Path(getattr(plan.run, "__globals__", {}).get("__file__", os.getcwd()))
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(),
        "precision": plan.precision,
        "width": plan.width,
        "workers": plan.workers,
        "runs_in": "worker processes" if plan.hazard else "threads",
        "key_rule": plan.layout.facts["key_rule"],
        "programs": [point.fingerprint for point in plan.layout.points],
        "git": _git(source if source.is_dir() else source.parent),
    }


def processor() -> str:
    """The processor's model name."""
    if sys.platform == "linux":
        try:
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    def ask(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {
            "revision": ask("rev-parse", "HEAD"),
            "modified": bool(ask("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None
