"""Task generators: pure functions that return examples; random ones take a PRNG key first."""

from brainjax.tasks._hierarchical import Correlations as Correlations
from brainjax.tasks._hierarchical import LinearTask as LinearTask
from brainjax.tasks._hierarchical import correlations as correlations
from brainjax.tasks._hierarchical import hierarchical_task as hierarchical_task
from brainjax.tasks._low_rank import low_rank_matrix as low_rank_matrix
from brainjax.tasks._low_rank import observed_entries as observed_entries
