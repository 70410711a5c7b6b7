"""Change of weights, signs and outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness


def test_weight_change_over_a_tree():
    rng = np.random.default_rng(0)
    before = {"a": rng.normal(size=(2, 3)), "b": [rng.normal(size=4)]}
    after = {"a": rng.normal(size=(2, 3)), "b": [rng.normal(size=4)]}
    flat0, flat1 = (np.concatenate([tree["a"].ravel(), tree["b"][0]]) for tree in (before, after))
    change = np.linalg.norm(flat1 - flat0)
    assert richness.weight_change(before, after) == pytest.approx(change, rel=1e-13)
    assert richness.weight_change(before, after, relative=True) == pytest.approx(change / np.linalg.norm(flat0))
    each = jax.tree.map(richness.weight_change, before, after)
    assert each["b"][0] == pytest.approx(np.linalg.norm(after["b"][0] - before["b"][0]))
    small = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), before)
    assert richness.weight_change(small, small).dtype == jnp.float32


def test_sign_similarity_counts_zero_as_a_sign():
    h0 = np.array([[1.0, 0.0, 2.0, 0.0], [0.0, -1.0, 3.0, 0.0]])
    h1 = np.array([[5.0, 0.0, 0.0, 1.0], [0.0, -2.0, -3.0, 0.0]])
    assert richness.sign_similarity(h0, h1) == pytest.approx(5 / 8)
    assert richness.silent_units(h0) == pytest.approx(1 / 4)
    assert richness.silent_units(np.zeros((2, 3, 4))) == 1


def test_linearisation_error_of_a_quadratic_function():
    # f = a.p + (p.p) c from p0 = 0: the linear part is a.p, the rest (p.p) c
    a, c, p = np.array([1.0, 2.0]), 0.5, np.array([0.3, -0.4])

    def f(params):
        return jnp.atleast_1d(params["p"] @ a + c * params["p"] @ params["p"])

    zero, end = {"p": np.zeros(2)}, {"p": p}
    rest, moved = abs(c * p @ p), abs(a @ p + c * p @ p)
    assert richness.linearisation_error(f, zero, end) == pytest.approx(rest / moved, rel=1e-12)
    assert richness.linearised(f, zero)(end) == pytest.approx(a @ p, rel=1e-12)
    other = {"p": np.array([0.1, 0.1])}
    error = abs(a @ p + c * p @ p - a @ other["p"]) / moved
    assert richness.linearisation_error(f, zero, end, linear_params=other) == pytest.approx(error, rel=1e-12)
    assert richness.linearisation_error(f, zero, zero) == 0


def test_a_large_output_scale_makes_learning_lazy():
    """f = alpha (g - g0), gradient descent on |f - y|^2 / (2 alpha^2): everything lazy as 1 / alpha or faster."""
    rng = np.random.default_rng(1)
    start = {"w": jnp.asarray(rng.normal(size=(6, 3)) / 3**0.5), "v": jnp.asarray(rng.normal(size=6) / 6**0.5)}
    x, y = jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.normal(size=4))

    def g(params):
        return params["v"] @ jnp.tanh(params["w"] @ x)

    @jax.jit
    def measured(alpha):
        def f(params):
            return alpha * (g(params) - g(start))

        def step(_, params):
            gradient = jax.grad(lambda p: jnp.sum((f(p) - y) ** 2) / (2 * alpha**2))(params)
            return jax.tree.map(lambda p, d: p - 0.1 * d, params, gradient)

        end = jax.lax.fori_loop(0, 60, step, start)
        kernels = [richness.explicit_kernel(g, p) for p in (start, end)]
        return jnp.stack(
            [
                richness.weight_change(start, end, relative=True),
                richness.kernel_distance(*kernels),
                richness.linearisation_error(f, start, end),
                jnp.sum((f(end) - y) ** 2),
            ]
        )

    weights, turned, curved, loss = np.asarray([measured(alpha) for alpha in (1e2, 1e3)]).T
    assert weights[0] / weights[1] == pytest.approx(10, rel=0.05)
    assert curved[0] / curved[1] == pytest.approx(10, rel=0.05)
    assert turned[0] / turned[1] == pytest.approx(100, rel=0.1)  # of second order in the change
    assert loss.max() < 0.9 * float(jnp.sum(y**2))  # something was learned
