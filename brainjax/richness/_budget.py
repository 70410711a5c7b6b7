"""Refusing work that would not fit in memory, before it is begun."""

from brainjax.core import checks

BUDGET = float(2 * 1024**3)
"""Bytes that a function of this room may take if nothing else is said: 2 GiB."""


def refuse_beyond(budget: int | float, needed: int, what: str, instead: str) -> None:
    """Raise ``ValueError`` if bytes needed exceed the budget: how many, what for, and what to use instead."""
    checks.positive("budget", budget)
    if needed > budget:
        raise ValueError(f"budget must be {_size(needed)} or more, got {_size(budget)}: {what}; {instead}")


def _size(count: int | float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:g} bytes"
