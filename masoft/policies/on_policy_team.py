"""Networks of on-policy methods: one actor an agent and a critic of state values, with or without memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.buffers.views import viewed_state
from masoft.distributions import Distribution
from masoft.errors import ConfigurationError, explain
from masoft.fast.adam import FusedAdam
from masoft.functional.actions import box_to_unit
from masoft.networks.actor import Actor
from masoft.networks.gaussian import DiagonalGaussianHead
from masoft.networks.heads import CategoricalHead, Head, Heads, SquashedGaussianHead, own_head
from masoft.networks.hidden import Architecture
from masoft.networks.mlp import make_encoder
from masoft.networks.torso import MlpTorso, TorsoChoice
from masoft.networks.value import CriticInputs, ValueNet
from masoft.policies.acting import Memories as Memories
from masoft.policies.architecture import (
    ALIASES,
    NetArch,
    Torsos,
    activation_class,
    check_size,
    optimizer_for,
    split_arch,
)
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import ACTION_MASK, AgentSpec, TeamSpec

Probabilities = Sequence[float] | Mapping[str, Sequence[float]]


HEAD_GAIN = 0.01
"""A fresh policy is close to the same in every state, as in SB3's PPO."""

SEQUENCE_LENGTH = 16


class OnPolicyTeamPolicy(JointPolicy):
    """Actors and a critic of state values, which remembers by a GRU where an agent remembers.

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
        head: a class of heads of your own, for all agents with a Box or by name: it makes the action distribution.
        torso, torso_kwargs, hidden_size: see `TeamPolicy`.
        sequence_length: with memory: steps through which gradients flow back, 16 where nobody says; ``n_steps`` must
            be a multiple of it.
        optimizer_class, optimizer_kwargs: as in SB3; Adam's ``eps`` is 1e-5, as in SB3's PPO.
    """

    policy_names: ClassVar[tuple[str, ...]] = tuple(ALIASES)

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
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
        head: Heads = None,
        torso: TorsoChoice = None,
        torso_kwargs: Mapping[str, Any] | None = None,
        hidden_size: int | None = None,
        sequence_length: int | None = None,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=squash_output)
        self.team, self.share_parameters = team, share_parameters
        activation = activation_class(activation_fn)
        of_actors, of_critic = split_arch(net_arch, "vf")
        arch = Architecture(tuple(of_actors), activation, layer_norm, ortho_init=ortho_init)
        torsos = Torsos(torso, torso_kwargs or {}, hidden_size)

        def actor(agent: AgentSpec) -> Actor:
            start = initial_action_probabilities
            start = start.get(agent.name) if isinstance(start, Mapping) else start
            return _actor(agent, arch, torsos, squash_output, log_std_init, start, head)

        actors = one_an_agent(team, share_parameters, actor)
        self.actors = nn.ModuleList(actors)
        self.sequence_length = self._length(sequence_length)
        memory = torsos.size if self.remembers else 0
        arch = Architecture(tuple(of_critic), activation, layer_norm, memory, ortho_init)
        self.critic = ValueNet(team, critic_input, arch, share_parameters, value_decay)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        kwargs = dict(optimizer_kwargs or ({"eps": 1e-5} if issubclass(optimizer_class, torch.optim.Adam) else {}))
        make: Any = optimizer_class
        by_actor = {each: make(each.parameters(), lr=1e-3, **kwargs) for each in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[each] for each in actors)
        self.critic_optimizer = make(self.critic.parameters(), lr=1e-3, **kwargs)

    def _length(self, sequence_length: int | None) -> int:
        """Steps of a sequence; 1 where nobody remembers."""
        if self.remembers:
            check_size("sequence_length", SEQUENCE_LENGTH if sequence_length is None else sequence_length)
            return SEQUENCE_LENGTH if sequence_length is None else sequence_length
        if sequence_length is not None:
            cure = "Policies with a memory are 'RnnPolicy' (a GRU) and 'MlpLstmPolicy'."
            raise ConfigurationError(
                explain("sequence_length", "left out where no agent remembers", sequence_length, cure)
            )
        return 1

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
        return self.act_on(obs, memories, starts, False, generator)

    def predict_values(self, observation: Mapping[str, Any]) -> Tensor:
        """Values (n, n_values) at a team observation of tensors or arrays (n, ...); without memory only."""
        self._check_memoryless("predict_values")
        seen, _ = self.obs_to_tensor(observation)
        own = tuple(seen[name] for name in self.team.names)
        values, _ = self.critic.returns(CriticInputs(own, viewed_state(self.team, seen)))
        return values

    def evaluate_actions(self, observation: Mapping[str, Any], actions: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Values, log-probability of joint actions, and entropy of the joint policy; without memory only.

        Args:
            observation: of the team, tensors or arrays (n, ...).
            actions: (n, action_size), in the environment's units, as ``predict`` gives them.

        Returns:
            (n, n_values), (n,) and (n,), in the graph; of a Box densities in units where it is [-1, 1].
        """
        stored = np.array(torch.as_tensor(actions).cpu().numpy(), np.float32).reshape(-1, self.team.action_size)
        for agent, where in zip(self.team.agents, self.team.action_slices, strict=True):
            if agent.action.is_box:
                stored[:, where] = box_to_unit(agent.action, stored[:, where])
        policies = self._each(observation, "evaluate_actions")
        entropy = torch.stack([policy.entropy() for policy in policies]).sum(0)
        return self.predict_values(observation), self._log_prob(policies, stored), entropy

    def log_prob_of_stored(self, observation: Mapping[str, Any], stored: np.ndarray) -> Tensor:
        """Log-probability (n,) of joint actions as `explore` gave them; without memory only."""
        return self._log_prob(self._each(observation, "log_probs"), stored)

    def _each(self, observation: Mapping[str, Any], asked: str) -> list[Distribution]:
        """Every agent's policy at a team observation."""
        self._check_memoryless(asked)
        seen, _ = self.obs_to_tensor(observation)
        team, masks = self.team, seen.get(ACTION_MASK) if self.team.has_masks else None
        own = [None if masks is None else masks[:, where] for where in team.mask_slices]
        return [self.along(i, seen[name], own[i])[0] for i, name in enumerate(team.names)]

    def _log_prob(self, policies: Sequence[Distribution], stored: np.ndarray) -> Tensor:
        actions = torch.as_tensor(stored, device=self.device)
        pairs = zip(policies, self.team.action_slices, strict=True)
        return torch.stack([policy.log_prob(actions[:, where]) for policy, where in pairs]).sum(0)

    def _check_memoryless(self, asked: str) -> None:
        if self.remembers:
            cure = "After a rollout, model.experience has values and log-probabilities of all its steps."
            raise ConfigurationError(explain(f"The policy of {asked}", "one without memory", type(self).__name__, cure))


def _actor(
    agent: AgentSpec,
    arch: Architecture,
    torsos: Torsos,
    squash_output: bool,
    log_std_init: float,
    initial_probabilities: Sequence[float] | None,
    heads: Heads,
) -> Actor:
    """One agent's actor with its starting weights; those of a torso of a user's own are left as they came."""

    def plain(agent: AgentSpec) -> MlpTorso:
        encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        body = arch.build(encoder.n_features)
        return MlpTorso(encoder, body, body.n_outputs)

    torso = torsos.build(agent, plain)
    width = torso.n_features
    own = own_head(agent, heads, width)
    head: Head
    if own is not None:
        head = own
    elif not agent.action.is_box:
        head = CategoricalHead(width, agent.action.nvec)
    elif squash_output:
        head = SquashedGaussianHead(width, agent.action.size)
    else:
        head = DiagonalGaussianHead(width, agent.action.size, log_std_init)
    actor = Actor(torso, head)
    arch.start(actor if torsos.are_ours else head, head, HEAD_GAIN)
    if own is None and not agent.action.is_box and initial_probabilities is not None:
        actor.head = CategoricalHead(width, agent.action.nvec, initial_probabilities)
    return actor
