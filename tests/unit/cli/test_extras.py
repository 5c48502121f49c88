"""What is not installed is named exactly: the packages, and the extra that brings them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path

import pytest
from shell import SMALL, run

from masoft.cli.requirements import missing_of

Capture = pytest.CaptureFixture[str]
REQUIRES = ['onnx>=1.16; extra == "deploy"', 'onnxruntime>=99; extra == "deploy"', "numpy>=1.26", 'x>1; extra == "ray"']


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let packages look as if they were not installed."""
    spec, version = importlib.util.find_spec, importlib.metadata.version

    def absent(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name in names else spec(name, *rest))
    monkeypatch.setattr("importlib.metadata.version", absent)


def test_an_extra_is_read_from_the_packages_own_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda name: REQUIRES)
    hide(monkeypatch, "onnx")
    assert missing_of("deploy") == ["onnx>=1.16", "onnxruntime>=99"]
    assert missing_of("ray") == ["x>1"] and missing_of("docs") == []


def test_doctor_names_packages_and_extra(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    hide(monkeypatch, "onnx", "joblib")
    assert run("doctor", "--json") == 0
    findings = {finding["what"].split(" ")[0]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "onnx>=1.16" in findings["[deploy]"]["state"]
    assert findings["[deploy]"]["cure"] == 'pip install "masoft[deploy]"'
    assert "joblib" in findings["[studies]"]["state"]


def test_exporting_and_studying_need_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 20, "--out", tmp_path / "r", *SMALL) == 0
    capsys.readouterr()
    hide(monkeypatch, "onnx", "pandas", "scipy")
    assert run("export", tmp_path / "r") == 2
    assert capsys.readouterr().err == 'masoft: Exporting actors needs onnx. pip install "masoft[deploy]"\n'
    assert not (tmp_path / "r" / "actors").exists()
    (tmp_path / "s.toml").write_text(
        'seeds = [0]\ntotal_timesteps = 9\nalgorithms = ["HASAC"]\nenvironments = ["matrix/maxent"]\n'
    )
    assert run("study", tmp_path / "s.toml", "--out", tmp_path / "s") == 2
    assert capsys.readouterr().err == 'masoft: Studies need pandas, scipy. pip install "masoft[studies]"\n'
    assert not (tmp_path / "s").exists()
