"""Verdicts on samples whose truth is known: all three outcomes, error rates, and what a claim shows."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from brainjax import claims
from brainjax.claims import Claim

ABOUT = ("name", "A statement.", "Figure 1")


def draw(mean, sd=1.0, n=64, seed=0):
    return np.random.default_rng(seed).normal(mean, sd, n)


def test_interval_is_the_student_interval_of_scipy():
    x = draw(0.3, n=17)
    mean, low, high, n, excluded = claims.interval(x)
    expected = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose([mean, low, high], [x.mean(), expected.low, expected.high], rtol=1e-12)
    assert (n, excluded) == (17, 0)


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda: claims.greater(*ABOUT, draw(1.0)), "holds"),
        (lambda: claims.greater(*ABOUT, draw(-1.0)), "fails"),
        (lambda: claims.greater(*ABOUT, draw(0.0)), "inconclusive"),
        (lambda: claims.greater(*ABOUT, draw(1.0), than=2.0), "fails"),
        (lambda: claims.below(*ABOUT, draw(1.0), than=2.0), "holds"),
        (lambda: claims.below(*ABOUT, draw(3.0), than=2.0), "fails"),
        (lambda: claims.below(*ABOUT, draw(2.0), than=2.0), "inconclusive"),
        (lambda: claims.within(*ABOUT, draw(0.0), low=-1.0, high=1.0), "holds"),
        (lambda: claims.within(*ABOUT, draw(3.0), low=-1.0, high=1.0), "fails"),
        (lambda: claims.within(*ABOUT, draw(0.0), low=-0.1, high=0.1), "inconclusive"),
        (lambda: claims.increasing(*ABOUT, [draw(m, seed=m) for m in (0, 1, 2)]), "holds"),
        (lambda: claims.increasing(*ABOUT, [draw(m, seed=m) for m in (0, 2, 1)]), "fails"),
        (lambda: claims.increasing(*ABOUT, [draw(m, seed=s) for s, m in enumerate((0, 1, 1))]), "inconclusive"),
        (lambda: claims.decreasing(*ABOUT, [draw(m, seed=m) for m in (2, 1, 0)]), "holds"),
        (lambda: claims.spread_increasing(*ABOUT, [draw(0, sd, seed=s) for s, sd in enumerate((1, 2, 4))]), "holds"),
        (lambda: claims.spread_increasing(*ABOUT, [draw(0, sd, seed=s) for s, sd in enumerate((1, 4, 2))]), "fails"),
        (lambda: claims.spread_increasing(*ABOUT, [draw(0, 1, seed=s) for s in range(3)]), "inconclusive"),
        (lambda: claims.spread_decreasing(*ABOUT, [draw(0, sd, seed=s) for s, sd in enumerate((4, 1))]), "holds"),
        (lambda: claims.deterministic(*ABOUT, 1.0, 0.1, low=0.5), "holds"),
        (lambda: claims.deterministic(*ABOUT, 1.0, 0.1, low=1.5), "fails"),
        (lambda: claims.deterministic(*ABOUT, 1.0, 0.1, low=0.95), "inconclusive"),
        (lambda: claims.deterministic(*ABOUT, [1.0, 2.0], [0.1, 0.1], low=0.5), "holds"),
        (lambda: claims.deterministic(*ABOUT, [1.0, 0.2], [0.1, 0.1], low=0.5), "fails"),
        (lambda: claims.deterministic(*ABOUT, [1.0, math.nan], [0.1, 0.1], low=0.5), "inconclusive"),
        (lambda: claims.deterministic(*ABOUT, 0.0, 0.0, low=0.0), "inconclusive"),  # 0 > 0 is not so
        (lambda: claims.deterministic(*ABOUT, 0.0, 0.0, low=0.0, high=1.0), "holds"),  # 0 in [0, 1] is
    ],
)
def test_verdicts(make, verdict):
    assert make().verdict == verdict


def test_pairing_by_seed_decides_what_unpaired_samples_cannot():
    base = draw(0.0, sd=10.0)
    shifted = base + draw(0.5, sd=0.1, seed=1)
    assert claims.greater(*ABOUT, shifted, than=base).verdict == "holds"
    assert claims.greater(*ABOUT, shifted, than=np.roll(base, 1)).verdict == "inconclusive"


def test_false_verdicts_are_as_rare_as_promised_and_true_ones_are_found():
    """Under no difference a verdict is wrong in 5 % of draws (both sides together), judged in standard errors."""
    rng = np.random.default_rng(1)
    draws = 2000
    null = [claims.greater(*ABOUT, rng.normal(size=16)).verdict for _ in range(draws)]
    wrong = sum(v != "inconclusive" for v in null) / draws
    assert abs(wrong - 0.05) < 4 * math.sqrt(0.05 * 0.95 / draws)
    found = [claims.greater(*ABOUT, rng.normal(1.0, 1.0, 16)).verdict for _ in range(200)]
    assert found.count("holds") > 190  # power of this t test is 0.98


@pytest.mark.parametrize("kind", ["normal", "paired", "exponential"])
def test_coverage_of_the_interval_of_sd_ratios(kind):
    rng = np.random.default_rng(2)
    draws, n, missed = 600, 64, 0
    for _ in range(draws):
        if kind == "exponential":
            x, y = rng.exponential(size=n), 2.0 * rng.exponential(size=n)
        else:
            x = rng.normal(size=n)
            y = 2.0 * (0.8 * x + 0.6 * rng.normal(size=n)) if kind == "paired" else 2.0 * rng.normal(size=n)
        claim = claims.spread_increasing(*ABOUT, [x, y])
        missed += not claim.low < 2.0 < claim.high
    assert 0.02 < missed / draws < 0.09


def test_bonferroni_widens_with_the_number_of_steps():
    rows = np.random.default_rng(3).normal(size=(5, 40))
    one = claims.increasing(*ABOUT, rows[:2])
    four = claims.increasing(*ABOUT, [rows[0], rows[1], 2 + rows[1], 4 + rows[1], 6 + rows[1]])
    assert four.high - four.low > one.high - one.low
    paired = stats.ttest_rel(rows[1], rows[0]).confidence_interval(1 - 0.05 / 4)
    np.testing.assert_allclose([four.low, four.high], [paired.low, paired.high], rtol=1e-10)
    assert "0→1" in four.detail
    assert four.expected == "> 0 at each of 4 steps"


def test_levels_are_named_by_the_mapping():
    claim = claims.increasing(*ABOUT, {2: draw(0), 5: draw(1), 13: draw(2)}, unit="of strength", detail="early")
    assert claim.detail.startswith("early; 2→5: ")
    assert claim.unit == "of strength"


def test_samples_that_are_not_finite_are_left_out_and_counted():
    x = draw(1.0, n=20)
    x[3], x[7] = np.nan, np.inf
    claim = claims.greater(*ABOUT, x)
    assert (claim.n, claim.excluded, claim.verdict) == (18, 2, "holds")
    np.testing.assert_allclose(claim.mean, np.delete(x, [3, 7]).mean())
    assert "18 seeds, 2 not finite" in claim.measured
    assert "2 not finite" in claims.render([claim])
    ordered = claims.increasing(*ABOUT, [draw(0.0, n=20, seed=5), x, draw(5.0, n=20, seed=6)])
    assert ordered.excluded == 2


@pytest.mark.parametrize("samples", [[], [1.0], [np.nan, np.nan], [1.0, np.nan]])
def test_too_few_seeds_are_inconclusive_with_the_reason(samples):
    for claim in (
        claims.greater(*ABOUT, np.array(samples)),
        claims.within(*ABOUT, np.array(samples), low=0, high=2),
        claims.increasing(*ABOUT, np.array([samples, samples])),
        claims.spread_increasing(*ABOUT, np.array([samples, samples])),
    ):
        assert claim.verdict == "inconclusive"
        assert "too few" in claim.detail


def test_identical_samples_do_not_pretend_to_infinite_precision():
    ones = np.ones(8, np.float32)
    assert claims.greater(*ABOUT, ones, than=float(np.float32(1) - np.spacing(np.float32(1)) / 4)).verdict != "holds"
    assert claims.greater(*ABOUT, ones, than=0.5).verdict == "holds"
    flat = claims.spread_increasing(*ABOUT, [np.ones(8), draw(0, n=8)])
    assert flat.verdict == "inconclusive"
    assert "spread" in flat.detail


def test_halving_error_is_the_error_of_euler():
    """Euler on x' = -x to t=1: the estimate from one halving agrees with the error to the next order of the step."""

    def euler(steps):
        return (1.0 - 1.0 / steps) ** steps

    estimate = claims.halving_error(euler(500), euler(1000))
    np.testing.assert_allclose(estimate, abs(euler(1000) - math.exp(-1.0)), rtol=2e-3)
    np.testing.assert_allclose(claims.halving_error(1.0, 1.15, order=4), 0.01)


def test_json_round_trip_is_strict_json():
    made = [claims.greater(*ABOUT, draw(1.0), unit="s"), claims.greater(*ABOUT, [np.nan])]
    text = claims.to_json(made)
    json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    back = claims.from_json(text)
    assert back[0] == made[0]
    assert math.isnan(back[1].mean)
    assert claims.to_json(back) == text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"claims": [{"name": "x"}]}', '{"claims": [1]}'])
def test_a_damaged_file_is_one_line(text):
    with pytest.raises(ValueError, match="not a claims file") as caught:
        claims.from_json(text)
    assert "\n" not in str(caught.value)


def test_the_table_reads_without_colour_and_takes_text_literally():
    made = [
        claims.greater("a", "[bold]Text[/bold] stays.", "Fig. 1", draw(1.0)),
        claims.greater("b", "Wrong.", "Fig. 2", draw(-1.0)),
        claims.greater("c", "Unclear.", "Fig. 3", draw(0.0)),
    ]
    text = claims.render(made, width=100)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    for expected in ("✓ holds", "✗ FAILS", "? inconclusive", "[bold]Text[/bold]", "64 seeds", "Fig. 2"):
        assert expected in text


def test_the_jackknife_of_a_mean_is_the_samples_and_of_a_slope_its_interval_covers():
    x = draw(0.3, n=12)
    np.testing.assert_allclose(claims.jackknife(np.mean, x), x, rtol=1e-12)
    gone = claims.jackknife(lambda a, b: np.mean(a - b), np.array([1.0, np.nan, 4.0, 6.0]), np.ones(4))
    np.testing.assert_allclose(gone, [0.0, np.nan, 3.0, 5.0])
    assert np.isnan(claims.jackknife(np.mean, np.array([1.0, 2.0, np.nan]))).all()
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        at = rng.normal(size=24)
        y = 0.7 * at + rng.normal(size=24) * (0.5 + np.abs(at))
        _, low, high, _, _ = claims.interval(claims.jackknife(lambda a, b: float(np.polyfit(a, b, 1)[0]), at, y))
        covered += low < 0.7 < high
    assert covered > 300 * 0.95 - 4 * math.sqrt(300 * 0.95 * 0.05) - 9  # and 3 % for a sample of 24


@pytest.mark.parametrize(
    "call",
    [
        lambda: claims.jackknife(np.mean),
        lambda: claims.jackknife(lambda a, b: 0.0, np.ones(3), np.ones(4)),
        lambda: claims.greater(*ABOUT, np.ones((2, 3))),
        lambda: claims.greater(*ABOUT, np.ones(3), than=np.ones(4)),
        lambda: claims.greater(*ABOUT, np.ones(3), confidence=95),
        lambda: claims.greater(*ABOUT, np.array(["a", "b"])),
        lambda: claims.greater("", "", "", np.ones(3)),
        lambda: claims.within(*ABOUT, np.ones(3), low=1, high=0),
        lambda: claims.increasing(*ABOUT, np.ones((1, 3))),
        lambda: claims.increasing(*ABOUT, np.ones(3)),
        lambda: claims.increasing(*ABOUT, {1: np.ones(3), 2: np.ones(4)}),
        lambda: claims.deterministic(*ABOUT, 1.0, 0.1),
        lambda: claims.deterministic(*ABOUT, 1.0, -0.1, low=0),
        lambda: claims.deterministic(*ABOUT, [1.0, 2.0], 0.1, low=0),
        lambda: claims.halving_error(1.0, 2.0, order=0),
        lambda: Claim("a", "b", "c", "> 0", 0.0, 0.0, 0.0, 1, "true"),
    ],
)
def test_bad_input_is_one_line(call):
    with pytest.raises(ValueError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_importing_claims_is_light():
    code = (
        "import sys, brainjax.claims; print([m for m in ('jax', 'xarray', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"
