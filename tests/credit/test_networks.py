"""Mirrored layers, initial weights, optimisers, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainjax import credit
from brainjax.credit._layers import folded_convolution, patch_convolution
from tests.credit.golden import BATCH, FORWARD, KEY, NET, PARAMS, filled, started

pytestmark = pytest.mark.slow  # most of it is compilation; the golden numbers run in make test

LAYERS = [
    credit.conv_pool(3, "tanh"),
    credit.upsample_conv(2, "elu", normalize=True),
    credit.conv_stride(4, "elu"),
    credit.flatten(),
    credit.dense(3, bias=True),
]
MIXED = credit.network(LAYERS, (4, 4, 2))


@pytest.fixture(scope="module")
def mixed():
    shapes = jax.eval_shape(lambda k: (credit.init_forward(k, MIXED), credit.init_feedback(k, MIXED)), KEY)
    images = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4, 4, 2)))
    return (*filled(shapes), credit.Batch(images, jnp.array([0, 1, 2, 1, 0])))


def test_levels_of_both_directions_have_the_same_shapes(mixed):
    forward, feedback, batch = mixed
    rising = jax.eval_shape(lambda w, x: credit.forward_activities(MIXED, w, x), forward, batch.inputs)
    falling = jax.eval_shape(lambda w, y: credit.feedback_activities(MIXED, w, y), feedback, jnp.eye(3))
    assert [a.shape[1:] for a in rising] == [b.shape[1:] for b in falling] == list(MIXED.levels)
    assert MIXED.levels == ((4, 4, 2), (2, 2, 3), (4, 4, 2), (2, 2, 4), (3,))


def test_backpropagation_through_every_kind_of_layer_is_automatic_differentiation(mixed):
    forward, _, batch = mixed

    def loss(weights):
        logs = jax.nn.log_softmax(credit.forward_activities(MIXED, weights, batch.inputs)[-1])
        return -jnp.mean(logs[jnp.arange(5), batch.targets])

    mirror = tuple({"kernel": credit.mirrored(w["kernel"])} for w in forward)

    @jax.jit
    def three(weights):
        first = credit.make("backprop", MIXED).grads(credit.Params(weights, (), ()), batch, KEY)
        second = credit.make("feedback_alignment", MIXED).grads(credit.Params(weights, mirror, ()), batch, KEY)
        return first.forward, second.forward, jax.grad(loss)(weights)

    by_hand, through_mirror, expected = three(forward)
    for found in (by_hand, through_mirror):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, expected)


def test_a_mirrored_convolution_sends_back_the_transpose():
    net = credit.network([credit.conv_stride(3, stride=1, bias=False)], (5, 4, 2))
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 2, 3)))
    x, y = (np.random.default_rng(s).normal(size=(1, *net.levels[s])) for s in (0, 1))

    @jax.jit
    def both(x, y):
        forth = credit.forward_activities(net, ({"kernel": kernel},), x)[-1]
        return forth, credit.feedback_activities(net, ({"kernel": credit.mirrored(kernel)},), y)[0]

    forth, back = both(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(np.vdot(forth, y), np.vdot(x, back), rtol=1e-12)
    np.testing.assert_array_equal(credit.mirrored(credit.mirrored(kernel)), kernel)


def test_calibrated_statistics_are_those_of_the_batch_and_make_predictions_independent(mixed):
    forward, _, batch = mixed
    rule = credit.make("backprop", MIXED)
    statistics = jax.jit(lambda w, x: credit.calibrate(MIXED, w, x))(forward, batch.inputs)
    assert [s is None for s in statistics] == [True, False, True, True]
    predict, few = jax.jit(rule.predict), jnp.concatenate([batch.inputs[:2]] + [batch.inputs[:1]] * 3)
    together = predict(forward, batch.inputs, statistics)
    np.testing.assert_allclose(together, predict(forward, batch.inputs), rtol=1e-12)
    np.testing.assert_allclose(predict(forward, few, statistics)[:2], together[:2], rtol=1e-12)
    assert not np.allclose(predict(forward, few)[:2], together[:2], rtol=1e-3)


def test_the_papers_networks():
    assert credit.mlp([784, *[256] * 5, 10]).levels == ((784,), *[(256,)] * 5, (10,))
    for kind in ("pool", "stride"):
        net = credit.cnn(kind=kind)
        assert net.levels == ((32, 32, 3), (16, 16, 128), (8, 8, 128), (4, 4, 256), (2, 2, 256), (1, 1, 512), (10,))
        assert net.inputs[-1] == (512,)
        weights = jax.eval_shape(lambda k, net=net: credit.init_forward(k, net), KEY)
        assert 2.2e6 < sum(leaf.size for leaf in jax.tree.leaves(weights)) < 2.23e6
        image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float64)
        count = credit.program_flops(lambda w, x, net=net: credit.forward_activities(net, w, x)[-1], weights, image)
        assert round(count / 1e6, 1) == {"pool": 148.6, "stride": 37.2}[kind]
    net = credit.autoencoder()
    assert net.levels[4] == (6, 6, 2048)
    assert net.levels[0] == net.levels[-1] == (96, 96, 3)
    assert (
        round(sum(w.size for w in jax.tree.leaves(jax.eval_shape(lambda k: credit.init_forward(k, net), KEY))) / 1e6)
        == 43
    )


def test_initial_weights():
    net = credit.mlp([300, 200, 10], bias=True)
    forward, feedback = jax.jit(lambda k: (credit.init_forward(k, net), credit.init_feedback(k, net, jnp.float32)))(KEY)
    for kernel, inputs in ((forward[0]["kernel"], 300), (forward[1]["kernel"], 200), (feedback[1]["kernel"], 10)):
        assert kernel.shape[0] == inputs
        assert np.abs(kernel).max() <= 1 / np.sqrt(inputs)
        moments = np.asarray(kernel, float) ** 2 * 3 * inputs  # mean 1, variance 4/5
        assert abs(moments.mean() - 1) < 4 * np.sqrt(0.8 / kernel.size)
    assert not forward[0]["bias"].any()
    assert not feedback[1]["bias"].any()
    assert feedback[0]["kernel"].dtype == jnp.float32
    assert feedback[0]["bias"].shape == (300,)


@pytest.mark.slow
def test_orthogonal_starts():
    net = credit.autoencoder((8, 8, 2), channels=(24, 4))
    forward = jax.jit(lambda k: credit.init_forward(k, net))(KEY)
    wide, tall, up, last = (np.asarray(w["kernel"]).reshape(-1, w["kernel"].shape[-1]) for w in forward)
    np.testing.assert_allclose(wide @ wide.T, np.eye(18), atol=1e-12)
    np.testing.assert_allclose(tall.T @ tall, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(up.T @ up, 1e-6 * np.eye(24), atol=1e-16)
    assert not last.any()
    rule = credit.make("counter_current", net, objective="reconstruction")
    images = jax.random.normal(KEY, (3, 8, 8, 2))
    info = jax.jit(lambda k: rule.grads(rule.init(k).params, credit.Batch(images, images), k).info)(KEY)
    np.testing.assert_allclose([info.loss, info.local[0] / 8], np.mean(images**2))  # both reconstructions start at zero


def test_centralised_gradients_have_no_mean_over_the_inputs_of_a_unit():
    gradients = ({"kernel": jnp.arange(24.0).reshape(2, 2, 2, 3) ** 2, "bias": jnp.arange(3.0)},)
    found, _ = credit.centralise().update(gradients, None)
    np.testing.assert_allclose(found[0]["kernel"].sum((0, 1, 2)), 0, atol=1e-10)
    np.testing.assert_array_equal(found[0]["bias"], gradients[0]["bias"])
    assert (
        np.abs(optax.centralize().update(gradients, None)[0][0]["kernel"].sum((0, 1, 2))).min() > 1
    )  # not in flax's layout


@pytest.mark.parametrize("per_layer", [False, True])
def test_a_step_of_the_optimiser_written_out(per_layer):
    optimiser = credit.sgd(0.5, clip=0.04, per_layer=per_layer, centralised=True, decay=0.1, momentum=0.9)
    rule = credit.make("backprop", NET, forward=optimiser)
    assert rule.defaults == {
        "forward_rate": 0.5, "forward_clip": 0.04, "forward_decay": 0.1, "forward_momentum": 0.9
    }  # fmt: skip
    params = credit.Params(FORWARD, (), ())
    state = started(rule, params)
    gradients, step = jax.jit(rule.grads), jax.jit(rule.step)
    weights, memory = [np.asarray(w["kernel"]) for w in FORWARD], [0.0] * 3
    for clip in (0.04, 0.02):  # a traced value replaces the default
        g = [np.asarray(w["kernel"]) for w in gradients(state.params, BATCH, KEY).forward]
        g = [x - x.mean(0, keepdims=True) for x in g]
        whole = np.sqrt(sum((x**2).sum() for x in g))
        g = [x * min(1, clip / (np.sqrt((x**2).sum()) if per_layer else whole)) for x in g]
        memory = [0.9 * m + x + 0.1 * w for m, x, w in zip(memory, g, weights, strict=True)]
        weights = [w - 0.5 * m for w, m in zip(weights, memory, strict=True)]
        state, _ = step(state, BATCH, KEY, {"forward_clip": clip})
        for found, expected in zip(state.forward, weights, strict=True):
            np.testing.assert_allclose(found["kernel"], expected, rtol=1e-12, atol=1e-14)
    assert state.steps == 2


def test_any_optax_transform_serves_as_an_optimiser():
    adam = credit.Optimiser(lambda h: optax.adam(h["rate"], b1=h["memory"]), {"rate": 1e-2, "memory": 0.8})
    rule = credit.make("counter_current", NET, loss="mlp", forward=adam, feedback=credit.sgd(0.1))
    state = started(rule, PARAMS)
    moved, _ = jax.jit(rule.step)(state, BATCH, KEY, {"forward_rate": 0.05})
    change = np.asarray(moved.forward[0]["kernel"] - FORWARD[0]["kernel"])
    np.testing.assert_allclose(np.abs(change), 0.05, rtol=1e-4)  # the first step of Adam has the size of its rate


def refuse(message, function, *arguments, **options):
    with pytest.raises(ValueError, match=message) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_bad_rules_and_networks_are_refused():
    refuse("no rule 'backprob': did you mean 'backprop'", credit.make, "backprob", NET)
    refuse(
        "counter_current has no option 'looss': did you mean 'loss'", credit.make, "counter_current", NET, looss="mlp"
    )
    refuse("loss must be one of 'mlp', 'cnn'", credit.make, "counter_current", NET, loss="mpl")
    refuse("loss must be 'autoencoder' for reconstruction", credit.make, "counter_current", NET, loss="autoencoder")
    refuse("classification needs a vector", credit.make, "backprop", credit.autoencoder((8, 8, 1), channels=(2,)))
    refuse("objective must be one of", credit.make, "pepita", NET, objective="reconstruction")
    refuse("pool or normalise", credit.make, "pepita", MIXED)
    refuse("magnitudes must be one of", credit.make, "sign_symmetry", NET, magnitudes="uniforn")
    refuse("iterations must be 1 or more", credit.make, "predictive_coding", NET, iterations=0)
    refuse("activation must be one of", credit.mlp, [4, 3, 2], "eluu")
    refuse("put flatten", credit.network, [credit.conv_pool(3), credit.dense(2)], (4, 4, 1))
    refuse("does not mirror", credit.cnn, (28, 28, 1))
    refuse("kernel must be odd", credit.conv_stride, 3, kernel=4)
    refuse("end with a layer that has weights", credit.network, [credit.dense(3), credit.flatten()], (4,))
    refuse("rate must be zero or more", credit.sgd, -1.0)


def test_bad_batches_weights_and_hyperparameters_are_refused():
    rule = credit.make("counter_current", NET, loss="mlp")
    x, y = BATCH
    grads = rule.grads
    refuse("targets must be labels from 0 to 2, got 3", grads, PARAMS, credit.Batch(x, y + 1), KEY)
    refuse("targets must be labels, whole numbers", grads, PARAMS, credit.Batch(x, np.ones(4)), KEY)
    refuse("inputs must have shape", grads, PARAMS, credit.Batch(x[:, :5], y), KEY)
    refuse("inputs must be floating point, got uint8: scale", grads, PARAMS, credit.Batch(x.astype(jnp.uint8), y), KEY)
    refuse("no 'forward_rat': did you mean 'forward_rate'", grads, PARAMS, BATCH, KEY, {"forward_rat": 1.0})
    refuse("hyperparameter scale must be a number", grads, PARAMS, BATCH, KEY, {"scale": np.ones(2)})
    wrong = (*PARAMS.feedback[:2], {"kernel": PARAMS.feedback[2]["kernel"].T})
    refuse(
        r"feedback\[2\]\['kernel'\] must have shape \(3, 4\) to mirror",
        grads,
        PARAMS._replace(feedback=wrong),
        BATCH,
        KEY,
    )
    other = credit.make("backprop", NET)
    refuse("not those of the rule backprop", other.grads, PARAMS, BATCH, KEY)
    image = credit.make(
        "backprop", credit.autoencoder((4, 4, 1), channels=(2,), normalize=False), objective="reconstruction"
    )
    params = jax.tree.map(lambda s: jnp.zeros(s.shape), jax.eval_shape(image.init, KEY).params)
    refuse(
        "targets must have shape", image.grads, params, credit.Batch(jnp.ones((2, 4, 4, 1)), jnp.ones((2, 4, 4))), KEY
    )


@pytest.mark.parametrize(("side", "stride"), [(3, 2), (5, 1)])
def test_convolutions_by_patches_and_by_folded_kernels_are_those_of_xla(side, stride):
    rng = np.random.default_rng(side)
    kernel, x = jnp.asarray(rng.normal(size=(side, side, 2, 3))), jnp.asarray(rng.normal(size=(2, 6, 4, 2)))

    def direct(kernel, x, step):
        edges = [(side // 2,) * 2] * 2
        return jax.lax.conv_general_dilated(
            x, kernel, (step, step), edges, dimension_numbers=("NHWC", "HWIO", "NHWC"), preferred_element_type=x.dtype
        )

    large = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
    expected = jax.jit(lambda: (direct(kernel, x, stride), direct(kernel, large, 1)))()
    found = jax.jit(lambda: (patch_convolution(kernel, x, stride), folded_convolution(kernel, x, 2)))()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
