"""Task generators: pure functions that return examples; random ones take a PRNG key first."""

from brainjax.tasks._hierarchical import Correlations as Correlations
from brainjax.tasks._hierarchical import LinearTask as LinearTask
from brainjax.tasks._hierarchical import correlations as correlations
from brainjax.tasks._hierarchical import hierarchical_task as hierarchical_task
