"""All forms of all rules against numpy loops and against one another; what every rule must be able to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory
from tests.memory import references
from tests.memory.sequences import CHUNK, D_K, D_V, STEPS, answers, gradients, inputs, program, relative, run

ALL = tuple(memory.RULES)
CHUNKED = tuple(name for name in ALL if "chunked" in memory.make(name).forms)
NEAR_COPIES = ("hebb", "normalised_delta", "hopfield", "gated_delta")  # of others that the same lines serve
PIECES = tuple(name for name in CHUNKED if name not in NEAR_COPIES)


def same(found, expected, tolerance):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.all(np.isfinite(a))
        assert relative(a, b) < tolerance


def as_written_out(name, found, read):
    outputs, state = references.run(name, *inputs(name), read)
    assert relative(found.outputs, outputs) < 1e-12
    for part, wanted in zip(found.state, state, strict=True):
        assert relative(part, wanted) < 1e-12


@pytest.mark.parametrize("name", memory.RULES)
def test_step_by_step(name):
    as_written_out(name, answers(ALL, "sequential", "before")[name], "before")


@pytest.mark.parametrize("name", PIECES)
def test_in_one_piece(name):
    as_written_out(name, answers(PIECES, "parallel", "after")[name], "after")


@pytest.mark.parametrize("name", ["mlstm", "minibatch_delta", "softmax"])  # gated_delta: with gradients, below
def test_in_chunks_of_which_the_last_is_shorter(name):
    as_written_out(name, answers(("mlstm", "minibatch_delta", "softmax"), "chunked", "after", CHUNK)[name], "after")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHUNKED)
@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_in_chunks_of_any_size(name, chunk):
    as_written_out(name, answers(CHUNKED, "chunked", "before", chunk)[name], "before")


@pytest.mark.parametrize("name", memory.RULES)
def test_a_rule_is_a_pure_step_of_one_type(name):
    """Same tree out as in, in float32 as in float64, scanned and mapped; nothing is compiled for it."""
    rule = memory.make(name)
    narrow = jax.tree.map(
        lambda x: np.broadcast_to(
            np.asarray(x, np.float32 if np.asarray(x).dtype.kind == "f" else None), (3, *np.shape(x))
        ),
        inputs(name),
    )
    found = jax.eval_shape(jax.vmap(lambda given: run(rule, given, "sequential", "after")), narrow)
    assert found.outputs.shape == (3, STEPS, D_V)
    assert found.outputs.dtype == jnp.float32
    start = jax.eval_shape(lambda: rule.init_state(D_K, D_V, dtype=jnp.float32, length=STEPS + 3))
    assert jax.tree.structure(found.state) == jax.tree.structure(start)
    for after, before in zip(jax.tree.leaves(found.state), jax.tree.leaves(start), strict=True):
        assert (after.shape, after.dtype) == ((3, *before.shape), before.dtype)
    again = jax.eval_shape(rule.step, start, jnp.zeros(D_K, jnp.float32), jnp.zeros(D_V, jnp.float32))
    assert again == start
    assert jax.eval_shape(rule.read, start, jnp.zeros(D_K, jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize("name", ["gated_delta", pytest.param("gated_hebb", marks=pytest.mark.slow)])
def test_gradients_agree_also_with_strong_gates_and_repeated_keys(name):
    """One program, four inputs; whether keys repeat or gates close, nothing becomes infinite or NaN."""
    steps = 2 * CHUNK
    slopes, given = gradients(name), inputs(name, steps=steps)
    strong = np.where(np.arange(steps) % 3 == 0, -8.0, -0.01)
    log_decay = np.broadcast_to(
        strong.reshape(steps, *[1] * (given.controls["log_decay"].ndim - 1)), given.controls["log_decay"].shape
    )
    closed = given._replace(controls=given.controls | {"log_decay": log_decay})
    shut = given._replace(controls=given.controls | {"log_decay": np.full_like(log_decay, -800.0)})
    repeated = given._replace(
        k=np.broadcast_to(given.k[:1], given.k.shape),
        controls=given.controls | {"beta": np.repeat([1.0, 2.0], CHUNK)},
    )
    for case in (given, closed, shut, repeated):
        found = slopes(case)
        same(found["chunked", "after"], found["sequential", "after"], 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHUNKED)
def test_gradients_of_all_forms_agree(name):
    """In double precision all forms and reads, in single precision the chunked form."""
    given = inputs(name, steps=37, d_k=4, d_v=5)
    found = gradients(name, 8, every=True)(given)
    for form, read in found:
        same(found[form, read], found["sequential", read], 1e-12)
    narrow = jax.tree.map(lambda x: np.asarray(x, np.float32) if np.asarray(x).dtype.kind == "f" else x, given)
    single = gradients(name, 8)(narrow)["chunked", "after"]
    assert all(x.dtype == jnp.float32 for x in single)
    same(single, found["sequential", "after"], 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHUNKED)
def test_answers_agree_in_single_precision(name):
    given = inputs(name, steps=100, d_k=4, d_v=5)
    narrow = jax.tree.map(lambda x: np.asarray(x, np.float32) if np.asarray(x).dtype.kind == "f" else x, given)
    for form, read, chunk in (("sequential", "after", None), ("chunked", "after", 64), ("parallel", "before", None)):
        found = program(name, form, read, chunk)(narrow)
        assert found.outputs.dtype == jnp.float32
        assert relative(found.outputs, references.run(name, *given, read)[0]) < 5e-6


def test_half_precision_is_computed_in_float32():
    rule = memory.make("delta")
    q, k, v = (jnp.ones((4, d), jnp.bfloat16) / 2 for d in (3, 3, 2))
    found = jax.eval_shape(lambda: memory.apply(rule, q, k, v, form="parallel"))
    assert (found.outputs.dtype, found.state.weights.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.slow
def test_mapped_over_heads_is_one_after_the_other():
    heads = [inputs("gated_delta", seed=seed) for seed in range(3)]
    rule = memory.make("gated_delta")
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *heads)
    found = jax.jit(jax.vmap(lambda given: run(rule, given, "chunked", "after", CHUNK)))(stacked)
    one = program("gated_delta", "chunked", "after", CHUNK)
    for i, given in enumerate(heads):
        same([x[i] for x in jax.tree.leaves(found)], one(given), 1e-13)
