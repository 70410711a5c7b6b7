r"""Kernel alignment of a two-layer linear network with one output, in closed form.

The network :math:`f(x) = w_2^\top W_1 x` is trained by gradient flow on the mean-square error, with white inputs
(:math:`\sum_\mu x_\mu x_\mu^\top = I`) and targets :math:`\beta^\top x`. On white inputs its tangent kernel is the
matrix

.. math:: K = W_1^\top W_1 + \|w_2\|^2 I ,

of size ``inputs``. :math:`W_1 W_1^\top - w_2 w_2^\top` is conserved, so a network that started small ends with both
layers of one size and :math:`W_1` of rank one along :math:`\beta`. With :math:`b = \|\beta\|` and :math:`\hat\beta =
\beta / b`,

.. math:: K_f \to b\,(\hat\beta \hat\beta^\top + I) , \qquad \|K_f\|_F^2 = b^2 (d + 3) ,

whatever the initial weights were, and the alignment of first and last kernel follows from the first. That the mean over
tasks is lower for :math:`W_1` of lower rank is a theorem of :cite:`liu2024`; the formulas here, which give the mean,
the value for each task and the spread, were derived by us. Their error is of the order of the square of the initial
size: in simulations it falls a hundredfold when the weights start ten times smaller.

They hold where :math:`\|W_1\|` and :math:`\|w_2\|` are small against :math:`\sqrt{b}` (below about a tenth), for any
ratio of the two, and where training ran to its end; :math:`W_1` needs at least one hidden unit, and must not be zero
together with :math:`w_2`. Note what they imply: the share :math:`\|w_2\|^2 I` of the kernel is the same in all
directions, so the effect of rank vanishes where the readout is not small against :math:`W_1`.
"""

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats
from brainjax.richness._alignment import norm, product, scaled

__all__ = ["alignment_variance", "expected_alignment", "linear_kernel", "task_alignment"]


def linear_kernel(w1: ArrayLike, w2: ArrayLike) -> Float[Array, "inputs inputs"]:
    r"""Tangent kernel :math:`W_1^\top W_1 + \|w_2\|^2 I` of a two-layer linear network on white inputs.

    Over other inputs :math:`X` (columns) the kernel is :math:`X^\top K X`.

    Args:
        w1: first layer, shape (hidden, inputs).
        w2: readout, shape (hidden,) or (1, hidden).

    Returns:
        The kernel, shape (inputs, inputs).

    Raises:
        ValueError: if the shapes do not fit.
    """
    first, second = as_floats(w1, w2)
    if first.ndim != 2:
        raise ValueError(f"w1 must have shape (hidden, inputs), got {first.shape}")
    hidden, inputs = first.shape
    if second.shape not in ((hidden,), (1, hidden)):
        raise ValueError(f"w2 must have shape ({hidden},) or (1, {hidden}), got {second.shape}")
    return product(first.T, first) + jnp.sum(second**2) * jnp.eye(inputs, dtype=first.dtype)


def expected_alignment(k0: ArrayLike) -> Scalar:
    r"""Mean alignment of the first kernel and the last over tasks :math:`\beta` of every direction alike.

    .. math::
        \mathbb E_\beta A = \frac{1 + 1/d}{\sqrt{d + 3}} \, \frac{\operatorname{tr} K_0}{\|K_0\|_F}
                          = \frac{1 + 1/d}{\sqrt{d + 3}} \sqrt{\operatorname{PR}(K_0)}

    PR being the participation ratio of the eigenvalues. It is largest, :math:`(d + 1) / \sqrt{d (d + 3)}`, where they
    are all equal; with a vanishing readout and :math:`r` equal singular values of :math:`W_1` it is :math:`(1 + 1/d)
    \sqrt{r / (d + 3)}`.

    Validity: one output, white inputs, gradient flow to the end from small weights (see the top of this module).
    Derived by us.

    Args:
        k0: the first kernel as a matrix over input directions (`linear_kernel`), shape (inputs, inputs).

    Returns:
        The mean alignment; 0 for a zero kernel.

    Raises:
        ValueError: if ``k0`` is not a square matrix.
    """
    kernel, trace, size, d = _parts(k0)
    del kernel
    return _safely((1 + 1 / d) / (d + 3) ** 0.5 * trace, size)


def task_alignment(k0: ArrayLike, beta: ArrayLike) -> Scalar:
    r"""Alignment of the first kernel and the last for one task.

    .. math:: A(\beta) = \frac{\hat\beta^\top K_0 \hat\beta + \operatorname{tr} K_0}{\|K_0\|_F \sqrt{d + 3}}

    It reaches 1 if and only if :math:`K_0` is proportional to :math:`\hat\beta \hat\beta^\top + I`, as for a rank-one
    :math:`W_1` along the task *and* a readout of its size. It is then 1 by construction: the kernel's direction is kept
    while the weights may grow a thousandfold. With a negligible readout the same :math:`W_1` gives only
    :math:`2/\sqrt{d + 3}`.

    Validity: one output, white inputs, gradient flow to the end from small weights (see the top of this module).
    Derived by us.

    Args:
        k0: the first kernel as a matrix over input directions, shape (inputs, inputs).
        beta: the task, shape (inputs,); its length does not matter but must not be zero.

    Returns:
        The alignment; 0 for a zero kernel.

    Raises:
        ValueError: if the shapes do not fit or a concrete ``beta`` is zero or not finite.
    """
    kernel, task = as_floats(k0, beta)
    kernel, trace, size, d = _parts(kernel)
    checks.shape_of("beta", task, kernel.shape[:1], "(inputs,)")
    checks.finite("beta", beta)
    checks.require(jnp.any(task != 0), "beta must not be zero, got zero")
    task = scaled(task)
    task = _safely(task, norm(task))
    return _safely(jnp.sum(task * product(kernel, task)) + trace, size * (d + 3) ** 0.5)


def alignment_variance(k0: ArrayLike) -> Scalar:
    r"""Variance of the alignment over tasks :math:`\beta` of every direction alike.

    .. math::
        \operatorname{Var}_\beta A = \frac{2}{d (d + 2)} \,
            \frac{\|K_0\|_F^2 - (\operatorname{tr} K_0)^2 / d}{(d + 3) \, \|K_0\|_F^2}

    the variance of a quadratic form on the sphere; 0 where all eigenvalues are equal. Validity as for
    `expected_alignment`. Derived by us.

    Args:
        k0: the first kernel as a matrix over input directions, shape (inputs, inputs).

    Returns:
        The variance; 0 for a zero kernel.

    Raises:
        ValueError: if ``k0`` is not a square matrix.
    """
    kernel, trace, size, d = _parts(k0)
    spread = norm(kernel - trace / d * jnp.eye(d, dtype=kernel.dtype)) ** 2  # = |K|^2 - tr^2 / d without cancellation
    return _safely(2 / (d * (d + 2) * (d + 3)) * spread, size**2)


def _parts(k0: ArrayLike) -> tuple[Array, Array, Array, int]:
    (kernel,) = as_floats(k0)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"k0 must have shape (inputs, inputs), got {kernel.shape}")
    kernel = scaled(kernel)
    return kernel, jnp.trace(kernel), norm(kernel), kernel.shape[0]


def _safely(x: Array, size: Array) -> Array:
    none = size == 0
    return jnp.where(none, jnp.zeros_like(x), x / jnp.where(none, 1, size))
