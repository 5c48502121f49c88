"""Which entropy learned temperatures hold: it follows the choices that agents have, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.fast.recording import aside
from masoft.functional.actions import log_choices
from masoft.spec import AgentSpec, TeamSpec

DISCRETE_ENTROPY_FRACTION = 0.3


@dataclass(frozen=True)
class Entropies:
    """Where the entropies of a team stand over some rows, and where they should; the joint one is last.

    Args:
        log_probs: (n_agents + 1,), means of log pi, that is minus the entropies.
        targets: (n_agents + 1,), means of the target entropies over the same rows.
        shares: (n_agents + 1,), share of the rows that count, in [0, 1]; None: all do.
    """

    log_probs: Tensor
    targets: Tensor
    shares: Tensor | None = None


class TargetEntropies:
    """The target entropies of a team.

    An agent counts in the rows in which it is there and has a choice: its target is then a fraction of the logarithm
    of the number of its legal actions (a number of the user's own is held up to that logarithm, above which no policy
    gets). The joint target is the sum over the agents, so an agent that is seldom there has a small share of it.

    Args:
        target_entropy: ``"auto"``: -dim(A) for a Box (paper Table 4), 0.3 log|A| for categorical parts; a number for
            every agent; or numbers by agent.
        team: the team's specification.

    Raises:
        ConfigurationError: a target for an agent that the team does not have, or none for one that it has.
    """

    def __init__(self, target_entropy: float | str | Mapping[str, float], team: TeamSpec) -> None:
        self._team = team
        self._is_auto = isinstance(target_entropy, str)
        self.own = _own_targets(target_entropy, team)
        self._tensors: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def of_rows(self, log_probs: Sequence[Tensor], masks: Tensor | None, active: Tensor | None) -> Entropies:
        """Means over a minibatch.

        Args:
            log_probs: by agent, (batch,).
            masks: (batch, mask_size) or None.
            active: (batch, n_agents), 1 where an agent is there, or None.
        """
        if masks is None and active is None:
            return self._everywhere(torch.stack([each.mean() for each in log_probs]))
        targets, counts = self._at(masks, active, log_probs[0])
        rows = torch.stack([*log_probs], dim=-1) * counts
        n_rows = counts.sum(0).clamp_min(1)
        own, own_target = rows.sum(0) / n_rows, targets.sum(0) / n_rows
        return Entropies(
            torch.cat([own, rows.sum(-1).mean(0, keepdim=True)]),
            torch.cat([own_target, targets.sum(-1).mean(0, keepdim=True)]),
            torch.cat([counts.mean(0), counts.amax(-1).mean(0, keepdim=True)]),
        )

    def of_means(self, log_probs: Tensor, masks: Tensor | None, active: Tensor | None) -> Entropies:
        """From means over the rows in which each agent is there.

        Args:
            log_probs: (n_agents,); rows in which an agent has no choice, where its entropy is 0, are counted.
            masks, active: of the same rows, see `of_rows`.
        """
        if masks is None and active is None:
            return self._everywhere(log_probs)
        targets, counts = self._at(masks, active, log_probs)
        present = counts.new_ones(log_probs.shape) if active is None else active.to(log_probs.dtype).mean(0)
        joint = (log_probs * present).sum(0, keepdim=True)
        own_target = targets.mean(0) / present.clamp_min(1 / len(targets))
        return Entropies(
            torch.cat([log_probs, joint]),
            torch.cat([own_target, targets.sum(-1).mean(0, keepdim=True)]),
            torch.cat([counts.mean(0), counts.amax(-1).mean(0, keepdim=True)]),
        )

    def _everywhere(self, log_probs: Tensor) -> Entropies:
        joint = log_probs.sum(0, keepdim=True)
        return Entropies(torch.cat([log_probs, joint]), self._own_like(log_probs))

    def _own_like(self, like: Tensor) -> Tensor:
        """The agents' targets and their sum, (n_agents + 1,); made once."""
        key = like.device, like.dtype
        if key not in self._tensors:
            with aside():
                self._tensors[key] = torch.tensor([*self.own, sum(self.own)], device=like.device, dtype=like.dtype)
        return self._tensors[key]

    def _at(self, masks: Tensor | None, active: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
        """Targets where a row counts, else 0, and 1 where it does, (n_rows, n_agents) both."""
        n_rows = len(masks) if masks is not None else len(active) if active is not None else 0
        targets, counts = [], []
        for i, agent in enumerate(self._team.agents):
            if agent.action.is_box:
                targets.append(like.new_full((n_rows,), self.own[i]))
                counts.append(like.new_ones(n_rows))
                continue
            if masks is None:
                reachable = like.new_full((n_rows,), math.log(agent.action.n_joint))
            else:
                reachable = log_choices(masks[:, self._team.mask_slices[i]], agent.action.nvec).to(like.dtype)
            held = DISCRETE_ENTROPY_FRACTION * reachable if self._is_auto else reachable.clamp_max(self.own[i])
            targets.append(held)
            counts.append((reachable > 0).to(like.dtype))
        count = torch.stack(counts, dim=-1)
        if active is not None:
            count = count * active.to(like.dtype)
        return torch.stack(targets, dim=-1) * count, count


def _own_targets(target_entropy: float | str | Mapping[str, float], team: TeamSpec) -> list[float]:
    """Each agent's target entropy where it may do everything. (The reference means 0.98 log|A| and computes 0.)"""
    if isinstance(target_entropy, Mapping):
        if set(target_entropy) != set(team.names):
            raise ConfigurationError(explain("target_entropy", f"a dict with the keys {team.names}", target_entropy))
        return [_reachable(float(target_entropy[a.name]), a) for a in team.agents]
    if isinstance(target_entropy, str):
        return [
            -float(a.action.size) if a.action.is_box else DISCRETE_ENTROPY_FRACTION * math.log(a.action.n_joint)
            for a in team.agents
        ]
    return [_reachable(float(target_entropy), a) for a in team.agents]


def _reachable(target: float, agent: AgentSpec) -> float:
    """A number that was asked for, held up to the largest entropy of an agent's own choices."""
    return target if agent.action.is_box else min(target, math.log(agent.action.n_joint))
