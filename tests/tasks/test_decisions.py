"""Decision tasks: exact support, noise, distribution and ideal observers, judged by numpy and by another generator.

The observers of these tests weigh the likelihood of every raw input under every hypothesis about the trial; the closed
forms of the library know only one number per trial. The other generator is the event-driven one of the benchmarks.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from benchmarks.task_batches import ENVIRONMENTS, event_driven_batch
from brainjax import tasks

MANY = 20_000
TASKS = tuple(tasks.DECISION_TASKS)


@functools.cache
def program(task):
    sample = tasks.DECISION_TASKS[task].sample
    return jax.jit(lambda key, noise: tasks.batch(functools.partial(sample, noise=noise), key, MANY))


@functools.cache
def trials(task, noise=0.1):
    return jax.tree.map(np.asarray, program(task)(jax.random.key(0), noise))


def hypotheses(task):
    """Noise-free inputs of every equally likely trial of the first preset, and its label at the decision."""
    ring = np.array([[1.0, -1.0], [-1.0, 1.0]])
    x, labels = [], []
    if task == "two_alternative":
        for side, coherence in itertools.product((0, 1), (0, 6.4, 12.8, 25.6, 51.2)):
            one = np.zeros((8, 3))
            one[:7, 0], one[:7, 1:] = 1, 0.5 + coherence / 200 * ring[side]
            x.append(one)
            labels.append(1 + side)
    elif task == "delayed_match":
        for differs, first in itertools.product((0, 1), (0, 1)):
            one = np.zeros((8, 3))
            one[:7, 0], one[0, 1:], one[6, 1:] = 1, (1 + ring[first]) / 2, (1 + ring[(first + differs) % 2]) / 2
            x.append(one)
            labels.append(1 + differs)
    else:
        for context, *sides in itertools.product((0, 1), (0, 1), (0, 1)):
            for levels in itertools.product((5, 15, 50), (5, 15, 50)):
                one = np.zeros((8, 7))
                one[:7, 0], one[:, 5 + context] = 1, 1
                for m in (0, 1):
                    one[:2, 1 + 2 * m : 3 + 2 * m] = (1 + levels[m] / 100 * ring[sides[m]]) / 2
                x.append(one)
                labels.append(1 + sides[context])
    return np.stack(x), np.array(labels)


NOISY = {
    "two_alternative": (slice(0, 7), slice(1, 3)),
    "delayed_match": ([[0], [6]], [1, 2]),
    "context_decision": (slice(0, 2), slice(0, 7)),
}


@pytest.mark.parametrize("task", TASKS)
def test_noise_free_trials_are_exactly_those_that_can_occur_and_equally_likely(task):
    drawn, (possible, labels) = trials(task, noise=0.0), hypotheses(task)
    unique, first, which = np.unique(possible, axis=0, return_index=True, return_inverse=True)
    distinct, kind = np.unique(drawn.inputs, axis=0, return_inverse=True)
    difference = np.abs(distinct[:, None] - unique[None]).max((2, 3))
    assert difference.min(1).max() < 1e-15
    found = difference.argmin(1)[kind.ravel()]
    share = np.bincount(which.ravel(), minlength=len(unique)) / len(possible)
    counts = np.bincount(found, minlength=len(unique))
    z = (counts - MANY * share) / np.sqrt(MANY * share * (1 - share))
    assert np.abs(z).max() < 4.5  # up to 72 of them
    assert (drawn.labels[:, :7] == 0).all()
    sure = (share * len(possible) == 1)[found]  # at coherence 0 the label is not told by the input
    np.testing.assert_array_equal(drawn.labels[sure, 7], labels[first][found][sure])
    assert abs((drawn.labels[:, 7] == 1).mean() - 0.5) < 4 / np.sqrt(4 * MANY)
    assert set(np.unique(drawn.labels[:, 7])) == {1, 2}
    assert (drawn.mask == 1).all()
    np.testing.assert_array_equal(drawn.decision, np.broadcast_to(np.arange(8) == 7, drawn.decision.shape))


@pytest.mark.parametrize("task", TASKS)
def test_noise_falls_where_it_should_and_nowhere_else(task):
    noise = trials(task).inputs - trials(task, noise=0.0).inputs
    noisy = np.zeros(noise.shape[1:], bool)
    noisy[NOISY[task]] = True
    assert (noise[:, ~noisy] == 0).all()
    drawn = noise[:, noisy]
    np.testing.assert_array_less(np.abs(drawn.std(0) / 0.1 - 1), 4.5 / np.sqrt(2 * MANY))
    np.testing.assert_array_less(np.abs(drawn.mean(0) / 0.1), 4.5 / np.sqrt(MANY))
    correlations = np.corrcoef(drawn.T)[np.triu_indices(drawn.shape[1], 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(MANY)
    assert stats.kstest(drawn[:, 0] / 0.1, "norm").pvalue > 1e-4


def test_stimuli_are_one_half_on_average_and_the_delay_is_empty():
    x = trials("two_alternative").inputs[:, :7, 1:]
    assert np.abs(x.mean(0) - 0.5).max() < 4.5 * x.std(0).max() / np.sqrt(MANY)
    assert (trials("delayed_match").inputs[:, 1:6, 1:] == 0).all()


def posterior(task, drawn, noise):
    """Probability of each label at the decision, from the likelihood of all noisy inputs under all hypotheses."""
    possible, labels = hypotheses(task)
    noisy = np.zeros(possible.shape[1:], bool)
    noisy[NOISY[task]] = True
    x, means = drawn.inputs[:, noisy], possible[:, noisy]
    # (x - m)^2 without its part that no hypothesis changes
    log_likelihood = (x @ means.T - (means**2).sum(1) / 2) / noise**2
    exact = np.array([(drawn.inputs[:, ~noisy] == one[~noisy]).all(1) for one in possible]).T
    log_likelihood = np.where(exact, log_likelihood, -np.inf)
    weight = np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
    each = np.stack([weight[:, labels == label].sum(1) for label in (1, 2)], 1)
    return each / each.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("task", "noise"), [("two_alternative", 0.1), ("context_decision", 0.1), ("delayed_match", 0.6)]
)
def test_ideal_observers_against_the_likelihood_of_sampled_trials(task, noise):
    drawn, observer = trials(task, noise=noise), tasks.DECISION_TASKS[task]
    probabilities = posterior(task, drawn, noise)
    right = probabilities.argmax(1) + 1 == drawn.labels[:, 7]
    accuracy, floor = observer.ideal_accuracy(noise=noise), observer.entropy_floor(noise=noise)
    assert abs(right.mean() - accuracy) < 4 * right.std() / np.sqrt(MANY)
    loss = -np.log(np.take_along_axis(probabilities, drawn.labels[:, 7:] - 1, 1)[:, 0]) / 8
    error = loss.std() / np.sqrt(MANY)
    assert abs(loss.mean() - floor) < 4 * error
    assert abs(np.log(2) / 8 - floor) > 40 * error  # guessing is far away


def test_a_linear_observer_attains_the_ceiling():
    x, labels = (getattr(trials("two_alternative"), name) for name in ("inputs", "labels"))
    right = (x[:, :, 1].sum(1) < x[:, :, 2].sum(1)) == (labels[:, 7] == 2)
    assert abs(right.mean() - tasks.two_alternative_accuracy()) < 4 * right.std() / np.sqrt(MANY)


def test_ceilings_of_the_presets_and_a_match_that_is_all_but_certain():
    np.testing.assert_allclose(tasks.two_alternative_accuracy(), 0.8752, atol=5e-5)
    np.testing.assert_allclose(tasks.context_accuracy(), 0.8749, atol=5e-5)
    np.testing.assert_allclose(1 - tasks.match_accuracy(), 2 * stats.norm.sf(np.sqrt(50)), rtol=1e-3)
    assert 0 < tasks.match_floor() < 1e-11


@pytest.mark.parametrize(
    ("floor", "coherences", "noise", "steps"),
    [
        (tasks.two_alternative_floor, (0, 6.4, 12.8, 25.6, 51.2), 0.1, 7),
        (tasks.context_floor, (5, 15, 50), 0.1, 2),
        (tasks.two_alternative_floor, (0, 10, 40), 0.02, 3),
    ],
)
def test_floors_by_adaptive_quadrature(floor, coherences, noise, steps):
    d = np.array(coherences) / 100 / noise * np.sqrt(steps / 2)

    def two(z):
        right, wrong = (np.mean(np.exp(-((z - sign * d) ** 2) / 2)) for sign in (1, -1))
        return right * np.log1p(wrong / right) / np.sqrt(2 * np.pi) if right > 0 else 0.0

    expected = integrate.quad(two, -9, d[-1] + 9, points=[0, *d], epsabs=1e-13, epsrel=1e-12, limit=400)[0]
    found = floor(noise=noise, coherences=coherences, stimulus=steps, decision=2, steps=5)
    np.testing.assert_allclose(found, expected * 2 / 5, rtol=1e-9)


def test_floor_of_a_hard_match_by_a_finer_rule():
    a, b = 1.0, np.sqrt(2)  # noise 1, two and four steps

    def match(y, z):
        same, other = (
            sum(stats.norm.pdf(y - s * a) * stats.norm.pdf(z - s * sign * b) for s in (1, -1)) / 2 for sign in (1, -1)
        )
        return -same * np.log(same / (same + other))

    grid = np.linspace(-9, 9, 721)
    values = match(grid[:, None], grid[None, :])
    expected = integrate.simpson(integrate.simpson(values, x=grid), x=grid)
    np.testing.assert_allclose(tasks.match_floor(noise=1.0, sample=2, test=4, steps=1), expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_event_driven_generator_makes_the_same_trials(task):
    count = 3000
    inputs, labels = event_driven_batch(ENVIRONMENTS[task](3), count)
    drawn = trials(task)
    for label in (1, 2):
        ours, theirs = drawn.inputs[drawn.labels[:, 7] == label], inputs[labels[:, 7] == label].astype(float)
        error = np.sqrt(ours.var(0) / len(ours) + theirs.var(0) / len(theirs))
        assert (np.abs(ours.mean(0) - theirs.mean(0)) <= 4.5 * error).all()
        kurtosis = 3  # at most: mixtures of two places and normal noise
        spread = np.sqrt(kurtosis * (1 / len(ours) + 1 / len(theirs))) * ours.var(0)
        assert (np.abs(ours.var(0) - theirs.var(0)) <= 4.5 * spread + 1e-15).all()
    assert (labels[:, :7] == 0).all()


@pytest.mark.parametrize(
    ("task", "dtype"),
    [("two_alternative", jnp.float64), ("delayed_match", jnp.float32), ("context_decision", jnp.float32)],
)
def test_mapping_over_keys_is_a_loop_and_compiling_changes_nothing(task, dtype):
    sample = functools.partial(tasks.DECISION_TASKS[task].sample, dtype=dtype)
    keys, one = jax.random.split(jax.random.key(5), 4), jax.jit(sample)
    mapped = jax.jit(jax.vmap(sample))(keys)
    assert mapped.inputs.dtype == mapped.mask.dtype == dtype
    assert mapped.labels.dtype == jnp.int32
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *(one(key) for key in keys))
    jax.tree.map(np.testing.assert_array_equal, looped, mapped)
    if task == "context_decision":  # the slowest where every operation is compiled apart, and the richest
        jax.tree.map(np.testing.assert_array_equal, jax.vmap(sample)(keys), mapped)


@pytest.mark.parametrize("task", TASKS)
def test_registered_sizes(task):
    entry = tasks.DECISION_TASKS[task]
    one = jax.eval_shape(entry.sample, jax.random.key(0))
    assert one.inputs.shape == (entry.steps, entry.inputs)
    assert one.labels.shape == one.mask.shape == one.decision.shape == (entry.steps,)
    some = jax.eval_shape(lambda key: tasks.batch(entry.sample, key, 5), jax.random.key(0))
    assert [leaf.shape for leaf in some] == [(5, *leaf.shape) for leaf in one]
    assert trials(task).labels.max() == entry.outputs - 1


def test_the_length_of_the_delay_may_be_traced():
    key, delays = jax.random.key(2), (0.0, 5.0, 9.0)
    draw = functools.partial(tasks.delayed_match, key, sample=2, noise=0.0, steps=13)
    traced = jax.jit(jax.vmap(lambda delay: draw(delay=delay)))(jnp.asarray(delays))
    fixed = jax.jit(lambda: draw(delay=5))()
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda leaf: leaf[1], traced), fixed)
    total = 4 + np.array(delays, int)
    np.testing.assert_array_equal(traced.mask, np.arange(13) < total[:, None])
    np.testing.assert_array_equal(traced.decision, np.arange(13) == total[:, None] - 1)
    np.testing.assert_array_equal(traced.inputs[:, :, 0], np.arange(13) < total[:, None] - 1)
    stimulus = traced.inputs[:, :, 1:].sum(2)
    np.testing.assert_array_equal(
        stimulus, (np.arange(13) < 2) | (np.arange(13) == total[:, None] - 2)
    )  # one of two channels is 1
    too_long = jax.jit(lambda delay: tasks.delayed_match(key, delay=delay, steps=8))(6)
    assert np.isnan(too_long.mask).any()


@pytest.mark.slow
def test_second_preset():
    two = functools.partial(tasks.two_alternative, preset="neurogym_2")
    context = functools.partial(tasks.context_decision, preset="neurogym_2")
    wanted = {
        "old two": tasks.two_alternative,
        "two": two,
        "long": functools.partial(two, fixation=3),
        "plain": functools.partial(context, noise=0.0),
        "cued": functools.partial(context, cued=True),
    }
    drawn = jax.jit(lambda key: {name: tasks.batch(task, key, 200) for name, task in wanted.items()})(jax.random.key(1))
    x = {name: np.asarray(trials.inputs) for name, trials in drawn.items()}
    assert (x["two"][:, :, 0] == 0).all()
    np.testing.assert_array_equal(x["two"][:, :, 1:], x["old two"][:, :, 1:])
    np.testing.assert_array_equal(x["long"][:, :, 0], np.tile(np.arange(11) < 3, (200, 1)))

    plain, cued = x["plain"], x["cued"]
    assert plain.shape == (200, 8, 5)
    assert (plain[:, :, 0] == 0).all()
    first = plain[:, 0, 1] > plain[:, 0, 2]
    np.testing.assert_array_equal(drawn["plain"].labels[:, 7], np.where(first, 1, 2))
    assert 50 < np.sum(first != (plain[:, 0, 3] > plain[:, 0, 4])) < 150  # the other modality is free
    assert cued.shape == (200, 8, 7)
    assert (cued[:, :, 0] == 0).all()
    assert set(np.unique(cued[:, :, 5:])) == {0.0, 1.0}
    assert (cued[:, :, 5:] == cued[:, :1, 5:]).all()
    assert (cued[:, 2:, 1:5] == 0).all()


def test_refusals():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="preset must be one of 'neurogym_0_0_2', 'neurogym_2', got 'neurogym'"):
        tasks.two_alternative(key, preset="neurogym")
    with pytest.raises(ValueError, match=r"noise must be zero or more, got -0\.1"):
        tasks.delayed_match(key, noise=-0.1)
    with pytest.raises(ValueError, match=r"noise must have shape \(\), got \(2,\)"):
        tasks.delayed_match(key, noise=[0.1, 0.2])
    with pytest.raises(ValueError, match="coherences must be one or more percentages from 0 to 100, got"):
        tasks.context_decision(key, coherences=(5, 150))
    with pytest.raises(ValueError, match="coherences must be one or more percentages from 0 to 100, got"):
        tasks.two_alternative_accuracy(coherences=())
    with pytest.raises(ValueError, match=r"delay must be a whole number of steps, 0 or more, got 1\.5"):
        tasks.delayed_match(key, delay=1.5)
    with pytest.raises(ValueError, match="decision must be a whole number of steps, 1 or more, got 0"):
        tasks.delayed_match(key, decision=0)
    with pytest.raises(ValueError, match=r"steps must be 9 or more to hold all periods \(fixation 1, stimulus 7"):
        tasks.two_alternative(key, fixation=1, steps=8)
    with pytest.raises(ValueError, match=r"steps must be given where one of fixation, sample, delay, .* is traced"):
        jax.jit(lambda delay: tasks.delayed_match(key, delay=delay))(3)
    with pytest.raises(ValueError, match="cued must be True with preset 'neurogym_0_0_2'"):
        tasks.context_decision(key, cued=False)
    with pytest.raises(ValueError, match="size must be 1 or more, got 0"):
        tasks.batch(tasks.delayed_match, key, 0)
    with pytest.raises(ValueError, match=r"noise must be positive and finite, got 0\.0"):
        tasks.match_accuracy(noise=0.0)
    with pytest.raises(ValueError, match="test must be 1 or more, got 0"):
        tasks.match_floor(test=0)
    with pytest.raises(ValueError, match="decision must be from 1 to steps, got 9 of 8"):
        tasks.context_floor(decision=9)
