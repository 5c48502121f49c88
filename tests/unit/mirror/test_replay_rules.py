"""Rules of what is replayed: shares are kept, a rule of one's own is asked, and wrong draws are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import masoft
from masoft.errors import ConfigurationError
from masoft.mirror import Linear, RecentReplay, ReplayRule, UniformReplay


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uniform_draws_are_those_of_torch() -> None:
    drawn = UniformReplay().draw(100, 50, generator())
    assert torch.equal(drawn, torch.randint(100, (50,), generator=generator()))


def test_a_share_of_the_batch_is_new() -> None:
    drawn = RecentReplay(0.75, newest=0.1).draw(1000, 400, generator())
    assert (drawn[:300] >= 900).all() and (drawn[300:] < 900).float().mean() > 0.8
    assert drawn.min() >= 0 and drawn.max() < 1000
    assert set(RecentReplay(1.0, newest=1e-9).draw(10, 20, generator()).tolist()) == {9}


@pytest.mark.parametrize("arguments", [{"share": 1.5}, {"share": -0.1}, {"newest": 0.0}, {"newest": 2.0}])
def test_shares_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"'{[*arguments][0]}' parameter of RecentReplay"):
        RecentReplay(**arguments)


@dataclass(frozen=True)
class Newest(ReplayRule):
    """Only what was stored last."""

    asked: tuple[int, ...] = ()

    def draw(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
        return torch.full((n,), n_stored - 1)


@pytest.mark.parametrize("steps", [24, 200])
def test_a_rule_of_ones_own_decides_what_is_learned_from(steps: int) -> None:
    model = masoft.HASAC(
        "matrix/two_step", replay_rule=Newest(), n_steps=1, buffer_size=64, learning_starts=8, batch_size=8, seed=0
    ).learn(steps)
    buffer = model.replay_buffer
    newest = (buffer.pos - 1) % buffer.rows
    batch = model.sample_batch(8)
    assert torch.equal(batch.actions, buffer.actions[newest, 0].expand(8, -1))
    assert torch.equal(batch.rewards, buffer.rewards[newest, 0].expand(8))


@pytest.mark.parametrize(("cls", "policy"), [(masoft.HASAC, "MlpGruPolicy"), (masoft.QMIX, "RnnPolicy")])
def test_a_rule_chooses_stretches_and_episodes_too(cls: Any, policy: str) -> None:
    model = cls(policy, "matrix/two_step", replay_rule=Newest(), n_steps=1, learning_starts=8, batch_size=4, seed=0)
    model.learn(40)
    if cls is masoft.HASAC:
        actions = model.sample_batch(8).actions
        assert torch.equal(actions[-1], model.replay_buffer.actions[model.replay_buffer.pos - 1, 0])
    assert model._n_updates > 0


def test_a_schedule_is_followed() -> None:
    rule = RecentReplay(share=Linear(1.0, 0.0))
    model = masoft.HASAC("matrix/maxent", replay_rule=rule, learning_starts=8, batch_size=8, seed=0).learn(20)
    assert model.replay_buffer.rule == RecentReplay(share=0.0)


def test_a_draw_of_another_form_is_refused() -> None:
    class Wrong(ReplayRule):
        def draw(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
            return torch.rand(n)

    with pytest.raises(ConfigurationError, match=r"What Wrong.draw gives must be int64 of shape \(4,\)"):
        Wrong().checked(10, 4, generator())


def test_it_is_saved_with_the_model(tmp_path: Any) -> None:
    model = masoft.HASAC("matrix/maxent", replay_rule=RecentReplay(0.25), learning_starts=8, batch_size=8, seed=0)
    model.learn(20).save(tmp_path / "team.zip")
    assert masoft.HASAC.load(tmp_path / "team.zip").replay_rule == RecentReplay(0.25)
