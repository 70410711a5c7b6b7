"""Claims about many cells at once: samples of known truth, error rates, and which cell is shown."""

import numpy as np
import pytest
from scipy import stats

from brainjax import claims

ABOUT = ("name", "A statement.", "Figure 1")


def draw(mean, n=64, seed=0):
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def test_all_cells_must_pass_and_the_worst_is_shown():
    cells = {"a": draw(0.8), "b": draw(2.0), "c": draw(5.0)}
    held = claims.everywhere(claims.greater, *ABOUT, cells, unit="mV")
    assert (held.verdict, held.mean, held.unit) == ("holds", pytest.approx(cells["a"].mean()), "mV")
    assert "3 of 3 hold; shown: a" in held.detail
    third = stats.ttest_1samp(cells["a"], 0.0).confidence_interval(1 - 0.05 / 3)
    np.testing.assert_allclose([held.low, held.high], third, rtol=1e-9)
    assert claims.everywhere(claims.greater, *ABOUT, {**cells, "d": draw(0.0)}).verdict == "inconclusive"
    failed = claims.everywhere(claims.greater, *ABOUT, {**cells, "d": draw(0.0), "e": draw(-2.0)})
    assert (failed.verdict, failed.mean < 0) == ("fails", True)
    assert "shown: e" in failed.detail
    below = claims.everywhere(claims.below, *ABOUT, cells, than=7.0)
    assert "shown: c" in below.detail
    inside = claims.everywhere(claims.within, *ABOUT, {"a": draw(0.0), "b": draw(0.5)}, low=-1.0, high=1.0)
    assert "shown: b" in inside.detail


def test_a_right_law_is_refused_as_rarely_as_said_and_a_wrong_one_found():
    rng = np.random.default_rng(1)
    law = {"a": 2.0, "b": 0.5}
    refused, samples = 0, {}
    for _ in range(300):
        samples = {cell: number * (1 + 0.2 * rng.normal(size=20)) for cell, number in law.items()}
        refused += claims.follows_law(*ABOUT, samples, law, errors=2.0).verdict == "fails"
    chance = 2 * 2 * stats.t.sf(2.0, 19)  # of either cell, Bonferroni; the cells are independent
    assert abs(refused / 300 - (1 - (1 - chance / 2) ** 2)) < 4 * np.sqrt(chance / 300)
    wrong = claims.follows_law(*ABOUT, samples, {**law, "b": 0.8})
    assert (wrong.verdict, wrong.n) == ("fails", 20)
    assert "furthest at b" in wrong.detail


def test_a_law_needs_samples_that_could_refuse_it():
    noisy = {"a": 1 + 3 * draw(0.0, n=8)}
    assert claims.follows_law(*ABOUT, noisy, {"a": 1.0}).verdict == "inconclusive"
    exact = {"a": np.full(8, np.float32(1.0 + 1e-7))}  # the rounding of the samples is no deviation
    assert claims.follows_law(*ABOUT, exact, {"a": 1.0}).verdict == "holds"
    assert claims.follows_law(*ABOUT, {"a": np.array([1.0, np.nan, 1.1])}, {"a": 1.0}).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: claims.everywhere(claims.greater, *ABOUT, {}), "samples must hold"),
        (lambda: claims.follows_law(*ABOUT, {}, {}), "samples must hold"),
        (lambda: claims.follows_law(*ABOUT, {"a": draw(0.0)}, {"b": 1.0}), "zero for a"),
        (lambda: claims.follows_law(*ABOUT, {"a": draw(0.0)}, {"a": 0.0}), "zero for a"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
