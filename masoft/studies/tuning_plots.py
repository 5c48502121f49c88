"""Pictures of a search: how it went, and which arguments mattered; the numbers lie beside them as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from masoft.runs.style import COLOURS, legend_below, new_figure, save_picture, tidy, write_data
from masoft.studies.tuning import the_optuna


def draw_history(study: Any, path: str | Path) -> Path:
    """The return of every trial in the order in which they came, and the best so far.

    Args:
        study: an Optuna study.
        path: picture to write; its ending decides the format.
    """
    states = the_optuna().trial.TrialState
    trials = [trial for trial in study.trials if trial.value is not None]
    numbers, values = [trial.number for trial in trials], [trial.value for trial in trials]
    is_whole = np.array([trial.state == states.COMPLETE for trial in trials], bool)
    best = np.maximum.accumulate(np.where(is_whole, values, -np.inf)) if trials else np.array([])
    figure = new_figure(5.6, 3.4)
    panel = figure.subplots()
    for name, mark, colour, chosen in (
        ("finished", "o", COLOURS[0], is_whole), ("stopped early", "x", COLOURS[1], ~is_whole),
    ):  # fmt: skip
        if chosen.any():
            panel.plot(np.array(numbers)[chosen], np.array(values)[chosen], mark, color=colour, label=name)
    known = np.isfinite(best)
    panel.step(np.array(numbers)[known], best[known], where="post", color=COLOURS[2], label="best so far")
    panel.set(xlabel="trial", ylabel="mean return of its last evaluation")
    tidy(panel)
    legend_below(figure, panel)
    save_picture(figure, path)
    rows = zip(numbers, [trial.state.name for trial in trials], values, best, strict=True)
    write_data(path, ("trial", "state", "value", "best"), rows)
    return Path(path)


def draw_importance(study: Any, path: str | Path) -> Path | None:
    """How much each argument decided whether a trial was among the good ones (PED-ANOVA); None with too few trials.

    Args:
        study: an Optuna study.
        path: picture to write; its ending decides the format.

    Reference:
        Watanabe et al., PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces,
        IJCAI 2023.
    """
    optuna = the_optuna()
    whole = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(whole) < 4 or len({trial.value for trial in whole}) < 2:
        return None
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    figure = new_figure(5.6, 0.4 * len(found) + 1.0)
    panel = figure.subplots()
    panel.barh(range(len(found)), list(found.values()), color=COLOURS[0], height=0.55)
    panel.set_yticks(range(len(found)), list(found))
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.set_xlabel("importance")
    tidy(panel)
    save_picture(figure, path)
    write_data(path, ("argument", "importance"), found.items())
    return Path(path)
