"""Where an on-policy run stands between two steps, as a part of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from masoft.learners.rollout import Recall


class RolloutState:
    """What agents and critic remember, and the rollout that is under way, if one is.

    Args:
        model: the algorithm.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """The memories now and at the rollout's start; the rollout only where it is neither empty nor used up."""
        model = self._model
        buffer: Any = getattr(model, "rollout_buffer", None)
        is_under_way = buffer is not None and buffer.pos > 0 and not buffer.is_full
        return {
            "memories": list(model._memories),
            "recalled": list(model._recall.actors),
            "critic": model._recall.critic,
            "rollout": buffer.state_dict() if is_under_way else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        model = self._model
        device = torch.device(model.device)
        model._memories = tuple(memory.to(device) for memory in state_dict["memories"])
        critic: Tensor | None = state_dict["critic"]
        recalled = tuple(memory.to(device) for memory in state_dict["recalled"])
        model._recall = Recall(recalled, None if critic is None else critic.to(device))
        if state_dict["rollout"] is not None:
            model.rollout_buffer.load_state_dict(state_dict["rollout"])
