"""Training looked at after given numbers of updates: the same training as by epochs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import training

ROWS = np.arange(3, 26)
KEY = jax.random.key(4)


def step(state, batch, key):
    seen, total = state
    total = 0.9 * total + batch.sum() + jax.random.normal(key)
    return (seen + 1, total), ()


def fetch(rows):
    return rows.astype(float) ** 2


START = jnp.asarray(0, jnp.int32), jnp.asarray(1.0)


def test_it_trains_as_epochs_do_and_looks_when_it_is_told_to():
    options = {"step": step, "fetch": fetch, "rows": ROWS, "batch_size": 5, "observe": lambda state: state}
    moments = (0, 1, 3, 4, 6, 12)  # an epoch has four updates

    @jax.jit
    def both(key):
        by_epochs = training.epochs(key, START, epochs=3, **options)
        return by_epochs.state, by_epochs.records, *training.recorded_at(key, START, moments=moments, **options)

    state, records, last, (seen, totals) = both(KEY)
    np.testing.assert_array_equal(seen, moments)
    np.testing.assert_allclose(totals[jnp.asarray([0, 3, 5])], records[1][jnp.asarray([0, 1, 3])], rtol=1e-12)
    np.testing.assert_allclose(last[1], state[1], rtol=1e-12)
    assert len(set(np.asarray(totals).tolist())) == len(moments)


@pytest.mark.parametrize(
    ("moments", "batch", "message"),
    [
        ((), 5, "moments must be whole numbers"),
        ((0, 3, 3), 5, "moments must be whole numbers"),
        ((-1, 2), 5, "moments must be whole numbers"),
        ((0, 2), 24, "batch_size must be from 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(moments, batch, message):
    with pytest.raises(ValueError, match=message) as caught:
        training.recorded_at(
            KEY, START, step=step, fetch=fetch, rows=ROWS, batch_size=batch, moments=moments, observe=lambda s: s
        )
    assert "\n" not in str(caught.value)
