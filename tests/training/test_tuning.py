"""Training after short trials: it is the plain training at the best of the values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import training

KEY = jax.random.key(3)
X = jax.random.normal(jax.random.key(0), (50, 4))
Y = X @ jnp.asarray([1.0, -2.0, 0.5, 3.0])
VALUES = jnp.asarray([0.01, 0.1, 30.0, 0.2])  # the third diverges


def step(w, batch, key, rate):
    x, y = batch
    noise = 0.1 * jax.random.normal(key, w.shape)
    return w - rate * (x.T @ (x @ w - y) / 8 + noise), ()


def loss(w):
    return jnp.mean((X @ w - Y) ** 2)


DATA = {"fetch": lambda rows: (X[rows], Y[rows]), "rows": jnp.arange(5, 50, dtype=jnp.int32), "batch_size": 8}


def tuned(values=VALUES, trial_updates=3, epochs=3, score=lambda w: -loss(w)):
    how = {"step": step, "trial_updates": trial_updates, "epochs": epochs, "score": score, "observe": lambda w: w}
    return training.tuned_epochs(KEY, jnp.zeros(4), values, **how, **DATA)


@pytest.fixture(scope="module")
def run():
    return jax.jit(tuned)()


def plain(rate, epochs, updates=None):
    run = training.epochs(
        KEY,
        jnp.zeros(4),
        step=lambda w, batch, key: step(w, batch, key, rate),
        epochs=epochs,
        updates=updates,
        observe=lambda w: w,
        **DATA,
    )
    return run.records


def test_trials_are_the_first_updates_of_plain_runs(run):
    wanted = [-loss(plain(rate, 1, updates=3)[-1]) for rate in VALUES]
    np.testing.assert_allclose(run.scores, wanted, rtol=1e-10)
    assert int(run.chosen) == int(np.argmax(wanted))


def test_the_result_is_a_plain_run_at_the_best_value(run):
    wanted = plain(VALUES[int(run.chosen)], 3)
    np.testing.assert_allclose(run.records, wanted, rtol=1e-10)
    np.testing.assert_array_equal(run.records[-1], run.state)


def test_a_score_that_is_not_finite_is_the_worst():
    def score(w):
        return jnp.where(loss(w) < 1e3, jnp.nan, 1.0)  # only the diverging trial has a finite score

    assert int(tuned(score=score, epochs=1).chosen) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"trial_updates": 6}, "trial_updates"), ({"epochs": 0}, "epochs"), ({"values": jnp.zeros((0,))}, "values")],
)
def test_bad_sizes_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        tuned(**wrong)
