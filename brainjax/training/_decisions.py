r"""Recurrent networks that learn a decision task, and how far learning moved them.

What is measured follows :cite:`liu2024`, with what its reviewers asked for: everything as curves along
training, at a given loss as well as after given updates, and the kernel of the decision alone, since seven eighths of
the outputs of these tasks say "not yet" and are trivial.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks, spectra
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats
from brainjax.recurrent import RateNetwork, initial_network, readout, sensitivities, states
from brainjax.richness import (
    factored_kernel,
    kernel_alignment,
    kernel_change,
    kernel_target_alignment,
    linearisation_error,
    representation_alignment,
    sign_similarity,
    weight_change,
)
from brainjax.tasks import DecisionTask, Trial
from brainjax.training._loop import train

__all__ = [
    "DecisionMeasures",
    "DecisionRun",
    "InitialMeasures",
    "cross_entropy",
    "independent_networks",
    "learn_decisions",
]


class DecisionMeasures(NamedTuple):
    """How far a network is from where it started, on fixed probe trials. Lazier: alignments near 1, changes near 0."""

    kernel_alignment: Array
    """Of the tangent kernels of the recurrent weights over all trials, steps and outputs."""
    decision_alignment: Array
    """The same over the outputs of decision steps alone."""
    kernel_change: Array
    """Change of that kernel relative to the first one, which sees scale."""
    target_alignment: Array
    """Alignment of the decision's kernel with the labels, centred over trials."""
    representation_alignment: Array
    """Of the rates at the decision, not centred."""
    centred_alignment: Array
    """The same after centring: linear CKA."""
    sign_similarity: Array
    """Share of units and trials that are on or off at the decision as they were."""
    weight_change: Array
    """Of the recurrent weights, in Frobenius norm."""
    relative_change: Array
    """The same relative to the first weights."""
    linearisation_error: Array
    """Of the outputs, expanded in all weights around the first ones."""


class InitialMeasures(NamedTuple):
    """What the network starts from."""

    norm: Array
    """Frobenius norm of the recurrent weights."""
    spectral_radius: Array
    """Largest modulus of their eigenvalues."""
    largest_singular_value: Array
    stable_rank: Array
    participation_ratio: Array
    """Of the squared singular values."""
    effective_rank: Array
    """Exponential of the entropy of the singular values."""
    eigenvalue_rank: Array
    """Sum of the moduli of eigenvalues over the number of units times the largest."""
    numerical_rank: Array
    active: Array
    """Share of units and probe trials that are on at the decision."""
    silent: Array
    """1 if no unit is on at the decision in any probe trial, else 0."""
    null_alignment: Array
    """Of the first kernel with that of an independent network of the same kind; NaN if none was given."""
    null_decision_alignment: Array


class DecisionRun(NamedTuple):
    """What `learn_decisions` returns."""

    initial: InitialMeasures
    records: DecisionMeasures
    """Along training: each of shape (records,), the initial state first."""
    at_level: DecisionMeasures
    """At the first window whose loss was at most the level; at the end of training if there was none."""
    updates_to_level: Array
    """After how many updates that was; -1 if never."""
    loss: Float[Array, " windows"]
    """Training loss, mean over every window of updates, in nats per step of a trial."""
    test_loss: Array
    """Loss on fresh trials after training."""
    accuracy: Array
    """Share of right choices at the decision on these."""
    network: RateNetwork
    """After training."""


def cross_entropy(outputs: ArrayLike, trial: Trial) -> Array:
    r"""Cross entropy :math:`-\log p(\text{label})` of the softmax of the outputs, mean over trials and weighted steps.

    Args:
        outputs: of shape (..., steps, classes).
        trial: labels and weights, of shape (..., steps).

    Returns:
        A number, in nats.

    Raises:
        ValueError: if the shapes do not fit.
    """
    o, weights = as_floats(outputs, trial.mask)
    checks.shape_of("outputs", o, (*trial.labels.shape, None), "(..., steps, classes)")
    classes = jnp.arange(o.shape[-1], dtype=jnp.int32).reshape((1,) * trial.labels.ndim + (-1,))
    label = (trial.labels[..., None] == classes).astype(o.dtype)  # no gather: its transpose is slow on a CPU
    each = jax.nn.logsumexp(o, axis=-1) - jnp.sum(label * o, axis=-1)
    return jnp.sum(weights * each) / jnp.sum(weights)


def independent_networks(
    key: PRNGKey, weights: Callable[[PRNGKey], Array], task: DecisionTask
) -> tuple[RateNetwork, RateNetwork]:
    """Two networks for a task, drawn independently in one way: one to train, and one for what chance gives.

    They are drawn in a loop, so that a compiled program holds the initializer once.

    Args:
        key: typed PRNG key.
        weights: draws the recurrent weights from a key; inputs and readout are drawn by `recurrent.initial_network`.
        task: for the numbers of inputs and outputs.

    Returns:
        The networks.
    """

    def network(key: PRNGKey) -> RateNetwork:
        for_weights, for_rest = jax.random.split(key)
        return initial_network(for_rest, weights(for_weights), inputs=task.inputs, outputs=task.outputs)

    both = lax.map(network, jax.random.split(key))
    return jax.tree.map(lambda w: w[0], both), jax.tree.map(lambda w: w[1], both)


def learn_decisions(
    key: PRNGKey,
    network: RateNetwork,
    *,
    task: DecisionTask,
    transform: Any,
    steps: int,
    every: int,
    batch: int = 32,
    window: int | None = None,
    level: ArrayLike = -jnp.inf,
    probes: int = 320,
    kernel_probes: int = 32,
    tests: int = 4096,
    independent: RateNetwork | None = None,
    dynamics: Mapping[str, Any] | None = None,
) -> DecisionRun:
    """Train all weights of a network on a decision task, and measure how far it moved.

    Batches, probes and tests depend on the key alone: networks that are trained with one key are paired. With the
    rank of the initial weights as a traced number, one compiled program serves all ranks.

    Args:
        key: typed PRNG key.
        network: the initial weights; they set the precision.
        task: one of ``tasks.DECISION_TASKS``, or of its kind: ``sample(key, size=...)`` is what is used.
        transform: of optax, such as ``optax.sgd(0.003, momentum=0.9)``.
        steps: how many updates.
        every: measure after each ``every`` updates.
        batch: trials per update.
        window: see `train`.
        level: a loss at which networks are compared, see `train`.
        probes: trials on which representations are compared.
        kernel_probes: how many of these the tangent kernel is over; it has steps times classes as many rows.
        tests: fresh trials on which the trained network is judged.
        independent: another network of the same kind, drawn independently, for the alignment that chance gives.
        dynamics: further arguments of `recurrent.states`, such as ``{"leak": 0.2}``; no noise. With a mask, kernels
            are in all recurrent weights, whether they exist or not.

    Returns:
        Measures at the start, along training, at the level; losses, accuracy and the trained network. All measures of
        a network whose training diverged are NaN.

    Raises:
        ValueError: if a number is out of range (see `train`) or ``kernel_probes`` is more than ``probes``.
    """
    if not 1 <= kernel_probes <= probes:
        raise ValueError(f"kernel_probes must be from 1 to probes = {probes}, got {kernel_probes}")
    arrays = as_floats(*network)
    network, dtype, how = RateNetwork(*arrays), arrays[0].dtype, dict(dynamics or {})
    for_batches, for_probes, for_tests = jax.random.split(key, 3)

    def sample(key: PRNGKey, size: int) -> Trial:
        return task.sample(key, size=size, dtype=dtype)

    def loss(network: RateNetwork, trial: Trial) -> Array:
        return cross_entropy(readout(network, states(network, trial.inputs, **how)), trial)

    run = train(
        for_batches,
        network,
        loss=loss,
        sample=lambda key: sample(key, batch),
        transform=transform,
        steps=steps,
        every=every,
        window=window,
        level=level,
        observe=lambda network: network,
    )
    probe, test = sample(for_probes, probes), sample(for_tests, tests)
    look = _Looks(jax.tree.map(lambda x: x[:kernel_probes], probe), probe, task.outputs, how)
    if independent is not None:
        independent = RateNetwork(*as_floats(*independent))
    measured, active, null = _along(look, run.records, run.at_level, independent)
    outputs = readout(run.params, states(run.params, test.inputs, **how))
    right = (jnp.argmax(outputs, -1).astype(test.labels.dtype) == test.labels) & test.decision
    accuracy = jnp.sum(right.astype(dtype)) / jnp.sum(test.decision.astype(dtype))
    return DecisionRun(
        _initial(network, active, null),
        jax.tree.map(lambda x: x[:-1], measured),
        jax.tree.map(lambda x: x[-1], measured),
        run.updates_to_level,
        run.loss,
        cross_entropy(outputs, test),
        jnp.where(jnp.all(jnp.isfinite(outputs)), accuracy, jnp.nan),
        run.params,
    )


class _Looks(NamedTuple):
    """The probe trials, and what is looked at in them."""

    few: Trial
    probe: Trial
    classes: int
    how: dict[str, Any]

    def kernel(self, network: RateNetwork) -> Array:
        """Tangent kernel of the recurrent weights over trials, steps and outputs, (rows, rows)."""
        deltas, previous = sensitivities(network, self.few.inputs, **self.how)
        if self.how.get("initial") is None:  # it starts from rest: the first step multiplies weights with zeros
            deltas, previous = deltas[..., 1:, :], previous[..., 1:, :]
        return factored_kernel(deltas, previous)  # said to be causal it is no faster here, and compiles for long

    def rates(self, network: RateNetwork) -> Array:
        """Rates at the last decision step of every probe trial, (trials, units)."""
        h = states(network, self.probe.inputs, **self.how)
        steps = jnp.arange(h.shape[1], dtype=jnp.int32)
        last = jnp.max(jnp.where(self.probe.decision, steps[None, :], 0), axis=1)
        return jnp.sum(h * (steps[None, :] == last[:, None]).astype(h.dtype)[:, :, None], axis=1)

    def outputs(self, network: RateNetwork) -> Array:
        """Outputs in the trials of the kernel."""
        return readout(network, states(network, self.few.inputs, **self.how))

    def decision(self, kernel: Array) -> Array:
        """The kernel with all but the outputs of decision steps set to zero."""
        decides = jnp.broadcast_to(self.few.decision[..., None], (*self.few.decision.shape, self.classes))
        rows = decides.ravel().astype(kernel.dtype)
        return kernel * rows[:, None] * rows[None, :]

    def target(self, dtype: Any) -> Array:
        """Labels of the decision, centred over trials, as a vector over the kernel's rows."""
        classes = jnp.arange(self.classes, dtype=jnp.int32)
        label = (self.few.labels[..., None] == classes[None, None, :]).astype(dtype)
        centred = label.shape[0] * label - jnp.sum(label, axis=0, keepdims=True)  # exact, and scale does not matter
        return (centred * self.few.decision[..., None].astype(dtype)).ravel()


def _along(
    look: _Looks, records: RateNetwork, at_level: RateNetwork, independent: RateNetwork | None
) -> tuple[DecisionMeasures, Array, DecisionMeasures | None]:
    """Measures of all recorded networks and of the one at the level, and of an independent one, against the first.

    In between, the share of units and trials that are on in the first.

    One loop over networks, so that the program holds one kernel; of the kernels, the first is kept.
    """
    others = [at_level] if independent is None else [at_level, independent]
    seen = jax.tree.map(lambda several, *one: jnp.concatenate([several, jnp.stack(one)]), records, *others)
    start = jax.tree.map(lambda several: several[0], records)
    kernel, rates = jax.eval_shape(lambda: (look.kernel(start), look.rates(start)))

    def step(kept, at):
        number, now = at
        kernel, rates = look.kernel(now), look.rates(now)
        first = jax.tree.map(lambda new, old: jnp.where(number == 0, new, old), (kernel, rates), kept)
        active = jnp.mean((rates > 0).astype(rates.dtype))
        return first, (_measured(look, start, first[0], first[1], now, kernel, rates), active)

    nothing = jnp.zeros(kernel.shape, kernel.dtype), jnp.zeros(rates.shape, rates.dtype)
    numbers = jnp.arange(jax.tree.leaves(seen)[0].shape[0], dtype=jnp.int32)
    _, (measured, active) = lax.scan(step, nothing, (numbers, seen))
    if independent is None:
        return measured, active[0], None
    return jax.tree.map(lambda x: x[:-1], measured), active[0], jax.tree.map(lambda x: x[-1], measured)


def _measured(
    look: _Looks, start: RateNetwork, first: Array, rates: Array, now: RateNetwork, kernel: Array, later: Array
) -> DecisionMeasures:
    """All measures of one network, its kernel and rates, against the first network, its kernel and its rates."""
    deciding = look.decision(kernel)
    return DecisionMeasures(
        kernel_alignment=kernel_alignment(first, kernel),
        decision_alignment=kernel_alignment(look.decision(first), deciding),
        kernel_change=kernel_change(first, kernel),
        target_alignment=kernel_target_alignment(deciding, look.target(kernel.dtype)),
        representation_alignment=representation_alignment(rates, later),
        centred_alignment=representation_alignment(rates, later, centred=True),
        sign_similarity=jnp.where(jnp.all(jnp.isfinite(later)), sign_similarity(rates, later), jnp.nan),
        weight_change=weight_change(start.recurrent, now.recurrent),
        relative_change=weight_change(start.recurrent, now.recurrent, relative=True),
        linearisation_error=linearisation_error(look.outputs, start, now),
    )


def _initial(network: RateNetwork, active: Array, null: DecisionMeasures | None) -> InitialMeasures:
    """What is known before training; ``null`` compares with an independent network."""
    values = spectra.singular_values(network.recurrent)
    eigenvalues = spectra.eigenvalues(network.recurrent)
    none = jnp.full((), jnp.nan, active.dtype)
    return InitialMeasures(
        norm=jnp.sqrt(jnp.sum(values**2)),
        spectral_radius=jnp.max(jnp.abs(eigenvalues)),
        largest_singular_value=values[0],
        stable_rank=spectra.stable_rank(values),
        participation_ratio=spectra.participation_ratio(values),
        effective_rank=spectra.effective_rank(values),
        eigenvalue_rank=spectra.eigenvalue_rank(eigenvalues),
        numerical_rank=spectra.numerical_rank(values),
        active=active,
        silent=(active == 0).astype(active.dtype),
        null_alignment=none if null is None else null.kernel_alignment,
        null_decision_alignment=none if null is None else null.decision_alignment,
    )
