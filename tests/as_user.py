"""Running code as a user would: a fresh process, one CPU device, no XLA_FLAGS, float32 unless asked otherwise."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

_OURS = ("XLA_FLAGS", "NPROC", "JAX_")
# A shell's background jobs, and their children, ignore Ctrl-C; a user's command does not.
_HEED_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); del signal\n"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a user's shell: ours without what the tests or a developer set for JAX."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**clean, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "default", **extra}


def start(code: str, *arguments: object, cwd: Path, **extra: str) -> subprocess.Popen[str]:
    """Starts a script in ``cwd`` and returns its process."""
    script = cwd / "as_user_script.py"
    script.write_text(_HEED_CTRL_C + textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=cwd,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, *arguments: object, cwd: Path, timeout: float = 120, **extra: str) -> str:
    """Runs a script to its end and returns what it printed; fails with its errors when it fails or hangs."""
    process = start(code, *arguments, cwd=cwd, **extra)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not finish within {timeout} s\n{out}\n{err}") from None
    assert process.returncode == 0, f"exit {process.returncode}\n{out}\n{err}"
    return out
