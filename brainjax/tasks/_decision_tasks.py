"""The decision tasks by name, each with what its ideal observer attains."""

from collections.abc import Callable
from typing import NamedTuple

from brainjax.core.types import Scalar
from brainjax.tasks._decisions import context_decision, delayed_match, two_alternative
from brainjax.tasks._ideal_observer import (
    context_accuracy,
    context_floor,
    match_accuracy,
    match_floor,
    two_alternative_accuracy,
    two_alternative_floor,
)
from brainjax.tasks._trials import Trial

__all__ = ["DECISION_TASKS", "DecisionTask"]


class DecisionTask(NamedTuple):
    """A task, its sizes with all settings at their defaults, and what nobody can beat."""

    sample: Callable[..., Trial]
    """Generator: takes a key, and ``size`` for a batch."""
    inputs: int
    outputs: int
    """Classes: not yet, first choice, second choice."""
    steps: int
    ideal_accuracy: Callable[..., Scalar]
    """Accuracy of the ideal observer at the decision, from noise, coherences and lengths of periods."""
    entropy_floor: Callable[..., Scalar]
    """Lowest cross entropy averaged over all steps, in nats."""


DECISION_TASKS = {
    "two_alternative": DecisionTask(two_alternative, 3, 3, 8, two_alternative_accuracy, two_alternative_floor),
    "delayed_match": DecisionTask(delayed_match, 3, 3, 8, match_accuracy, match_floor),
    "context_decision": DecisionTask(context_decision, 7, 3, 8, context_accuracy, context_floor),
}
"""Keys: ``two_alternative``, ``delayed_match``, ``context_decision``. A conformance test walks this table."""
