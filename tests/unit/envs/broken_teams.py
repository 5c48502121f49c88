"""Toy environments that break on purpose, once or always, so that worker processes can be seen to fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from toy_teams import Toy


def die() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(600)


def fail() -> None:
    raise ValueError("the simulator lost a wheel")


BREAKS: dict[str, Callable[[], None]] = {"dies": die, "hangs": hang, "raises": fail}


class Breaking(Toy):
    """Breaks at one of the steps that it takes in its life.

    Args:
        how: ``"dies"``, ``"hangs"``, ``"raises"``, or ``"nan"``: agent b sees NaN.
        at: the step, counted over episodes.
        flag: a file that is made when it breaks; where it exists, nothing breaks. None: it breaks whenever it can.
        when: ``"step"``, or ``"reset"``: the first reset after that many steps.
    """

    def __init__(self, how: str, at: int, flag: Path | None = None, when: str = "step") -> None:
        super().__init__(length=4, has_deaths=False, has_masks=False)
        self.how, self.at, self.flag, self.when = how, at, flag, when
        self.taken = 0
        self.is_bad = False

    def _break(self, when: str) -> None:
        if when != self.when or self.taken < self.at or (self.flag is not None and self.flag.exists()):
            return
        if self.flag is not None:
            self.flag.touch()
        self.is_bad = True
        if self.how != "nan":
            BREAKS[self.how]()

    def observation(self, agent):
        seen = super().observation(agent)
        return np.full_like(seen, np.nan) if self.is_bad and agent == "b" else seen

    def reset(self, seed=None, options=None):
        self._break("reset")
        return super().reset(seed, options)

    def step(self, actions):
        self.taken += 1
        self._break("step")
        return super().step(actions)
