"""What agents remember of the running episodes while experience is collected for replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from masoft.policies.acting import Memories
from masoft.policies.base import JointPolicy
from masoft.saving.parts import Attributes, StatePart


class RemembersEpisodes:
    """Abstract mixin: memories from one step to the next, saved with a run."""

    policy: JointPolicy
    n_envs: int
    generator: Any
    _memories: Memories = ()
    _starts: Any

    def play(self, obs: Mapping[str, Any], deterministic: bool) -> Any:
        """The policies' actions (n_envs, action_size) at the running episodes' present step, which is remembered."""
        generator = None if deterministic else self.generator
        actions, self._memories = self.policy.act_on(obs, self._memories, self._starts, deterministic, generator)
        return actions

    def run_parts(self) -> dict[str, StatePart]:
        """As for all, and what agents remember of the running episodes."""
        parts: dict[str, StatePart] = super().run_parts()  # type: ignore[misc]
        if self.policy.remembers:
            parts["memories"] = Attributes(self, ("_memories", "_starts"))
        return parts

    def _forget(self) -> None:
        """Nothing has been seen yet."""
        self._memories, self._starts = (), np.ones(self.n_envs, bool)
