"""Running a memory along a sequence, in any of its forms."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike
from brainjax.memory._rule import FORMS, MemoryRule, Output, fill, values

__all__ = ["apply"]


def apply(
    rule: MemoryRule,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    controls: Mapping[str, ArrayLike] | None = None,
    constants: Mapping[str, ArrayLike] | None = None,
    form: str = "sequential",
    chunk: int | None = None,
    state: Any = None,
    read: str = "after",
) -> Output:
    r"""Write the pairs :math:`(k_t, v_t)` one after the other and read with :math:`q_t` at every step.

    All forms compute the same numbers; they differ in cost. With :math:`T` steps and chunks of :math:`C`, per step:

    - ``sequential``: a scan over steps. About :math:`6 d_k d_v` floating-point operations; its backward pass keeps all
      :math:`T` states.
    - ``chunked``: a scan over chunks, each done by matrix products and recomputed in the backward pass, which keeps
      :math:`T/C` states. The one to train with. Linear in :math:`T`.
    - ``parallel``: one chunk of the whole sequence, :math:`O(T^2)` (error-correcting rules: :math:`O(T^3)` in all). For
      analysis of short sequences.

    16-bit inputs are computed in float32, in which the state stays; the outputs come back in 16 bits. A last chunk
    that is shorter is done as such: nothing is padded.

    Args:
        rule: from `make`.
        q: queries, shape (steps, d_k).
        k: keys, shape (steps, d_k).
        v: values, shape (steps, d_v).
        controls: per-step arrays by name, see `MemoryRule`; a constant stands in for each that is left out.
        constants: numbers by name that replace the rule's defaults.
        form: one of `FORMS` that the rule has.
        chunk: steps in a chunk, for the chunked form; by default 32 on a CPU and 64 elsewhere.
        state: what the memory holds at the start; by default nothing.
        read: ``after`` the step's own write (attention) or ``before`` it (the response on a trial, which the trial's
            outcome cannot influence). Before the write is also before the step's decay.

    Returns:
        The answers, shape (steps, d_v), and the state after the last write.

    Raises:
        ValueError: on shapes that do not fit, an unknown or unavailable form, a chunk that is not a positive whole
            number, unknown controls or constants, positive log decays, or a learning rate outside the range in which
            the rule is stable for these keys (where all of these are concrete).
    """
    q, k, v, state, outward = _arrays(q, k, v, state)
    checks.shape_of("k", k, (None, None), "(steps, d_k)")
    steps, d_k = k.shape
    checks.at_least("steps", steps, 1)
    checks.shape_of("q", q, (steps, d_k), "(steps, d_k) as k")
    checks.shape_of("v", v, (steps, None), "(steps, d_v) with the steps of k")
    checks.one_of("form", form, FORMS)
    checks.one_of("read", read, ("after", "before"))
    if form not in rule.forms:
        raise ValueError(f"form {form!r} does not exist for {rule.name}, which has {', '.join(map(repr, rule.forms))}")
    if chunk is not None and form != "chunked":
        raise ValueError(f"chunk goes with form='chunked', got chunk={chunk!r} with form={form!r}")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int | np.integer) or chunk < 1):
        raise ValueError(f"chunk must be a positive whole number, got {chunk!r}")
    numbers = values(rule, constants, k.dtype, d_k)
    filled = fill(rule, controls, numbers, (steps,), d_k, v.shape[1], k.dtype)
    if state is None:
        state = rule.init_state(d_k, v.shape[1], constants=numbers, dtype=k.dtype, length=steps)
    else:
        _fitting(rule, state, d_k, v.shape[1], k.dtype, numbers)
    _room(state, steps)
    if rule.refuse is not None:
        rule.refuse(state, k, v, filled, numbers)
    before = read == "before"
    if rule.chunk is None or form == "sequential":
        outputs, state = _by_steps(rule, state, q, k, v, filled, numbers, before)
    elif form == "parallel":
        outputs, state = rule.chunk(state, q, k, v, filled, numbers, before)
    else:
        size = (32 if jax.default_backend() == "cpu" else 64) if chunk is None else int(chunk)
        outputs, state = _by_chunks(rule, state, q, k, v, filled, numbers, before, size)
    return Output(outputs.astype(outward), state)


def _by_steps(rule, state, q, k, v, controls, constants, before) -> tuple[Array, Any]:
    def body(state, now):
        query, key, value, control = now
        if before:
            return rule.step(state, key, value, control, constants), rule.read(state, query, constants)
        state = rule.step(state, key, value, control, constants)
        return state, rule.read(state, query, constants)

    state, outputs = lax.scan(body, state, (q, k, v, controls))
    return outputs, state


def _by_chunks(rule, state, q, k, v, controls, constants, before, size) -> tuple[Array, Any]:
    steps = k.shape[0]
    whole = steps // size
    rows = (q, k, v, controls)

    def body(state, now):
        outputs, state = rule.chunk(state, *now, constants, before)
        return state, outputs

    parts = []
    if whole:
        stacked = jax.tree.map(lambda x: x[: whole * size].reshape(whole, size, *x.shape[1:]), rows)
        state, outputs = lax.scan(jax.checkpoint(body, prevent_cse=False), state, stacked)
        parts.append(outputs.reshape(whole * size, -1))
    if steps > whole * size:
        state, outputs = jax.checkpoint(body)(state, jax.tree.map(lambda x: x[whole * size :], rows))
        parts.append(outputs)
    return jnp.concatenate(parts) if len(parts) > 1 else parts[0], state


def _arrays(q: Any, k: Any, v: Any, state: Any) -> tuple[Array, Array, Array, Any, Any]:
    """Floating-point arrays of one type, at least 32 bits wide, and the type of the answers."""
    leaves = [jnp.asarray(x) for x in jax.tree.leaves(state)]
    floats = [x for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)]
    with jax.numpy_dtype_promotion("standard"):
        outward = jnp.result_type(float, q, k, v)
        inner = jnp.promote_types(jnp.result_type(outward, *floats), jnp.float32)
    q, k, v = (jnp.asarray(x).astype(inner) for x in (q, k, v))
    state = jax.tree.map(
        lambda x: x.astype(inner) if jnp.issubdtype(x.dtype, jnp.floating) else x, jax.tree.map(jnp.asarray, state)
    )
    return q, k, v, state, outward


def _fitting(rule: MemoryRule, state: Any, d_k: int, d_v: int, dtype: Any, constants: Any) -> None:
    length = state.keys.shape[0] if hasattr(state, "keys") else 0
    expected = jax.eval_shape(lambda: rule.init_state(d_k, d_v, constants=constants, dtype=dtype, length=length))
    if jax.tree.structure(state) != jax.tree.structure(expected):
        raise ValueError(f"state must be one of {rule.name}, as from its init_state, got {type(state).__name__}")
    found = jax.tree_util.tree_leaves_with_path(state)
    for (path, leaf), wanted in zip(found, jax.tree.leaves(expected), strict=True):
        checks.shape_of(f"state{jax.tree_util.keystr(path)}", leaf, wanted.shape)


def _room(state: Any, steps: int) -> None:
    if hasattr(state, "keys") and checks.is_concrete(state.written):
        room = state.keys.shape[0] - int(state.written)
        if room < steps:
            raise ValueError(f"state has room for {room} more pairs, got {steps}: make it with a larger length")
