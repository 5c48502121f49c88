from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from stable_baselines3.common.logger import configure

import masoft
from masoft.callbacks import EvenLogging, TeamProgressBar, clock
from masoft.runs.progress import ProgressLines

SMALL = {"learning_starts": 20, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}, "seed": 0}


def drawn(steps: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every state of the bar during a small run."""
    monkeypatch.setattr("masoft.callbacks._REFRESH_SECONDS", 0.0)
    states = []
    bar = TeamProgressBar(Console(file=io.StringIO(), force_terminal=True, width=120))
    draw = bar._draw

    def record(now: float) -> None:
        draw(now)
        task = bar._progress.tasks[0]
        states.append(f"{task.fields['phase']} {task.completed:.0f}/{task.total:.0f} {task.fields['speed']}")

    monkeypatch.setattr(bar, "_draw", record)
    masoft.HASAC("matrix/maxent", **SMALL).learn(steps, callback=bar)
    return states


def test_the_bar_moves_in_warm_up_and_tells_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    states = drawn(40, monkeypatch)
    assert states[0].startswith("warm-up 1/40") and states[10].startswith("warm-up 11/40")
    assert states[-1].startswith("learning 40/40")


def test_the_bar_counts_updates_when_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    states = drawn(40, monkeypatch)
    rates = [int(re.search(r"([\d,]+) updates/s", state)[1].replace(",", "")) for state in states]  # type: ignore[index]
    assert max(rates[:19]) == 0 and rates[-1] > 0


def test_the_bar_ends_after_a_second_learn_of_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL).learn(30)
    bar = TeamProgressBar(Console(file=io.StringIO(), force_terminal=True, width=120))
    model.learn(10, callback=bar, reset_num_timesteps=False)
    assert (bar._progress.tasks[0].completed, bar._progress.tasks[0].total) == (10, 10)


def test_on_policy_runs_end_with_a_whole_rollout(capsys: pytest.CaptureFixture[str]) -> None:
    env = masoft.make_vec("matrix/maxent", n_envs=2)
    model = masoft.HAPPO(env, n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu")
    bar = TeamProgressBar(Console(file=io.StringIO(), force_terminal=True, width=120))
    model.learn(40, callback=bar)
    assert model.num_timesteps == 64 and (bar._progress.tasks[0].completed, bar._progress.tasks[0].total) == (64, 64)
    capsys.readouterr()
    model.learn(40, callback=ProgressLines(lambda: None))
    model.learn(32, callback=ProgressLines(lambda: None), reset_num_timesteps=False)
    said = capsys.readouterr().err
    assert said.count("A rollout has 32 steps, so the run ends after 64.") == 1
    assert "64 of 64 steps" in said and "96 of 96 steps" in said and " of 40 " not in said


@pytest.mark.parametrize(("every", "rows"), [(10, [10, 20, 30, 35]), (7, [7, 14, 21, 28, 35]), (100, [35])])
def test_rows_come_evenly_and_the_last_one_once(every: int, rows: list[int], tmp_path: Path) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(35, callback=EvenLogging(every), log_interval=None)
    model.logger.close()
    lines = (tmp_path / "progress.csv").read_text().splitlines()
    column = lines[0].split(",").index("time/total_timesteps")
    assert [int(line.split(",")[column]) for line in lines[1:]] == rows


def testclock() -> None:
    assert [clock(seconds) for seconds in (5, 65.9, 3725)] == ["0:05", "1:05", "1:02:05"]
