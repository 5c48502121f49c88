"""Actors as HARL saves them act the same in a masoft team."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import masoft
from masoft.errors import ConfigurationError, ModelFileError
from masoft.runs.foreign import load_harl_actors
from masoft.testing.games import IdentityTeam

HIDDEN = [8, 6]


class Squashed(nn.Module):
    """The layers of HARL's actor of HASAC under the names that its files have."""

    def __init__(self, n_seen: int, n_acts: int) -> None:
        super().__init__()
        self.net = nn.Module()
        sizes = [n_seen, *HIDDEN]
        linear = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.net.mlp = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.Tanh())
        self.mu_layer, self.log_std_layer = nn.Linear(HIDDEN[-1], n_acts), nn.Linear(HIDDEN[-1], n_acts)

    def forward(self, seen: Tensor) -> Tensor:
        return torch.tanh(self.mu_layer(self.net.mlp(seen)))  # type: ignore[operator]

    def deviation(self, seen: Tensor) -> Tensor:
        return self.log_std_layer(self.net.mlp(seen)).clamp(-20, 2).exp()  # type: ignore[operator, no-any-return]


class Deterministic(nn.Module):
    """The same for the deterministic methods."""

    def __init__(self, n_seen: int, n_acts: int) -> None:
        super().__init__()
        self.pi = nn.Module()
        sizes = [n_seen, *HIDDEN, n_acts]
        linear = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.pi.mlp = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2], nn.Tanh())

    def forward(self, seen: Tensor) -> Tensor:
        return self.pi.mlp(seen)  # type: ignore[operator, no-any-return]


CASES: dict[str, tuple[Callable[[int, int], nn.Module], dict[str, Any]]] = {
    "HASAC": (Squashed, dict(final_activation="tanh")),
    "HATD3": (Deterministic, {}),
}


def saved(folder: Path, name: str) -> tuple[Any, list[nn.Module]]:
    """A model, and actors of HARL for its agents in files."""
    torch.manual_seed(0)
    team, (kind, kwargs) = IdentityTeam(("box", "box")), CASES[name]
    model = getattr(masoft, name)(
        "MlpPolicy", team, policy_kwargs=dict(net_arch=dict(pi=HIDDEN, qf=[8]), **kwargs), seed=0
    )
    theirs = [kind(agent.observation_shape[0], agent.action.size) for agent in model.team.agents]
    for i, actor in enumerate(theirs):
        torch.save(actor.state_dict(), folder / f"actor_agent{i}.pt")
    return model, theirs


@pytest.mark.parametrize("name", CASES)
def test_harls_actors_act_the_same_here(name: str, tmp_path: Path) -> None:
    model, theirs = saved(tmp_path, name)
    assert load_harl_actors(model, tmp_path) is model
    for i, agent in enumerate(model.team.agents):
        seen = torch.randn(20, *agent.observation_shape)
        policy = model.policy.distribution(i, seen)
        torch.testing.assert_close(policy.mode(), theirs[i](seen))
        if name == "HASAC":
            torch.testing.assert_close(policy.log_std.exp(), theirs[i].deviation(seen))  # type: ignore[operator]
        else:
            torch.testing.assert_close(model.policy.target_distribution(i, seen).mode(), theirs[i](seen))


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "HASAC")
    before = {name: values.clone() for name, values in model.policy.state_dict().items()}
    agent = model.team.agents[1]
    other = Squashed(agent.observation_shape[0] + 1, agent.action.size)
    torch.save(other.state_dict(), tmp_path / "actor_agent1.pt")
    with pytest.raises(ConfigurationError, match=rf"actor of '{agent.name}'.*net_arch=dict\(pi=\[8, 6\]\)"):
        load_harl_actors(model, tmp_path)
    torch.save({"base.feature_norm.weight": torch.ones(3), **other.state_dict()}, tmp_path / "actor_agent1.pt")
    with pytest.raises(ModelFileError, match="feature_norm"):
        load_harl_actors(model, tmp_path)
    (tmp_path / "actor_agent1.pt").write_bytes((tmp_path / "actor_agent0.pt").read_bytes()[:200])
    with pytest.raises(ModelFileError, match="damaged"):
        load_harl_actors(model, tmp_path)
    torch.save(Path("somewhere"), tmp_path / "actor_agent1.pt")  # an object, which only code can make
    with pytest.raises(ModelFileError, match="damaged, or holds more"):
        load_harl_actors(model, tmp_path)
    (tmp_path / "actor_agent1.pt").unlink()
    with pytest.raises(ModelFileError, match=r"actor_agent1\.pt"):
        load_harl_actors(model, tmp_path)
    assert all(torch.equal(values, before[name]) for name, values in model.policy.state_dict().items())
