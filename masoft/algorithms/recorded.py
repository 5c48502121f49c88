"""Whether an algorithm's updates and its acting are replayed from recordings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from masoft.fast.recorder import Recorder
from masoft.fast.recording import DIRECT, Runner
from masoft.policies.acting import ActingPolicy
from masoft.policies.recorded import RecordedActing


class RecordsUpdates(ABC):
    """Abstract mixin: who runs the pieces of updates.

    Attributes:
        runner: runs them.
        record: whether pieces, and what the policy does from observations to actions, are recorded once and replayed; a
            piece that cannot be is named once, in a warning.
    """

    runner: Runner = DIRECT
    generator: torch.Generator

    @property
    def record(self) -> bool:
        """Whether the pieces of updates are recorded and replayed; may be set at any time."""
        return isinstance(self.runner, Recorder)

    @record.setter
    def record(self, wanted: bool) -> None:
        if wanted != self.record:
            self.runner = Recorder(self._own_generators, self._own_optimizers) if wanted else DIRECT
        self._record_acting()

    def _record_acting(self) -> None:
        """Let the policy act from recordings, or by itself."""
        policy = vars(self).get("policy")
        if isinstance(policy, ActingPolicy):
            policy.recorded = RecordedActing(self._own_generators) if self.record else None

    @abstractmethod
    def state_parts(self) -> Mapping[str, Any]:
        """The parts of the algorithm by name."""

    def _own_generators(self) -> tuple[torch.Generator, ...]:
        # Layers such as dropout draw from PyTorch's own generator.
        return self.generator, torch.default_generator

    def _own_optimizers(self) -> Iterator[Optimizer]:
        return (part for part in self.state_parts().values() if isinstance(part, Optimizer))
