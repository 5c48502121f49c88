"""The policy of HAD3QN: a dueling network of action values an agent, and a joint critic that teaches them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from masoft.fast.adam import FusedAdam
from masoft.networks.action_values import ActionValueNet
from masoft.networks.critic import Critic
from masoft.networks.torso import plain_torso
from masoft.policies.architecture import NetArch, activation_class, joint_critic, optimizer_for, split_arch
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import TeamSpec


class DuelingPolicy(JointPolicy):
    """Dueling action values, joint critic and its target.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification; every agent is categorical.
        net_arch: widths of the hidden layers of agents and critics, or ``dict(pi=[...], qf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        layer_norm: normalise the critic's hidden layers.
        n_critics: number of critic networks; the smallest of their values counts.
        critic: a `Critic` of your own in place of `JointCritic`; net_arch, layer_norm and n_critics are not asked then.
        critic_kwargs: its arguments after the team.
        share_parameters: let agents of equal spaces use one network; they then act alike where they see the same.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        net_arch: NetArch = (128, 128),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        layer_norm: bool = True,
        n_critics: int = 2,
        critic: type[Critic] | None = None,
        critic_kwargs: Mapping[str, Any] | None = None,
        share_parameters: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.team, self.share_parameters = team, share_parameters
        widths, critic_widths = split_arch(net_arch)
        activation = activation_class(activation_fn)
        plain = plain_torso(widths, activation)
        actors = one_an_agent(team, share_parameters, lambda agent: ActionValueNet(agent, plain(agent), dueling=True))
        self.actors = nn.ModuleList(actors)
        self.critic = joint_critic(team, critic_widths, activation, layer_norm, n_critics, critic, critic_kwargs)()
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        make: Any = optimizer_class
        kwargs: dict[str, Any] = {"lr": 1e-3, **(optimizer_kwargs or {})}
        by_actor = {actor: make(actor.parameters(), **kwargs) for actor in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[actor] for actor in actors)
        self.critic_optimizer = make(self.critic.parameters(), **kwargs)
