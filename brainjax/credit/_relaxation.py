r"""Rules that let the activities settle before the weights change: predictive coding and equilibrium propagation."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.credit._interface import Gradients, Info, Params, Rule, assemble, output_error
from brainjax.credit._layers import ACTIVATIONS
from brainjax.credit._networks import (
    Network,
    Weights,
    apply_forward,
    before_activation,
    init_forward,
    input_error,
    local_gradients,
    recorded_pass,
    send_back,
    weight_gradient,
)
from brainjax.credit._optimisers import Optimiser, sgd

__all__ = ["equilibrium_propagation", "predictive_coding"]

Values = Mapping[str, Array]
_VARIANTS = ("relaxed", "fixed_prediction", "zero_divergence")


def predictive_coding(
    net: Network,
    objective: str,
    *,
    variant: str = "relaxed",
    iterations: int = 20,
    forward: Optimiser | None = None,
) -> Rule:
    r"""Predictive coding :cite:`whittington2017`: activities settle between what is predicted and what is wanted.

    From the forward pass, with the targets clamped, the hidden activities z descend

    .. math:: E = \sum_{l<L} \tfrac12 \lVert z_l - f_l(z_{l-1}) \rVert^2 + \ell(f_L(z_{L-1}), y), \qquad
       z_l \leftarrow z_l - \mathrm{dt}\, \frac{\partial E}{\partial z_l}

    for a number of iterations (a scan); the weights then descend E, averaged over the batch. The output term is the
    loss of one example: cross-entropy for classification, for reconstruction the mean square over the outputs.

    Variants:

    - ``relaxed``: this.
    - ``fixed_prediction`` :cite:`millidge2022`: predictions and slopes stay those of the forward pass, only the errors
      move, :math:`\epsilon_l \leftarrow \epsilon_l + \mathrm{dt} (J_{l+1}^\top \epsilon_{l+1} - \epsilon_l)`. They
      settle at backpropagation's, and reach them exactly after L - 1 iterations with dt = 1.
    - ``zero_divergence`` :cite:`song2020`: as relaxed with dt = 1, but each layer takes its gradient in the iteration
      in which the error arrives at it. Equal to backpropagation; ``iterations`` and dt are not used.

    Hyperparameter: ``dt``.

    Raises:
        ValueError: if the variant is unknown, or there are no iterations.
    """
    checks.one_of("variant", variant, _VARIANTS)
    checks.at_least("iterations", iterations, 1)
    last = len(net.layers) - 1

    def start(key: PRNGKey, dtype: Any) -> Params:
        return Params(init_forward(key, net, dtype), (), ())

    def example_loss(outputs: Array, targets: Array) -> Array:
        return output_error(objective, outputs, targets)[0] * outputs.shape[0]

    def energies(weights: Weights, first: Array | None, hidden: Any, inputs: Array, targets: Array) -> list[Array]:
        """Energy of every layer, summed over the batch; ``first`` is the first prediction if it is known."""
        found, below = [], inputs
        for l, level in enumerate(hidden):
            guess = first if l == 0 and first is not None else apply_forward(net, l, weights[l], below)
            found.append(0.5 * jnp.sum((level - guess) ** 2))
            below = level
        outputs = apply_forward(net, last, weights[last], below)
        return [*found, example_loss(outputs, targets)]

    def relaxed(weights: Weights, levels: Any, inputs: Array, targets: Array, dt: Array) -> tuple[Weights, Array]:
        first = levels[1]

        def settle(hidden: Any, _: None) -> tuple[Any, None]:
            slopes = jax.grad(lambda z: sum(energies(weights, first, z, inputs, targets)))(hidden)
            return jax.tree.map(lambda z, g: z - dt * g, hidden, slopes), None

        hidden, _ = jax.lax.scan(settle, tuple(levels[1:-1]), None, length=iterations)

        def total(w: Weights) -> tuple[Array, list[Array]]:
            each = energies(w, None, hidden, inputs, targets)
            return sum(each) / inputs.shape[0], each  # pyright: ignore[reportReturnType]

        gradients, each = jax.grad(total, has_aux=True)(weights)
        return gradients, jnp.stack(each[:-1]) / inputs.shape[0] if last else jnp.zeros((0,), inputs.dtype)

    def in_turn(weights: Weights, levels: Any, inputs: Array, targets: Array) -> tuple[Weights, Array]:
        hidden, gradients, local = list(levels[1:-1]), [], []
        for turn in range(last + 1):
            own = last - turn

            def of_layer(w: Any, l: int = own, z: Any = tuple(hidden)) -> Array:
                below = inputs if l == 0 else z[l - 1]
                guess = apply_forward(net, l, w, below)
                return example_loss(guess, targets) if l == last else 0.5 * jnp.sum((z[l] - guess) ** 2)

            value, gradient = jax.value_and_grad(of_layer)(weights[own])
            gradients.append(jax.tree.map(lambda g: g / inputs.shape[0], gradient))
            local.append(value / inputs.shape[0])
            if own > 0:
                slopes = jax.grad(lambda z: sum(energies(weights, levels[1], z, inputs, targets)))(tuple(hidden))
                hidden = [z - g for z, g in zip(hidden, slopes, strict=True)]
        return tuple(reversed(gradients)), jnp.stack(local[::-1])[:-1]

    def fixed(past: Any, error: Array, weights: Weights, dt: Array) -> tuple[Weights, Array]:
        def settle(errors: Any, _: None) -> tuple[Any, None]:
            above = [*errors[1:], error]
            sent = [send_back(net, l + 1, weights[l + 1]["kernel"], past, e) for l, e in enumerate(above)]
            return tuple(e + dt * (s - e) for e, s in zip(errors, sent, strict=True)), None

        errors = tuple(jnp.zeros_like(level) for level in past.levels[1:-1])
        if last:
            errors, _ = jax.lax.scan(settle, errors, None, length=iterations)
        batch = error.shape[0]
        local = [0.5 * batch * jnp.sum(e**2) for e in errors]
        local = jnp.stack(local) if local else jnp.zeros((0,), error.dtype)
        return local_gradients(net, weights, past, [*errors, error]), local

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        weights = params.forward
        past = recorded_pass(net, weights, inputs)
        loss, accuracy, error, _ = output_error(objective, past.levels[-1], targets)
        if variant == "fixed_prediction":
            gradients, local = fixed(past, error, weights, values["dt"])
        elif variant == "relaxed":
            gradients, local = relaxed(weights, past.levels, inputs, targets, values["dt"])
        else:
            gradients, local = in_turn(weights, past.levels, inputs, targets)
        return Gradients(gradients, (), Info(loss, accuracy, local, jnp.zeros((0,), loss.dtype)))

    defaults = {} if variant == "zero_divergence" else {"dt": 0.1 if variant == "relaxed" else 1.0}
    chosen = forward or sgd(0.1)
    return assemble(
        "predictive_coding", net, objective, start=start, compute=compute, forward=chosen, defaults=defaults
    )


def equilibrium_propagation(
    net: Network,
    objective: str,
    *,
    free_iterations: int = 30,
    nudged_iterations: int = 10,
    forward: Optimiser | None = None,
) -> Rule:
    r"""Equilibrium propagation :cite:`scellier2017`, two-sided and with a softmax readout as in :cite:`laborieux2021`.

    The hidden levels s are coupled both ways by the same weights and settle at a fixed point of

    .. math::
       s_l \leftarrow (1 - \mathrm{dt})\, s_l + \mathrm{dt}\, \phi\Big(\frac{\partial \Phi}{\partial s_l}
       - \beta \frac{\partial \ell}{\partial s_l}\Big), \qquad
       \Phi = \sum_{l<L} s_l \cdot (s_{l-1} U_l + c_l), \qquad \ell = \ell(s_{L-1} U_L + c_L,\ y),

    first freely (:math:`\beta = 0`), then nudged to both sides from there. The readout is not part of the dynamics; it
    takes the gradient of the loss at the free fixed point, and

    .. math:: \frac{\partial}{\partial U_l} = -\frac{1}{2\beta} \overline{\Big(\frac{\partial\Phi}{\partial U_l}
       \Big|_{+\beta} - \frac{\partial\Phi}{\partial U_l}\Big|_{-\beta}\Big)}, \qquad l < L .

    As :math:`\beta \to 0` this is the gradient of the loss at the free fixed point, with an error of order
    :math:`\beta^2`, if all phases have settled and the activation is invertible. ``predict`` lets the free phase
    settle from rest (with dt = 0.5, which the fixed point does not depend on), so the network is not the feed-forward
    one, though it has its weights.

    Hyperparameters: ``beta``, ``dt``.

    Raises:
        ValueError: if there is no hidden level, a layer pools or normalises, or there are no iterations.
    """
    checks.at_least("free_iterations", free_iterations, 1)
    checks.at_least("nudged_iterations", nudged_iterations, 1)
    last = len(net.layers) - 1
    for layer in net.layers:
        if layer.kind == "conv_pool" or layer.normalize or last < 1:
            raise ValueError("equilibrium_propagation needs a hidden level, and layers that neither pool nor normalise")

    def start(key: PRNGKey, dtype: Any) -> Params:
        return Params(init_forward(key, net, dtype), (), ())

    def settled(
        weights: Weights, inputs: Array, hidden: Any, length: int, dt: Any, targets: Any = None, beta: Any = None
    ) -> Any:
        drive = before_activation(net, 0, weights[0], inputs)

        def once(s: Any, nothing: None) -> tuple[Any, None]:
            new: list[Array] = []
            for l in range(last):
                total = drive if l == 0 else before_activation(net, l, weights[l], s[l - 1])
                total = total.reshape(-1, *net.levels[l + 1])
                if l + 1 < last:
                    above = s[l + 1].reshape(-1, *net.levels[l + 2])
                    total = total + input_error(net, l + 1, weights[l + 1]["kernel"], above)
                elif targets is not None:
                    outputs = apply_forward(net, last, weights[last], s[l])
                    _, _, error, _ = output_error(objective, outputs, targets)
                    sent = input_error(net, last, weights[last]["kernel"], error * outputs.shape[0])
                    total = total - beta * sent
                new.append((1 - dt) * s[l] + dt * ACTIVATIONS[net.layers[l].activation](total))
            return tuple(new), nothing

        return jax.lax.scan(once, hidden, None, length=length)[0]

    def rest(weights: Weights, inputs: Array) -> Any:
        return tuple(jnp.zeros((inputs.shape[0], *shape), inputs.dtype) for shape in net.levels[1:-1])

    def coupling(weights: Weights, inputs: Array, hidden: Any) -> list[dict[str, Array]]:
        below = [inputs, *hidden[:-1]]
        return [weight_gradient(net, l, weights[l], below[l], s) for l, s in enumerate(hidden)]

    def compute(params: Params, inputs: Array, targets: Array, key: PRNGKey, values: Values) -> Gradients:
        weights, beta, dt = params.forward, values["beta"], values["dt"]
        free = settled(weights, inputs, rest(weights, inputs), free_iterations, dt)
        outputs = apply_forward(net, last, weights[last], free[-1])
        loss, accuracy, error, _ = output_error(objective, outputs, targets)
        up, down = (
            coupling(weights, inputs, settled(weights, inputs, free, nudged_iterations, dt, targets, sign * beta))
            for sign in (1.0, -1.0)
        )
        factor = -1 / (2 * beta * inputs.shape[0])
        gradients = [jax.tree.map(lambda a, b: factor * (a - b), a, b) for a, b in zip(up, down, strict=True)]
        gradients.append(weight_gradient(net, last, weights[last], free[-1], error))
        nothing = jnp.zeros((0,), loss.dtype)
        return Gradients(tuple(gradients), (), Info(loss, accuracy, nothing, nothing))

    def predict(weights: Weights, inputs: ArrayLike, statistics: Any = None) -> Array:
        inputs = jnp.asarray(inputs).astype(weights[0]["kernel"].dtype)
        dt = jnp.asarray(0.5, inputs.dtype)
        free = settled(weights, inputs, rest(weights, inputs), free_iterations, dt)
        return apply_forward(net, last, weights[last], free[-1])

    return assemble(
        "equilibrium_propagation",
        net,
        objective,
        start=start,
        compute=compute,
        forward=forward or sgd(0.1),
        defaults={"beta": 0.1, "dt": 0.5},
        predict=predict,
    )
