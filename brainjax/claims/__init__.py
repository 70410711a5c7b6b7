"""Claims: a statement from a paper, what was expected, what was measured, and the verdict.

A claim must be able to fail, and no tolerance is tuned by hand. Random quantities are compared in standard errors over
seeds (Student intervals, 95 % unless said otherwise; Bonferroni where several comparisons make one claim);
deterministic ones in a discretisation error estimated by halving the step. The verdict is ``holds`` when the whole
interval lies where the claim says, ``fails`` when it lies outside, and ``inconclusive`` otherwise.
"""

from brainjax.claims._claim import FAILS as FAILS
from brainjax.claims._claim import HOLDS as HOLDS
from brainjax.claims._claim import INCONCLUSIVE as INCONCLUSIVE
from brainjax.claims._claim import MARKS as MARKS
from brainjax.claims._claim import Claim as Claim
from brainjax.claims._claim import from_json as from_json
from brainjax.claims._claim import render as render
from brainjax.claims._claim import table as table
from brainjax.claims._claim import to_json as to_json
from brainjax.claims._jackknife import jackknife as jackknife
from brainjax.claims._judge import below as below
from brainjax.claims._judge import decreasing as decreasing
from brainjax.claims._judge import deterministic as deterministic
from brainjax.claims._judge import greater as greater
from brainjax.claims._judge import halving_error as halving_error
from brainjax.claims._judge import increasing as increasing
from brainjax.claims._judge import interval as interval
from brainjax.claims._judge import spread_decreasing as spread_decreasing
from brainjax.claims._judge import spread_increasing as spread_increasing
from brainjax.claims._judge import within as within
from brainjax.claims._published import agrees_with as agrees_with
from brainjax.claims._several import everywhere as everywhere
from brainjax.claims._several import follows_law as follows_law
