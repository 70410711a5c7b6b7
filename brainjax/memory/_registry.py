"""All memory rules by name."""

import inspect
from collections.abc import Callable
from typing import Any

from brainjax.memory import _associability, _error_correcting, _exemplars, _hebbian, _normalising, _temporal
from brainjax.memory._rule import MemoryRule, close_to

__all__ = ["RULES", "make"]

RULES: dict[str, Callable[..., MemoryRule]] = {
    "hebb": _hebbian.hebb,
    "hebb_decay": _hebbian.hebb_decay,
    "gated_hebb": _hebbian.gated_hebb,
    "covariance": _hebbian.covariance,
    "trace": _hebbian.trace,
    "normalised_linear": _hebbian.normalised_linear,
    "mlstm": _normalising.mlstm,
    "oja": _normalising.oja,
    "oja_clamped": _normalising.oja_clamped,
    "bcm": _normalising.bcm,
    "bcm_clamped": _normalising.bcm_clamped,
    "delta": _error_correcting.delta,
    "gated_delta": _error_correcting.gated_delta,
    "normalised_delta": _error_correcting.normalised_delta,
    "decoupled_delta": _error_correcting.decoupled_delta,
    "bush_mosteller": _error_correcting.bush_mosteller,
    "minibatch_delta": _error_correcting.minibatch_delta,
    "momentum": _error_correcting.momentum,
    "recursive_least_squares": _error_correcting.recursive_least_squares,
    "mackintosh": _associability.mackintosh,
    "pearce_hall": _associability.pearce_hall,
    "td0": _temporal.td0,
    "td_lambda": _temporal.td_lambda,
    "softmax": _exemplars.softmax,
    "hopfield": _exemplars.hopfield,
}
"""Builders of rules; each documents its equation, its constants and its options. Call them through `make`."""


def make(name: str, **options: Any) -> MemoryRule:
    """Make a memory rule.

    Args:
        name: one of `RULES`.
        options: of the rule, whole numbers that are fixed once made, such as ``size`` of ``minibatch_delta``. Real
            numbers are constants: they are given to the rule's functions and to `apply`.

    Returns:
        The rule.

    Raises:
        ValueError: if the name or an option is unknown; the nearest is suggested.
    """
    if name not in RULES:
        raise ValueError(f"there is no rule {name!r}: {close_to(name, RULES)}")
    known = list(inspect.signature(RULES[name]).parameters)
    for option in options:
        if option not in known:
            hint = close_to(option, known) if known else "it has none"
            raise ValueError(f"{name} has no option {option!r}: {hint} (real numbers are constants)")
    return RULES[name](**options)
