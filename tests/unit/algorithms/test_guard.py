"""Bad gradients on a device that must not be waited for; a function that says so stands in for the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch.utils._python_dispatch import TorchDispatchMode

from masoft import FOP, HAD3QN, HAPPO, HASAC, HATD3, MEHAML, QMIX
from masoft.algorithms import guard
from masoft.errors import NumericalFault
from masoft.fast import saved_first_layer

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)


def look_only_if(monkeypatch: pytest.MonkeyPatch, is_near: bool) -> None:
    """Whether the guard may look at numbers."""
    monkeypatch.setattr(guard, "is_at_hand", lambda values: is_near)
    monkeypatch.setattr(guard, "may_look", lambda values: is_near)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are not at hand, and critics go back by autograd, as on a GPU."""
    look_only_if(monkeypatch, False)
    monkeypatch.setattr(saved_first_layer, "has_written_out_gradient", lambda layers: False)


class Poison(BaseCallback):
    """Every reward is NaN for the learner from one step to another; then all are 0."""

    def __init__(self, first: int, last: int = 10**9) -> None:
        super().__init__()
        self.first, self.last = first, last

    def _on_step(self) -> bool:
        if self.first <= self.num_timesteps <= self.last:
            self.model.replay_buffer.rewards.fill_(float("nan") if self.num_timesteps < self.last else 0.0)
        return True


class Waits(TorchDispatchMode):
    """Counts what would wait for a device: numbers read from tensors, and shapes that depend on numbers."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def test_a_far_bad_gradient_stops_the_run_after_the_updates(far: None) -> None:
    model = HASAC("matrix/maxent", **SMALL)
    with pytest.raises(NumericalFault, match=r"gradient of critic_optimizer at step 25, update \d+ must be finite"):
        model.learn(60, callback=Poison(25))
    assert all(tensor.isfinite().all() for tensor in model.policy.state_dict().values())


def test_far_steps_are_skipped_as_near_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    for is_near in (True, False):
        look_only_if(monkeypatch, is_near)
        model = HASAC("matrix/maxent", **SMALL)
        model.on_nan = "skip"
        models.append(model.learn(60, callback=Poison(25, 40)))
    near, far = models
    assert near.n_skipped == far.n_skipped == 15
    for name, tensor in near.policy.state_dict().items():
        assert torch.equal(tensor, far.policy.state_dict()[name])


def test_too_many_far_steps_in_a_row_stop_the_run(far: None) -> None:
    model = HASAC("matrix/maxent", **SMALL)
    model.on_nan = "skip"
    with pytest.raises(NumericalFault, match="101 times in a row"):
        model.learn(200, callback=Poison(25))


@pytest.mark.parametrize("is_near", [True, False])
def test_a_good_step_in_between_starts_the_count_anew(monkeypatch: pytest.MonkeyPatch, is_near: bool) -> None:
    look_only_if(monkeypatch, is_near)
    model = HASAC("matrix/maxent", **SMALL).learn(20)
    model.on_nan = "skip"
    parameter = next(model.policy.actors[0].parameters())
    for k in range(3 * guard.MOST_SKIPPED):
        parameter.grad = torch.full_like(parameter, 0.0 if k % 3 == 0 else float("nan"))
        model.policy.actor_optimizers[0].step()
    model._settle_gradients()
    assert model.n_skipped == 2 * guard.MOST_SKIPPED


@pytest.mark.parametrize("n_updates", [2, 7])
@pytest.mark.parametrize("algorithm", [FOP, HAD3QN, HASAC, HATD3, MEHAML, QMIX])
def test_updates_do_not_wait(far: None, algorithm: Any, n_updates: int) -> None:
    model = algorithm("mpe/simple_spread_v3", learning_starts=100, batch_size=8, seed=0, device="cpu").learn(50)
    model.train(2, 8)
    with Waits() as waits:
        model.train(n_updates, 8)
    # Logging reads the averages once a call, however many updates it makes; a list of flags is one copy.
    figures = {"train/n_updates", "train/learning_rate", "rollout/exploration_rate"}
    assert waits.n == len(set(model.logger.name_to_value) - figures)


def test_a_far_on_policy_gradient_stops_the_run(far: None) -> None:
    model = HAPPO("matrix/maxent", n_steps=8, batch_size=8, seed=0, device="cpu").learn(8)
    parameter = next(model.policy.actors[1].parameters())
    before = parameter.detach().clone()
    parameter.grad = torch.full_like(parameter, float("nan"))
    model.policy.actor_optimizers[1].step()
    assert torch.equal(parameter, before)
    with pytest.raises(NumericalFault, match="agent 'agent_1'"):
        model._settle_gradients()
