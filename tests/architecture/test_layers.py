"""Imports point downwards only; the contract itself stands in pyproject.toml under [tool.importlinter]."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in ``folder`` with the repository's contract."""
    # Not the installed package: the copy in `folder` has to come first on the path.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_imports_point_downwards() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("functional/planted.py", "from masoft import envs"),
        ("presets/planted.py", "import masoft.mirror\nfrom masoft.algorithms import estimator"),
        ("networks/planted.py", "import masoft.buffers"),
        ("spec.py", "from masoft.functional import distributions"),
        ("envs/planted.py", "def later() -> None:\n    import masoft.networks\n"),
    ],
)
def test_an_upward_import_is_caught(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(ROOT / "masoft", tmp_path / "masoft", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "masoft" / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert "BROKEN" in lint(tmp_path).stdout
