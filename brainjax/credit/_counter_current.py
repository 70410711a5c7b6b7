r"""Counter-current learning :cite:`kao2024`: a feedback network runs the other way, and each level learns to agree.

Signals cross: activities :math:`a_l` rise from the inputs and :math:`b_l` descend from the targets,

.. math::
   a_l = \phi(U_l\, \mathrm{sg}(a_{l-1})), \quad a_L = U_L\, \mathrm{sg}(a_{L-1}), \qquad
   b_{l-1} = \phi(V_l\, \mathrm{sg}(b_l)), \quad b_0 = V_1\, \mathrm{sg}(b_1),

with the gradient stopped (sg) at the input of every layer, and a loss at every level compares them. The loss of level l
then trains exactly :math:`U_l` and :math:`V_{l+1}`; that of the inputs only :math:`V_1`, that of the outputs only
:math:`U_L`. Both sides of a loss learn: the target is not held fixed.

For classification the feedback network runs once per *class*, on the K by K identity, so :math:`b_l` holds one
prototype per class. What the paper writes as an identity matrix is the indicator :math:`Y_{ik} = 1` where example i is
of class k. Three different losses are in use, and they are named apart:

``mlp`` (the authors' script for fully connected networks; level sizes :math:`d_l`, l from 0 to L - 1)

.. math:: c\, \frac{256}{d_l}\, \overline{(a_l^i \cdot b_l^k - Y_{ik})^2}

``cnn`` (their script for convolutional ones, and the text of the paper), with :math:`n(v) = v / (\lVert v \rVert +
10^{-8})` of the flattened features

.. math:: c\, \overline{(n(a)\, n(b)^\top - Y)^2} + s\, \overline{(n(a)\, n(a)^\top - I_B)^2}
   + s\, \overline{(n(b)\, n(b)^\top - I_K)^2}

``autoencoder`` (their script for it), where :math:`b_L` is the image itself, one per example, H the height of the
level, and m subtracts the spatial mean of each channel and divides by its norm; the second term is left out at the
inputs and outputs

.. math:: H\, \overline{(a_l - b_l)^2} + H\, \overline{(m(a_l) - m(b_l))^2}, \qquad l = 0, \dots, L

The first two add the cross-entropy of the outputs. The 256 is a constant of theirs, not the batch size.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, PRNGKey
from brainjax.credit._interface import Gradients, Info, Params, Rule, assemble, output_error
from brainjax.credit._networks import (
    Network,
    Weights,
    feedback_activities,
    forward_activities,
    init_feedback,
    init_forward,
)
from brainjax.credit._optimisers import Optimiser, sgd

__all__ = ["counter_current"]

Values = Mapping[str, Array]
LOSSES = ("mlp", "cnn", "autoencoder")
_SMALL = 1e-8
_DEFAULTS: dict[str, dict[str, float]] = {
    "mlp": {"scale": 0.5},
    "cnn": {"scale": 1.0, "decorrelation": 0.5, "flood": 0.0},
    "autoencoder": {},
}


def counter_current(
    net: Network,
    objective: str,
    *,
    loss: str | None = None,
    prototypes: bool = True,
    forward: Optimiser | None = None,
    feedback: Optimiser | None = None,
) -> Rule:
    r"""Counter-current learning, with one of its three losses; see the module for the equations.

    Hyperparameters: ``factor`` multiplies the whole loss before any clipping (a warm-up is ``factor = (j + 1) / n`` for
    the first n steps j); ``scale`` c of ``mlp`` (0.5) and ``cnn`` (1); for ``cnn`` also ``decorrelation`` s (0.5) and
    ``flood``: examples whose true class has a probability above one minus it take no part in the local losses
    (their features are set to zero before the norm; 0, the default, leaves out none; the authors' code has 0.1). With
    ``feedback_rate`` 0 the feedback stays as it was drawn, bit for bit.

    The default optimisers are the authors': plain descent with rate 1 and norms clipped to 1 for ``mlp``; momentum,
    gradient centralisation and weight decay for the others.

    Args:
        net: the network.
        objective: what the outputs are for.
        loss: ``mlp``, ``cnn`` or ``autoencoder``. By default the last for reconstruction, and for classification
            ``cnn`` for images and ``mlp`` for vectors.
        prototypes: whether the feedback runs once per class. Otherwise it runs on the label of every example, and the
            targets of the products are 1 where two examples share a class; the same if each class comes once, and
            dearer.
        forward: optimiser of the forward weights.
        feedback: optimiser of the feedback weights.

    Raises:
        ValueError: if the loss is unknown or of another objective.
    """
    loss = loss or ("autoencoder" if objective == "reconstruction" else "cnn" if len(net.levels[0]) == 3 else "mlp")
    checks.one_of("loss", loss, LOSSES)
    if (loss == "autoencoder") != (objective == "reconstruction"):
        raise ValueError(f"loss must be 'autoencoder' for reconstruction and only then, got {loss!r} for {objective}")
    if loss == "autoencoder" and any(len(shape) != 3 for shape in net.levels):
        raise ValueError(f"loss 'autoencoder' needs images at every level, got {net.levels}")

    def start(key: PRNGKey, dtype: Any) -> Params:
        first, second = jax.random.split(key)
        return Params(init_forward(first, net, dtype), init_feedback(second, net, dtype), ())

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        def total(forward_weights: Weights, feedback_weights: Weights) -> tuple[Array, Info]:
            rising = forward_activities(net, forward_weights, inputs, cut=True)
            output_loss, accuracy, _, onehot = output_error(objective, rising[-1], targets)
            if loss == "autoencoder":
                falling = feedback_activities(net, feedback_weights, targets, cut=True)
                local = _reconstruction_losses(rising, falling)
                whole = sum(local)
            else:
                classes = jnp.eye(onehot.shape[1], dtype=onehot.dtype)
                falling = feedback_activities(net, feedback_weights, classes if prototypes else onehot, cut=True)
                same = onehot if prototypes else onehot @ onehot.T
                if loss == "mlp":
                    local = _product_losses(rising, falling, same, values)
                else:
                    local = _cosine_losses(rising, falling, same, _unsure(rising[-1], onehot, values), values)
                whole = sum(local) + output_loss
            nothing = jnp.zeros((0,), output_loss.dtype)
            return values["factor"] * whole, Info(output_loss, accuracy, jnp.stack(local), nothing)

        (up, down), info = jax.grad(total, (0, 1), has_aux=True)(params.forward, params.feedback)
        return Gradients(up, down, info)

    one, other = forward or _optimiser(loss), feedback or _optimiser(loss)
    defaults = {"factor": 1.0} | _DEFAULTS[loss]
    return assemble(
        "counter_current", net, objective, start=start, compute=compute, forward=one, feedback=other, defaults=defaults
    )


def _optimiser(loss: str) -> Optimiser:
    if loss == "mlp":
        return sgd(1.0, clip=1.0)
    if loss == "cnn":
        return sgd(1.0, clip=0.3, centralised=True, decay=1e-6, momentum=0.8)
    return sgd(0.01, clip=0.2, centralised=True, decay=1e-4, momentum=0.9)


def _product_losses(rising: Any, falling: Any, same: Array, values: Values) -> list[Array]:
    found = []
    for a, b in zip(rising[:-1], falling[:-1], strict=True):
        a, b = _flat(a), _flat(b)
        found.append(values["scale"] * (256 / a.shape[1]) * jnp.mean((a @ b.T - same) ** 2))
    return found


def _cosine_losses(rising: Any, falling: Any, same: Array, unsure: Array, values: Values) -> list[Array]:
    found = []
    for a, b in zip(rising[:-1], falling[:-1], strict=True):
        a, b = _normalised(_flat(a) * unsure[:, None]), _normalised(_flat(b))
        between = jnp.mean((a @ b.T - same) ** 2)
        apart = jnp.mean((a @ a.T - _eye(a)) ** 2) + jnp.mean((b @ b.T - _eye(b)) ** 2)
        found.append(values["scale"] * between + values["decorrelation"] * apart)
    return found


def _reconstruction_losses(rising: Any, falling: Any) -> list[Array]:
    found = []
    for l, (a, b) in enumerate(zip(rising, falling, strict=True)):
        loss = jnp.mean((a - b) ** 2)
        if 0 < l < len(rising) - 1:
            loss = loss + jnp.mean((_pattern(a) - _pattern(b)) ** 2)
        found.append(a.shape[1] * loss)
    return found


def _unsure(outputs: Array, onehot: Array, values: Values) -> Array:
    """1 for examples that take part in the local losses, 0 for those that are already certain."""
    log_true = jnp.sum(jax.nn.log_softmax(jax.lax.stop_gradient(outputs)) * onehot, 1)
    return (-jnp.expm1(log_true) >= values["flood"]).astype(outputs.dtype)


def _flat(x: Array) -> Array:
    return x.reshape(x.shape[0], -1)


def _eye(x: Array) -> Array:
    return jnp.eye(x.shape[0], dtype=x.dtype)


def _norm(x: Array, axes: Any) -> Array:
    square = jnp.sum(x**2, axes, keepdims=True)
    some = square > 0  # the derivative of a root at zero is infinite, and zero times it not a number
    return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)


def _normalised(x: Array) -> Array:
    return x / (_norm(x, 1) + _SMALL)


def _pattern(x: Array) -> Array:
    centred = x - jnp.mean(x, (1, 2), keepdims=True)
    return centred / (_norm(centred, (1, 2)) + _SMALL)
