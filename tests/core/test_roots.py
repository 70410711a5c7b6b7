import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.roots import monotone_root

DTYPES = [np.float32, np.float64]
# Increasing functions, hard in different ways, with a bracket and the root for a goal y.
FUNCTIONS = {
    "straight": (lambda x: 3 * x, -10.0, 10.0, lambda y: y / 3),
    "exponential": (jnp.exp, -30.0, 30.0, np.log),
    "flat at the root": (lambda x: x**3, -3.0, 7.0, np.cbrt),
    "saturating": (lambda x: 5 * jnp.tanh(x), -4.0, 4.0, lambda y: np.arctanh(y / 5)),
    "steep at an end": (lambda x: jnp.log(x), 0.0, 100.0, np.exp),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_found_to_rounding_in_one_batch(name, dtype):
    function, lower, upper, inverse = FUNCTIONS[name]
    goals = np.linspace(0.01, 4, 57).astype(dtype)
    find = jax.jit(jax.vmap(lambda y: monotone_root(lambda x: function(x) - y, lower, dtype(upper))))
    found = find(goals)
    assert found.dtype == dtype
    eps = float(np.finfo(dtype).eps)  # a root near zero inherits the absolute rounding of the function
    np.testing.assert_allclose(found, inverse(goals.astype(float)), rtol=20 * eps, atol=2 * eps)


def test_a_batch_member_does_not_depend_on_its_neighbours():
    find = jax.jit(jax.vmap(lambda y: monotone_root(lambda x: jnp.exp(x) - y, -30.0, 30.0)))
    goals = jnp.exp(jnp.linspace(-20.0, 20.0, 16))
    np.testing.assert_array_equal(find(goals)[:8], find(jnp.concatenate([goals[:8], jnp.ones(8)]))[:8])


def test_without_a_sign_change_the_nearer_end_and_for_nan_nan():
    def cube(y):
        return monotone_root(lambda x: x**3 - y, 1.0, 2.0)

    assert float(cube(0.5)) == 1.0
    assert float(cube(1.0)) == 1.0
    assert float(cube(9.0)) == 2.0
    assert np.isnan(cube(np.nan))


@pytest.mark.parametrize("guess", [None, -5.0, 0.3, 5.0])
def test_any_guess_leads_to_the_root(guess):
    root = monotone_root(lambda x: jnp.sinh(x) - 7, -5.0, 5.0, guess)
    np.testing.assert_allclose(root, np.arcsinh(7), rtol=1e-15)


def test_derivatives_of_every_order_and_mode_are_those_of_the_inverse():
    def inverse(y):
        return monotone_root(lambda x: x + jnp.exp(x) - y, -50.0, 50.0)

    y = 2.3
    x = float(inverse(y))
    first = 1 / (1 + np.exp(x))
    second = -np.exp(x) * first**3
    np.testing.assert_allclose(jax.grad(inverse)(y), first, rtol=1e-12)
    np.testing.assert_allclose(jax.jvp(inverse, (y,), (1.0,))[1], first, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(jax.grad(inverse))(y), second, rtol=1e-10)
    np.testing.assert_allclose(jax.jacfwd(jax.grad(inverse))(y), second, rtol=1e-10)
    batch = jnp.linspace(0.0, 3.0, 5)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(inverse))(batch), 1 / (1 + np.exp(jax.vmap(inverse)(batch))), rtol=1e-12
    )


def test_several_closed_over_parameters_and_a_root_inside_a_root():
    def outer(a, b):
        def inner(x):
            return monotone_root(lambda y: y**3 + y - a * x, -10.0, 10.0)

        return monotone_root(lambda x: inner(x) + x - b, -10.0, 10.0)

    a, b, h = 1.7, 2.1, 1e-5
    slopes = jax.jit(jax.grad(outer, argnums=(0, 1)))(a, b)
    np.testing.assert_allclose(slopes[0], (outer(a + h, b) - outer(a - h, b)) / (2 * h), rtol=1e-8)
    np.testing.assert_allclose(slopes[1], (outer(a, b + h) - outer(a, b - h)) / (2 * h), rtol=1e-8)
