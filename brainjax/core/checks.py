"""Refusing bad input: one line that names the argument, what was given and what is allowed.

Each check looks at concrete values only; what a transformation is tracing passes through untouched. Shapes are always
known, so checks of shapes always act.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from brainjax.core.types import is_concrete

__all__ = ["at_least", "finite", "increasing", "non_negative", "one_of", "positive", "require", "shape_of", "unit"]


def _shown(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return repr(array.item())
    text = np.array2string(array, threshold=6, edgeitems=2, precision=6, separator=", ")
    return " ".join(text.split())


def _every(value: Any, test: Callable[[np.ndarray], Any], name: str, allowed: str) -> None:
    if not is_concrete(value):
        return
    array = np.asarray(value)
    passed = np.asarray(test(array))
    if passed.all():
        return
    wrong = array if array.ndim == 0 else array[~passed].ravel()[0]
    where = "" if array.ndim == 0 else f" (in {_shown(array)})"
    raise ValueError(f"{name} must be {allowed}, got {_shown(wrong)}{where}")


def require(condition: Any, message: str) -> None:
    """Raise ``ValueError(message)`` unless a concrete condition holds everywhere."""
    if is_concrete(condition) and not np.all(np.asarray(condition)):
        raise ValueError(message)


def positive(name: str, value: Any) -> None:
    """Refuse anything but finite numbers above zero."""
    _every(value, lambda x: np.isfinite(x) & (x > 0), name, "positive and finite")


def non_negative(name: str, value: Any) -> None:
    """Refuse numbers below zero and NaN; infinity is allowed."""
    _every(value, lambda x: x >= 0, name, "zero or more")


def finite(name: str, value: Any) -> None:
    """Refuse NaN and infinities."""
    _every(value, np.isfinite, name, "finite")


def unit(name: str, value: Any) -> None:
    """Refuse numbers outside the closed interval from zero to one."""
    _every(value, lambda x: (x >= 0) & (x <= 1), name, "between 0 and 1")


def at_least(name: str, value: Any, bound: float | int) -> None:
    """Refuse numbers below a bound, and NaN."""
    _every(value, lambda x: x >= bound, name, f"{bound:g} or more")


def increasing(name: str, value: Any, *, strictly: bool = True) -> None:
    """Refuse a last axis that does not increase."""
    if not is_concrete(value):
        return
    steps = np.diff(np.asarray(value, float))
    if not np.all(steps > 0 if strictly else steps >= 0):
        allowed = "strictly increasing" if strictly else "in increasing order"
        raise ValueError(f"{name} must be {allowed}, got {_shown(value)}")


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse a value that is not in a short list."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def shape_of(name: str, value: Any, expected: Sequence[int | None], axes: str = "") -> None:
    """Refuse a shape other than the expected one; ``None`` stands for any length.

    ``axes`` names the expected axes for the message, such as ``"(windows, paths, modes)"``.
    """
    shape = tuple(np.shape(value))
    if len(shape) != len(expected) or any(e is not None and n != e for n, e in zip(shape, expected, strict=True)):
        wanted = "(" + ", ".join("any" if e is None else str(e) for e in expected) + ")"
        raise ValueError(f"{name} must have shape {wanted}{' ' + axes if axes else ''}, got {shape}")
