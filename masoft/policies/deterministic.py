"""Policies of the deterministic family: actors without entropy, their targets, and a joint critic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.distributions import Categoricals, FixedAction
from masoft.networks.critic import Critic
from masoft.networks.heads import CategoricalHead, DeterministicHead
from masoft.networks.mlp import make_encoder, mlp
from masoft.networks.optimizer import FusedAdam
from masoft.policies.architecture import NetArch, activation_class, joint_critic, optimizer_for, split_arch
from masoft.policies.base import one_an_agent
from masoft.policies.memoryless import MemorylessPolicy
from masoft.policies.together import asks_actor_alone
from masoft.spec import AgentSpec, TeamSpec


class DeterministicActor(nn.Module):
    """Encoder, hidden layers, and a tanh head for a Box or logits for categorical parts.

    Args:
        agent: the agent's specification.
        net_arch: widths of the hidden layers.
        activation_fn: module after each hidden layer.
        final_activation: module after the last hidden layer; None: ``activation_fn``.
    """

    def __init__(
        self,
        agent: AgentSpec,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module] = nn.ReLU,
        final_activation: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        self.body = mlp(self.encoder.n_features, net_arch, activation_fn, final_activation)
        width = net_arch[-1] if net_arch else self.encoder.n_features
        self.head: DeterministicHead | CategoricalHead
        if agent.action.is_box:
            self.head = DeterministicHead(width, agent.action.size)
        else:
            self.head = CategoricalHead(width, agent.action.nvec)

    def forward(self, observation: Tensor, mask: Tensor | None = None) -> FixedAction | Categoricals:
        """What the agent does at observations (batch, *shape) under masks (batch, sum(nvec)) or None."""
        choice: FixedAction | Categoricals = self.head(self.body(self.encoder(observation)), mask)
        return choice


class DeterministicPolicy(MemorylessPolicy):
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
        net_arch: NetArch = (256, 256),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        final_activation: type[nn.Module] | str | None = None,
        layer_norm: bool = True,
        n_critics: int = 2,
        critic: type[Critic] | None = None,
        critic_kwargs: Mapping[str, Any] | None = None,
        share_parameters: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.team, self.share_parameters = team, share_parameters
        actor_arch, critic_arch = split_arch(net_arch)
        activation = activation_class(activation_fn)
        last = None if final_activation is None else activation_class(final_activation)
        actors = one_an_agent(
            team, share_parameters, lambda agent: DeterministicActor(agent, actor_arch, activation, last)
        )
        self.actors = nn.ModuleList(actors)
        self.actors_target = deepcopy(self.actors).requires_grad_(False)
        self.critic = joint_critic(team, critic_arch, activation, layer_norm, n_critics, critic, critic_kwargs)()
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        kwargs: dict[str, Any] = {"lr": 1e-3, **(optimizer_kwargs or {})}
        by_actor = {actor: optimizer_class(actor.parameters(), **kwargs) for actor in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[actor] for actor in actors)
        self.critic_optimizer = optimizer_class(self.critic.parameters(), **kwargs)

    @asks_actor_alone
    def distribution(self, i: int, observation: Tensor, masks: Tensor | None = None) -> FixedAction | Categoricals:
        """What agent i does at its observations (batch, *shape); ``masks`` is the joint mask (batch, mask_size)."""
        return self._choice(self.actors[i], i, observation, masks)

    def target_distribution(
        self, i: int, observation: Tensor, masks: Tensor | None = None
    ) -> FixedAction | Categoricals:
        """The same for its target actor."""
        return self._choice(self.actors_target[i], i, observation, masks)

    def _choice(
        self, actor: nn.Module, i: int, observation: Tensor, masks: Tensor | None
    ) -> FixedAction | Categoricals:
        mask = None if masks is None else masks[:, self.team.mask_slices[i]]
        choice: FixedAction | Categoricals = actor(observation, mask)
        return choice
