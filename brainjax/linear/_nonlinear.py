r"""Parallel paths with a non-linearity after their layers: what the linear theory is compared with.

Path :math:`a` answers an input by :math:`f_a(x) = \phi(W_a^{D_a} \cdots \phi(W_a^1 x))`, the network by
:math:`\sum_a f_a(x)`. As in :cite:`kleinman2024`, :math:`\phi` may act on the path's output too. Gradient descent sees
examples here, not correlations, and derivatives are automatic.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import matmul
from brainjax.core.record import scan_every
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._layered import LayeredRun, gates_at, windows_for
from brainjax.linear._layers import Paths, as_paths
from brainjax.linear._pathways import Windows

if TYPE_CHECKING:
    import optax

__all__ = ["Activation", "descend_nonlinear", "path_responses"]

Activation = Callable[[Array], Array]
"""An elementwise function, such as ``jnp.tanh`` or ``jax.nn.relu``."""


def path_responses(
    paths: Sequence[Sequence[ArrayLike]], inputs: ArrayLike, *, activation: Activation, on_output: bool = True
) -> Float[Array, "paths out examples"]:
    r"""What every path answers to every input; the network's answer is the sum over paths.

    With one-hot inputs this is the non-linear counterpart of `path_maps`, and `project` gives its strengths
    :math:`K_a = U^\top f_a(I)\,V` on the task's modes.

    Args:
        paths: the layers of every path, the input's first.
        inputs: examples as columns, of shape (in, examples).
        activation: the non-linearity after every layer.
        on_output: whether it follows the last layer of a path too.

    Raises:
        ValueError: if layers or inputs do not fit together.
    """
    weights, (x,) = as_paths(paths), as_floats(inputs)
    checks.shape_of("inputs", x, (weights[0][0].shape[1], None), "(in, examples)")
    return jnp.stack([_response(layers, x.astype(layers[0].dtype), activation, on_output) for layers in weights])


def descend_nonlinear(
    paths: Sequence[Sequence[ArrayLike]],
    *,
    inputs: ArrayLike,
    outputs: ArrayLike,
    activation: Activation,
    on_output: bool = True,
    rate: ArrayLike,
    steps: int,
    every: int | None = None,
    windows: Windows | None = None,
    transform: "optax.GradientTransformation | None" = None,
    observe: Callable[[Paths, Any], Any] | None = None,
    context: Any = None,
) -> LayeredRun:
    r"""Train all paths together by full-batch gradient descent, with deficits in some of them.

    The loss is :math:`\tfrac12 \sum_\mu |y_\mu - \sum_a f_a(x_\mu)|^2`, a sum over examples. Gates, windows,
    records and the transform mean what they mean in `descend`, which this equals if the activation is the identity.

    Args:
        paths: initial layers of every path, the input's first. Depths and hidden sizes may differ between paths.
        inputs: examples as columns, of shape (in, examples).
        outputs: their targets as columns, of shape (out, examples).
        activation: the non-linearity after every layer.
        on_output: whether it follows the last layer of a path too.
        rate: learning rate, positive.
        steps: how many updates.
        every: record after each ``every`` updates; it must divide ``steps``. By default only the first and last state.
        windows: deficits, from `windows`, in units of time (updates times rate), the same gate for all modes of a path.
        transform: what optax makes of the gradient before the step along minus it.
        observe: ``observe(paths, context)``, what to record of a state; by default the answers of `path_responses`.
        context: arrays that ``observe`` needs.

    Returns:
        Times, records (the initial state first) and the final layers.

    Raises:
        ValueError: if a shape does not fit, a concrete argument is out of its range, or ``every`` does not divide
            ``steps``.
    """
    checks.positive("rate", rate)
    if steps < 0:
        raise ValueError(f"steps must be zero or more, got {steps}")
    every = max(steps, 1) if every is None else every
    leaves, tree = jax.tree.flatten(as_paths(paths))
    *leaves, x, y, rate = as_floats(*leaves, inputs, outputs, rate)
    weights: Paths = jax.tree.unflatten(tree, leaves)
    checks.shape_of("inputs", x, (weights[0][0].shape[1], None), "(in, examples)")
    checks.shape_of("outputs", y, (weights[0][-1].shape[0], x.shape[1]), "(out, examples)")
    spans = windows_for(windows, len(weights), x.dtype)

    def answer(weights: Paths) -> Array:
        return jnp.stack([_response(layers, x, activation, on_output) for layers in weights])

    def loss(weights: Paths) -> Array:
        return 0.5 * jnp.sum((y - jnp.sum(answer(weights), axis=0)) ** 2)

    def step(carry, j):
        weights, memory = carry
        gradient = jax.grad(loss)(weights)
        if spans is not None:
            gates = gates_at((j.astype(x.dtype) + 0.5) * rate, spans, len(weights))
            gradient = tuple(tuple(gates[a] * g for g in layers) for a, layers in enumerate(gradient))
        if transform is not None:
            with jax.numpy_dtype_promotion("standard"):
                gradient, memory = transform.update(gradient, memory, weights)
        return jax.tree.map(lambda w, g: w - rate * g.astype(w.dtype), weights, gradient), memory

    with jax.numpy_dtype_promotion("standard"):
        memory = () if transform is None else transform.init(weights)
    (last, _), records = scan_every(
        step,
        (weights, memory),
        steps=steps,
        every=every,
        observe=lambda carry: answer(carry[0]) if observe is None else observe(carry[0], context),
    )
    return LayeredRun(jnp.arange(0, steps + 1, every).astype(x.dtype) * rate, records, last)


def _response(layers: Sequence[Array], inputs: Array, activation: Activation, on_output: bool) -> Array:
    for number, matrix in enumerate(layers):
        inputs = matmul(matrix, inputs)
        if on_output or number < len(layers) - 1:
            inputs = activation(inputs)
    return inputs
