"""What is looked at in each step of a batch whose numbers are tensors: nothing is read from them meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from masoft.spec import TeamSpec

KINDS = (
    ("What the agents see", "finite everywhere"),
    ("The rewards", "finite"),
    ("The rewards", "the same for all agents (team_reward='shared')"),
    ("The joint action", "legal"),
)
"""What may be wrong, and what it must be; causes before what follows from them."""


class DeviceSide:
    """Makes joint actions legal, adds rewards up, and notes on the device what was wrong in which environment.

    Args:
        team: the team's specification.
        n_envs: number of environments.
        device: where all of it lies.
        team_reward: ``"mean"``, ``"sum"`` or ``"shared"``.
        low, high, slack: (action_size,), bounds of the entries, and what rounding explains outside of them.
        choices: columns of the joint action that are choices.
        mask_offsets: places in the joint mask where these choices begin.
    """

    def __init__(
        self,
        team: TeamSpec,
        n_envs: int,
        device: Any,
        team_reward: str,
        *,
        low: Any,
        high: Any,
        slack: Any,
        choices: Any,
        mask_offsets: Any,
    ) -> None:
        self.device = torch.device(device)
        self.team_reward = team_reward
        self.low, self.high, self._slack = (torch.as_tensor(each, device=self.device) for each in (low, high, slack))
        self._choices = torch.as_tensor(choices, device=self.device)
        self._n_choices, self._size = len(choices), team.action_size
        self._offsets = torch.as_tensor(mask_offsets, device=self.device)
        owners = [i for i, agent in enumerate(team.agents) for _ in range(agent.action.size)]
        self._owners = torch.tensor(owners, device=self.device) if team.has_deaths else None
        self._bad = torch.zeros(len(KINDS), n_envs, dtype=torch.bool, device=self.device)

    def legal(self, actions: Tensor, mask: Tensor | None, active: Tensor | None) -> Tensor:
        """Joint actions inside their bounds, choices as whole numbers; illegal ones of living agents are noted.

        Args:
            actions: (n_envs, action_size).
            mask: (n_envs, mask_size) or None.
            active: (n_envs, n_agents), or None where nobody ever leaves.
        """
        asked = actions.to(self.device, torch.float32)
        if self._n_choices == self._size:
            asked = asked.round()
        elif self._n_choices:
            asked = asked.index_copy(1, self._choices, asked.index_select(1, self._choices).round())
        inside = asked.maximum(self.low).minimum(self.high)
        legal = (asked - inside).abs() <= self._slack  # not so for NaN
        inside = torch.where(legal, inside, self.low)
        if mask is not None:
            is_all = self._n_choices == self._size
            chosen = inside if is_all else inside.index_select(1, self._choices)
            allowed = mask.gather(1, chosen.long() + self._offsets) != 0
            allowed &= legal if is_all else legal.index_select(1, self._choices)
            legal = allowed if is_all else legal.index_copy(1, self._choices, allowed)
        wrong = ~legal
        if self._owners is not None and active is not None:
            wrong &= active.bool().index_select(1, self._owners)
        self._note(-1, wrong.any(1))
        return inside

    def look(self, observations: Mapping[str, Any]) -> None:
        """Note the environments whose observations hold a number that is not finite."""
        sums = [values.flatten(1).sum(1) for values in observations.values() if values.is_floating_point()]
        if sums:
            self._note(0, ~(torch.stack(sums) * 0).sum(0).isfinite())

    def team_rewards(self, own: Tensor, active: Tensor | None) -> Tensor:
        """(n_envs,), from the agents' own (n_envs, n_agents), which are 0 where an agent has left."""
        self._note(1, ~(own * 0).sum(1).isfinite())
        if self.team_reward != "shared":
            return (own.sum(1) if self.team_reward == "sum" else own.mean(1)).float()
        if active is None:
            shared = own[:, :1]
            differs = own != shared
        else:
            shared = own.gather(1, active.byte().argmax(1, keepdim=True))
            differs = (own != shared) & active.bool()
        self._note(2, differs.any(1))
        return shared[:, 0].float()

    def fault(self) -> tuple[str, str] | None:
        """What was wrong since the last call, and what it must be, after one look from the host; None: nothing."""
        if not bool(self._bad.any()):
            return None
        kind, env = (int(each) for each in self._bad.nonzero()[0])
        self._bad.zero_()
        which, must = KINDS[kind]
        return f"{which} of environment {env}", must

    def _note(self, kind: int, is_bad: Tensor) -> None:
        self._bad[kind].logical_or_(is_bad)
