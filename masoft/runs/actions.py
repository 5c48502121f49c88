"""What a team does as it learns: its actions in evaluations, and the order in which its agents are updated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from masoft.files import read_table, write_text
from masoft.files.text import number
from masoft.runs.tables import as_csv
from masoft.spec import TeamSpec

ACTIONS, ORDER = "evaluated_actions.csv", "update_order.csv"
ACTION_COLUMNS = ("timesteps", "agent", "entry", "what", "value")
ORDER_COLUMNS = ("agent", "position", "updates")
MEAN, DEVIATION = "mean", "std"


class ActionTable:
    """Summaries of what a team does in each evaluation: shares of choices, means and deviations of numbers.

    Args:
        path: CSV file with the columns `ACTION_COLUMNS`, actions in the environment's units.
        team: whose actions they are.
    """

    def __init__(self, path: Path, team: TeamSpec) -> None:
        self._path, self._team = path, team
        self._seen: list[np.ndarray] = []

    def start(self, step: int) -> None:
        """Begin the table, or keep what is there up to a step."""
        known = read_table(self._path)[1] if step and self._path.is_file() else []
        kept = (row for row in known if (at := number(row.get("timesteps"))) is not None and at <= step)
        write_text(self._path, as_csv(ACTION_COLUMNS, [[row.get(name) for name in ACTION_COLUMNS] for row in kept]))

    def add(self, joint: np.ndarray) -> None:
        """Take a joint action, (action_size,)."""
        self._seen.append(np.array(joint, float))

    def write(self, step: int) -> None:
        """Append the summary of what was added since."""
        text = as_csv(ACTION_COLUMNS, self._rows(step))
        with self._path.open("a", newline="") as file:
            file.write(text.partition("\n")[2])
        self._seen = []

    def _rows(self, step: int) -> Iterator[tuple[Any, ...]]:
        table = np.array(self._seen)
        for agent, where in zip(self._team.agents, self._team.action_slices, strict=True):
            for entry, values in enumerate(table[:, where].T):
                if agent.action.is_box:
                    yield step, agent.name, entry, MEAN, values.mean()
                    yield step, agent.name, entry, DEVIATION, values.std()
                    continue
                shares = np.bincount(values.astype(int), minlength=agent.action.nvec[entry]) / len(values)
                yield from ((step, agent.name, entry, choice, share) for choice, share in enumerate(shares))


class UpdateOrder(BaseCallback):
    """Counts at which place of an update each agent comes, and writes it when learning ends.

    Args:
        path: CSV file with the columns `ORDER_COLUMNS`; a resumed run adds to what is there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _on_training_start(self) -> None:
        model: Any = self.model
        self._names = model.team.names
        self._counts = np.zeros((len(self._names), len(self._names)), int)
        if model.num_timesteps and self._path.is_file():
            for row in read_table(self._path)[1]:
                place, count = number(row.get("position")), number(row.get("updates")) or 0
                if row.get("agent") in self._names and place in range(len(self._names)):
                    self._counts[self._names.index(row["agent"]), int(place or 0)] = int(count)
        turns = model.turns

        def counted(*args: Any, **kwargs: Any) -> Iterator[int]:
            for place, agent in enumerate(turns(*args, **kwargs)):
                self._counts[agent, place] += 1
                yield agent

        vars(model)["turns"] = counted

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        del vars(self.model)["turns"]
        if not self._counts.any():
            return  # nothing was learned, or all agents at once
        rows = ((name, place, count) for name, counts in zip(self._names, self._counts, strict=True)
                for place, count in enumerate(counts))  # fmt: skip
        write_text(self._path, as_csv(ORDER_COLUMNS, rows))
