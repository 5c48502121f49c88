"""Model files: what comes back, what is refused, and that nothing in a file is run."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import masoft
from masoft import HASAC, MASAC, MEHAML
from masoft.errors import ConfigurationError, ModelFileError
from masoft.files import read_archive, write_archive
from masoft.mirror import Drift, KLBall, KLDrift, PolicyChange

sys.path.append(str(Path(__file__).parents[2] / "faults"))
from fuzz_files import fuzz

OLD = Path(__file__).parents[1] / "files" / "data" / "mehaml-format-1.zip"
SMALL: dict[str, Any] = dict(learning_starts=8, batch_size=8, buffer_size=64, seed=0, device="cpu")
SEEN = {"agent_0": np.ones(1, np.float32), "agent_1": np.ones(1, np.float32)}


@dataclass(frozen=True)
class MyDrift(Drift):
    """A user's own."""

    weight: float = 1.0

    def __call__(self, change: PolicyChange) -> Tensor:
        return self.weight * change.kl_new_old()


def model(cls: type = HASAC, **changes: Any) -> Any:
    settings = {**SMALL, "policy_kwargs": {"net_arch": [8], "activation_fn": torch.nn.Tanh}, **changes}
    return cls("MlpPolicy", "matrix/maxent", **settings)


@pytest.mark.parametrize(
    ("cls", "changes"),
    [(HASAC, {}), (MASAC, {}), (MEHAML, {"drift": KLDrift(0.5) + 2 * KLDrift(0.1), "neighborhood": KLBall(0.01)})],
)
def test_a_loaded_model_is_the_saved_one(cls: type, changes: dict[str, Any], tmp_path: Path) -> None:
    saved = model(cls, **changes).learn(16)
    saved.save(tmp_path / "team")
    loaded = cls.load(tmp_path / "team.zip", device="cpu")  # type: ignore[attr-defined]
    assert {k: v for k, v in loaded.get_params().items() if k != "env"} == {
        k: v for k, v in saved.get_params().items() if k != "env"
    }
    ours, theirs = saved.policy.state_dict(), loaded.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)
    assert loaded.predict(SEEN, deterministic=True) == saved.predict(SEEN, deterministic=True)
    assert loaded.num_timesteps == saved.num_timesteps == 16
    loaded.set_env("matrix/maxent")
    assert loaded.learn(8, reset_num_timesteps=False).num_timesteps == 24


def test_open_files_and_an_environment_serve_too() -> None:
    file = io.BytesIO()
    model().save(file)
    loaded = HASAC.load(file, env="matrix/maxent", device="cpu", learning_starts=3)
    assert loaded.learning_starts == 3 and loaded.learn(10).num_timesteps == 10


def test_another_team_is_refused() -> None:
    file = io.BytesIO()
    model().save(file)
    with pytest.raises(ConfigurationError, match="observation space"):
        HASAC.load(file, env="matrix/two_step", device="cpu")


def test_a_stored_file_of_format_1_still_loads() -> None:
    loaded = MEHAML.load(OLD, device="cpu")
    log_probs = loaded.policy.distribution(0, torch.ones(1, 1)).joint_log_probs()
    expected = [-0.6460992693901062, -1.4364187717437744, -1.4349130392074585]
    np.testing.assert_allclose(log_probs[0].detach(), expected, rtol=1e-6)
    stacked = read_archive(OLD).members["weights"]
    first = loaded.policy.critic.networks[1][0]
    assert torch.equal(first.weight.T, stacked["policy.critic.first_weight"][:, 8:])
    assert loaded.num_timesteps == 60


@pytest.mark.parametrize("cls", [HASAC, masoft.HAPPO, masoft.QMIX])
def test_a_file_loads_without_its_class(cls: Any) -> None:
    file = io.BytesIO()
    saved = cls("matrix/maxent", seed=0)
    saved.save(file)
    found = masoft.load(file, seed=3)
    assert type(found) is cls and found.get_params()["seed"] == 3
    assert all(torch.equal(a, b) for a, b in zip(found.policy.parameters(), saved.policy.parameters(), strict=True))


def test_a_file_of_a_users_drift_needs_trust_without_its_class_too() -> None:
    file = io.BytesIO()
    model(MEHAML, drift=MyDrift(0.3)).save(file)
    with pytest.raises(ModelFileError, match=r"trusted=\[MyDrift\]"):
        masoft.load(file)
    assert masoft.load(file, env="matrix/maxent", trusted=[MyDrift]).drift == MyDrift(0.3)


def test_a_users_class_needs_trust() -> None:
    file = io.BytesIO()
    model(MEHAML, drift=MyDrift(0.3)).save(file)
    with pytest.raises(ModelFileError, match=r"trusted=\[MyDrift\]"):
        MEHAML.load(file)
    assert MEHAML.load(file, trusted=[MyDrift]).drift == MyDrift(0.3)


def test_a_lambda_is_not_saved_and_has_to_be_passed_again() -> None:
    file = io.BytesIO()
    model(learning_rate=lambda progress: 1e-3 * progress).save(file)
    with pytest.raises(ModelFileError, match=r"load\(path, learning_rate=\.\.\.\)"):
        HASAC.load(file)
    assert HASAC.load(file, learning_rate=1e-3).learning_rate == 1e-3


def test_the_wrong_class_and_foreign_files_are_explained(tmp_path: Path) -> None:
    from stable_baselines3 import DQN

    file = io.BytesIO()
    model(MASAC).save(file)
    with pytest.raises(ModelFileError, match=r"MASAC\.load"):
        HASAC.load(file)
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10, policy_kwargs={"net_arch": [4]}).save(tmp_path / "sb3.zip")
    with pytest.raises(ModelFileError, match="holds pickles"):
        HASAC.load(tmp_path / "sb3.zip")
    with pytest.raises(ModelFileError, match="existing file"):
        HASAC.load(tmp_path / "nowhere")


def test_huge_networks_are_refused_before_they_are_made() -> None:
    file = io.BytesIO()
    model().save(file)
    archive = read_archive(file)
    archive.manifest["parameters"]["policy_kwargs"]["dict"]["net_arch"] = [100_000, 100_000]
    forged = io.BytesIO()
    manifest = {key: value for key, value in archive.manifest.items() if key != "sha256"}
    write_archive(forged, manifest, archive.members.items())
    with pytest.raises(ModelFileError, match="exhaust memory"):
        HASAC.load(forged, device="cpu")


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "team.zip"
    saved = model()
    saved.save(path)
    before = path.read_bytes()

    def full_disk(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        saved.save(path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["team.zip"]


def test_mutants_are_refused_or_load_and_no_payload_runs() -> None:
    outcomes = fuzz(60, seed=7)
    assert outcomes["crashed"] == outcomes["payloads run"] == outcomes["bomb loaded"] == 0
    assert outcomes["refused"] > 20


def test_replay_buffers_come_back(tmp_path: Path) -> None:
    env = masoft.make_vec("mpe/simple_speaker_listener_v4", 2, seed=0)
    saved = HASAC(env=env, learning_starts=10**6, buffer_size=90, batch_size=8, seed=0, device="cpu").learn(160)
    saved.save_replay_buffer(tmp_path / "replay.pkl")
    other = HASAC(env=env, buffer_size=90, batch_size=8, device="cpu")
    other.load_replay_buffer(tmp_path / "replay.pkl", truncate_last_traj=False)
    for ours, theirs in zip(
        saved.replay_buffer.sample(64).__dict__.values(), other.replay_buffer.sample(64).__dict__.values(), strict=True
    ):
        pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
        assert all(a is b is None or torch.equal(a, b) for a, b in pairs)
    smaller = HASAC(env=env, buffer_size=80, batch_size=8, device="cpu")
    with pytest.raises(ModelFileError, match="does not fit"):
        smaller.load_replay_buffer(tmp_path / "replay.pkl")
