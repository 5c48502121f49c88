"""From the steps that a rollout stored to what the learner uses: old policies, values and advantages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.buffers.rollout import RolloutLayout, TeamRolloutBuffer
from masoft.buffers.views import viewed_state
from masoft.distributions import Distribution
from masoft.functional.returns import generalised_advantages, td_errors
from masoft.learners.experience import Experience
from masoft.networks.torso import Sequences
from masoft.networks.value import CriticInputs
from masoft.policies.on_policy_team import Memories, OnPolicyTeamPolicy
from masoft.spec import ACTION_MASK, ACTIVE


@dataclass(frozen=True)
class Recall:
    """What actors and critic remembered when a rollout began; empty and None without memory or at the very start."""

    actors: Memories = ()
    critic: Tensor | None = None


@torch.no_grad()
def evaluate_rollout(
    buffer: TeamRolloutBuffer,
    policy: OnPolicyTeamPolicy,
    recall: Recall,
    *,
    gamma: float,
    gae_lambda: float,
    ent_coef: Tensor | None,
    generator: torch.Generator,
) -> tuple[Experience, Tensor | None]:
    """Policies, values and advantages of a finished rollout, all steps in one pass a network.

    Args:
        buffer: full, and finished.
        policy: that the rollout was made with.
        recall: what was remembered before its first step.
        gamma, gae_lambda: discount factor and GAE's lambda.
        ent_coef: temperature of the entropies that count as reward; None: none do.
        generator: draws for entropies that have no closed form.

    Returns:
        the experience, and what the critic remembers after the last step.
    """
    layout = RolloutLayout(buffer.n_steps, buffer.n_envs, policy.sequence_length)
    frames = {name: frame[:-1] for name, frame in buffer.frames.items()}
    order = None if layout.length == 1 else layout.to_rows(_numbers(buffer))
    active = layout.to_rows(frames[ACTIVE]).float() if ACTIVE in frames else None
    masks = layout.to_rows(frames[ACTION_MASK]) if ACTION_MASK in frames else None
    actions = layout.to_rows(buffer.actions)
    old, memories = _old_policies(buffer, policy, recall, order)
    values, last_values, critic_memory, after = _values(buffer, policy, recall)
    rewards = buffer.rewards
    if ent_coef is not None:
        entropies = torch.stack([each.entropy(generator) for each in old], dim=-1)
        entropies = entropies if active is None else entropies * active
        rewards = rewards + ent_coef * layout.from_rows(entropies.sum(-1))
    next_values = values[1:].clone()
    if last_values is not None:
        next_values[buffer.final_places()] = last_values
    errors = td_errors(rewards, values[:-1], next_values, buffer.terminated, gamma)
    advantages = generalised_advantages(errors, buffer.ended, gamma * gae_lambda)
    own = zip(old, policy.team.action_slices, strict=True)
    experience = Experience(
        layout=layout,
        inputs=_critic_inputs(policy, {name: layout.to_rows(frame) for name, frame in frames.items()}),
        masks=masks,
        active=active,
        actions=actions,
        old=old,
        log_probs=torch.stack([each.log_prob(actions[:, where]) for each, where in own], dim=-1),
        values=layout.to_rows(values[:-1]),
        returns=layout.to_rows(values[:-1] + advantages),
        errors=errors,
        ended=buffer.ended,
        decay=gamma * gae_lambda,
        starts=layout.to_rows(buffer.starts[:-1]).view(layout.length, -1),
        memories=memories,
        critic_memory=critic_memory,
    )
    return experience, after


def _old_policies(
    buffer: TeamRolloutBuffer, policy: OnPolicyTeamPolicy, recall: Recall, order: Tensor | None
) -> tuple[tuple[Distribution, ...], Memories]:
    """The agents' policies over all rows, and what they remembered before each sequence."""
    team, length = policy.team, policy.sequence_length
    old, memories = [], []
    for i, agent in enumerate(team.agents):
        observation = buffer.frames[agent.name][:-1].flatten(0, 1)
        mask = buffer.frames[ACTION_MASK][:-1, :, team.mask_slices[i]].flatten(0, 1) if team.has_masks else None
        before = _before(recall.actors[i] if recall.actors else None, buffer, policy.memory_sizes[i])
        sequences = None if before is None else Sequences(buffer.starts[:-1], before)
        rows, remembered = policy.along(i, observation, mask, sequences)
        old.append(rows.rows(order).keep())
        if before is None:
            memories.append(observation.new_zeros(buffer.n_steps * buffer.n_envs // length, 0, dtype=torch.float32))
        elif remembered is not None:
            memories.append(_at_sequence_starts(before, remembered, length))
    return tuple(old), tuple(memories) if policy.remembers else ()


def _values(
    buffer: TeamRolloutBuffer, policy: OnPolicyTeamPolicy, recall: Recall
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Values (n_steps + 1, n_envs, n_values), those at the ends of truncated episodes, and the critic's memory.

    The memory comes twice: before each sequence, and after the last step.
    """
    critic = policy.critic
    inputs = _critic_inputs(policy, {name: frame.flatten(0, 1) for name, frame in buffer.frames.items()})
    before = _before(recall.critic, buffer, critic.remembered_size)
    rows, remembered = critic.returns(inputs, None if before is None else Sequences(buffer.starts, before))
    values = rows.view(buffer.n_steps + 1, buffer.n_envs, -1)
    last_values: Tensor | None = None
    at_starts, after = None, None
    if before is not None and remembered is not None:
        at_starts = _at_sequence_starts(before, remembered[:-1], policy.sequence_length)
        after = remembered[-2]
    if buffer.has_finals:
        sequences = None
        if remembered is not None:
            hidden = remembered[buffer.final_places()]
            sequences = Sequences(torch.zeros(1, len(hidden), device=hidden.device), hidden)
        last_values, _ = critic.returns(_critic_inputs(policy, buffer.last_frames()), sequences)
    return values, last_values, at_starts, after


def _critic_inputs(policy: OnPolicyTeamPolicy, frames: dict[str, Tensor]) -> CriticInputs:
    """What the critic sees of arrays (batch, ...)."""
    return CriticInputs(tuple(frames[name] for name in policy.team.names), viewed_state(policy.team, frames))


def _before(memory: Tensor | None, buffer: TeamRolloutBuffer, size: int) -> Tensor | None:
    """What was remembered before the rollout, zeros if nothing was yet; None without memory."""
    if size == 0:
        return None
    return torch.zeros(buffer.n_envs, size, device=buffer.device) if memory is None else memory


def _at_sequence_starts(before: Tensor, remembered: Tensor, length: int) -> Tensor:
    """What was remembered before each sequence, (n_sequences, size), from that after each step."""
    return torch.cat([before.unsqueeze(0), remembered[length - 1 : -1 : length]]).flatten(0, 1)


def _numbers(buffer: TeamRolloutBuffer) -> Tensor:
    """Numbers of all steps in the order of time, (n_steps, n_envs)."""
    numbers = torch.arange(buffer.n_steps * buffer.n_envs, device=buffer.device)
    return numbers.view(buffer.n_steps, buffer.n_envs)
