r"""Rules with two forward passes and no backward one: forward-forward and PEPITA."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.credit._interface import Gradients, Info, Params, Rule, assemble, output_error
from brainjax.credit._networks import (
    Network,
    Weights,
    apply_forward,
    forward_activities,
    init_forward,
    weight_gradient,
)
from brainjax.credit._optimisers import Optimiser, sgd

__all__ = ["forward_forward", "pepita"]

Values = Mapping[str, Array]
_SMALL = 1e-8


def forward_forward(net: Network, objective: str, *, readout: str = "linear", forward: Optimiser | None = None) -> Rule:
    r"""Forward-forward :cite:`hinton2022`: hidden layers tell images with the right label from those with a wrong one.

    A label is written over the first K inputs (1 at the label, 0 elsewhere). With the goodness
    :math:`g_l = \overline{h_l^2}`, the mean over the units of a level, each hidden layer minimises

    .. math:: \overline{\log(1 + e^{\theta - g_l^+})} + \overline{\log(1 + e^{g_l^- - \theta})}

    where the wrong label is drawn uniformly. Before the next layer each hidden level is divided by its root mean
    square, which hides its goodness. Hinton's goodness is the sum of squares and his threshold grows with the units;
    the mean makes one threshold serve all widths.

    The network's last layer is a softmax readout of the last hidden level, trained by cross-entropy on images with a
    neutral label (1/K in every place). The rule's ``predict`` therefore normalises between levels; with
    ``readout="goodness"`` it instead tries every label and returns the goodness summed over hidden levels, all but
    the first if there are several. The reported loss and accuracy are those of the softmax readout.

    Hyperparameter: ``threshold`` :math:`\theta`.

    Args:
        net: the network, with at least one hidden level and no normalisation over the batch.
        objective: must be classification.
        readout: ``linear`` or ``goodness``, for predictions.
        forward: optimiser.

    Raises:
        ValueError: if the objective or readout is another, there is no hidden level, or the inputs are fewer than the
            classes.
    """
    checks.one_of("objective", objective, ("classification",))
    checks.one_of("readout", readout, ("linear", "goodness"))
    classes, hidden = net.levels[-1][0], len(net.layers) - 1
    if hidden < 1 or classes < 2 or math.prod(net.levels[0]) < classes:
        raise ValueError(
            f"forward_forward needs a hidden level, two classes and as many inputs as classes, got levels {net.levels}"
        )

    def labelled(inputs: Array, labels: Array) -> Array:
        flat = inputs.reshape(inputs.shape[0], -1)
        return jnp.concatenate([labels.astype(flat.dtype), flat[:, classes:]], 1).reshape(inputs.shape)

    def climb(weights: Weights, x: Array) -> list[Array]:
        levels = []
        for l in range(hidden):
            levels.append(apply_forward(net, l, weights[l], jax.lax.stop_gradient(x)))
            x = _unit_mean_square(levels[-1])
        return levels

    def neutral(weights: Weights, inputs: Array) -> Array:
        labels = jnp.full((inputs.shape[0], classes), 1 / classes, inputs.dtype)
        return jax.lax.stop_gradient(_unit_mean_square(climb(weights, labelled(inputs, labels))[-1]))

    def goodness(weights: Weights, x: Array) -> Array:
        levels = climb(weights, x)
        return jnp.stack([jnp.mean(h.reshape(h.shape[0], -1) ** 2, 1) for h in levels])

    def start(key: PRNGKey, dtype: Any) -> Params:
        return Params(init_forward(key, net, dtype), (), ())

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        shift = jax.random.randint(key, targets.shape, 1, classes, jnp.int32)
        right = jax.nn.one_hot(targets, classes, dtype=inputs.dtype)
        wrong = jax.nn.one_hot((targets + shift) % classes, classes, dtype=inputs.dtype)

        def total(weights: Weights) -> tuple[Array, Info]:
            up = jax.nn.softplus(values["threshold"] - goodness(weights, labelled(inputs, right)))
            down = jax.nn.softplus(goodness(weights, labelled(inputs, wrong)) - values["threshold"])
            local = jnp.mean(up + down, 1)
            outputs = apply_forward(net, hidden, weights[-1], neutral(weights, inputs))
            loss, accuracy, _, _ = output_error(objective, outputs, targets)
            return jnp.sum(local) + loss, Info(loss, accuracy, local, jnp.zeros((0,), loss.dtype))

        gradients, info = jax.grad(total, has_aux=True)(params.forward)
        return Gradients(gradients, (), info)

    def predict(weights: Weights, inputs: ArrayLike, statistics: Any = None) -> Array:
        inputs = jnp.asarray(inputs).astype(weights[0]["kernel"].dtype)
        if readout == "linear":
            return apply_forward(net, hidden, weights[-1], neutral(weights, inputs))
        counted = slice(1, None) if hidden > 1 else slice(None)

        def of_label(label: Array) -> Array:
            labels = jnp.broadcast_to(label[None, :], (inputs.shape[0], classes))
            return jnp.sum(goodness(weights, labelled(inputs, labels))[counted], 0)

        return jax.lax.map(of_label, jnp.eye(classes, dtype=inputs.dtype)).T

    return assemble(
        "forward_forward",
        net,
        objective,
        start=start,
        compute=compute,
        forward=forward or sgd(0.1),
        defaults={"threshold": 1.0},
        predict=predict,
    )


def pepita(net: Network, objective: str, *, forward: Optimiser | None = None) -> Rule:
    r"""PEPITA :cite:`dellaferrera2022`: a second forward pass on an input that the error has modulated.

    .. math::
       e = \mathrm{softmax}(a_L(x)) - y, \qquad x' = x + s\, e F, \qquad
       \frac{\partial}{\partial U_l} = \overline{h_{l-1}(x')^\top (h_l(x) - h_l(x'))}, \qquad
       \frac{\partial}{\partial U_L} = \overline{h_{L-1}(x')^\top e(x')}

    with F uniform within :math:`\sqrt{6/d_0}`. No slopes enter. The output layer uses the error of the second pass, as
    in the authors' code.

    Hyperparameter: ``modulation`` s; 0.05 is the authors'.

    Raises:
        ValueError: if the objective is not classification, or a layer pools or normalises (the difference of
            activities is then not of the shape, or meaning, of what the weights produce).
    """
    checks.one_of("objective", objective, ("classification",))
    _plain_layers("pepita", net)
    classes, size = net.levels[-1][0], math.prod(net.levels[0])

    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        weights = init_forward(first, net, dtype)
        bound = math.sqrt(6 / size)
        dtype = weights[0]["kernel"].dtype
        return Params(weights, (), jax.random.uniform(second, (classes, size), dtype, -bound, bound))

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        batch = inputs.shape[0]
        first = forward_activities(net, params.forward, inputs)
        loss, accuracy, error, _ = output_error(objective, first[-1], targets)
        added = (batch * values["modulation"]) * (error @ params.aux)
        second = forward_activities(net, params.forward, inputs + added.reshape(inputs.shape))
        _, _, last, _ = output_error(objective, second[-1], targets)
        errors = [(a - b) / batch for a, b in zip(first[1:-1], second[1:-1], strict=True)]
        gradients = tuple(
            weight_gradient(net, l, weights, second[l], moved)
            for l, (weights, moved) in enumerate(zip(params.forward, [*errors, last], strict=True))
        )
        nothing = jnp.zeros((0,), loss.dtype)
        return Gradients(gradients, (), Info(loss, accuracy, nothing, nothing))

    return assemble(
        "pepita",
        net,
        objective,
        start=start,
        compute=compute,
        forward=forward or sgd(0.1),
        defaults={"modulation": 0.05},
    )


def _unit_mean_square(x: Array) -> Array:
    square = jnp.mean(x.reshape(x.shape[0], -1) ** 2, 1).reshape((-1,) + (1,) * (x.ndim - 1))
    return x / jnp.sqrt(square + _SMALL)


def _plain_layers(name: str, net: Network) -> None:
    for layer in net.layers:
        if layer.kind == "conv_pool" or layer.normalize:
            raise ValueError(f"{name} takes no layers that pool or normalise over the batch, got {layer.kind}")
