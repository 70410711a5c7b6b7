"""Training loops that compile to one program: stochastic gradient descent with records, networks on decision tasks."""

from brainjax.training._decisions import DecisionMeasures as DecisionMeasures
from brainjax.training._decisions import DecisionRun as DecisionRun
from brainjax.training._decisions import InitialMeasures as InitialMeasures
from brainjax.training._decisions import cross_entropy as cross_entropy
from brainjax.training._decisions import independent_networks as independent_networks
from brainjax.training._decisions import learn_decisions as learn_decisions
from brainjax.training._loop import TrainingRun as TrainingRun
from brainjax.training._loop import train as train
