"""Designs put to frozen networks: a network that is the delta rule must respond as `simulate` says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory, training
from brainjax.core.interleaved import token_size
from brainjax.memory import layers

DIMENSION, BETA = 5, 0.3
DESIGN = memory.parse_design(
    {
        "blocked": "3A+ | A? | 3AB+ | B? | AB?",
        "control": "3C+ | 2AB+0.5 | B?",
        "inhibited": "4(A+ / AB-) | 2_ | BC?",
        "nothing yet": "A? | A+ | _?",
    }
)
TRIALS = memory.compile_design(DESIGN)
CODES = {
    "orthonormal": np.eye(3, DIMENSION),
    "random": np.asarray(memory.random_codes(jax.random.key(2), 3, DIMENSION)),
}


@pytest.fixture(scope="module", params=["delta", "hebb"])
def frozen(request):
    """A network of one layer whose weights are set by hand so that it is the rule exactly.

    Features are the cue, the outcome, the mark and one for the response. Keys are the cue of the token before, so that
    an outcome is written under its cue and a cue token writes nothing; queries are the token's own cue.
    """
    rule, features = memory.make(request.param), DIMENSION + 3
    module = training.functional(
        lambda rngs: layers.SequenceRegressor(
            rule,
            inputs=token_size(DIMENSION),
            features=features,
            key_size=DIMENSION,
            value_size=1,
            convolution=2,
            normalise_keys=False,
            constants={"beta": BETA},
            form="parallel",
            dtype=jnp.float64,
            rngs=rngs,
        )
    )
    cue = np.eye(features, DIMENSION)
    outcome, response = np.eye(features)[:, [DIMENSION]], np.eye(features)[[DIMENSION + 2]]
    now, before = np.ones((1, DIMENSION)), np.zeros((1, DIMENSION))
    attention = {
        "streams": {"kernel": np.concatenate([cue, cue, outcome], 1)},
        "convolution": {
            "coefficients": np.concatenate(
                [
                    np.concatenate([now, before, [[1.0]]], 1),  # the token itself
                    np.concatenate([before, now, [[0.0]]], 1),  # the one before
                ]
            )
        },
        "gates": {},
        "out": {"kernel": response},
    }
    params = {
        "read_in": {"kernel": np.eye(token_size(DIMENSION), features)},
        "blocks": {0: {"attention": attention, "norms": {}, "perceptron": {}}},
        "read_out": {"kernel": response.T},
    }
    wanted = jax.eval_shape(module.init, jax.random.key(0))[0]
    params = jax.tree.unflatten(jax.tree.structure(wanted), jax.tree.leaves(jax.tree.map(jnp.asarray, params)))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, wanted)
    return rule, jax.jit(lambda tokens: module.apply(params, {}, tokens)[0])


@pytest.mark.parametrize("compound", memory.COMPOUNDS)
@pytest.mark.parametrize("codes", CODES)
def test_a_network_that_is_the_rule_responds_as_the_rule(frozen, codes, compound):
    rule, network = frozen
    found = memory.probe(network, TRIALS, CODES[codes], compound=compound)
    simulated = memory.simulate(rule, TRIALS, codes=CODES[codes], compound=compound, constants={"beta": BETA})
    for g in range(len(DESIGN.groups)):
        expected = np.asarray(simulated.responses[g])[np.asarray(TRIALS.test[g] & TRIALS.present[g])]
        np.testing.assert_allclose(found[g, : len(expected)], expected, rtol=1e-12, atol=1e-14)
        assert np.all(np.isnan(found[g, len(expected) :]))


def test_blocking_is_that_of_rescorla_and_wagner(frozen):
    """Second derivation: three trials alone, then three in compound, cue by cue."""
    rule, network = frozen
    a = b = 0.0
    for _ in range(3):
        a += BETA * (1 - a * (rule.name == "delta"))
    for _ in range(3):
        error = 1 - (a + b) * (rule.name == "delta")
        a, b = a + BETA * error, b + BETA * error
    found = memory.probe(network, TRIALS, CODES["orthonormal"])[0, :, 0]
    np.testing.assert_allclose(found[1:], [b, a + b], rtol=1e-12)


def test_several_tokens_are_one_trial_per_cue():
    one = memory.probe_sequences(memory.compile_design(memory.parse_design("2AB+ | B?")), np.eye(2), compound="tokens")
    other = memory.probe_sequences(memory.compile_design(memory.parse_design("2(A+ / B+) | B?")), np.eye(2))
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.position, [[8]])


def test_nothing_follows_a_test():
    found = memory.probe_sequences(TRIALS, CODES["random"])
    after = np.arange(found.tokens.shape[2]) > np.asarray(found.position)[..., None]
    assert np.all(np.asarray(found.tokens)[after] == 0)
    assert after.any()


def test_codes_may_be_traced_and_trials_may_not():
    def tokens(codes):
        return memory.probe_sequences(TRIALS, codes).tokens

    assert jax.eval_shape(jax.vmap(tokens), np.zeros((4, 3, DIMENSION))).shape[:3] == (4, 4, 3)
    with pytest.raises(ValueError, match="trials must be concrete"):
        jax.eval_shape(lambda trials: memory.probe_sequences(trials, CODES["random"]), TRIALS)


def test_index():
    np.testing.assert_allclose(memory.difference_index([0.0, 1.0], [1.0, 0.5], magnitude=2.0), [0.5, -0.25])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memory.probe_sequences(TRIALS, np.eye(2)), "codes must have shape (3, any)"),
        (lambda: memory.probe_sequences(TRIALS, np.eye(3), compound="pairs"), "compound must be one of 'sum'"),
        (
            lambda: memory.probe_sequences(memory.compile_design(memory.parse_design("A+")), np.eye(1)),
            "trials must have a test trial ('?') in every group",
        ),
        (lambda: memory.probe(lambda x: x[..., 0], TRIALS, np.eye(3)), "the network's predictions must have shape"),
        (lambda: memory.difference_index([1.0], [1.0, 2.0]), "control must have shape (1) as treated"),
        (lambda: memory.difference_index(1.0, 1.0, magnitude=0.0), "magnitude must be positive"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError) as refused:
        call()
    assert str(refused.value).startswith(message)
