"""Training loops that compile to one program: gradient descent with records, decision tasks, epochs over real data."""

from brainjax.training._decisions import DecisionMeasures as DecisionMeasures
from brainjax.training._decisions import DecisionRun as DecisionRun
from brainjax.training._decisions import InitialMeasures as InitialMeasures
from brainjax.training._decisions import cross_entropy as cross_entropy
from brainjax.training._decisions import independent_networks as independent_networks
from brainjax.training._decisions import learn_decisions as learn_decisions
from brainjax.training._epochs import EpochRun as EpochRun
from brainjax.training._epochs import Evaluation as Evaluation
from brainjax.training._epochs import best_epoch as best_epoch
from brainjax.training._epochs import epochs as epochs
from brainjax.training._epochs import evaluate as evaluate
from brainjax.training._epochs import one_epoch as one_epoch
from brainjax.training._epochs import random_order as random_order
from brainjax.training._epochs import split_rows as split_rows
from brainjax.training._images import ImageTask as ImageTask
from brainjax.training._images import image_task as image_task
from brainjax.training._functional import Functional as Functional
from brainjax.training._functional import ModuleState as ModuleState
from brainjax.training._functional import StepInfo as StepInfo
from brainjax.training._functional import functional as functional
from brainjax.training._functional import supervised_state as supervised_state
from brainjax.training._functional import supervised_step as supervised_step
from brainjax.training._loop import TrainingRun as TrainingRun
from brainjax.training._loop import train as train
from brainjax.training._moments import recorded_at as recorded_at
