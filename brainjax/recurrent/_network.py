r"""A recurrent network of rate units, as a scan over time.

With the synaptic drive :math:`u_t = W_{\mathrm{in}} x_t + W r_{t-1} + \sqrt{2/\alpha}\,\sigma\,\xi_t`, where
:math:`\xi_t` is white noise of unit variance, and the share :math:`\alpha = \Delta t / \tau` of the state that one step
renews, the nonlinearity :math:`f` can stand in three places:

.. math::

   \text{outside:} \quad r_t &= f\big((1 - \alpha)\, r_{t-1} + \alpha\, u_t\big) \\
   \text{inside:}  \quad r_t &= (1 - \alpha)\, r_{t-1} + \alpha\, f(u_t) \\
   \text{current:} \quad v_t &= (1 - \alpha)\, v_{t-1} + \alpha\, u_t, \qquad r_t = f(v_t)

The three are one network at :math:`\alpha = 1`, without a leak. The noise is scaled as in :cite:`song2016`: without
weights, and while :math:`f` is linear, a unit fluctuates with variance :math:`2\sigma^2/(2 - \alpha)`, which is
:math:`\sigma^2` for small steps.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.draws import normal, uniform
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, is_concrete

__all__ = ["ACTIVATIONS", "PLACEMENTS", "RateNetwork", "initial_network", "readout", "states"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": jax.nn.relu, "tanh": jnp.tanh, "linear": lambda x: x}
"""Nonlinearities by name; any elementwise function can be given instead of a name."""

PLACEMENTS = ("outside", "inside", "current")
"""Where the nonlinearity stands."""


class RateNetwork(NamedTuple):
    """Weights of a network without biases: a tree of arrays, and what is trained."""

    inputs: ArrayLike
    """Input weights, of shape (units, inputs)."""
    recurrent: ArrayLike
    """Recurrent weights, of shape (units, units): row i holds what unit i receives, column j what unit j sends."""
    outputs: ArrayLike
    """Readout weights, of shape (outputs, units)."""


def initial_network(key: PRNGKey, recurrent: ArrayLike, *, inputs: int, outputs: int) -> RateNetwork:
    r"""A network with given recurrent weights and random input and readout weights.

    These are uniform in :math:`\pm 1/\sqrt{n}`, with :math:`n` the number of units that feed them: what PyTorch's
    linear layers start from. They do not depend on the recurrent weights, so with one key networks that differ in these
    are paired in all else.

    Args:
        key: typed PRNG key.
        recurrent: of shape (units, units).
        inputs: number of inputs.
        outputs: number of outputs.

    Returns:
        The network.

    Raises:
        ValueError: if ``recurrent`` is not square, or a number is not positive.
    """
    (w,) = as_floats(recurrent)
    units = _square("recurrent", w)
    checks.at_least("inputs", inputs, 1)
    checks.at_least("outputs", outputs, 1)
    for_inputs, for_outputs = jax.random.split(key)
    from_inputs, from_units = inputs**-0.5, units**-0.5
    return RateNetwork(
        uniform(for_inputs, (units, inputs), w.dtype, low=-from_inputs, high=from_inputs),
        w,
        uniform(for_outputs, (outputs, units), w.dtype, low=-from_units, high=from_units),
    )


def states(
    network: RateNetwork,
    x: ArrayLike,
    *,
    leak: ArrayLike = 1.0,
    activation: str | Callable[[Array], Array] = "relu",
    noise: ArrayLike = 0.0,
    key: PRNGKey | None = None,
    mask: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    placement: str = "outside",
) -> Float[Array, "*trials steps units"]:
    r"""Rates :math:`r_1, \dots, r_T` of all units while the network is given an input.

    See the module for the equations. Trials on leading axes of ``x`` share their products with the weights, which is
    faster than ``vmap`` over trials; use ``vmap`` over networks.

    Args:
        network: the weights.
        x: input, of shape (..., steps, inputs).
        leak: :math:`\alpha`, the part of the state renewed in a step, above 0 and at most 1; 1 is a network without
            memory of its own in the units.
        activation: a name of :data:`ACTIVATIONS`, or an elementwise function.
        noise: :math:`\sigma` of the noise in every unit, in units of its drive.
        key: typed PRNG key, required with noise.
        mask: what recurrent weights are multiplied with, of shape (units, units): 1 where a connection exists, 0
            elsewhere. No mask: a dense network.
        initial: rates before the first step (for ``"current"``, the currents :math:`v_0`), of shape (units,) or
            (..., units); zero by default.
        placement: one of :data:`PLACEMENTS`.

    Returns:
        Rates after every step, of shape (..., steps, units).

    Raises:
        ValueError: if a shape does not fit, a name is unknown, a concrete leak is outside (0, 1], concrete noise is
            negative, or there is noise and no key.
    """
    system = _system(network, x, leak, activation, noise, key, mask, initial, placement)
    if initial is None:  # from rest the first step needs no product
        carry, _, first = _step(system.how, None, system.start, system.drive[0], system.leak)
        rates = jnp.concatenate([first[None], _rates(system.how, system.weights, system.drive[1:], carry, system.leak)])
    else:
        rates = _rates(system.how, system.weights, system.drive, system.start, system.leak)
    return _trials_first(rates, system)


def readout(network: RateNetwork, h: ArrayLike) -> Float[Array, "*trials steps outputs"]:
    r"""Outputs :math:`o_t = W_{\mathrm{out}} r_t`.

    Args:
        network: the weights.
        h: rates, of shape (..., units).

    Returns:
        Of shape (..., outputs).

    Raises:
        ValueError: if the numbers of units differ.
    """
    w, rates = as_floats(network.outputs, h)
    if w.ndim != 2 or rates.ndim < 1 or rates.shape[-1] != w.shape[1]:
        raise ValueError(
            f"h must have shape (..., units) and network.outputs (outputs, units), got {rates.shape} and {w.shape}"
        )
    return rates @ w.T


class How(NamedTuple):
    """What kind of step it is; hashable."""

    activation: Callable[[Array], Array]
    placement: str
    leaks: bool


class System(NamedTuple):
    """A network and its input, checked, in one dtype, with trials on one axis and time first."""

    how: How
    weights: Array  # (units, units), masked
    outputs: Array  # (outputs, units)
    drive: Array  # (steps, trials, units), noise included
    start: Array  # (trials, units)
    leak: Array
    trials: tuple[int, ...]  # the leading axes of the input


def _system(network, x, leak, activation, noise, key, mask, initial, placement) -> System:
    """Checks everything that `states` and `sensitivities` are given."""
    w_in, w, w_out, given, leak_, noise_ = as_floats(*network, x, leak, noise)
    units = _square("network.recurrent", w)
    checks.shape_of("network.inputs", w_in, (units, None), "(units, inputs)")
    checks.shape_of("network.outputs", w_out, (None, units), "(outputs, units)")
    if given.ndim < 2 or given.shape[-1] != w_in.shape[1]:
        raise ValueError(f"x must have shape (..., steps, {w_in.shape[1]}), got {given.shape}")
    checks.unit("leak", leak)
    checks.positive("leak", leak)
    checks.non_negative("noise", noise)
    checks.one_of("placement", placement, PLACEMENTS)
    if isinstance(activation, str):
        checks.one_of("activation", activation, tuple(ACTIVATIONS))
        activation = ACTIVATIONS[activation]
    if mask is not None:
        checks.shape_of("mask", mask, (units, units), "(units, units)")
        w = w * jnp.asarray(mask).astype(w.dtype)
    *trials, steps, _ = given.shape
    count = math.prod(trials)
    drive = jnp.swapaxes((given.reshape(count * steps, -1) @ w_in.T).reshape(count, steps, units), 0, 1)
    if key is not None:
        drive = drive + jnp.sqrt(2 / leak_) * noise_ * normal(key, drive.shape, drive.dtype)
    elif not is_concrete(noise) or np.any(np.asarray(noise) != 0):
        raise ValueError("key must be given where there is noise")
    start = jnp.zeros((count, units), w.dtype)
    if initial is not None:
        first = jnp.asarray(initial).astype(w.dtype)
        if first.shape not in ((units,), (*trials, units)):
            raise ValueError(f"initial must have shape ({units},) or {(*trials, units)}, got {first.shape}")
        start = jnp.broadcast_to(first.reshape(-1, units), start.shape)
    leaks = not (is_concrete(leak) and np.all(np.asarray(leak) == 1))
    return System(How(activation, placement, leaks), w, w_out, drive, start, leak_, tuple(trials))


def _step(how: How, weights: Array | None, carry: Array, drive: Array, leak: Array) -> tuple[Array, Array, Array]:
    """One step: the next carry, what the nonlinearity was applied to, and the rates. Without weights, from rest."""
    f, placement, leaks = how
    u = drive
    if weights is not None:
        u = drive + (f(carry) if placement == "current" else carry) @ weights.T
    if not leaks:
        rates = f(u)
        return (u if placement == "current" else rates), u, rates
    if placement == "inside":
        rates = (1 - leak) * carry + leak * f(u)
        return rates, u, rates
    v = (1 - leak) * carry + leak * u
    rates = f(v)
    return (v if placement == "current" else rates), v, rates


def _rates(how: How, weights: Array, drive: Array, start: Array, leak: Array) -> Array:
    """Rates after every step, (steps, trials, units)."""
    if how.activation in ACTIVATIONS.values():
        return _ruled(how, weights, drive, start, leak)
    return _plain(how, weights, drive, start, leak)  # a function of the user may hold traced values: no rule of ours


def _plain(how: How, weights: Array, drive: Array, start: Array, leak: Array) -> Array:
    def step(carry, at):
        after, _, rates = _step(how, weights, carry, at, leak)
        return after, rates

    return lax.scan(step, start, drive)[1]


# The derivative is written out for the sake of its transpose: the change of the drive due to a change of the weights is
# one product over all steps, so that backpropagation sums the gradient of the weights in one product, not step by step.
_ruled = jax.custom_jvp(_plain, nondiff_argnums=(0,))


@_ruled.defjvp
def _rates_jvp(how: How, primals: Any, tangents: Any) -> tuple[Array, Array]:
    weights, drive, start, leak = primals
    d_weights, d_drive, d_start, d_leak = tangents
    f, placement, leaks = how

    def forward(carry, at):
        after, argument, rates = _step(how, weights, carry, at, leak)
        return after, (carry, argument, rates)

    _, (before, argument, rates) = lax.scan(forward, start, drive)
    after, slope = jax.jvp(f, (argument,), (jnp.ones_like(argument),))
    sent, sent_slope = before, None
    if placement == "current":
        sent, sent_slope = jax.jvp(f, (before,), (jnp.ones_like(before),))
    steps, trials, units = drive.shape
    d_drive = d_drive + (sent.reshape(-1, units) @ d_weights.T).reshape(steps, trials, units)
    # how the state would move with the leak, all else equal
    to = after if placement == "inside" else argument
    d_leaking = d_leak * ((to - before) if placement == "inside" else (to - before) / leak) if leaks else None

    def change(d_carry, at):
        d_u, slope, sent_slope, moved = at
        d_sent = d_carry if sent_slope is None else sent_slope * d_carry
        d_u = d_u + d_sent @ weights.T
        if not leaks:
            return (d_u if placement == "current" else slope * d_u), slope * d_u
        if placement == "inside":
            d_rates = (1 - leak) * d_carry + leak * slope * d_u + moved
            return d_rates, d_rates
        d_v = (1 - leak) * d_carry + leak * d_u + moved
        return (d_v if placement == "current" else slope * d_v), slope * d_v

    _, d_rates = lax.scan(change, d_start, (d_drive, slope, sent_slope, d_leaking))
    return rates, d_rates


def _trials_first(series: Array, system: System) -> Array:
    """From (steps, trials, ...) to the leading axes of the input, then time."""
    return jnp.swapaxes(series, 0, 1).reshape(*system.trials, series.shape[0], *series.shape[2:])


def _square(name: str, matrix: Array) -> int:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must have shape (units, units), got {matrix.shape}")
    return matrix.shape[0]
