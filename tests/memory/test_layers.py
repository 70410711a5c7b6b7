"""Layers of memory rules against the same written out, and what they must not be able to do."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from brainjax import memory, training
from brainjax.memory import layers
from tests import as_user

KEY = jax.random.key(5)
STEPS, FEATURES = 7, 6
X = np.random.default_rng(0).standard_normal((2, STEPS, FEATURES))
DELTA, GATED = memory.make("delta"), memory.make("gated_delta")
FAST = {"xla_backend_optimization_level": 0}  # to compile


def attention(rule=GATED, **options):
    options = {"controls": tuple(rule.controls), "dtype": jnp.float64} | options
    return training.functional(lambda rngs: layers.MemoryAttention(rule, FEATURES, rngs=rngs, **options))


def drawn(module):
    """Parameters of the module's shapes; drawing them here spares compiling its own draws."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda w: jnp.asarray(rng.standard_normal(w.shape), w.dtype), shapes(module))


def shapes(module):
    return jax.eval_shape(module.init, KEY)[0]


def program(module):
    return jax.jit(lambda params, x: module.apply(params, {}, x)[0], compiler_options=FAST)


HEADS = {"heads": 2, "key_size": 3, "value_size": 2, "convolution": 2, "beta_range": 2.0, "normalise_output": True}


@pytest.fixture(scope="module")
def two_heads():
    module = attention(**HEADS)
    return program(module), drawn(module)


GATES = (("beta", 2, -1), ("log_decay", 1, 1))  # 2 sigma(z), and exp(-softplus(z)) = sigma(-z)


def written_out(params, x, heads, d_k, d_v):
    """One sequence, head by head and step by step, in numpy."""
    p = jax.tree.map(np.asarray, params)
    z = x @ p["streams"]["kernel"]
    now, before = p["convolution"]["coefficients"]
    z = now * z + before * np.concatenate([np.zeros_like(z[:1]), z[:-1]])
    queries, keys, values = np.split(z, [heads * d_k, 2 * heads * d_k], 1)
    raw = {name: x @ gate["kernel"] + gate["bias"] for name, gate in p["gates"].items()}
    beta, decay = (factor / (1 + np.exp(sign * raw[name])) for name, factor, sign in GATES)
    read = np.zeros((len(x), heads * d_v))
    for h in range(heads):
        s = np.zeros((d_k, d_v))
        for t in range(len(x)):
            q, k = (rows[t, h * d_k : (h + 1) * d_k] for rows in (queries, keys))
            q, k = q / np.sqrt(q @ q + 1e-6), k / np.sqrt(k @ k + 1e-6)
            v = values[t, h * d_v : (h + 1) * d_v]
            s = decay[t, h] * s
            s = s + beta[t, h] * np.outer(k, v - s.T @ k)
            o = s.T @ q
            read[t, h * d_v : (h + 1) * d_v] = p["norm"]["scale"] * o / np.sqrt(np.mean(o**2) + 1e-6)
    return read @ p["out"]["kernel"]


def test_a_layer_is_what_its_equations_say(two_heads):
    run, params = two_heads
    expected = np.stack([written_out(params, x, 2, 3, 2) for x in X])
    np.testing.assert_allclose(run(params, X), expected, rtol=1e-9)


def test_heads_are_interchangeable(two_heads):
    """Swapping the heads' columns everywhere, and the rows of the way out, changes nothing."""
    run, params = two_heads

    def swapped(w, axis=-1):
        return np.roll(w, w.shape[axis] // 2, axis)

    def swapped_streams(w):
        return np.concatenate([swapped(part) for part in np.split(np.asarray(w), [6, 12], -1)], -1)

    other = params | {part: jax.tree.map(swapped_streams, params[part]) for part in ("streams", "convolution")}
    other |= {"gates": jax.tree.map(swapped, params["gates"]), "out": {"kernel": swapped(params["out"]["kernel"], 0)}}
    np.testing.assert_allclose(run(other, X), run(params, X), rtol=1e-12)


def test_no_step_sees_a_later_one(two_heads):
    """Whatever comes after step t, what is read up to t is the same to the last bit; what comes at t matters."""
    run, params = two_heads
    for t in range(STEPS - 1):
        changed = X.copy()
        changed[:, t + 1 :] += 1
        np.testing.assert_array_equal(run(params, changed)[:, : t + 1], run(params, X)[:, : t + 1])
        assert np.all(np.abs(run(params, changed)[:, t + 1] - run(params, X)[:, t + 1]).max(1) > 1e-3)


@pytest.mark.parametrize(("form", "chunk"), [("sequential", None), ("chunked", 3)])
def test_forms_agree(two_heads, form, chunk):
    whole, params = two_heads
    run = program(attention(**HEADS, form=form, chunk=chunk))
    np.testing.assert_allclose(run(params, X), whole(params, X), rtol=1e-9)


def test_decay_starts_slow_and_rates_in_the_middle():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        gates = layers.MemoryAttention(GATED, 2, controls=("beta", "log_decay"), rngs=nnx.Rngs(0)).gates
    np.testing.assert_allclose(np.log1p(np.exp(gates["log_decay"].bias[...])), 0.02, rtol=1e-6)
    np.testing.assert_array_equal(gates["beta"].bias[...], 0)


def test_features_widen_keys_and_their_gates():
    rule = memory.make("gated_hebb")
    module = attention(rule, key_size=2, feature_map=memory.dpfp, controls=("log_decay",))
    assert shapes(module)["gates"]["log_decay"]["kernel"].shape == (FEATURES, 4)
    assert jax.eval_shape(program(module), shapes(module), X).shape == X.shape


def test_a_rule_without_chunks_is_run_step_by_step():
    module = attention(memory.make("momentum"), controls=(), constants={"beta": 0.5}, chunk=4)
    assert jax.eval_shape(program(module), shapes(module), X).shape == X.shape


def test_reading_before_the_write_does_not_see_it():
    module = attention(memory.make("hebb"), normalise_keys=False, controls=(), read="before")
    found = program(module)(drawn(module), X)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert np.all(found[:, 1] != 0)


def network(**options):
    return training.functional(
        lambda rngs: layers.MemoryNetwork(
            DELTA, vocabulary=4, features=8, layers=1, mlp=4, convolution=2, controls=("beta",), rngs=rngs, **options
        )
    )


def step_of(module, transform):
    def loss(logits, tokens):
        labels = jax.nn.one_hot(tokens, 4, dtype=logits.dtype)
        return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), -1))

    return training.supervised_step(module, transform, loss)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_of_tokens_fits_the_step_of_all_modules(dtype):
    module, transform = network(dtype=jnp.dtype(dtype)), optax.sgd(0.1)
    state = jax.eval_shape(lambda: training.supervised_state(KEY, module, transform))
    tokens = jnp.zeros((2, 5), jnp.int32)
    after, info = jax.eval_shape(step_of(module, transform), state, (tokens, tokens), KEY)
    assert after == state
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after.params)} == {dtype} == {info.loss.dtype.name}


@pytest.mark.slow
def test_a_network_of_tokens_learns():
    """Repeating the token before needs the convolution and nothing else; one of eight has none before it."""
    module, transform = network(form="parallel"), optax.adam(0.02)

    def trained(key):
        tokens = jax.random.randint(key, (16, 9), 0, 4)
        batch, step = (tokens[:, 1:], tokens[:, :-1]), step_of(module, transform)
        state = training.supervised_state(key, module, transform)
        return jax.lax.scan(lambda state, key: step(state, batch, key), state, jax.random.split(key, 400))[1]

    info = jax.jit(trained)(KEY)
    assert float(info.loss[0]) > 0.8 * np.log(4)
    assert float(info.accuracy[-1]) > 7 / 8


def test_modules_work_without_the_adaptor():
    def called(x):
        module = layers.SequenceRegressor(
            DELTA, inputs=3, outputs=2, features=4, normalise=True, controls=("beta",), rngs=nnx.Rngs(0)
        )
        return module(x)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = jax.eval_shape(called, jnp.ones((5, 3), jnp.float32))
    assert (found.shape, found.dtype) == ((5, 2), jnp.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4}, "heads must divide features = 6 where no sizes are given, got 4"),
        ({"controls": ("betta",)}, "controls of delta have no 'betta': did you mean 'beta'?"),
        ({"controls": ("beta", "beta")}, "controls must be different, got beta, beta"),
        ({"controls": ("beta",), "constants": {"beta": 1.0}}, "constants must not hold 'beta'"),
        ({"constants": {"beat": 1.0}}, "constants of delta have no 'beat': did you mean 'beta'?"),
        ({"convolution": -1}, "convolution must be 0 or more, got -1"),
        ({"beta_range": 2.5}, "beta_range must be above 0 and at most 2, got 2.5"),
        ({"key_size": 0}, "key_size must be 1 or more, got 0"),
        ({"form": "fast"}, "form must be one of 'sequential', 'chunked', 'parallel', got 'fast'"),
        ({"read": "during"}, "read must be one of 'after', 'before', got 'during'"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError) as refused:
        layers.MemoryAttention(DELTA, 6, rngs=nnx.Rngs(0), **options)
    assert str(refused.value).startswith(message)


def test_a_sequence_of_other_features_is_refused():
    module = attention()
    with pytest.raises(ValueError, match=r"x must have shape \(2, any, 6\) \(..., steps, features\), got \(2, 7, 5\)"):
        module.apply(shapes(module), {}, jnp.zeros((2, STEPS, 5)))


def test_flax_is_imported_with_the_layers_only(tmp_path):
    as_user.run("import sys, brainjax.memory; assert 'flax' not in sys.modules", cwd=tmp_path, timeout=60)
