"""The studies behind benchmark pages are studies: whoever types ``masoft study FILE`` gets their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from masoft.studies.checks import check_runs
from masoft.studies.study import read_study

FILES = sorted((Path(__file__).parents[2] / "docs/benchmarks/studies").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_of_a_page_can_be_run(file: Path) -> None:
    study = read_study(file)
    assert len(study.runs) == len(study.seeds) * len(study.variants) * len(study.tasks)
    check_runs(study.runs)
