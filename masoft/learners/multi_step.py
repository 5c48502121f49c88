"""Targets of several steps that look at the states between."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from masoft.buffers.horizon import Between
from masoft.buffers.replay import TeamBatch
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import encode_joint_action, log_choices
from masoft.functional.soft import soft_target
from masoft.mirror.returns import ReturnRule
from masoft.policies.acting import ActingPolicy
from masoft.policies.teammates import Teammate
from masoft.spec import ACTION_MASK, ACTIVE, ActionSpec


@dataclass(frozen=True)
class States:
    """Where a policy and its target critics are asked: rows of states, masks and presence as in `TeamBatch`."""

    state: Any
    observations: tuple[Any, ...]
    masks: Tensor | None
    active: Tensor | None


class Judge(ABC):
    """Abstract: a method's update, as far as targets ask it.

    Attributes:
        policy: whose critic learns.
        backup: the critic's target.
    """

    policy: Any
    backup: Backup

    @abstractmethod
    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """Fresh joint actions as `judged` takes them, and what their entropy is worth, (rows,)."""

    @abstractmethod
    def judged(self, at: States, actions: Tensor) -> Tensor:
        """The target critics' one value of joint actions at states, (rows,)."""

    def as_judged(self, actions: Tensor) -> Tensor:
        """Stored joint actions (rows, action_size) as `judged` takes them: as the critic sees them."""
        return encode_joint_action(self.policy.team, actions)

    def log_prob(self, at: States, actions: Tensor) -> Tensor:
        """Log-probability of stored joint actions, (rows,).

        Raises:
            ConfigurationError: the policies have none.
        """
        raise no_log_prob(self.backup.rule)


class Looked:
    """The steps between, as a method sees them; see `StepsBetween`.

    Args:
        steps: what is stored.
        judge: the method's update.
    """

    def __init__(self, steps: Between, judge: Judge) -> None:
        self._steps, self._judge = steps, judge
        self._states = States(steps.state, steps.observations, steps.masks, steps.active)

    @cached_property
    def _fresh(self) -> tuple[Tensor, Tensor]:
        return self._judge.fresh(self._states)

    @property
    def entropy_bonus(self) -> Tensor:
        """(n_steps - 1, batch)."""
        return self._by_step(self._fresh[1])

    @cached_property
    def value(self) -> Tensor:
        """(n_steps - 1, batch)."""
        actions, bonus = self._fresh
        return self._by_step(self._judge.judged(self._states, actions) + bonus)

    @cached_property
    def taken_value(self) -> Tensor:
        """(n_steps - 1, batch)."""
        return self._by_step(self._judge.judged(self._states, self._judge.as_judged(self._steps.actions)))

    @cached_property
    def log_ratio(self) -> Tensor:
        """(n_steps - 1, batch).

        Raises:
            ConfigurationError: the policies are deterministic.
        """
        assert self._steps.log_probs is not None
        return self._by_step(self._judge.log_prob(self._states, self._steps.actions) - self._steps.log_probs)

    def _by_step(self, values: Tensor) -> Tensor:
        return values.view_as(self._steps.goes_on)


@dataclass(frozen=True)
class Backup:
    """The critic's target.

    Args:
        rule: what several steps make of it, with its schedules filled in.
        gamma: discount factor of one step.
    """

    rule: ReturnRule
    gamma: float

    def __call__(self, batch: TeamBatch, judge: Judge) -> Tensor:
        """``y = R + gamma^k (1 - terminated) V(s')`` (Eq. 5 and 6), or what the rule makes of it; (batch,)."""
        after = States(batch.next_state, batch.next_observations, batch.next_masks, batch.next_active)
        actions, bonus = judge.fresh(after)
        return self.of(batch, judge.judged(after, actions), bonus, judge)

    def of(self, batch: TeamBatch, next_q: Tensor, bonus: Tensor, judge: Judge) -> Tensor:
        """The same where the next state has been looked at.

        Args:
            batch: the minibatch.
            next_q: (batch,), at fresh actions.
            bonus: (batch,), what their entropy is worth.
            judge: asked about the steps between.
        """
        if batch.between is None:
            return soft_target(batch.rewards, batch.discounts, batch.terminated, next_q, bonus)
        steps, bootstrap = batch.between, (1 - batch.terminated) * (next_q + bonus)
        return self.rule.target(steps.rewards, steps.goes_on, bootstrap, self.gamma, Looked(steps, judge))


@torch.no_grad()
def joint_log_prob(policy: ActingPolicy, at: States, actions: Tensor, uniform: Collection[int] = ()) -> Tensor:
    """Log-probability of joint actions (rows, action_size) over the agents that are there; (rows,).

    A teammate that is played by somebody else counts nothing: it does what it does now as well.

    Args:
        policy: the team's policies.
        at: where.
        actions: as stored.
        uniform: agents that drew from what is legal rather than from their policies.
    """
    total = torch.zeros(len(actions), device=actions.device)
    for i, where in enumerate(policy.team.action_slices):
        if isinstance(policy.actors[i], Teammate):
            continue
        if i in uniform:
            log_prob = uniform_log_prob(policy.team.agents[i].action, policy.own_mask(i, at.masks), total)
        else:
            log_prob = policy.distribution(i, at.observations[i], at.masks).log_prob(actions[:, where])
        total = total + (log_prob if at.active is None else log_prob * at.active[:, i])
    return total


def log_prob_taken(policy: ActingPolicy, obs: Mapping[str, Any], actions: Any, uniform: Collection[int]) -> Tensor:
    """`joint_log_prob` of joint actions that were just drawn, at team observations of arrays or tensors; (n_envs,)."""
    seen = {name: torch.as_tensor(values, device=policy.device) for name, values in obs.items()}
    active = seen[ACTIVE].float() if ACTIVE in seen else None
    at = States(None, tuple(seen[name] for name in policy.team.names), seen.get(ACTION_MASK), active)
    return joint_log_prob(policy, at, torch.as_tensor(actions, device=policy.device), uniform)


def uniform_log_prob(action: ActionSpec, mask: Tensor | None, like: Tensor) -> Tensor:
    """Log-probability of any draw from what is legal; for a Box a density in [-1, 1]; (rows,), as ``like`` is."""
    if action.is_box:
        return torch.full_like(like, -action.size * math.log(2))
    if mask is None:
        return torch.full_like(like, -sum(math.log(n) for n in action.nvec))
    return -log_choices(mask, action.nvec)


def no_log_prob(rule: object) -> ConfigurationError:
    """Why methods without probabilities take no rule that corrects."""
    must = "one that needs no log-probabilities, since this method's policies have none"
    return ConfigurationError(explain("return_rule", must, rule, "Use 'plain' or 'peng'."))
