"""A study that cannot run as it says is refused before its first run."""

from __future__ import annotations

from pathlib import Path

import pytest

from masoft.errors import ConfigurationError, MissingDependencyError
from masoft.studies import Study, Task, Variant, run

GOOD = Variant("HASAC", parameters={"learning_starts": 4, "batch_size": 4})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Variant("HASAC", "bad", {"tau": 7.0}), "cannot run bad on matrix/maxent. The 'tau' parameter of HASAC"),
        (Variant("HASAC", "bad", {"gama": 0.9}), "Did you mean 'gamma'"),
        (Variant("HASAC", "bad", {"policy_kwargs": {"foo": 1}}), "A key of policy_kwargs for TeamPolicy"),
        (Variant("MEHAML", "bad", {"drift": "NoSuchDrift(1)"}), "NoSuchDrift"),
    ],
)
def test_algorithms(bad: Variant, message: str, tmp_path: Path) -> None:
    study = Study([GOOD, bad], ["matrix/maxent"], seeds=[0], total_timesteps=10)
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        run(study, tmp_path / "s", progress_bar=False)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("mpe/simple_spred_v3"), "Did you mean 'mpe/simple_spread_v3'"),
        (Task("mpe/simple_spread_v3", {"foo": 1}), "could not be made with foo=1"),
    ],
)
def test_environments(task: Task, message: str, tmp_path: Path) -> None:
    study = Study([GOOD], ["matrix/maxent", task], seeds=[0], total_timesteps=10)
    with pytest.raises(ConfigurationError, match=message):
        run(study, tmp_path / "s", progress_bar=False)
    assert not (tmp_path / "s").exists()


def test_an_algorithm_that_cannot_take_an_environments_actions(tmp_path: Path) -> None:
    spread = Task("mpe/simple_spread_v3", {"continuous_actions": True})
    with pytest.raises(ConfigurationError, match="cannot run VDN on mpe/simple_spread_v3"):
        run(Study(["VDN"], [spread], seeds=[0], total_timesteps=10), tmp_path, progress_bar=False)


def test_a_simulator_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.envs.registry._is_there", lambda name: name != "mpe2")
    with pytest.raises(MissingDependencyError, match="mpe2"):
        run(Study([GOOD], ["mpe/simple_spread_v3"], seeds=[0], total_timesteps=10), tmp_path, progress_bar=False)


def test_an_environment_with_no_state_before_its_first_reset(tmp_path: Path) -> None:
    study = Study([GOOD], [Task("mpe/simple_spread_v3", {"max_cycles": 3})], seeds=[0], total_timesteps=9, eval_every=5)
    assert len(run(study, tmp_path, progress_bar=False)["done"]) == 1
