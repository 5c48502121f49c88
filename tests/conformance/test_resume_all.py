"""Every algorithm: two halves in two processes give what one run gives: weights, optimisers, buffers, logs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import resume_cases
from resume_cases import CASES, differences, learn, write_state

import masoft


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder where the second half of every selected run was trained by another process."""
    folder = tmp_path_factory.mktemp("runs")
    selected = [item.callspec.params["name"] for item in request.session.items if "resumed" in item.fixturenames]
    for name in selected:
        model = CASES[name].model()
        learn(model)
        model.save_checkpoint(folder / name)
    command = [sys.executable, "-W", "error::UserWarning:masoft", resume_cases.__file__, str(folder), *selected]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_halves_make_a_whole(name: str, resumed: Path) -> None:
    model = CASES[name].model()
    learn(model)
    rows = learn(model, again=True)
    assert model.num_timesteps >= 2 * resume_cases.HALF and rows
    write_state(model, rows, resumed / f"{name}-whole.zip")
    error = resumed / f"{name}-error.txt"
    assert not error.exists(), error.read_text()
    assert differences(resumed / f"{name}-whole.zip", resumed / f"{name}-resumed.zip") == []


def test_every_algorithm_is_a_case() -> None:
    assert set(masoft.ALGORITHMS) <= {case.algorithm for case in CASES.values()}
