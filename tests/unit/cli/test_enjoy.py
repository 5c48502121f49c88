"""``masoft enjoy``: a movie without a screen, a window with one, each agent's figures beside the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shell import SMALL, run

import masoft
from masoft.cli.enjoy import watch
from masoft.envs import TeamEnv
from masoft.runs.settings import RunSettings
from masoft.studies.panel import WIDTH, beside, figures, written

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "spread"
    command = ["train", "hasac", "mpe/simple_spread_v3", "-e", "max_cycles=4", "--total-timesteps", 24, "--seed", 0]
    assert run(*command, "--out", out, "--eval-episodes", 1, *SMALL) == 0
    return out


def test_without_a_screen_a_movie_is_written(folder: Path, capsys: Capture) -> None:
    assert run("enjoy", folder) == 0
    assert "episode.gif: one episode with a return of" in capsys.readouterr().out
    with Image.open(folder / "episode.gif") as movie:
        assert movie.n_frames in (4, 5)  # equal neighbours become one that lasts longer


def test_the_panel_stands_beside_the_picture(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    sizes = {}
    for flags in ([], ["--panel"]):
        path = tmp_path / f"x{len(flags)}.gif"
        assert run("enjoy", folder, "--out", path, "--size", 300, "--json", *flags) == 0
        assert json.loads(capsys.readouterr().out)["file"] == str(path)
        with Image.open(path) as movie:
            sizes[len(flags)] = movie.size
    assert sizes[1] == (sizes[0][0] + WIDTH, sizes[0][1])


def test_a_window_shows_whole_episodes(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    pygame.display.init()  # SDL's dummy driver: everything but the glass
    shown: list[np.ndarray] = []
    flip = pygame.display.flip
    monkeypatch.setattr(pygame.display, "flip", lambda: (shown.append(_pixels(pygame)), flip()))
    settings = RunSettings.load(folder)
    model = masoft.HASAC.load(folder / "model.zip")
    watch(pygame, model, settings, 2, seed=0, size=200, deterministic=True, panel=False)
    assert len(shown) == 10 and len({picture.tobytes() for picture in shown}) > 4
    assert capsys.readouterr().out.count("return") == 2


def _pixels(pygame: Any) -> np.ndarray:
    return np.asarray(pygame.surfarray.array3d(pygame.display.get_surface()))


def test_a_closed_window_ends_it(folder: Path, capsys: Capture) -> None:
    import pygame

    pygame.display.init()
    settings = RunSettings.load(folder)
    model = masoft.HASAC.load(folder / "model.zip")
    pygame.display.set_mode((10, 10))
    capsys.readouterr()
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    watch(pygame, model, settings, 2, seed=0, size=200, deterministic=True, panel=False)
    assert capsys.readouterr().out == ""


def test_an_environment_that_draws_nothing_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 20, "--out", tmp_path, *SMALL) == 0
    assert run("enjoy", tmp_path) == 2
    printed = capsys.readouterr().err
    assert "The environment must be one that draws" in printed and printed.count("\n") == 1


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAPPO", "IPPO", "HAD3QN", "QMIX"])
def test_each_agents_figures(name: str) -> None:
    model = getattr(masoft, name)("matrix/two_step", policy_kwargs={"net_arch": [8]}, seed=0)
    env = TeamEnv(masoft.make("matrix/two_step"))
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    found = figures(model, observation, np.asarray(action))
    assert [each.name for each in found] == list(model.team.names)
    assert all(each.value is not None and np.isfinite(each.value) for each in found)
    assert (found[0].temperature is not None) == hasattr(model, "temperature")
    text = written(found, 1.5)
    assert text[0] == "return so far 1.50" and any("value" in line for line in text)


def test_the_joint_critics_value_is_that_of_the_action_taken() -> None:
    model = masoft.HASAC("mpe/simple_spread_v3", policy_kwargs={"net_arch": [8]}, seed=0)
    env = TeamEnv(masoft.make("mpe/simple_spread_v3"))
    observation, _ = env.reset(seed=0)
    values = [figures(model, observation, np.full(model.team.action_size, a, dtype=np.int64))[0].value for a in (0, 1)]
    assert values[0] != values[1]


def test_lines_that_do_not_fit_are_left_out() -> None:
    picture = beside(np.zeros((26, 10, 3), np.uint8), ["a"] * 100)
    assert picture.shape == (26, 10 + WIDTH, 3) and (picture[:, :10] == 0).all()
