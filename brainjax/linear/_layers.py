r"""Weights of parallel deep linear paths: how they start, and the linear maps that they amount to.

Path :math:`a` maps an input by :math:`\Omega_a = W_a^{D_a} \cdots W_a^1`, the network by :math:`\sum_a \Omega_a`.
Depths and widths may differ between paths.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.products import chain, matmul
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats

__all__ = [
    "Layers",
    "Lesions",
    "ModeProjection",
    "Paths",
    "as_paths",
    "decoupled_layers",
    "gaussian_layers",
    "identity_layers",
    "lesioned_maps",
    "lesions",
    "norm_matched_layers",
    "orthogonal_layers",
    "path_maps",
    "project",
]

Layers = tuple[Array, ...]
"""Weight matrices of one path, the one that sees the input first; each of shape (units above, units below)."""

Paths = tuple[Layers, ...]
"""The layers of every path."""


class Lesions(NamedTuple):
    """What each path can still hear and say: symmetric projections. Made by `lesions`."""

    output: Float[Array, "paths out out"]
    input: Float[Array, "paths in in"]


class ModeProjection(NamedTuple):
    """A linear map seen in the task's singular basis."""

    strength: Float[Array, " modes"]
    """The diagonal of its matrix in the basis: what the theory of modes follows."""
    off_diagonal: Float[Array, ""]
    """The share of its squared norm that is anything else, between 0 and 1: what the theory leaves out."""


def gaussian_layers(key: PRNGKey, sizes: Sequence[int], *, scale: ArrayLike) -> Layers:
    r"""Random layers with entries of variance ``scale**2 / columns``: ``scale`` multiplies the norm of what passes.

    Args:
        key: typed PRNG key.
        sizes: number of units from the input to the output; one more than there are layers.
        scale: a number, the same for all layers, or one per layer; zero or more; may be traced.

    Returns:
        One matrix per layer, the input's first.

    Raises:
        ValueError: if there are fewer than two sizes, or a concrete scale is negative.
    """
    scales = _scales(sizes, scale)
    shapes = [(rows, columns) for columns, rows in pairwise(sizes)]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    drawn = jax.random.normal(key, (int(ends[-1]),), scales.dtype)  # in one go: each call costs XLA much compile time
    return tuple(
        drawn[end - rows * columns : end].reshape(rows, columns) * (scales[l] / np.sqrt(columns).astype(scales.dtype))
        for l, (end, (rows, columns)) in enumerate(zip(ends.tolist(), shapes, strict=True))
    )


def orthogonal_layers(key: PRNGKey, sizes: Sequence[int], *, scale: ArrayLike) -> Layers:
    r"""Random layers with orthonormal rows or columns (whichever are fewer), uniform over all such, times ``scale``.

    Layers of one size and one scale are balanced, :math:`W_{j+1}^\top W_{j+1} = W_j W_j^\top`, and their product is
    again orthogonal times :math:`\mathrm{scale}^D`: with equal scales all singular values start equal.

    Args:
        key: typed PRNG key.
        sizes: number of units from the input to the output; one more than there are layers.
        scale: singular value of the layers: a number, or one per layer; zero or more; may be traced.

    Returns:
        One matrix per layer, the input's first.

    Raises:
        ValueError: if there are fewer than two sizes, or a concrete scale is negative.
    """
    scales = _scales(sizes, scale)
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        scales[l] * jax.random.orthogonal(keys[l], rows, (), scales.dtype, columns)
        for l, (columns, rows) in enumerate(pairwise(sizes))
    )


def identity_layers(sizes: Sequence[int], *, scale: ArrayLike) -> Layers:
    """Layers with ``scale`` on the diagonal and zeros elsewhere: balanced where neighbours have one size and scale.

    Args:
        sizes: number of units from the input to the output; one more than there are layers.
        scale: a number, or one per layer; zero or more; may be traced.

    Returns:
        One matrix per layer, the input's first.

    Raises:
        ValueError: if there are fewer than two sizes, or a concrete scale is negative.
    """
    scales = _scales(sizes, scale)
    return tuple(
        scales[l] * jnp.eye(rows, columns, dtype=scales.dtype) for l, (columns, rows) in enumerate(pairwise(sizes))
    )


def norm_matched_layers(layers: Sequence[ArrayLike], *, like: Sequence[ArrayLike]) -> Layers:
    r"""Layers scaled so that each has the Frobenius norm of its model: :math:`W_l \|M_l\| / \|W_l\|`.

    A control for what a network has learned: random weights of the same size know nothing of it.

    Args:
        layers: weight matrices, none of them zero.
        like: their models, as many; shapes may differ.

    Returns:
        Matrices of the shapes of ``layers``.

    Raises:
        ValueError: if the numbers of layers differ, or a concrete layer is zero.
    """
    (matrices,), (models,) = as_paths([layers]), as_paths([like])
    if len(matrices) != len(models):
        raise ValueError(f"like must hold as many layers as layers, {len(matrices)}, got {len(models)}")
    norms = [jnp.linalg.norm(matrix) for matrix in matrices]
    for norm in norms:
        checks.require(norm > 0, "layers must not be zero, got one of norm 0")
    sizes = [jnp.linalg.norm(model).astype(matrices[0].dtype) for model in models]
    return tuple(matrix * (size / norm) for matrix, size, norm in zip(matrices, sizes, norms, strict=True))


def _scales(sizes: Sequence[int], scale: ArrayLike) -> Array:
    """One scale per layer."""
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the input and the output, got {tuple(sizes)}")
    checks.non_negative("scale", scale)
    (scales,) = as_floats(scale)
    if scales.shape not in ((), (len(sizes) - 1,)):
        raise ValueError(f"scale must be a number or have shape ({len(sizes) - 1},), got {scales.shape}")
    return jnp.broadcast_to(scales, (len(sizes) - 1,))


def decoupled_layers(strengths: ArrayLike, *, left: ArrayLike, right: ArrayLike, width: int | None = None) -> Layers:
    r"""Layers that are diagonal in the task's singular basis: :math:`W^1 = E a^1 V^\top,\ W^D = U a^D E^\top`.

    Hidden layers are diagonal in the first coordinates (:math:`E` pads with zeros). Rotating the hidden units changes
    neither the map nor how it learns, so nothing is lost by this choice. Such layers stay decoupled under gradient
    descent on whitened inputs :cite:`saxe2014`; each mode then learns on its own.

    Args:
        strengths: diagonal of each layer, of shape (depth, modes).
        left: output singular vectors as columns, of shape (out, modes).
        right: input singular vectors as columns, of shape (in, modes).
        width: hidden units, at least as many as modes (which is the default).

    Returns:
        One matrix per layer, the input's first.

    Raises:
        ValueError: if a shape does not fit or the width is below the number of modes.
    """
    a, left, right = as_floats(strengths, left, right)
    checks.shape_of("strengths", a, (None, None), "(depth, modes)")
    depth, modes = a.shape
    checks.shape_of("left", left, (None, modes), "(out, modes)")
    checks.shape_of("right", right, (None, modes), "(in, modes)")
    width = modes if width is None else width
    if width < modes:
        raise ValueError(f"width must be at least the number of modes, {modes}, got {width}")
    pad = jnp.eye(width, modes, dtype=a.dtype)
    bases = [right, *[pad] * (depth - 1), left]
    return tuple((bases[l + 1] * a[l][None, :]) @ bases[l].T for l in range(depth))


def path_maps(paths: Sequence[Sequence[ArrayLike]]) -> Float[Array, "paths out in"]:
    """The end-to-end map of every path; the network's own is their sum.

    Args:
        paths: the layers of every path, the input's first.

    Raises:
        ValueError: if layers do not fit together or two paths differ in inputs or outputs.
    """
    return jnp.stack([chain(layers) for layers in as_paths(paths)])


def lesions(mask: ArrayLike, *, left: ArrayLike, right: ArrayLike) -> Lesions:
    r"""Modes that paths lose for good: path :math:`a` acts as :math:`(I - U M_a U^\top)\,\Omega_a\,(I - V M_a V^\top)`.

    In the singular basis, row and column :math:`i` of the path's map are gone: mode :math:`i` neither contributes to
    the output nor learns :cite:`kleinman2024`.

    Args:
        mask: 1 (or true) where a path has lost a mode, 0 where it has it, of shape (paths, modes); may be traced.
        left: output singular vectors as columns, orthonormal, of shape (out, modes).
        right: input singular vectors as columns, orthonormal, of shape (in, modes).

    Raises:
        ValueError: if a shape does not fit or a concrete mask lies outside [0, 1].
    """
    checks.unit("mask", mask)
    mask, left, right = as_floats(jnp.asarray(mask, jnp.result_type(float)), left, right)
    checks.shape_of("mask", mask, (None, None), "(paths, modes)")
    checks.shape_of("left", left, (None, mask.shape[1]), "(out, modes)")
    checks.shape_of("right", right, (None, mask.shape[1]), "(in, modes)")

    def without(basis: Array) -> Array:
        lost = jax.vmap(lambda row: matmul(basis * row[None, :], basis.T))(mask)
        return jnp.eye(basis.shape[0], dtype=basis.dtype)[None] - lost

    return Lesions(without(left), without(right))


def lesioned_maps(paths: Sequence[Sequence[ArrayLike]], lesions: Lesions) -> Float[Array, "paths out in"]:
    """The maps of all paths as they act with `lesions`."""
    maps = path_maps(paths)
    return jax.vmap(lambda out, omega, inn: matmul(matmul(out, omega), inn))(lesions.output, maps, lesions.input)


def project(linear_map: ArrayLike, *, left: ArrayLike, right: ArrayLike) -> ModeProjection:
    r"""The strengths :math:`K_i = u_i^\top \Omega\, v_i` of a map on given singular modes, and what is not on them.

    Args:
        linear_map: of shape (out, in).
        left: output singular vectors as columns, of shape (out, modes).
        right: input singular vectors as columns, of shape (in, modes).

    Returns:
        Strengths of shape (modes,), and the share of the squared Frobenius norm off the diagonal (0 for a zero map).

    Raises:
        ValueError: if a shape does not fit.
    """
    omega, left, right = as_floats(linear_map, left, right)
    checks.shape_of("linear_map", omega, (None, None), "(out, in)")
    checks.shape_of("left", left, (omega.shape[0], None), "(out, modes)")
    checks.shape_of("right", right, (omega.shape[1], left.shape[1]), "(in, modes)")
    strength = jnp.sum(left * matmul(omega, right), axis=0)
    rest = omega - matmul(left * strength[None, :], right.T)
    norm = jnp.sum(omega**2)
    share = jnp.where(norm > 0, jnp.sum(rest**2) / jnp.where(norm > 0, norm, 1), 0)
    return ModeProjection(strength, share)


def as_paths(paths: Sequence[Sequence[ArrayLike]]) -> Paths:
    """Check that layers fit together and that paths share inputs and outputs; give all of them one dtype."""
    flat = as_floats(*(matrix for layers in paths for matrix in layers))
    matrices = iter(flat)
    arrays = tuple(tuple(next(matrices) for _ in layers) for layers in paths)
    if not arrays or not all(arrays):
        raise ValueError(f"paths must hold at least one path of at least one layer, got {[len(p) for p in arrays]}")
    ends = []
    for number, layers in enumerate(arrays):
        for matrix in layers:
            checks.shape_of(f"each layer of paths[{number}]", matrix, (None, None), "(units above, units below)")
        if any(upper.shape[1] != lower.shape[0] for lower, upper in pairwise(layers)):
            raise ValueError(f"the layers of paths[{number}] do not fit: got shapes {[m.shape for m in layers]}")
        ends.append((layers[-1].shape[0], layers[0].shape[1]))
    if len(set(ends)) > 1:
        raise ValueError(f"paths must agree in (outputs, inputs), got {ends}")
    return arrays
