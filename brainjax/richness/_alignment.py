r"""How alike two kernels are, or two representations, whatever their scale.

A kernel :math:`K` over a probe set is compared with another by the cosine of the angle between them,

.. math:: A(K_0, K_1) = \frac{\langle K_0, K_1 \rangle_F}{\|K_0\|_F \|K_1\|_F} ,

between 0 and 1 for positive semi-definite kernels, and 1 if and only if they are proportional. All measures here are
blind to scale: a kernel that grows a millionfold without turning has alignment 1. Read them beside measures that see
scale, `kernel_change` and :func:`~brainjax.richness.weight_change`.

A kernel that is zero has no direction. Such kernels are real: a network of rectified units in which every unit is off
has one. Every cosine with a zero kernel is 0 here, with zero derivatives, rather than NaN, so that one silent network
does not spoil a mean or a gradient; find them with `is_silent` and report how many there are.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from brainjax.core import checks
from brainjax.core.similarity import direction, norm, over, product, representation_alignment, scaled, without_mean
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats

__all__ = [
    "centred_kernel_alignment",
    "is_silent",
    "kernel_alignment",
    "kernel_change",
    "kernel_distance",
    "kernel_target_alignment",
    "kernel_velocity",
    "representation_alignment",
]


def kernel_alignment(k0: ArrayLike, k1: ArrayLike) -> Scalar:
    r"""Cosine :math:`\langle K_0, K_1 \rangle_F / (\|K_0\|_F \|K_1\|_F)` of two kernels, not centred.

    The measure of :cite:`liu2024`, introduced as kernel alignment by :cite:`cristianini2001`. It does not
    change when either kernel is multiplied by a positive number.

    Args:
        k0: a kernel, shape (points, points).
        k1: another one over the same points.

    Returns:
        The alignment: between 0 and 1 for positive semi-definite kernels, 0 if a kernel is zero.

    Raises:
        ValueError: if they are not square matrices of one size.
    """
    a, b = _pair(k0, k1)
    return jnp.sum(direction(a) * direction(b))


def centred_kernel_alignment(k0: ArrayLike, k1: ArrayLike) -> Scalar:
    r"""Alignment of two kernels after double centring, :math:`K \mapsto H K H` with :math:`H = I - 11^\top / n`.

    Centring removes what a constant vector added to all features does to a kernel :cite:`cortes2012`.

    Args:
        k0: a kernel, shape (points, points).
        k1: another one over the same points.

    Returns:
        The alignment, 0 if a centred kernel is zero up to rounding.

    Raises:
        ValueError: if they are not square matrices of one size.
    """
    a, b = _pair(k0, k1)
    return jnp.sum(direction(_centred(a)) * direction(_centred(b)))


def kernel_distance(k0: ArrayLike, k1: ArrayLike) -> Scalar:
    r"""Kernel distance :math:`S = 1 - A(K_0, K_1)` :cite:`fort2020`.

    Computed as half the squared distance of the two unit kernels, which keeps its digits where the kernels are close.

    Args:
        k0: a kernel, shape (points, points).
        k1: another one over the same points.

    Returns:
        The distance: between 0 and 1 for positive semi-definite kernels, 1 if a kernel is zero.

    Raises:
        ValueError: if they are not square matrices of one size.
    """
    a, b = _pair(k0, k1)
    apart = 0.5 * jnp.sum((direction(a) - direction(b)) ** 2)
    return jnp.where(is_silent(a) | is_silent(b), jnp.ones_like(apart), apart)


def kernel_change(k0: ArrayLike, k1: ArrayLike, *, relative: bool = True) -> Scalar:
    r"""Distance :math:`\|K_1 - K_0\|_F`, by default relative to :math:`\|K_0\|_F`: it sees a change of scale.

    Args:
        k0: the kernel before, shape (points, points).
        k1: the kernel after, over the same points.
        relative: whether to divide by the norm of ``k0``.

    Returns:
        The change, 0 or more. A relative change from a zero kernel is infinite, or 0 if both are zero; derivatives are
        0 there and where the kernels are equal.

    Raises:
        ValueError: if they are not square matrices of one size.
    """
    a, b = _pair(k0, k1)
    return ratio_of_norms(norm(b - a), norm(a)) if relative else norm(b - a)


def kernel_velocity(kernels: ArrayLike, times: ArrayLike, *, angular: bool = False) -> Float[Array, "intervals"]:
    r"""How fast a kernel turns during training: the distance between successive kernels per unit of time.

    .. math:: v_j = \frac{S(K(t_j), K(t_{j+1}))}{t_{j+1} - t_j}

    as in :cite:`fort2020`. For a kernel that moves smoothly :math:`S` is of second order in the interval, so that
    :math:`v_j` falls in proportion to it: compare only velocities at one spacing. With ``angular`` the angle
    :math:`\theta = 2 \arcsin \sqrt{S/2}` takes the place of :math:`S`; that velocity has a limit.

    Args:
        kernels: successive kernels, shape (records, points, points), at least two.
        times: when they were recorded, shape (records,), increasing, in any unit (updates, epochs, time).
        angular: radians instead of the distance :math:`S`.

    Returns:
        The velocities, shape (records - 1,), per unit of ``times``.

    Raises:
        ValueError: if the shapes do not fit, or concrete times do not increase.
    """
    stack, moments = as_floats(kernels, times)
    if stack.ndim != 3 or stack.shape[0] < 2 or stack.shape[1] != stack.shape[2]:
        raise ValueError(f"kernels must have shape (records >= 2, points, points), got {stack.shape}")
    checks.shape_of("times", moments, (stack.shape[0],), "(records,)")
    checks.increasing("times", times)
    steps = jax.vmap(kernel_distance)(stack[:-1], stack[1:])
    return (angle(steps) if angular else steps) / jnp.diff(moments)


def kernel_target_alignment(k: ArrayLike, y: ArrayLike, *, normalize: str = "frobenius") -> Scalar:
    r"""How much of a kernel points at the targets.

    .. math::
        A_F = \frac{\operatorname{tr}(Y^\top K Y)}{\|Y Y^\top\|_F \|K\|_F} , \qquad
        A_{\operatorname{tr}} = \frac{\operatorname{tr}(Y^\top K Y)}{\|Y\|_F^2 \operatorname{tr} K}

    The first is the kernel alignment of :math:`K` with :math:`Y Y^\top` :cite:`cristianini2001`. The second is the
    share of the kernel's trace that lies along the targets: for a single vector :math:`y` it is at most the largest
    eigenvalue over the trace. For one vector both have :math:`y^\top K y / \|y\|^2` as numerator.

    Args:
        k: a positive semi-definite kernel, shape (points, points).
        y: targets, shape (points,) or (points, outputs); for a kernel over samples and outputs give the flat vector.
        normalize: ``"frobenius"`` or ``"trace"``.

    Returns:
        The alignment, between 0 and 1; 0 if the kernel or the targets are zero.

    Raises:
        ValueError: if the shapes do not fit or ``normalize`` is another word.
    """
    checks.one_of("normalize", normalize, ("frobenius", "trace"))
    kernel, targets = as_floats(k, y)
    _square("k", kernel)
    if targets.ndim not in (1, 2) or targets.shape[0] != kernel.shape[0]:
        wanted = f"({kernel.shape[0]},) or ({kernel.shape[0]}, outputs)"
        raise ValueError(f"y must have shape {wanted} for a kernel of shape {kernel.shape}, got {targets.shape}")
    kernel, targets = scaled(kernel), scaled(targets.reshape(targets.shape[0], -1))
    along = jnp.sum(targets * product(kernel, targets))
    if normalize == "trace":
        return over(along, jnp.sum(targets**2) * jnp.trace(kernel))
    return over(along, norm(product(targets.T, targets)) * norm(kernel))


def is_silent(kernel: ArrayLike) -> Bool[Array, ""]:
    """Whether a kernel is zero everywhere, as that of a network in which no unit is active: count these.

    Args:
        kernel: of any shape; for a stack of kernels, ``jax.vmap(is_silent)``.

    Returns:
        True or False. A kernel that holds NaN is not silent.
    """
    (k,) = as_floats(kernel)
    return jnp.all(k == 0)


# ---------------------------------------------------------------- norms with finite derivatives, and safe proportions
def ratio_of_norms(change: Array, size: Array) -> Array:
    """``change / size``; from nothing, infinity or 0."""
    none = size == 0
    endless = jnp.where(change == 0, jnp.zeros_like(change), jnp.full_like(change, jnp.inf))
    return jnp.where(none, endless, change / jnp.where(none, 1, size))


def angle(distance: Array) -> Array:
    """Angle of two kernels from their distance, with derivative 0 at 0, where that of the root is infinite."""
    none = distance <= 0
    return jnp.where(none, 0, 2 * jnp.arcsin(jnp.sqrt(jnp.where(none, 1, distance) / 2)))


def _centred(kernel: Array) -> Array:
    size = jnp.max(jnp.abs(kernel), keepdims=True)
    return without_mean(without_mean(kernel, 0, size), 1, size)


def _square(name: str, kernel: Array) -> None:
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"{name} must have shape (points, points), got {kernel.shape}")


def _pair(k0: ArrayLike, k1: ArrayLike) -> tuple[Array, Array]:
    a, b = as_floats(k0, k1)
    _square("k0", a)
    checks.shape_of("k1", b, a.shape, "as k0")
    return a, b
