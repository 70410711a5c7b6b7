"""The protocol of ``jax.nn.initializers``, which every initializer here follows, and its one point of entry."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from brainjax.core.types import Array, PRNGKey

__all__ = ["Initializer", "transposed"]


@runtime_checkable
class Initializer(Protocol):
    """A function from a key and a shape to weights, as in ``jax.nn.initializers``."""

    def __call__(self, key: PRNGKey, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Array:
        """Draw weights of shape (..., rows, columns), independently over the leading axes.

        Column j holds the weights out of presynaptic unit j, row i those onto postsynaptic unit i.

        Args:
            key: typed PRNG key.
            shape: (..., rows, columns).
            dtype: of the weights; JAX's default float by default. What is narrower than float32 is computed in float32.
            out_sharding: where the weights are put, as ``jax.device_put`` takes it.
        """
        ...


def initializer(build: Callable[[PRNGKey, tuple[int, ...], Any], Array]) -> Initializer:
    """Make an initializer of a function that needs to work for checked shapes and for float32 and wider only."""

    def init(key: PRNGKey, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Array:
        sizes = tuple(shape)
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"shape must be (..., rows, columns), all positive, got {sizes}")
        dtype = jnp.result_type(float) if dtype is None else jax.dtypes.canonicalize_dtype(dtype)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"dtype must be a floating-point type, got {jnp.dtype(dtype).name}")
        wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)
        weights = build(key, sizes, wide).astype(dtype)
        return weights if out_sharding is None else jax.device_put(weights, out_sharding)

    return init


def transposed(init: Initializer) -> Initializer:
    r"""The same weights for a layer that computes :math:`x W^\top`, with a kernel of shape (inputs, outputs).

    The initializers here draw :math:`W` of shape (outputs, inputs), for :math:`W x`. Layers of flax keep the transpose:
    give them ``kernel_init=transposed(init)``, so that fan-in, presynaptic signs and left and right directions are what
    they are called. With as many inputs as outputs and an ensemble that is symmetric under transposition (Gaussian, and
    every spectrum of it) it makes no difference.

    Args:
        init: any initializer.

    Returns:
        An initializer of shape (..., columns, rows).
    """

    def build(key: PRNGKey, shape: tuple[int, ...], dtype: Any) -> Array:
        return jnp.swapaxes(init(key, (*shape[:-2], shape[-1], shape[-2]), dtype), -1, -2)

    return initializer(build)


STREAMS = ("base", "left", "right", "loadings", "connections", "strengths")
"""What is drawn with one key. Each has its own stream, and an initializer passes its key on to the one inside it: so
arms that differ in structure share their base matrix under one key."""


def stream(key: PRNGKey, name: str) -> PRNGKey:
    """The key for one of the things that are drawn."""
    return jax.random.fold_in(key, STREAMS.index(name))


def number(value: Any, dtype: Any) -> Array:
    """A knob, a number or a traced scalar, in the dtype of the weights."""
    knob = jnp.asarray(value)
    if knob.ndim != 0:
        raise ValueError(f"a knob must be one number (use jax.vmap for several), got shape {knob.shape}")
    return knob.astype(dtype)


def square(shape: tuple[int, ...], what: str) -> None:
    """Refuse matrices that are not square."""
    if shape[-1] != shape[-2]:
        raise ValueError(f"shape must be (..., N, N) for {what}, got {shape}")
