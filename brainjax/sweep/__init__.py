"""The sweep engine: axes, plan, execution and store. Knows no science.

``product(static(...), traced(...), seeds(n))`` says what varies, `make_plan` traces one program per static point and
``print(plan)`` says what will happen, `execute` runs it into an ``xarray.Dataset``, resumable from a store, and
`collect` reads a finished store back.
"""

from brainjax.sweep.axes import Axes as Axes
from brainjax.sweep.axes import product as product
from brainjax.sweep.axes import seeds as seeds
from brainjax.sweep.axes import static as static
from brainjax.sweep.axes import traced as traced
from brainjax.sweep.axes import zipped as zipped
from brainjax.sweep.execution import Progress as Progress
from brainjax.sweep.execution import collect as collect
from brainjax.sweep.execution import execute as execute
from brainjax.sweep.execution import resumed as resumed
from brainjax.sweep.parts import parts_of as parts_of
from brainjax.sweep.parts import setting as setting
from brainjax.sweep.plan import Plan as Plan
from brainjax.sweep.plan import make_plan as make_plan
from brainjax.sweep.provenance import provenance as provenance
