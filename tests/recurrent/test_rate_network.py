"""The rate network against a loop in numpy; leak, noise, masks, symmetries; its sensitivities against autodiff."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import recurrent
from brainjax.recurrent import RateNetwork, readout, sensitivities, states

UNITS, INPUTS, OUTPUTS, STEPS = 7, 3, 2, 5
FAST = {"xla_backend_optimization_level": 0}  # to compile
KERNEL_FACTORS = jax.jit(sensitivities, compiler_options=FAST)
F = {"relu": lambda u: np.maximum(u, 0), "tanh": np.tanh, "linear": lambda u: u}


def a_network(seed=0, gain=1.3):
    rng = np.random.default_rng(seed)
    w = gain * rng.normal(size=(UNITS, UNITS)) / np.sqrt(UNITS)
    return RateNetwork(rng.normal(size=(UNITS, INPUTS)), w, rng.normal(size=(OUTPUTS, UNITS)))


def an_input(*trials, seed=1):
    return np.random.default_rng(seed).normal(size=(*trials, STEPS, INPUTS))


def loop(network, x, *, leak=1.0, activation="relu", placement="outside", mask=1.0, initial=None):
    """One trial, unit by unit."""
    f, w = F[activation], np.asarray(network.recurrent) * mask
    state = np.zeros(UNITS) if initial is None else np.asarray(initial)
    seen = []
    for at in x:
        rates = f(state) if placement == "current" else state
        u = [
            sum(network.inputs[i, k] * at[k] for k in range(INPUTS)) + sum(w[i, j] * rates[j] for j in range(UNITS))
            for i in range(UNITS)
        ]
        if placement == "outside":
            state = f((1 - leak) * state + leak * np.array(u))
        elif placement == "inside":
            state = (1 - leak) * state + leak * f(np.array(u))
        else:
            state = (1 - leak) * state + leak * np.array(u)
        seen.append(f(state) if placement == "current" else state)
    return np.array(seen)


@pytest.mark.parametrize("placement", recurrent.PLACEMENTS)
def test_it_is_the_loop_over_steps_and_units(placement):
    network, x, start = a_network(), an_input(2), np.random.default_rng(2).normal(size=(2, UNITS))
    mask = np.random.default_rng(3).random((UNITS, UNITS)) < 0.6
    for activation, leak in (("relu", 0.3), ("tanh", 1.0)):
        settings = {"leak": leak, "activation": activation, "placement": placement}
        found = states(network, x, mask=mask, initial=start, **settings)
        for trial in range(2):
            expected = loop(network, x[trial], mask=mask, initial=start[trial], **settings)
            np.testing.assert_allclose(found[trial], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(readout(network, found), np.asarray(found) @ network.outputs.T, rtol=1e-12)
    one = states(network, x[1], initial=start[1], mask=mask, **settings)
    np.testing.assert_allclose(one, found[1], rtol=1e-12, atol=1e-13)


def test_without_a_leak_the_placements_are_one_network():
    network, x = a_network(), an_input(2)
    found = [states(network, x, leak=1.0, placement=placement) for placement in recurrent.PLACEMENTS]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    traced = jax.jit(lambda leak: states(network, x, leak=leak, placement="inside"))(1.0)  # the general form
    np.testing.assert_allclose(traced, found[0], rtol=1e-12, atol=1e-13)


def test_noise_has_the_stated_variance_and_no_memory_of_its_own():
    leak, sigma, steps, trials = 0.2, 0.7, 60, 400
    silent = RateNetwork(np.zeros((UNITS, 1)), np.zeros((UNITS, UNITS)), np.zeros((1, UNITS)))
    x = np.zeros((trials, steps, 1))
    h = states(silent, x, leak=leak, activation="linear", noise=sigma, key=jax.random.key(0))
    last = np.asarray(h[:, -1]).ravel()  # e^{-12} from stationary
    variance = 2 * sigma**2 / (2 - leak)
    n = last.size
    assert abs(last.mean()) < 4 * np.sqrt(variance / n)
    assert abs(last.var() - variance) < 4 * variance * np.sqrt(2 / n)
    lagged = np.mean(np.asarray(h[:, -1] * h[:, -4])) / variance
    assert abs(lagged - (1 - leak) ** 3) < 4 / np.sqrt(n)
    again = states(silent, x, leak=leak, activation="linear", noise=sigma, key=jax.random.key(0))
    np.testing.assert_array_equal(h, again)


def test_rectified_networks_are_homogeneous_and_their_kernel_does_not_see_it():
    network, x, c = a_network(), an_input(2), 3.7
    scaled = RateNetwork(c * network.inputs, network.recurrent, network.outputs / c)
    h, louder = states(network, x), states(scaled, x)
    np.testing.assert_allclose(louder, c * h, rtol=1e-12)
    np.testing.assert_allclose(readout(scaled, louder), readout(network, h), rtol=1e-12)
    np.testing.assert_allclose(kernel(scaled, x), kernel(network, x), rtol=1e-11, atol=1e-11)


def test_the_order_of_the_units_does_not_matter():
    network, x = a_network(), an_input(2)
    order = np.random.default_rng(5).permutation(UNITS)
    shuffled = RateNetwork(network.inputs[order], network.recurrent[np.ix_(order, order)], network.outputs[:, order])
    h, other = states(network, x, leak=0.4), states(shuffled, x, leak=0.4)
    np.testing.assert_allclose(other, np.asarray(h)[..., order], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(readout(shuffled, other), readout(network, h), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(kernel(shuffled, x), kernel(network, x), rtol=1e-10, atol=1e-11)


def kernel(network, x):
    found = KERNEL_FACTORS(network, x)
    flat = np.einsum("btosi,bsj->btoij", found.deltas, found.previous).reshape(-1, UNITS**2)
    return flat @ flat.T


CASES = {
    "outside": {"leak": 0.3, "activation": "relu", "noise": 0.2, "key": jax.random.key(1)},
    "inside": {"leak": 0.6, "activation": "relu"},
    "current": {"leak": 0.3, "activation": "tanh"},
    "no leak": {"activation": "tanh", "placement": "current"},
}


@pytest.mark.parametrize("case", CASES)
def test_sensitivities_are_the_derivatives(case):
    network, x = a_network(), an_input(2)
    mask = (np.random.default_rng(3).random((UNITS, UNITS)) < 0.7).astype(float)
    first = np.random.default_rng(2).normal(size=UNITS)
    settings = {"placement": case, "initial": first, **CASES[case]}

    def outputs(w):
        net = network._replace(recurrent=w)
        return readout(net, states(net, x, **settings))

    @functools.partial(jax.jit, compiler_options=FAST)
    def both(w):
        return jax.jacrev(outputs)(w), sensitivities(network, x, mask=mask, **settings)

    expected, found = both(network.recurrent * mask)
    summed = np.einsum("btosi,bsj->btoij", found.deltas, found.previous)
    np.testing.assert_allclose(summed, expected, rtol=1e-12, atol=1e-12)


def test_an_output_knows_nothing_of_later_drives():
    network, x = a_network(), an_input(2)
    deltas, previous = sensitivities(network, x[0])
    assert deltas.shape == (STEPS, OUTPUTS, STEPS, UNITS)
    for t in range(STEPS):
        assert not np.any(deltas[t, :, t + 1 :])  # an output knows nothing of later drives
    assert not np.any(previous[0])


def derivatives(placement, named, second):
    """Gradient in all arguments, or how it changes in a direction; a function without a name is left to JAX."""
    given = (a_network(), an_input(2), jnp.asarray(0.3), np.random.default_rng(2).normal(size=(2, UNITS)))
    ahead = jax.tree.map(lambda a: np.random.default_rng(4).normal(size=np.shape(a)), given)
    activation = "tanh" if named else (lambda z: jnp.tanh(z))

    def total(arguments):
        net, x, leak, start = arguments
        h = states(net, x, leak=leak, activation=activation, placement=placement, initial=start)
        return jnp.sum(jnp.sin(readout(net, h)))

    gradient = jax.grad(total)
    if not second:
        return jax.jit(gradient, compiler_options=FAST)(given)
    return jax.jit(lambda a, b: jax.jvp(gradient, (a,), (b,))[1], compiler_options=FAST)(given, ahead)


@pytest.mark.parametrize("placement", recurrent.PLACEMENTS)
@pytest.mark.parametrize("second", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_derivatives_by_the_written_rule_are_those_of_the_plain_scan(placement, second):
    ours, plain = (derivatives(placement, named, second) for named in (True, False))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), ours, plain)


def test_it_works_under_jit_vmap_and_grad_in_single_precision():
    networks = [jax.tree.map(jnp.float32, a_network(seed)) for seed in range(3)]
    stacked = jax.tree.map(lambda *w: jnp.stack(w), *networks)
    x = jnp.asarray(an_input(2), jnp.float32)

    def total(network, leak):
        h = states(network, x, leak=leak, activation=jnp.tanh, placement="inside")
        return jnp.sum(readout(network, h) ** 2)

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(total, argnums=(0, 1)), in_axes=(0, None)))(
        stacked, jnp.float32(0.5)
    )
    assert values.dtype == slopes[0].recurrent.dtype == jnp.float32
    np.testing.assert_allclose(values[1], total(networks[1], jnp.float32(0.5)), rtol=1e-5)
    a, eps = a_network(1), 1e-6
    a_x, ahead = np.asarray(x, float), np.random.default_rng(9).normal(size=(UNITS, UNITS))

    def along(s):
        net = a._replace(recurrent=a.recurrent + s * ahead)
        h = states(net, a_x, leak=0.5, activation="tanh", placement="inside")
        return float(jnp.sum(readout(net, h) ** 2))

    difference = (along(eps) - along(-eps)) / (2 * eps)
    assert float(jnp.sum(slopes[0].recurrent[1] * ahead.astype(np.float32))) == pytest.approx(difference, rel=1e-4)


def test_initial_weights_are_uniform_and_do_not_depend_on_the_recurrent_ones():
    w = np.random.default_rng(0).normal(size=(400, 400))
    network = recurrent.initial_network(jax.random.key(0), w, inputs=4, outputs=50)
    np.testing.assert_array_equal(network.recurrent, w)
    for weights, fan_in in ((network.inputs, 4), (network.outputs, 400)):
        bound = fan_in**-0.5
        values = np.sort(np.asarray(weights).ravel())
        assert values[0] >= -bound
        assert values[-1] <= bound
        distance = np.abs((values / bound + 1) / 2 - (np.arange(values.size) + 0.5) / values.size).max()
        assert distance < 1.95 / np.sqrt(values.size)  # Kolmogorov-Smirnov, p = 0.001
    other = recurrent.initial_network(jax.random.key(0), 0 * w, inputs=4, outputs=50)
    np.testing.assert_array_equal(other.inputs, network.inputs)
    np.testing.assert_array_equal(other.outputs, network.outputs)


# ---------------------------------------------------------------------------------------------------- low-rank theory
def test_outliers_are_the_eigenvalues_of_the_overlap():
    rng = np.random.default_rng(0)
    m, n = rng.normal(size=(2, 30, 2))
    n = n + 2 * m[:, ::-1]
    found = recurrent.low_rank_outliers(m, n)
    eigenvalues = np.linalg.eigvals(m @ n.T / 30)
    largest = eigenvalues[np.argsort(-np.abs(eigenvalues))][:2]
    np.testing.assert_allclose(np.sort_complex(found.values), np.sort_complex(largest), rtol=1e-10)
    assert found.outside.all()


def test_outliers_leave_the_bulk_of_a_random_matrix():
    units, g = 400, 0.8
    rng = np.random.default_rng(1)
    bulk = g * rng.normal(size=(units, units)) / np.sqrt(units)
    m = np.stack([np.ones(units), rng.choice([-1.0, 1.0], units)], 1)
    n = np.stack([2.0 * m[:, 0], 0.3 * m[:, 1]], 1)  # overlaps 2 and 0.3: one leaves, one drowns
    found = recurrent.low_rank_outliers(m, n, bulk=g)
    np.testing.assert_array_equal(found.outside, [True, False])
    eigenvalues = np.linalg.eigvals(bulk + m @ n.T / units)
    outside = eigenvalues[np.abs(eigenvalues) > g + 0.3]
    assert outside.size == 1
    assert abs(outside[0] - found.values[0]) < 5 * g / np.sqrt(units)


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leak": 0.0}, "leak must be positive"),
        ({"leak": 1.5}, "leak must be between 0 and 1"),
        ({"noise": -1.0}, "noise must be zero or more"),
        ({"noise": 0.1}, "key must be given"),
        ({"activation": "gelu"}, "activation must be one of 'relu', 'tanh', 'linear', got 'gelu'"),
        ({"placement": "under"}, "placement must be one of"),
        ({"mask": np.ones((2, 2))}, r"mask must have shape \(7, 7\)"),
        ({"initial": np.ones(3)}, "initial must have shape"),
        ({"x": np.ones((5, 2))}, r"x must have shape \(..., steps, 3\), got \(5, 2\)"),
        ({"network": RateNetwork(np.ones((7, 3)), np.ones((7, 6)), np.ones((2, 7)))}, "network.recurrent must"),
        ({"network": RateNetwork(np.ones((6, 3)), np.ones((7, 7)), np.ones((2, 7)))}, "network.inputs must"),
        ({"network": RateNetwork(np.ones((7, 3)), np.ones((7, 7)), np.ones((2, 6)))}, "network.outputs must"),
    ],
)
@pytest.mark.parametrize("function", [states, sensitivities])
def test_bad_input_is_refused_in_one_line(function, change, message):
    settings = {"network": a_network(), "x": an_input(), **change}
    with pytest.raises(ValueError, match=message) as caught:
        function(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: readout(a_network(), np.ones((5, 3))), "h must have shape"),
        (lambda: recurrent.initial_network(jax.random.key(0), np.ones((2, 3)), inputs=1, outputs=1), "recurrent must"),
        (lambda: recurrent.initial_network(jax.random.key(0), np.eye(2), inputs=0, outputs=1), "inputs must be 1"),
        (lambda: recurrent.low_rank_outliers(np.ones((3, 1)), np.ones((3, 2))), "right must have shape"),
        (lambda: recurrent.low_rank_outliers(np.ones((3, 1)), np.ones((3, 1)), bulk=-1.0), "bulk must be zero"),
    ],
)
def test_other_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
