"""Studies: algorithms x environments x seeds x parameters, their results, statistics and pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masoft.studies.plots import draw_curves, draw_scores
    from masoft.studies.results import final_scores, read_results, time_to_threshold
    from masoft.studies.running import run
    from masoft.studies.statistics import Estimate, iqm, performance_profile, probability_of_improvement
    from masoft.studies.study import Run, Study, Task, Variant, read_study
    from masoft.studies.tuning import search

_HOME = {
    "Estimate": "statistics",
    "Run": "study",
    "Study": "study",
    "Task": "study",
    "Variant": "study",
    "draw_curves": "plots",
    "draw_scores": "plots",
    "final_scores": "results",
    "iqm": "statistics",
    "performance_profile": "statistics",
    "probability_of_improvement": "statistics",
    "read_results": "results",
    "read_study": "study",
    "run": "running",
    "search": "tuning",
    "time_to_threshold": "results",
}

__all__ = [
    "Estimate",
    "Run",
    "Study",
    "Task",
    "Variant",
    "draw_curves",
    "draw_scores",
    "final_scores",
    "iqm",
    "performance_profile",
    "probability_of_improvement",
    "read_results",
    "read_study",
    "run",
    "search",
    "time_to_threshold",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): neither torch nor pandas before they are needed."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.studies' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"masoft.studies.{_HOME[name]}"), name)
    globals()[name] = value
    return value
