r"""The phase portrait of two pathways: how fast their strengths grow, and where learning ends.

With :math:`q^2 = p^2 + c` the strength :math:`K = p\,q^{D-1}` of a pathway obeys

.. math:: \dot K = \bigl[q^{2(D-1)} + (D-1)\,p^2 q^{2(D-2)}\bigr]\,\Omega, \qquad \Omega = s - K_a - K_b,

which for balanced layers, :math:`c = 0`, is :math:`D\,|K|^{2-2/D}\,\Omega`. All points of the line
:math:`K_a + K_b = s` are fixed: a valley of equal loss, along which nothing pulls.
"""

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._pathways import safe_power, small_layer

__all__ = ["fixed_line", "phase_field"]


def phase_field(
    ka: ArrayLike, kb: ArrayLike, *, s: ArrayLike, depth: ArrayLike, imbalance: ArrayLike = 0.0
) -> tuple[Float[Array, "kb ka"], Float[Array, "kb ka"]]:
    r"""The velocities :math:`(\dot K_a, \dot K_b)` on a grid of strengths, in the layout that plotting programs expect.

    Valid under gradient flow for whitened inputs and decoupled pathways :cite:`shi2022`; Figure 1 of
    :cite:`kleinman2024` has ``imbalance = 1``.

    Args:
        ka: strengths of the first pathway, along the columns, of shape (ka,).
        kb: strengths of the second pathway, along the rows, of shape (kb,).
        s: singular value of the mode, a number.
        depth: number of layers, 1 or more, real: a number for both or of shape (2,).
        imbalance: conserved difference of squares c, zero (balanced) or more: a number for both or of shape (2,).

    Returns:
        Velocities of the first and of the second pathway, each of shape (kb, ka).

    Raises:
        ValueError: if a concrete argument is out of its range or a shape does not fit.
    """
    checks.finite("ka", ka)
    checks.finite("kb", kb)
    checks.finite("s", s)
    checks.at_least("depth", depth, 1)
    checks.non_negative("imbalance", imbalance)
    ka, kb, s, depth, imbalance = as_floats(ka, kb, s, depth, imbalance)
    for name, value, allowed in (("ka", ka, 1), ("kb", kb, 1), ("s", s, 0)):
        if value.ndim != allowed:
            raise ValueError(f"{name} must have {allowed} axes, got shape {value.shape}")
    for name, value in (("depth", depth), ("imbalance", imbalance)):
        if value.shape not in ((), (2,)):
            raise ValueError(f"{name} must be a number or have shape (2,), one per pathway, got {value.shape}")
    depths, imbalances = jnp.broadcast_to(depth, (2,)), jnp.broadcast_to(imbalance, (2,))
    left = s - ka[None, :] - kb[:, None]
    pace_a = _pace(ka, depths[0], imbalances[0])
    pace_b = _pace(kb, depths[1], imbalances[1])
    return pace_a[None, :] * left, pace_b[:, None] * left


def fixed_line(s: ArrayLike, points: int = 2) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
    """The fixed points of two pathways, the line on which their strengths sum to ``s``, from axis to axis.

    Args:
        s: singular value of the mode, a positive number.
        points: how many points to return, 2 or more.

    Raises:
        ValueError: if ``s`` is not positive or there are fewer than two points.
    """
    checks.positive("s", s)
    if points < 2:
        raise ValueError(f"points must be 2 or more, got {points}")
    (s,) = as_floats(s)
    ka = jnp.linspace(0, 1, points).astype(s.dtype) * s
    return ka, s - ka


def _pace(k: Array, depth: Array, imbalance: Array) -> Array:
    """The velocity of a strength per unit of what is left to learn."""
    depth, imbalance = jnp.broadcast_to(depth, k.shape), jnp.broadcast_to(imbalance, k.shape)
    p = small_layer(k, depth=depth, imbalance=imbalance)
    square = p**2 + imbalance
    on_axis = jnp.where(depth == 1, 0, p**2)  # at depth 1 the second term is absent, also where p = q = 0
    return safe_power(square, depth - 1) + (depth - 1) * on_axis * safe_power(square, depth - 2)
