import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.flow import piecewise_flow


def decay(t, y, rate):
    return -rate * y


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-9)])
def test_pieces_follow_their_own_parameters(dtype, tolerance):
    edges, rates = jnp.asarray([0.0, 0.5, 0.5, 2.0, 3.0], dtype), jnp.asarray([1.0, 9.0, 0.0, 2.0], dtype)
    states, success = jax.jit(lambda e, r: piecewise_flow(decay, jnp.ones(2, dtype), e, r))(edges, rates)
    assert states.dtype == dtype
    assert success.all()
    passed = np.concatenate([[0], np.cumsum(np.diff(edges) * rates)])
    np.testing.assert_allclose(states, np.exp(-passed)[:, None].repeat(2, 1), rtol=tolerance)


def test_time_is_the_real_time():
    edges = jnp.asarray([1.0, 1.5, 4.0])
    states, _ = piecewise_flow(lambda t, y, _: 2 * t, jnp.asarray([1.0]), edges, jnp.zeros(2))
    np.testing.assert_allclose(states[:, 0], edges**2, rtol=1e-9)


@pytest.mark.slow
def test_derivatives_in_the_edges_are_exact_also_for_an_empty_piece():
    def final(edges, adjoint=None):
        return piecewise_flow(decay, jnp.ones(()), edges, jnp.asarray([1.0, 3.0]), adjoint=adjoint)[0][-1]

    reverse = jax.jit(jax.grad(final))
    forward = jax.jit(jax.jacfwd(lambda edges: final(edges, diffrax.ForwardMode())))
    for edges in ([0.0, 0.4, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]):
        edges = jnp.asarray(edges)
        value = np.exp(-(edges[1] - edges[0]) - 3 * (edges[2] - edges[1]))
        expected = value * np.array([1.0, 2.0, -3.0])
        np.testing.assert_allclose(reverse(edges), expected, rtol=1e-7)
        np.testing.assert_allclose(forward(edges), expected, rtol=1e-7)


def test_giving_up_is_reported_and_leaves_nan():
    def swing(t, y, rate):
        return rate * jnp.cos(1e3 * t) * y

    edges = jnp.asarray([0.0, 1e-3, 5.0])
    states, success = piecewise_flow(swing, jnp.ones(()), edges, jnp.ones(2), max_steps=20)
    np.testing.assert_array_equal(success, [True, False])
    np.testing.assert_array_equal(np.isnan(states), [False, False, True])
