r"""Matrix products that stay fast when thousands of small networks are trained side by side.

``vmap`` over seeds turns :math:`W P` into a batched product, and reverse mode adds :math:`W^\top \delta`. XLA on a CPU
has a fast kernel for a batch of plain products, none for a batch whose left operand is transposed, and a very slow
path for a batch of matrices of size four to seven. The product here is a primitive of its own that knows these facts:

* its transpose rule is again a product, with the transpose *written out* (behind an optimisation barrier, else XLA
  folds it back into the slow form), so that all derivatives of every order contain plain products only;
* its batching rule keeps the batch **last** for matrices with at most :data:`SMALL` rows and columns. The product is
  then a sum of a few outer products of whole vectors over the batch. Larger ones keep the batch first.

On a GPU or TPU there is neither a barrier nor a batch-last form: both are decided when the program is traced, from
the default backend. An operand that is not batched is never copied: the batch is folded into the rows or columns of
the other one.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from brainjax.core.types import ArrayLike

SMALL = 7
"""Largest number of rows or columns for which `matmul` keeps a batch last on a CPU."""

_UNROLLED = 4
_LOOP_BATCH = 64
_LONG = 64
_SINGLE, _FIRST, _LAST = "single", "batch first", "batch last"


def matmul(a: ArrayLike, b: ArrayLike) -> Float[Array, "rows columns"]:
    r"""Product :math:`A B` of two matrices, fast under ``vmap`` and every derivative on XLA's CPU backend.

    The value is that of ``a @ b``; only the compiled form differs. Use it inside a function of one network and
    ``vmap`` that function.

    Args:
        a: matrix of shape ``(rows, inner)``, real floating point.
        b: matrix of shape ``(inner, columns)`` of the same dtype (arrays of two dtypes are promoted by JAX's rules,
            so strict dtype promotion refuses them).

    Returns:
        The product, shape ``(rows, columns)``.

    Raises:
        ValueError: an operand is not a matrix, or the inner sizes differ.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: got shapes {a.shape} and {b.shape}; allowed are (rows, inner) and (inner, columns)")
    dtype = jnp.result_type(a, b)
    return _product_p.bind(a.astype(dtype), b.astype(dtype), layout=_SINGLE)


def chain(matrices: Sequence[ArrayLike]) -> Float[Array, "rows columns"]:
    r"""Product :math:`W_L W_{L-1} \cdots W_1` of a network's layers, input layer first in ``matrices``.

    Multiplied from the input side (:math:`P_l = W_l P_{l-1}`), the cheap order when layers are wide and inputs few.

    Args:
        matrices: ``[W_1, ..., W_L]``, at least one; the rows of each are the columns of the next.

    Returns:
        The end-to-end matrix, shape ``(rows of W_L, columns of W_1)``.

    Raises:
        ValueError: no matrix is given, or two neighbours do not fit.
    """
    if len(matrices) == 0:
        raise ValueError("chain: got no matrices; allowed is at least one")
    total = jnp.asarray(matrices[0])
    for matrix in matrices[1:]:
        total = matmul(matrix, total)
    return total


def matmul_batch_last(
    a: Float[Array, "rows inner batch"], b: Float[Array, "inner columns batch"]
) -> Float[Array, "rows columns batch"]:
    """Products of small matrices with the batch as the last axis, as sums of outer products of vectors over the batch.

    For code that keeps its whole state batch-last (under ``vmap`` a loop moves the batch of its state to the front). On
    a CPU a loop over pairs of outer products compiles to better code than one long sum, if the batch is wide.
    """
    inner, batch = a.shape[1:]
    pairs = 0 if inner <= _UNROLLED or batch < _LOOP_BATCH else (inner - 1) // 2

    def outer(k):
        return jax.lax.dynamic_index_in_dim(a, k, 1) * jax.lax.dynamic_index_in_dim(b, k, 0)

    total = a[:, 0, None, :] * b[None, 0, :, :]
    if pairs:
        total = jax.lax.fori_loop(0, pairs, lambda j, sums: sums + outer(2 * j + 1) + outer(2 * j + 2), total)
    for k in range(2 * pairs + 1, inner):
        total = total + a[:, k, None, :] * b[None, k, :, :]
    return total


def transposed(x: ArrayLike) -> Float[Array, "columns rows"]:
    """Transpose that is written out on a CPU, so that XLA does not fold it into a neighbouring batched product.

    Args:
        x: matrix of shape ``(rows, columns)``.

    Returns:
        Its transpose, shape ``(columns, rows)``.

    Raises:
        ValueError: ``x`` is not a matrix.
    """
    x = jnp.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"transposed: got shape {x.shape}; allowed is (rows, columns)")
    return _transpose_p.bind(x, layout=_SINGLE)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


# A layout names the axes of an operand: (rows, columns), (batch, rows, columns) or (rows, columns, batch).
def _rows(layout: str) -> int:
    return 1 if layout == _FIRST else 0


def _batch_layout(shapes: Sequence[tuple[int, ...]]) -> str:
    sizes = [size for shape in shapes for size in shape]
    return _LAST if _on_cpu() and max(sizes) <= SMALL else _FIRST


def _merge(x: Array, batch_axis: int, onto: int) -> Array:
    """Folds the axis ``batch_axis`` into the axis ``onto`` (counted without it), slowest varying."""
    x = jnp.moveaxis(x, batch_axis, onto)
    return x.reshape((*x.shape[:onto], x.shape[onto] * x.shape[onto + 1], *x.shape[onto + 2 :]))


def _split(x: Array, size: int, axis: int) -> Array:
    """Undoes :func:`_merge`: the new axis of length ``size`` stands before ``axis``."""
    return x.reshape((*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :]))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


# ---------------------------------------------------------------------------------------------------------- product
_product_p = Primitive("brainjax_product")


def _product_shape(a: tuple[int, ...], b: tuple[int, ...], layout: str) -> tuple[int, ...]:
    row = _rows(layout)
    return (*a[: row + 1], b[row + 1], *a[row + 2 :])


def _product(a: Array, b: Array, *, layout: str) -> Array:
    if layout != _LAST:
        return jnp.matmul(a, b)
    if a.shape[1] > _LONG:
        return jnp.einsum("ikb,kjb->ijb", a, b)
    return matmul_batch_last(a, b)


def _product_batching(args, axes, *, layout):
    (a, b), (a_axis, b_axis) = args, axes
    row = _rows(layout)
    if b_axis is None:
        out = _product_p.bind(_merge(a, a_axis, row), b, layout=layout)
        return _split(out, a.shape[a_axis], row), row
    if a_axis is None:
        out = _product_p.bind(a, _merge(b, b_axis, row + 1), layout=layout)
        return _split(out, b.shape[b_axis], row + 1), row + 1
    if layout == _SINGLE:
        new = _batch_layout([_without(a.shape, a_axis), _without(b.shape, b_axis)])
        to = 2 if new == _LAST else 0
        return _product_p.bind(jnp.moveaxis(a, a_axis, to), jnp.moveaxis(b, b_axis, to), layout=new), to
    batch = 2 if layout == _LAST else 0
    out = _product_p.bind(_merge(a, a_axis, batch), _merge(b, b_axis, batch), layout=layout)
    return _split(out, a.shape[a_axis], batch), batch


def _swapped(x: Array, layout: str) -> Array:
    row = _rows(layout)
    return jnp.swapaxes(x, row, row + 1)


def _left_transpose(cotangent, a, b, *, layout):
    del a
    return _product_p.bind(cotangent, _swapped(b, layout), layout=layout)


def _right_transpose(cotangent, a, b, *, layout):
    del b
    return _product_p.bind(_transpose_p.bind(a, layout=layout), cotangent, layout=layout)


# -------------------------------------------------------------------------------------------------------- transpose
_transpose_p = Primitive("brainjax_transposed")


def _transpose(x: Array, *, layout: str) -> Array:
    x = _swapped(x, layout)
    return jax.lax.optimization_barrier(x) if _on_cpu() and layout != _LAST else x


def _transpose_batching(args, axes, *, layout):
    (x,), (axis,) = args, axes
    if layout == _SINGLE:
        new = _batch_layout([_without(x.shape, axis)])
        to = 2 if new == _LAST else 0
        return _transpose_p.bind(jnp.moveaxis(x, axis, to), layout=new), to
    batch = 2 if layout == _LAST else 0
    out = _transpose_p.bind(_merge(x, axis, batch), layout=layout)
    return _split(out, x.shape[axis], batch), batch


def _transpose_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    row = _rows(layout)
    return (*shape[:row], shape[row + 1], shape[row], *shape[row + 2 :])


_product_p.def_impl(jax.jit(_product, static_argnames="layout"))
_product_p.def_abstract_eval(lambda a, b, *, layout: a.update(shape=_product_shape(a.shape, b.shape, layout)))
mlir.register_lowering(_product_p, mlir.lower_fun(_product, multiple_results=False))
batching.primitive_batchers[_product_p] = _product_batching
ad.defbilinear(_product_p, _left_transpose, _right_transpose)

_transpose_p.def_impl(jax.jit(_transpose, static_argnames="layout"))
_transpose_p.def_abstract_eval(lambda x, *, layout: x.update(shape=_transpose_shape(x.shape, layout)))
mlir.register_lowering(_transpose_p, mlir.lower_fun(_transpose, multiple_results=False))
batching.primitive_batchers[_transpose_p] = _transpose_batching
ad.deflinear2(_transpose_p, lambda cotangent, _, *, layout: (_transpose_p.bind(cotangent, layout=layout),))
