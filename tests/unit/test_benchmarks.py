"""The programs behind the pages of figures: they run, and every picture's data is there."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks are no part of the package

from benchmarks import gpu, large_teams, learning, matrix_learning, random_games, resident, rollouts  # noqa: E402


def drawing() -> ModuleType:
    """``docs/benchmarks/_draw.py`` as a module."""
    spec = importlib.util.spec_from_file_location("_draw", ROOT / "docs/benchmarks/_draw.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_draw"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def learn(monkeypatch: pytest.MonkeyPatch, path: Path, *flags: str) -> list[dict[str, str]]:
    monkeypatch.setattr(sys, "argv", ["learning", *flags, "--seed", "1", "--episodes", "1", "--out", str(path)])
    learning.main()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_learning_curve_has_a_row_an_evaluation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    params = '{"learning_starts": 10, "batch_size": 8, "drift": "KLDrift(0.1)", "n_steps": "Linear(3, 1)"}'
    flags = ["--algo", "mehaml", "--env", "matrix/maxent", "--steps", "40", "--every", "20", "--params", params]
    rows = learn(monkeypatch, tmp_path / "curve.csv", *flags)
    assert [float(row["env_steps"]) for row in rows] == [1, 20, 40]
    assert int(rows[-1]["updates"]) == 29 and all(-20 <= float(row["eval_return_mean"]) <= 20 for row in rows)


def test_a_preset_may_name_the_policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("gymnasium_robotics")
    params = '{"n_steps": 2, "batch_size": 4, "critic_batch_size": 4}'
    flags = ["--algo", "happo", "--preset", "mamujoco/HalfCheetah-2x3", "--n-envs", "2", "--params", params]
    rows = learn(monkeypatch, tmp_path / "curve.csv", *flags, "--steps", "4", "--every", "4")
    assert [float(row["env_steps"]) for row in rows] == [2, 4]


def test_payoffs_of_the_matrix_game_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_learning, "STEPS", 400)
    model, curve = matrix_learning.run("game-methods_happo", seed=1)
    assert list(curve["env_steps"]) == [200, 400] and curve["eval_return_mean"].between(-20, 20).all()
    for row in matrix_learning.policies(model):
        assert sum(row[f"p_{action}"] for action in "ABC") == pytest.approx(1, abs=1e-3)


def test_random_games_are_compared_game_by_game() -> None:
    rows = [random_games.run((3, 3, 3), part, seed, 1) for part in random_games.PARTS for seed in (1_000, 1_003)]
    by_part = {row["part"]: row["soft_return"] for row in rows if row["seed"] == 1_000}
    assert by_part["HASAC, best of ten"] >= by_part["HASAC"] and all(row["converged"] for row in rows)
    table = random_games.table(pd.DataFrame(rows)).splitlines()
    assert len(table) == 2 + len(random_games.PARTS) and table[2].startswith("| 3x3x3 | HASAC | 2 |  |  |")


def test_several_states_are_a_game_that_goes_on() -> None:
    game = random_games.random_game((2, 3), 5, 4)
    assert (game.n_states, game.n_actions, game.gamma) == (4, (2, 3), 0.9)
    assert random_games.run((2, 3), "HASAC", 5, 4)["converged"]


@pytest.mark.parametrize("states", [1, 2])
def test_a_learned_game_is_a_row_of_the_same_table(monkeypatch: pytest.MonkeyPatch, states: int) -> None:
    monkeypatch.setattr(random_games, "STEPS", 110)
    rows = [random_games.learn((2, 2), part, 2_000, states) for part in random_games.LEARNED]
    table = random_games.table(pd.DataFrame(rows)).splitlines()
    assert len(table) == 2 + len(random_games.LEARNED) and all(np.isfinite(row["soft_return"]) for row in rows)


def test_the_table_of_a_gpu_says_what_it_could_not_measure(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--only", "e", "--minutes", "0"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(list(gpu.rows("cpu"))) == 16 and all("not measured: " in row[2] for row in rows)


def test_the_figures_of_a_gpu_can_be_taken_on_a_processor() -> None:
    small = gpu.Shape("small", 2, 3, 3, 2)
    found = gpu.ratio("HATD3", "cpu", small, 8, policy_kwargs={"net_arch": [8]})
    assert float(found.split()[0]) > 0 and found.endswith(" ms)")
    on_policy = dict(n_steps=16, n_epochs=1, policy_kwargs={"net_arch": [8]})
    assert float(gpu.ratio("HAPPO", "cpu", small, 8, **on_policy).split()[0]) > 0


def test_every_picture_has_its_data() -> None:
    draw = drawing()
    known = {tuple(pair) for pair in draw.load()[["task", "label"]].drop_duplicates().to_numpy().tolist()}
    for task, (_, labels, _) in draw.BESIDE_REFERENCE.items():
        assert {(task, label) for label in labels} <= known
    for task, (_, labels) in draw.GAME.items():
        assert {(task, label) for label in labels} <= known
    for group in draw.GROUPS.values():
        for task in group.tasks:
            assert any((task, label) in known for label in group.labels), task


@pytest.mark.parametrize("algorithm", [*large_teams.ALGORITHMS, *large_teams.VARIANTS])
def test_a_row_of_large_teams(algorithm: str) -> None:
    row = large_teams.measure(algorithm, 4, rounds=1)
    assert row["update"] > 0 and row["predict"] > 0 and row["memory"] > 50


def test_the_slope_of_memory_is_that_of_the_later_looks() -> None:
    assert resident.slope([(0, 90.0), (50_000, 100.0), (100_000, 101.0), (150_000, 102.0)], 50_000) == pytest.approx(
        20.0
    )
    seen = resident.measure(1_200, every=600)
    assert [steps for steps, _ in seen] == [600, 1_200] and all(memory > 50 for _, memory in seen)


def test_a_row_of_workers_and_one_of_training() -> None:
    row = rollouts.measure("dummy", 2, 0.001, True, window=0.1)
    assert row["rate"] > 0 and row["start"] > 0
    row = rollouts.train(2, 0.001)
    assert row["rate"] > 0 and row["model"] > 0
