"""Task generators: pure functions that return examples; random ones take a PRNG key first."""

from brainjax.tasks._decision_tasks import DECISION_TASKS as DECISION_TASKS
from brainjax.tasks._decision_tasks import DecisionTask as DecisionTask
from brainjax.tasks._decisions import context_decision as context_decision
from brainjax.tasks._decisions import delayed_match as delayed_match
from brainjax.tasks._decisions import two_alternative as two_alternative
from brainjax.tasks._hierarchical import Correlations as Correlations
from brainjax.tasks._hierarchical import LinearTask as LinearTask
from brainjax.tasks._hierarchical import correlations as correlations
from brainjax.tasks._hierarchical import hierarchical_task as hierarchical_task
from brainjax.tasks._ideal_observer import context_accuracy as context_accuracy
from brainjax.tasks._ideal_observer import context_floor as context_floor
from brainjax.tasks._ideal_observer import match_accuracy as match_accuracy
from brainjax.tasks._ideal_observer import match_floor as match_floor
from brainjax.tasks._ideal_observer import two_alternative_accuracy as two_alternative_accuracy
from brainjax.tasks._ideal_observer import two_alternative_floor as two_alternative_floor
from brainjax.tasks._image_rows import image_rows as image_rows
from brainjax.tasks._image_rows import row_sequences as row_sequences
from brainjax.tasks._low_rank import low_rank_matrix as low_rank_matrix
from brainjax.tasks._low_rank import observed_entries as observed_entries
from brainjax.tasks._trials import Trial as Trial
from brainjax.tasks._trials import batch as batch
