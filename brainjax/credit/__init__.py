"""Credit assignment: how a network's weights learn what to do about an error, behind one interface.

``make(name, network)`` gives a `Rule` of pure functions; `RULES` lists them:

- backward, with the weights or a substitute for them: ``backprop``, ``feedback_alignment``, ``sign_symmetry``,
  ``kolen_pollack``, ``weight_mirror``, and in one jump ``direct_feedback_alignment``,
  ``direct_random_target_projection``;
- towards targets: ``difference_target_propagation``, ``fixed_weight_target_propagation``,
  ``difference_reconstruction``, ``local_difference_reconstruction``;
- forward only: ``forward_forward``, ``pepita``;
- by settling: ``predictive_coding``, ``equilibrium_propagation``;
- with a second network that runs the other way: ``counter_current``.
"""

from brainjax.credit._flops import flops as flops
from brainjax.credit._flops import program_flops as program_flops
from brainjax.credit._interface import Batch as Batch
from brainjax.credit._interface import Gradients as Gradients
from brainjax.credit._interface import Info as Info
from brainjax.credit._interface import Params as Params
from brainjax.credit._interface import Rule as Rule
from brainjax.credit._interface import State as State
from brainjax.credit._layers import ACTIVATIONS as ACTIVATIONS
from brainjax.credit._layers import Layer as Layer
from brainjax.credit._layers import conv_pool as conv_pool
from brainjax.credit._layers import conv_stride as conv_stride
from brainjax.credit._layers import dense as dense
from brainjax.credit._layers import flatten as flatten
from brainjax.credit._layers import mirrored as mirrored
from brainjax.credit._layers import upsample_conv as upsample_conv
from brainjax.credit._linear import linear_asymmetry as linear_asymmetry
from brainjax.credit._linear import linear_flow as linear_flow
from brainjax.credit._linear import linear_levels as linear_levels
from brainjax.credit._linear import linear_predictors as linear_predictors
from brainjax.credit._linear import linear_two_layer_levels as linear_two_layer_levels
from brainjax.credit._measures import angle_to_backprop as angle_to_backprop
from brainjax.credit._measures import angles as angles
from brainjax.credit._measures import class_alignment as class_alignment
from brainjax.credit._measures import linear_cka as linear_cka
from brainjax.credit._measures import sign_agreement as sign_agreement
from brainjax.credit._measures import weight_alignment as weight_alignment
from brainjax.credit._networks import Network as Network
from brainjax.credit._networks import autoencoder as autoencoder
from brainjax.credit._networks import calibrate as calibrate
from brainjax.credit._networks import cnn as cnn
from brainjax.credit._networks import feedback_activities as feedback_activities
from brainjax.credit._networks import forward_activities as forward_activities
from brainjax.credit._networks import init_feedback as init_feedback
from brainjax.credit._networks import init_forward as init_forward
from brainjax.credit._networks import mlp as mlp
from brainjax.credit._networks import network as network
from brainjax.credit._optimisers import Optimiser as Optimiser
from brainjax.credit._optimisers import centralise as centralise
from brainjax.credit._optimisers import clip_by_layer_norm as clip_by_layer_norm
from brainjax.credit._optimisers import sgd as sgd
from brainjax.credit._registry import RULES as RULES
from brainjax.credit._registry import make as make
