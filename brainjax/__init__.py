"""brainjax: brain-inspired learning theory in JAX.

The rooms are sub-packages, imported when first used (``import brainjax`` itself loads nothing):

* ``brainjax.linear``: deep linear learning dynamics; ``brainjax.tasks``: task generators;
* ``brainjax.initializers``: rank-structured weights; ``brainjax.richness``: how far learning moved;
  ``brainjax.recurrent``: rate networks; ``brainjax.credit``: credit-assignment rules;
  ``brainjax.training``: training loops; ``brainjax.data``: real data;
* ``brainjax.core``: what several topics share;
* ``brainjax.sweep``: axes, plan, execution and store of large sweeps; ``brainjax.plots``: figures;
* ``brainjax.catalog``, ``brainjax.claims``, ``brainjax.cli``: experiments, their claims and the command line.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ROOMS = (
    *("catalog", "claims", "cli", "core", "credit", "data", "initializers", "linear"),
    *("plots", "recurrent", "richness", "sweep", "tasks", "training"),
)

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"brainjax.{name}")
    raise AttributeError(f"module 'brainjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
