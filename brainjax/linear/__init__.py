"""Deep linear learning dynamics: singular modes, pathways and deficits, layered networks.

Formulas for single modes (``mode_*``), for two pathways and a window of deficit (``critical_period_curve`` and its
kin), and solvers for any number of pathways.
"""

from brainjax.linear._clock import critical_period_curve as critical_period_curve
from brainjax.linear._clock import critical_period_curve_large as critical_period_curve_large
from brainjax.linear._clock import final_split as final_split
from brainjax.linear._clock import final_split_large as final_split_large
from brainjax.linear._clock import window_clock as window_clock
from brainjax.linear._clock import window_clock_large as window_clock_large
from brainjax.linear._layered import LayeredRun as LayeredRun
from brainjax.linear._layered import descend as descend
from brainjax.linear._layered import descent_direction as descent_direction
from brainjax.linear._layers import ModeProjection as ModeProjection
from brainjax.linear._layers import decoupled_layers as decoupled_layers
from brainjax.linear._layers import gaussian_layers as gaussian_layers
from brainjax.linear._layers import path_maps as path_maps
from brainjax.linear._layers import project as project
from brainjax.linear._modes import mode_strength as mode_strength
from brainjax.linear._modes import mode_strength_unbalanced as mode_strength_unbalanced
from brainjax.linear._modes import mode_time as mode_time
from brainjax.linear._pathways import Windows as Windows
from brainjax.linear._pathways import pathway_rate as pathway_rate
from brainjax.linear._pathways import small_layer as small_layer
from brainjax.linear._pathways import strength as strength
from brainjax.linear._pathways import windows as windows
from brainjax.linear._portrait import fixed_line as fixed_line
from brainjax.linear._portrait import phase_field as phase_field
from brainjax.linear._solvers import PathwayRun as PathwayRun
from brainjax.linear._solvers import pathway_clock as pathway_clock
from brainjax.linear._solvers import pathway_euler as pathway_euler
from brainjax.linear._solvers import pathway_flow as pathway_flow
