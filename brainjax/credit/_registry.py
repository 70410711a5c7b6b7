"""All credit-assignment rules by name."""

import inspect
from collections.abc import Callable
from typing import Any

from brainjax.core import checks
from brainjax.credit import _counter_current, _feedback, _local, _relaxation, _targets
from brainjax.credit._interface import OBJECTIVES, Rule, close_to
from brainjax.credit._networks import Network

__all__ = ["RULES", "make"]

RULES: dict[str, Callable[..., Rule]] = {
    "backprop": _feedback.backprop,
    "feedback_alignment": _feedback.feedback_alignment,
    "direct_feedback_alignment": _feedback.direct_feedback_alignment,
    "direct_random_target_projection": _feedback.direct_random_target_projection,
    "sign_symmetry": _feedback.sign_symmetry,
    "kolen_pollack": _feedback.kolen_pollack,
    "weight_mirror": _feedback.weight_mirror,
    "difference_target_propagation": _targets.difference_target_propagation,
    "fixed_weight_target_propagation": _targets.fixed_weight_target_propagation,
    "difference_reconstruction": _targets.difference_reconstruction,
    "local_difference_reconstruction": _targets.local_difference_reconstruction,
    "forward_forward": _local.forward_forward,
    "pepita": _local.pepita,
    "predictive_coding": _relaxation.predictive_coding,
    "equilibrium_propagation": _relaxation.equilibrium_propagation,
    "counter_current": _counter_current.counter_current,
}
"""Builders of rules; each documents its equations, its options and its hyperparameters. Call them through `make`."""


def make(name: str, network: Network, *, objective: str = "classification", **options: Any) -> Rule:
    """Make a rule for a network.

    Args:
        name: one of `RULES`.
        network: from `mlp`, `cnn`, `autoencoder` or `network`.
        objective: ``classification`` (labels, cross-entropy) or ``reconstruction`` (arrays, mean-square error).
        options: of the rule, such as ``forward`` and ``feedback``, its optimisers (see `sgd`).

    Returns:
        The rule.

    Raises:
        ValueError: if the name or an option is unknown (the nearest is suggested), the network does not suit the
            rule, or classification ends with anything but a vector.
    """
    if name not in RULES:
        raise ValueError(f"there is no rule {name!r}: {close_to(name, RULES)}")
    checks.one_of("objective", objective, OBJECTIVES)
    if objective == "classification" and len(network.levels[-1]) != 1:
        raise ValueError(f"classification needs a vector of outputs, got the shape {network.levels[-1]}")
    known = [option for option in inspect.signature(RULES[name]).parameters if option not in ("net", "objective")]
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}: {close_to(option, known)}")
    return RULES[name](network, objective, **options)
