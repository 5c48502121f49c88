"""Checkpoints: incremental, whole or absent, ended by signals; gradients that are no numbers."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft import HASAC
from masoft.errors import ConfigurationError, ModelFileError, NumericalFault
from masoft.saving.checkpoint_callback import CheckpointCallback
from masoft.saving.checkpoint_folder import CheckpointFolder

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)


def make() -> HASAC:
    return HASAC("matrix/maxent", **SMALL)


def weights(model: HASAC) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


class At(BaseCallback):
    """Does something once, at a step."""

    def __init__(self, step: int, action: Any) -> None:
        super().__init__()
        self.step, self.action = step, action

    def _on_step(self) -> bool:
        if self.num_timesteps == self.step:
            self.action(self.model)
        return True


def test_a_run_stopped_by_a_signal_resumes_bit_by_bit(tmp_path: Path) -> None:
    whole = make().learn(60)
    before = signal.getsignal(signal.SIGTERM)
    callback = CheckpointCallback(tmp_path, every=25)
    kill = At(33, lambda model: os.kill(os.getpid(), signal.SIGTERM))
    make().learn(60, callback=[callback, kill])
    assert callback.stopped_by is signal.SIGTERM and signal.getsignal(signal.SIGTERM) is before
    model = HASAC.resume(tmp_path, env="matrix/maxent", device="cpu")
    assert model.num_timesteps == 33 and model.remaining_timesteps == 27
    model.learn(model.remaining_timesteps, reset_num_timesteps=False)
    assert same(weights(model), weights(whole))


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    make().learn(60, callback=CheckpointCallback(tmp_path, every=20, keep_last=2))
    kept = CheckpointFolder(tmp_path).checkpoints()
    assert [path.name for path in kept] == ["checkpoint-000003.zip", "checkpoint-000004.zip"]
    kept[-1].write_bytes(kept[-1].read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        model = HASAC.resume(tmp_path, env="matrix/maxent", device="cpu")
    assert model.num_timesteps == 40
    kept[0].unlink()
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ModelFileError, match="whole checkpoint"):
        HASAC.resume(tmp_path, env="matrix/maxent")


def test_only_new_rows_are_written(tmp_path: Path) -> None:
    model = HASAC("matrix/maxent", **{**SMALL, "buffer_size": 5_000, "learning_starts": 10**6}).learn(3_000)
    model.save_checkpoint(tmp_path)
    folder = CheckpointFolder(tmp_path).path
    (first,) = folder.glob("rows-*")
    model.learn(30, reset_num_timesteps=False)
    model.save_checkpoint(tmp_path)
    (second,) = set(folder.glob("rows-*")) - {first}
    assert second.stat().st_size < first.stat().st_size / 20
    resumed = HASAC.resume(tmp_path, env="matrix/maxent", device="cpu")
    assert torch.equal(resumed.replay_buffer.actions[:3_030], model.replay_buffer.actions[:3_030])


def test_many_small_saves_leave_few_files(tmp_path: Path) -> None:
    model = HASAC("matrix/maxent", **{**SMALL, "learning_starts": 10**6}).learn(1)
    for _ in range(40):
        model.learn(10, reset_num_timesteps=False)
        model.save_checkpoint(tmp_path, keep_last=1)
    assert len(list(CheckpointFolder(tmp_path).path.glob("rows-*"))) <= 8
    resumed = HASAC.resume(tmp_path, env="matrix/maxent", device="cpu")
    assert resumed.replay_buffer.n_added == 401
    ours, theirs = model.replay_buffer.sample(64), resumed.replay_buffer.sample(64)
    assert torch.equal(ours.rewards, theirs.rewards) and torch.equal(ours.actions, theirs.actions)


def test_another_runs_folder_is_refused(tmp_path: Path) -> None:
    make().save_checkpoint(tmp_path)
    with pytest.raises(ConfigurationError, match="resume"):
        make().learn(10, callback=CheckpointCallback(tmp_path))


def test_environments_without_snapshots_start_anew(tmp_path: Path) -> None:
    model = HASAC("CartPole-v1", **SMALL).learn(20)
    model.save_checkpoint(tmp_path)
    resumed = HASAC.resume(tmp_path, env="CartPole-v1", device="cpu")
    assert resumed._last_obs is None and same(weights(resumed), weights(model))
    assert resumed.learn(5, reset_num_timesteps=False).num_timesteps == 25


def test_a_full_disk_costs_a_warning_and_no_checkpoint(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    whole: list[int] = []

    def full(model: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))  # the system refuses every larger file

    def look(model: Any) -> None:
        whole.append(HASAC.resume(tmp_path, env="matrix/maxent", device="cpu").num_timesteps)
        assert not list((tmp_path / "checkpoints").glob(".*"))  # no half files take what little space there is

    def free(model: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    try:
        with pytest.warns(UserWarning, match="No checkpoint at step 40"):
            make().learn(
                55, callback=[CheckpointCallback(tmp_path, every=20), At(30, full), At(45, look), At(50, free)]
            )
    finally:
        free(None)
    assert whole == [20]
    assert HASAC.resume(tmp_path, env="matrix/maxent", device="cpu").num_timesteps == 55


def poison(model: Any) -> None:
    """Every reward from here on is NaN for the learner."""
    model.replay_buffer.rewards.fill_(float("nan"))


def test_a_bad_gradient_stops_the_run_and_says_whose(tmp_path: Path) -> None:
    callback = CheckpointCallback(tmp_path, every=10)
    with pytest.raises(NumericalFault, match=r"gradient of policy\.critic\S+ at step 25, update \d+ must be finite"):
        make().learn(60, callback=[callback, At(25, poison)])
    resumed = HASAC.resume(tmp_path, env="matrix/maxent", device="cpu")
    assert resumed.num_timesteps == 20
    assert all(tensor.isfinite().all() for tensor in weights(resumed).values())


def test_a_bad_gradient_can_be_skipped() -> None:
    model = make()
    model.on_nan = "skip"
    model.learn(40, callback=At(25, poison))
    assert model.num_timesteps == 40 and model.n_skipped > 0
    assert all(tensor.isfinite().all() for tensor in weights(model).values())


def test_an_actors_gradient_names_its_agent() -> None:
    model = make().learn(20)
    parameter = next(model.policy.actors[1].parameters())
    parameter.grad = torch.full_like(parameter, float("inf"))
    with pytest.raises(NumericalFault, match="agent 'agent_1'"):
        model.policy.actor_optimizers[1].step()


def test_the_folder_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="whole checkpoint"):
        HASAC.resume(tmp_path)
    assert masoft.__version__
