r"""Networks of mirrored layers: forward and feedback passes, and the pieces of which rules are built.

Every weight update of the rules here that use slopes has the form

.. math:: \frac{\partial}{\partial U_l} = \langle x_{l-1},\ D_l^\top e_l \rangle

with the input of the layer :math:`x_{l-1}`, an error :math:`e_l` at the level above it and the derivative :math:`D_l`
of normalisation, activation and pooling. The rules differ in the errors; `local_gradients` does the rest.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core.types import Array, PRNGKey
from brainjax.credit._layers import (
    ACTIVATIONS,
    Layer,
    conv_pool,
    conv_stride,
    dense,
    flatten,
    initial_weights,
    kernel_shape,
    mirror_product,
    mirrored,
    output_shape,
    product,
    upsample_conv,
)

__all__ = [
    "Network",
    "Pass",
    "Weights",
    "apply_feedback",
    "apply_forward",
    "autoencoder",
    "before_activation",
    "calibrate",
    "cnn",
    "feedback_activities",
    "forward_activities",
    "init_feedback",
    "forward_kernels",
    "init_forward",
    "input_error",
    "local_gradients",
    "mlp",
    "network",
    "propagate",
    "recorded_pass",
    "send_back",
    "weight_gradient",
]

Weights = tuple[dict[str, Array], ...]
"""One ``{"kernel": ..., "bias": ...}`` per layer, the input's first; without ``bias`` where the layer has none."""

_SMALL_VARIANCE = 1e-5


class Network(NamedTuple):
    """A chain of layers on an input shape, made by `network`: static and hashable. Levels are counted from the input.

    Layers that only reshape are absorbed: ``inputs[l]`` is the shape that layer l takes, ``levels[l]`` the shape of
    the level below it, and they hold the same numbers.
    """

    layers: tuple[Layer, ...]
    inputs: tuple[tuple[int, ...], ...]
    levels: tuple[tuple[int, ...], ...]
    """Shapes of input and levels, without the batch; one more than layers."""


class Pass(NamedTuple):
    """A forward pass and what is needed to send errors back through it."""

    levels: tuple[Array, ...]
    """Activities of input and levels."""
    slopes: tuple[Callable[[Array], tuple[Array, ...]], ...]
    """For each layer the transposed derivative of normalisation, activation and pooling at this pass."""


def network(layers: Sequence[Layer], input_shape: Sequence[int]) -> Network:
    """Put layers on an input shape.

    Args:
        layers: from `dense`, `conv_stride`, `conv_pool`, `upsample_conv` and `flatten`, the input's first.
        input_shape: of one example: ``(units,)`` or ``(height, width, channels)``.

    Raises:
        ValueError: if there is no layer with weights, a layer cannot stand on the one before, its feedback would not
            mirror it, or a flatten ends the chain.
    """
    shape = tuple(int(n) for n in input_shape)
    if not shape or min(shape) < 1:
        raise ValueError(f"input_shape must be positive sizes, got {tuple(input_shape)}")
    kept, inputs, levels = [], [], [shape]
    for layer in layers:
        if layer.kind != "flatten":
            kept.append(layer)
            inputs.append(shape)
        shape = output_shape(layer, shape)
        if layer.kind != "flatten":
            levels.append(shape)
    if not kept or layers[-1].kind == "flatten":
        raise ValueError(f"layers must end with a layer that has weights, got {[layer.kind for layer in layers]}")
    return Network(tuple(kept), tuple(inputs), tuple(levels))


def mlp(widths: Sequence[int], activation: str = "elu", *, bias: bool = False) -> Network:
    """A fully connected classifier; the last level has no activation. The paper's: ``mlp([784] + 5 * [256] + [10])``.

    Raises:
        ValueError: if there are fewer than two widths, one is not positive, or the activation is unknown.
    """
    sizes = tuple(int(n) for n in widths)
    if len(sizes) < 2:
        raise ValueError(f"widths must hold input and output at least, got {sizes}")
    hidden = [dense(n, activation, bias=bias) for n in sizes[1:-1]]
    return network([*hidden, dense(sizes[-1], bias=bias)], sizes[:1])


def cnn(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    kind: str = "pool",
    channels: Sequence[int] = (128, 128, 256, 256, 512),
    activation: str = "elu",
    normalize: bool = False,
) -> Network:
    """The convolutional classifiers of :cite:`kao2024`: 3 by 3 kernels, each halving the side, then a linear layer.

    Args:
        input_shape: height, width, channels; the sides must be divisible by two once per convolution.
        classes: number of outputs.
        kind: ``pool`` (no constants) or ``stride`` (with constants in the convolutions, both ways).
        channels: of the convolutions.
        activation: of all levels but the last.
        normalize: standardise channels over the batch before the activation, in both directions.

    Raises:
        ValueError: if the kind is unknown, or the shape does not mirror.
    """
    if kind not in ("pool", "stride"):
        raise ValueError(f"kind must be 'pool' or 'stride', got {kind!r}")
    make = conv_pool if kind == "pool" else conv_stride
    convolutions = [make(n, activation, normalize=normalize) for n in channels]
    return network([*convolutions, flatten(), dense(classes)], input_shape)


def autoencoder(
    input_shape: Sequence[int] = (96, 96, 3),
    *,
    channels: Sequence[int] = (128, 256, 1024, 2048),
    activation: str = "relu",
    normalize: bool = True,
) -> Network:
    """The convolutional autoencoder of :cite:`kao2024`: strided encoder, mirrored decoder, no skips.

    Kernels start orthogonal; the decoder's forward and the encoder's feedback kernels a thousand times smaller; the
    two that end at the image at zero, so that both reconstructions start at zero.

    Raises:
        ValueError: if the sides are not divisible by two once per channel.
    """
    down = [
        conv_stride(
            n,
            activation,
            normalize=normalize,
            forward_init="orthogonal",
            feedback_init="small_orthogonal" if i else "zero",
        )
        for i, n in enumerate(channels)
    ]
    up = [
        upsample_conv(n, activation, normalize=normalize, forward_init="small_orthogonal", feedback_init="orthogonal")
        for n in reversed(channels[:-1])
    ]
    last = upsample_conv(int(input_shape[-1]), forward_init="zero", feedback_init="orthogonal")
    return network([*down, *up, last], input_shape)


def init_forward(key: PRNGKey, net: Network, dtype: Any = None) -> Weights:
    """Forward weights as each layer's ``forward_init`` says."""
    shapes = [kernel_shape(layer, shape) for layer, shape in zip(net.layers, net.inputs, strict=True)]
    init = [layer.forward_init for layer in net.layers]
    return initial_weights(key, shapes, bias=[layer.bias for layer in net.layers], init=init, dtype=dtype)


def init_feedback(key: PRNGKey, net: Network, dtype: Any = None) -> Weights:
    """Feedback weights that mirror every layer, drawn independently of the forward ones.

    The first leads back to the input; only rules that compare with the input use it.
    """
    rows = [kernel_shape(layer, shape) for layer, shape in zip(net.layers, net.inputs, strict=True)]
    shapes = [(*row[:-2], row[-1], row[-2]) for row in rows]
    init = [layer.feedback_init for layer in net.layers]
    return initial_weights(key, shapes, bias=[layer.bias for layer in net.layers], init=init, dtype=dtype)


def apply_forward(net: Network, l: int, weights: dict[str, Array], x: Array, statistics: Any = None) -> Array:
    """Level l + 1 from level l."""
    return _nonlinear(net.layers[l], statistics, before_activation(net, l, weights, x))


def apply_feedback(net: Network, l: int, weights: dict[str, Array], y: Array) -> Array:
    """What layer l sends back to level l from level l + 1: through the activation of level l, if it has one."""
    back = mirror_product(net.layers[l], weights["kernel"], y)
    back = _shifted(back, weights).reshape(-1, *net.levels[l])
    if l == 0:
        return back
    below = net.layers[l - 1]
    back = _standardised(back, None) if below.normalize else back
    return ACTIVATIONS[below.activation](back)


def forward_activities(
    net: Network, forward: Weights, x: Float[Array, "batch ..."], *, cut: bool = False, statistics: Any = None
) -> tuple[Array, ...]:
    r"""Activities of the input and every level, the last of which are the outputs.

    Args:
        net: the network.
        forward: its forward weights.
        x: inputs, of shape (batch, ...).
        cut: stop gradients at the input of every layer, so that a loss at a level reaches one layer only.
        statistics: from `calibrate`, for layers that standardise; by default they use those of this batch.
    """
    levels = [x]
    for l, weights in enumerate(forward):
        below = jax.lax.stop_gradient(levels[-1]) if cut else levels[-1]
        levels.append(apply_forward(net, l, weights, below, None if statistics is None else statistics[l]))
    return tuple(levels)


def feedback_activities(
    net: Network, feedback: Weights, top: Float[Array, "batch ..."], *, cut: bool = False
) -> tuple[Array, ...]:
    """Activities of the feedback network, the input's level first and ``top`` last."""
    levels = [top]
    for l in reversed(range(len(net.layers))):
        above = jax.lax.stop_gradient(levels[-1]) if cut else levels[-1]
        levels.append(apply_feedback(net, l, feedback[l], above))
    return tuple(reversed(levels))


def calibrate(net: Network, forward: Weights, x: Float[Array, "batch ..."]) -> tuple[Any, ...]:
    """Means and variances of the channels of every layer that standardises, over one large batch of training data.

    In training such layers use the statistics of each batch. For evaluation give ``predict`` these instead: it then
    treats every example by itself. They are those of the current weights, not a running average over earlier ones.
    """
    collected, level = [], x
    for l, (layer, weights) in enumerate(zip(net.layers, forward, strict=True)):
        before = before_activation(net, l, weights, level)
        collected.append(_moments(before) if layer.normalize else None)
        level = _nonlinear(layer, collected[-1], before)
    return tuple(collected)


def recorded_pass(net: Network, forward: Weights, x: Float[Array, "batch ..."]) -> Pass:
    """A forward pass that keeps what is needed to send errors back."""
    levels, slopes = [x], []
    for l, weights in enumerate(forward):
        before = before_activation(net, l, weights, levels[-1])
        level, back = jax.vjp(partial(_nonlinear, net.layers[l], None), before)
        levels.append(level)
        slopes.append(back)
    return Pass(tuple(levels), tuple(slopes))


def weight_gradient(net: Network, l: int, weights: dict[str, Array], x: Array, error: Array) -> dict[str, Array]:
    """Inner product of a layer's input and an error before its activation: the gradient of the layer's weights."""
    inputs = x.reshape(-1, *net.inputs[l])
    (kernel,) = jax.linear_transpose(lambda k: product(net.layers[l], k, inputs), weights["kernel"])(error)
    if "bias" not in weights:
        return {"kernel": kernel}
    return {"kernel": kernel, "bias": jnp.sum(error, tuple(range(error.ndim - 1)))}


def input_error(net: Network, l: int, kernel: Array, error: Array) -> Array:
    """An error before the activation of a layer, sent to the level below through the transpose of a kernel."""
    shape = jax.ShapeDtypeStruct((error.shape[0], *net.inputs[l]), error.dtype)
    (back,) = jax.linear_transpose(lambda x: product(net.layers[l], kernel, x), shape)(error)
    return back.reshape(-1, *net.levels[l])


def propagate(net: Network, kernels: Sequence[Array], past: Pass, error: Array) -> tuple[Array, ...]:
    """Send an output error down through the transposes of kernels of forward layout, one per layer.

    With the forward kernels it is backpropagation; the first kernel is not used.

    Returns:
        The errors at the levels above every layer, the output's last.
    """
    errors = [error]
    for l in reversed(range(1, len(net.layers))):
        errors.append(send_back(net, l, kernels[l], past, errors[-1]))
    return tuple(reversed(errors))


def send_back(net: Network, l: int, kernel: Array, past: Pass, error: Array) -> Array:
    """An error at the level above layer l, sent to the level below it."""
    (before,) = past.slopes[l](error)
    return input_error(net, l, kernel, before)


def local_gradients(net: Network, forward: Weights, past: Pass, errors: Sequence[Array]) -> Weights:
    """The gradient of every layer's weights from the error at the level above it."""
    gradients = []
    for l, (weights, error) in enumerate(zip(forward, errors, strict=True)):
        (before,) = past.slopes[l](error)
        gradients.append(weight_gradient(net, l, weights, past.levels[l], before))
    return tuple(gradients)


def forward_kernels(feedback: Weights) -> tuple[Array, ...]:
    """The kernels of feedback weights in the layout of the forward ones."""
    return tuple(mirrored(weights["kernel"]) for weights in feedback)


def before_activation(net: Network, l: int, weights: dict[str, Array], x: Array) -> Array:
    """Level l through the weights of layer l, before normalisation, activation and pooling."""
    return _shifted(product(net.layers[l], weights["kernel"], x.reshape(-1, *net.inputs[l])), weights)


def _shifted(x: Array, weights: dict[str, Array]) -> Array:
    return x + weights["bias"].reshape((1,) * (x.ndim - 1) + (-1,)) if "bias" in weights else x


def _nonlinear(layer: Layer, statistics: Any, before: Array) -> Array:
    x = _standardised(before, statistics) if layer.normalize else before
    x = ACTIVATIONS[layer.activation](x)
    if layer.kind != "conv_pool":
        return x
    batch, height, width, channels = x.shape
    return jnp.max(x.reshape(batch, height // 2, 2, width // 2, 2, channels), (2, 4))


def _moments(x: Array) -> tuple[Array, Array]:
    axes = tuple(range(x.ndim - 1))
    return jnp.mean(x, axes, keepdims=True), jnp.var(x, axes, keepdims=True)


def _standardised(x: Array, statistics: Any) -> Array:
    mean, variance = _moments(x) if statistics is None else statistics
    return (x - mean) / jnp.sqrt(variance + _SMALL_VARIANCE)
