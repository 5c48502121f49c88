"""What Python users of scikit-learn and notebooks expect: an HTML repr, ``clone``, ``ParameterGrid``."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

import masoft
from masoft.errors import ConfigurationError


class Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_a_model_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the log goes
    model = masoft.MEHAML("matrix/maxent", gamma=0.5, policy_kwargs={"net_arch": [4]}, learning_starts=4,
                          tensorboard_log="<script>")  # fmt: skip
    page = Texts(model._repr_html_())
    text = " ".join("".join(page.found).split())
    assert "script" not in page.tags and "'<script>'" in text
    assert "MEHAML : has learned nothing yet" in text.replace("MEHAML:", "MEHAML :")
    assert "5 of" in text and text.index("gamma") < text.index("tau") and "Team of 2" in text and "agent_0" in text
    model.learn(3)
    assert "has learned for 3 environment steps" in model._repr_html_()


def test_an_estimator_without_environment_has_one_too() -> None:
    assert "Team of" not in masoft.HAPPO()._repr_html_()


def test_scikit_learn_clones_and_searches_grids() -> None:
    base = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import ParameterGrid

    model = masoft.HASAC("matrix/maxent", gamma=0.5, learning_starts=4, policy_kwargs={"net_arch": [4]})
    model.learn(3)
    twin = base.clone(model)
    assert type(twin) is masoft.HASAC and twin.gamma == 0.5 and twin.num_timesteps == 0
    grid = [base.clone(model).set_params(**point) for point in ParameterGrid({"gamma": [0.1, 0.2], "tau": [0.5]})]
    assert [(each.gamma, each.tau) for each in grid] == [(0.1, 0.5), (0.2, 0.5)]
    with pytest.raises(ConfigurationError):
        twin.set_params(gamma=2.0)
