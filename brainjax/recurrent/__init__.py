"""Recurrent networks as pure scans over time: their states, readouts, sensitivities and low-rank theory."""

from brainjax.recurrent._low_rank import Outliers as Outliers
from brainjax.recurrent._low_rank import low_rank_outliers as low_rank_outliers
from brainjax.recurrent._network import ACTIVATIONS as ACTIVATIONS
from brainjax.recurrent._network import PLACEMENTS as PLACEMENTS
from brainjax.recurrent._network import RateNetwork as RateNetwork
from brainjax.recurrent._network import initial_network as initial_network
from brainjax.recurrent._network import readout as readout
from brainjax.recurrent._network import states as states
from brainjax.recurrent._sensitivities import Sensitivities as Sensitivities
from brainjax.recurrent._sensitivities import sensitivities as sensitivities
