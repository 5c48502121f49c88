"""Every example runs, with fewer steps than it takes to learn."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = load(path, monkeypatch)
    module.main(steps=getattr(module, "SHORT", 1_100))


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


PROOFS = ("15_categorical_critic", "16_ensemble_critic", "17_attention_critic")
TORSO = "18_transformer_torso"
"""Networks of one's own need room; and they have to learn."""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_example_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < (150 if path.stem in (*PROOFS, TORSO) else 60)


@pytest.mark.slow
def test_a_torso_of_ones_own_remembers_a_cue(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered, forgot = load(EXAMPLES / f"{TORSO}.py", monkeypatch).main()
    assert forgot < 0.62 and remembered > 0.95  # 200 games around at most 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", PROOFS)
def test_a_critic_of_ones_own_solves_the_identity_team(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(EXAMPLES / f"{name}.py", monkeypatch)
    before, after = module.main()
    assert before < 8 < 9.5 < after, (before, after)
