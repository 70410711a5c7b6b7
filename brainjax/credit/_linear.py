r"""Counter-current learning without activation functions: every level is a least-squares problem.

Forward weights :math:`U_l` are of shape (d_l, d_{l-1}), feedback weights :math:`V_l` of shape (d_{l-1}, d_l), for l
from 1 to L; :math:`d_0` inputs and :math:`d_L = K` classes. With the identity for an activation the activities are
:math:`a_l = A_l x` and the prototypes the columns of :math:`B_l`,

.. math:: A_l = U_l \cdots U_1, \quad A_0 = I, \qquad B_l = V_{l+1} \cdots V_L, \quad B_L = I,

and the loss of level l is :math:`\tfrac{c_l}{2} \langle |P_l x - y|^2 \rangle` with the level's predictor

.. math:: P_l = B_l^\top A_l = V_L^\top \cdots V_{l+1}^\top U_l \cdots U_1 .

Here the outputs have a squared loss as the other levels do. In the ``mlp`` loss of the rule :math:`c_l = 512\, c /
(d_l K)` for l < L, and cross-entropy at the outputs. Nothing in this module is in :cite:`kao2024`; derived by us.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike

__all__ = ["linear_asymmetry", "linear_flow", "linear_levels", "linear_predictors", "linear_two_layer_levels"]

Layers = Sequence[ArrayLike]


def linear_levels(forward: Layers, feedback: Layers) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    r"""The maps from the inputs up to every level, and from the classes down to it.

    Args:
        forward: :math:`U_1, \dots, U_L`, of shapes (d_l, d_{l-1}).
        feedback: :math:`V_1, \dots, V_L`, of shapes (d_{l-1}, d_l).

    Returns:
        :math:`A_0, \dots, A_L` of shapes (d_l, d_0), and :math:`B_0, \dots, B_L` of shapes (d_l, d_L).

    Raises:
        ValueError: if there are no layers, one does not follow the one before, or the feedback is not its mirror.
    """
    up, down = _checked(forward, feedback)
    inputs, classes = (jnp.eye(n, dtype=up[0].dtype) for n in (up[0].shape[1], up[-1].shape[0]))
    rising, falling = _levels(up, down)
    return (inputs, *rising), (*falling, classes)


def linear_predictors(forward: Layers, feedback: Layers) -> Float[Array, "levels classes inputs"]:
    r"""What every level predicts of the classes, :math:`P_l = B_l^\top A_l` for l from 0 to L.

    Args:
        forward: :math:`U_1, \dots, U_L`, of shapes (d_l, d_{l-1}).
        feedback: :math:`V_1, \dots, V_L`, of shapes (d_{l-1}, d_l).

    Raises:
        ValueError: as in `linear_levels`.
    """
    return jnp.stack(_predictors(*_levels(*_checked(forward, feedback))))


def linear_flow(
    forward: Layers, feedback: Layers, *, sigma_yx: ArrayLike, sigma_xx: ArrayLike, weights: ArrayLike = 1.0
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    r"""How counter-current learning changes the weights: the gradient flow of every level, cut between levels.

    With the residual correlations :math:`R_l = \Sigma_{yx} - P_l \Sigma_{xx}`

    .. math:: \dot U_l = c_l\, B_l R_l A_{l-1}^\top, \qquad \dot V_l^\top = c_{l-1}\, B_l R_{l-1} A_{l-1}^\top .

    Both sides of a layer have the same factors and differ by the residual of two adjacent levels only. Hence, all by
    us:

    1. *Asymmetry contracts.* For equal weights c the difference :math:`D_l = U_l - V_l^\top` obeys :math:`\dot D_l =
       -c\, B_l B_l^\top D_l\, A_{l-1} \Sigma_{xx} A_{l-1}^\top`, because :math:`P_l - P_{l-1} = B_l^\top D_l
       A_{l-1}`. Its norm never grows, whatever the targets, with any batch for :math:`\Sigma_{xx}`, and in steps of
       size :math:`\eta` too if :math:`\eta c \lVert B_l \rVert^2 \lVert A_{l-1} \Sigma_{xx}^{1/2} \rVert^2 \le 2`.
       More generally it needs that the weight of level l times the rate of :math:`U_l` equals the weight of level l -
       1 times the rate of :math:`V_l`.
    2. *Symmetric networks do backpropagation.* If all :math:`D_l = 0`, they stay so, all levels predict the same, and
       the flow is that of the deep linear network :math:`U_L \cdots U_1` under backpropagation. There the derivative
       of the flow is block triangular: the Hessian of backpropagation and the rates of 1., which are no larger than
       the largest of its eigenvalues. So the bound on the step at a symmetric minimum is that of backpropagation.
    3. *Conservation.* :math:`U_l U_l^\top - V_{l+1} V_{l+1}^\top` is constant for 0 < l < L, for any weights.
    4. *Fixed points.* At every one, for any positive weights, all :math:`P_l \Sigma_{xx}^{1/2}` are equal. If
       :math:`B_1` has rank K they are the least-squares predictor; otherwise :math:`P = \Pi\, \Sigma_{yx}
       \Sigma_{xx}^{-1}` with the projection :math:`\Pi` onto the rows of :math:`B_1`.

    Args:
        forward: :math:`U_1, \dots, U_L`, of shapes (d_l, d_{l-1}).
        feedback: :math:`V_1, \dots, V_L`, of shapes (d_{l-1}, d_l).
        sigma_yx: covariance of targets and inputs, (K, d_0).
        sigma_xx: covariance of the inputs, (d_0, d_0).
        weights: :math:`c_l` of the levels from 0 to L: a number, or of shape (L + 1,).

    Returns:
        Time derivatives of forward and feedback weights, in the same layout.

    Raises:
        ValueError: as in `linear_levels`, or if the covariances or the weights do not fit.
    """
    up, down = _checked(forward, feedback)
    inputs, classes = up[0].shape[1], up[-1].shape[0]
    yx, xx, c = (jnp.asarray(x, up[0].dtype) for x in (sigma_yx, sigma_xx, weights))
    checks.shape_of("sigma_yx", yx, (classes, inputs), "(classes, inputs)")
    checks.shape_of("sigma_xx", xx, (inputs, inputs), "(inputs, inputs)")
    if c.shape not in ((), (len(up) + 1,)):
        raise ValueError(f"weights must be a number or of shape ({len(up) + 1},), one per level, got shape {c.shape}")
    c = jnp.broadcast_to(c, (len(up) + 1,))
    rising, falling = _levels(up, down)
    residuals = [c[l] * (yx - p @ xx) for l, p in enumerate(_predictors(rising, falling))]
    rise, fall = [], []
    for l in range(len(up)):  # the layer between levels l and l + 1
        for found, residual in ((rise, residuals[l + 1]), (fall, residuals[l])):
            above = residual if l + 1 == len(up) else falling[l + 1] @ residual
            found.append(above if l == 0 else above @ rising[l - 1].T)
    return tuple(rise), tuple(change.T for change in fall)


def linear_asymmetry(forward: Layers, feedback: Layers) -> tuple[Array, ...]:
    r"""The difference between every layer and the transpose of its feedback, :math:`D_l = U_l - V_l^\top`.

    Args:
        forward: :math:`U_1, \dots, U_L`, of shapes (d_l, d_{l-1}).
        feedback: :math:`V_1, \dots, V_L`, of shapes (d_{l-1}, d_l).

    Raises:
        ValueError: as in `linear_levels`.
    """
    return tuple(u - v.T for u, v in zip(*_checked(forward, feedback), strict=True))


def linear_two_layer_levels(
    t: ArrayLike, *, s: ArrayLike, p0: ArrayLike, below: ArrayLike = 0.0, above: ArrayLike = 0.0
) -> Float[Array, "*batch levels"]:
    r"""The strength of one mode at the three levels of a network of two layers (L = 2): inputs, hidden, outputs.

    White inputs, equal weights of one, :math:`U_1` and :math:`V_2` equal in the mode at the start. The hidden level is
    then a two-layer linear network of its own, driven by nobody, and the others follow it. With
    :math:`E = e^{2st}`

    .. math:: P_1 = \frac{p_0 E}{1 + (p_0 / s)(E - 1)}, \qquad \frac{d(t)}{d(0)} = \Big[1 + \frac{p_0}{s}(E - 1)
       \Big]^{-1/2}, \qquad P_0 = P_1 - \sqrt{P_1}\, d_1, \quad P_2 = P_1 + \sqrt{P_1}\, d_2,

    with the asymmetries :math:`d_1, d_2` of the two layers in the mode. Derived by us: :math:`P_1` is the sigmoid of
    :cite:`saxe2014`, and :math:`\dot d = -P_1 d` in both layers. As :math:`\sqrt{P_1}\,d = \sqrt{p_0}\, d(0)\, e^{st}
    / (1 + (p_0/s)(E-1))`, the levels are furthest apart where the mode is half learned.

    Args:
        t: time, zero or more.
        s: singular value of the mode, zero or more.
        p0: strength of the mode at the hidden level at time zero, positive.
        below: :math:`d_1(0)`, of the first layer.
        above: :math:`d_2(0)`, of the second.

    Returns:
        Strengths, with a last axis for the three levels.

    Raises:
        ValueError: if a concrete argument is out of its range.
    """
    checks.non_negative("t", t)
    checks.non_negative("s", s)
    checks.positive("p0", p0)
    dtype = jnp.result_type(float)
    time, mode, start, first, second = jnp.broadcast_arrays(*(jnp.asarray(x, dtype) for x in (t, s, p0, below, above)))
    some = mode > 0
    safe = jnp.where(some, mode, 1)
    # everything divided by E, so that nothing overflows
    small = jnp.exp(-2 * mode * time)
    grown = jnp.where(some, -jnp.expm1(-2 * safe * time) / safe, 2 * time)
    shrink = small + start * grown
    hidden = start / shrink
    gap = jnp.sqrt(start) * jnp.exp(-mode * time) / shrink
    return jnp.stack([hidden - gap * first, hidden, hidden + gap * second], -1)


def _levels(up: Sequence[Array], down: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """:math:`A_1, ..., A_L` and :math:`B_0, ..., B_{L-1}`: without the identities at the ends."""
    rising, falling = [up[0]], [down[-1]]
    for u, v in zip(up[1:], reversed(down[:-1]), strict=True):
        rising.append(u @ rising[-1])
        falling.append(v @ falling[-1])
    return rising, falling[::-1]


def _predictors(rising: Sequence[Array], falling: Sequence[Array]) -> list[Array]:
    inner = [b.T @ a for a, b in zip(rising[:-1], falling[1:], strict=True)]
    return [falling[0].T, *inner, rising[-1]]


def _checked(forward: Layers, feedback: Layers) -> tuple[list[Array], list[Array]]:
    up, down = [jnp.asarray(u) for u in forward], [jnp.asarray(v) for v in feedback]
    if not up or len(up) != len(down):
        raise ValueError(f"forward and feedback must have as many layers, one or more, got {len(up)} and {len(down)}")
    below = None
    for l, (u, v) in enumerate(zip(up, down, strict=True)):
        checks.shape_of(f"forward[{l}]", u, (None, below), "(units, units below)")
        checks.shape_of(f"feedback[{l}]", v, u.shape[::-1], "(units below, units)")
        below = u.shape[0]
    return up, down
