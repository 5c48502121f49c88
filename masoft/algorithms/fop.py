"""FOP: an optimal joint maximum entropy policy that factorises, learned from a factorised soft value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.algorithms.tempered import LearnedTemperature
from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals, Distribution
from masoft.functional.action_values import ActionValues
from masoft.functional.actions import encode_joint_action
from masoft.functional.soft import expected_actor_loss, sampled_actor_loss, soft_target
from masoft.learners.choices import check_enumerable
from masoft.learners.presence import shares_of, step_by_presence, weighed
from masoft.networks.targets import follow
from masoft.networks.utilities import BoxUtility, ChoiceUtility
from masoft.policies.factored import FactoredPolicy
from masoft.validation import Pattern, Real

VALUE_SAMPLES = 4
"""Draws from a Box agent's policy for its soft value."""


class FOP(LearnedTemperature, OffPolicyTeamAlgorithm):
    """FOP: every agent improves its own soft utility, and the utilities add up to the joint soft value.

    ``(Q - V) / alpha = sum_i (Q_i - V_i) / alpha_i``, from which ``Q(s, a) = V(s) + sum_i lambda_i (Q_i - V_i)`` with
    ``lambda_i = alpha / alpha_i``. If the optimal joint policy factorises (Individual-Global-Optimal), then
    ``pi_i ~ exp(Q_i / alpha_i)`` is its factor. Where it does not, FOP may settle on a worse policy: see
    ``matrix/non_monotonic`` on its documentation page.

    Args:
        policy: ``"MlpPolicy"``, or a subclass of `FactoredPolicy`.
        env: as for `HASAC`.
        ent_coef: temperature alpha, a number > 0; ``"auto"`` learns one for each agent and the joint one, from 1
            (``"auto_0.2"``: from 0.2).
        target_entropy: entropy that ``"auto"`` holds, as for `HASAC`.
        learning_rate: step size or schedule; or ``dict(actor=, critic=, ent_coef=)``.
        buffer_size, learning_starts, batch_size, tau, gamma, train_freq, gradient_steps, n_steps, team_reward: as for
            `HASAC`.
        policy_kwargs: arguments of `FactoredPolicy`.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import FOP
        >>> model = FOP("matrix/maxent", learning_starts=8, batch_size=8, seed=0).learn(total_timesteps=10)
        >>> model
        FOP(env='matrix/maxent', learning_starts=8, batch_size=8, seed=0)

    Reference:
        Zhang et al., FOP: Factorizing Optimal Joint Policy of Maximum-Entropy Multi-Agent Reinforcement Learning, 2021.
    """

    policy: FactoredPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = FactoredPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(FactoredPolicy.policy_names, FactoredPolicy)
    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic", "ent_coef")
    followers = {**OffPolicyTeamAlgorithm.followers, **LearnedTemperature.followers}
    constraints = {
        **OffPolicyTeamAlgorithm.constraints,
        **LearnedTemperature.constraints,
        "ent_coef": (Real(0, open_low=True), Pattern("auto")),
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: Any = None,
        *,
        ent_coef: float | str = "auto",
        target_entropy: float | str | Mapping[str, float] = "auto",
        learning_rate: LearningRate = 3e-4,
        buffer_size: int = 1_000_000,
        learning_starts: int = 1_000,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = -1,
        n_steps: int | Schedule = 1,
        team_reward: str = "auto",
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        device: torch.device | str = "auto",
        seed: int | None = None,
    ) -> None:
        self.ent_coef, self.target_entropy = ent_coef, target_entropy
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            n_steps=n_steps,
            team_reward=team_reward,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            seed=seed,
        )

    def _check_team(self) -> None:
        super()._check_team()
        check_enumerable(self.team, type(self).__name__)

    def _setup_model(self) -> None:
        super()._setup_model()
        self._build_temperature()

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Factorised critics, then every actor on its own utility, then temperatures and targets."""
        self._prepare_training()
        for _ in range(gradient_steps):
            self._ent_coefs = self.temperature.current()
            batch = self.sample_batch(batch_size)
            self._fit_critics(batch, self._critic_target(batch))
            presence = shares_of(batch.active, self.team.n_agents)
            log_probs = [self._improve(i, batch, presence[i]) for i in range(self.team.n_agents)]
            self._fit_temperatures(self._targets.of_rows(log_probs, batch.masks, batch.active))
            self._update_targets()
            self._n_updates += 1
        self._finish_training()

    @torch.no_grad()
    def _critic_target(self, batch: TeamBatch) -> Tensor:
        """``R + gamma^k (min_j Q_j'(s', a') - alpha sum_i log pi_i(a'_i | o'_i))`` at fresh actions, (batch,)."""
        actions, bonus = [], torch.zeros_like(batch.rewards)
        for i in range(self.team.n_agents):
            policy = self.policy.distribution(i, batch.next_observations[i], batch.next_masks)
            action, entropy = self._draw(policy)
            actions.append(action)
            bonus += entropy if batch.next_active is None else entropy * batch.next_active[:, i]
        joint = torch.cat([action.float() for action in actions], dim=-1)
        next_q = self._joint_values(
            batch.next_state, batch.next_observations, batch.next_masks, batch.next_active, joint, of_target=True
        )
        bonus = self._ent_coefs[-1] * bonus
        return soft_target(batch.rewards, batch.discounts, batch.terminated, next_q.amin(dim=0), bonus)

    def _draw(self, policy: Distribution) -> tuple[Tensor, Tensor]:
        """An action (batch, size) and the entropy at each state: exact, or minus the draw's log-density for a Box."""
        if isinstance(policy, Categoricals):
            return policy.sample(self.generator), policy.entropy()
        action, log_prob = policy.sample_with_log_prob(self.generator)
        return action, -log_prob

    def _joint_values(
        self,
        state: Tensor,
        observations: tuple[Tensor, ...],
        masks: Tensor | None,
        active: Tensor | None,
        actions: Tensor,
        of_target: bool = False,
    ) -> Tensor:
        """Joint soft values of given actions (batch, action_size), (n_critics, batch)."""
        utilities = self.policy.utilities_target if of_target else self.policy.utilities
        mixers = self.policy.mixers_target if of_target else self.policy.mixers
        pairs = [
            self._own_values(i, utilities[i], observation, masks, actions[:, where])
            for i, (observation, where) in enumerate(zip(observations, self.team.action_slices, strict=True))
        ]
        taken, soft = (torch.stack([pair[k] for pair in pairs], dim=-1) for k in (0, 1))
        if active is not None:
            taken, soft = taken * active, soft * active
        encoded, ratio = encode_joint_action(self.team, actions), self._ent_coefs[-1] / self._ent_coefs[:-1]
        values = []
        for j, mixer in enumerate(mixers):
            weights = mixer.weights(state, encoded) * ratio  # type: ignore[operator]
            values.append(mixer(taken[j], soft[j], weights, state))
            if not of_target:
                self._metrics.add("weight", weights.mean())
        return torch.stack(values)

    def _own_values(
        self, i: int, utility: nn.Module, observation: Tensor, masks: Tensor | None, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``Q_i`` of the action and ``V_i = alpha_i log sum_a exp(Q_i / alpha_i)``, (n_critics, batch) each.

        A Box agent's ``V_i`` is the mean of ``Q_i - alpha_i log pi_i`` over draws from its policy.
        """
        ent_coef = self._ent_coefs[i]
        if isinstance(utility, ChoiceUtility):
            mask = None if masks is None else masks[:, self.team.mask_slices[i]]
            tables = [ActionValues(each, self.team.agents[i].action.nvec, mask) for each in utility(observation)]
            taken = torch.stack([table.value_of(action) for table in tables])
            legal = torch.stack([table.legal_values for table in tables])
            return taken, ent_coef * torch.logsumexp(legal / ent_coef, dim=-1)
        assert isinstance(utility, BoxUtility)
        with torch.no_grad():
            policy, soft = self.policy.distribution(i, observation), []
            for _ in range(VALUE_SAMPLES):
                draw, entropy = self._draw(policy)
                soft.append(utility(observation, draw) + ent_coef * entropy)
        return utility(observation, action), torch.stack(soft).mean(0)

    def _step_critics(self, batch: TeamBatch) -> None:
        shares = shares_of(batch.active, self.team.n_agents)
        step_by_presence(self.policy.critic_optimizer, [*self.policy.utilities], shares)

    def _judge(self, batch: TeamBatch, target: Tensor) -> tuple[Tensor, Tensor]:
        values = self._joint_values(batch.state, batch.observations, batch.masks, batch.active, batch.actions)
        return (values - target).square().mean(dim=1).sum(), values

    def _improve(self, i: int, batch: TeamBatch, presence: float) -> Tensor:
        """A step of agent i on ``alpha_i log pi_i - Q_i``, if it learns; returns its log-probabilities, (batch,)."""
        observation, ent_coef, utility = batch.observations[i], self._ent_coefs[i], self.policy.utilities[i]
        active = None if batch.active is None else batch.active[:, i]
        now = self.policy.distribution(i, observation, batch.masks)
        if isinstance(now, Categoricals):
            with torch.no_grad():
                q_values = utility(observation).amin(dim=0)
            loss, log_prob = expected_actor_loss(q_values, now.joint_log_probs(), ent_coef, active), -now.entropy()
        else:
            assert isinstance(utility, BoxUtility)
            action, log_prob = now.sample_with_log_prob(self.generator)
            critic = utility.turns(observation, action)
            loss = sampled_actor_loss(critic.value(slice(0, action.shape[-1]), action), log_prob, ent_coef, active)
        optimizer = self.policy.actor_optimizers[i]
        if presence > 0 and i in self.learners:
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            with weighed(optimizer, presence):
                optimizer.step()
            self._metrics.add("actor_loss", loss)
        return log_prob.detach()

    def _update_targets(self) -> None:
        """Polyak averaging of the target utilities and mixers."""
        follow(self.policy.utilities_target, self.policy.utilities, self.tau)
        follow(self.policy.mixers_target, self.policy.mixers, self.tau)
