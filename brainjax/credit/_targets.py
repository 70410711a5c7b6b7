r"""Target propagation: every level is told where it should be, and each layer moves towards that by itself.

With the forward maps :math:`f_l` and feedback maps :math:`g_l` (from level l to level l - 1) of the mirrored layers,

.. math::
   t_L = h_L - \eta \frac{\partial \ell}{\partial h_L}, \qquad
   t_{l-1} = h_{l-1} + g_l(t_l) - g_l(h_l), \qquad
   \min_{U_l} \tfrac12 \overline{\lVert f_l(h_{l-1}) - t_l \rVert^2},

the mean being over the batch and :math:`\ell` the loss of one example (difference target propagation :cite:`lee2015`,
with the first target at the outputs, as in :cite:`shibuya2023`). The output layer then moves along :math:`\eta` times
its gradient of backpropagation. The rules differ in how :math:`g` is trained.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, PRNGKey
from brainjax.credit._interface import Gradients, Info, Params, Rule, assemble, output_error
from brainjax.credit._layers import normals
from brainjax.credit._networks import (
    Network,
    Pass,
    Weights,
    apply_feedback,
    apply_forward,
    forward_activities,
    init_feedback,
    init_forward,
    local_gradients,
    recorded_pass,
)
from brainjax.credit._optimisers import Optimiser, sgd

__all__ = [
    "difference_reconstruction",
    "difference_target_propagation",
    "fixed_weight_target_propagation",
    "local_difference_reconstruction",
]

Values = Mapping[str, Array]
Reconstruction = Callable[[Weights, Weights, Sequence[Array], PRNGKey, Array], list[Array]]


def difference_target_propagation(
    net: Network,
    objective: str,
    *,
    forward: Optimiser | None = None,
    feedback: Optimiser | None = None,
    feedback_updates: int = 1,
) -> Rule:
    r"""Difference target propagation :cite:`lee2015`: each feedback map is trained to invert its layer under noise.

    .. math:: \min_{V_l} \overline{\lVert g_l(f_l(h_{l-1} + \sigma\epsilon)) - (h_{l-1} + \sigma\epsilon) \rVert^2}

    Hyperparameters: ``target_step`` :math:`\eta`, ``noise`` :math:`\sigma`.

    Args:
        net: the network.
        objective: what the outputs are for.
        forward: optimiser of the forward weights.
        feedback: optimiser of the feedback weights.
        feedback_updates: how many updates of the feedback come before each update of the forward weights.
    """

    def losses(
        back: Weights, forward_weights: Weights, levels: Sequence[Array], key: PRNGKey, noise: Array
    ) -> list[Array]:
        found = []
        for l, drawn in enumerate(_noise(key, levels[1:-1]), 1):
            noisy = levels[l] + noise * drawn
            above = apply_forward(net, l, forward_weights[l], noisy)
            found.append(_mean_square(apply_feedback(net, l, back[l], above) - noisy))
        return found

    name = "difference_target_propagation"
    return _with_targets(name, net, objective, losses, forward, feedback or sgd(0.01), feedback_updates)


def fixed_weight_target_propagation(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""Fixed-weight difference target propagation :cite:`shibuya2023`: the feedback maps stay as they were drawn.

    Without batch normalisation in the network's layers this is their FW-DTP. Hyperparameter: ``target_step``.
    """
    return _with_targets("fixed_weight_target_propagation", net, objective, None, forward, None, 0)


def difference_reconstruction(
    net: Network,
    objective: str,
    *,
    forward: Optimiser | None = None,
    feedback: Optimiser | None = None,
    feedback_updates: int = 1,
) -> Rule:
    r"""Target propagation with the difference reconstruction loss :cite:`meulemans2020` through the whole network.

    A disturbance of a level is taken up to the outputs and back down by the maps that carry the targets,

    .. math::
       \min_{V_l} \frac{1}{\sigma^2} \overline{\lVert \bar g_l(f_{L \leftarrow l}(h_{l-1} + \sigma\epsilon)) -
       (h_{l-1} + \sigma\epsilon) \rVert^2}, \qquad
       \bar g_l = g_l(\bar g_{l+1}) + h_{l-1} - g_l(h_l),

    so that feedback from the outputs approaches the pseudo-inverse of the derivative of the rest of the network. Only
    the layer's own feedback weights are trained by its loss, and only this first term of the published loss is
    implemented: weight decay of the feedback optimiser takes the place of its damping term.

    Hyperparameters and arguments as `difference_target_propagation`.
    """

    def losses(
        back: Weights, forward_weights: Weights, levels: Sequence[Array], key: PRNGKey, noise: Array
    ) -> list[Array]:
        held = jax.lax.stop_gradient(back)
        returned = [apply_feedback(net, l, held[l], levels[l + 1]) for l in range(1, len(net.layers))]
        found = []
        for l, drawn in enumerate(_noise(key, levels[1:-1]), 1):
            noisy = levels[l] + noise * drawn
            far = noisy
            for m in range(l, len(net.layers)):
                far = apply_forward(net, m, forward_weights[m], far)
            for m in reversed(range(l + 1, len(net.layers))):
                far = apply_feedback(net, m, held[m], far) + levels[m] - returned[m - 1]
            own = apply_feedback(net, l, back[l], far) + levels[l] - apply_feedback(net, l, back[l], levels[l + 1])
            found.append(_mean_square(own - noisy) / noise**2)
        return found

    name = "difference_reconstruction"
    return _with_targets(name, net, objective, losses, forward, feedback or sgd(0.01), feedback_updates)


def local_difference_reconstruction(
    net: Network,
    objective: str,
    *,
    forward: Optimiser | None = None,
    feedback: Optimiser | None = None,
    feedback_updates: int = 1,
) -> Rule:
    r"""Target propagation with the local difference reconstruction loss :cite:`ernoult2022`, layer by layer.

    .. math::
       \min_{V_l}\ -2\, \overline{\sigma\epsilon \cdot (g_l(f_l(h_{l-1} + \sigma\epsilon)) - g_l(h_l))}
       + \overline{\lVert g_l(h_l + \sigma\epsilon') - g_l(h_l) \rVert^2}

    For small noise the derivative of each feedback map approaches the transpose of that of its layer, so that the
    targets carry backpropagation's errors.

    Hyperparameters and arguments as `difference_target_propagation`.
    """

    def losses(
        back: Weights, forward_weights: Weights, levels: Sequence[Array], key: PRNGKey, noise: Array
    ) -> list[Array]:
        found = []
        drawn = _noise(key, [*levels[1:-1], *levels[2:]])
        for l in range(1, len(net.layers)):
            below, above = noise * drawn[l - 1], noise * drawn[len(net.layers) - 1 + l - 1]
            at = apply_feedback(net, l, back[l], levels[l + 1])
            moved = apply_feedback(net, l, back[l], apply_forward(net, l, forward_weights[l], levels[l] + below))
            match = jnp.sum(below * (moved - at)) / below.shape[0]
            size = _mean_square(apply_feedback(net, l, back[l], levels[l + 1] + above) - at)
            found.append(size - 2 * match)
        return found

    name = "local_difference_reconstruction"
    return _with_targets(name, net, objective, losses, forward, feedback or sgd(0.01), feedback_updates)


def _with_targets(
    name: str,
    net: Network,
    objective: str,
    losses: Reconstruction | None,
    forward: Optimiser | None,
    feedback: Optimiser | None,
    feedback_updates: int,
) -> Rule:
    if losses is not None:
        checks.at_least("feedback_updates", feedback_updates, 1)

    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        return Params(init_forward(first, net, dtype), init_feedback(second, net, dtype), ())

    def reconstruction(params: Params, levels: Sequence[Array], key: PRNGKey, values: Values) -> tuple[Weights, Array]:
        def total(back: Weights) -> tuple[Array, Array]:
            each = losses(back, params.forward, levels, key, values["noise"]) if losses else []
            each = jnp.stack(each) if each else jnp.zeros((0,), levels[-1].dtype)
            return jnp.sum(each), each

        return jax.grad(total, has_aux=True)(params.feedback)

    def compute_forward(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        past = recorded_pass(net, params.forward, inputs)
        loss, accuracy, error, _ = output_error(objective, past.levels[-1], targets)
        away = _distances(net, params.feedback, past, error, values["target_step"])
        nothing = jnp.zeros((0,), loss.dtype)
        local = jnp.stack([0.5 * _mean_square(a) for a in away[:-1]]) if away[:-1] else nothing
        changes = local_gradients(net, params.forward, past, [a / inputs.shape[0] for a in away])
        still = jax.tree.map(jnp.zeros_like, params.feedback)
        return Gradients(changes, still, Info(loss, accuracy, local, nothing))

    def compute_feedback(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        levels = forward_activities(net, params.forward, inputs)
        back, each = reconstruction(params, levels, key, values)
        nothing = jnp.zeros((), inputs.dtype)
        return Gradients((), back, Info(nothing, nothing, each[:0], each))

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        found = compute_forward(params, inputs, targets, key, values)
        if losses is None:
            return found
        other = compute_feedback(params, inputs, targets, key, values)
        return Gradients(found.forward, other.feedback, found.info._replace(feedback=other.info.feedback))

    defaults = {"target_step": 0.1} | ({} if losses is None else {"noise": 0.1})
    return assemble(
        name,
        net,
        objective,
        start=start,
        compute=compute,
        forward=forward or sgd(1.0),
        feedback=None if losses is None else feedback,
        defaults=defaults,
        compute_forward=None if losses is None else compute_forward,
        compute_feedback=None if losses is None else compute_feedback,
        feedback_updates=feedback_updates,
    )


def _distances(net: Network, feedback: Weights, past: Pass, error: Array, step: Array) -> list[Array]:
    """How far every level is from its target, the outputs' last."""
    away = [step * error * error.shape[0]]  # the error holds the batch's mean; targets are those of single examples
    for l in reversed(range(1, len(net.layers))):
        here = past.levels[l + 1]
        reached = apply_feedback(net, l, feedback[l], here - away[-1])
        away.append(apply_feedback(net, l, feedback[l], here) - reached)
    return list(reversed(away))


def _noise(key: PRNGKey, like: Sequence[Array]) -> list[Array]:
    return normals(key, like[0].shape[0], [level.shape[1:] for level in like], like[0].dtype) if like else []


def _mean_square(x: Array) -> Array:
    return jnp.sum(x**2) / x.shape[0]
