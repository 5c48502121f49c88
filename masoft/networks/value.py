"""State values for on-policy learning: one for the team, or one an agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masoft.networks.hidden import Architecture
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder
from masoft.networks.recurrent import Memory
from masoft.networks.torso import Sequences
from masoft.networks.value_scale import ValueScale
from masoft.spec import AgentSpec, TeamSpec

CRITIC_INPUTS = ("state", "agent", "observation")


@dataclass(frozen=True)
class CriticInputs:
    """What critics may see, over a batch of steps.

    Args:
        observations: one (batch, *shape) tensor an agent.
        state: (batch, size), or None where the environment has no state of its own.
    """

    observations: tuple[Tensor, ...]
    state: Tensor | None

    def pick(self, rows: Tensor | None) -> CriticInputs:
        """Some of the steps, by number; None: all."""
        if rows is None:
            return self
        return CriticInputs(
            tuple(observation[rows] for observation in self.observations),
            None if self.state is None else self.state[rows],
        )


class ValueBranch(nn.Module):
    """Hidden layers, memory where there is one, and a single number.

    Args:
        n_inputs: length of the input vector.
        arch: of the hidden layers.
    """

    def __init__(self, n_inputs: int, arch: Architecture) -> None:
        super().__init__()
        self.body = arch.build(n_inputs)
        width = arch.hidden_size or self.body.n_outputs
        self.memory = Memory(self.body.n_outputs, arch.hidden_size) if arch.hidden_size else None
        self.head = nn.Linear(width, 1)
        arch.start(self, self.head, 1.0)

    def forward(self, inputs: Tensor, sequences: Sequences | None) -> tuple[Tensor, Tensor | None]:
        """Values (batch,) of inputs (batch, n_inputs), and what is remembered after each step, if anything is."""
        if self.memory is None:
            return self.body.then(inputs, self.head).squeeze(-1), None
        assert sequences is not None
        features, remembered = self.memory(self.body(inputs), sequences)
        return self.head(features).squeeze(-1), remembered


class ValueNet(nn.Module):
    """V of what a critic sees, in units of its scale.

    Args:
        team: the team's specification.
        sees: ``"state"``: the environment's state, or all observations: one value for the team. ``"agent"``: the
            state, an agent's own observation and its number: one value an agent, from one network.
            ``"observation"``: an agent's own observation alone: one value an agent, from networks of their own.
        arch: of the hidden layers.
        share: whether agents of equal observation spaces share a network where critics see observations alone.
        decay: of the scale, see `ValueScale`; None: the outputs are the values themselves.
    """

    def __init__(
        self, team: TeamSpec, sees: str, arch: Architecture, share: bool = False, decay: float | None = None
    ) -> None:
        super().__init__()
        self.sees, self.hidden_size, self.n_agents = sees, arch.hidden_size, team.n_agents
        self.n_values = 1 if sees == "state" else team.n_agents
        self.scale = None if decay is None else ValueScale(decay)
        self.encoders = nn.ModuleList()
        self.own_size = 0
        self.sees_observations = team.critic_sees_observations
        if sees == "observation":
            self.branches = nn.ModuleList(self._own_branches(team.agents, arch, share))
            return
        if sees == "agent" or team.critic_sees_observations:
            encoders = [_encoder(agent) for agent in team.agents]
            for encoder in encoders:
                arch.start(encoder, nn.Identity(), 1.0)
            self.encoders.extend(encoders)
            n_features = [encoder.n_features for encoder in encoders]
            self.own_size = max(n_features) if sees == "agent" else 0
        n_state = team.view_size + (sum(n_features) if team.critic_sees_observations else 0)
        n_inputs = n_state + (self.own_size + team.n_agents if sees == "agent" else 0)
        self.branches = nn.ModuleList([ValueBranch(n_inputs, arch)])

    @property
    def remembered_size(self) -> int:
        """Length of what all critics together remember of one environment; 0 without memory."""
        return self.n_values * self.hidden_size

    def forward(self, inputs: CriticInputs, sequences: Sequences | None = None) -> tuple[Tensor, Tensor | None]:
        """Values in units of the scale.

        Args:
            inputs: over (batch,) steps.
            sequences: for critics with memory: starts (steps, n), hidden (n, remembered_size).

        Returns:
            (batch, n_values), and what is remembered after each step (steps, n, remembered_size) or None.
        """
        seen = [encode(obs) for encode, obs in zip(self.encoders, inputs.observations, strict=False)]
        if self.sees == "observation":
            return self._of_own_networks(seen, sequences)
        state = self._state(inputs.state, seen)
        if self.sees == "agent":
            return self._of_each_agent(state, seen, sequences)
        values, remembered = self.branches[0](state, sequences)
        return values.unsqueeze(-1), remembered

    def returns(self, inputs: CriticInputs, sequences: Sequences | None = None) -> tuple[Tensor, Tensor | None]:
        """As ``forward``, with the values as returns."""
        values, remembered = self(inputs, sequences)
        return (values if self.scale is None else self.scale.from_units(values)), remembered

    def to_units(self, returns: Tensor) -> Tensor:
        """Returns in units of the scale."""
        return returns if self.scale is None else self.scale.to_units(returns)

    def follow(self, returns: Tensor) -> None:
        """Move the scale to new returns, any shape; every value stays what it was."""
        if self.scale is not None:
            branches = {id(branch): branch for branch in self.branches if isinstance(branch, ValueBranch)}
            self.scale.update(returns, [branch.head for branch in branches.values()])

    def _own_branches(self, agents: Sequence[AgentSpec], arch: Architecture, share: bool) -> list[ValueBranch]:
        """Encoders and branches of agents that see nothing but their own observations."""
        made: list[tuple[AgentSpec, ImageEncoder | VectorEncoder, ValueBranch]] = []
        branches = []
        for agent in agents:
            same = [entry for entry in made if share and entry[0].observation_space == agent.observation_space]
            if not same:
                encoder = _encoder(agent)
                arch.start(encoder, nn.Identity(), 1.0)
                same = [(agent, encoder, ValueBranch(encoder.n_features, arch))]
                made += same
            self.encoders.append(same[0][1])
            branches.append(same[0][2])
        return branches

    def _state(self, view: Tensor | None, seen: list[Tensor]) -> Tensor:
        """The view of the environment's state, all observations, or both."""
        if view is not None and not self.sees_observations:
            return view
        return torch.cat(seen if view is None else [view, *seen], dim=-1)

    def _of_own_networks(self, seen: Sequence[Tensor], sequences: Sequences | None) -> tuple[Tensor, Tensor | None]:
        outputs = [
            branch(features, _part(sequences, i, self.hidden_size))
            for i, (branch, features) in enumerate(zip(self.branches, seen, strict=True))
        ]
        memories = [remembered for _, remembered in outputs if remembered is not None]
        return torch.stack([values for values, _ in outputs], -1), torch.cat(memories, -1) if memories else None

    def _of_each_agent(
        self, state: Tensor, seen: Sequence[Tensor], sequences: Sequences | None
    ) -> tuple[Tensor, Tensor | None]:
        """One network over (state, own observation, number), for all agents in one call."""
        n = self.n_agents
        own = torch.stack([F.pad(features, (0, self.own_size - features.shape[-1])) for features in seen], dim=1)
        numbers = torch.eye(n, device=state.device).expand(len(state), n, n)
        rows = torch.cat([state.unsqueeze(1).expand(-1, n, -1), own, numbers], dim=-1).flatten(0, 1)
        if sequences is None:
            values, _ = self.branches[0](rows, None)
            return values.view(-1, n), None
        steps, batch = sequences.starts.shape
        hidden = sequences.hidden.reshape(batch * n, self.hidden_size)
        values, remembered = self.branches[0](rows, Sequences(sequences.starts.repeat_interleave(n, dim=1), hidden))
        return values.view(-1, n), remembered.reshape(steps, batch, n * self.hidden_size)


def _part(sequences: Sequences | None, i: int, size: int) -> Sequences | None:
    """Agent i's share of what all critics remember."""
    if sequences is None:
        return None
    return Sequences(sequences.starts, sequences.hidden[:, i * size : (i + 1) * size])


def _encoder(agent: AgentSpec) -> ImageEncoder | VectorEncoder:
    return make_encoder(agent.observation_shape, agent.observes_bytes)
