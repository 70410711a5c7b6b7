r"""Rank-structured and biologically constrained weights, as functions that follow ``jax.nn.initializers``.

An initializer is a function ``(key, shape, dtype) -> Array`` of shape (..., rows, columns). Column :math:`j` holds what
presynaptic unit :math:`j` sends, row :math:`i` what postsynaptic unit :math:`i` receives, as in :math:`h = W x`; layers
of flax keep the transpose, see ``transposed``. Knobs are scalars that may be traced, so that one compilation serves a
sweep; for several values at once use ``jax.vmap``.
"""

from brainjax.initializers._blocks import blocks as blocks
from brainjax.initializers._blocks import types_of_units as types_of_units
from brainjax.initializers._factors import low_rank_factors as low_rank_factors
from brainjax.initializers._knob import knob_for_rank as knob_for_rank
from brainjax.initializers._motifs import motifs as motifs
from brainjax.initializers._protocol import Initializer as Initializer
from brainjax.initializers._protocol import transposed as transposed
from brainjax.initializers._rank import gaussian as gaussian
from brainjax.initializers._rank import rank_structured as rank_structured
from brainjax.initializers._rank import truncate as truncate
from brainjax.initializers._scale import matched as matched
from brainjax.initializers._scale import norm_of as norm_of
from brainjax.initializers._scale import rescale as rescale
from brainjax.initializers._signs import signed as signed
from brainjax.initializers._spectrum import Spectrum as Spectrum
from brainjax.initializers._spectrum import exponential as exponential
from brainjax.initializers._spectrum import flat as flat
from brainjax.initializers._spectrum import low_rank_plus_noise as low_rank_plus_noise
from brainjax.initializers._spectrum import power_law as power_law
from brainjax.initializers._spectrum import soft_truncation as soft_truncation
from brainjax.initializers._spectrum import truncated as truncated
