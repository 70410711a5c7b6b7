"""Random sequences for any memory rule, and few compiled programs for all that the tests ask of the rules.

Compiling is nearly all of the cost, so that rules share programs, which are compiled without optimisation.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brainjax import memory

STEPS, D_K, D_V, CHUNK = 8, 3, 2, 3  # two whole chunks and a ragged one
PLAIN = {"xla_backend_optimization_level": 0}


class Inputs(NamedTuple):
    q: Any
    k: Any
    v: Any
    controls: Any
    constants: Any
    state: Any


def inputs(name, *, steps=STEPS, d_k=D_K, d_v=D_V, seed=0, **options):
    """Values within the rule's validity, a start that is not empty, controls that change from step to step."""
    rule = memory.make(name, **options)
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((steps, d)) for d in (d_k, d_k, d_v))
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    k[2, 0] = 0  # an absent cue
    if name in ("normalised_linear", "mackintosh", "pearce_hall"):
        q, k, v = abs(q), abs(k), abs(v)
    if name in ("oja", "oja_clamped", "bcm", "bcm_clamped"):
        v *= 0.3
    shapes = {"step": (steps,), "key": (steps, d_k), "value": (steps, d_v)}
    controls = {}
    for control, kind in rule.controls.items():
        drawn = rng.uniform(0.1, 0.9, shapes[kind])
        controls[control] = -drawn if control.startswith("log_decay") else drawn
    constants = dict(rule.defaults)
    if "drive" in constants:
        constants["drive"] = 0.5
    start = jax.eval_shape(lambda: rule.init_state(d_k, d_v, length=steps + 3))
    filled = jax.tree.map(lambda x: rng.uniform(0.1, 0.9, x.shape), start)
    if name == "recursive_least_squares":
        filled = filled._replace(inverse=np.eye(d_k) + 0.1 * np.ones((d_k, d_k)))
    if name == "minibatch_delta":
        filled = filled._replace(written=np.int32(6))  # in the middle of a mini-batch
    if hasattr(filled, "keys"):
        rows = np.arange(steps + 3)[:, None] < 2
        filled = filled._replace(keys=filled.keys * rows, values=filled.values * rows, written=np.int32(2))
    return Inputs(q, k, v, controls, constants, filled)


def run(rule, given, form, read, chunk=None):
    return memory.apply(
        rule,
        given.q,
        given.k,
        given.v,
        controls=given.controls,
        constants=given.constants,
        state=given.state,
        form=form,
        read=read,
        chunk=chunk,
    )


@functools.cache
def answers(names, form, read, chunk=None):
    """What several rules answer to their inputs, and what they then hold, from one program."""
    rules, given = {name: memory.make(name) for name in names}, {name: inputs(name) for name in names}

    def all_rules(given):
        return {name: run(rules[name], given[name], form, read, chunk) for name in names}

    return jax.jit(all_rules, compiler_options=PLAIN)(jax.tree.map(jnp.asarray, given))


@functools.cache
def program(name, form, read, chunk=None, **options):
    """One rule as a compiled function of its inputs."""
    rule = memory.make(name, **options)
    compiled = jax.jit(lambda given: run(rule, given, form, read, chunk), compiler_options=PLAIN)
    return lambda given: compiled(jax.tree.map(jnp.asarray, given))


@functools.cache
def gradients(name, chunk=CHUNK, every=False):
    """Value and gradient in every input of a weighted sum of answers and last state, for each form and read."""
    rule = memory.make(name)
    pairs = [("sequential", "after"), ("chunked", "after")]
    if every:
        pairs += [("parallel", "after"), ("sequential", "before"), ("chunked", "before"), ("parallel", "before")]

    def loss(given, form, read):
        found = run(rule, given, form, read, chunk if form == "chunked" else None)
        leaves = [x for x in jax.tree.leaves(found.state) if jnp.issubdtype(x.dtype, jnp.floating)]
        weights = 1 + jnp.arange(found.outputs.size, dtype=found.outputs.dtype).reshape(found.outputs.shape) / 10
        return jnp.sum(weights * found.outputs) + sum(jnp.sum(jnp.sin(x + 1)) for x in leaves)

    def forms(given):
        slope = jax.value_and_grad(loss, allow_int=True)
        return {
            pair: [x for x in jax.tree.leaves(slope(given, *pair)) if jnp.issubdtype(x.dtype, jnp.floating)]
            for pair in pairs
        }

    compiled = jax.jit(forms, compiler_options=PLAIN)
    return lambda given: compiled(jax.tree.map(jnp.asarray, given))


def relative(found, expected):
    """Root-mean-square difference in units of the expected root mean square."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    size = np.sqrt(np.mean(expected**2))
    return np.sqrt(np.mean((found - expected) ** 2)) / (size if size > 0 else 1.0)
