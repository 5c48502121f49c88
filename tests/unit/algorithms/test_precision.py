"""Updates in the precision that was asked for, and everything else as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import masoft
from masoft.errors import ConfigurationError
from masoft.fast.precision import _switches, at_precision
from masoft.testing import check_recordable

OFF = {"batch_size": 16, "learning_starts": 20, "policy_kwargs": {"net_arch": [16, 16]}}
CASES: dict[str, Any] = {
    "HASAC": ("matrix/climbing", OFF), "MEHAML": ("matrix/climbing", OFF), "HATD3": ("matrix/climbing", OFF),
    "QMIX": ("matrix/climbing", OFF), "HAD3QN": ("matrix/climbing", OFF), "FOP": ("matrix/climbing", OFF),
    "HAPPO": ("mpe/simple_spread_v3", {"n_steps": 20, "batch_size": 20, "n_epochs": 2}),
    "MAPPO": ("mpe/simple_spread_v3", {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "policy": "RnnPolicy"}),
}  # fmt: skip


def model_of(name: str, **more: Any) -> Any:
    env, settings = CASES[name]
    return getattr(masoft, name)(env=env, seed=0, device="cpu", **settings, **more)


def switches() -> list[Any]:
    return [getattr(owner, name) for owner, name, _ in _switches()]


@pytest.mark.parametrize("name", CASES)
def test_networks_learn_in_bfloat16_and_stay_float32(name: str) -> None:
    full, low = model_of(name), model_of(name, precision="bf16")
    linear = next(module for module in low.policy.modules() if type(module) is torch.nn.Linear)
    given: set[torch.dtype] = set()
    for model in (full, low):
        model.learn(20)
    hook = linear.register_forward_hook(lambda module, args, output: given.add(output.dtype) if low.n_seen else None)
    low.n_seen = True
    low.learn(20, reset_num_timesteps=False)
    hook.remove()
    assert torch.bfloat16 in given
    full.learn(20, reset_num_timesteps=False)
    pairs = list(zip(full.policy.parameters(), low.policy.parameters(), strict=True))
    assert all(each.dtype is torch.float32 for _, each in pairs)
    assert not all(torch.equal(one, other) for one, other in pairs)
    assert all(torch.allclose(one, other, atol=0.15) for one, other in pairs)
    assert not torch.is_autocast_enabled("cpu")


def test_what_is_saved_exported_and_resumed_is_float32(tmp_path: Any) -> None:
    model = model_of("HASAC", precision="bf16").learn(40)
    model.save(tmp_path / "model")
    again = masoft.HASAC.load(tmp_path / "model", env="matrix/climbing")
    assert again.precision == "bf16"
    states = [part.state_dict() for part in again.policy.critic.modules()]
    assert all(values.dtype is torch.float32 for state in states for values in state.values())
    observation = again.env.reset()
    assert (
        again.predict(observation, deterministic=True)[0] == model.predict(observation, deterministic=True)[0]
    ).all()
    for optimizer in again.policy.actor_optimizers:
        moments = [value for state in optimizer.state.values() for value in state.values()]
        assert moments and all(value.dtype is not torch.bfloat16 for value in moments)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_pytorchs_switches_are_put_back(precision: str) -> None:
    before = switches()
    with at_precision(precision, torch.device("cpu")):
        inside = [
            value == values[precision == "tf32"] for value, (_, _, values) in zip(switches(), _switches(), strict=True)
        ]
        assert all(inside) and torch.is_autocast_enabled("cpu") == (precision == "bf16")
    assert switches() == before
    with pytest.raises(ZeroDivisionError), at_precision(precision, torch.device("cpu")):
        raise ZeroDivisionError
    assert switches() == before and not torch.is_autocast_enabled("cpu")


def test_an_update_sets_the_switches_and_puts_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="precision='tf32' makes no difference on cpu"):
        model = model_of("HASAC", precision="tf32")
    seen: list[list[Any]] = []
    inner = model._prepare_training
    monkeypatch.setattr(model, "_prepare_training", lambda: (seen.append(switches()), inner()))
    before = switches()
    model.learn(24)
    assert seen and all(now == [values[True] for _, _, values in _switches()] for now in seen)
    assert switches() == before


def test_an_update_in_bfloat16_can_be_recorded() -> None:
    check_recordable(model_of("HASAC", precision="bf16"), n=6)
    check_recordable(model_of("HAPPO", precision="bf16"), n=4)


def test_another_word_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="The 'precision' parameter of HASAC must be one of .*'tf32'.*Got 'half'"
    ):
        model_of("HASAC", precision="half")


def test_it_can_be_changed_at_any_time() -> None:
    model = model_of("HASAC", record=True).learn(40)
    model.set_params(precision="bf16")
    model.learn(40, reset_num_timesteps=False)
    assert model.precision == "bf16" and not model.runner.obstacles
