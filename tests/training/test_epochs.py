"""Epochs: the order of rows, resumption, evaluation in blocks and the selection of an epoch, each against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import training

KEY = jax.random.key(4)
RNG = np.random.default_rng(2)


def counting(rows, *, batch_size=4, epochs=3, **options):
    """A run whose steps report their rows, one epoch after the other: (epochs, updates, batch)."""

    def one(number):
        def step(state, batch, key):
            place, log = state
            return (place + 1, log.at[place].set(batch)), jnp.zeros(())

        updates = options.get("updates", len(rows) // batch_size)
        start = jnp.zeros((), jnp.int32), jnp.full((updates, batch_size), -1, jnp.int32)
        (_, log), _ = training.one_epoch(
            KEY, start, number, step=step, fetch=lambda r: r, rows=rows, batch_size=batch_size, **options
        )
        return log

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(epochs, dtype=jnp.int32)))


def test_every_row_comes_once_in_an_epoch_and_the_rest_is_left_out():
    rows = 10 * np.arange(14) + 3
    orders = counting(rows).reshape(3, -1)
    assert orders.shape == (3, 12)
    assert all(len(set(order)) == 12 and set(order) <= set(rows) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_unshuffled_rows_come_as_they_are_and_passes_are_shuffled_anew():
    np.testing.assert_array_equal(counting(np.arange(14), shuffle=False).reshape(3, -1), [np.arange(12)] * 3)
    several = counting(np.arange(8), updates=5).reshape(3, -1)  # two passes and a half
    for order in several:
        assert sorted(order[:8]) == sorted(order[8:16]) == list(range(8))
        assert len(set(order[16:])) == 4
        assert list(order[:8]) != list(order[8:16])


@pytest.mark.parametrize("n", [1, 17, 40_000])
def test_the_order_is_a_sort_by_random_words(n):
    rows = np.arange(n)[::-1].copy()
    order, low = rows, max(1, (n - 1).bit_length())
    for words in np.asarray(jax.random.bits(KEY, (-(-32 // (32 - low)), n), jnp.uint32)):
        order = order[np.argsort(words << low, kind="stable")]
    np.testing.assert_array_equal(training.random_order(KEY, rows), order)


def test_all_orders_are_equally_likely():
    orders = jax.jit(jax.vmap(lambda key: training.random_order(key, np.arange(4))))(jax.random.split(KEY, 4800))
    _, counts = np.unique(np.asarray(orders), axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 200) ** 2 / 200).sum() < 49.7  # chi square of 23 degrees of freedom: once in a thousand keys


def test_rows_are_divided_without_loss():
    train, held = training.split_rows(KEY, 20, held_out=6)
    assert (train.shape, held.shape) == ((14,), (6,))
    assert sorted([*np.asarray(train), *np.asarray(held)]) == list(range(20))


TARGETS = jnp.asarray(RNG.standard_normal(12))


def descent(key, start, epochs):
    def step(state, batch, key):
        noisy = batch + 0.1 * jax.random.normal(key, batch.shape)
        return state - 0.1 * (state - jnp.mean(noisy)), jnp.mean((state - batch) ** 2)

    return training.epochs(
        key,
        start,
        step=step,
        fetch=lambda rows: TARGETS[rows],
        rows=np.arange(12),
        batch_size=4,
        epochs=epochs,
        observe=lambda state: {"state": state},
    )


def test_mapped_over_keys_it_is_a_loop_and_it_records_before_and_after_each_epoch():
    keys, starts = jax.random.split(KEY, 3), jnp.arange(3.0)
    several = jax.jit(jax.vmap(lambda key, start: descent(key, start, 4)))(keys, starts)
    one = jax.jit(lambda key, start: descent(key, start, 4))
    for number in range(3):
        expected = one(keys[number], starts[number])
        jax.tree.map(
            lambda a, b, number=number: np.testing.assert_allclose(a[number], b, rtol=1e-12), several, expected
        )
    assert several.records["state"].shape == (3, 5)
    assert several.info.shape == (3, 4)
    np.testing.assert_array_equal(several.records["state"][:, 0], starts)
    np.testing.assert_array_equal(several.records["state"][:, -1], several.state)


def test_more_epochs_begin_as_fewer_do():
    records = jax.jit(lambda: (descent(KEY, jnp.zeros(()), 5).records["state"], descent(KEY, jnp.zeros(()), 2).state))()
    np.testing.assert_allclose(records[0][2], records[1], rtol=1e-12)


@pytest.mark.parametrize("block", [1, 4, 5, 100])
def test_evaluation_does_not_depend_on_blocks(block):
    logits, labels = RNG.standard_normal((10, 3)), RNG.integers(0, 3, 10)
    found = training.evaluate(lambda x: x, logits, labels, block=block)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(found.loss, -logs[np.arange(10), labels].mean(), rtol=1e-12)
    np.testing.assert_allclose(found.accuracy, (logits.argmax(1) == labels).mean(), rtol=1e-12)


def test_outputs_that_are_no_numbers_are_never_right():
    logits = np.array([[2.0, 1.0], [np.nan, 0.0], [1.0, 0.0]])
    found = training.evaluate(lambda x: x, logits, np.zeros(3, int))
    assert np.isnan(found.loss)
    np.testing.assert_allclose(found.accuracy, 2 / 3)


def selected(values, better, patience):
    """The criterion as a person applies it, one record after the other."""
    best, epoch, waited = np.inf, 0, 0
    for number, value in enumerate(values if better == "lower" else [-v for v in values]):
        if np.isfinite(value) and value < best:
            best, epoch, waited = value, number, 0
        else:
            waited += 1
        if patience is not None and waited >= patience:
            break
    return epoch


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("patience", [None, 1, 3])
def test_the_criterion_selects_as_a_person_would(better, patience):
    curves = np.round(np.cumsum(RNG.standard_normal((40, 15)), 1))  # with ties
    curves[::4, RNG.integers(1, 15)] = np.nan
    found = jax.vmap(lambda v: training.best_epoch(v, better=better, patience=patience))(jnp.asarray(curves))
    np.testing.assert_array_equal(found, [selected(curve, better, patience) for curve in curves])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: training.split_rows(KEY, 5, held_out=5), "held_out must be at least 0 and below n = 5, got 5"),
        (lambda: training.best_epoch(np.ones(1), patience=0), "patience must be 1 or more, or None, got 0"),
        (lambda: training.best_epoch(np.ones(1), better="less"), "better must be one of 'lower', 'higher', got 'less'"),
        (lambda: training.evaluate(lambda x: x, np.ones((2, 2)), np.zeros(3, int)), "got 3 labels for 2 images"),
        (lambda: training.evaluate(lambda x: x, np.ones((2, 2)), np.zeros(2, int), block=0), "block must be 1 or more"),
        (lambda: counting(np.arange(5), batch_size=6), "batch_size must be from 1 to the number of rows, 5, got 6"),
        (lambda: counting(np.arange(5), updates=0), "updates must be 1 or more, got 0"),
        (lambda: descent(KEY, jnp.zeros(()), -1), "epochs must be 0 or more, got -1"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
