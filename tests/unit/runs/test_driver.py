"""The callback that `masoft train`, studies and benchmarks share, on the smallest real game."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.logger import Logger

from masoft import HASAC, make_vec
from masoft.runs.driver import environments, learn, new_model
from masoft.runs.evaluations import Columns, Evaluations
from masoft.runs.settings import RunSettings
from masoft.testing.games import CueTeam

SMALL = {"learning_starts": 8, "batch_size": 4, "policy_kwargs": {"net_arch": [4]}, "drift": "KLDrift(0.5)"}


def trained(table: Path, steps: int = 20, **how: Any) -> list[dict[str, str]]:
    settings = RunSettings("MEHAML", "matrix/maxent", {}, 1, 0, steps, SMALL, eval_every=8, eval_episodes=2)
    with environments(settings, arena_seed=1) as (env, arena):
        model = new_model(settings, env)
        learn(model, settings, steps, Logger(None, []), [Evaluations(arena, table, 8, 2, **how)])
    with table.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("how", "steps"),
    [({}, [8, 16]), ({"at_start": True}, [1, 8, 16]), ({"at_end": True}, [8, 16, 20])],
)
def test_evaluations_come_when_they_are_due(how: dict[str, bool], steps: list[int], tmp_path: Path) -> None:
    assert [int(row["timesteps"]) for row in trained(tmp_path / "t.csv", **how)] == steps


@pytest.mark.parametrize(("seed", "n_different"), [(5, 1), (None, 2)])
def test_a_seed_makes_every_evaluation_play_the_same_episodes(
    seed: int | None, n_different: int, tmp_path: Path
) -> None:
    parameters = {"learning_starts": 1_000, "policy_kwargs": {"net_arch": [4]}}  # nothing is learned meanwhile
    settings = RunSettings("HASAC", "mpe/simple_spread_v3", {}, 1, 0, 20, parameters, eval_every=10, eval_episodes=1)
    with environments(settings, arena_seed=1) as (env, arena):
        watch = Evaluations(arena, tmp_path / "t.csv", 10, 1, seed=seed)
        learn(new_model(settings, env), settings, 20, Logger(None, []), [watch])
    with (tmp_path / "t.csv").open() as file:
        assert len({row["mean_return"] for row in csv.DictReader(file)}) == n_different


def test_columns_are_chosen(tmp_path: Path) -> None:
    columns: Columns = {"env_steps": lambda found: found.timesteps, "seconds": lambda found: found.wall_s}
    rows = trained(tmp_path / "t.csv", columns=columns)
    assert [*rows[0]] == ["env_steps", "seconds"]
    assert 0 <= float(rows[0]["seconds"]) < float(rows[1]["seconds"])


def test_parts_written_as_text_become_objects(tmp_path: Path) -> None:
    from masoft.mirror import KLDrift

    settings = RunSettings("MEHAML", "matrix/maxent", {}, 1, 0, 20, SMALL)
    with environments(settings) as (env, arena):
        assert new_model(settings, env).drift == KLDrift(0.5) and arena is None


def test_threads_and_environments_are_given_back(tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    settings = RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 20, {}, threads=before + 1, eval_every=8)
    with pytest.raises(ZeroDivisionError), environments(settings):
        assert torch.get_num_threads() == before + 1
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before


class Toss(CueTeam):
    """Won if the guard, who always sees the same, plays 0 at the end."""

    def step(self, actions: dict[str, Any]) -> Any:
        *rest, infos = super().step(actions)
        return *rest, {agent: {"is_success": int(actions["guard"]) == 0} for agent in infos}


def test_drawn_actions_are_evaluated_beside_the_mode(tmp_path: Path) -> None:
    model = HASAC(make_vec(Toss, n_envs=1, seed=0), learning_starts=1_000, seed=0, policy_kwargs={"net_arch": [4]})
    columns: Columns = {"mode": lambda found: found.success, "drawn": lambda found: found.sampled}
    watch = Evaluations(make_vec(Toss, seed=1), tmp_path / "t.csv", 10, 40, columns=columns, sampled=True)
    model.learn(10, callback=watch)
    with (tmp_path / "t.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["mode"]) in (0, 1) and 0 < float(row["drawn"]) < 1
