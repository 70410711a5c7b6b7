"""Curves along training that keep only the first kernel, against kernels that were all kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness
from brainjax.core.record import scan_every

STEPS, EVERY = 6, 2


def kernel(w):
    return w @ w.T


def step(w, j):
    return w + 0.3 * jnp.sin(w + j.astype(w.dtype))


def test_observer_and_follower_agree_with_kernels_that_were_kept():
    start = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)))

    @jax.jit
    def everything(w):
        last, kept = scan_every(step, w, steps=STEPS, every=EVERY, observe=kernel)
        _, shifts = scan_every(step, w, steps=STEPS, every=EVERY, observe=richness.kernel_observer(kernel, kernel(w)))
        followed = richness.follow_kernel(step, w, kernel=kernel, steps=STEPS, every=EVERY)
        return last, kept, shifts, followed, jax.vmap(lambda now: richness.kernel_shift(kept[0], now))(kept)

    last, kept, shifts, (final, curves), expected = everything(start)
    np.testing.assert_allclose(final, last, rtol=1e-14)
    for found in (shifts, curves.shift):
        for name, course in expected._asdict().items():
            np.testing.assert_allclose(getattr(found, name), course, rtol=1e-12, atol=1e-15, err_msg=name)
    times = np.arange(0.0, STEPS + 1, EVERY)
    np.testing.assert_allclose(curves.velocity, richness.kernel_velocity(kept, times), rtol=1e-11)
    assert curves.shift.distance[-1] > 1e-3
    assert curves.shift.alignment.shape == (STEPS // EVERY + 1,)


def test_no_steps_and_bad_input():
    _, curves = richness.follow_kernel(step, jnp.eye(2), kernel=kernel, steps=0)
    np.testing.assert_allclose(curves.shift.alignment, [1], rtol=1e-15)
    assert curves.velocity.shape == (0,)
    with pytest.raises(ValueError, match="every must be 1 or more and divide steps"):
        richness.follow_kernel(step, jnp.eye(2), kernel=kernel, steps=5, every=2)
    with pytest.raises(ValueError, match="steps must be zero or more"):
        richness.follow_kernel(step, jnp.eye(2), kernel=kernel, steps=-1)
