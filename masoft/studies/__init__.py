"""Studies: algorithms x environments x seeds x parameters, their results, statistics and pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masoft.studies.actions import draw_actions, draw_order
    from masoft.studies.comparison import Comparison, compare
    from masoft.studies.episodes import record_episode
    from masoft.studies.html_report import write_html_report
    from masoft.studies.mixed_teams import CrossPlay, cross_play, draw_cross_play
    from masoft.studies.plots import draw_curves, draw_improvement, draw_profiles, draw_scores
    from masoft.studies.report import write_report
    from masoft.studies.results import final_scores, read_results, sample_efficiency, time_to_threshold, write_results
    from masoft.studies.running import StudyStopped, run
    from masoft.studies.statistics import Estimate, iqm, performance_profile, probability_of_improvement
    from masoft.studies.study import Run, Study, Task, Variant, read_study
    from masoft.studies.teams import contributions, draw_contributions, draw_policies
    from masoft.studies.traces import draw_traces
    from masoft.studies.tuning import search

_HOME = {
    "Comparison": "comparison",
    "CrossPlay": "mixed_teams",
    "Estimate": "statistics",
    "Run": "study",
    "Study": "study",
    "StudyStopped": "running",
    "Task": "study",
    "Variant": "study",
    "compare": "comparison",
    "contributions": "teams",
    "cross_play": "mixed_teams",
    "draw_actions": "actions",
    "draw_contributions": "teams",
    "draw_cross_play": "mixed_teams",
    "draw_curves": "plots",
    "draw_improvement": "plots",
    "draw_order": "actions",
    "draw_policies": "teams",
    "draw_profiles": "plots",
    "draw_scores": "plots",
    "draw_traces": "traces",
    "final_scores": "results",
    "iqm": "statistics",
    "performance_profile": "statistics",
    "probability_of_improvement": "statistics",
    "read_results": "results",
    "read_study": "study",
    "record_episode": "episodes",
    "run": "running",
    "sample_efficiency": "results",
    "search": "tuning",
    "time_to_threshold": "results",
    "write_html_report": "html_report",
    "write_report": "report",
    "write_results": "results",
}

__all__ = [
    "Comparison",
    "CrossPlay",
    "Estimate",
    "Run",
    "Study",
    "StudyStopped",
    "Task",
    "Variant",
    "compare",
    "contributions",
    "cross_play",
    "draw_actions",
    "draw_contributions",
    "draw_cross_play",
    "draw_curves",
    "draw_improvement",
    "draw_order",
    "draw_policies",
    "draw_profiles",
    "draw_scores",
    "draw_traces",
    "final_scores",
    "iqm",
    "performance_profile",
    "probability_of_improvement",
    "read_results",
    "read_study",
    "record_episode",
    "run",
    "sample_efficiency",
    "search",
    "time_to_threshold",
    "write_html_report",
    "write_report",
    "write_results",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): neither torch nor pandas before they are needed."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.studies' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"masoft.studies.{_HOME[name]}"), name)
    globals()[name] = value
    return value
