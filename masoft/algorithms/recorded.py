"""Whether an algorithm's updates and its acting are replayed from recordings."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from masoft.fast.compiled import Compiler, why_not_compiled
from masoft.fast.recorder import Recorder
from masoft.fast.recording import DIRECT, Runner
from masoft.policies.acting import ActingPolicy
from masoft.policies.recorded import RecordedActing


class RecordsUpdates(ABC):
    """Abstract mixin: who runs the pieces of updates.

    Attributes:
        runner: runs them.
        record: whether pieces, and what the policy does from observations to actions, are recorded once and replayed; a
            piece that cannot be is named once, in a warning. ``"compile"``: pieces are compiled, too.
    """

    runner: Runner = DIRECT
    generator: torch.Generator
    device: torch.device

    @property
    def record(self) -> bool | str:
        """Whether the pieces of updates are recorded and replayed, or compiled as well; may be set at any time."""
        if not isinstance(self.runner, Recorder):
            return False
        return True if self.runner.compiler is None else "compile"

    @record.setter
    def record(self, wanted: bool | str) -> None:
        if wanted != self.record:
            compiler = Compiler() if wanted == "compile" else None
            recorder = Recorder(self._own_generators, self._own_optimizers, compiler=compiler)
            self.runner = recorder if wanted else DIRECT
        self._settle_record()

    def _settle_record(self) -> None:
        """See, once there is a device, whether pieces can be compiled; let the policy act from recordings, too."""
        obstacle = why_not_compiled(self.device) if self.record == "compile" and "device" in vars(self) else None
        if obstacle is not None:
            warnings.warn(f"record='compile' is record=True here: {obstacle}.", UserWarning, stacklevel=2)
            self.record = True
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
