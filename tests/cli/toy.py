"""A small experiment and the command as a user runs it: a fresh process, one device, float32."""

import os
import subprocess
import sys
from pathlib import Path

from tests.as_user import environment

TOY = '''"""Decay is faster at a larger rate.

A toy with <b>markup</b> & more.

Cost: a second.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from brainjax.claims import decreasing, greater
from brainjax.plots import curves
from brainjax.sweep import product, seeds, traced

PAPER = "someone2020"
DIMS = {"x": ("step",), "final": ()}


def get_config(variant=""):
    if variant not in ("", "quick"):
        raise ValueError(f"variant must be '' or 'quick', got {variant!r}")
    config = ConfigDict({"seed": 0, "rate": 1.0, "steps": 4, "work": 1, "noise": {"sd": 0.1, "kind": "normal"}})
    config.flag, config.nothing, config.shape = False, None, (1, 2)
    return config.lock()


def check(config):
    if config.noise.sd < 0:
        raise ValueError(f"noise.sd must not be negative, got {config.noise.sd}")


def run(key, config):
    def step(x, e):
        x = jax.lax.fori_loop(0, config.work, lambda i, x: x - 0.1 * config.rate * x / config.work, x) + e
        return x, x

    noise = config.noise.sd * jax.random.normal(key, (config.steps,))
    final, x = jax.lax.scan(step, jnp.ones(()), noise)
    return {"x": x, "final": final}


def sweep(config):
    return product(traced(rate=[1.0, 4.0]), seeds(8))


def figure(results):
    return curves(results.x, "step", hue="rate" if "rate" in results.x.dims else None)


def claims(results):
    held = {} if "rate" not in results.dims else {r: results.final.sel(rate=r) for r in results.rate.values}
    order = [decreasing("faster", "A larger rate ends lower.", "Fig. 1", held)] if held else []
    first = results.final.isel(rate=0) if "rate" in results.dims else results.final
    return [*order, greater("grows", "It grows.", "nowhere", first, than=2.0)]
'''

PARTS = '''"""Two parts."""

import jax
from ml_collections import ConfigDict

from brainjax.claims import greater
from brainjax.plots import curves
from brainjax.sweep import product, seeds, static, traced

PAPER = "someone2020"
PRECISION = "float64"
DIMS = {"y": ()}


def get_config(variant=""):
    return ConfigDict({"seed": 0, "a": 1.0, "b": 2}).lock()


def run(key, config):
    return {"y": config.a + config.b + jax.random.normal(key)}


def sweep(config):
    return {"one": product(traced(a=[1.0, 2.0]), seeds(4)), "two": product(static(b=[3, 4]), seeds(4))}


def figure(results):
    return curves(results["one"].y, "a")


def claims(results):
    assert results["two"].y.dtype == "float64"
    return [greater("positive", "It is large.", "p. 1", results["two"].y.isel(b=0), than=-9.0)]
'''


def write(folder: Path, text: str = TOY, name: str = "demo/decay") -> Path:
    """Puts an experiment into the folder's ``experiments``."""
    path = folder / "experiments" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def command(folder: Path, *words: str, cache: Path | None = None) -> subprocess.Popen[str]:
    """Starts ``brainjax WORDS`` in a folder."""
    extra = {"XDG_CACHE_HOME": str(cache or folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-m", "brainjax", *words],
        cwd=folder,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def brainjax(folder: Path, *words: str, cache: Path | None = None, timeout: float = 120) -> tuple[int, str, str]:
    """Runs ``brainjax WORDS`` to its end: exit status, output, errors."""
    process = command(folder, *words, cache=cache)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def files(folder: Path) -> list[str]:
    """Names in a folder."""
    return sorted(os.listdir(folder))
