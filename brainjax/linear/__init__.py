"""Deep linear learning dynamics: singular modes, pathways and deficits, layered networks.

Formulas for single modes (``mode_*``), for two pathways and a window of deficit (``critical_period_curve`` and its kin),
and solvers for any number of pathways.
"""

from brainjax.linear._clock import critical_period_curve as critical_period_curve
from brainjax.linear._clock import critical_period_curve_large as critical_period_curve_large
from brainjax.linear._clock import final_split as final_split
from brainjax.linear._clock import final_split_large as final_split_large
from brainjax.linear._clock import window_clock as window_clock
from brainjax.linear._clock import window_clock_large as window_clock_large
