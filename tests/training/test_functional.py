"""A flax module as pure functions against flax itself; its step in the loop of all rules."""

import einops
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from brainjax import training

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.standard_normal((12, 4, 4, 1)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 3, 12), jnp.int32)
FAST = {"xla_backend_optimization_level": 0}  # to compile
LIGHT = {"kernel_init": nnx.initializers.uniform(0.5)}  # the default draws take longer to compile


class Perceptron(nnx.Module):
    def __init__(self, rngs, dtype=jnp.float32):
        self.layers = nnx.List([nnx.Linear(m, n, param_dtype=dtype, rngs=rngs, **LIGHT) for m, n in ((16, 5), (5, 3))])

    def __call__(self, images):
        x = einops.rearrange(images, "b h w c -> b (h w c)")
        return self.layers[1](jnp.tanh(self.layers[0](x)))


class Convolutional(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), strides=2, rngs=rngs, **LIGHT)
        self.norm = nnx.BatchNorm(2, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs, **LIGHT)

    def __call__(self, images):
        x = nnx.relu(self.norm(self.conv(images)))
        return self.out(self.drop(einops.rearrange(x, "b h w c -> b (h w c)")))


class Growing(nnx.Module):
    def __init__(self, rngs):
        self.out = nnx.Linear(1, 3, rngs=rngs, **LIGHT)

    def __call__(self, images):
        self.calls = nnx.BatchStat(jnp.ones(()))
        return self.out(images)


def run(function, *arguments):
    return jax.jit(function).lower(*arguments).compile(compiler_options=FAST)(*arguments)


def cross_entropy(outputs, labels):
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, labels))


def by_flax(module):
    """Loss, gradient and what is left in the module, as a user of flax alone has them."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        module.train()
        loss, gradient = nnx.value_and_grad(lambda m: cross_entropy(m(IMAGES), LABELS))(module)
    return loss, nnx.to_pure_dict(gradient), nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.Param)))


@pytest.fixture(scope="module")
def convolutional():
    return training.functional(Convolutional)


@pytest.mark.parametrize("make", [Perceptron, Convolutional])
def test_gradients_and_statistics_are_those_of_flax(make):
    module = training.functional(make)

    def both(key):
        params, rest = module.init(key)

        def loss(params):
            outputs, after = module.apply(params, rest, IMAGES, training=True)
            return cross_entropy(outputs, LABELS), after

        (value, after), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return (value, gradient, after), by_flax(make(nnx.Rngs(key)))

    ours, of_flax = run(both, KEY)
    assert jax.tree.structure(ours) == jax.tree.structure(of_flax)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(of_flax), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dropout_moves_on_in_training_and_evaluation_changes_nothing(convolutional):
    def calls(key):
        params, rest = convolutional.init(key)
        first, after = convolutional.apply(params, rest, IMAGES, training=True)
        again, _ = convolutional.apply(params, rest, IMAGES, training=True)
        second, _ = convolutional.apply(params, after, IMAGES, training=True)
        whole, unchanged = convolutional.apply(params, after, IMAGES)
        one, _ = convolutional.apply(params, after, IMAGES[:1])
        statistics = [tree["norm"] for tree in (rest, after, unchanged)]
        return first, again, second, whole, one, statistics

    first, again, second, whole, one, (before, after, unchanged) = run(calls, KEY)
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.asarray(first - second)).max() > 1e-3
    np.testing.assert_allclose(whole[:1], one, rtol=1e-5)  # no statistics of the batch
    jax.tree.map(np.testing.assert_array_equal, after, unchanged)
    assert np.abs(after["mean"] - before["mean"]).max() > 1e-4


def test_keys_can_be_mapped_over(convolutional):
    def inits(keys):
        return jax.vmap(convolutional.init)(keys)[0], convolutional.init(keys[1])[0]

    several, one = run(inits, jax.random.split(KEY, 3))
    kernel = np.asarray(several["out"]["kernel"])
    assert len(np.unique(kernel[:, 0, 0])) == 3
    np.testing.assert_allclose(kernel[1], one["out"]["kernel"], rtol=1e-5)


def test_it_trains_in_the_loop_of_all_rules_in_its_own_precision():
    module = training.functional(lambda rngs: Perceptron(rngs, jnp.float64))
    transform = optax.sgd(0.5, momentum=0.9)
    images = IMAGES.astype(jnp.float64)

    def trained(key):
        return training.epochs(
            key,
            training.supervised_state(key, module, transform),
            step=training.supervised_step(module, transform),
            fetch=lambda rows: (images[rows], LABELS[rows]),
            rows=jnp.arange(12, dtype=jnp.int32),
            batch_size=4,
            epochs=30,
        )

    found = run(trained, KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.state.params)} == {jnp.dtype(jnp.float64)}
    assert int(found.state.steps) == 90
    assert found.info.accuracy[-1] == 1  # twelve examples are learned by heart
    assert found.info.loss[-1] < 0.05 * found.info.loss[0]


def test_a_loss_of_ones_own_and_no_labels():
    module, transform = training.functional(Perceptron), optax.sgd(0.1)
    targets = jnp.asarray(RNG.standard_normal((12, 3)), jnp.float32)

    def squares(outputs, targets):
        return jnp.mean((outputs - targets) ** 2)

    def both(key):
        state = training.supervised_state(key, module, transform)
        step = training.supervised_step(module, transform, loss=squares)
        value, slope = jax.value_and_grad(lambda p: squares(module.apply(p, {}, IMAGES)[0], targets))(state.params)
        return step(state, (IMAGES, targets), key), value, jax.tree.map(lambda w, g: w - 0.1 * g, state.params, slope)

    (state, info), value, expected = run(both, KEY)
    np.testing.assert_allclose(info.loss, value, rtol=1e-6)
    assert np.isnan(info.accuracy)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state.params, expected)


def test_what_does_not_fit_is_refused(convolutional):
    params, rest = jax.eval_shape(convolutional.init, KEY)
    with pytest.raises(ValueError, match="params are not those of this module"):
        convolutional.apply({"out": params["out"]}, rest, IMAGES)
    module = training.functional(Growing)
    with pytest.raises(ValueError, match="must not make new state, got calls"):
        jax.eval_shape(lambda key: module.apply(*module.init(key), IMAGES), KEY)
