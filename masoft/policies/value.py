"""Policies of the value-decomposition family: utilities of the agents' own actions, and their mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from masoft.buffers.replay import TeamBatch
from masoft.errors import ConfigurationError, explain
from masoft.fast.adam import FusedAdam
from masoft.functional.action_values import ActionValues
from masoft.networks.action_values import ActionValueNet
from masoft.networks.mixers import Mixer, MonotonicMixer, SumMixer
from masoft.networks.torso import Sequences, TorsoChoice, plain_torso
from masoft.policies.architecture import ALIASES, Torsos, activation_class, optimizer_for
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import AgentSpec, TeamSpec


class ValueTeamPolicy(JointPolicy):
    """Networks of action values, a mixer, and targets of both.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets the optimiser's rate); part of SB3's signature.
        team: the team's specification; every agent is categorical.
        mixer: ``"sum"`` or ``"monotonic"``; the algorithm's choice.
        net_arch: widths of the hidden layers of the agents' networks.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        dueling: split each agent's values into a state value and advantages.
        mixing_width, hypernet_width, hypernet_gain: see `MonotonicMixer`.
        share_parameters: let agents of equal spaces use one network; they then act alike where they see the same.
        torso, torso_kwargs, hidden_size: see `TeamPolicy`; whole episodes are replayed where agents remember.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = tuple(ALIASES)
    mixer: Mixer
    mixer_target: Mixer

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        mixer: str = "sum",
        net_arch: Sequence[int] = (128, 128),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        dueling: bool = False,
        mixing_width: int = 32,
        hypernet_width: int = 64,
        hypernet_gain: float = 1.0,
        share_parameters: bool = False,
        torso: TorsoChoice = None,
        torso_kwargs: Mapping[str, Any] | None = None,
        hidden_size: int | None = None,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.team, self.share_parameters = team, share_parameters
        widths, activation = checked_widths(net_arch), activation_class(activation_fn)
        torsos, plain = Torsos(torso, torso_kwargs or {}, hidden_size), plain_torso(widths, activation)

        def network(agent: AgentSpec) -> ActionValueNet:
            return ActionValueNet(agent, torsos.build(agent, plain), dueling)

        self.actors = nn.ModuleList(one_an_agent(team, share_parameters, network))
        self.mixer = make_mixer(mixer, team, mixing_width, hypernet_width, hypernet_gain)
        self.actors_target = deepcopy(self.actors).requires_grad_(False)
        self.mixer_target = deepcopy(self.mixer).requires_grad_(False)
        make = optimizer_for(optimizer_class, optimizer_kwargs)
        learned = [*self.actors.parameters(), *self.mixer.parameters()]
        self.critic_optimizer = make(learned, **{"lr": 1e-3, **(optimizer_kwargs or {})})

    def now_and_next(
        self, i: int, batch: TeamBatch, n: int, of_target: bool = False
    ) -> tuple[ActionValues, ActionValues]:
        """Agent i's action values at the batch's observations and at those that follow.

        Args:
            i: the agent.
            batch: transitions; for agents with a memory, row ``t * n + s`` is step t of episode s.
            n: number of episodes; without memory of no account.
            of_target: by the target networks.
        """
        actor = (self.actors_target if of_target else self.actors)[i]
        assert isinstance(actor, ActionValueNet)
        if not actor.memory_size:
            now = actor(batch.observations[i], self.own_mask(i, batch.masks))
            with torch.no_grad():
                following = actor(batch.next_observations[i], self.own_mask(i, batch.next_masks))
            return now, following
        # One walk over all observations of the episodes: the first ones, then each step's successor.
        observations = torch.cat([batch.observations[i][:n], batch.next_observations[i]])
        mask = None
        if batch.masks is not None and batch.next_masks is not None:
            mask = self.own_mask(i, torch.cat([batch.masks[:n], batch.next_masks]))
        starts = torch.zeros(len(observations) // n, n, device=self.device)
        hidden = torch.zeros(n, actor.memory_size, device=self.device)
        walked, _ = actor.along(observations, mask, Sequences(starts, hidden))
        return walked.rows(slice(None, -n)), walked.rows(slice(n, None)).detach()


def make_mixer(kind: str, team: TeamSpec, mixing_width: int, hypernet_width: int, hypernet_gain: float) -> Mixer:
    """The mixer of a name.

    Raises:
        ConfigurationError: unknown name.
    """
    if kind == "sum":
        return SumMixer()
    if kind == "monotonic":
        return MonotonicMixer(team.n_agents, team.critic_state_size, mixing_width, hypernet_width, hypernet_gain)
    raise ConfigurationError(explain("mixer", "'sum' or 'monotonic'", kind))


def checked_widths(net_arch: Sequence[int]) -> list[int]:
    """Widths of hidden layers; none: linear.

    Raises:
        ConfigurationError: a dict, or a width that is no positive integer.
    """
    is_list = isinstance(net_arch, list | tuple)
    if not is_list or not all(isinstance(width, int) and width > 0 for width in net_arch):
        raise ConfigurationError(explain("net_arch", "a list of positive widths", net_arch))
    return [*net_arch]
