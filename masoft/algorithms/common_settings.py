"""What the arguments of every method's constructor are, and must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from stable_baselines3.common.policies import BasePolicy

from masoft.fast.precision import PRECISIONS
from masoft.mirror.order import Order
from masoft.saving.settings import NEW
from masoft.settings import Felt, Fixed, positional, settings
from masoft.validation import Instance, Integer, MappingOf, Nothing, OneOf, Pattern, Real, ScheduleOf

Schedule = Callable[[float], float]
LearningRate = float | Schedule | Mapping[str, float | Schedule]

ONE_RATE = (Real(0, open_low=True), ScheduleOf(Real(0)), Felt("_setup_lr_schedule"))
RATE = (*ONE_RATE, MappingOf(("actor", "critic", "ent_coef"), (Real(0, open_low=True), ScheduleOf(Real(0)))))
NETWORKS = Fixed(NEW)
ORDER = Instance((Order,), "an update order")
BOOL = Instance((bool,), "a bool")
UNIT = Real(0, 1)


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


@dataclass(frozen=True)
class OrderOfItself:
    """An update order that asks for no expected improvements."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, Order) and not value.needs_improvements

    def describe(self) -> str:
        return "an update order that needs no expected improvements, such as RandomPermutation() or FixedOrder()"


@settings
class CommonSettings:
    """Of every method."""

    policy: InitVar[Annotated[str | type[BasePolicy], Instance((str, type), "a known alias or a policy class")]] = (
        positional(default="MlpPolicy", kw_only=False)
    )
    env: InitVar[Annotated[Any, ()]] = positional(default=None, kw_only=False)
    team_reward: Annotated[
        str,
        OneOf(("auto", "sum", "mean", "shared")),
        Fixed("The environments add rewards up: load(path, env, team_reward=...)."),
    ] = "auto"
    policy_kwargs: InitVar[
        Annotated[
            dict[str, Any] | None,
            (Instance((dict,)), Nothing()),
            Fixed("Save it, and load it with load(path, policy_kwargs=...) if it is the optimisers that change."),
        ]
    ] = None
    record: InitVar[Annotated[bool | str, BOOL, OneOf(("compile",))]] = False
    precision: Annotated[str, OneOf(PRECISIONS), Felt("_look_at_precision")] = "float32"
    stats_window_size: Annotated[int, Integer(1), Felt("_resize_statistics")] = 100
    tensorboard_log: Annotated[str | None, Instance((str, Path), "a folder's name"), Nothing()] = None
    verbose: Annotated[int, Integer(0), BOOL] = 0
    device: InitVar[
        Annotated[torch.device | str, Device(), Fixed("Save it, and load it there: load(path, device=...).")]
    ] = "auto"
    seed: Annotated[int | None, Integer(0), Nothing(), Fixed("Call set_random_seed(seed).")] = None


@settings
class TemperatureSettings:
    """Of methods with an entropy term."""

    ent_coef: Annotated[float | str, Real(0), Pattern("auto"), Felt("_build_temperature")] = "auto"
    target_entropy: Annotated[
        float | str | Mapping[str, float],
        (Real(), Pattern("auto"), Instance((dict,), "a dict of numbers by agent")),
        Felt("_set_targets"),
    ] = "auto"
