r"""What to look at in a rule: angles to backpropagation, alignment of weights and features, similarity of levels."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from brainjax.core import checks
from brainjax.core.similarity import linear_cka
from brainjax.core.types import Array, PRNGKey
from brainjax.credit._feedback import backprop
from brainjax.credit._interface import Batch, Params, Rule
from brainjax.credit._layers import mirrored
from brainjax.credit._networks import Weights

__all__ = [
    "angle_to_backprop",
    "angles",
    "class_alignment",
    "linear_cka",
    "sign_agreement",
    "weight_alignment",
]


def angles(changes: Weights, reference: Weights) -> Float[Array, "layers"]:
    r"""The angle between two gradients of the same network, layer by layer, in degrees.

    .. math:: \theta_l = \arccos \frac{\langle g_l, g'_l \rangle}{\lVert g_l \rVert\, \lVert g'_l \rVert}

    over the kernel and constants of the layer together. 90 where one of them is zero.

    Args:
        changes: one entry per layer.
        reference: another tree of the same shape.
    """
    return jnp.stack([_degrees(_cosine(_vector(a), _vector(b))) for a, b in zip(changes, reference, strict=True)])


def angle_to_backprop(
    rule: Rule, params: Params, batch: Batch, key: PRNGKey, hyperparameters: Any = None
) -> Float[Array, "layers"]:
    r"""The angle of a rule's gradient to that of backpropagation at the same weights, layer by layer, in degrees.

    Below 90 the layer's update lowers the loss to first order. For rules whose predictions are not those of the plain
    forward pass (forward-forward, equilibrium propagation) the reference is still the plain network's gradient.

    Args:
        rule: any rule.
        params: its weights.
        batch: the examples.
        key: for rules that draw noise.
        hyperparameters: of the rule.
    """
    exact = backprop(rule.network, rule.objective).grads(Params(params.forward, (), ()), batch, key)
    return angles(rule.grads(params, batch, key, hyperparameters).forward, exact.forward)


def weight_alignment(forward: Weights, feedback: Weights) -> Float[Array, "layers"]:
    r"""Cosine between the kernel of each layer and that of its feedback, brought to the same layout.

    .. math:: \cos(U_l, V_l^\top)

    A convolution's kernel is compared with the feedback's turned round, ``V[H-1-h, W-1-w, o, i]`` for ``U[h, w, i,
    o]``: the pairing for which a convolution without stride would send back what backpropagation does.

    Args:
        forward: weights of the network.
        feedback: weights that mirror them.

    Raises:
        ValueError: if the feedback does not mirror the forward weights.
    """
    return jnp.stack([_cosine(a.ravel(), b.ravel()) for a, b in _pairs(forward, feedback)])


def sign_agreement(forward: Weights, feedback: Weights) -> Float[Array, "layers"]:
    """The fraction of weights that have the sign of their partner in the feedback, paired as in `weight_alignment`.

    Raises:
        ValueError: if the feedback does not mirror the forward weights.
    """
    return jnp.stack([jnp.mean((jnp.sign(a) == jnp.sign(b)).astype(a.dtype)) for a, b in _pairs(forward, feedback)])


def class_alignment(
    rising: Float[Array, "batch ..."], prototypes: Float[Array, "classes ..."], labels: Int[Array, "batch"]
) -> Float[Array, ""]:
    """Mean cosine between the features of examples and the prototype of their class.

    Args:
        rising: activities of a level in the forward pass.
        prototypes: activities of that level in the feedback network, run once per class.
        labels: class of each example.
    """
    own = jnp.asarray(prototypes)[jnp.asarray(labels)]
    return jnp.mean(jax.vmap(_cosine)(rising.reshape(rising.shape[0], -1), own.reshape(own.shape[0], -1)))


def _pairs(forward: Weights, feedback: Weights) -> list[tuple[Array, Array]]:
    found = []
    if len(forward) != len(feedback):
        raise ValueError(f"feedback must mirror every layer: {len(forward)} forward, {len(feedback)} feedback")
    for l, (up, down) in enumerate(zip(forward, feedback, strict=True)):
        partner = mirrored(down["kernel"])
        checks.shape_of(f"feedback[{l}] in forward layout", partner, up["kernel"].shape)
        found.append((up["kernel"], partner))
    return found


def _vector(layer: Any) -> Array:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(layer)])


def _cosine(a: Array, b: Array) -> Array:
    square = jnp.sum(a**2) * jnp.sum(b**2)
    some = square > 0
    return jnp.where(some, jnp.sum(a * b) / jnp.sqrt(jnp.where(some, square, 1)), 0)


def _degrees(cosine: Array) -> Array:
    return jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))
