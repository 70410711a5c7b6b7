"""Associative recall: what a reader of the tokens finds, and the distributions of what is drawn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.tasks import associative_recall, reassigned_recall

VOCABULARY, STEPS, PAIRS, CHANGED, DRAWS = 26, 41, 5, 3, 3000
HALF = VOCABULARY // 2


@pytest.fixture(scope="module")
def plain():
    """Batches with 1, 3 and 5 pairs, of one program."""

    def one(key, pairs, exponent, noise):
        return associative_recall(
            key, vocabulary=VOCABULARY, pairs=pairs, steps=STEPS, most=PAIRS, gap_exponent=exponent, noise=noise
        )

    some = jax.jit(jax.vmap(one, (0, None, None, None)))
    keys = jax.random.split(jax.random.key(0), DRAWS)
    drawn = {(n, a, p): some(keys, n, a, p) for n, a, p in ((1, 0.01, 0.0), (3, 1.0, 0.4), (5, 0.01, 1.0))}
    return jax.tree.map(np.asarray, drawn)


@pytest.fixture(scope="module")
def changed():
    """Batches of five pairs in which 0, 3, 4 or all keys get a second value; the last ones do not fit."""

    def one(key, reassigned):
        return reassigned_recall(
            key, vocabulary=VOCABULARY, pairs=PAIRS, reassigned=reassigned, steps=29, most=PAIRS, noise=0.5
        )

    keys = jax.random.split(jax.random.key(1), DRAWS)
    some = jax.jit(jax.vmap(one, (0, None)))
    return {m: jax.tree.map(np.asarray, some(keys, m)) for m in (0, CHANGED, PAIRS - 1, PAIRS)}


def read(tokens, asked):
    """What a reader knows of each key that is asked for: all values that followed it until then, in order."""
    followed: dict[int, list[int]] = {}
    known = {}
    for step, token in enumerate(tokens.tolist()):
        if asked[step]:
            known[step] = followed[token].copy()
        if step and 0 < tokens[step - 1] < HALF and token >= HALF:
            followed.setdefault(int(tokens[step - 1]), []).append(token)
    return known


def test_every_query_asks_for_the_value_that_stood_after_its_key(plain):
    for (n, _, _), batch in plain.items():
        np.testing.assert_array_equal(batch.mask.sum(1), n)
        for tokens, targets, mask in zip(*(x[:200] for x in batch), strict=True):
            known = read(tokens, mask)
            assert len({int(tokens[step]) for step in known}) == n  # no key is asked for twice
            assert all(values == [targets[step]] for step, values in known.items())
            assert not targets[mask == 0].any()


def test_pairs_come_first_and_no_key_or_value_comes_twice(plain):
    for (n, _, _), batch in plain.items():
        keys, values = batch.tokens[:, : 2 * n : 2], batch.tokens[:, 1 : 2 * n : 2]
        assert keys.min() == 1
        assert keys.max() == HALF - 1
        assert values.min() == HALF
        assert values.max() == VOCABULARY - 1
        assert (np.diff(np.sort(keys, 1), axis=1) > 0).all()
        assert (np.diff(np.sort(values, 1), axis=1) > 0).all()


def test_keys_and_values_are_as_likely_as_any_other(plain):
    n = 5
    tokens = plain[5, 0.01, 1.0].tokens
    for place, low, high in ((0, 1, HALF), (2 * n - 2, 1, HALF), (1, HALF, VOCABULARY), (2 * n - 1, HALF, VOCABULARY)):
        kinds = high - low
        counts = np.bincount(tokens[:, place] - low, minlength=kinds)
        z = (counts - DRAWS / kinds) / np.sqrt(DRAWS / kinds * (1 - 1 / kinds))
        assert np.abs(z).max() < 4


def slots(batch, n):
    """Slot of the query for each pair, counted from 1, shape (draws, n)."""
    asked = np.where(batch.mask > 0, batch.tokens, -1)[:, 2 * n :]
    at = (asked[:, None] == batch.tokens[:, : 2 * n : 2, None]).argmax(2)
    assert (at % 2 == 0).all()
    return at // 2 + 1


@pytest.mark.parametrize(("n", "a"), [(1, 0.01), (3, 1.0), (5, 0.01)])
def test_gaps_follow_the_power_law_without_replacement(plain, n, a):
    batch = next(batch for (pairs, exponent, _), batch in plain.items() if (pairs, exponent) == (n, a))
    g = slots(batch, n)
    room = (STEPS - 2 * n) // 2
    p = np.arange(1, room + 1) ** (a - 1)
    p /= p.sum()
    first = np.bincount(g[:, 0] - 1, minlength=room)
    z = (first - DRAWS * p) / np.sqrt(DRAWS * p * (1 - p))
    assert np.abs(z).max() < 4
    if n > 1:  # the second goes to the slots that are left, in the same proportions
        pair = p[:, None] * p[None, :] / (1 - p[:, None])
        np.fill_diagonal(pair, 0)
        second = pair.sum(0)
        z = (np.bincount(g[:, 1] - 1, minlength=room) - DRAWS * second) / np.sqrt(DRAWS * second * (1 - second))
        assert np.abs(z).max() < 4
    if a < 1:  # power: the uniform law is far off
        assert abs(first[0] - DRAWS / room) > 20 * np.sqrt(DRAWS / room)


def test_free_steps_are_blank_or_random_values(plain):
    for (n, _, noise), batch in plain.items():
        free = (batch.mask == 0) & (np.arange(STEPS)[None] >= 2 * n)
        found = batch.tokens[free]
        assert ((found == 0) | (found >= HALF)).all()
        z = ((found > 0).mean() - noise) / np.sqrt(max(noise * (1 - noise), 1e-12) / found.size)
        assert abs(z) < 4
        if noise:
            kinds, total = VOCABULARY - HALF, (found > 0).sum()
            counts = np.bincount(found[found > 0] - HALF, minlength=kinds)
            assert np.abs((counts - total / kinds) / np.sqrt(total / kinds)).max() < 4


def test_the_last_value_counts_and_the_old_one_is_told(changed):
    for m, batch in list(changed.items())[:-1]:
        np.testing.assert_array_equal((batch.old >= 0).sum(1), m)
        for tokens, targets, mask, old in zip(*(x[:200] for x in batch), strict=True):
            known = read(tokens, mask)
            assert len(known) == PAIRS
            for step, values in known.items():
                assert values == ([old[step], targets[step]] if old[step] >= 0 else [targets[step]])
            assert len({int(v) for v in tokens[1 : 2 * (PAIRS + m) : 2]}) == PAIRS + m  # all values differ
            assert (old[mask == 0] == -1).all()


def test_every_choice_and_order_of_reassigned_keys_is_as_likely(changed):
    tokens = changed[CHANGED].tokens
    first, second = tokens[:, : 2 * PAIRS : 2], tokens[:, 2 * PAIRS : 2 * (PAIRS + CHANGED) : 2]
    which = (second[:, :, None] == first[:, None, :]).argmax(2)
    orders = list(itertools.permutations(range(PAIRS), CHANGED))
    place = {order: i for i, order in enumerate(orders)}
    counts = np.bincount([place[tuple(row)] for row in which.tolist()], minlength=len(orders))
    expected = DRAWS / len(orders)
    assert np.abs((counts - expected) / np.sqrt(expected)).max() < 4.5  # sixty orders


def test_traced_numbers_that_do_not_fit_give_a_mask_of_nan(changed):
    assert np.isfinite(changed[PAIRS - 1].mask).all()
    assert np.isnan(changed[PAIRS].mask).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_types(dtype):
    made = jax.eval_shape(
        lambda key: reassigned_recall(key, vocabulary=8, pairs=2, reassigned=1, steps=10, dtype=dtype),
        jax.random.key(0),
    )
    assert made.mask.dtype == dtype
    assert made.tokens.dtype == made.targets.dtype == made.old.dtype == jnp.int32


def test_refusals():
    key = jax.random.key(0)

    def plain(**given):
        return associative_recall(key, **{"vocabulary": 26, "pairs": 4, "steps": 16, **given})

    def again(**given):
        return reassigned_recall(key, **{"vocabulary": 26, "pairs": 4, "steps": 24, "reassigned": 4, **given})

    with pytest.raises(ValueError, match="steps must be at least 4 times the number of pairs, 4, got 15"):
        plain(steps=15)
    with pytest.raises(ValueError, match=r"vocabulary must have 4 keys and 4 values, got 9 tokens: a blank, 3 keys"):
        plain(vocabulary=9)
    with pytest.raises(ValueError, match="pairs must be a whole number from 1 to 4, got 5"):
        plain(pairs=5, most=4)
    with pytest.raises(ValueError, match="pairs must be 1 or more, got 0"):
        plain(pairs=0)
    with pytest.raises(ValueError, match="most must be given where pairs is traced"):
        jax.jit(lambda n: plain(pairs=n))(3)
    with pytest.raises(ValueError, match=r"noise must be between 0 and 1, got 1\.5"):
        plain(noise=1.5)
    with pytest.raises(ValueError, match="gap_exponent must be finite, got inf"):
        plain(gap_exponent=jnp.inf)
    with pytest.raises(ValueError, match="reassigned must be a whole number from 0 to 4, got 5"):
        again(reassigned=5)
    with pytest.raises(ValueError, match=r"steps must be at least 4 pairs \+ 2 reassigned = 24, got 23"):
        again(steps=23)
    with pytest.raises(ValueError, match="vocabulary must have 4 keys and 8 values, got 14 tokens"):
        again(vocabulary=14)
