import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.record import scan_every


def add(state, j):
    return {"sum": state["sum"] + j, "count": state["count"] + 1}


START = {"sum": jnp.zeros((), jnp.int32), "count": jnp.zeros((), jnp.int32)}


@pytest.mark.parametrize(("every", "unroll"), [(1, 1), (3, 1), (3, 2), (12, 5)])
def test_every_kth_state_and_the_first_are_kept(every, unroll):
    last, kept = scan_every(add, START, steps=12, every=every, unroll=unroll)
    counts = np.arange(0, 13, every)
    np.testing.assert_array_equal(kept["count"], counts)
    np.testing.assert_array_equal(kept["sum"], counts * (counts - 1) // 2)
    assert int(last["sum"]) == 66


def test_the_observation_is_what_is_kept():
    _, kept = scan_every(add, START, steps=4, every=2, observe=lambda state: state["sum"] * 10)
    np.testing.assert_array_equal(kept, [0, 10, 60])


def test_no_step_leaves_the_first_state_only():
    last, kept = scan_every(add, START, steps=0)
    assert int(last["count"]) == 0
    np.testing.assert_array_equal(kept["count"], [0])


def test_it_differentiates_and_maps():
    def final(x):
        return scan_every(lambda y, j: y * x, jnp.ones(()), steps=6, every=2)[1]

    np.testing.assert_allclose(jax.jacfwd(final)(2.0), [0, 2 * 2, 4 * 8, 6 * 32])
    np.testing.assert_allclose(jax.jacrev(final)(2.0), [0, 2 * 2, 4 * 8, 6 * 32])
    assert jax.vmap(final)(jnp.ones(5)).shape == (5, 4)


@pytest.mark.parametrize(("steps", "every", "words"), [(-1, 1, "steps"), (10, 3, "divide"), (10, 0, "every")])
def test_bad_input(steps, every, words):
    with pytest.raises(ValueError, match=words):
        scan_every(add, START, steps=steps, every=every)
