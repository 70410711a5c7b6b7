r"""Layers that come in pairs: a forward map between two levels and a feedback map that goes back.

A layer takes level :math:`l-1` to level :math:`l`; its mirror image takes level :math:`l` to level :math:`l-1` with
weights of its own. Kernels have flax's layout, ``(in, out)`` and ``(height, width, in, out)``, in both directions, and
images are ``(batch, height, width, channels)``:

================= ============================================= ==================================================
kind              forward                                       feedback
================= ============================================= ==================================================
``dense``         :math:`\phi(x U + c)`                         :math:`\phi(y V + c')`
``conv``          convolution, stride s, :math:`\phi`           enlarged s times, convolution, :math:`\phi`
``conv_pool``     convolution, :math:`\phi`, largest of 2 x 2   enlarged twice, convolution, :math:`\phi`
``upsample_conv`` enlarged s times, convolution, :math:`\phi`   convolution, stride s, :math:`\phi`
``flatten``       reshapes                                      reshapes
================= ============================================= ==================================================

Enlarging repeats the nearest pixel.

The activation belongs to the level: whatever arrives at a level, from below or from above, passes through the
activation of the layer that ends there. The input and what arrives at it from above have none.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import sequential_vmap
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, PRNGKey

__all__ = [
    "ACTIVATIONS",
    "Layer",
    "conv_pool",
    "conv_stride",
    "dense",
    "flatten",
    "folded_convolution",
    "initial_weights",
    "kernel_shape",
    "mirror_product",
    "mirrored",
    "normals",
    "output_shape",
    "patch_convolution",
    "product",
    "upsample_conv",
]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "elu": jax.nn.elu,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
}
"""Activation functions by name."""

INITS = ("fan_in", "orthogonal", "small_orthogonal", "zero")
"""How kernels start. ``fan_in``: uniform within one over the square root of the number of inputs, as in PyTorch."""


class Layer(NamedTuple):
    """The description of a layer: numbers and names only, so that it is hashable and static under ``jit``."""

    kind: str
    features: int = 0
    """Units or channels above."""
    activation: str = "identity"
    """Of the level above the layer, for what arrives there in either direction; see `ACTIVATIONS`."""
    bias: bool = False
    """Whether both directions add a constant."""
    kernel: int = 3
    """Side of the convolution's kernel, odd."""
    stride: int = 1
    """By what factor the side of the image shrinks, or grows in ``upsample_conv``."""
    normalize: bool = False
    """Whether both directions standardise each channel over the batch before the activation."""
    forward_init: str = "fan_in"
    feedback_init: str = "fan_in"


def dense(features: int, activation: str = "identity", *, bias: bool = False) -> Layer:
    """A fully connected layer."""
    return _checked(Layer("dense", features, activation, bias))


def conv_stride(
    features: int,
    activation: str = "identity",
    *,
    kernel: int = 3,
    stride: int = 2,
    bias: bool = True,
    normalize: bool = False,
    forward_init: str = "fan_in",
    feedback_init: str = "fan_in",
) -> Layer:
    """A convolution that moves ``stride`` pixels at a time; the feedback enlarges the image and convolves."""
    return _checked(Layer("conv", features, activation, bias, kernel, stride, normalize, forward_init, feedback_init))


def conv_pool(
    features: int, activation: str = "identity", *, kernel: int = 3, bias: bool = False, normalize: bool = False
) -> Layer:
    """A convolution, the activation, then the largest of every 2 by 2 pixels; the feedback enlarges and convolves."""
    return _checked(Layer("conv_pool", features, activation, bias, kernel, 2, normalize))


def upsample_conv(
    features: int,
    activation: str = "identity",
    *,
    kernel: int = 3,
    stride: int = 2,
    bias: bool = True,
    normalize: bool = False,
    forward_init: str = "fan_in",
    feedback_init: str = "fan_in",
) -> Layer:
    """The mirror image of `conv_stride`: enlarges, then convolves; its feedback is a convolution with a stride."""
    return _checked(
        Layer("upsample_conv", features, activation, bias, kernel, stride, normalize, forward_init, feedback_init)
    )


def flatten() -> Layer:
    """What turns an image into a vector before a dense layer, and back on the way down. It has no weights."""
    return Layer("flatten")


def output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape above a layer for one below it, both without the batch.

    Raises:
        ValueError: if the layer cannot stand on that shape, or its feedback would not lead back to it.
    """
    if layer.kind == "flatten":
        return (math.prod(shape),)
    if layer.kind == "dense":
        if len(shape) != 1:
            raise ValueError(f"a dense layer needs a vector below it, got shape {shape}: put flatten() before it")
        return (layer.features,)
    if len(shape) != 3:
        raise ValueError(f"a convolution needs (height, width, channels) below it, got shape {shape}")
    if layer.kind == "upsample_conv":
        return (shape[0] * layer.stride, shape[1] * layer.stride, layer.features)
    if shape[0] % layer.stride or shape[1] % layer.stride:
        raise ValueError(f"a stride of {layer.stride} does not mirror: it must divide the sides of {shape}")
    return (shape[0] // layer.stride, shape[1] // layer.stride, layer.features)


def kernel_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a layer's forward kernel over a shape below it; see `mirrored` for that of its feedback."""
    if layer.kind == "dense":
        return (shape[0], layer.features)
    return (layer.kernel, layer.kernel, shape[-1], layer.features)


def mirrored(kernel: Any) -> Any:
    r"""The kernel of the opposite direction: a transpose, with the image axes turned round.

    .. math:: V_{oi} = U_{io}, \qquad V_{h w o i} = U_{H-1-h,\, W-1-w,\, i o}

    A dense layer, or a convolution without stride, whose feedback has this kernel sends back exactly what
    backpropagation does. Applied twice it does nothing.
    """
    kernel = jnp.swapaxes(kernel, -1, -2)
    return jnp.flip(kernel, (0, 1)) if kernel.ndim == 4 else kernel


def initial_weights(
    key: PRNGKey, shapes: Sequence[tuple[int, ...]], *, bias: Sequence[bool], init: Sequence[str], dtype: Any = None
) -> tuple[dict[str, Array], ...]:
    r"""Kernels, and constants where asked for, which start at zero.

    ``fan_in``: uniform within :math:`\pm 1/\sqrt{n}` for :math:`n` inputs to a unit, PyTorch's default for kernels.
    ``orthogonal``: the kernel as a matrix of inputs by outputs has orthonormal rows or columns; ``small_orthogonal`` is
    a thousandth of it. ``zero``: no weights.

    Random constants would be the larger part of what reaches the upper levels of a deep network with small images, and
    make its levels alike for all inputs. The published counter-current networks start theirs at zero as well.

    Args:
        key: typed PRNG key.
        shapes: of the kernels.
        bias: which layers have constants.
        init: how each layer starts.
        dtype: of the weights; JAX's default float by default.
    """
    dtype = jnp.result_type(float) if dtype is None else dtype
    inputs = [math.prod(shape[:-1]) for shape in shapes]
    flat = [math.prod(shape) for shape in shapes]
    uniform = [n if kind == "fan_in" else 0 for n, kind in zip(flat, init, strict=True)]
    normal = [n if "orthogonal" in kind else 0 for n, kind in zip(flat, init, strict=True)]
    # One draw of each kind for all layers: random numbers are most of what there is to compile.
    first, second = jax.random.split(key)
    cube = _parts(jax.random.uniform(first, (sum(uniform),), dtype, -1, 1), uniform) if sum(uniform) else []
    bell = _parts(jax.random.normal(second, (sum(normal),), dtype), normal) if sum(normal) else []
    weights = []
    for l, shape in enumerate(shapes):
        if init[l] == "fan_in":
            kernel = 1 / math.sqrt(inputs[l]) * cube[l].reshape(shape)
        elif init[l] == "zero":
            kernel = jnp.zeros(shape, dtype)
        else:
            tall = (max(inputs[l], shape[-1]), min(inputs[l], shape[-1]))
            basis = sequential_vmap(_orthonormal)(bell[l].reshape(tall))
            basis = basis if inputs[l] >= shape[-1] else basis.T
            kernel = basis.reshape(shape) * (1e-3 if init[l] == "small_orthogonal" else 1.0)
        weights.append({"kernel": kernel, "bias": jnp.zeros(shape[-1:], dtype)} if bias[l] else {"kernel": kernel})
    return tuple(weights)


def normals(key: PRNGKey, batch: int, shapes: Sequence[tuple[int, ...]], dtype: Any) -> list[Array]:
    """Standard normal numbers of shapes ``(batch, *shape)``, in one draw."""
    sizes = [batch * math.prod(shape) for shape in shapes]
    parts = _parts(jax.random.normal(key, (sum(sizes),), dtype), sizes)
    return [part.reshape(batch, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _parts(flat: Array, sizes: Sequence[int]) -> list[Array]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [flat[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def product(layer: Layer, kernel: Float[Array, "..."], x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """What the weights of a layer do to its input, before constant, activation and pooling: linear in both."""
    if layer.kind == "dense":
        return x @ kernel
    if layer.kind == "upsample_conv":
        return _convolve_enlarged(kernel, x, layer.stride)
    return _convolve(kernel, x, 1 if layer.kind == "conv_pool" else layer.stride)


def mirror_product(
    layer: Layer, kernel: Float[Array, "..."], y: Float[Array, "batch ..."]
) -> Float[Array, "batch ..."]:
    """What the weights of a layer's feedback do to what comes from above: linear in both."""
    if layer.kind == "dense":
        return y @ kernel
    if layer.kind == "upsample_conv":
        return _convolve(kernel, y, layer.stride)
    return _convolve_enlarged(kernel, y, layer.stride)


def _checked(layer: Layer) -> Layer:
    checks.at_least("features", layer.features, 1)
    checks.one_of("activation", layer.activation, tuple(ACTIVATIONS))
    checks.at_least("stride", layer.stride, 1)
    for name, init in (("forward_init", layer.forward_init), ("feedback_init", layer.feedback_init)):
        checks.one_of(name, init, INITS)
    if layer.kernel < 1 or layer.kernel % 2 == 0:
        raise ValueError(f"kernel must be odd and positive, got {layer.kernel}")
    return layer


def _convolve(kernel: Array, x: Array, stride: int) -> Array:
    if jax.default_backend() == "cpu":
        return patch_convolution(kernel, x, stride)
    edge = kernel.shape[0] // 2
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(edge, edge)] * 2, dimension_numbers=numbers)


def _convolve_enlarged(kernel: Array, x: Array, factor: int) -> Array:
    """A convolution of an image whose every pixel has become ``factor`` by ``factor`` pixels."""
    if factor > 1 and jax.default_backend() == "cpu":
        return folded_convolution(kernel, x, factor)
    return _convolve(kernel, _enlarge(x, factor), 1)


def patch_convolution(
    kernel: Float[Array, "side side in out"], x: Float[Array, "batch height width in"], stride: int
) -> Float[Array, "batch rows columns out"]:
    """A convolution with a frame of zeros, as one matrix product of all patches with the kernel.

    The same numbers as `jax.lax.conv_general_dilated`. Inside a loop XLA's convolutions on a CPU, the gradients in
    particular, are ten to twenty times slower than this product; outside loops both take about as long.
    """
    side, features = kernel.shape[0], kernel.shape[-1]
    edge = side // 2
    batch, height, width, channels = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    framed = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    shifted = [
        lax.slice(
            framed,
            (0, i, j, 0),
            (batch, i + stride * (rows - 1) + 1, j + stride * (columns - 1) + 1, channels),
            (1, stride, stride, 1),
        )
        for i in range(side)
        for j in range(side)
    ]
    patches = jnp.concatenate(shifted, -1).reshape(batch * rows * columns, side * side * channels)
    return (patches @ kernel.reshape(side * side * channels, features)).reshape(batch, rows, columns, features)


def folded_convolution(
    kernel: Float[Array, "side side in out"], x: Float[Array, "batch height width in"], factor: int
) -> Float[Array, "batch rows columns out"]:
    r"""A convolution of an enlarged image, without enlarging it.

    Pixels of the small image that a kernel's entries meet again are met once, by the sum of these entries: for every
    place a, b inside an enlarged pixel there is a kernel on the small image,

    .. math:: K_{t s}^{a b} = \sum_{u v:\ \lfloor (a + u - e)/f \rfloor = t,\ \lfloor (b + v - e)/f \rfloor = s} k_{u v}

    with the kernel's reach e to either side and the factor f. All are used in one `patch_convolution`.
    """
    side, channels, features = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    edge = side // 2
    reach = -(-edge // factor)
    meets = np.zeros((factor, side, 2 * reach + 1))
    for a in range(factor):
        for u in range(side):
            meets[a, u, (a + u - edge) // factor + reach] = 1
    both = jnp.asarray(np.einsum("aut,bvs->tsabuv", meets, meets), kernel.dtype)
    small = jnp.einsum("tsabuv,uvio->tsiabo", both, kernel).reshape(2 * reach + 1, 2 * reach + 1, channels, -1)
    parts = patch_convolution(small, x, 1).reshape(*x.shape[:3], factor, factor, features)
    return jnp.swapaxes(parts, 2, 3).reshape(x.shape[0], x.shape[1] * factor, x.shape[2] * factor, features)


def _enlarge(x: Array, factor: int) -> Array:
    batch, height, width, channels = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, factor, width, factor, channels))
    return spread.reshape(batch, height * factor, width * factor, channels)


def _orthonormal(matrix: Array) -> Array:
    basis, triangle = jnp.linalg.qr(matrix)
    return basis * jnp.sign(jnp.diagonal(triangle))[None, :]  # uniform over the orthogonal group
