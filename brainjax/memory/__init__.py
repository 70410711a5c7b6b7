"""Attention as conditioning: memories that write pairs of keys and values and answer queries, behind one interface.

``make(name)`` gives a `MemoryRule` of pure functions, `apply` runs it along a sequence, step by step, in chunks or in
one piece, with equal results. `RULES` lists them:

- Hebbian: ``hebb``, ``hebb_decay``, ``gated_hebb`` (gated linear attention), ``covariance``, ``trace``;
  normalised: ``normalised_linear``, ``mlstm``; self-limiting: ``oja``, ``oja_clamped``, ``bcm``, ``bcm_clamped``;
- error-correcting: ``delta`` (Rescorla-Wagner), ``gated_delta``, ``normalised_delta``, ``decoupled_delta``,
  ``bush_mosteller``, ``minibatch_delta``, ``momentum``, ``recursive_least_squares``;
- with associability: ``mackintosh``, ``pearce_hall``; of temporal differences: ``td0``, ``td_lambda``;
- of exemplars: ``softmax``, ``hopfield``.

A rate that is a rate needs keys of known length: normalise them (`unit_norm`) or not, and say which, since it decides
which theory of conditioning is simulated. Gates read as neuromodulation and decay read as a stimulus trace are
interpretations.

How much a memory holds is in formulas: ``hebb_*``, ``worst_case_*``, ``delta_*``, ``decoding_*``, ``softmax_*`` and
their kin; chains of memories are in ``chain_*`` and heads in ``heads_*``. Conditioning experiments are strings:
`parse_design`, `compile_design` and `simulate` run them through any rule, `BATTERY` and `run_battery` compare rules on
the known phenomena, ``*_strength`` are the exact curves of Rescorla and Wagner, and `fit_rates` finds their parameters.
`probe` puts them to a trained network; networks of memory rules are in `brainjax.memory.layers`.
"""

from brainjax.memory._apply import apply as apply
from brainjax.memory._battery import BATTERY as BATTERY
from brainjax.memory._battery import BatteryEffects as BatteryEffects
from brainjax.memory._battery import Phenomenon as Phenomenon
from brainjax.memory._battery import battery_design as battery_design
from brainjax.memory._battery import effect_signs as effect_signs
from brainjax.memory._battery import run_battery as run_battery
from brainjax.memory._capacity import best_decay as best_decay
from brainjax.memory._capacity import best_gain as best_gain
from brainjax.memory._capacity import coherence_bound as coherence_bound
from brainjax.memory._capacity import coherence_capacity as coherence_capacity
from brainjax.memory._capacity import decayed_noise as decayed_noise
from brainjax.memory._capacity import decayed_signal as decayed_signal
from brainjax.memory._capacity import equicorrelated_capacity as equicorrelated_capacity
from brainjax.memory._capacity import equicorrelated_error as equicorrelated_error
from brainjax.memory._capacity import gain_corrected_error as gain_corrected_error
from brainjax.memory._capacity import hebb_capacity as hebb_capacity
from brainjax.memory._capacity import hebb_error as hebb_error
from brainjax.memory._capacity import mean_absolute_overlap as mean_absolute_overlap
from brainjax.memory._capacity import memory_span as memory_span
from brainjax.memory._capacity import welch_bound as welch_bound
from brainjax.memory._capacity import worst_case_capacity as worst_case_capacity
from brainjax.memory._capacity import worst_case_error as worst_case_error
from brainjax.memory._conditioning import COMPOUNDS as COMPOUNDS
from brainjax.memory._conditioning import Conditioning as Conditioning
from brainjax.memory._conditioning import cue_keys as cue_keys
from brainjax.memory._conditioning import overlapping_codes as overlapping_codes
from brainjax.memory._conditioning import random_codes as random_codes
from brainjax.memory._conditioning import simulate as simulate
from brainjax.memory._conditioning import tested_response as tested_response
from brainjax.memory._decoding import decoding_accuracy as decoding_accuracy
from brainjax.memory._decoding import decoding_capacity as decoding_capacity
from brainjax.memory._decoding import decoding_capacity_law as decoding_capacity_law
from brainjax.memory._decoding import nearest_key_error as nearest_key_error
from brainjax.memory._delta_capacity import delta_best_rate as delta_best_rate
from brainjax.memory._delta_capacity import delta_error as delta_error
from brainjax.memory._delta_capacity import delta_error_finite as delta_error_finite
from brainjax.memory._delta_capacity import delta_pair_amplitude as delta_pair_amplitude
from brainjax.memory._delta_capacity import delta_pair_error as delta_pair_error
from brainjax.memory._delta_capacity import delta_write_energy as delta_write_energy
from brainjax.memory._delta_capacity import least_squares_capacity as least_squares_capacity
from brainjax.memory._delta_capacity import least_squares_error as least_squares_error
from brainjax.memory._designs import Design as Design
from brainjax.memory._designs import Phase as Phase
from brainjax.memory._designs import TrialType as TrialType
from brainjax.memory._designs import parse_design as parse_design
from brainjax.memory._exemplars import hopfield_energy as hopfield_energy
from brainjax.memory._exemplars import hopfield_update as hopfield_update
from brainjax.memory._features import dpfp as dpfp
from brainjax.memory._features import elu_plus_one as elu_plus_one
from brainjax.memory._features import identity as identity
from brainjax.memory._features import relu as relu
from brainjax.memory._features import taylor as taylor
from brainjax.memory._features import unit_norm as unit_norm
from brainjax.memory._fitting import RateFit as RateFit
from brainjax.memory._fitting import Rates as Rates
from brainjax.memory._fitting import fit_rates as fit_rates
from brainjax.memory._probing import ProbeSequences as ProbeSequences
from brainjax.memory._probing import difference_index as difference_index
from brainjax.memory._probing import probe as probe
from brainjax.memory._probing import probe_sequences as probe_sequences
from brainjax.memory._propagation import chain_noise as chain_noise
from brainjax.memory._propagation import chain_success as chain_success
from brainjax.memory._propagation import heads_capacity_law as heads_capacity_law
from brainjax.memory._propagation import heads_error as heads_error
from brainjax.memory._propagation import redundancy_needed as redundancy_needed
from brainjax.memory._propagation import redundant_failure as redundant_failure
from brainjax.memory._propagation import tolerated_depth as tolerated_depth
from brainjax.memory._registry import RULES as RULES
from brainjax.memory._registry import make as make
from brainjax.memory._rescorla_wagner import acquisition_strength as acquisition_strength
from brainjax.memory._rescorla_wagner import blocking_strength as blocking_strength
from brainjax.memory._rescorla_wagner import compound_strengths as compound_strengths
from brainjax.memory._rescorla_wagner import configural_strengths as configural_strengths
from brainjax.memory._rescorla_wagner import contingency_strengths as contingency_strengths
from brainjax.memory._rescorla_wagner import extinction_strength as extinction_strength
from brainjax.memory._rescorla_wagner import inhibition_strengths as inhibition_strengths
from brainjax.memory._rescorla_wagner import overexpectation_strengths as overexpectation_strengths
from brainjax.memory._rescorla_wagner import partial_reinforcement_strength as partial_reinforcement_strength
from brainjax.memory._rescorla_wagner import superconditioning_strengths as superconditioning_strengths
from brainjax.memory._rule import FORMS as FORMS
from brainjax.memory._rule import MemoryRule as MemoryRule
from brainjax.memory._rule import Output as Output
from brainjax.memory._rule import Weights as Weights
from brainjax.memory._softmax_capacity import hopfield_capacity as hopfield_capacity
from brainjax.memory._softmax_capacity import softmax_capacity as softmax_capacity
from brainjax.memory._softmax_capacity import softmax_competition as softmax_competition
from brainjax.memory._softmax_capacity import softmax_error as softmax_error
from brainjax.memory._trials import Trials as Trials
from brainjax.memory._trials import compile_design as compile_design
from brainjax.memory._trials import outcome_rates as outcome_rates
from brainjax.memory._trials import shuffle_trials as shuffle_trials
from brainjax.memory._triangular import unit_lower_inverse as unit_lower_inverse
from brainjax.memory._triangular import unit_lower_solve as unit_lower_solve
