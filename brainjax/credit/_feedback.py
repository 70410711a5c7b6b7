r"""Rules that send the output's error back through weights that stand in for the transposed forward ones.

With :math:`\delta_L = \partial \text{loss} / \partial a_L` and the slope :math:`\phi'` of the level,

.. math:: \delta_l = \tilde B_{l+1} (\delta_{l+1} \circ \phi'_{l+1}), \qquad
   \frac{\partial}{\partial U_l} = a_{l-1}^\top (\delta_l \circ \phi'_l)

where :math:`\tilde B` is :math:`U^\top` in backpropagation. The direct rules instead send :math:`\delta_L`, or the
target, to every level in one jump.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, PRNGKey
from brainjax.credit._interface import Gradients, Info, Params, Rule, assemble, output_error
from brainjax.credit._layers import initial_weights, mirrored, normals, product
from brainjax.credit._networks import (
    Network,
    Pass,
    Weights,
    forward_kernels,
    init_feedback,
    init_forward,
    local_gradients,
    propagate,
    recorded_pass,
    weight_gradient,
)
from brainjax.credit._optimisers import Optimiser, sgd

__all__ = [
    "backprop",
    "direct_feedback_alignment",
    "direct_random_target_projection",
    "feedback_alignment",
    "kolen_pollack",
    "sign_symmetry",
    "weight_mirror",
]

Values = Mapping[str, Array]
Errors = Callable[[Params, Pass, Array, Array, PRNGKey], tuple[Array, ...]]


def backprop(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""Backpropagation: errors return through the transposed forward weights, the exact gradient of the loss."""

    def start(key: PRNGKey, dtype: Any) -> Params:
        return Params(init_forward(key, net, dtype), (), ())

    def errors(params: Params, past: Pass, error: Array, onehot: Array, key: PRNGKey) -> tuple[Array, ...]:
        return propagate(net, [weights["kernel"] for weights in params.forward], past, error)

    return _with_errors("backprop", net, objective, start, errors, forward or sgd(0.1))


def feedback_alignment(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""Feedback alignment :cite:`lillicrap2016`: the transposed weights are replaced by fixed random ones.

    Its feedback weights mirror the layers and start as a second network would; the first is not used.
    """
    errors = _through(net, lambda params, key: forward_kernels(params.feedback))
    return _with_errors("feedback_alignment", net, objective, _mirrored_start(net), errors, forward or sgd(0.1))


def sign_symmetry(
    net: Network, objective: str, *, magnitudes: str = "uniform", forward: Optimiser | None = None
) -> Rule:
    r"""Sign-symmetry :cite:`liao2016`: feedback weights have the signs of the forward ones and other magnitudes.

    .. math:: \tilde B = M \circ \mathrm{sign}(U^\top)

    Args:
        net: the network.
        objective: what the outputs are for.
        magnitudes: ``uniform``, all equal to :math:`\sqrt{2 / (n_{in} + n_{out})}` as in :cite:`xiao2019`; ``fixed``,
            absolute values of Glorot-uniform numbers drawn once; ``batchwise``, the same drawn anew at every step.
            Magnitudes are never negative, so all signs agree. They are kept as feedback weights, in mirrored layout.
        forward: optimiser.

    Raises:
        ValueError: if the choice of magnitudes is unknown.
    """
    checks.one_of("magnitudes", magnitudes, ("uniform", "fixed", "batchwise"))

    def drawn(key: PRNGKey, weights: Weights) -> Weights:
        backs = [mirrored(layer["kernel"]) for layer in weights]
        count = len(backs)
        widths = [math.sqrt(2 / (math.prod(v.shape[:-2]) * (v.shape[-1] + v.shape[-2]))) for v in backs]
        if magnitudes == "uniform":
            return tuple({"kernel": jnp.full(v.shape, w, v.dtype)} for v, w in zip(backs, widths, strict=True))
        shapes, dtype = [v.shape for v in backs], backs[0].dtype
        cubes = initial_weights(key, shapes, bias=[False] * count, init=["fan_in"] * count, dtype=dtype)
        sizes = [w * math.sqrt(3 * math.prod(shape[:-1])) for w, shape in zip(widths, shapes, strict=True)]
        return tuple({"kernel": size * jnp.abs(c["kernel"])} for size, c in zip(sizes, cubes, strict=True))

    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        weights = init_forward(first, net, dtype)
        return Params(weights, () if magnitudes == "batchwise" else drawn(second, weights), ())

    def kernels(params: Params, key: PRNGKey) -> tuple[Array, ...]:
        sizes = drawn(key, params.forward) if magnitudes == "batchwise" else params.feedback
        pairs = zip(forward_kernels(sizes), params.forward, strict=True)
        return tuple(size * jnp.sign(weights["kernel"]) for size, weights in pairs)

    return _with_errors("sign_symmetry", net, objective, start, _through(net, kernels), forward or sgd(0.1))


def kolen_pollack(
    net: Network, objective: str, *, forward: Optimiser | None = None, feedback: Optimiser | None = None
) -> Rule:
    r"""Kolen-Pollack learning :cite:`akrout2019`: feedback weights take the transposed updates of the forward ones.

    With the same optimiser and weight decay :math:`\lambda` on both sides the difference between :math:`V` and
    :math:`U^\top` shrinks as :math:`(1 - \eta\lambda)^t`, whatever the data, for plain gradient descent without
    momentum. With network-wide clipping it does so only if no layer has constants. The optimisers are the
    experimenter's choice; by default both are ``sgd(0.1, decay=1e-3)``.
    """
    errors = _through(net, lambda params, key: forward_kernels(params.feedback))

    def change(params: Params, gradients: Weights, key: PRNGKey, values: Values, batch: int) -> Weights:
        return tuple({"kernel": mirrored(layer["kernel"])} for layer in gradients)

    both = forward or sgd(0.1, decay=1e-3), feedback or sgd(0.1, decay=1e-3)
    return _with_errors("kolen_pollack", net, objective, _mirrored_start(net), errors, *both, change=change)


def weight_mirror(
    net: Network, objective: str, *, forward: Optimiser | None = None, feedback: Optimiser | None = None
) -> Rule:
    r"""Weight mirror :cite:`akrout2019`: feedback weights learn the forward ones from responses to noise.

    Every step is a step of feedback alignment and, in mirror mode, one of

    .. math:: \frac{\partial}{\partial V_l} = - \overline{ \xi\, (\xi U_l)^\top }, \qquad \xi \sim N(0, 1),

    averaged over as many noise samples as the batch has examples. The response is taken before the activation, where
    its expectation is exactly :math:`-U_l^\top` (a convolution's up to the edges of the image). Weight decay on the
    feedback is what bounds its growth: with the default ``sgd(0.1, decay=1.0)`` the feedback is a running average of
    estimates of :math:`U^\top`.
    """
    errors = _through(net, lambda params, key: forward_kernels(params.feedback))

    def change(params: Params, gradients: Weights, key: PRNGKey, values: Values, batch: int) -> Weights:
        found = []
        noises = normals(key, batch, net.inputs, params.forward[0]["kernel"].dtype)
        for l, (noise, weights) in enumerate(zip(noises, params.forward, strict=True)):
            kernel = weights["kernel"]
            response = product(net.layers[l], kernel, noise)
            places = batch * math.prod(response.shape[1:-1])
            estimate = weight_gradient(net, l, {"kernel": kernel}, noise, response)["kernel"] / places
            found.append({"kernel": -mirrored(estimate)})
        return tuple(found)

    both = forward or sgd(0.1), feedback or sgd(0.1, decay=1.0)
    return _with_errors("weight_mirror", net, objective, _mirrored_start(net), errors, *both, change=change)


def direct_feedback_alignment(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""Direct feedback alignment :cite:`nokland2016`: a fixed random map takes the output's error to every level.

    .. math:: \delta_l = \delta_L B_l, \qquad B_l \in \mathbb{R}^{K \times d_l}
    """

    def errors(params: Params, past: Pass, error: Array, onehot: Array, key: PRNGKey) -> tuple[Array, ...]:
        return (*_jumps(net, params.feedback, error), error)

    return _with_errors("direct_feedback_alignment", net, objective, _direct_start(net), errors, forward or sgd(0.1))


def direct_random_target_projection(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""Direct random target projection :cite:`frenkel2021`: a random map takes the target itself to every level.

    .. math:: \delta_l = -\frac{1}{B}\, y\, B_l

    so it is direct feedback alignment with the target in the place of minus the error, and hidden layers can learn
    before the outputs are known. The output layer learns from the error.

    Raises:
        ValueError: if the objective is not classification.
    """
    checks.one_of("objective", objective, ("classification",))

    def errors(params: Params, past: Pass, error: Array, onehot: Array, key: PRNGKey) -> tuple[Array, ...]:
        return (*_jumps(net, params.feedback, -onehot / onehot.shape[0]), error)

    name = "direct_random_target_projection"
    return _with_errors(name, net, objective, _direct_start(net), errors, forward or sgd(0.1))


def _with_errors(
    name: str,
    net: Network,
    objective: str,
    start: Callable[[PRNGKey, Any], Params],
    errors: Errors,
    forward: Optimiser,
    feedback: Optimiser | None = None,
    change: Callable[..., Weights] | None = None,
) -> Rule:
    """A rule that is told by the errors at every level, and how the feedback weights change."""

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        past = recorded_pass(net, params.forward, inputs)
        loss, accuracy, error, onehot = output_error(objective, past.levels[-1], targets)
        sent = errors(params, past, error, onehot, key)
        gradients = local_gradients(net, params.forward, past, sent)
        if change is None:
            back = jax.tree.map(jnp.zeros_like, params.feedback)
        else:
            back = change(params, gradients, key, values, inputs.shape[0])
        nothing = jnp.zeros((0,), loss.dtype)
        return Gradients(gradients, back, Info(loss, accuracy, nothing, nothing))

    return assemble(name, net, objective, start=start, compute=compute, forward=forward, feedback=feedback)


def _through(net: Network, kernels: Callable[[Params, PRNGKey], tuple[Array, ...]]) -> Errors:
    def errors(params: Params, past: Pass, error: Array, onehot: Array, key: PRNGKey) -> tuple[Array, ...]:
        return propagate(net, kernels(params, key), past, error)

    return errors


def _mirrored_start(net: Network) -> Callable[[PRNGKey, Any], Params]:
    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        feedback = tuple({"kernel": weights["kernel"]} for weights in init_feedback(second, net, dtype))
        return Params(init_forward(first, net, dtype), feedback, ())

    return start


def _direct_start(net: Network) -> Callable[[PRNGKey, Any], Params]:
    outputs = math.prod(net.levels[-1])

    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        shapes = [(outputs, math.prod(shape)) for shape in net.levels[1:-1]]
        count = len(shapes)
        feedback = initial_weights(second, shapes, bias=[False] * count, init=["fan_in"] * count, dtype=dtype)
        return Params(init_forward(first, net, dtype), feedback, ())

    return start


def _jumps(net: Network, feedback: Weights, signal: Array) -> tuple[Array, ...]:
    flat = signal.reshape(signal.shape[0], -1)
    pairs = zip(feedback, net.levels[1:-1], strict=True)
    return tuple((flat @ weights["kernel"]).reshape(-1, *shape) for weights, shape in pairs)
