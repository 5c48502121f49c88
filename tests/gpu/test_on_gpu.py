"""What must be true on a GPU. The same code runs on the processor in the fast tests, so that it is there when one is.

``pytest -m gpu tests/gpu`` runs the GPU's half alone; without one each is skipped and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "envs"))

from tensor_teams import TensorTeam

import masoft
from masoft.envs.batched import BatchMonitor
from masoft.errors import ConfigurationError
from masoft.fast.precision import _switches
from masoft.testing import check_recordable, host_reads
from masoft.testing.games import IdentityTeam

NONE_HERE = "torch sees no NVIDIA GPU here"
ON_GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason=NONE_HERE)]
)
DEVICES = pytest.mark.parametrize("device", ["cpu", ON_GPU])
OFF = {"batch_size": 16, "learning_starts": 20, "buffer_size": 600, "policy_kwargs": {"net_arch": [32, 32]}}
ON = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "policy_kwargs": {"net_arch": [32, 32]}}
GRU = {"policy": "RnnPolicy", "n_steps": 16, "batch_size": 32, "n_epochs": 2}
CLASSES: dict[str, dict[str, Any]] = {
    "HASAC": OFF, "MEHAML": OFF, "HATD3": OFF, "QMIX": OFF, "HAD3QN": OFF, "FOP": OFF, "HAPPO": ON, "MAPPO": GRU,
}  # fmt: skip
CHOICES = ("QMIX", "HAD3QN", "FOP")


def team_of(name: str) -> IdentityTeam:
    return IdentityTeam(("discrete",) * 3 if name in CHOICES else ("box", "box", "discrete"), episode_length=7)


def model_of(name: str, device: str, **more: Any) -> Any:
    env = masoft.make_vec(lambda: team_of(name), 2, seed=3)
    return getattr(masoft, name)(env=env, seed=1, device=device, **{**CLASSES[name], **more})


def on_tensors(name: str, device: str, n_envs: int = 16, **more: Any) -> Any:
    env = BatchMonitor(TensorTeam(n_envs, "choice", device))
    return getattr(masoft, name)(env=env, seed=1, device=device, **{**CLASSES[name], **more})


def state_of(model: Any) -> dict[str, Any]:
    """Weights, moments and generators, on the processor."""
    found = {"generator": model.generator.get_state(), "cpu": model.cpu_generator.get_state()}
    for name, part in model.state_parts().items():
        found.update(flat(part.state_dict(), name))
    return found


def flat(values: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(values, torch.Tensor):
        yield name, values.detach().cpu().clone()
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from flat(value, f"{name}.{key}")
    elif isinstance(values, list | tuple):
        for k, value in enumerate(values):
            yield from flat(value, f"{name}.{k}")


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    assert one.keys() == other.keys() and len(one) > 10
    return [name for name in one if not torch.equal(one[name], other[name])]


@DEVICES
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("name", ["HASAC", "HATD3", "QMIX", "HAPPO", "MAPPO"])
def test_a_run_is_resumed_bit_for_bit(name: str, record: bool, device: str, tmp_path: Path) -> None:
    half = model_of(name, device, record=record)
    half.learn(64)
    half.save_checkpoint(tmp_path / "half")
    half.learn(64, reset_num_timesteps=False)
    again = getattr(masoft, name).resume(tmp_path / "half", env=masoft.make_vec(lambda: team_of(name), 2, seed=3))
    again.record = record
    again.learn(64, reset_num_timesteps=False)
    assert again.device.type == device and differing(state_of(half), state_of(again)) == []


@DEVICES
@pytest.mark.parametrize("name", CLASSES)
def test_a_recording_is_what_it_records(name: str, device: str) -> None:
    check_recordable(model_of(name, device), n=6)


@DEVICES
def test_a_recorded_run_keeps_its_drawn_orders(device: str) -> None:
    """Graphs of one update replayed in orders that are drawn, over many updates."""
    model = model_of("HASAC", device, record=True)
    model.learn(200)
    assert not model.runner.obstacles and sum(model.runner.replays.values()) > 100
    if device == "cuda":
        from masoft.fast.cuda_graph import Graph

        assert any(isinstance(tape, Graph) for each in model.runner._variants.values() for tape in each.tapes.values())


@DEVICES
@pytest.mark.parametrize("name", ["HASAC", "HAPPO", "MAPPO"])
def test_saved_here_and_loaded_on_the_processor_and_back(name: str, device: str, tmp_path: Path) -> None:
    model = model_of(name, device).learn(64)
    model.save(tmp_path / "here")
    kind = type(model)
    there = kind.load(tmp_path / "here", device="cpu")
    there.save(tmp_path / "there")
    back = kind.load(tmp_path / "there", device=device)
    seen = masoft.make_vec(lambda: team_of(name), 2, seed=3).reset()
    acts = [each.predict(seen, deterministic=True)[0] for each in (model, there, back)]
    assert np.allclose(acts[0], acts[1], atol=1e-4) and np.array_equal(acts[0], acts[2])
    for one, other in zip(model.policy.parameters(), there.policy.parameters(), strict=True):
        assert other.device.type == "cpu" and torch.equal(one.cpu(), other)


@DEVICES
def test_too_little_memory_says_what_to_lower(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="buffer_size must be small enough for memory.*Lower it"):
        model_of("HASAC", device, buffer_size=10**13)
    model = model_of("HASAC", device)

    def full() -> None:
        if device == "cuda":
            torch.empty(10**14, device=device)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")

    monkeypatch.setattr(model, "_prepare_training", full)
    with pytest.raises(ConfigurationError, match="An update with .*'batch_size': 16.*Lower batch_size first"):
        model.learn(64)


@contextmanager
def no_wait(device: str) -> Iterator[list[str]]:
    """On a GPU whatever waits for it raises; on a processor what would is noted."""
    if device == "cpu":
        with host_reads() as reads:
            yield reads
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield []
    finally:
        torch.cuda.set_sync_debug_mode("default")


@DEVICES
@pytest.mark.parametrize("name", ["HASAC", "HATD3", "QMIX", "HAPPO", "MAPPO"])
def test_a_rollout_stays_on_the_device(name: str, device: str) -> None:
    more = {} if "n_steps" in CLASSES[name] else {"train_freq": 8, "gradient_steps": 1, "learning_starts": 64}
    model = on_tensors(name, device, **more)
    guards: list[Any] = []
    noted: list[str] = []

    def between(scope: dict[str, Any], _: Any) -> bool:
        step = scope["self"].num_timesteps // 16
        if step == 10:
            guards.append(no_wait(device))
            noted.append(guards[0].__enter__())
        elif step == 15:
            guards.pop().__exit__(None, None, None)
        return True

    model.learn(16 * 48, callback=between)
    assert noted == [[]] and len(model.ep_info_buffer) > 50
    assert all(bool(each.isfinite().all()) for each in model.policy.parameters())
    buffer = model.replay_buffer if "n_steps" not in CLASSES[name] else model.rollout_buffer
    assert buffer.actions.device.type == device


@DEVICES
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.filterwarnings("ignore:precision='tf32' makes no difference")
def test_every_precision_learns_and_leaves_pytorch_alone(precision: str, device: str) -> None:
    before = [getattr(owner, switch) for owner, switch, _ in _switches()]
    for name in ("HASAC", "MAPPO"):
        model = model_of(name, device, precision=precision).learn(64)
        for each in model.policy.parameters():
            assert each.dtype is torch.float32 and bool(each.isfinite().all())
    assert [getattr(owner, switch) for owner, switch, _ in _switches()] == before


@DEVICES
@pytest.mark.parametrize("name", ["HASAC", "MAPPO"])
def test_vmas_and_its_learner_share_a_device(name: str, device: str) -> None:
    pytest.importorskip("vmas")
    env = masoft.make_vec("vmas/balance", n_envs=16, seed=0, device=device, tensors=True, max_steps=10)
    model = getattr(masoft, name)(env=env, seed=1, device=device, **CLASSES[name]).learn(16 * 32)
    assert {episode["l"] for episode in model.ep_info_buffer} >= {10}
