"""What the arguments of every method must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from masoft.validation import Constraints, Instance, Integer, MappingOf, Nothing, OneOf, Real, ScheduleOf

LEARNING_RATE = (
    Real(0, open_low=True),
    ScheduleOf(Real(0)),
    MappingOf(("actor", "critic", "ent_coef"), (Real(0, open_low=True), ScheduleOf(Real(0)))),
)


@dataclass(frozen=True)
class Device:
    """A name or ``torch.device`` that this machine has."""

    def accepts(self, value: object) -> bool:
        if not isinstance(value, str) or value == "auto":
            return isinstance(value, str | torch.device)
        try:
            torch.device(value)
        except RuntimeError:
            return False
        return True

    def describe(self) -> str:
        return "'auto', 'cpu', 'cuda', 'cuda:0' and the like, or a torch.device"


COMMON: Constraints = {
    "policy": (Instance((str, type), "a known alias or a policy class"),),
    "learning_rate": LEARNING_RATE,
    "team_reward": (OneOf(("auto", "sum", "mean", "shared")),),
    "policy_kwargs": (Instance((dict,)), Nothing()),
    "stats_window_size": (Integer(1),),
    "tensorboard_log": (Instance((str, Path), "a folder's name"), Nothing()),
    "verbose": (Integer(0), Instance((bool,))),
    "device": (Device(),),
    "seed": (Integer(0), Nothing()),
}
"""What every method's constructor arguments must be."""
