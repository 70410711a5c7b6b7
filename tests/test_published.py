"""Agreement with reported numbers: Welch's interval against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from brainjax import claims

OURS = np.array([82.1, 82.9, 83.0, 82.4, 82.7])
THEIRS = np.array([82.88, 82.85, 83.08])


def judged(ours=OURS, margin=1.0, **change):
    reported = {"mean": THEIRS.mean(), "deviation": THEIRS.std(ddof=1), "runs": 3} | change
    return claims.agrees_with("a", "b", "c", ours, margin=margin, **reported)


def test_the_interval_is_that_of_welchs_test():
    wanted = stats.ttest_ind(OURS, THEIRS, equal_var=False).confidence_interval(0.95)
    claim = judged()
    np.testing.assert_allclose([claim.low, claim.high], wanted, rtol=1e-10)
    assert claim.verdict == "holds"


def test_it_can_fail_and_can_be_open():
    assert judged(OURS - 3.0).verdict == "fails"
    assert judged(margin=0.2).verdict == "inconclusive"
    assert judged(OURS[:1]).verdict == "inconclusive"


@pytest.mark.parametrize("wrong", [{"runs": 1}, {"deviation": -1.0}, {"margin": -1.0}])
def test_bad_reports_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        judged(**wrong)
