"""What the command line alone may do to JAX: precision, and a compilation cache on disk."""

import hashlib
import importlib.metadata
import os
import platform
import stat
from collections.abc import Callable
from pathlib import Path


def prepare(precision: str, note: Callable[[str], None]) -> None:
    """Sets the precision and turns the compilation cache on, before any array exists.

    Args:
        precision: ``float32`` or ``float64``.
        note: Told in one line when there is no cache.
    """
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")
    jax.config.update("jax_traceback_filtering", "off")  # who raised an error decides how it is shown
    keep_programs(note)


def keep_programs(note: Callable[[str], None]) -> None:
    """Turns the compilation cache on: programs compiled once are read from the user's cache folder the next time.

    Args:
        note: Told in one line when there is no cache.
    """
    import jax

    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or _cache_folder(note)
    if folder:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # the default thresholds would store none of our programs, which compile in less than a second
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cache_folder(note: Callable[[str], None]) -> Path | None:
    """The private cache folder of this processor and this jaxlib, or None when it cannot be used."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
        folder = base / "brainjax" / "xla" / f"{_processor()}-jaxlib-{importlib.metadata.version('jaxlib')}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError) as error:
        note(f"no compilation cache: {getattr(error, 'strerror', None) or error} ({getattr(error, 'filename', home)})")
        return None
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not mine or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        note(f"no compilation cache: others may write to {folder}, and what it holds is run as code")
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        note(f"no compilation cache: {folder} is not writable")
        return None
    return folder


def _processor() -> str:
    """A short name of this kind of processor: cached programs are machine code for it."""
    described = [platform.system(), platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        for key in ("model name", "flags", "Features"):
            described += [line for line in lines if line.startswith(key)][:1]
    except OSError:
        described.append(platform.processor())
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]
