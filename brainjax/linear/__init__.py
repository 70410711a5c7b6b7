"""Deep linear learning dynamics: singular modes, pathways and deficits, layered networks.

Formulas for single modes (``mode_*``), for two pathways and a window of deficit (``critical_period_curve`` and its
kin), and solvers for any number of pathways.
"""

from brainjax.linear._balanced import balance_differences as balance_differences
from brainjax.linear._balanced import balance_norms as balance_norms
from brainjax.linear._balanced import balanced_pair as balanced_pair
from brainjax.linear._balanced import random_balanced_pair as random_balanced_pair
from brainjax.linear._balanced import relative_scale as relative_scale
from brainjax.linear._clock import critical_period_curve as critical_period_curve
from brainjax.linear._clock import critical_period_curve_large as critical_period_curve_large
from brainjax.linear._clock import final_split as final_split
from brainjax.linear._clock import final_split_large as final_split_large
from brainjax.linear._clock import window_clock as window_clock
from brainjax.linear._clock import window_clock_large as window_clock_large
from brainjax.linear._completion import CompletionErrors as CompletionErrors
from brainjax.linear._completion import CompletionRun as CompletionRun
from brainjax.linear._completion import CompletionTask as CompletionTask
from brainjax.linear._completion import SwitchedCompletion as SwitchedCompletion
from brainjax.linear._completion import complete as complete
from brainjax.linear._completion import complete_switched as complete_switched
from brainjax.linear._completion import completion_direction as completion_direction
from brainjax.linear._completion import completion_errors as completion_errors
from brainjax.linear._end_to_end import SingularRates as SingularRates
from brainjax.linear._end_to_end import end_to_end_gain as end_to_end_gain
from brainjax.linear._end_to_end import end_to_end_rate as end_to_end_rate
from brainjax.linear._end_to_end import end_to_end_rate_of_layers as end_to_end_rate_of_layers
from brainjax.linear._end_to_end import induced_rate as induced_rate
from brainjax.linear._end_to_end import singular_rates as singular_rates
from brainjax.linear._layered import LayeredRun as LayeredRun
from brainjax.linear._layered import descend as descend
from brainjax.linear._layered import descent_direction as descent_direction
from brainjax.linear._layers import Lesions as Lesions
from brainjax.linear._layers import ModeProjection as ModeProjection
from brainjax.linear._layers import decoupled_layers as decoupled_layers
from brainjax.linear._layers import gaussian_layers as gaussian_layers
from brainjax.linear._layers import identity_layers as identity_layers
from brainjax.linear._layers import lesioned_maps as lesioned_maps
from brainjax.linear._layers import lesions as lesions
from brainjax.linear._layers import orthogonal_layers as orthogonal_layers
from brainjax.linear._layers import path_maps as path_maps
from brainjax.linear._layers import project as project
from brainjax.linear._modes import mode_strength as mode_strength
from brainjax.linear._modes import mode_strength_unbalanced as mode_strength_unbalanced
from brainjax.linear._modes import mode_time as mode_time
from brainjax.linear._nonlinear import Activation as Activation
from brainjax.linear._nonlinear import descend_nonlinear as descend_nonlinear
from brainjax.linear._nonlinear import path_responses as path_responses
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
from brainjax.linear._two_layer import TwoLayer as TwoLayer
from brainjax.linear._two_layer import two_layer_flow as two_layer_flow
from brainjax.linear._two_layer import two_layer_switches as two_layer_switches
from brainjax.linear._two_layer import two_layer_tangent_kernel as two_layer_tangent_kernel
