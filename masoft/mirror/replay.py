"""Which of the stored transitions an off-policy method learns from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number


@dataclass(frozen=True)
class ReplayRule(Schedulable, ABC):
    """Chooses what is replayed, by age.

    To write your own, subclass it as a frozen dataclass and define ``draw``. Fields may be schedules.
    """

    @abstractmethod
    def draw(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
        """Numbers of what is drawn: 0 is the oldest, ``n_stored - 1`` the newest.

        Args:
            n_stored: how many can be drawn, >= 1: transitions, or stretches or episodes where agents have a memory.
            n: how many are wanted.
            generator: source of the draws; the numbers are made on its device.

        Returns:
            (n,), int64.
        """

    def checked(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
        """What `draw` gives.

        Raises:
            ConfigurationError: it gives anything else than n whole numbers.
        """
        drawn = self.draw(n_stored, n, generator)
        if drawn.shape != (n,) or drawn.dtype != torch.int64:
            got = f"{drawn.dtype} of shape {tuple(drawn.shape)}"
            raise ConfigurationError(explain(f"What {type(self).__name__}.draw gives", f"int64 of shape ({n},)", got))
        return drawn


@dataclass(frozen=True)
class UniformReplay(ReplayRule):
    """Everything that is stored is equally likely, as in stable-baselines3."""

    def draw(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(n_stored, (n,), generator=generator, device=generator.device)


@dataclass(frozen=True)
class RecentReplay(ReplayRule):
    """A share of each batch comes from the newest part of what is stored, the rest from everything.

    Args:
        share: of the batch, in [0, 1], or a schedule.
        newest: the part of the buffer that counts as new, in (0, 1], or a schedule.

    Reference:
        Wang and Ross, Boosting Soft Actor-Critic: Emphasizing Recent Experience without Forgetting the Past, 2019,
        whose part shrinks within a training; this one stays.
    """

    share: Scheduled = 0.5
    newest: Scheduled = 0.1

    def __post_init__(self) -> None:
        check_scheduled(self, "share", high=1.0)
        check_scheduled(self, "newest", high=1.0, open_low=True)

    def draw(self, n_stored: int, n: int, generator: torch.Generator) -> Tensor:
        n_new = round(number(self.share, "RecentReplay's share") * n)
        among = max(round(number(self.newest, "RecentReplay's newest") * n_stored), 1)
        new = torch.randint(n_stored - among, n_stored, (n_new,), generator=generator, device=generator.device)
        return torch.cat([new, torch.randint(n_stored, (n - n_new,), generator=generator, device=generator.device)])
