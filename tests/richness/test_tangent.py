"""Tangent kernels three ways, on a small recurrent network written in the tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness
from brainjax.richness import _factored
from tests.richness.references import OUTPUTS, SAMPLES, TIMES, UNITS, factors, network, outputs_of

ALL = SAMPLES * TIMES * OUTPUTS


@jax.jit
def jacobian_and_factors(weights, x):
    jacobian = jax.jacrev(outputs_of(weights, x))(weights["recurrent"])
    return jacobian.reshape(ALL, -1), factors(weights, x)


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def parts(net):
    jacobian, (deltas, previous) = jacobian_and_factors(*net)
    return np.asarray(jacobian), deltas, previous


@jax.jit
def kernels(deltas, previous):
    """The same kernel by four routes, then across two sets of samples by two, then of the last time only."""
    repeated = jnp.repeat(previous, TIMES * OUTPUTS, axis=0)  # every output as a sample of its own
    one, two = (deltas[1:], previous[1:]), (deltas[:1], previous[:1])
    return (
        [
            richness.factored_kernel(deltas, previous),
            richness.factored_kernel(deltas, previous, causal=True),
            richness.factored_kernel(deltas[..., 1:, :], previous[:, 1:], causal=True),
            richness.factored_kernel(deltas.reshape(ALL, TIMES, UNITS), repeated),
        ],
        [richness.factored_kernel(*one, *two, causal=causal) for causal in (False, True)],
        richness.factored_kernel(deltas[:, -1], previous),
    )


def test_factored_kernel_is_that_of_the_jacobian(parts):
    jacobian, deltas, previous = parts
    kernel = jacobian @ jacobian.T
    assert np.abs(kernel).max() > 0.1
    rounding = 1e-13 * np.abs(kernel).max()
    same, across, last = kernels(deltas, previous)
    for found in same:
        np.testing.assert_allclose(found, kernel, rtol=0, atol=rounding)
        np.testing.assert_array_equal(found, found.T)
    rows = jacobian.reshape(SAMPLES, TIMES, OUTPUTS, -1)
    for found in across:
        expected = rows[1:].reshape(-1, UNITS**2) @ rows[:1].reshape(-1, UNITS**2).T
        np.testing.assert_allclose(found, expected, rtol=0, atol=rounding)
    expected = rows[:, -1].reshape(-1, UNITS**2)
    np.testing.assert_allclose(last, expected @ expected.T, rtol=0, atol=rounding)


def test_structure_of_a_recurrent_kernel(parts):
    _, deltas, previous = parts
    kernel = np.asarray(kernels(deltas, previous)[0][1])
    blocks = kernel.reshape(SAMPLES, TIMES, OUTPUTS, -1)
    np.testing.assert_array_equal(blocks[:, 0], 0)  # at the first step the recurrent weights meet a state of rest
    assert np.linalg.eigvalsh(kernel).min() > -1e-12 * np.abs(kernel).max()
    squares = np.sum(parts[0] ** 2)
    assert np.trace(kernel) == pytest.approx(squares, rel=1e-12)


def test_more_steps_than_are_written_out(monkeypatch):
    """Two blocks of several steps: random causal factors against the sum itself."""
    monkeypatch.setattr(_factored, "_WRITTEN_OUT", 2)
    rng = np.random.default_rng(5)
    samples, times, steps = 2, 6, 5
    deltas, previous = rng.normal(size=(samples, times, 1, steps, 3)), rng.normal(size=(samples, steps, 2))
    deltas *= (np.arange(steps) + times - steps <= np.arange(times)[:, None])[None, :, None, :, None]
    jacobian = np.einsum("btosn,bsm->btonm", deltas, previous).reshape(samples * times, -1)
    found = jax.jit(lambda d, p: richness.factored_kernel(d, p, causal=True))(deltas, previous)
    np.testing.assert_allclose(found, jacobian @ jacobian.T, rtol=0, atol=1e-11)


def test_scaling_and_relabelling_of_units(net, parts):
    weights, x = net
    kernel = parts[0] @ parts[0].T
    # rectified units without bias: input weights times c, readout over c, leaves the kernel of the recurrent weights
    scaled = {**weights, "inputs": 3 * weights["inputs"], "outputs": weights["outputs"] / 3}
    order = np.random.default_rng(6).permutation(UNITS)
    permuted = {
        "inputs": weights["inputs"][order],
        "recurrent": weights["recurrent"][order][:, order],
        "outputs": weights["outputs"][:, order],
    }
    for changed in (scaled, permuted):
        _, (deltas, previous) = jacobian_and_factors(changed, x)
        found = kernels(deltas, previous)[0][1]
        np.testing.assert_allclose(found, kernel, rtol=0, atol=1e-12 * np.abs(kernel).max())
    louder = {**weights, "inputs": 3 * weights["inputs"]}
    _, (deltas, previous) = jacobian_and_factors(louder, x)
    assert np.abs(kernels(deltas, previous)[0][1] - kernel).max() > 1


def test_explicit_kernel_and_products(net, parts):
    weights, x = net
    f = outputs_of(weights, x)
    jacobian = parts[0]
    np.testing.assert_allclose(
        jax.jit(lambda w: richness.explicit_kernel(f, w))(weights["recurrent"]),
        jacobian @ jacobian.T,
        rtol=0,
        atol=1e-12,
    )
    z = np.random.default_rng(7).normal(size=(2, ALL))
    found = jax.jit(lambda w, many: jax.vmap(richness.kernel_products(f, w))(many))(
        weights["recurrent"], z.reshape(2, SAMPLES, TIMES, OUTPUTS)
    )
    np.testing.assert_allclose(found.reshape(2, ALL), z @ jacobian @ jacobian.T, rtol=0, atol=1e-11)


def test_kernel_of_a_tree_of_parameters():
    params = {"a": jnp.asarray([2.0]), "b": jnp.asarray([[1.0, 3.0]])}

    def f(p):  # Jacobian [[3, 2, 0], [0, 1, 1]] in the order a, b, b: more parameters than outputs, and fewer
        return jnp.stack([p["a"][0] * p["b"][0, 0] + 2 * p["a"][0], p["b"].sum()])

    jacobian = np.array([[3.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    np.testing.assert_allclose(richness.explicit_kernel(f, params), jacobian @ jacobian.T)
    many = np.concatenate([jacobian, 2 * jacobian])
    wide = richness.explicit_kernel(lambda p: jnp.concatenate([f(p), 2 * f(p)]), params)
    np.testing.assert_allclose(wide, many @ many.T)


def test_derivatives_of_the_factored_kernel_in_float32(parts):
    """Gradient of an alignment through the factors, zero factors included, batched; float32 stays float32."""
    deltas, previous = (jnp.asarray(x, jnp.float32) for x in parts[1:])

    def alignment(d):
        return richness.kernel_alignment(first, richness.factored_kernel(d, previous))

    first = jnp.asarray(parts[0] @ parts[0].T, jnp.float32) + jnp.eye(ALL, dtype=jnp.float32)

    both = jax.jit(jax.vmap(jax.value_and_grad(alignment)))(jnp.stack([deltas, 0 * deltas]))
    assert both[0].dtype == jnp.float32
    assert both[0][0] > 0.1
    assert both[0][1] == 0
    assert np.isfinite(both[1]).all()
    assert np.abs(both[1][0]).max() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: richness.explicit_kernel(lambda p: jnp.zeros((768,)) * p.sum(), jnp.zeros((300, 300)), budget=1e8),
            "budget must be 558 MB or more, got 100 MB: explicit_kernel forms a Jacobian of 768 x 90000 .*float64"
            ".*use factored_kernel for recurrent weights, or hutchinson_alignment",
        ),
        (
            lambda: richness.factored_kernel(np.ones((50, 20, 1, 1)), np.ones((50, 1, 1)), budget=1e6),
            "budget must be 24 MB or more, got 1 MB: factored_kernel needs 3 arrays of 1000 x 1000 .*hutchinson",
        ),
        (lambda: richness.explicit_kernel(jnp.sin, jnp.ones(2), budget=0), "budget must be positive"),
        (lambda: richness.factored_kernel(np.ones((2, 3)), np.ones((2, 3))), "deltas must have shape"),
        (lambda: richness.factored_kernel(np.ones((2, 3, 4)), np.ones((2, 4, 4))), r"previous must have shape \(2, 3"),
        (
            lambda: richness.factored_kernel(np.ones((2, 3, 4)), np.ones((2, 3, 4)), np.ones((2, 3, 4))),
            "deltas2 and previous2 must be given together",
        ),
        (
            lambda: richness.factored_kernel(
                np.ones((2, 3, 4)), np.ones((2, 3, 4)), np.ones((2, 3, 5)), np.ones((2, 3, 4))
            ),
            "deltas2 must have shape",
        ),
        (
            lambda: richness.factored_kernel(np.ones((1, 2, 1, 2, 1)), np.ones((1, 2, 1)), causal=True),
            "deltas must be 0 for steps after the output",
        ),
        (
            lambda: richness.factored_kernel(np.ones((1, 2, 1, 3, 1)), np.ones((1, 3, 1)), causal=True),
            "deltas must have no more steps than times",
        ),
        (lambda: richness.factored_kernel(np.ones((1, 2, 0)), np.ones((1, 2, 1))), "must not be empty"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
