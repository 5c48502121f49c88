"""Networks of on-policy methods: one actor an agent and a critic of state values, with or without memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.functional.rows import PolicyRows
from masoft.networks.hidden import Architecture
from masoft.networks.optimizer import FusedAdam
from masoft.networks.recurrent import Sequences
from masoft.networks.value import ValueNet
from masoft.policies.architecture import NetArch, activation_class, split_arch
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.policies.on_policy_actor import OnPolicyActor
from masoft.policies.recurrent import Memories as Memories
from masoft.policies.teammates import Teammate
from masoft.spec import AgentSpec, TeamSpec

Probabilities = Sequence[float] | Mapping[str, Sequence[float]]


class OnPolicyTeamPolicy(JointPolicy, ABC):
    """Abstract: actors and a critic of state values. Final classes: `MlpTeamPolicy`, `RnnTeamPolicy`.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification.
        critic_input: what the critic sees, see `ValueNet`; the algorithm's choice.
        value_decay: of the critic's scale, see `ValueNet`; the algorithm's choice.
        net_arch: widths of the hidden layers of actors and critic, or ``dict(pi=[...], vf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        layer_norm: normalise observations and hidden layers.
        ortho_init: start weights orthogonal, with a hundred times smaller last layers of the actors.
        log_std_init: logarithm of the starting standard deviation, in units where the Box is [-1, 1].
        squash_output: squash continuous actions by tanh, as in off-policy methods, instead of clipping them.
        share_parameters: let agents of equal spaces use one actor (and one critic where it sees observations alone).
        initial_action_probabilities: starting probabilities of categorical agents, for all of them or by name.
        optimizer_class, optimizer_kwargs: as in SB3; Adam's ``eps`` is 1e-5, as in SB3's PPO.
    """

    policy_names: ClassVar[tuple[str, ...]] = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy", "RnnPolicy")
    hidden_size = 0
    sequence_length = 1

    def __init__(
        self,
        observation_space: spaces.Space,  # type: ignore[type-arg]
        action_space: spaces.Space,  # type: ignore[type-arg]
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        critic_input: str = "state",
        value_decay: float | None = None,
        net_arch: NetArch = (64, 64),
        activation_fn: type[nn.Module] | str = nn.Tanh,
        layer_norm: bool = False,
        ortho_init: bool = True,
        log_std_init: float = 0.0,
        squash_output: bool = False,
        share_parameters: bool = False,
        initial_action_probabilities: Probabilities | None = None,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=squash_output)
        self.team, self.share_parameters = team, share_parameters
        activation = activation_class(activation_fn)
        pi, vf = (
            Architecture(tuple(widths), activation, layer_norm, self.hidden_size, ortho_init)
            for widths in split_arch(net_arch, "vf")
        )

        def actor(agent: AgentSpec) -> OnPolicyActor:
            start = initial_action_probabilities
            start = start.get(agent.name) if isinstance(start, Mapping) else start
            return OnPolicyActor(agent, pi, squash_output, log_std_init, start)

        actors = one_an_agent(team, share_parameters, actor)
        self.actors = nn.ModuleList(actors)
        self.critic = ValueNet(team, critic_input, vf, share_parameters, value_decay)
        kwargs = dict(optimizer_kwargs or ({"eps": 1e-5} if issubclass(optimizer_class, torch.optim.Adam) else {}))
        make: Any = optimizer_class
        by_actor = {each: make(each.parameters(), lr=1e-3, **kwargs) for each in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[each] for each in actors)
        self.critic_optimizer = make(self.critic.parameters(), lr=1e-3, **kwargs)

    @abstractmethod
    def explore(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, Memories]:
        """Draw joint actions for batched team observations while training.

        Args:
            obs: arrays (n, ...).
            memories: what the agents remember; empty before the first step.
            starts: (n,), true where an episode starts.
            generator: source of the draws.

        Returns:
            (n, action_size): Box entries in units where the Box is [-1, 1], not clipped; categorical parts as choice
            numbers. And what the agents remember now.
        """

    def along(
        self, i: int, observation: Tensor, mask: Tensor | None, sequences: Sequences | None = None
    ) -> tuple[PolicyRows, Tensor | None]:
        """Agent i's policy at the rows of a batch, and what it remembers after each step, see `OnPolicyActor`.

        Args:
            i: the agent.
            observation: (batch, *shape).
            mask: its own action mask, (batch, mask_size), or None.
            sequences: how the rows form sequences; only where there is memory.
        """
        actor = self.actors[i]
        assert isinstance(actor, OnPolicyActor | Teammate)
        return actor.remember(observation, mask, sequences)
