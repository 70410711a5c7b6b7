r"""Tangent kernels of any function: the Jacobian formed, or products with a vector that never form anything large.

The tangent kernel of a function :math:`f` of parameters :math:`p` with outputs :math:`o_i` is :math:`K = J J^\top`,
with :math:`J_{ia} = \partial o_i / \partial p_a` :cite:`jacot2018`. What counts as parameters is the caller's choice:
give the recurrent weights alone, with the other ones fixed inside ``f``, to get the kernel of the recurrent weights.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core.similarity import product
from brainjax.core.types import Array
from brainjax.richness._budget import BUDGET, refuse_beyond

__all__ = ["explicit_kernel", "kernel_products"]


def explicit_kernel(
    f: Callable[[Any], Array], params: Any, *, budget: int | float = BUDGET
) -> Float[Array, "outputs outputs"]:
    r"""Tangent kernel :math:`J J^\top` from the Jacobian itself: simple, exact, and large.

    It holds outputs × parameters numbers. For recurrent weights `factored_kernel` gives the same from much less, and
    the alignment of two kernels can be estimated without either (`hutchinson_alignment`).

    Args:
        f: from a tree of floating-point parameters to an array of outputs, of any shape.
        params: the parameters.
        budget: bytes that the Jacobian and the kernel may take. Under ``vmap`` this is per member of the batch.

    Returns:
        The kernel over the flat outputs; symmetric and positive semi-definite up to rounding.

    Raises:
        ValueError: if Jacobian and kernel would exceed the budget: says how large they are and what to use instead.
    """
    shape = jax.eval_shape(f, params)
    outputs, weights = shape.size, _count(params)
    item = shape.dtype.itemsize
    refuse_beyond(
        budget,
        item * outputs * (weights + outputs),
        f"explicit_kernel forms a Jacobian of {outputs} x {weights} and a kernel of {outputs} x {outputs}"
        f" {shape.dtype.name}",
        "use factored_kernel for recurrent weights, or hutchinson_alignment, hutchinson_moments and kernel_products,"
        " which form neither",
    )
    jacobian = (jax.jacrev if outputs <= weights else jax.jacfwd)(f)(params)
    blocks = [leaf.reshape(outputs, -1) for leaf in jax.tree.leaves(jacobian)]
    kernel = product(blocks[0], blocks[0].T)
    for block in blocks[1:]:
        kernel = kernel + product(block, block.T)
    return kernel


def kernel_products(f: Callable[[Any], Array], params: Any) -> Callable[[Array], Array]:
    r"""Products :math:`z \mapsto K z = J (J^\top z)` with the tangent kernel, which is never formed.

    Each costs one backward and one forward derivative of ``f``, and memory in proportion to the parameters and to what
    ``f`` keeps for its derivative. ``f`` is evaluated and linearised here, once.

    Args:
        f: from a tree of floating-point parameters to an array of outputs, of any shape; it must have forward
            derivatives (no ``custom_vjp``).
        params: the parameters.

    Returns:
        A function from an array like the outputs to another; ``vmap`` it for several vectors at once.
    """
    return _linear_maps(f, params)[0]


def _linear_maps(f: Callable[[Any], Array], params: Any) -> tuple[Callable[[Array], Array], jax.ShapeDtypeStruct]:
    """The product with the kernel, and shape and dtype of what it acts on."""
    outputs, push = jax.linearize(f, params)
    pull = jax.linear_transpose(push, params)

    def multiply(z: Array) -> Array:
        (gradient,) = pull(jnp.asarray(z, outputs.dtype).reshape(outputs.shape))
        return push(gradient)

    return multiply, jax.ShapeDtypeStruct(outputs.shape, outputs.dtype)


def _count(params: Any) -> int:
    return sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(params))
