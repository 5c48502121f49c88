"""``"MlpPolicy"`` of on-policy methods: what each agent does follows from what it sees now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from masoft.distributions import Distribution
from masoft.policies.memoryless import MemorylessPolicy
from masoft.policies.on_policy_team import Memories, OnPolicyTeamPolicy
from masoft.policies.together import asks_actor_alone


class MlpTeamPolicy(MemorylessPolicy, OnPolicyTeamPolicy):
    """Actors and critic without memory; images go through convolutions. Arguments: see `OnPolicyTeamPolicy`."""

    @asks_actor_alone
    def distribution(self, i: int, observation: Tensor, masks: Tensor | None = None) -> Distribution:
        """Agent i's policy at its observations (batch, *shape); ``masks`` is the joint mask (batch, mask_size)."""
        return self.along(i, observation, None if masks is None else masks[:, self.team.mask_slices[i]])[0]

    def explore(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, Memories]:
        return self.act(obs, False, generator), ()
