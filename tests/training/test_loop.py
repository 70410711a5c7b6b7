"""Training on fresh batches against the updates written out; levels, records; networks that learn a decision task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainjax import recurrent, tasks, training

FAST = {"xla_backend_optimization_level": 0}  # to compile
KEY = jax.random.key(3)
TARGET = np.array([1.0, -2.0, 0.5])


def loss(params, batch):
    x, noise = batch
    return jnp.mean((x @ (params["w"] - TARGET) + noise) ** 2)


def sample(key):
    for_x, for_noise = jax.random.split(key)
    return jax.random.normal(for_x, (8, 3)), 0.1 * jax.random.normal(for_noise, (8,))


@jax.jit
def draw(j):
    return sample(jax.random.fold_in(KEY, j))


def written_out(steps, rate=0.02, momentum=0.9):
    """Momentum as in PyTorch: v = m v + g, w = w - rate v. All weights, and the loss before each update."""
    w, v, weights, losses = np.zeros(3), np.zeros(3), [np.zeros(3)], []
    for j in range(steps):
        x, noise = (np.asarray(a) for a in draw(j))
        error = x @ (w - TARGET) + noise
        v = momentum * v + 2 * x.T @ error / 8
        w = w - rate * v
        losses.append(np.mean(error**2))
        weights.append(w)
    return np.array(weights), np.array(losses)


def trained(**changes):
    settings = {"steps": 24, "every": 8, "window": 4, "observe": lambda params: params["w"], **changes}
    transform = optax.sgd(0.02, momentum=0.9)
    return training.train(KEY, {"w": jnp.zeros(3)}, loss=loss, sample=sample, transform=transform, **settings)


def test_it_is_momentum_on_fresh_batches_written_out():
    weights, losses = written_out(24)
    level = float(np.sort(losses.reshape(-1, 4).mean(1))[2])  # some windows are at this level, some are not
    run_to = jax.jit(lambda level: trained(level=level))
    run = run_to(level)
    np.testing.assert_allclose(run.records, weights[::8], rtol=1e-10)
    np.testing.assert_allclose(run.params["w"], weights[-1], rtol=1e-10)
    windows = losses.reshape(-1, 4).mean(1)
    np.testing.assert_allclose(run.loss, windows, rtol=1e-10)
    first = int(np.argmax(windows <= level * (1 + 1e-9)))
    again = run_to(level * (1 + 1e-9))
    never = run_to(-1.0)
    assert float(never.updates_to_level) == -1
    np.testing.assert_array_equal(never.at_level["w"], never.params["w"])
    assert float(again.updates_to_level) == 4 * (first + 1)
    np.testing.assert_allclose(again.at_level["w"], weights[4 * (first + 1)], rtol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"every": 7}, "every must divide steps"),
        ({"steps": 0}, "every must divide steps"),
        ({"window": 3}, "window must be 1 or more and divide every = 8, got 3"),
        ({"level": np.zeros(2)}, r"level must have shape \(\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        trained(**changes)
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------------- decision tasks
UNITS, STEPS, PROBES = 12, 30, 10
TIMES = 4  # a short trial: its kernel compiles faster
TASK = tasks.DECISION_TASKS["two_alternative"]._replace(sample=functools.partial(tasks.two_alternative, stimulus=3))


def a_network(seed):
    w = np.float32(np.random.default_rng(seed).normal(size=(UNITS, UNITS)) / np.sqrt(UNITS))
    return recurrent.initial_network(jax.random.key(seed), w, inputs=TASK.inputs, outputs=TASK.outputs)


def test_independent_networks_are_those_of_two_keys():
    def weights(key):
        return jax.random.normal(key, (UNITS, UNITS), jnp.float32)

    both = training.independent_networks(jax.random.key(4), weights, TASK)
    for network, key in zip(both, jax.random.split(jax.random.key(4)), strict=True):
        for_weights, for_rest = jax.random.split(key)
        alone = recurrent.initial_network(for_rest, weights(for_weights), inputs=TASK.inputs, outputs=TASK.outputs)
        jax.tree.map(np.testing.assert_array_equal, network, alone)
    assert not np.allclose(both[0].recurrent, both[1].recurrent)


def learn(network, other, steps=STEPS):
    return training.learn_decisions(
        jax.random.key(0),
        network,
        task=TASK,
        transform=optax.sgd(0.05, momentum=0.9),
        steps=steps,
        every=steps // 2,
        batch=8,
        window=steps // 2,
        level=0.9,
        probes=10,
        kernel_probes=PROBES,
        tests=64,
        independent=other,
    )


LEARN = jax.jit(learn, compiler_options=FAST)


@pytest.fixture(scope="module")
def learned():
    return LEARN(a_network(1), a_network(2))


def test_the_first_record_is_the_start_and_shapes_are_as_stated(learned):
    for name, values in learned.records._asdict().items():
        assert values.shape == (3,), name
        assert values.dtype == jnp.float32
    first = {name: float(values[0]) for name, values in learned.records._asdict().items()}
    assert first.pop("target_alignment") > 0
    for name, value in first.items():
        expected = 1.0 if "alignment" in name or "similarity" in name else 0.0
        assert value == pytest.approx(expected, abs=2e-6), name
    assert learned.loss.shape == (2,)
    assert float(learned.loss[1]) < float(learned.loss[0])
    assert float(learned.updates_to_level) in (STEPS // 2, STEPS)


def test_measures_are_those_of_the_explicit_kernel(learned):
    """The same quantities from the Jacobian of all outputs, in double precision, by other code."""
    before, after = (jax.tree.map(lambda w: np.asarray(w, float), n) for n in (a_network(1), learned.network))
    _, for_probes, _ = jax.random.split(jax.random.key(0), 3)
    probe = jax.jit(lambda key: TASK.sample(key, size=10, dtype=jnp.float32))(for_probes)
    x = np.asarray(probe.inputs, float)

    def outputs(w, network):
        network = network._replace(recurrent=w)
        return recurrent.readout(network, recurrent.states(network, x[:PROBES])).reshape(-1)

    def cosine(a, b):
        return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)

    jacobian = jax.jit(jax.jacrev(outputs), compiler_options=FAST)
    flat = [np.asarray(jacobian(n.recurrent, n)).reshape(PROBES * TIMES * 3, -1) for n in (before, after)]
    first, last = (j @ j.T for j in flat)
    assert float(learned.records.kernel_alignment[-1]) == pytest.approx(cosine(first, last), abs=2e-5)
    decides = (np.arange(TIMES * 3) // 3 == TIMES - 1)[None].repeat(PROBES, 0).ravel()
    pick = np.ix_(decides, decides)
    assert float(learned.records.decision_alignment[-1]) == pytest.approx(cosine(first[pick], last[pick]), abs=2e-5)
    change = np.linalg.norm(last - first) / np.linalg.norm(first)
    assert float(learned.records.kernel_change[-1]) == pytest.approx(change, rel=1e-4)
    label = np.eye(3)[np.asarray(probe.labels[:PROBES, -1])]
    y = (label - label.mean(0)).ravel()
    assert np.any(y)
    target = y @ last[pick] @ y / (y @ y) / np.linalg.norm(last[pick])
    assert float(learned.records.target_alignment[-1]) == pytest.approx(target, abs=2e-5)
    rates = [np.asarray(recurrent.states(n, x))[:, -1] for n in (before, after)]
    assert float(learned.records.representation_alignment[-1]) == pytest.approx(
        cosine(*(h @ h.T for h in rates)), abs=2e-5
    )
    centred = [h - h.mean(0) for h in rates]
    assert float(learned.records.centred_alignment[-1]) == pytest.approx(cosine(*(h @ h.T for h in centred)), abs=2e-4)
    assert float(learned.initial.active) == pytest.approx(np.mean(rates[0] > 0))
    moved = np.linalg.norm(after.recurrent - before.recurrent)
    assert float(learned.records.weight_change[-1]) == pytest.approx(moved, rel=1e-4)
    other = jax.tree.map(lambda w: np.asarray(w, float), a_network(2))
    foreign = np.asarray(jacobian(other.recurrent, other)).reshape(PROBES * TIMES * 3, -1)
    assert float(learned.initial.null_alignment) == pytest.approx(cosine(first, foreign @ foreign.T), abs=2e-5)
    assert float(learned.initial.spectral_radius) == pytest.approx(
        np.abs(np.linalg.eigvals(before.recurrent)).max(), rel=1e-5
    )


def test_cross_entropy_is_minus_the_logarithm_of_the_softmax():
    trial = jax.jit(lambda key: TASK.sample(key, size=5))(jax.random.key(1))
    outputs = np.random.default_rng(0).normal(size=(5, TIMES, 3))
    p = np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, np.asarray(trial.labels)[..., None], -1)).mean()
    assert float(training.cross_entropy(outputs, trial)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="outputs must have shape"):
        training.cross_entropy(outputs[:, :-1], trial)


def test_more_kernel_probes_than_probes_are_refused():
    with pytest.raises(ValueError, match="kernel_probes must be from 1 to probes = 4, got 5"):
        training.learn_decisions(
            KEY,
            a_network(1),
            task=TASK,
            transform=optax.sgd(0.1),
            steps=1,
            every=1,
            probes=4,
            kernel_probes=5,
        )


def test_a_network_that_diverged_has_no_measures():
    too_large = a_network(1)._replace(recurrent=np.float32(1e15) * np.asarray(a_network(1).recurrent))
    run = LEARN(too_large, a_network(2))
    for name, values in run.records._asdict().items():
        assert np.isnan(values[-1]), name
    assert np.isnan(run.accuracy)
