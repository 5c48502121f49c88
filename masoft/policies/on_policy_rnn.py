"""``"RnnPolicy"`` of on-policy methods: agents that remember what they saw earlier in the episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from masoft.errors import ConfigurationError, explain
from masoft.policies.on_policy_team import OnPolicyTeamPolicy
from masoft.policies.recurrent import Memories, RecurrentPolicy, extending


class RnnTeamPolicy(OnPolicyTeamPolicy, RecurrentPolicy):
    """Actors and critic with one GRU layer each behind their hidden layers.

    Args:
        hidden_size: length of what each agent remembers, >= 1.
        sequence_length: steps through which gradients flow back; ``n_steps`` must be a multiple of it.
        others: see `OnPolicyTeamPolicy`.
    """

    @extending(OnPolicyTeamPolicy)
    def __init__(self, *args: Any, hidden_size: int = 64, sequence_length: int = 16, **others: Any) -> None:
        for name, value in (("hidden_size", hidden_size), ("sequence_length", sequence_length)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(explain(f"{name} of the RnnPolicy", "an integer >= 1", value))
        # Plain numbers may be set before nn.Module's constructor; the networks are built in there.
        self.hidden_size, self.sequence_length = hidden_size, sequence_length
        super().__init__(*args, **others)

    @torch.no_grad()
    def explore(
        self, obs: Mapping[str, np.ndarray], memories: Memories, starts: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, Memories]:
        return self._act(obs, memories, starts, False, generator)
