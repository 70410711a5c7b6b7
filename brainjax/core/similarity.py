r"""How alike two sets of features of the same examples are: alignment of their Gram matrices, centred or not.

All measures here are cosines between Gram matrices :math:`X X^\top` over examples. They do not change under a rotation
of the units, nor when all features are multiplied by one number; centred ones do not see a constant vector either.
Features that are zero, or constant where centred, have no direction: their alignment is 0, with zero derivatives.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats

__all__ = ["cka_matrix", "linear_cka", "representation_alignment"]


def representation_alignment(h0: ArrayLike, h1: ArrayLike, *, centred: bool = False) -> Scalar:
    r"""Alignment of two representations of the same samples: the cosine of their Gram matrices :math:`H H^\top`.

    .. math:: A = \frac{\|H_0^\top H_1\|_F^2}{\|H_0^\top H_0\|_F \, \|H_1^\top H_1\|_F}

    It does not change under a rotation of the units, nor when either representation is multiplied by a number. Not
    centred it is the representation alignment of :cite:`liu2024`; centred it is linear CKA
    :cite:`kornblith2019`, which does not change either when a constant vector is added. The two differ widely for
    rectified units, whose mean activity is large.

    The smaller of the Gram matrices over samples and over units is formed.

    Args:
        h0: activity before, shape (samples, units).
        h1: activity after for the same samples, shape (samples, units); the number of units may differ.
        centred: whether to subtract the mean of every unit over the samples first.

    Returns:
        The alignment, between 0 and 1; 0 if a representation is zero (or, centred, constant).

    Raises:
        ValueError: if they are not matrices with the same number of samples.
    """
    a, b = as_floats(h0, h1)
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError(f"h0 and h1 must have shapes (samples, units) with equal samples, got {a.shape} and {b.shape}")
    if centred:
        a, b = centred_columns(a), centred_columns(b)
    a, b = scaled(a), scaled(b)
    if a.shape[0] <= max(a.shape[1], b.shape[1]):
        return jnp.sum(direction(product(a, a.T)) * direction(product(b, b.T)))
    sizes = norm(product(a.T, a)) * norm(product(b.T, b))
    return over(jnp.sum(product(a.T, b) ** 2), sizes)


def linear_cka(x: ArrayLike, y: ArrayLike, *, debiased: bool = False) -> Float[Array, ""]:
    r"""Linear centred kernel alignment :cite:`kornblith2019` between two sets of features of the same examples.

    .. math:: \frac{\mathrm{HSIC}(X X^\top, Y Y^\top)}{\sqrt{\mathrm{HSIC}(X X^\top, X X^\top)\,
       \mathrm{HSIC}(Y Y^\top, Y Y^\top)}}

    It is 1 for features that differ by a rotation and a common scale, not for every invertible linear map. With few
    distinct rows, such as one prototype per class, or few examples, the plain value is far above zero for unrelated
    features: compare with an untrained network and shuffled labels. ``debiased`` uses the unbiased estimate of
    HSIC :cite:`song2012`, whose expectation is zero for independent features; it can be negative.

    Args:
        x: features, (examples, ...).
        y: other features of the same examples.
        debiased: needs four examples or more.

    Returns:
        The alignment, at most 1; 0 if features do not vary.

    Raises:
        ValueError: if the examples differ in number, or are too few.
    """
    if debiased:
        return cka_matrix([x], [y], debiased=True)[0, 0]
    a, b = _features((x, y), 2)
    return representation_alignment(a, b, centred=True)


def cka_matrix(
    xs: Sequence[ArrayLike], ys: Sequence[ArrayLike], *, debiased: bool = False
) -> Float[Array, "first second"]:
    r"""Linear CKA of every set of features of one sequence with every set of another; see `linear_cka`.

    Each Gram matrix over examples is formed once, centred, and laid out as a vector; the result holds the cosines of
    the vectors. For the debiased estimate a Gram matrix without its diagonal, :math:`K`, is centred as

    .. math:: \tilde K_{ij} = K_{ij} - \frac{(K1)_i + (K1)_j}{n - 2} + \frac{1^\top K 1}{(n-1)(n-2)}, \quad i \ne j,
       \qquad \tilde K_{ii} = 0 ,

    with which :math:`\langle \tilde K, \tilde L \rangle_F = n (n - 3)` times the unbiased estimate of HSIC.

    Args:
        xs: sets of features, each (examples, ...); they may differ in all axes but the first.
        ys: other sets of features of the same examples.
        debiased: needs four examples or more.

    Returns:
        One row per entry of ``xs``, one column per entry of ``ys``. It takes memory for
        ``(len(xs) + len(ys)) * examples * (examples + units)`` numbers, units being those of the widest set, and the
        time of that set for every one.

    Raises:
        ValueError: if a sequence is empty, the examples differ in number, or are too few.
    """
    if not len(xs) or not len(ys):
        raise ValueError(f"xs and ys must hold one set of features or more each, got {len(xs)} and {len(ys)}")
    sets = _features((*xs, *ys), 4 if debiased else 2)
    widest = max(x.shape[1] for x in sets)
    stack = jnp.stack([jnp.pad(x, ((0, 0), (0, widest - x.shape[1]))) for x in sets])  # one small program for all

    def row(features: Array) -> Array:
        a = scaled(centred_columns(features))
        gram = product(a, a.T)
        return direction(_unbiased(gram) if debiased else gram).ravel()

    rows = lax.map(row, stack)
    return product(rows[: len(xs)], rows[len(xs) :].T)


# ---------------------------------------------------------------- norms with finite derivatives, and safe proportions
def norm(x: Array) -> Array:
    """Frobenius norm with derivative 0 at 0."""
    squares = jnp.sum(x**2)
    none = squares == 0
    return jnp.where(none, 0, jnp.sqrt(jnp.where(none, 1, squares)))


def scaled(x: Array) -> Array:
    """``x`` over its largest entry, so that squares neither overflow nor vanish.

    The factor is a constant to derivatives: right for whatever does not depend on the scale of ``x``.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(x)))
    return x / jnp.where(largest == 0, 1, largest)


def product(a: Array, b: Array) -> Array:
    """Matrix product in full precision, also on accelerators that would round the factors."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def direction(x: Array) -> Array:
    """``x`` over its norm; zero where it is zero."""
    x = scaled(x)
    return over(x, norm(x))


def over(x: Array, size: Array) -> Array:
    """``x / size``; zero where the size is."""
    none = size == 0
    return jnp.where(none, jnp.zeros_like(x), x / jnp.where(none, 1, size))


def without_mean(x: Array, axis: int, size: Array) -> Array:
    """``x`` less its mean along an axis; what is constant up to rounding of numbers of that size becomes zero."""
    rest = x - jnp.mean(x, axis=axis, keepdims=True)
    rounding = 4 * jnp.finfo(x.dtype).eps * size
    return jnp.where(jnp.max(jnp.abs(rest), axis=axis, keepdims=True) <= rounding, 0, rest)


def centred_columns(x: Array) -> Array:
    """Features less their mean over examples; those that are constant up to rounding become zero."""
    return without_mean(x, 0, jnp.max(jnp.abs(x), axis=0, keepdims=True))


def _unbiased(gram: Array) -> Array:
    n = gram.shape[0]
    elsewhere = 1 - jnp.eye(n, dtype=gram.dtype)
    hollow = gram * elsewhere
    sums = jnp.sum(hollow, 1) / (n - 2)
    whole = jnp.sum(sums) / (n - 1)
    return (hollow - sums[:, None] - sums[None, :] + whole) * elsewhere


def _features(sets: Sequence[ArrayLike], fewest: int) -> list[Array]:
    """Sets of features as matrices of one type, (examples, units)."""
    found = as_floats(*sets)
    examples = [x.shape[0] if x.ndim else 0 for x in found]
    if len(set(examples)) > 1:
        raise ValueError(f"x and y must hold the same examples, got {' and '.join(map(str, examples))}")
    checks.at_least("number of examples", examples[0], fewest)
    return [x.reshape(x.shape[0], -1) for x in found]
