"""Policies of the value-decomposition family: utilities of the agents' own actions, and their mixture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.buffers.replay import TeamBatch
from masoft.errors import ConfigurationError, explain
from masoft.functional.action_values import ActionValues
from masoft.networks.action_values import ActionValueNet
from masoft.networks.mixers import Mixer, MonotonicMixer, SumMixer
from masoft.networks.optimizer import FusedAdam
from masoft.networks.recurrent import Sequences
from masoft.policies.architecture import activation_class, optimizer_for
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.policies.memoryless import MemorylessPolicy
from masoft.policies.recurrent import Memories, RecurrentPolicy, extending
from masoft.spec import AgentSpec, TeamSpec


class ValueTeamPolicy(JointPolicy, ABC):
    """Abstract: networks of action values, a mixer, and targets of both. Final: `MlpValuePolicy`, `RnnValuePolicy`.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets the optimiser's rate); part of SB3's signature.
        team: the team's specification; every agent is categorical.
        mixer: ``"sum"`` or ``"monotonic"``; the algorithm's choice.
        net_arch: widths of the hidden layers of the agents' networks.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        dueling: split each agent's values into a state value and advantages.
        mixing_width, hypernet_width: see `MonotonicMixer`.
        share_parameters: let agents of equal spaces use one network; they then act alike where they see the same.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy", "RnnPolicy")
    hidden_size = 0
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
        share_parameters: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.team, self.share_parameters = team, share_parameters
        widths, activation = checked_widths(net_arch), activation_class(activation_fn)

        def network(agent: AgentSpec) -> ActionValueNet:
            return ActionValueNet(agent, widths, activation, dueling, self.hidden_size)

        self.actors = nn.ModuleList(one_an_agent(team, share_parameters, network))
        self.mixer = make_mixer(mixer, team, mixing_width, hypernet_width)
        self.actors_target = deepcopy(self.actors).requires_grad_(False)
        self.mixer_target = deepcopy(self.mixer).requires_grad_(False)
        make = optimizer_for(optimizer_class, optimizer_kwargs)
        learned = [*self.actors.parameters(), *self.mixer.parameters()]
        self.critic_optimizer = make(learned, **{"lr": 1e-3, **(optimizer_kwargs or {})})

    @abstractmethod
    def greedy(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray
    ) -> tuple[np.ndarray, Memories]:
        """Each agent's best action for batched team observations.

        Args:
            obs: arrays (n, ...).
            memories: what the agents remember; empty before the first step.
            starts: (n,), true where an episode starts.

        Returns:
            (n, action_size), choice numbers; and what the agents remember now.
        """

    @abstractmethod
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

    def _mask(self, i: int, masks: Tensor | None) -> Tensor | None:
        """Agent i's part of the joint mask."""
        return None if masks is None else masks[:, self.team.mask_slices[i]]


class MlpValuePolicy(ValueTeamPolicy, MemorylessPolicy):
    """Agents that know what they see now, see `ValueTeamPolicy`."""

    def distribution(self, i: int, observation: Tensor, masks: Tensor | None = None) -> ActionValues:
        """Agent i's action values at its observations (batch, *shape); ``masks`` is the joint mask."""
        values: ActionValues = self.actors[i](observation, self._mask(i, masks))
        return values

    def greedy(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray
    ) -> tuple[np.ndarray, Memories]:
        return self.act(obs, deterministic=True), ()

    def now_and_next(
        self, i: int, batch: TeamBatch, n: int, of_target: bool = False
    ) -> tuple[ActionValues, ActionValues]:
        actor = (self.actors_target if of_target else self.actors)[i]
        now = actor(batch.observations[i], self._mask(i, batch.masks))
        with torch.no_grad():
            following = actor(batch.next_observations[i], self._mask(i, batch.next_masks))
        return now, following


class RnnValuePolicy(ValueTeamPolicy, RecurrentPolicy):
    """Agents that remember what they saw earlier in the episode, by one GRU layer behind their hidden layers.

    Args:
        hidden_size: length of what each agent remembers, >= 1.
        others: see `ValueTeamPolicy`.
    """

    @extending(ValueTeamPolicy)
    def __init__(self, *args: Any, hidden_size: int = 64, **others: Any) -> None:
        if not isinstance(hidden_size, int) or hidden_size < 1:
            raise ConfigurationError(explain("hidden_size of the RnnPolicy", "an integer >= 1", hidden_size))
        # A plain number may be set before nn.Module's constructor; the networks are built in there.
        self.hidden_size = hidden_size
        super().__init__(*args, **others)

    def along(
        self, i: int, observation: Tensor, mask: Tensor | None, sequences: Sequences | None = None
    ) -> tuple[ActionValues, Tensor | None]:
        assert sequences is not None
        actor = self.actors[i]
        assert isinstance(actor, ActionValueNet)
        return actor.remember(observation, mask, sequences)

    def greedy(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray
    ) -> tuple[np.ndarray, Memories]:
        return self._act(obs, memories, starts, True, None)

    def now_and_next(
        self, i: int, batch: TeamBatch, n: int, of_target: bool = False
    ) -> tuple[ActionValues, ActionValues]:
        actor = (self.actors_target if of_target else self.actors)[i]
        assert isinstance(actor, ActionValueNet)
        # One walk over all observations of the episodes: the first ones, then each step's successor.
        observations = torch.cat([batch.observations[i][:n], batch.next_observations[i]])
        mask = None
        if batch.masks is not None and batch.next_masks is not None:
            mask = self._mask(i, torch.cat([batch.masks[:n], batch.next_masks]))
        starts = torch.zeros(len(observations) // n, n, device=self.device)
        walked, _ = actor.remember(
            observations, mask, Sequences(starts, torch.zeros(n, self.hidden_size, device=self.device))
        )
        return walked.rows(slice(None, -n)), walked.rows(slice(n, None)).detach()


def make_mixer(kind: str, team: TeamSpec, mixing_width: int, hypernet_width: int) -> Mixer:
    """The mixer of a name.

    Raises:
        ConfigurationError: unknown name.
    """
    if kind == "sum":
        return SumMixer()
    if kind == "monotonic":
        return MonotonicMixer(team.n_agents, team.critic_state_size, mixing_width, hypernet_width)
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
