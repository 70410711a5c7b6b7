"""Counter-current learning against the authors' numbers, updates derived by hand, and what must not depend on what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit, data
from tests.credit.golden import (
    BATCH,
    CROSS_ENTROPY,
    EXPECTED,
    FEEDBACK,
    FORWARD,
    INPUTS,
    KEY,
    LABELS,
    NET,
    OUTPUTS,
    PARAMS,
    TEMPLATE,
    filled,
    started,
)

RULES = {loss: credit.make("counter_current", NET, loss=loss) for loss in ("mlp", "cnn")}
GRADS = {loss: jax.jit(rule.grads) for loss, rule in RULES.items()}
PRINTED = 0.6e-10  # ten decimals


def norms(weights):
    return [np.linalg.norm(w["kernel"]) for w in weights]


@pytest.mark.parametrize("loss", ["mlp", "cnn"])
def test_losses_and_gradients_are_those_of_the_authors_modules(loss):
    expected, found = EXPECTED[loss], GRADS[loss](PARAMS, BATCH, KEY)
    np.testing.assert_allclose(found.info.local, expected["local"], rtol=0, atol=PRINTED)
    np.testing.assert_allclose(found.info.loss, CROSS_ENTROPY, rtol=0, atol=PRINTED)
    np.testing.assert_allclose(sum(found.info.local) + found.info.loss, expected["total"], rtol=0, atol=PRINTED)
    np.testing.assert_allclose(norms(found.forward), expected["forward"], rtol=0, atol=PRINTED)
    np.testing.assert_allclose(norms(found.feedback), expected["feedback"], rtol=0, atol=PRINTED)
    np.testing.assert_allclose(found.forward[0]["kernel"][0, 0], expected["first"], rtol=0, atol=PRINTED)
    np.testing.assert_allclose(found.feedback[2]["kernel"][0, 0], expected["last"], rtol=0, atol=PRINTED)


def test_activities_are_those_of_the_authors_modules():
    rising = credit.forward_activities(NET, FORWARD, INPUTS)
    falling = credit.feedback_activities(NET, FEEDBACK, jnp.eye(3))
    np.testing.assert_allclose(rising[-1][0], OUTPUTS, rtol=0, atol=PRINTED)
    np.testing.assert_allclose(falling[0][0], TEMPLATE, rtol=0, atol=PRINTED)
    np.testing.assert_array_equal(RULES["mlp"].predict(FORWARD, INPUTS), rising[-1])


def elu(z):
    return np.where(z > 0, z, np.expm1(z)), np.where(z > 0, 1.0, np.exp(z))


def test_updates_derived_by_hand():
    up = [np.asarray(w["kernel"]) for w in FORWARD]
    down = [np.asarray(w["kernel"]) for w in FEEDBACK]
    y, batch, classes = np.eye(3)[np.asarray(LABELS)], 4, 3
    a, z = [np.asarray(INPUTS)], []
    for l, u in enumerate(up):
        z.append(a[-1] @ u)
        a.append(elu(z[-1])[0] if l < 2 else z[-1])
    b, w = [np.eye(3)], []
    for l in (2, 1, 0):
        w.insert(0, b[0] @ down[l])
        b.insert(0, elu(w[0])[0] if l else w[0])
    errors = [a[l] @ b[l].T - y for l in range(3)]
    kappa = [2 * 256 * 0.5 / a[l].shape[1] / (batch * classes) for l in range(3)]
    for_up = [kappa[l] * a[l - 1].T @ ((errors[l] @ b[l]) * elu(z[l - 1])[1]) for l in (1, 2)]
    softmax = np.exp(a[3]) / np.exp(a[3]).sum(1, keepdims=True)
    for_up.append(a[2].T @ (softmax - y) / batch)
    for_down = [kappa[0] * b[1].T @ (errors[0].T @ a[0])]
    for_down += [kappa[l] * b[l + 1].T @ ((errors[l].T @ a[l]) * elu(w[l])[1]) for l in (1, 2)]
    found = GRADS["mlp"](PARAMS, BATCH, KEY)
    for l in range(3):
        np.testing.assert_allclose(found.forward[l]["kernel"], for_up[l], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found.feedback[l]["kernel"], for_down[l], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", ["mlp", "cnn"])
def test_every_loss_trains_one_layer_of_each_network_and_nothing_else(loss):
    def losses(forward, feedback):
        info = RULES[loss].grads(credit.Params(forward, feedback, ()), BATCH, KEY).info
        return jnp.append(info.local, info.loss)

    # The gradients inside grads are of stopped passes; here the losses themselves are traced with the stops in place.
    up, down = jax.jit(jax.jacrev(losses, (0, 1)))(FORWARD, FEEDBACK)
    pattern = [[bool(np.any(w["kernel"][l])) for w in up] for l in range(4)]
    assert pattern == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    pattern = [[bool(np.any(w["kernel"][l])) for w in down] for l in range(4)]
    assert pattern == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.fixture(scope="module")
def images():
    net = credit.network(
        [credit.conv_stride(3, "elu"), credit.conv_pool(4, "elu"), credit.flatten(), credit.dense(3)], (8, 8, 2)
    )
    rule = credit.make("counter_current", net)
    pixels = np.random.default_rng(1).normal(size=(5, 8, 8, 2))
    batch = credit.Batch(jnp.asarray(pixels), jnp.array([0, 1, 2, 0, 1]))
    return rule, filled(jax.eval_shape(rule.init, KEY).params), batch


@pytest.mark.slow
def test_locality_in_a_convolutional_network(images):
    rule, params, batch = images

    def losses(forward, feedback):
        info = rule.grads(credit.Params(forward, feedback, ()), batch, KEY).info
        return jnp.append(info.local, info.loss)

    up, down = jax.jit(jax.jacrev(losses, (0, 1)))(params.forward, params.feedback)
    for weights, shift in ((up, 1), (down, 0)):
        pattern = [[any(np.any(leaf[l]) for leaf in w.values()) for w in weights] for l in range(4)]
        np.testing.assert_array_equal(pattern, np.eye(4, 3, -shift, dtype=bool))


def test_neither_network_depends_on_the_other_before_the_update():
    other = jax.tree.map(lambda w: w + 1, FEEDBACK)
    found, moved = GRADS["mlp"](PARAMS, BATCH, KEY), GRADS["mlp"](PARAMS._replace(feedback=other), BATCH, KEY)
    np.testing.assert_array_equal(found.info.loss, moved.info.loss)
    np.testing.assert_array_equal(found.forward[-1]["kernel"], moved.forward[-1]["kernel"])
    assert not np.allclose(found.info.local, moved.info.local)


def test_prototypes_are_the_feedback_of_labels_if_each_class_comes_once():
    batch = credit.Batch(INPUTS[:3], jnp.arange(3))
    by_label = credit.make("counter_current", NET, loss="mlp", prototypes=False)
    found, other = GRADS["mlp"](PARAMS, batch, KEY), jax.jit(by_label.grads)(PARAMS, batch, KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), found, other)


@pytest.mark.parametrize("loss", ["mlp", "cnn"])
def test_order_of_examples_and_names_of_classes_do_not_matter(loss):
    order, names = jnp.array([2, 0, 3, 1]), jnp.array([2, 0, 1])  # class k becomes names[k]
    found = GRADS[loss](PARAMS, BATCH, KEY)
    shuffled = GRADS[loss](PARAMS, credit.Batch(INPUTS[order], LABELS[order]), KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), found, shuffled)
    back = jnp.argsort(names)
    renamed = credit.Params(
        (*FORWARD[:2], {"kernel": FORWARD[2]["kernel"][:, back]}),
        (*FEEDBACK[:2], {"kernel": FEEDBACK[2]["kernel"][back]}),
        (),
    )
    info = GRADS[loss](renamed, credit.Batch(INPUTS, names[LABELS]), KEY).info
    np.testing.assert_allclose(info.local, found.info.local, rtol=1e-12)
    np.testing.assert_allclose(info.loss, found.info.loss, rtol=1e-12)


def test_the_normalised_loss_does_not_see_the_scale_of_features_and_the_other_sees_no_rotation():
    linear = credit.mlp([6, 5, 3], "identity")
    weights = credit.Params(
        ({"kernel": FORWARD[0]["kernel"]}, {"kernel": jnp.ones((5, 3))}),
        (FEEDBACK[0], {"kernel": jnp.asarray(np.arange(15.0).reshape(3, 5) - 6)}),
        (),
    )
    grads = {loss: jax.jit(credit.make("counter_current", linear, loss=loss).grads) for loss in ("mlp", "cnn")}
    before = {loss: grads[loss](weights, BATCH, KEY).info.local for loss in grads}

    def turned(matrix):
        up = ({"kernel": weights.forward[0]["kernel"] @ matrix}, weights.forward[1])
        down = (weights.feedback[0], {"kernel": weights.feedback[1]["kernel"] @ matrix})
        return credit.Params(up, down, ())

    scaled = grads["cnn"](turned(3.0 * jnp.eye(5)), BATCH, KEY).info.local
    np.testing.assert_allclose(scaled[1], before["cnn"][1], rtol=1e-7)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    rotated = grads["mlp"](turned(jnp.asarray(rotation)), BATCH, KEY).info.local
    np.testing.assert_allclose(rotated[1], before["mlp"][1], rtol=1e-12)
    assert not np.allclose(grads["mlp"](turned(3.0 * jnp.eye(5)), BATCH, KEY).info.local[1], before["mlp"][1])


def test_a_feedback_rate_of_zero_leaves_the_feedback_bit_for_bit():
    rule = RULES["mlp"]
    state = started(rule, PARAMS)
    step = jax.jit(rule.step)
    frozen, _ = step(state, BATCH, KEY, {"feedback_rate": 0.0})
    jax.tree.map(np.testing.assert_array_equal, frozen.feedback, state.feedback)
    free, _ = step(state, BATCH, KEY, {"feedback_rate": 0.1})
    assert not np.array_equal(free.feedback[0]["kernel"], state.feedback[0]["kernel"])
    jax.tree.map(np.testing.assert_array_equal, free.forward, frozen.forward)


def test_flooding_leaves_certain_examples_out_of_the_local_losses_with_finite_gradients():
    rising = [np.asarray(a) for a in credit.forward_activities(NET, FORWARD, INPUTS)]
    falling = [np.asarray(b) for b in credit.feedback_activities(NET, FEEDBACK, jnp.eye(3))]
    outputs = rising[-1]
    softmax = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    unsure = 1 - softmax[np.arange(4), np.asarray(LABELS)]
    threshold = np.sort(unsure)[1:3].mean()  # two of four are certain enough
    found = GRADS["cnn"](PARAMS, BATCH, KEY, {"flood": threshold})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    kept = (unsure >= threshold)[:, None]
    y = np.eye(3)[np.asarray(LABELS)]
    for l, pair in enumerate(zip(rising[:-1], falling[:-1], strict=True)):
        a, b = (v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-8) for v in pair)
        a = a * kept  # left out after the norm: the same values
        expected = np.mean((a @ b.T - y) ** 2) + 0.5 * np.mean((a @ a.T - np.eye(4)) ** 2)
        expected += 0.5 * np.mean((b @ b.T - np.eye(3)) ** 2)
        np.testing.assert_allclose(found.info.local[l], expected, rtol=1e-12)
    none = GRADS["cnn"](PARAMS, BATCH, KEY, {"flood": 2.0})  # all left out
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(none))
    assert not np.any(none.forward[0]["kernel"])
    np.testing.assert_allclose(none.forward[2]["kernel"], found.forward[2]["kernel"], rtol=1e-12)  # cross-entropy


def test_the_autoencoder_compares_levels_as_its_script_does():
    net = credit.autoencoder((8, 8, 2), channels=(3, 4), activation="elu", normalize=False)
    rule = credit.make("counter_current", net, objective="reconstruction")
    images = jnp.asarray(np.random.default_rng(5).normal(size=(3, 8, 8, 2)))
    batch = credit.Batch(images, images)
    random = filled(jax.eval_shape(rule.init, KEY).params)
    found = jax.jit(rule.grads)(random, batch, KEY).info

    def pattern(v):
        v = v - v.mean((1, 2), keepdims=True)
        return v / (np.sqrt((v**2).sum((1, 2), keepdims=True)) + 1e-8)

    @jax.jit
    def levels(up, down):
        return credit.forward_activities(net, up, images), credit.feedback_activities(net, down, images)

    rising, falling = levels(random.forward, random.feedback)
    for l, (a, b) in enumerate(zip(rising, falling, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        expected = a.shape[1] * np.mean((a - b) ** 2)
        if 0 < l < 4:
            expected += a.shape[1] * np.mean((pattern(a) - pattern(b)) ** 2)
        np.testing.assert_allclose(found.local[l], expected, rtol=1e-10)


@pytest.mark.slow
def test_the_strided_network_starts_where_the_authors_does():
    """Total loss of their `CNNModel` (torch 2.13, constants at zero as their settings say, c = s = .5) on the first 256
    training images, divided by 255 and framed to 32 by 32: mean 3.92968, standard deviation .0753 over seeds 0 to 11.
    With constants as PyTorch draws them it is 5.02 and 5.33 for two seeds."""
    try:
        images = data.load("fashion_mnist")
    except FileNotFoundError as why:
        pytest.skip(str(why))
    framed = np.pad(images.images[:256].astype(np.float32) / 255, ((0, 0), (2, 2), (2, 2)))[..., None]
    batch = credit.Batch(jnp.asarray(framed), jnp.asarray(images.labels[:256]))
    rule = credit.make("counter_current", credit.cnn((32, 32, 1), kind="stride"), loss="cnn")

    @jax.jit
    def total(key):
        params = rule.init(key, dtype=jnp.float32).params
        info = rule.grads(params, batch, key, {"scale": 0.5}).info
        return info.loss + jnp.sum(info.local)

    found = np.array([total(jax.random.key(seed)) for seed in range(12)])
    assert 0.03 < found.std(ddof=1) < 0.16
    assert abs(found.mean() - 3.92968) < 4 * np.sqrt(found.var(ddof=1) / 12 + 0.0753**2 / 12)
    assert abs(found.mean() - 5.1) > 0.5  # where random constants would start
