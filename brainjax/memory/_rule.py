"""The one interface of all memory rules: an empty state, a write, a read.

A rule holds pure functions of one sequence of one head: keys and queries of shape ``(d_k,)``, values of shape
``(d_v,)``. More heads, sequences or seeds come from ``vmap``. The same function is an attention layer (keys, values,
queries), a fast-weight memory (patterns and targets) and a model of conditioning (cues, outcomes, test cues).
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array

__all__ = ["FORMS", "MemoryRule", "Output", "Weights", "assemble", "close_to", "fill", "in_range", "values"]

FORMS = ("sequential", "chunked", "parallel")
"""How a sequence can be run: write by write, chunk by chunk, or in one piece."""

AXES: dict[str, tuple[str, ...]] = {"step": (), "key": ("d_k",), "value": ("d_v",)}
"""What a control is per step: a number, a vector over keys, or a vector over values."""


class Weights(NamedTuple):
    """The state of a memory that is one matrix."""

    weights: Float[Array, "d_k d_v"]
    """Of each key's component onto each value's; a plain read is ``weights.T @ q``."""


class Output(NamedTuple):
    """What a memory answered along a sequence, and what it holds at the end."""

    outputs: Float[Array, "steps d_v"]
    state: Any


class MemoryRule(NamedTuple):
    """A memory: how it starts, what one pair of key and value does to it, what it answers to a query.

    A control is a per-step array such as ``beta`` or ``log_decay``. Each has a constant of the same name, which holds
    wherever the control is left out. All constants may be traced.
    """

    name: str
    defaults: Mapping[str, float]
    """Names and default values of all constants."""
    controls: Mapping[str, str]
    """Which constants may change from step to step, and what they then are per step: ``step`` (a number; an array of
    shape (steps,) in `apply`), ``key`` (a vector over keys, (steps, d_k)) or ``value`` (over values, (steps, d_v))."""
    vectors: tuple[str, ...]
    """Constants that may be a vector over keys (one number per cue) in place of a number."""
    forms: tuple[str, ...]
    """Those of `FORMS` that the rule has."""
    init_state: Callable[..., Any]
    """``init_state(d_k, d_v, *, constants=None, dtype=None, length=0) -> state``; ``length`` is the number of pairs
    that a memory of exemplars has room for, of no effect elsewhere."""
    step: Callable[..., Any]
    """``step(state, k, v, controls=None, constants=None) -> state``"""
    read: Callable[..., Array]
    """``read(state, q, constants=None) -> output``"""
    chunk: Callable[..., tuple[Array, Any]] | None
    """``chunk(state, q, k, v, controls, constants, before) -> (outputs, state)``: many steps at once, everything
    filled in and checked; None where the rule is sequential only."""
    refuse: Callable[..., None] | None
    """``refuse(state, k, v, controls, constants)`` raises ValueError on concrete values outside the rule's validity."""


def assemble(
    name: str,
    *,
    init: Callable[..., Any],
    step: Callable[..., Any],
    read: Callable[..., Array],
    chunk: Callable[..., tuple[Array, Any]] | None = None,
    defaults: Mapping[str, float] | None = None,
    controls: Mapping[str, str] | None = None,
    vectors: tuple[str, ...] = (),
    refuse: Callable[..., None] | None = None,
) -> MemoryRule:
    """Make a rule of bare functions, to which constants and controls come filled in.

    Args:
        name: of the rule.
        init: ``init(d_k, d_v, constants, dtype, length) -> state``.
        step: ``step(state, k, v, controls, constants) -> state``.
        read: ``read(state, q, constants) -> output``.
        chunk: see `MemoryRule`; with it the rule has all forms.
        defaults: of the constants.
        controls: which constants may be controls, and of which kind.
        vectors: which constants may be vectors over keys.
        refuse: see `MemoryRule`.
    """
    rule = MemoryRule(
        name, dict(defaults or {}), dict(controls or {}), vectors, FORMS if chunk else FORMS[:1], init, step, read,
        chunk, refuse,
    )  # fmt: skip

    def public_init(
        d_k: int, d_v: int, *, constants: Mapping[str, Any] | None = None, dtype: Any = None, length: int = 0
    ) -> Any:
        for what, size in (("d_k", d_k), ("d_v", d_v)):
            checks.at_least(what, size, 1)
        dtype = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
        return init(d_k, d_v, values(rule, constants, dtype, d_k), dtype, length)

    def public_step(state: Any, k: Any, v: Any, controls: Any = None, constants: Any = None) -> Any:
        dtype = float_type(state)
        k, v = jnp.asarray(k, dtype), jnp.asarray(v, dtype)
        numbers = values(rule, constants, dtype, k.shape[0])
        return step(state, k, v, fill(rule, controls, numbers, (), k.shape[0], v.shape[0], dtype), numbers)

    def public_read(state: Any, q: Any, constants: Any = None) -> Array:
        q = jnp.asarray(q, float_type(state))
        return read(state, q, values(rule, constants, q.dtype, q.shape[0]))

    return rule._replace(init_state=public_init, step=public_step, read=public_read)


def values(rule: MemoryRule, given: Mapping[str, Any] | None, dtype: Any, d_k: int) -> dict[str, Array]:
    """All constants of a rule, the given ones in place of the defaults.

    Raises:
        ValueError: if a constant is unknown (the nearest is suggested) or has a shape that it cannot have.
    """
    given = dict(given or {})
    for name, value in given.items():
        if name not in rule.defaults:
            raise ValueError(f"constants of {rule.name} have no {name!r}: {close_to(name, rule.defaults)}")
        shape = np.shape(value)
        vector = name in rule.vectors or rule.controls.get(name) == "key"
        if shape != () and not (vector and shape == (d_k,)):
            allowed = f"a number or have shape ({d_k},)" if vector else "a number"
            raise ValueError(f"constant {name} must be {allowed}, got shape {shape}")
        _in_bounds(name, value)
    return {name: jnp.asarray(given.get(name, value)).astype(dtype) for name, value in rule.defaults.items()}


def fill(
    rule: MemoryRule,
    given: Mapping[str, Any] | None,
    constants: Mapping[str, Array],
    lead: tuple[int, ...],
    d_k: int,
    d_v: int,
    dtype: Any,
) -> dict[str, Array]:
    """All controls of a rule as arrays with the leading axes ``lead``, constants where none is given.

    Raises:
        ValueError: if a control is unknown (the nearest is suggested) or has another shape, or a log decay is positive.
    """
    given = dict(given or {})
    for name in given:
        if name not in rule.controls:
            known = close_to(name, rule.controls) if rule.controls else "it has none"
            raise ValueError(f"controls of {rule.name} have no {name!r}: {known}")
    filled = {}
    for name, kind in rule.controls.items():
        axes = AXES[kind]
        shape = (*lead, *({"d_k": d_k, "d_v": d_v}[axis] for axis in axes))
        if name in given:
            checks.shape_of(name, given[name], shape, "(" + ", ".join([*("steps" for _ in lead), *axes]) + ")")
            _in_bounds(name, given[name])
            filled[name] = jnp.asarray(given[name]).astype(dtype)
        else:
            constant = constants[name]
            filled[name] = jnp.broadcast_to(
                constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape), shape
            )
    return filled


def float_type(state: Any) -> Any:
    """The floating-point type of a state."""
    return jnp.result_type(*(x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)))


def _in_bounds(name: str, value: Any) -> None:
    if not name.startswith("log_decay") or not checks.is_concrete(value):
        return
    array = np.asarray(value)
    if not np.all(array <= 0):
        wrong = array[~(array <= 0)].ravel()[0]
        raise ValueError(f"{name} must be zero or less (a decay exp({name}) above 1 would grow), got {wrong:g}")


def in_range(what: str, value: Any, low: float | int, high: float | int, why: str) -> None:
    """Refuse concrete values outside a closed interval, with a grain of rounding, or NaN."""
    if not checks.is_concrete(value):
        return
    array = np.asarray(value, np.float64)
    grain = 1e-5 * max(abs(low), abs(high))
    wrong = array[~((array >= low - grain) & (array <= high + grain))]
    if wrong.size:
        raise ValueError(f"{what} must be from {low:g} to {high:g} ({why}), got {wrong.ravel()[0]:g}")


def close_to(word: str, words: Any) -> str:
    """A hint at the nearest of some words, or their list."""
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(sorted(words))}"
