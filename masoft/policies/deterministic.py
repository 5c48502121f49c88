"""Policies of the deterministic family: actors without entropy, their targets, and a joint critic."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.buffers.sequences import Stretch
from masoft.distributions import Categoricals, FixedAction
from masoft.fast.adam import FusedAdam
from masoft.networks.actor import Actor
from masoft.networks.critic import Critic
from masoft.networks.heads import CategoricalHead, DeterministicHead, Head
from masoft.networks.torso import TorsoChoice, plain_torso
from masoft.networks.walk import Walk, WalkOn
from masoft.policies.architecture import (
    ALIASES,
    NetArch,
    Torsos,
    activation_class,
    joint_critic,
    optimizer_for,
    split_arch,
)
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import AgentSpec, TeamSpec


class DeterministicPolicy(JointPolicy):
    """Actors, joint critic, and targets of both.

    A Box agent acts by ``tanh`` of its actor's output; a categorical agent by the largest logit, and its softmax is
    what training follows and draws from.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification.
        net_arch: widths of the hidden layers of actors and critics, or ``dict(pi=[...], qf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        final_activation: the same for the last hidden layer of the actors; None: ``activation_fn``.
        layer_norm: normalise the critic's hidden layers.
        n_critics: number of critic networks.
        critic: a `Critic` of your own in place of `JointCritic`; net_arch, layer_norm and n_critics are not asked then.
        critic_kwargs: its arguments after the team.
        share_parameters: let agents of equal spaces use one actor.
        torso, torso_kwargs, hidden_size, sequence_length, burn_in: see `TeamPolicy`.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = tuple(ALIASES)

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        net_arch: NetArch = (256, 256),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        final_activation: type[nn.Module] | str | None = None,
        layer_norm: bool = True,
        n_critics: int = 2,
        critic: type[Critic] | None = None,
        critic_kwargs: Mapping[str, Any] | None = None,
        share_parameters: bool = False,
        torso: TorsoChoice = None,
        torso_kwargs: Mapping[str, Any] | None = None,
        hidden_size: int | None = None,
        sequence_length: int | None = None,
        burn_in: int | None = None,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.team, self.share_parameters = team, share_parameters
        actor_arch, critic_arch = split_arch(net_arch)
        activation = activation_class(activation_fn)
        last = None if final_activation is None else activation_class(final_activation)
        torsos, plain = Torsos(torso, torso_kwargs or {}, hidden_size), plain_torso(actor_arch, activation, last)

        def build(agent: AgentSpec) -> Actor:
            own = torsos.build(agent, plain)
            return Actor(own, _head(agent, own.n_features), in_one_pass=False)

        actors = one_an_agent(team, share_parameters, build)
        self.actors = nn.ModuleList(actors)
        self.actors_target = deepcopy(self.actors).requires_grad_(False)
        self.stretch = Stretch(sequence_length, burn_in, self.remembers)
        memory = torsos.size if self.remembers else 0
        build_one = joint_critic(team, critic_arch, activation, layer_norm, n_critics, critic, critic_kwargs, memory)
        self.critic = build_one()
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        kwargs: dict[str, Any] = {"lr": 1e-3, **(optimizer_kwargs or {})}
        by_actor = {actor: optimizer_class(actor.parameters(), **kwargs) for actor in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[actor] for actor in actors)
        self.critic_optimizer = optimizer_class(self.critic.parameters(), **kwargs)

    def target_distribution(
        self, i: int, observation: Tensor | Walk | WalkOn, masks: Tensor | None = None
    ) -> FixedAction | Categoricals:
        """What agent i's target actor does at its observations, see ``distribution``."""
        choice: FixedAction | Categoricals = self.actors_target[i](observation, self.own_mask(i, masks))
        return choice


def _head(agent: AgentSpec, n_features: int) -> Head:
    """An action for a Box, logits for categorical parts."""
    if agent.action.is_box:
        return DeterministicHead(n_features, agent.action.size)
    return CategoricalHead(n_features, agent.action.nvec)
