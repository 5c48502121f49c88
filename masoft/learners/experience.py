"""A rollout as the learner uses it: old policies, values, advantages, and the batches that are cut from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from masoft.buffers.rollout import RolloutLayout
from masoft.distributions import Distribution
from masoft.functional.returns import generalised_advantages
from masoft.mirror.change import PolicyChange
from masoft.networks.torso import Sequences
from masoft.networks.value import CriticInputs
from masoft.policies.on_policy_team import Memories, OnPolicyTeamPolicy


@dataclass(frozen=True)
class AgentBatch:
    """One agent's part of a minibatch (or that of several agents with one actor, one after the other).

    Args:
        observation: (batch, *shape).
        mask: (batch, mask_size) or None.
        actions: (batch, size), as drawn.
        old: its policy when it drew them. old_log_prob: (batch,), of these actions.
        advantage: (batch,).
        joint_ratio: (batch,) or None, see `Correction`.
        active: (batch,) or None.
        sequences: how the rows form sequences; None without memory.
    """

    observation: Tensor
    mask: Tensor | None
    actions: Tensor
    old: Distribution
    old_log_prob: Tensor
    advantage: Tensor
    joint_ratio: Tensor | None
    active: Tensor | None
    sequences: Sequences | None

    def change_to(
        self, new: Distribution, updated: tuple[int, ...] = (), parameter_change: Tensor | None = None
    ) -> PolicyChange:
        """The change from the old policy to ``new`` at these states."""
        return PolicyChange(
            self.old,
            new,
            actions=self.actions,
            advantage=self.advantage,
            joint_ratio=self.joint_ratio,
            active=self.active,
            updated=updated,
            parameter_change=parameter_change,
            old_log_prob=self.old_log_prob,
        )


@dataclass(frozen=True)
class Experience:
    """A rollout in rows, see `RolloutLayout`; the old side of everything is outside the graph.

    Args:
        layout: how rows, steps and environments correspond.
        inputs: what the critic sees; its observations are the agents'.
        masks: (n_rows, mask_size) or None. active: (n_rows, n_agents) or None.
        actions: (n_rows, action_size). old: the agents' policies. log_probs: (n_rows, n_agents), of the actions.
        values, returns: (n_rows, n_values).
        errors: (n_steps, n_envs, n_values), temporal-difference errors. ended: (n_steps, n_envs).
        decay: gamma times lambda.
        starts: (length, n_sequences). memories: (n_sequences, memory_size) an agent, before the first step of each
            sequence; empty without memory. critic_memory: (n_sequences, size) or None.
    """

    layout: RolloutLayout
    inputs: CriticInputs
    masks: Tensor | None
    active: Tensor | None
    actions: Tensor
    old: tuple[Distribution, ...]
    log_probs: Tensor
    values: Tensor
    returns: Tensor
    errors: Tensor
    ended: Tensor
    decay: float
    starts: Tensor
    memories: Memories
    critic_memory: Tensor | None

    @property
    def advantages(self) -> Tensor:
        """(n_rows, n_values)."""
        return self.returns - self.values

    def corrected_advantages(self, trace: Tensor) -> Tensor:
        """Advantages whose traces are cut by ``trace`` (n_rows,); (n_rows, n_values)."""
        cut = generalised_advantages(self.errors, self.ended, self.decay, self.layout.from_rows(trace))
        return self.layout.to_rows(cut)

    def advantages_by_agent(self) -> dict[int, Tensor]:
        """Each agent's advantages in the rows where it is there; none where nobody ever leaves."""
        if self.active is None:
            return {}
        last = self.advantages.shape[1] - 1
        return {i: self.advantages[here, min(i, last)] for i, here in enumerate(self.active.bool().unbind(-1))}

    def active_of(self, i: int) -> Tensor | None:
        """Whether agent i is in the game, (n_rows,), or None where all always are."""
        return None if self.active is None else self.active[:, i]

    def sequences_of(self, memory: Tensor | None, picked: Tensor | None) -> Sequences | None:
        """Some sequences (all, if None) with what was remembered before them; None without memory."""
        if memory is None:
            return None
        return Sequences(self.starts, memory) if picked is None else Sequences(self.starts[:, picked], memory[picked])

    def memory_of(self, i: int) -> Tensor | None:
        """What agent i remembered before each sequence, (n_sequences, memory_size), or None."""
        return self.memories[i] if self.memories and self.memories[i].shape[1] else None


def pick(values: Tensor, rows: Tensor | None) -> Tensor:
    """Some rows of a tensor, by number; None: all of them."""
    return values if rows is None else values[rows]


def batch_of(
    experience: Experience,
    policy: OnPolicyTeamPolicy,
    i: int,
    picked: Tensor | None,
    advantages: Tensor,
    joint_ratio: Tensor | None,
) -> AgentBatch:
    """Agent i's part of the minibatch made of some sequences.

    Args:
        experience: the rollout.
        policy: tells where the agent's actions and masks lie.
        i: the agent.
        picked: (k,), numbers of sequences; None takes all.
        advantages: (n_rows, n_values).
        joint_ratio: (rows picked,), or None.
    """
    rows, team, active = experience.layout.rows_of(picked), policy.team, experience.active_of(i)
    return AgentBatch(
        observation=pick(experience.inputs.observations[i], rows),
        mask=None if experience.masks is None else pick(experience.masks[:, team.mask_slices[i]], rows),
        actions=pick(experience.actions[:, team.action_slices[i]], rows),
        old=experience.old[i].rows(rows),
        old_log_prob=pick(experience.log_probs[:, i], rows),
        advantage=pick(advantages[:, min(i, advantages.shape[1] - 1)], rows),
        joint_ratio=joint_ratio,
        active=None if active is None else pick(active, rows),
        sequences=experience.sequences_of(experience.memory_of(i), picked),
    )


def join(batches: Sequence[AgentBatch], length: int) -> AgentBatch:
    """Batches of agents with one actor as a single batch; with memory, their sequences stand side by side.

    Args:
        batches: one an agent, over the same sequences.
        length: steps of a sequence.
    """
    if len(batches) == 1:
        return batches[0]
    n = len(batches[0].actions)
    order = torch.arange(n * len(batches), device=batches[0].actions.device)
    order = order.view(len(batches), length, n // length).transpose(0, 1).flatten()

    def cat(name: str) -> Tensor | None:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else torch.cat(parts)[order]

    sequences = [batch.sequences for batch in batches if batch.sequences is not None]
    names = ("observation", "mask", "actions", "old_log_prob", "advantage", "joint_ratio", "active")
    joined = {name: cat(name) for name in names}
    side_by_side = (
        Sequences(torch.cat([each.starts for each in sequences], dim=1), torch.cat([each.hidden for each in sequences]))
        if sequences
        else None
    )
    old = Distribution.join([batch.old for batch in batches]).rows(order)
    return replace(batches[0], **joined, old=old, sequences=side_by_side)  # type: ignore[arg-type]
