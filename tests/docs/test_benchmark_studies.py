"""The studies behind benchmark pages are studies: whoever types ``masoft study FILE`` gets their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from masoft.envs import find
from masoft.studies.checks import check_runs
from masoft.studies.study import read_study

PAGES = Path(__file__).parents[2] / "docs/benchmarks"
FILES = sorted((PAGES / "studies").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_of_a_page_can_be_run(file: Path) -> None:
    study = read_study(file)
    assert len(study.runs) == len(study.seeds) * len(study.variants) * len(study.tasks)
    for task in study.tasks:
        entry = find(task.env)
        if not entry.is_installed:
            pytest.skip(f"{task.env} needs {', '.join(entry.missing)}: {entry.install_command}")
    check_runs(study.runs)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_page_names_it(file: Path) -> None:
    command = f"masoft study docs/benchmarks/studies/{file.name}"
    assert command in file.read_text() and any(command in page.read_text() for page in PAGES.glob("*.md"))
