"""Costs against the paper's counts and the traced programs; angles and alignments against what they must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit
from tests.credit.golden import BATCH, FEEDBACK, FORWARD, KEY, LABELS, NET, PARAMS, WIDTHS


@pytest.mark.parametrize(
    ("rule", "widths", "printed"),
    [
        ("backprop", [784, *[256] * 5, 10], 2.391),
        ("counter_current", [784, *[256] * 5, 10], 2.552),
        ("backprop", [3072, *[1024] * 3, 10], 25.227),
        ("counter_current", [3072, *[1024] * 3, 10], 27.886),
    ],
)
def test_costs_are_the_published_ones(rule, widths, printed):
    assert round(credit.flops(rule, widths, 32) / 1e6, 3) == printed


ITERATIONS = {
    "predictive_coding": {"iterations": 7},
    "equilibrium_propagation": {"free_iterations": 5, "nudged_iterations": 3},
    "difference_target_propagation": {"feedback_updates": 2},
    "difference_reconstruction": {"feedback_updates": 3},
    "local_difference_reconstruction": {"feedback_updates": 2},
    "counter_current": {},
}


@pytest.mark.parametrize("name", credit.RULES)
def test_costs_are_those_of_the_traced_step(name):
    options = ITERATIONS.get(name, {})
    rule = credit.make(name, NET, **({"loss": "mlp"} if name == "counter_current" else options))
    traced = credit.program_flops(rule.step, jax.eval_shape(rule.init, KEY), BATCH, KEY)
    assert traced / 4 == pytest.approx(credit.flops(name, WIDTHS, 4, **options), rel=1e-12)


def test_a_count_needs_loops_of_known_length():
    with pytest.raises(ValueError, match="unknown length"):
        credit.program_flops(lambda x: jax.lax.while_loop(lambda a: a[0, 0] < 9, lambda a: a @ a, x), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match="rule must be one of"):
        credit.flops("backprob", WIDTHS, 4)


def test_angles():
    turned = tuple({"kernel": jnp.asarray([[np.cos(t), np.sin(t)]])} for t in (0.0, 0.5, np.pi))
    straight = tuple({"kernel": jnp.asarray([[2.0, 0.0]])} for _ in range(3))
    np.testing.assert_allclose(credit.angles(turned, straight), [0, np.degrees(0.5), 180], atol=1e-6)
    nothing = jax.tree.map(jnp.zeros_like, straight)
    np.testing.assert_allclose(credit.angles(turned, nothing), 90)
    rule = credit.make("counter_current", NET, loss="mlp")
    found = jax.jit(lambda p: credit.angle_to_backprop(rule, p, BATCH, KEY))(PARAMS)
    assert found[-1] < 1e-4  # the output layer learns from the cross-entropy, as in backpropagation
    assert (found[:-1] > 5).all()


def test_alignment_of_weights_and_signs():
    for kernel in (FORWARD[0]["kernel"], jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 2, 4)))):
        forward, mirror = ({"kernel": kernel},), ({"kernel": -2 * credit.mirrored(kernel)},)
        cosine, agreement = jax.jit(lambda u, v: (credit.weight_alignment(u, v), credit.sign_agreement(u, v)))(
            forward, mirror
        )
        np.testing.assert_allclose(cosine, [-1])
        np.testing.assert_array_equal(agreement, [0])
    u, v = np.asarray(FORWARD[1]["kernel"]), np.asarray(FEEDBACK[1]["kernel"])
    expected = np.sum(u * v.T) / np.linalg.norm(u) / np.linalg.norm(v)
    np.testing.assert_allclose(credit.weight_alignment(FORWARD, FEEDBACK)[1], expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"feedback\[0\] in forward layout must have shape"):
        credit.weight_alignment(FORWARD, FORWARD)


def test_alignment_of_features_with_their_class():
    prototypes = np.random.default_rng(0).normal(size=(3, 7))
    examples = 2.0 * prototypes[np.asarray(LABELS)]
    np.testing.assert_allclose(credit.class_alignment(jnp.asarray(examples), jnp.asarray(prototypes), LABELS), 1)
    examples[0] *= -1
    np.testing.assert_allclose(credit.class_alignment(jnp.asarray(examples), jnp.asarray(prototypes), LABELS), 0.5)
