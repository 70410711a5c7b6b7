r"""How every output of a recurrent network depends on the drive of every unit at every earlier step.

The derivative of an output in the recurrent weights is a sum of outer products,

.. math:: \frac{\partial o_{t,k}}{\partial W} = \sum_{s \le t} \delta_{tk,s}\, r_{s-1}^\top, \qquad
   \delta_{tk,s} = \frac{\partial o_{t,k}}{\partial u_s},

so that tangent kernels never need a matrix of the size of the weights per output.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.recurrent._network import RateNetwork, _step, _system, _trials_first

__all__ = ["Sensitivities", "sensitivities"]


class Sensitivities(NamedTuple):
    """The two factors of the derivatives of all outputs in the recurrent weights."""

    deltas: Float[Array, "*trials steps outputs steps units"]
    r""":math:`\delta_{tk,s}`: [..., t, k, s, :] is the derivative of output k after step t in the drive of step s. Zero
    for s > t."""
    previous: Float[Array, "*trials steps units"]
    """Rates before every step, of shape (..., steps, units): the initial ones, then all but the last."""


def sensitivities(
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
) -> Sensitivities:
    r"""The factored derivatives of all outputs after all steps in the recurrent weights.

    One recursion from the last step to the first, with a product with :math:`W` for all outputs at once. For
    ``"outside"``, with the slopes :math:`D_s = \mathrm{diag}\, f'`,

    .. math:: \delta_{s} = \alpha D_s\, g_s, \qquad
       g_{s-1} = (1 - \alpha) D_s\, g_s + W^\top \delta_{s} + [s - 1 = t]\, W_{\mathrm{out}}^\top e_k ;

    the other placements differ in where the slopes act. The arguments are those of `states`.

    Args:
        network: the weights.
        x: input, of shape (..., steps, inputs).
        leak: see `states`.
        activation: see `states`.
        noise: see `states`; with the key of a simulation, the derivatives along it.
        key: see `states`.
        mask: see `states`. The derivatives are in the weights that act, mask times ``network.recurrent``; those of
            ``network.recurrent`` itself are mask times ``deltas.T @ previous``, which no longer factorises.
        initial: see `states`.
        placement: see `states`.

    Returns:
        Both factors, ``deltas`` of shape (..., steps, outputs, steps, units) and ``previous`` of (..., steps, units).

    Raises:
        ValueError: as in `states`.
    """
    system = _system(network, x, leak, activation, noise, key, mask, initial, placement)
    (f, _, leaks), a, w = system.how, system.leak, system.weights

    def forward(carry, drive):
        before = f(carry) if placement == "current" else carry
        after, argument, _ = _step(system.how, w, carry, drive, a)
        return after, (before, jax.jvp(f, (argument,), (jnp.ones_like(argument),))[1])

    _, (previous, slopes) = lax.scan(forward, system.start, system.drive)
    steps, trials, units = slopes.shape
    outputs = system.outputs.shape[0]
    shape = (trials, steps, outputs, units)  # steps: those of the outputs
    is_now = jnp.eye(steps, dtype=w.dtype)

    def backward(carry, at):
        later, kept = carry  # derivatives in the rates and, for "current", in the currents of this step
        slope, now = at
        direct = now[None, :, None, None] * system.outputs[None, None]
        in_rates = later + jnp.broadcast_to(direct, shape)
        sloped = slope[:, None, None, :] * in_rates
        if not leaks:
            delta, earlier, kept = sloped, 0, kept
        elif placement == "outside":
            delta, earlier = a * sloped, (1 - a) * sloped
        elif placement == "inside":
            delta, earlier = a * sloped, (1 - a) * in_rates
        else:
            in_currents = sloped + kept
            delta, earlier, kept = a * in_currents, 0, (1 - a) * in_currents
        return (earlier + (delta.reshape(-1, units) @ w).reshape(shape), kept), delta

    none = jnp.zeros(shape, w.dtype)
    carry = (none, none if leaks and placement == "current" else None)
    _, deltas = lax.scan(backward, carry, (slopes, is_now), reverse=True)
    # (source steps, trials, steps, outputs, units) to (trials, steps, outputs, source steps, units)
    deltas = jnp.moveaxis(deltas, 0, 3).reshape(*system.trials, steps, outputs, steps, units)
    return Sensitivities(deltas, _trials_first(previous, system))
