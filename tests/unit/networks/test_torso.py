"""Torsos: along a sequence and step by step they are the same, and what does not fit is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import masoft
from masoft.envs.team_env import TeamEnv
from masoft.errors import ConfigurationError, ModelFileError
from masoft.networks import AttentionTorso, GruTorso, LstmTorso, MemoryTorso, MlpTorso, Sequences, Torso, VectorEncoder
from masoft.testing.games import CueTeam, IdentityTeam

AGENT = TeamEnv(CueTeam()).team.agents[0]
SHORT: dict[str, Any] = {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "seed": 0}


class Fading(MemoryTorso):
    """Remembers a running mean."""

    def __init__(self, agent: Any, share: float = 0.5) -> None:
        super().__init__()
        self.layer, self.share = nn.Linear(2, 2), share
        self.n_features = self.memory_size = 2

    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        now = torch.lerp(memory, self.layer(observation), self.share)
        return now, now


class Plain(Torso):
    """One layer."""

    def __init__(self, agent: Any, n_features: int = 4, told: int = 4) -> None:
        super().__init__()
        self.layer, self.n_features = nn.Linear(agent.observation_shape[0], n_features), told

    def forward(self, observation: Tensor) -> Tensor:
        return torch.tanh(self.layer(observation))


def made(kind: Any) -> MemoryTorso:
    return Fading(AGENT) if kind is Fading else kind(MlpTorso(VectorEncoder((2,)), nn.Identity(), 2), 6)


@pytest.mark.parametrize("kind", [GruTorso, LstmTorso, Fading])
def test_along_a_sequence_is_step_by_step(kind: Any) -> None:
    torch.manual_seed(0)
    torso = made(kind)
    starts = (torch.rand(7, 3) < 0.3).float()
    hidden, seen = torch.randn(3, torso.memory_size), torch.randn(7 * 3, 2)
    features, remembered = torso.along(seen, Sequences(starts, hidden))
    memory = hidden
    for t, now in enumerate(seen.chunk(7)):
        memory = memory * (1 - starts[t].unsqueeze(-1))
        feature, memory = torso.step(now, memory)
        torch.testing.assert_close(features[3 * t : 3 * t + 3], feature)
        torch.testing.assert_close(remembered[t], memory)
    torch.testing.assert_close(torso(seen), torso.along(seen)[0])  # all of them first steps


def test_attention_does_not_ask_for_an_order() -> None:
    agent = TeamEnv(IdentityTeam()).team.agents[0]
    torso = AttentionTorso(agent, width=8, n_heads=2, n_layers=2, token_size=1)
    seen = torch.randn(5, *agent.observation_shape)
    turned = seen.flip(-1)
    torch.testing.assert_close(torso(seen), torso(turned))


@pytest.mark.parametrize(
    "torso", ["mlp", "gru", "lstm", "attention", Plain, Fading, lambda agent: Plain(agent, 3, 3), Plain(AGENT)]
)
@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAPPO", "QMIX"])
def test_every_method_takes_every_torso(name: str, torso: Any) -> None:
    settings: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "seed": 0} if name == "HAPPO" else SHORT
    model = getattr(masoft, name)("MlpPolicy", CueTeam(), policy_kwargs={"net_arch": [8], "torso": torso}, **settings)
    before = [weight.detach().clone() for weight in model.policy.actors[0].torso.parameters()]
    model.learn(32)
    after = [*model.policy.actors[0].torso.parameters()]
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    # An object is copied: nobody shares what was not to be shared.
    assert model.policy.actors[0].torso is not model.policy.actors[1].torso


def test_a_plain_torso_can_be_named_and_changes_nothing() -> None:
    runs = [masoft.HASAC(CueTeam(), policy_kwargs=extra, **SHORT).learn(32) for extra in ({}, {"torso": "mlp"})]
    first, second = ([*run.policy.parameters()] for run in runs)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("torso", [Plain(AGENT), lambda agent: Plain(agent)], ids=["object", "function"])
def test_what_no_file_holds_is_given_again(torso: Any, tmp_path: Path) -> None:
    kwargs = {"torso": torso, "net_arch": [8]}
    model = masoft.HASAC(CueTeam(), policy_kwargs=kwargs, **SHORT).learn(20)
    model.save(tmp_path / "model.zip")
    with pytest.raises(ModelFileError, match=r"could not hold torso(.|\n)*policy_kwargs={'torso': ...} with the other"):
        masoft.HASAC.load(tmp_path / "model.zip")
    again = masoft.HASAC.load(tmp_path / "model.zip", policy_kwargs=kwargs)
    pairs = zip(model.policy.parameters(), again.policy.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    with pytest.raises(ConfigurationError, match=r"policy_kwargs\['net_arch'\] of a trained HASAC"):
        masoft.HASAC.load(tmp_path / "model.zip", policy_kwargs={**kwargs, "net_arch": [9]})


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"torso": "grv"}, r"policy_kwargs\['torso'\] must be one of .*Did you mean 'gru'"),
        ({"torso": 3}, "subclass of masoft.networks.Torso"),
        ({"torso": nn.Identity()}, "subclass of masoft.networks.Torso"),
        ({"torso": Plain, "torso_kwargs": {"told": 5}}, r"features of shape \(batch, n_features\) = \(2, 5\)"),
        ({"torso": Plain, "torso_kwargs": {"depth": 5}}, "made by these arguments.*depth"),
        ({"torso": lambda agent: made(GruTorso), "sequence_length": 0}, "sequence_length must be an integer >= 1"),
        ({"torso_kwargs": {"width": 5}}, "torso_kwargs'.*left out"),
        ({"hidden_size": 5}, "hidden_size must be left out without a GRU or LSTM"),
        ({"sequence_length": 5}, "sequence_length must be left out where no agent remembers"),
        ({"torso": "gru", "hidden_size": True}, "hidden_size must be an integer >= 1"),
        ({"torso": "attention", "torso_kwargs": {"width": 6}}, "a multiple of n_heads"),
    ],
)
@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_what_does_not_fit_is_refused(name: str, kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        getattr(masoft, name)(CueTeam(), policy_kwargs=kwargs)
