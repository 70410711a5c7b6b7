r"""What is done with a gradient: optax transforms whose constants are traced values.

The order is that of the usual PyTorch loop: centralise, clip, add weight decay, momentum, minus the learning rate.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from brainjax.core import checks

__all__ = ["Optimiser", "apply", "centralise", "clip_by_layer_norm", "sgd"]


class Optimiser(NamedTuple):
    """A family of optax transforms, one for each choice of its constants.

    ``Optimiser(lambda h: optax.adam(h["rate"]), {"rate": 1e-3})`` is Adam. The state that the transform keeps must not
    depend on the constants, which may be traced.
    """

    build: Callable[[Mapping[str, Any]], optax.GradientTransformation]
    defaults: Mapping[str, float]


def sgd(
    rate: float = 0.1,
    *,
    clip: float | None = None,
    per_layer: bool = False,
    centralised: bool = False,
    decay: float | None = None,
    momentum: float | None = None,
) -> Optimiser:
    r"""Stochastic gradient descent, with clipping, gradient centralisation, weight decay and momentum if asked for.

    What is given here is the default of a hyperparameter of that name (``rate``, ``clip``, ``decay``, ``momentum``)
    and can be replaced by a traced value at every step; what is left out is not compiled at all.

    .. math:: g \leftarrow C(g) + \lambda w, \qquad m \leftarrow \mu m + g, \qquad w \leftarrow w - \eta m

    Args:
        rate: learning rate :math:`\eta`.
        clip: largest norm of the gradient; longer ones are shortened to it. Infinity never clips.
        per_layer: clip each layer by its own norm. By default one norm over the network is used, which couples the
            layers: a rule is then local up to a common factor only.
        centralised: subtract from every kernel's gradient its mean over all axes but the output's, before clipping.
        decay: weight decay :math:`\lambda`, added after clipping.
        momentum: :math:`\mu`.

    Raises:
        ValueError: if a default is negative or not a number.
    """
    defaults = {"rate": rate, "clip": clip, "decay": decay, "momentum": momentum}
    defaults = {name: value for name, value in defaults.items() if value is not None}
    for name, value in defaults.items():
        checks.non_negative(name, value)

    def build(values: Mapping[str, Any]) -> optax.GradientTransformation:
        parts = [centralise()] if centralised else []
        if clip is not None:
            parts.append((clip_by_layer_norm if per_layer else optax.clip_by_global_norm)(values["clip"]))
        if decay is not None:
            parts.append(optax.add_decayed_weights(values["decay"]))
        if momentum is not None:
            parts.append(optax.trace(values["momentum"]))
        return optax.chain(*parts, optax.scale(-values["rate"]))

    return Optimiser(build, defaults)


def centralise() -> optax.GradientTransformation:
    r"""Subtract from every kernel's gradient its mean over the inputs of each unit.

    .. math:: g_{\cdot o} \leftarrow g_{\cdot o} - \tfrac{1}{n} \sum_i g_{i o}

    The output axis is the last one, as in flax's kernels ``(in, out)`` and ``(height, width, in, out)``.
    `optax.centralize` averages over all axes but the first, which is right for kernels whose outputs come first.
    Constants (one axis) are left alone.
    """

    def centred(g: Any) -> Any:
        return g if jnp.ndim(g) < 2 else g - jnp.mean(g, tuple(range(g.ndim - 1)), keepdims=True)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return jax.tree.map(centred, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def clip_by_layer_norm(most: Any) -> optax.GradientTransformation:
    """Shorten the gradient of every layer that is longer than ``most``; a layer is an entry of the outermost tuple."""

    def clipped(layer: Any) -> Any:
        return optax.clip_by_global_norm(most).update(layer, optax.EmptyState())[0]

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return tuple(clipped(layer) for layer in updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def apply(
    optimiser: Optimiser, values: Mapping[str, Any], gradients: Any, memory: Any, weights: Any
) -> tuple[Any, Any]:
    """One update: new weights and the transform's new state."""
    with jax.numpy_dtype_promotion("standard"):  # optax multiplies Python numbers into arrays
        changes, memory = optimiser.build(values).update(gradients, memory, weights)
        return optax.apply_updates(weights, changes), memory
