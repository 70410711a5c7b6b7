"""Families of singular spectra in closed form, and the knob for a requested effective rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import initializers as ini
from brainjax.core.ranks import effective_rank, participation_ratio, stable_rank

BASE = np.array([[2.0, 1.0, 0.5, 0.25], [4.0, 4.0, 1.0, 0.0]])
I = np.arange(1, 5)


def test_families_by_hand():
    cases = [
        (ini.truncated(2), BASE * [1, 1, 0, 0]),
        (ini.flat(3), np.ones((2, 1)) * [1, 1, 1, 0]),
        (ini.power_law(1.5), np.ones((2, 1)) * I**-1.5),
        (ini.power_law(1.5, 2), np.ones((2, 1)) * [1, 2**-1.5, 0, 0]),
        (ini.power_law(0.0), np.ones((2, 4))),
        (ini.exponential(2.0), np.ones((2, 1)) * np.exp(-(I - 1) / 2)),
        (ini.exponential(np.inf), np.ones((2, 4))),
        (ini.soft_truncation(1.5, 0.3), BASE / (1 + np.exp((I - 2) / 0.3))),
        (ini.soft_truncation(2, 1e-3), BASE * [1, 1, 0, 0]),
        (ini.low_rank_plus_noise(1, 0.0), np.ones((2, 1)) * [1, 0, 0, 0]),
        (ini.low_rank_plus_noise(1, 1.0), BASE / np.linalg.norm(BASE, axis=1, keepdims=True)),
        (
            ini.low_rank_plus_noise(1, 0.6),
            0.8 * np.array([1, 0, 0, 0]) + 0.6 * BASE / np.linalg.norm(BASE, axis=1, keepdims=True),
        ),
    ]
    for number, (spectrum, expected) in enumerate(cases):
        for dtype, atol in ((np.float64, 1e-14), (np.float32, 1e-6)):
            found = spectrum(jnp.asarray(BASE, dtype))
            assert found.dtype == dtype
            np.testing.assert_allclose(found, expected, atol=atol, err_msg=str(number))


def test_derivatives_with_respect_to_every_continuous_knob_are_finite_also_at_the_ends():
    base = jnp.asarray(BASE[1])
    for family, knobs in (
        (lambda x: ini.power_law(x), (0.0, 1.0, 50.0)),
        (lambda x: ini.exponential(x), (0.01, 1.0, 1e6)),
        (lambda x: ini.soft_truncation(x, 0.5), (0.5, 2.0)),
        (lambda x: ini.soft_truncation(2.0, x), (0.01, 2.0)),
        (lambda x: ini.low_rank_plus_noise(1, x), (0.0, 0.5, 1.0)),
    ):
        slope = jax.jit(jax.vmap(jax.grad(lambda x, family=family: participation_ratio(family(x)(base)))))
        assert np.isfinite(slope(jnp.asarray(knobs))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ini.truncated(0), "rank must be a whole number, 1 or more, got 0"),
        (lambda: ini.flat(1.5), r"rank must be a whole number, 1 or more, got 1\.5"),
        (lambda: ini.low_rank_plus_noise(0, 0.1), "rank must be a whole number, 1 or more, got 0"),
        (lambda: ini.low_rank_plus_noise(1, 1.1), r"noise must be between 0 and 1, got 1\.1"),
        (lambda: ini.power_law(-1.0), r"exponent must be zero or more, got -1\.0"),
        (lambda: ini.power_law(np.inf), "exponent must be finite, got inf"),
        (lambda: ini.exponential(0.0), r"scale must be above zero, got 0\.0"),
        (lambda: ini.soft_truncation(2.0, 0.0), r"width must be positive and finite, got 0\.0"),
        (
            lambda: ini.soft_truncation(5.0, 1.0)(jnp.ones(4)),
            "rank must be at most 4, the smaller size of the matrix, got 5",
        ),
        (lambda: ini.power_law(1.0, 5)(jnp.ones(4)), "rank must be at most 4"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------------------------------------------------- knob
def test_exponential_knob_in_closed_form():
    # sum of q^i and of q^(2i), i < n, with q = exp(-2 / scale): PR = (1 + q)(1 - q^n) / ((1 - q)(1 + q^n))
    n, target = 40, np.array([1.5, 5.0, 30.0])
    scale = jax.jit(jax.vmap(lambda r: ini.knob_for_rank(r, family="exponential", size=n)))(target)
    q = np.exp(-2 / np.asarray(scale))
    np.testing.assert_allclose((1 + q) * (1 - q**n) / ((1 - q) * (1 + q**n)), target, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_knobs_give_the_rank_asked_for_in_every_family(dtype):
    base = np.linspace(2, 0.05, 30).astype(dtype)
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    cases = [
        ("power_law", None, ini.power_law, "participation_ratio", participation_ratio, 7.0),
        ("power_law", None, ini.power_law, "effective_rank", effective_rank, 29.0),
        (lambda x: ini.soft_truncation(x, 1.0), (0.5, 30.0), None, "stable_rank", stable_rank, 4.0),
        (lambda x: ini.low_rank_plus_noise(2, x), (0.0, 1.0), None, participation_ratio, participation_ratio, 5.0),
    ]
    for family, bracket, spectrum, name, measure, target in cases:
        knob = ini.knob_for_rank(dtype(target), family=family, size=base, measure=name, bracket=bracket)
        assert knob.dtype == dtype
        np.testing.assert_allclose(measure((spectrum or family)(knob)(jnp.asarray(base))), target, rtol=rtol)


@pytest.mark.slow
def test_ends_and_derivative_of_the_knob():
    assert ini.knob_for_rank(10, family="power_law", size=10) == 0
    assert ini.knob_for_rank(10, family="exponential", size=10) == jnp.inf
    assert ini.knob_for_rank(1, family="power_law", size=10) > 10

    def knob(target):
        return ini.knob_for_rank(target, family="power_law", size=10)

    slope = jax.grad(knob)(4.0)
    np.testing.assert_allclose(slope, (knob(4.0001) - knob(3.9999)) / 0.0002, rtol=1e-5)
    assert np.isnan(jax.jit(knob)(11.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": 11.0}, "target must be between 1 and 10 for this family, got 11"),
        ({"target": 0.5}, "target must be between 1 and 10 for this family, got 0.5"),
        ({"family": "cubic"}, "family must be one of 'power_law', 'exponential', got 'cubic'"),
        ({"family": ini.power_law}, "bracket must be two knobs where family is a function, got None"),
        ({"family": ini.power_law, "bracket": (2.0, 1.0)}, "bracket must be increasing"),
        ({"bracket": (0.0, 1.0)}, "bracket must be left out where family is a name"),
        ({"measure": "rank"}, "measure must be one of 'participation_ratio', .* got 'rank'"),
        ({"size": 0}, "size must be a positive whole number, or singular values, got 0"),
    ],
)
def test_refused_knobs(settings, message):
    with pytest.raises(ValueError, match=message):
        ini.knob_for_rank(**{"target": 3.0, "family": "power_law", "size": 10, **settings})
