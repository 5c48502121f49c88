"""Pictures of teams: opened again, and compared with what they are to show."""

from __future__ import annotations

import csv
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imageio import v3
from matplotlib.image import AxesImage
from PIL import Image

import masoft
from masoft.envs.adapters.matrix import MatrixGame
from masoft.errors import ConfigurationError, MissingDependencyError
from masoft.mirror import FixedOrder
from masoft.runs.settings import RunSettings
from masoft.runs.style import COLOURS, DASHES, heat_map, new_figure
from masoft.runs.training import Show, resume, start
from masoft.studies import (
    contributions,
    draw_actions,
    draw_contributions,
    draw_order,
    draw_policies,
    draw_traces,
    record_episode,
)
from masoft.studies.teams import choice_probabilities
from masoft.studies.traces import read_traces
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "seed": 0}


def pixels(path: Path) -> np.ndarray:
    """The picture, (height, width, 3)."""
    return np.asarray(Image.open(path).convert("RGB"))


def n_colours(path: Path) -> int:
    return len(np.unique(pixels(path).reshape(-1, 3), axis=0))


def certain(choices: tuple[int, int]) -> Any:
    """A team for the matrix game whose agents prefer one action each."""
    starts = [[0.9 if k == choice else 0.05 for k in range(3)] for choice in choices]
    model = masoft.HASAC("matrix/maxent", **SMALL)
    with torch.no_grad():
        for actor, start in zip(model.policy.actors, starts, strict=True):
            *_, last = [layer for layer in actor.modules() if isinstance(layer, torch.nn.Linear)]
            last.weight.zero_()
            last.bias.copy_(torch.log(torch.tensor(start)))
    return model


def test_probabilities_are_the_policies_own() -> None:
    observation = masoft.make_vec("matrix/maxent", seed=0).reset()
    found = choice_probabilities(certain((2, 0)), observation)
    assert found["agent_0"] == pytest.approx([0.05, 0.05, 0.9], abs=1e-6)
    assert found["agent_1"] == pytest.approx([0.9, 0.05, 0.05], abs=1e-6)
    greedy = choice_probabilities(masoft.QMIX("matrix/maxent", **SMALL), observation)
    assert all(sorted(values) == [0, 0, 1] for values in greedy.values())


def test_heat_map_shows_the_joint_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[np.ndarray] = []

    def remember(panel: Any, table: np.ndarray, rows: list[str], columns: list[str]) -> AxesImage:
        shown.append(table)
        image: AxesImage = heat_map(panel, table, rows, columns)
        return image

    monkeypatch.setattr("masoft.studies.teams.heat_map", remember)
    models = {"first": certain((2, 0)), "second": certain((1, 1))}
    path = draw_policies(models, "matrix/maxent", tmp_path / "policies.png")
    assert n_colours(path) > 50
    assert shown[0].shape == (3, 3) and shown[0][2, 0] == pytest.approx(0.81) and shown[0].sum() == pytest.approx(1)
    assert shown[1][1, 1] == pytest.approx(0.81)


def test_heat_map_of_other_teams_is_a_row_an_agent(tmp_path: Path) -> None:
    three = ("discrete", "discrete", "discrete")
    model = masoft.HASAC(lambda: IdentityTeam(three), **SMALL)
    assert n_colours(draw_policies({"team": model}, lambda: IdentityTeam(three), tmp_path / "p.png")) > 20
    walkers = masoft.HASAC("mpe/simple_spread_v3", policy_kwargs={"net_arch": [8]})
    assert n_colours(draw_policies({"team": walkers}, "mpe/simple_spread_v3", tmp_path / "q.png")) > 20


def test_policies_that_no_heat_map_can_show(tmp_path: Path) -> None:
    box = ("box", "box")
    model = masoft.HASAC(lambda: IdentityTeam(box), **SMALL)
    with pytest.raises(ConfigurationError, match="one with a Discrete agent"):
        draw_policies({"team": model}, lambda: IdentityTeam(box), tmp_path / "p.png")


def test_teams_that_remember_are_drawn_at_a_first_step(tmp_path: Path) -> None:
    model = masoft.HAPPO("RnnPolicy", "matrix/maxent", policy_kwargs={"net_arch": [8], "hidden_size": 4})
    draw_policies({"team": model}, "matrix/maxent", tmp_path / "p.png")
    joint = [float(row["probability"]) for row in rows_of(tmp_path / "p.csv")]
    assert len(joint) == 9 and sum(joint) == pytest.approx(1)


def test_an_agent_that_matters_is_worth_what_it_earns(tmp_path: Path) -> None:
    found = contributions(certain((2, 2)), "matrix/maxent", n_eval_episodes=60, seed=3)
    # (C, C) pays 20; an agent at random pays (20 - 20 - 20) / 3, a loss of 26.7.
    for estimate in found.values():
        assert estimate.low <= 26.7 <= estimate.high and estimate.high - estimate.low < 15
    assert n_colours(draw_contributions(found, tmp_path / "c.png")) > 10
    with pytest.raises(ConfigurationError, match="at least 2"):
        contributions(certain((2, 2)), "matrix/maxent", n_eval_episodes=1)


def test_only_the_one_agent_is_replaced() -> None:
    kinds = ("box", "discrete")
    model = masoft.HASAC(lambda: IdentityTeam(kinds), **SMALL)
    found = contributions(model, lambda: IdentityTeam(kinds), n_eval_episodes=4, seed=0)
    assert [*found] == [*model.team.names] and all(math.isfinite(each.value) for each in found.values())


LOG = """time/total_timesteps,train/ent_coef,train/drift/agent_0,train/drift/agent_1,train/critic_loss
10,,,,
20,1.0,0.1,0.2,5
30,0.5,0.0,nan,4
"""


def test_traces_by_agent(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text(LOG)
    traces = read_traces(tmp_path)
    assert [*traces] == ["ent_coef", "drift", "critic_loss"]
    assert traces["ent_coef"] == {"": ([20, 30], [1.0, 0.5])}
    assert traces["drift"] == {"agent_0": ([20, 30], [0.1, 0.0]), "agent_1": ([20], [0.2])}
    assert n_colours(draw_traces(tmp_path, tmp_path / "traces.png")) > 30


def test_traces_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"progress\.csv"):
        draw_traces(tmp_path, tmp_path / "t.png")
    (tmp_path / "progress.csv").write_text(LOG[: LOG.index("20,")])
    with pytest.raises(ConfigurationError, match="learned for a while"):
        draw_traces(tmp_path, tmp_path / "t.png")


# imageio's reader of films leaves ffmpeg's pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_an_episode_as_moving_pictures(ending: str, tmp_path: Path) -> None:
    if ending == ".mp4":
        pytest.importorskip("imageio_ffmpeg")
    model = masoft.HASAC("mpe/simple_spread_v3", policy_kwargs={"net_arch": [8]})
    path = tmp_path / f"episode{ending}"
    total = record_episode(model, "mpe/simple_spread_v3", path, env_kwargs={"max_cycles": 6}, seed=1, size=120)
    frames = v3.imread(path, index=None)
    # The first observation and six steps; a GIF joins pictures that are equal, as the first two are.
    assert frames.shape[1:] == (120, 120, 3) and len(frames) in (6, 7)
    assert (frames[0] != frames[-1]).any() and math.isfinite(total)


def test_the_same_seed_plays_the_same_episode(tmp_path: Path) -> None:
    model = masoft.HASAC("mpe/simple_spread_v3", policy_kwargs={"net_arch": [8]})
    play = {"env_kwargs": {"max_cycles": 3}, "size": 60}
    first, again, other = (record_episode(model, "mpe/simple_spread_v3", tmp_path / "e.gif", seed=seed, **play)
                           for seed in (1, 1, 2))  # fmt: skip
    assert first == again != other


def test_episodes_that_cannot_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL)
    with pytest.raises(ConfigurationError, match="draws pictures"):
        record_episode(model, masoft.make("matrix/maxent"), tmp_path / "e.gif")
    with pytest.raises(ConfigurationError, match=r"a \.gif or \.mp4"):
        record_episode(model, "matrix/maxent", tmp_path / "e.avi")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match="imageio-ffmpeg"):
        record_episode(model, "matrix/maxent", tmp_path / "e.mp4")
    with pytest.raises(ConfigurationError, match="one that draws itself"):  # GIFs need no package, but pictures
        record_episode(model, "matrix/maxent", tmp_path / "e.gif")


class Dark(MatrixGame):
    """Its pictures need a screen that is not there."""

    def render(self) -> np.ndarray:
        raise OSError("no OpenGL")


def test_a_simulator_that_cannot_draw_here_says_what_to_set(tmp_path: Path) -> None:
    env = Dark(np.eye(3))
    with pytest.raises(ConfigurationError, match=r"drawn here\. Got 'OSError: no OpenGL'\. .*MUJOCO_GL=egl"):
        record_episode(masoft.HASAC("matrix/climbing", **SMALL), env, tmp_path / "e.gif")


def test_lines_differ_in_black_and_white_too() -> None:
    assert len(set(COLOURS)) == len(COLOURS) == len(set(DASHES))
    grey = [np.dot([int(c[k : k + 2], 16) for k in (1, 3, 5)], [0.299, 0.587, 0.114]) for c in COLOURS]
    assert max(grey) < 200, "readable on white"
    panel = new_figure(2, 2).subplots()
    heat = heat_map(panel, np.eye(2), ["a", "b"], ["a", "b"]).cmap(np.linspace(0, 1, 50))[:, :3]
    assert (np.diff(heat @ [0.299, 0.587, 0.114]) > 0).all(), "brighter is more"


# ---------------------------------------------------------------- actions and update order over training


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    parameters = {
        "learning_starts": 8,
        "batch_size": 4,
        "policy_kwargs": {"net_arch": [4]},
        "order": FixedOrder((1, 0)),
    }
    settings = RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 40, parameters, eval_every=10, eval_episodes=5)
    start(settings, folder, Show(episodes=0, is_silent=True))
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_actions_over_training(learned: Path, tmp_path: Path) -> None:
    path = draw_actions(learned, tmp_path / "actions.png")
    rows = rows_of(tmp_path / "actions.csv")
    assert n_colours(path) > 20 and len(rows) == 4 * 2 * 3
    for step in ("10", "20", "30", "40"):
        for agent in ("agent_0", "agent_1"):
            shares = [float(row["value"]) for row in rows if (row["timesteps"], row["agent"]) == (step, agent)]
            assert sum(shares) == pytest.approx(1)


def test_numbers_are_drawn_as_a_band(tmp_path: Path) -> None:
    table = tmp_path / "evaluated_actions.csv"
    table.write_text("timesteps,agent,entry,what,value\n5,a,0,mean,0.5\n5,a,0,std,0.1\n9,a,0,mean,0.7\n9,a,0,std,0.1\n")
    draw_actions(tmp_path, tmp_path / "actions.png")
    assert [row["value"] for row in rows_of(tmp_path / "actions.csv")] == ["0.5", "0.7", "0.1", "0.1"]


def test_the_order_of_updates_is_counted(tmp_path: Path) -> None:
    parameters = {"learning_starts": 8, "batch_size": 4, "policy_kwargs": {"net_arch": [4]}}
    order = {"order": FixedOrder((1, 2, 0))}
    settings = RunSettings("HASAC", "mpe/simple_spread_v3", {}, 1, 0, 20, {**parameters, **order})
    start(settings, tmp_path, Show(episodes=0, is_silent=True))
    draw_order(tmp_path, tmp_path / "order.png")
    counts = {(row["agent"], row["position"]): int(row["updates"]) for row in rows_of(tmp_path / "order.csv")}
    places = {"agent_1": "0", "agent_2": "1", "agent_0": "2"}
    assert all(counts[key] == (12 if places[key[0]] == key[1] else 0) for key in counts) and len(counts) == 9


def test_a_resumed_run_counts_on(learned: Path, tmp_path: Path) -> None:
    shutil.copytree(learned, tmp_path / "longer")
    resume(tmp_path / "longer", Show(episodes=0, is_silent=True), extend=20)
    before, after = (sum(int(row["updates"]) for row in rows_of(each / "update_order.csv"))
                     for each in (learned, tmp_path / "longer"))  # fmt: skip
    assert before < after <= 2 * before
    steps = [row["timesteps"] for row in rows_of(tmp_path / "longer" / "evaluated_actions.csv")]
    assert list(dict.fromkeys(steps)) == ["10", "20", "30", "40", "50", "60"]


def test_runs_that_have_noted_nothing(tmp_path: Path) -> None:
    for draw in (draw_actions, draw_order):
        with pytest.raises(ConfigurationError, match="masoft train"):
            draw(tmp_path, tmp_path / "x.png")


def test_traces_have_their_numbers_beside_them(learned: Path, tmp_path: Path) -> None:
    draw_traces(learned, tmp_path / "traces.png")
    rows = rows_of(tmp_path / "traces.csv")
    assert {"ent_coef", "entropy"} <= {row["quantity"] for row in rows}
    logged = [row["train/entropy"] for row in rows_of(learned / "progress.csv") if row["train/entropy"]]
    drawn_ = [float(row["value"]) for row in rows if row["quantity"] == "entropy" and not row["agent"]]
    assert drawn_ == [float(each) for each in logged]
