"""Draws in a row are those of JAX, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.draws import normal, uniform


@pytest.mark.parametrize("shape", [(), (7,), (4, 3), (2, 3, 5)])
def test_the_numbers_are_those_of_jax(shape):
    key = jax.random.key(3)
    np.testing.assert_array_equal(normal(key, shape), jax.random.normal(key, shape))
    np.testing.assert_array_equal(
        uniform(key, shape, jnp.float32, low=-1, high=2), jax.random.uniform(key, shape, jnp.float32, -1, 2)
    )


def test_under_vmap_too():
    keys = jax.random.split(jax.random.key(0), 3)
    np.testing.assert_array_equal(
        jax.vmap(lambda k: normal(k, (2, 5)))(keys), jnp.stack([jax.random.normal(k, (2, 5)) for k in keys])
    )
