"""Trained teams side by side, in numbers, as a data frame, as a picture and in a notebook."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError
from masoft.runs.zoo import team_folder
from masoft.studies.comparison import Comparison
from masoft.studies.mixed_teams import cross_play

SMALL = {"policy_kwargs": {"net_arch": [4]}, "seed": 0}


@pytest.fixture(scope="module")
def found() -> Comparison:
    return Comparison({"a": np.array([1.0, 2.0, 3.0]), "<b>": np.array([2.0, 4.0, 6.0])}, "game")


def test_means_and_paired_differences(found: Comparison) -> None:
    assert found.means["<b>"].value == 4 and found.differences["a"].value == 0
    other = found.differences["<b>"]
    assert other.value == 2 and 1 <= other.low < 2 < other.high <= 3
    assert str(found).splitlines()[0].split()[:2] == ["team", "mean"] and "<b>" in str(found)


def test_the_same_as_data_frame_picture_and_html(found: Comparison, tmp_path: Path) -> None:
    frame = found.to_frame()
    assert frame.loc["<b>", "mean_return"] == 4 and frame.loc["a", "episodes"] == 3
    assert found.draw(tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "c.csv").open() as file:
        assert [float(row["difference"]) for row in csv.DictReader(file)] == [0, 2]
    page = found._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page and "data:image/svg+xml;base64," in page


def test_models_and_folders_play_the_same_episodes() -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL)
    trained = team_folder("matrix/maxent")
    played = masoft.compare([trained, model, model], n_eval_episodes=4, seed=1)
    assert [*played.returns] == ["maxent", "HASAC 1", "HASAC 2", "random actions"] and played.env == "matrix/maxent"
    assert (played.returns["HASAC 1"] == played.returns["HASAC 2"]).all()
    assert played.means["maxent"].value > played.means["random actions"].value
    assert [*masoft.compare({"x": model}, "matrix/maxent", n_eval_episodes=2, random=False).returns] == ["x"]


def test_refusals() -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL)
    for arguments, message in ((([],), "env"), (([model],), "env"), ((["no-folder"],), "no-folder")):
        with pytest.raises(ConfigurationError, match=message):
            masoft.compare(*arguments)
    with pytest.raises(ConfigurationError, match="at least 2"):
        masoft.compare([model], "matrix/maxent", n_eval_episodes=1)


def test_cross_play_as_a_data_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL)
    table = cross_play({"a<": model, "b": model}, "matrix/maxent", n_eval_episodes=2)
    assert table.to_frame().loc["a<", "b"] == table.values[0, 1] and "a&lt;" in table._repr_html_()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pandas"):
        table.to_frame()
