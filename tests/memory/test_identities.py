"""What the rules are known to do, whatever the numbers: recall, projections, limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory
from tests.memory.sequences import PLAIN, Inputs, inputs, program, relative

LONG, D_K, D_V = 240, 6, 2
RNG = np.random.default_rng(4)


def delta(k, v, beta):
    """Answers after each write, of the delta rule from an empty memory, for a sequence filled up with empty steps."""
    steps = len(k)
    pad = ((0, LONG - steps), (0, 0))
    controls = {"beta": np.pad(np.broadcast_to(beta, steps), pad[0])}
    k, v = np.pad(k, pad), np.pad(v, pad)
    given = Inputs(k, k, v, controls, {"beta": 1.0}, memory.Weights(jnp.zeros((D_K, D_V))))
    found = program("delta", "sequential", "after")(given)
    return np.asarray(found.outputs)[:steps], np.asarray(found.state.weights)


def test_the_delta_rule_recalls_the_newest_pair_exactly():
    k, v = RNG.standard_normal((50, D_K)), RNG.standard_normal((50, D_V))
    outputs, _ = delta(k, v, 1 / np.sum(k**2, 1))
    np.testing.assert_allclose(outputs, v, atol=1e-13)


def test_on_orthonormal_keys_the_delta_rule_is_hebbs():
    k, _ = np.linalg.qr(RNG.standard_normal((D_K, D_K)))
    v = RNG.standard_normal((D_K, D_V))
    _, weights = delta(k, v, 1.0)
    np.testing.assert_allclose(weights, k.T @ v, atol=1e-14)


def test_many_epochs_of_the_delta_rule_are_the_pseudo_inverse():
    k, v = np.eye(4, D_K) + 0.2 * RNG.standard_normal((4, D_K)), RNG.standard_normal((4, D_V))
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    _, weights = delta(np.tile(k, (60, 1)), np.tile(v, (60, 1)), 1.0)
    np.testing.assert_allclose(weights, np.linalg.pinv(k) @ v, atol=1e-12)


def test_a_reflection_keeps_the_norm():
    k = RNG.standard_normal((50, D_K))
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    v = np.zeros((50, D_V))
    v[0] = 1
    _, weights = delta(k, v, np.r_[1.0, np.full(49, 2.0)])
    assert np.linalg.norm(weights) == pytest.approx(np.linalg.norm(v[0]), rel=1e-12)


def test_one_cue_is_learned_and_extinguished_geometrically():
    beta, k = 0.2, np.tile(np.eye(1, D_K), (40, 1))
    v = np.r_[np.ones((20, D_V)), np.zeros((20, D_V))]
    outputs, _ = delta(k, v, beta)
    n = np.arange(1, 21)
    np.testing.assert_allclose(outputs[:20, 0], 1 - (1 - beta) ** n, rtol=1e-12)
    np.testing.assert_allclose(outputs[20:, 0], (1 - (1 - beta) ** 20) * (1 - beta) ** n, rtol=1e-12)


def test_a_blocked_cue_learns_nothing_and_a_compound_shares():
    beta, trials = 0.2, 100
    a, ab = np.eye(1, D_K), np.ones((1, 2)) @ np.eye(2, D_K)
    k, v = np.r_[np.tile(a, (trials, 1)), np.tile(ab, (trials, 1))], np.ones((2 * trials, D_V))
    _, blocked = delta(k, v, beta)
    assert np.all(np.abs(blocked[1]) < 1e-9)
    _, shared = delta(k[trials:], v[trials:], beta)
    np.testing.assert_allclose(shared[:2], 0.5, rtol=1e-12)


def test_a_step_of_the_delta_rule_descends_half_the_squared_error():
    rule = memory.make("delta")
    given = inputs("delta")
    k, v, weights = jnp.asarray(given.k[0]), jnp.asarray(given.v[0]), jnp.asarray(given.state.weights)
    slope = jax.jit(jax.grad(lambda s: jnp.sum((v - s.T @ k) ** 2) / 2))(weights)
    after = jax.jit(rule.step)(memory.Weights(weights), k, v, None, {"beta": 0.3}).weights
    np.testing.assert_allclose(after, weights - 0.3 * slope, rtol=1e-13)


def test_without_decay_or_rate_gated_rules_are_the_plain_ones():
    """The gated delta rule without decay is the delta rule, without learning it is pure decay."""
    given = inputs("gated_delta")
    run = program("gated_delta", "sequential", "after")
    none = np.zeros_like(given.controls["beta"])
    plain = run(given._replace(controls=given.controls | {"log_decay": none}))
    expected = program("delta", "sequential", "after")(
        given._replace(controls={"beta": given.controls["beta"]}, constants={"beta": 1.0})
    )
    np.testing.assert_allclose(plain.outputs, expected.outputs, rtol=1e-13)
    idle = run(given._replace(controls=given.controls | {"beta": none}))
    kept = np.exp(np.cumsum(given.controls["log_decay"]))[:, None] * (given.q @ given.state.weights)
    np.testing.assert_allclose(idle.outputs, kept, rtol=1e-12)


def test_a_normalised_memory_of_one_value_returns_it_and_an_empty_one_nothing():
    given = inputs("normalised_linear")
    empty = jax.tree.map(np.zeros_like, given.state)
    run = program("normalised_linear", "sequential", "before")
    constant = np.full_like(given.v, 0.7)
    found = np.asarray(run(given._replace(v=constant, state=empty)).outputs)
    assert np.all(found[0] == 0)
    np.testing.assert_allclose(found[1:], 0.7, rtol=1e-13)


def test_softmax_of_large_inverse_temperature_is_the_nearest_exemplar():
    given = inputs("softmax")
    state = jax.tree.map(np.zeros_like, given.state)
    sharp = given._replace(constants={"inverse_temperature": 1e6}, state=state)
    found = np.asarray(program("softmax", "sequential", "before")(sharp).outputs)
    assert np.all(found[0] == 0)
    for t in range(1, len(given.q)):
        nearest = np.argmax(given.k[:t] @ given.q[t])
        np.testing.assert_allclose(found[t], given.v[nearest], rtol=1e-12)


def test_a_hopfield_step_lowers_the_energy_and_is_attention_to_the_patterns():
    b, patterns, probe = 3.0, RNG.standard_normal((5, 3)), RNG.standard_normal(3)
    update = jax.jit(lambda x: memory.hopfield_update(patterns, x, inverse_temperature=b))
    energy = jax.jit(lambda x: memory.hopfield_energy(patterns, x, inverse_temperature=b))
    after = np.asarray(update(probe))
    logits = b * patterns @ probe
    np.testing.assert_allclose(after, patterns.T @ np.exp(logits) / np.exp(logits).sum(), rtol=1e-12)
    assert 0 <= energy(after) < energy(probe)


def test_two_hopfield_steps_complete_the_query_first():
    given = inputs("hopfield")
    once = program("hopfield", "parallel", "after", steps=1)
    completed = once(given._replace(v=given.k, state=given.state._replace(values=given.state.keys))).outputs
    twice = program("hopfield", "parallel", "after", steps=2)(given).outputs
    np.testing.assert_allclose(twice, once(given._replace(q=completed)).outputs, rtol=1e-12)


def test_a_pair_beyond_the_room_of_a_store_spoils_the_answers():
    given = inputs("softmax")
    full = given.state._replace(written=np.int32(len(given.state.keys) - 1))
    found = np.asarray(program("softmax", "sequential", "before")(given._replace(state=full)).outputs)
    assert np.all(np.isfinite(found[:2]))
    assert np.all(np.isnan(found[2:]))


def test_taylor_features_are_the_exponential_to_third_order():
    q, k = RNG.standard_normal((2, 50, 3))
    errors = []
    for scale in (0.1, 0.05):
        s = scale * np.sum(q * k, 1) / 3**0.5
        features = np.sum(np.asarray(memory.taylor(scale**0.5 * q)) * np.asarray(memory.taylor(scale**0.5 * k)), 1)
        np.testing.assert_allclose(features, 1 + s + s**2 / 2, rtol=1e-13)
        errors.append(np.abs(np.exp(s) - features).max())
    assert 2.8 < np.log2(errors[0] / errors[1]) < 3.2


def test_features_are_what_they_say():
    x = RNG.standard_normal((4, 3))
    np.testing.assert_allclose(memory.elu_plus_one(x), np.where(x > 0, x + 1, np.exp(x)), rtol=1e-13)
    np.testing.assert_array_equal(memory.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(memory.identity(x), x)
    unit = np.asarray(memory.unit_norm(np.r_[x, np.zeros((1, 3))]))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 1, 1, 1, 0], rtol=1e-13)
    rectified = np.maximum(np.c_[x, -x], 0)
    expected = np.concatenate([[rectified[:, i] * rectified[:, (i + j) % 6] for i in range(6)] for j in (1, 2)]).T
    np.testing.assert_allclose(memory.dpfp(x, order=2), expected, rtol=1e-13)


@pytest.mark.parametrize("n", [1, 37])
def test_the_triangular_inverse_survives_repeated_keys(n):
    """Where every key is the same the powers of the matrix explode, but the inverse stays small."""
    inverse = jax.jit(memory.unit_lower_inverse, compiler_options=PLAIN)
    for lower in (np.tril(np.ones((n, n)), -1), np.tril(2 * np.ones((n, n)), -1)):
        expected = np.linalg.inv(lower + np.eye(n))
        found = inverse(jnp.asarray(lower, jnp.float32))
        assert relative(found, expected) < 1e-5


@pytest.mark.slow
def test_derivatives_of_the_triangular_solve():
    lower, right = jnp.asarray(np.tril(RNG.standard_normal((5, 5)), -1)), jnp.asarray(RNG.standard_normal((5, 2)))

    def plain(lower, right):
        return jnp.linalg.solve(jnp.tril(lower, -1) + jnp.eye(5), right)

    def ours(lower, right):
        return memory.unit_lower_solve(jnp.tril(lower, -1), right)

    for derivative in (lambda f: jax.jacfwd(f, (0, 1)), lambda f: jax.jacrev(f, (0, 1)), lambda f: jax.hessian(f)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11),
            jax.jit(derivative(ours))(lower, right),
            jax.jit(derivative(plain))(lower, right),
        )
