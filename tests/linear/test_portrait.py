import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import linear

GRID_A, GRID_B = np.linspace(0.1, 9, 6), np.linspace(0.2, 8, 5)


@pytest.mark.parametrize("depth", [pytest.param(1.0, marks=pytest.mark.slow), 2.0, 2.7, 5.0, 13.0])
@pytest.mark.parametrize("imbalance", [0.0, 1.0])
def test_the_field_is_what_one_small_step_of_learning_does(depth, imbalance):
    """Second derivation: the chain rule through strength(p), with dp/dt from the law of learning."""
    da, db = linear.phase_field(GRID_A, GRID_B, s=10.0, depth=depth, imbalance=imbalance)
    assert da.shape == db.shape == (5, 6)
    dt = 1e-7
    strengths = np.stack(
        [m.ravel() for m in np.meshgrid(GRID_A, GRID_B)]
    )  # each point of the grid is a mode of its own
    p = linear.small_layer(strengths, depth=depth, imbalance=imbalance)
    rate = linear.pathway_rate(p, s=10.0, depth=depth, imbalance=imbalance)
    later, earlier = (linear.strength(p + h * rate, depth=depth, imbalance=imbalance) for h in (dt, -dt))
    velocity = (later - earlier).reshape(2, 5, 6) / (2 * dt)
    np.testing.assert_allclose(jnp.stack([da, db]), velocity, rtol=2e-6, atol=1e-5)


def test_balanced_field_in_closed_form():
    da, db = linear.phase_field(GRID_A, GRID_B, s=10.0, depth=3.0)
    left = 10 - GRID_A[None] - GRID_B[:, None]
    np.testing.assert_allclose(da, 3 * GRID_A[None] ** (4 / 3) * left, rtol=1e-10)
    np.testing.assert_allclose(db, 3 * GRID_B[:, None] ** (4 / 3) * left, rtol=1e-10)
    slopes = da[0, 0] / db[0, 0]
    np.testing.assert_allclose(slopes, (GRID_A[0] / GRID_B[0]) ** (4 / 3), rtol=1e-10)


def test_nothing_moves_on_the_fixed_line():
    ka, kb = linear.fixed_line(10.0, 7)
    np.testing.assert_allclose(ka + kb, 10.0)
    for a, b in zip(ka, kb, strict=True):
        for field in linear.phase_field(a[None], b[None], s=10.0, depth=5.0, imbalance=1.0):
            np.testing.assert_allclose(field, 0, atol=1e-9)


def test_the_origin_is_a_saddle_only_for_balanced_layers():
    zero = jnp.zeros(1)
    assert float(linear.phase_field(zero, zero, s=10.0, depth=5.0)[0][0, 0]) == 0
    assert float(linear.phase_field(zero, zero, s=10.0, depth=5.0, imbalance=1.0)[0][0, 0]) == pytest.approx(10.0)
    assert float(linear.phase_field(zero, zero, s=10.0, depth=1.0)[0][0, 0]) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 0.5}, "depth"),
        ({"imbalance": -1.0}, "imbalance"),
        ({"ka": [[1.0]]}, "ka"),
        ({"depth": [1.0, 2.0, 3.0]}, "depth"),
    ],
)
def test_bad_input(arguments, words):
    given = {"ka": GRID_A, "kb": GRID_B, "s": 10.0, "depth": 2.0, **arguments}
    with pytest.raises(ValueError, match=words):
        linear.phase_field(given.pop("ka"), given.pop("kb"), **given)
    with pytest.raises(ValueError, match="points"):
        linear.fixed_line(1.0, 1)
