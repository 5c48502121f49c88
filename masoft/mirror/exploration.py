"""Noise on continuous actions while training, for methods whose policies do not draw by themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number


@dataclass(frozen=True)
class Noise(Schedulable, ABC):
    """What is added to the actions of a Box agent, in units where the Box is [-1, 1]; the sum is clipped to it.

    To write your own, subclass it as a frozen dataclass and define ``draw``. Fields may be schedules.
    """

    @abstractmethod
    def draw(self, shape: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
        """Fresh noise.

        Args:
            shape: (n_envs, action entries).
            generator: source of the draws, on the CPU.

        Returns:
            float32 of that shape.
        """


@dataclass(frozen=True)
class GaussianNoise(Noise):
    """Independent draws from a normal distribution; ``GaussianNoise(0.1)`` is ``exploration_noise=0.1``.

    Args:
        scale: standard deviation, >= 0, or a schedule.
    """

    scale: Scheduled = 0.1

    def __post_init__(self) -> None:
        check_scheduled(self, "scale")

    def draw(self, shape: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
        return number(self.scale, "GaussianNoise's scale") * torch.randn(shape, generator=generator)


@dataclass(frozen=True)
class UniformNoise(Noise):
    """Independent draws from an interval around 0.

    Args:
        width: half of the interval's length, >= 0, or a schedule.
    """

    width: Scheduled = 0.2

    def __post_init__(self) -> None:
        check_scheduled(self, "width")

    def draw(self, shape: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
        return number(self.width, "UniformNoise's width") * (2 * torch.rand(shape, generator=generator) - 1)
