"""What all rules promise, in one test over the registry; and where rules must equal one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit
from tests.credit.golden import BATCH, FEEDBACK, FORWARD, KEY, NET, PARAMS, started

pytestmark = pytest.mark.slow  # most of it is compilation; the golden numbers run in make test

TINY = credit.mlp([8, 8, 6, 3], "tanh")
CLOUDS = 0.4 * np.random.default_rng(0).normal(size=(2, 24, 8))
CLOUD_LABELS = np.arange(24) % 3
CLOUDS += 3.0 * np.eye(8)[CLOUD_LABELS + 4]  # in the last inputs: forward-forward writes over the first
# Rates at which each rule learns three separated clouds within the steps of the test; nothing else is tuned.
RATES = {
    "difference_target_propagation": 2.0,
    "fixed_weight_target_propagation": 2.0,
    "difference_reconstruction": 2.0,
    "local_difference_reconstruction": 2.0,
    "counter_current": 0.3,
    "pepita": 0.3,
}
OPTIONS = {"counter_current": {"loss": "mlp"}, "predictive_coding": {"iterations": 5}}
STEPS = 150


def drawn(rule, seed):
    """Weights of the shapes that the rule draws, without the compilation of its random numbers."""
    shapes = jax.eval_shape(rule.init, KEY)
    numbers = np.random.default_rng(seed)

    def fill(leaf):
        return jnp.asarray(numbers.uniform(-1, 1, leaf.shape) / np.sqrt(leaf.shape[0]), leaf.dtype)

    params = jax.tree.map(fill, shapes.params)
    if rule.name == "sign_symmetry":
        params = params._replace(feedback=jax.tree.map(jnp.abs, params.feedback))
    return started(rule, params)


def shapes_of(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


@pytest.mark.parametrize("name", credit.RULES)
def test_every_rule_learns_is_scanned_and_mapped_and_keeps_its_types(name):
    rule = credit.make(name, TINY, **OPTIONS.get(name, {}))

    def run(state, key, rate):
        batch = credit.Batch(jnp.asarray(CLOUDS[0]), jnp.asarray(CLOUD_LABELS))
        state, infos = jax.lax.scan(
            lambda s, k: rule.step(s, batch, k, {"forward_rate": rate}), state, jax.random.split(key, STEPS)
        )
        return state, infos, rule.predict(state.forward, CLOUDS[1])

    # Three runs side by side: two starts at one rate, and the first of them again at a rate of zero.
    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(drawn(rule, seed) for seed in (0, 1, 0)))
    keys = jax.random.split(KEY, 3)
    rate = RATES.get(name, 0.2)
    ends, infos, outputs = jax.jit(jax.vmap(run))(starts, keys, jnp.array([rate, rate, 0.0]))
    accuracy = np.mean(np.argmax(np.asarray(outputs)[:2], -1) == CLOUD_LABELS, 1)
    assert accuracy.min() > 0.9, accuracy
    assert (infos.loss[:2, -1] < infos.loss[:2, 0]).all()
    assert np.isfinite(infos.loss).all()
    assert (ends.steps == STEPS).all()
    assert shapes_of(ends) == shapes_of(starts)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[2], b[2]), ends.forward, starts.forward)
    start = jax.eval_shape(lambda key: rule.init(key, jnp.float32), KEY)
    batch = credit.Batch(jax.ShapeDtypeStruct((6, 8), jnp.float32), jax.ShapeDtypeStruct((6,), jnp.int32))
    after, info = jax.eval_shape(rule.step, start, batch, KEY)
    assert shapes_of(after) == shapes_of(start)
    assert {leaf.dtype for leaf in jax.tree.leaves((start.params, info))} == {jnp.dtype(jnp.float32)}
    gradients = jax.eval_shape(rule.grads, start.params, batch, KEY)
    assert shapes_of((gradients.forward, gradients.feedback)) == shapes_of((start.forward, start.feedback))


@pytest.mark.slow
def test_mapped_and_scanned_training_is_that_of_one_seed_step_by_step():
    rule = credit.make("counter_current", NET, loss="mlp")
    step = jax.jit(rule.step)
    keys = jax.random.split(jax.random.key(1), 2)

    states = jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(started(rule, jax.tree.map(lambda w, f=f: f * w, PARAMS)) for f in (1.0, 0.5)),
    )

    @jax.jit
    def both(states):
        return jax.lax.scan(lambda s, k: jax.vmap(rule.step, (0, None, None))(s, BATCH, k), states, keys)[0]

    many = both(states)
    one = jax.tree.map(lambda leaf: leaf[1], states)
    for k in keys:
        one, _ = step(one, BATCH, k)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-11, atol=1e-13), many, one)


def exact():
    def loss(forward):
        logs = jax.nn.log_softmax(credit.forward_activities(NET, forward, BATCH.inputs)[-1])
        return -jnp.mean(logs[jnp.arange(4), BATCH.targets])

    return jax.jit(jax.grad(loss))(FORWARD)


def assert_same(found, expected, rtol=1e-12, atol=1e-14):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), tuple(found), tuple(expected))


def gradient(name, params=None, hyperparameters=None, **options):
    rule = credit.make(name, NET, **options)
    params = credit.Params(FORWARD, (), ()) if params is None else params
    return jax.jit(rule.grads)(params, BATCH, KEY, hyperparameters).forward


MIRROR = tuple({"kernel": credit.mirrored(w["kernel"])} for w in FORWARD)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("backprop", {}),
        ("predictive_coding", {"variant": "fixed_prediction", "iterations": 2}),
        ("predictive_coding", {"variant": "zero_divergence"}),
    ],
)
def test_equal_to_automatic_differentiation(name, options):
    assert_same(gradient(name, **options), exact())


@pytest.mark.parametrize("name", ["feedback_alignment", "kolen_pollack", "weight_mirror"])
def test_feedback_that_is_the_transpose_sends_back_what_backpropagation_does(name):
    assert_same(gradient(name, credit.Params(FORWARD, MIRROR, ())), exact())


def test_feedback_alignment_written_out():
    (u, v, w), (b, c) = ([np.asarray(x["kernel"]) for x in FORWARD], [np.asarray(x["kernel"]) for x in FEEDBACK[1:]])
    x, y = np.asarray(BATCH.inputs), np.eye(3)[np.asarray(BATCH.targets)]
    z1 = x @ u
    h1 = np.where(z1 > 0, z1, np.expm1(z1))
    z2 = h1 @ v
    h2 = np.where(z2 > 0, z2, np.expm1(z2))
    out = np.exp(h2 @ w)
    error = (out / out.sum(1, keepdims=True) - y) / 4
    d2 = error @ c * np.where(z2 > 0, 1, np.exp(z2))
    d1 = d2 @ b * np.where(z1 > 0, 1, np.exp(z1))
    expected = [{"kernel": x.T @ d1}, {"kernel": h1.T @ d2}, {"kernel": h2.T @ error}]
    assert_same(gradient("feedback_alignment", credit.Params(FORWARD, FEEDBACK, ())), expected)


def test_direct_feedback_alignment_with_one_hidden_layer_is_feedback_alignment():
    net = credit.mlp([6, 5, 3])
    forward = (FORWARD[0], {"kernel": jnp.asarray(np.sin(np.arange(15.0)).reshape(5, 3))})
    back = {"kernel": jnp.asarray(np.cos(np.arange(15.0)).reshape(3, 5))}
    direct = credit.make("direct_feedback_alignment", net)
    stepwise = credit.make("feedback_alignment", net)
    found = jax.jit(direct.grads)(credit.Params(forward, (back,), ()), BATCH, KEY)
    other = jax.jit(stepwise.grads)(credit.Params(forward, (FEEDBACK[0], back), ()), BATCH, KEY)
    assert_same(found.forward, other.forward)
    # The target in the place of minus the error, in the hidden layer only.
    target = credit.make("direct_random_target_projection", net)
    projected = jax.jit(target.grads)(credit.Params(forward, (back,), ()), BATCH, KEY).forward
    z = np.asarray(BATCH.inputs @ forward[0]["kernel"])
    sent = -np.eye(3)[np.asarray(BATCH.targets)] / 4 @ np.asarray(back["kernel"])
    np.testing.assert_allclose(
        projected[0]["kernel"], np.asarray(BATCH.inputs).T @ (sent * np.where(z > 0, 1, np.exp(z))), rtol=1e-12
    )
    assert_same(projected[1:], found.forward[1:])


@pytest.mark.parametrize("magnitudes", ["uniform", "fixed", "batchwise"])
def test_sign_symmetric_feedback_has_the_signs_of_the_weights(magnitudes):
    rule = credit.make("sign_symmetry", NET, magnitudes=magnitudes)
    params = jax.jit(rule.init)(jax.random.key(2)).params
    assert all((leaf >= 0).all() for leaf in jax.tree.leaves(params.feedback))
    assert len(params.feedback) == (0 if magnitudes == "batchwise" else 3)
    if magnitudes == "uniform":
        sizes = [np.sqrt(2 / n) for n in (11, 9, 7)]
        for leaf, size in zip(params.feedback, sizes, strict=True):
            np.testing.assert_allclose(leaf["kernel"], size)
        signs = tuple(
            {"kernel": m["kernel"] * jnp.sign(w["kernel"])} for m, w in zip(params.feedback, MIRROR, strict=True)
        )
        found = jax.jit(rule.grads)(credit.Params(FORWARD, params.feedback, ()), BATCH, KEY).forward
        assert_same(found, gradient("feedback_alignment", credit.Params(FORWARD, signs, ())))


@pytest.mark.parametrize("clip", [None, 0.05])
def test_kolen_pollack_feedback_approaches_the_transpose_at_the_rate_of_the_decay(clip):
    rate, decay, steps = 0.3, 0.05, 40
    both = credit.sgd(rate, decay=decay, clip=clip)
    rule = credit.make("kolen_pollack", NET, forward=both, feedback=both)

    def gap(params):
        pairs = zip(params.forward, params.feedback, strict=True)
        return jnp.stack([jnp.linalg.norm(u["kernel"] - credit.mirrored(v["kernel"])) for u, v in pairs])

    def step(state, k):
        state, _ = rule.step(state, BATCH, k)
        return state, gap(state.params)

    state = started(rule, PARAMS)
    _, gaps = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(KEY, steps)))(state)
    shrunk = (1 - rate * decay) ** np.arange(1, steps + 1)
    np.testing.assert_allclose(np.asarray(gaps) / np.asarray(gap(PARAMS)), np.repeat(shrunk[:, None], 3, 1), rtol=1e-9)


def test_the_weight_mirror_estimates_the_transpose_without_bias():
    rule = credit.make("weight_mirror", NET)
    keys = jax.random.split(jax.random.key(5), 600)
    found = jax.jit(jax.vmap(lambda k: rule.grads(PARAMS, BATCH, k).feedback))(keys)
    for estimate, exact_one in zip(found, MIRROR, strict=True):
        kernels = -np.asarray(estimate["kernel"])
        error = kernels.mean(0) - np.asarray(exact_one["kernel"])
        z = error / (kernels.std(0, ddof=1) / np.sqrt(len(keys)))
        assert np.abs(z).max() < 4.5
        assert np.abs(kernels.mean(0)).max() > 10 * (kernels.std(0) / np.sqrt(len(keys))).min()  # it could have failed


def test_targets_carry_backpropagation_when_the_feedback_is_linear_and_transposed():
    net = credit.mlp([6, 5, 4, 3], "identity")
    step = 0.01
    rule = credit.make("fixed_weight_target_propagation", net)
    found = jax.jit(rule.grads)(credit.Params(FORWARD, MIRROR, ()), BATCH, KEY, {"target_step": step}).forward
    other = jax.jit(credit.make("backprop", net).grads)(credit.Params(FORWARD, (), ()), BATCH, KEY).forward
    assert_same(jax.tree.map(lambda g: g / step, found), other, rtol=1e-9, atol=1e-12)


def test_where_reconstruction_losses_have_their_optimum():
    net = credit.mlp([6, 5, 4, 3], "identity")
    keys = jax.random.split(jax.random.key(6), 800)
    pinv = [np.linalg.pinv(np.asarray(w["kernel"])) for w in FORWARD]
    # L-DRL: the transpose; the loss of the whole chain: at the top the pseudo-inverse; DTP on a layer that widens: too.
    optima = {
        "local_difference_reconstruction": MIRROR,
        "difference_reconstruction": (*FEEDBACK[:2], {"kernel": jnp.asarray(pinv[2])}),
    }
    for name, feedback in optima.items():
        rule = credit.make(name, net)
        grads = jax.jit(jax.vmap(lambda p, k, rule=rule: rule.grads(p, BATCH, k).feedback, (None, 0)))
        for weights, at_optimum in ((feedback, True), (FEEDBACK, False)):
            top = np.asarray(grads(credit.Params(FORWARD, weights, ()), keys)[2]["kernel"])
            z = np.abs(top.mean(0) / (top.std(0, ddof=1) / np.sqrt(len(keys)) + 1e-12)).max()
            assert (z < 4.5) if at_optimum else (z > 10), (name, z)


def test_pepita_written_out():
    rule = credit.make("pepita", NET)
    modulator = jnp.asarray(np.cos(np.arange(18.0)).reshape(3, 6))
    found = jax.jit(rule.grads)(credit.Params(FORWARD, (), modulator), BATCH, KEY, {"modulation": 0.1}).forward
    y = np.eye(3)[np.asarray(BATCH.targets)]

    def climb(x):
        return [np.asarray(a) for a in credit.forward_activities(NET, FORWARD, jnp.asarray(x))]

    def error(outputs):
        return np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True) - y

    first = climb(BATCH.inputs)
    second = climb(np.asarray(BATCH.inputs) + 0.1 * error(first[-1]) @ np.asarray(modulator))
    expected = [{"kernel": second[l].T @ (first[l + 1] - second[l + 1]) / 4} for l in (0, 1)]
    expected.append({"kernel": second[2].T @ error(second[3]) / 4})
    assert_same(found, expected, rtol=1e-10)


def test_predictive_coding_settles_where_a_linear_network_says():
    net = credit.mlp([6, 5, 3], "identity")
    u, v = np.asarray(FORWARD[0]["kernel"]), np.sin(np.arange(15.0)).reshape(5, 3)
    x, y = np.asarray(BATCH.inputs), np.cos(np.arange(12.0)).reshape(4, 3)
    rule = credit.make("predictive_coding", net, objective="reconstruction", iterations=300)
    params = credit.Params(({"kernel": jnp.asarray(u)}, {"kernel": jnp.asarray(v)}), (), ())
    found = jax.jit(rule.grads)(params, credit.Batch(x, y), KEY, {"dt": 0.2})
    # E = |z - xU|^2 / 2 + |y - zV|^2 / 3 is least at
    z = np.linalg.solve(np.eye(5) + 2 / 3 * v @ v.T, (x @ u + 2 / 3 * y @ v.T).T).T
    expected = [{"kernel": x.T @ (x @ u - z) / 4}, {"kernel": 2 / 3 * z.T @ (z @ v - y) / 4}]
    assert_same(found.forward, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.info.local, [0.5 * np.sum((z - x @ u) ** 2) / 4], rtol=1e-9)


def test_equilibrium_propagation_is_the_gradient_at_the_fixed_point_as_nudging_vanishes():
    net = credit.mlp([6, 5, 4, 3], "tanh")
    forward = jax.tree.map(lambda w: 0.8 * w, FORWARD)
    rule = credit.make("equilibrium_propagation", net, free_iterations=150, nudged_iterations=150)

    def loss(weights):  # through all iterations of the free phase
        logs = jax.nn.log_softmax(rule.predict(weights, BATCH.inputs))
        return -jnp.mean(logs[jnp.arange(4), BATCH.targets])

    through_time = jax.jit(jax.grad(loss))(forward)
    grads = jax.jit(rule.grads)
    estimates = [grads(credit.Params(forward, (), ()), BATCH, KEY, {"beta": beta}).forward for beta in (0.1, 0.05)]
    for l, exact_one in enumerate(through_time):
        coarse, fine = (np.asarray(g[l]["kernel"]) for g in estimates)
        truth = np.asarray(exact_one["kernel"])
        errors = [np.linalg.norm(g - truth) for g in (coarse, fine)]
        if l == 2:
            assert max(errors) < 1e-10  # the readout's is exact
            continue
        np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.05)  # of second order, so that
        assert np.linalg.norm((4 * fine - coarse) / 3 - truth) < 0.02 * errors[1]


def test_forward_forward_reads_out_goodness_too():
    linear, tried = (credit.make("forward_forward", NET, readout=r) for r in ("linear", "goodness"))
    params = credit.Params(FORWARD, (), ())
    found = jax.jit(linear.grads)(params, BATCH, KEY)
    assert found.info.local.shape == (2,)
    scores = np.asarray(jax.jit(tried.predict)(FORWARD, BATCH.inputs))
    x = np.asarray(BATCH.inputs).copy()
    x[:, :3] = np.eye(3)[1]
    h = [np.asarray(a) for a in credit.forward_activities(credit.mlp([6, 5]), FORWARD[:1], jnp.asarray(x))][1]
    z = np.asarray(x @ FORWARD[0]["kernel"])
    h = np.where(z > 0, z, np.expm1(z))
    h = h / np.sqrt((h**2).mean(1, keepdims=True) + 1e-8)
    z = h @ np.asarray(FORWARD[1]["kernel"])
    np.testing.assert_allclose(scores[:, 1], (np.where(z > 0, z, np.expm1(z)) ** 2).mean(1), rtol=1e-10)
