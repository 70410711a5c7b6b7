"""Figures from labelled results: one style, curves with intervals over seeds, phase portraits.

Everything draws on `matplotlib.figure.Figure` directly: no pyplot, no global figure, nothing shown on a screen.
"""

from brainjax.plots.curves import beside as beside
from brainjax.plots.curves import curves as curves
from brainjax.plots.curves import intervals as intervals
from brainjax.plots.portrait import portrait as portrait
from brainjax.plots.style import COLUMN as COLUMN
from brainjax.plots.style import PAGE as PAGE
from brainjax.plots.style import axis_label as axis_label
from brainjax.plots.style import letter as letter
from brainjax.plots.style import line_styles as line_styles
from brainjax.plots.style import panels as panels
from brainjax.plots.style import save as save
from brainjax.plots.style import style as style
from brainjax.plots.style import subplots as subplots
