import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.quadrature import antiderivative, evaluate_antiderivative, integral, nodes_between


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-7), (np.float64, 1e-14)])
def test_integrals_and_their_derivatives_in_the_ends(dtype, tolerance):
    a, b = jnp.asarray(-1.0, dtype), jnp.asarray(2.5, dtype)
    value, slopes = jax.value_and_grad(lambda a, b: integral(jnp.cos, a, b), argnums=(0, 1))(a, b)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, np.sin(2.5) - np.sin(-1), rtol=10 * tolerance)
    np.testing.assert_allclose(slopes, (-np.cos(-1), np.cos(2.5)), rtol=30 * tolerance)


def test_polynomials_of_degree_below_twice_the_order_are_exact():
    for degree in range(10):
        got = integral(lambda x, n=degree: x**n, jnp.asarray(0.0), jnp.asarray(2.0), order=5)
        np.testing.assert_allclose(got, 2.0 ** (degree + 1) / (degree + 1), rtol=1e-14)
    inexact = integral(lambda x: x**10, jnp.asarray(0.0), jnp.asarray(2.0), order=5)
    assert abs(float(inexact) / (2.0**11 / 11) - 1) > 1e-6


@pytest.mark.parametrize(("lower", "upper"), [(-1.5, 2.0), (2.0, -1.5), (-3.0, 0.0)])
def test_the_antiderivative_is_the_integral_up_to_any_point(lower, upper):
    lower, upper = jnp.asarray(lower), jnp.asarray(upper)
    nodes = nodes_between(lower, upper, 24)
    values, series = antiderivative(jnp.exp(nodes), lower, upper)
    np.testing.assert_allclose(values, np.exp(nodes) - np.exp(lower), rtol=1e-12, atol=1e-13)
    for x in np.linspace(lower, upper, 7):
        got, slope = jax.value_and_grad(lambda x: evaluate_antiderivative(series, x, lower, upper))(x)
        np.testing.assert_allclose(got, np.exp(x) - np.exp(lower), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(slope, np.exp(x), rtol=1e-9)
