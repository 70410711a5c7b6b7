r"""Trainable layers of a memory rule: heads that write and read, between learned linear maps.

A head makes of every token a query, a key and a value and runs a `MemoryRule` along the sequence: linear attention,
gated linear attention, DeltaNet, softmax attention and their kin (:cite:`yang2024delta`, :cite:`yang2025`) are one
layer with different rules. The modules are those of flax NNX; ``brainjax.training.functional`` turns them into pure
functions. This file is not imported with `brainjax.memory`, since flax takes its time: ``from brainjax.memory import
layers``.

Flax mixes ranks and precisions: where JAX's strict modes are on, call these modules through ``functional``.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Int

from brainjax.core import checks
from brainjax.core.draws import normal, uniform
from brainjax.core.types import Array
from brainjax.memory._apply import apply
from brainjax.memory._features import identity, unit_norm
from brainjax.memory._rule import FORMS, MemoryRule, close_to, values

__all__ = ["MemoryAttention", "MemoryNetwork", "SequenceRegressor", "ShortConvolution"]

NORM_EPSILON = 1e-6  # added to a squared length before it divides
SLOW_DECAY = 0.02  # minus the log decay of a learned gate at the start


class ShortConvolution(nnx.Module):
    r"""A causal convolution over the last few steps, each feature by itself.

    .. math:: y_t = \sum_{j=0}^{w-1} c_j \odot x_{t-j}, \qquad x_t = 0 \text{ before the first step}

    With it a key can be that of the token before, which a single layer needs to bind a value to the key in front of it.
    Coefficients are drawn uniformly from :math:`\pm 1/\sqrt w`, as those of the published layers: every lag then
    contributes from the first update on.

    Args:
        features: number of features.
        width: number of steps, :math:`w`, the present one included; 1 or more.
        dtype: of the coefficients.
        rngs: flax's streams of random keys.
    """

    def __init__(self, features: int, width: int, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        checks.at_least("features", features, 1)
        checks.at_least("width", width, 1)
        bound = width**-0.5
        self.coefficients = nnx.Param(uniform(rngs.params(), (width, features), dtype, low=-bound, high=bound))

    def __call__(self, x: Float[Array, "*lead steps features"]) -> Float[Array, "*lead steps features"]:
        """The convolution of sequences."""
        width, features = self.coefficients[...].shape
        checks.shape_of("x", x, (*x.shape[:-2], None, features), "(..., steps, features)")
        steps = x.shape[-2]
        before = [(0, 0)] * (x.ndim - 2)
        total = jnp.zeros_like(x)
        for lag in range(min(width, steps)):
            earlier = jnp.pad(x[..., : steps - lag, :], [*before, (lag, 0), (0, 0)])
            total += self.coefficients[...][lag].reshape((1,) * (x.ndim - 1) + (features,)) * earlier
        return total


class MemoryAttention(nnx.Module):
    r"""Attention by a memory rule: each head writes its keys and values and reads with its queries.

    .. math:: q_t, k_t, v_t = W_q x_t, W_k x_t, W_v x_t; \qquad
              y_t = W_o \, [\, \mathrm{read}(S_t^h, q_t^h)\,]_{h}

    with, in this order where asked for, a `ShortConvolution` on q, k and v, keys and queries of length 1, and a feature
    map of keys and queries. Learning rates and decays can depend on the token, :math:`\beta_t = r\,\sigma(w \cdot x_t +
    b)` with range r and :math:`g_t = -\mathrm{softplus}(w \cdot x_t + b)`, the latter at -0.02 for a token of zeros
    before training. Queries, keys and values are the columns of one linear map, ``streams``, in this order, each head
    by head.

    Args:
        rule: from `brainjax.memory.make`.
        features: of the tokens.
        heads: how many memories.
        key_size: of each head; ``features // heads`` by default.
        value_size: of each head; likewise.
        convolution: steps of the convolution on q, k and v; 0 for none.
        feature_map: of keys and queries, such as `brainjax.memory.elu_plus_one`.
        normalise_keys: whether keys and queries have length 1. A compound of cues is then one configuration, see
            `brainjax.memory.cue_keys`; without it nothing bounds a learning rate times the squared length of a key.
        controls: those of ``rule.controls`` that depend on the token.
        constants: of the rule, by name; not trained.
        beta_range: what a learned ``beta`` is at most; beyond 1 a write can overshoot, and at 2 reflect.
        normalise_output: whether what a head reads is scaled to a root mean square of 1, with a trained gain.
        form: of `brainjax.memory.apply`; a rule that is sequential only is run so.
        chunk: steps in a chunk of the chunked form.
        read: ``after`` or ``before`` the token's own write.
        dtype: of the parameters.
        rngs: flax's streams of random keys.

    Raises:
        ValueError: if a size is not positive or does not divide, a name is unknown (the nearest is suggested), or a
            constant is also to be learned.
    """

    def __init__(
        self,
        rule: MemoryRule,
        features: int,
        *,
        heads: int = 1,
        key_size: int | None = None,
        value_size: int | None = None,
        convolution: int = 0,
        feature_map: Callable[[Array], Array] = identity,
        normalise_keys: bool = True,
        controls: Sequence[str] = (),
        constants: Mapping[str, Any] | None = None,
        beta_range: float = 1.0,
        normalise_output: bool = False,
        form: str = "chunked",
        chunk: int | None = None,
        read: str = "after",
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        checks.at_least("features", features, 1)
        checks.at_least("heads", heads, 1)
        checks.at_least("convolution", convolution, 0)
        checks.one_of("form", form, FORMS)
        checks.one_of("read", read, ("after", "before"))
        checks.require(0 < beta_range <= 2, f"beta_range must be above 0 and at most 2, got {beta_range}")
        if (key_size is None or value_size is None) and features % heads:
            raise ValueError(f"heads must divide features = {features} where no sizes are given, got {heads}")
        self.features, self.heads = features, heads
        self.key_size = features // heads if key_size is None else key_size
        self.value_size = features // heads if value_size is None else value_size
        checks.at_least("key_size", self.key_size, 1)
        checks.at_least("value_size", self.value_size, 1)
        stored = jax.eval_shape(feature_map, jax.ShapeDtypeStruct((self.key_size,), dtype)).shape[0]
        constants = dict(constants or {})
        values(rule, constants, dtype, stored)
        _known_controls(rule, controls, constants)
        if form not in rule.forms:
            form = rule.forms[0]
        linear = functools.partial(_linear, dtype=dtype, rngs=rngs)
        width = heads * (2 * self.key_size + self.value_size)
        self.streams = linear(features, width)
        self.convolution = ShortConvolution(width, convolution, dtype=dtype, rngs=rngs) if convolution else None
        self.gates = nnx.Dict({})
        for name in controls:
            width = {"step": 1, "key": stored, "value": self.value_size}[rule.controls[name]]
            start = math.log(math.expm1(SLOW_DECAY)) if _decays(name) else 0.0
            self.gates[name] = linear(features, heads * width, bias=start)
        self.norm = nnx.RMSNorm(self.value_size, param_dtype=dtype, rngs=rngs) if normalise_output else None
        self.out = linear(heads * self.value_size, features)
        self.normalise_keys = normalise_keys
        self.feature_map = feature_map
        self.beta_range = beta_range
        self.kinds = tuple((name, rule.controls[name]) for name in controls)

        def remember(q: Array, k: Array, v: Array, given: Mapping[str, Array]) -> Array:
            size = chunk if form == "chunked" else None
            return apply(rule, q, k, v, controls=given, constants=constants, form=form, chunk=size, read=read).outputs

        self.remember = remember

    def __call__(self, x: Float[Array, "*lead steps features"]) -> Float[Array, "*lead steps features"]:
        """What all heads read along sequences; leading axes are so many sequences."""
        checks.shape_of("x", x, (*x.shape[:-2], None, self.features), "(..., steps, features)")
        rows = x.reshape(-1, *x.shape[-2:])
        z = self.streams(rows)
        z = z if self.convolution is None else self.convolution(z)
        ends = (self.heads * self.key_size, 2 * self.heads * self.key_size)
        q, k, v = (einops.rearrange(part, "n t (h d) -> (n h) t d", h=self.heads) for part in jnp.split(z, ends, -1))
        if self.normalise_keys:
            q, k = (unit_norm(z, epsilon=NORM_EPSILON) for z in (q, k))
        q, k = self.feature_map(q), self.feature_map(k)
        given = {name: self._gate(name, kind, rows) for name, kind in self.kinds}
        read = jax.vmap(self.remember)(q, k, v, given)
        if self.norm is not None:
            read = self.norm(read)
        together = einops.rearrange(read, "(n h) t d -> n t (h d)", h=self.heads)
        return self.out(together).reshape(x.shape)

    def _gate(self, name: str, kind: str, rows: Array) -> Array:
        z = einops.rearrange(self.gates[name](rows), "n t (h d) -> (n h) t d", h=self.heads)
        z = -jax.nn.softplus(z) if _decays(name) else jax.nn.sigmoid(z) * (self.beta_range if name == "beta" else 1.0)
        return z[..., 0] if kind == "step" else z


class MemoryBlock(nnx.Module):
    """What a network repeats: attention and, if asked for, a perceptron, each added to what it is given.

    Args:
        rule: from `brainjax.memory.make`.
        features: of the tokens.
        mlp: hidden units of the perceptron, 0 for none.
        normalise: whether attention and perceptron see tokens scaled to a root mean square of 1.
        dtype: of the parameters.
        rngs: flax's streams of random keys.
        attention: options of `MemoryAttention`.
    """

    def __init__(
        self,
        rule: MemoryRule,
        features: int,
        *,
        mlp: int,
        normalise: bool,
        dtype: Any,
        rngs: nnx.Rngs,
        **attention: Any,
    ):
        checks.at_least("mlp", mlp, 0)
        norms = 0 if not normalise else 2 if mlp else 1
        self.norms = nnx.List([nnx.RMSNorm(features, param_dtype=dtype, rngs=rngs) for _ in range(norms)])
        self.attention = MemoryAttention(rule, features, dtype=dtype, rngs=rngs, **attention)
        widths = ((features, mlp), (mlp, features)) if mlp else ()
        self.perceptron = nnx.List([_linear(m, n, bias=0.0, dtype=dtype, rngs=rngs) for m, n in widths])

    def __call__(self, x: Float[Array, "*lead steps features"]) -> Float[Array, "*lead steps features"]:
        """Tokens with what attention and perceptron add to them."""
        x = x + self.attention(self.norms[0](x) if self.norms else x)
        if not self.perceptron:
            return x
        first, second = self.perceptron
        return x + second(jax.nn.gelu(first(self.norms[1](x) if self.norms else x)))


class MemoryNetwork(nnx.Module):
    """A causal network from tokens to logits: embedding, blocks, root-mean-square norm, linear read-out.

    Args:
        rule: from `brainjax.memory.make`, that of all layers.
        vocabulary: number of tokens.
        features: of the tokens' embeddings.
        layers: number of blocks.
        mlp: hidden units of the perceptron behind each attention, 0 for none.
        dtype: of the parameters.
        rngs: flax's streams of random keys.
        attention: options of `MemoryAttention`.

    Raises:
        ValueError: as `MemoryAttention`, or if a size is not positive.
    """

    def __init__(
        self,
        rule: MemoryRule,
        *,
        vocabulary: int,
        features: int,
        layers: int = 2,
        mlp: int = 0,
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
        **attention: Any,
    ):
        checks.at_least("vocabulary", vocabulary, 2)
        checks.at_least("layers", layers, 1)
        self.embedding = nnx.Embed(vocabulary, features, param_dtype=dtype, embedding_init=_scaled(1.0), rngs=rngs)
        block = functools.partial(MemoryBlock, mlp=mlp, normalise=True, dtype=dtype, rngs=rngs, **attention)
        self.blocks = nnx.List([block(rule, features) for _ in range(layers)])
        self.norm = nnx.RMSNorm(features, param_dtype=dtype, rngs=rngs)
        self.unembedding = _linear(features, vocabulary, dtype=dtype, rngs=rngs)

    def __call__(self, tokens: Int[Array, "*lead steps"]) -> Float[Array, "*lead steps vocabulary"]:
        """Logits of the next token, or of whatever the network is trained for, at every step."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.unembedding(self.norm(x))


class SequenceRegressor(nnx.Module):
    """A causal network from vectors to numbers: linear read-in, blocks, linear read-out.

    Without norms (the default here) and with keys that keep their length, a network of one layer is linear in its
    memory: sums of cues stay sums. It can then be exactly the delta rule.

    Args:
        rule: from `brainjax.memory.make`, that of all layers.
        inputs: size of the vectors.
        outputs: how many numbers per step.
        features: of the tokens between read-in and read-out.
        layers: number of blocks.
        mlp: hidden units of the perceptron behind each attention, 0 for none.
        normalise: whether blocks and read-out see tokens scaled to a root mean square of 1.
        dtype: of the parameters.
        rngs: flax's streams of random keys.
        attention: options of `MemoryAttention`.

    Raises:
        ValueError: as `MemoryAttention`, or if a size is not positive.
    """

    def __init__(
        self,
        rule: MemoryRule,
        *,
        inputs: int,
        outputs: int = 1,
        features: int,
        layers: int = 1,
        mlp: int = 0,
        normalise: bool = False,
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
        **attention: Any,
    ):
        checks.at_least("inputs", inputs, 1)
        checks.at_least("outputs", outputs, 1)
        checks.at_least("layers", layers, 1)
        self.read_in = _linear(inputs, features, dtype=dtype, rngs=rngs)
        block = functools.partial(MemoryBlock, mlp=mlp, normalise=normalise, dtype=dtype, rngs=rngs, **attention)
        self.blocks = nnx.List([block(rule, features) for _ in range(layers)])
        self.norm = nnx.RMSNorm(features, param_dtype=dtype, rngs=rngs) if normalise else None
        self.read_out = _linear(features, outputs, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "*lead steps inputs"]) -> Float[Array, "*lead steps outputs"]:
        """Numbers at every step, each of which depends on no later vector."""
        x = self.read_in(x)
        for block in self.blocks:
            x = block(x)
        return self.read_out(x if self.norm is None else self.norm(x))


def _linear(inputs: int, outputs: int, *, dtype: Any, rngs: nnx.Rngs, bias: float | None = None) -> nnx.Linear:
    """A linear map of unit gain (variance 1 / inputs), with a bias that starts at a number or without one."""
    return nnx.Linear(
        inputs,
        outputs,
        use_bias=bias is not None,
        param_dtype=dtype,
        kernel_init=_scaled(inputs**-0.5),
        bias_init=nnx.initializers.constant(0.0 if bias is None else bias),
        rngs=rngs,
    )


def _scaled(deviation: float) -> Callable[..., Array]:
    """Draws normal numbers in one row, which compiles much faster under ``vmap``."""
    return lambda key, shape, dtype, *_, **__: deviation * normal(key, shape, dtype)


def _decays(name: str) -> bool:
    return name.startswith("log_")


def _known_controls(rule: MemoryRule, controls: Sequence[str], constants: Mapping[str, Any]) -> None:
    for name in controls:
        if name not in rule.controls:
            known = close_to(name, rule.controls) if rule.controls else "it has none"
            raise ValueError(f"controls of {rule.name} have no {name!r}: {known}")
        if name in constants:
            raise ValueError(f"constants must not hold {name!r}, which depends on the token (controls)")
    if len(set(controls)) < len(controls):
        raise ValueError(f"controls must be different, got {', '.join(controls)}")
