"""The one interface of all credit-assignment rules: start, gradients, a training step, predictions.

A rule is made for a network by `brainjax.credit.make` and holds pure functions of arrays: ``init`` and ``step`` can be
scanned over batches, and mapped over keys and over any hyperparameter. Gradients come separately from the optimiser.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey, is_concrete
from brainjax.credit._networks import Network, forward_activities
from brainjax.credit._optimisers import Optimiser, apply

__all__ = ["Batch", "Gradients", "Info", "Params", "Rule", "State", "assemble", "close_to", "output_error"]

OBJECTIVES = ("classification", "reconstruction")


class Batch(NamedTuple):
    """What a step learns from."""

    inputs: ArrayLike
    """Of shape (batch, ...), floating point."""
    targets: ArrayLike
    """Labels, whole numbers of shape (batch,), or for reconstruction images of the shape of the outputs."""


class Params(NamedTuple):
    """The weights that a rule works with, any of which may be an empty tree."""

    forward: Any
    """The network's weights: all that predictions need."""
    feedback: Any
    """What carries teaching signals back: learned by some rules, fixed in others."""
    aux: Any
    """Whatever else is drawn at the start and stays."""


class State(NamedTuple):
    """All that changes in training."""

    params: Params
    forward_memory: Any
    """What the forward network's optimiser remembers."""
    feedback_memory: Any
    steps: Array
    """How many steps were done, int32."""

    @property
    def forward(self) -> Any:
        """The network's weights."""
        return self.params.forward

    @property
    def feedback(self) -> Any:
        """The feedback weights."""
        return self.params.feedback


class Info(NamedTuple):
    """What is reported of a batch, before the update."""

    loss: Float[Array, ""]
    """Mean cross-entropy in nats, or mean-square error for reconstruction, of the network's own outputs."""
    accuracy: Float[Array, ""]
    """Fraction of right answers; NaN for reconstruction."""
    local: Float[Array, "losses"]
    """The rule's own losses, layer by layer, without the output's; empty where a rule has none."""
    feedback: Float[Array, "losses"]
    """The losses that train the feedback weights, where they are others."""


class Gradients(NamedTuple):
    """What a rule says the weights should change by, before any optimiser; descent goes along minus these."""

    forward: Any
    feedback: Any
    """Zeros where the feedback weights are not learned."""
    info: Info


class Rule(NamedTuple):
    """A credit-assignment rule for one network.

    ``hyperparameters`` is an optional mapping from names to numbers that replaces some of ``defaults``; every value may
    be traced. Those of the optimisers are called ``forward_rate``, ``forward_clip``, ``feedback_rate`` and so on. The
    key is always required, also where the rule draws nothing.
    """

    name: str
    network: Network
    objective: str
    """``classification`` (cross-entropy of labels) or ``reconstruction`` (mean-square error)."""
    defaults: Mapping[str, float]
    """Names and default values of all hyperparameters."""
    learns_feedback: bool
    init: Callable[..., State]
    """``init(key, dtype=None) -> State``"""
    grads: Callable[..., Gradients]
    """``grads(params, batch, key, hyperparameters=None) -> Gradients``"""
    step: Callable[..., tuple[State, Info]]
    """``step(state, batch, key, hyperparameters=None) -> (State, Info)``"""
    predict: Callable[..., Array]
    """``predict(forward, inputs, statistics=None) -> outputs`` from the forward weights alone."""


Start = Callable[[PRNGKey, Any], Params]
Compute = Callable[[Params, Array, Array, PRNGKey, Mapping[str, Array]], Gradients]


def assemble(
    name: str,
    net: Network,
    objective: str,
    *,
    start: Start,
    compute: Compute,
    forward: Optimiser,
    feedback: Optimiser | None = None,
    defaults: Mapping[str, float] | None = None,
    predict: Callable[..., Array] | None = None,
    compute_forward: Compute | None = None,
    compute_feedback: Compute | None = None,
    feedback_updates: int = 0,
) -> Rule:
    """Make a rule of how it starts and what gradients it computes.

    Args:
        name: of the rule.
        net: the network.
        objective: what the outputs are for.
        start: draws the weights from a key, in a dtype.
        compute: gradients from weights, inputs, targets, key and hyperparameters, all checked.
        forward: optimiser of the network's weights.
        feedback: that of the feedback weights, or None if they are not learned.
        defaults: of the rule's own hyperparameters.
        predict: outputs from forward weights, where they are not those of the plain forward pass.
        compute_forward: gradients of the forward weights only, for rules with feedback updates of their own.
        compute_feedback: gradients of the feedback weights only.
        feedback_updates: how many updates by ``compute_feedback`` come before each update of the forward weights by
            ``compute_forward``, at the new feedback weights. With none, ``compute`` updates both networks at once.
    """
    allowed = dict(defaults or {})
    allowed |= {f"forward_{key}": value for key, value in forward.defaults.items()}
    if feedback is not None:
        allowed |= {f"feedback_{key}": value for key, value in feedback.defaults.items()}
    shapes = jax.eval_shape(lambda key: start(key, None), jax.random.key(0))

    def init(key: PRNGKey, dtype: Any = None) -> State:
        params = start(key, dtype)
        memory = forward.build(_part(allowed, "forward")).init(params.forward)
        back = () if feedback is None else feedback.build(_part(allowed, "feedback")).init(params.feedback)
        return State(params, memory, back, jnp.zeros((), jnp.int32))

    def prepared(params: Params, batch: Batch, hyperparameters: Any) -> tuple[Array, Array, dict[str, Array]]:
        _fitting(name, params, shapes)
        dtype = jax.tree.leaves(params.forward)[0].dtype
        inputs, targets = _checked_batch(net, objective, batch, dtype)
        return inputs, targets, _values(name, hyperparameters, allowed, dtype)

    def grads(params: Params, batch: Batch, key: PRNGKey, hyperparameters: Any = None) -> Gradients:
        inputs, targets, values = prepared(params, batch, hyperparameters)
        return compute(params, inputs, targets, key, values)

    def step(state: State, batch: Batch, key: PRNGKey, hyperparameters: Any = None) -> tuple[State, Info]:
        params = state.params
        inputs, targets, values = prepared(params, batch, hyperparameters)
        weights, memory = params.feedback, state.feedback_memory
        if feedback is not None and compute_forward is not None and compute_feedback is not None:
            key, inner = jax.random.split(key)
            optimiser, compute_back = feedback, compute_feedback

            def again(carry: Any, k: PRNGKey) -> tuple[Any, Array]:
                weights, memory = carry
                found = compute_back(params._replace(feedback=weights), inputs, targets, k, values)
                moved = apply(optimiser, _part(values, "feedback"), found.feedback, memory, weights)
                return moved, found.info.feedback

            keys = jax.random.split(inner, feedback_updates)
            (weights, memory), losses = jax.lax.scan(again, (weights, memory), keys)
            found = compute_forward(params._replace(feedback=weights), inputs, targets, key, values)
            found = found._replace(info=found.info._replace(feedback=losses[-1]))
        else:
            found = compute(params, inputs, targets, key, values)
            if feedback is not None:
                weights, memory = apply(feedback, _part(values, "feedback"), found.feedback, memory, weights)
        changed, moved = apply(forward, _part(values, "forward"), found.forward, state.forward_memory, params.forward)
        return State(Params(changed, weights, params.aux), moved, memory, state.steps + 1), found.info

    def plain(weights: Any, inputs: ArrayLike, statistics: Any = None) -> Array:
        inputs = jnp.asarray(inputs).astype(weights[0]["kernel"].dtype)
        return forward_activities(net, weights, inputs, statistics=statistics)[-1]

    return Rule(name, net, objective, allowed, feedback is not None, init, grads, step, predict or plain)


def output_error(
    objective: str, outputs: Array, targets: Array
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, "batch ..."], Float[Array, "batch ..."]]:
    r"""Loss, accuracy, the loss's gradient in the outputs, and the targets as an array of the outputs' shape.

    The gradient holds the mean over the batch: :math:`(\mathrm{softmax}(a) - y)/B` for the cross-entropy.
    """
    if objective == "reconstruction":
        difference = outputs - targets
        nothing = jnp.full((), jnp.nan, outputs.dtype)
        return jnp.mean(difference**2), nothing, 2 * difference / outputs.size, targets
    classes = outputs.shape[-1]
    onehot = jax.nn.one_hot(targets, classes, dtype=outputs.dtype)
    logs = jax.nn.log_softmax(outputs)
    loss = -jnp.mean(jnp.sum(onehot * logs, -1))
    right = jnp.argmax(outputs, -1).astype(jnp.int32) == targets
    return loss, jnp.mean(right.astype(outputs.dtype)), (jnp.exp(logs) - onehot) / outputs.shape[0], onehot


def close_to(word: str, words: Any) -> str:
    """A hint at the nearest of some words, or their list."""
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(sorted(words))}"


def _part(values: Mapping[str, Any], network_name: str) -> dict[str, Any]:
    start = f"{network_name}_"
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _values(rule: str, given: Any, allowed: Mapping[str, float], dtype: Any) -> dict[str, Array]:
    given = dict(given or {})
    for name, value in given.items():
        if name not in allowed:
            raise ValueError(f"hyperparameters of {rule} have no {name!r}: {close_to(name, allowed)}")
        if np.shape(value) != ():
            raise ValueError(f"hyperparameter {name} must be a number, got shape {np.shape(value)}")
    return {name: jnp.asarray(given.get(name, value)).astype(dtype) for name, value in allowed.items()}


def _checked_batch(net: Network, objective: str, batch: Batch, dtype: Any) -> tuple[Array, Array]:
    inputs, targets = jnp.asarray(batch.inputs), jnp.asarray(batch.targets)
    checks.shape_of("inputs", inputs, (None, *net.levels[0]), "(batch, *input shape of the network)")
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"inputs must be floating point, got {inputs.dtype}: scale them first")
    if objective == "reconstruction":
        checks.shape_of("targets", targets, (inputs.shape[0], *net.levels[-1]), "(batch, *output shape)")
        return inputs.astype(dtype), targets.astype(dtype)
    checks.shape_of("targets", targets, (inputs.shape[0],), "(batch,)")
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ValueError(f"targets must be labels, whole numbers, got {targets.dtype}")
    classes = net.levels[-1][0]
    if is_concrete(targets):
        outside = np.asarray(targets)[(np.asarray(targets) < 0) | (np.asarray(targets) >= classes)]
        if outside.size:
            raise ValueError(f"targets must be labels from 0 to {classes - 1}, got {outside[0]}")
    return inputs.astype(dtype), targets.astype(jnp.int32)


def _fitting(name: str, params: Params, shapes: Params) -> None:
    if jax.tree.structure(params) != jax.tree.structure(shapes):
        raise ValueError(f"params are not those of the rule {name} for this network: the trees of weights differ")
    found, wanted = jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(shapes)
    for (path, leaf), expected in zip(found, wanted, strict=True):
        if jnp.shape(leaf) != expected.shape:
            place = jax.tree_util.keystr(path).removeprefix(".")
            mirror = " to mirror the forward weights" if place.startswith("feedback") else ""
            raise ValueError(f"{place} must have shape {expected.shape}{mirror}, got {jnp.shape(leaf)}")
