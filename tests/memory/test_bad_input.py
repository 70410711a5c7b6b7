"""What is refused, with one line that says what is allowed."""

import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory

Q = K = np.eye(4, 3)
V = np.ones((4, 2))


def refused(match, name="delta", q=Q, k=K, v=V, **settings):
    with pytest.raises(ValueError, match=match) as caught:
        memory.apply(memory.make(name), q, k, v, **settings)
    assert "\n" not in str(caught.value)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="'gated_delta'"):
        memory.make("gated_dleta")
    with pytest.raises(ValueError, match="did you mean 'size'"):
        memory.make("minibatch_delta", sise=3)
    with pytest.raises(ValueError, match="it has none"):
        memory.make("hebb", rate=3)
    refused("did you mean 'beta'", constants={"betta": 1.0})
    refused("did you mean 'beta'", controls={"betta": np.ones(4)})


@pytest.mark.parametrize(
    ("match", "settings"),
    [
        (r"q must have shape \(4, 3\)", {"q": np.ones((5, 3))}),
        (r"v must have shape \(4, any\)", {"v": np.ones((3, 2))}),
        (r"k must have shape \(any, any\)", {"k": np.ones(3)}),
        (r"beta must have shape \(4\) \(steps\), got \(3,\)", {"controls": {"beta": np.ones(3)}}),
        (
            r"log_decay must have shape \(4, 3\) \(steps, d_k\)",
            {"name": "gated_hebb", "controls": {"log_decay": -np.ones(4)}},
        ),
        ("chunk must be a positive whole number, got 0", {"form": "chunked", "chunk": 0}),
        ("chunk goes with form='chunked'", {"chunk": 4}),
        ("form must be one of", {"form": "chunk"}),
        ("'parallel' does not exist for td0, which has 'sequential'", {"name": "td0", "form": "parallel"}),
        ("read must be one of", {"read": "during"}),
        ("a number, got shape", {"constants": {"beta": np.ones(3)}}),
        ("state must be one of delta", {"state": np.ones((3, 2))}),
        (r"state.weights must have shape \(3, 2\)", {"state": memory.Weights(jnp.ones((2, 2)))}),
        ("steps must be 1 or more", {"q": np.ones((0, 3)), "k": np.ones((0, 3)), "v": np.ones((0, 2))}),
    ],
)
def test_shapes_and_choices(match, settings):
    refused(match, **settings)


@pytest.mark.parametrize(
    ("match", "settings"),
    [
        (r"beta \* \|k\|\^2 must be from 0 to 2 .*, got 2.1", {"constants": {"beta": 2.1}}),
        (r"beta \* \|k\|\^2 must be from 0 to 2 .*, got 4", {"k": 2 * K, "constants": {"beta": 1.0}}),
        (r"beta \* \|k\|\^2 .*, got -0.1", {"name": "gated_delta", "controls": {"beta": np.full(4, -0.1)}}),
        (r"beta \* \|k\|\^2 .*, got nan", {"controls": {"beta": np.full(4, np.nan)}}),
        (r"beta must be from 0 to 2 .*, got 2.5", {"name": "normalised_delta", "constants": {"beta": 2.5}}),
        (r"beta \* k_i\^2", {"name": "bush_mosteller", "constants": {"beta": 3.0}}),
        (r"beta \* v_j\^2", {"name": "oja_clamped", "constants": {"beta": 3.0}}),
        (
            "largest eigenvalue .* got 4",
            {"name": "minibatch_delta", "k": np.eye(1, 3).repeat(4, 0), "constants": {"beta": 1.0}},
        ),
        ("log_decay must be zero or less", {"name": "hebb_decay", "constants": {"log_decay": 0.1}}),
        ("log_decay must be zero or less", {"name": "gated_delta", "controls": {"log_decay": np.full(4, 0.1)}}),
        ("discount must be between 0 and 1", {"name": "td0", "constants": {"discount": 1.5}}),
        ("ridge must be positive", {"name": "recursive_least_squares", "constants": {"ridge": 0.0}}),
        ("alpha must be from alpha_min", {"name": "mackintosh", "constants": {"alpha": 2.0}}),
        ("inverse_temperature must be zero or more", {"name": "softmax", "constants": {"inverse_temperature": -1.0}}),
        ("momentum must be between 0 and 1", {"name": "momentum", "constants": {"momentum": 1.5}}),
    ],
)
def test_values_outside_a_rules_validity(match, settings):
    refused(match, **settings)


def test_a_store_without_room():
    rule = memory.make("softmax")
    refused("room for 3 more pairs, got 4", name="softmax", state=rule.init_state(3, 2, length=3))
    with pytest.raises(ValueError, match="length must be 1 or more"):
        rule.init_state(3, 2)


def test_other_functions():
    with pytest.raises(ValueError, match="order must be from 1 to 5"):
        memory.dpfp(np.ones(3), order=6)
    with pytest.raises(ValueError, match="size must be 1 or more"):
        memory.make("minibatch_delta", size=0)
    with pytest.raises(ValueError, match="probe must have shape"):
        memory.hopfield_energy(np.ones((4, 3)), np.ones(2), inverse_temperature=1.0)
