"""Habits of stable-baselines3 on a team model: its names work, or say what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, BinaryIO

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from masoft import habits
from masoft.algorithms.freezing import Freezing
from masoft.errors import ConfigurationError, ModelFileError, explain, nearest
from masoft.files import Decoder, Trust, read_archive
from masoft.mirror.temperature import AutoTemperature
from masoft.saving.files import PACKAGES, WEIGHTS, existing


class Habits(Freezing):
    """Abstract: attributes and methods that stable-baselines3's models have, for a team."""

    def __getattr__(self, name: str) -> Any:
        raise habits.absent(type(self).__name__, name, habits.MODEL)

    @property
    def critic(self) -> Any:
        """The policy's critic."""
        return self._of_policy("critic")

    @property
    def critic_target(self) -> Any:
        """The policy's target critic."""
        return self._of_policy("critic_target")

    @property
    def log_ent_coef(self) -> Any:
        """Logarithms of the learned temperatures, (n_agents + 1,): the agents' own, then the joint one; None: fixed."""
        temperature = self._own("temperature", "log_ent_coef")
        return temperature.log_values if isinstance(temperature, AutoTemperature) else None

    @property
    def ent_coef_optimizer(self) -> Any:
        """The temperatures' optimiser; None where they are fixed."""
        temperature = self._own("temperature", "ent_coef_optimizer")
        return temperature.optimizer if isinstance(temperature, AutoTemperature) else None

    @property
    def ent_coef_tensor(self) -> Any:
        """The temperatures now, (n_agents + 1,): the agents' own, then the joint one."""
        return self._own("temperature", "ent_coef_tensor").current()

    @property
    def action_noise(self) -> None:
        """None: exploration is each method's own."""
        return None

    @action_noise.setter
    def action_noise(self, noise: object) -> None:
        if noise is not None:
            cure = f"In masoft {habits.ARGUMENTS['action_noise']}."
            raise ConfigurationError(explain("action_noise", "None", noise, cure))

    def _own(self, name: str, asked: str) -> Any:
        if name not in vars(self):
            raise habits.absent(type(self).__name__, asked, habits.MODEL)
        return vars(self)[name]

    def _of_policy(self, name: str) -> Any:
        self._check_built()
        modules = self.policy._modules
        if name not in modules:
            raise habits.absent(type(self).__name__, name, habits.MODEL)
        return modules[name]

    def get_parameters(self) -> dict[str, Any]:
        """Everything learned by name: ``"policy"``, the optimisers' states, and temperatures where there are any."""
        self._check_built()
        return {name: part.state_dict() for name, part in self._learned().items()}

    def set_parameters(
        self,
        load_path_or_dict: str | Path | BinaryIO | Mapping[str, Any],
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """Take over what was learned, in place.

        Args:
            load_path_or_dict: what ``get_parameters`` gave, or a file that ``save`` wrote.
            exact_match: whether every part and every weight must be there; False: those that are given change.
            device: accepted for stable-baselines3's sake; the weights go where this model is.

        Raises:
            ConfigurationError: a part or weight is unknown, absent, or of another shape.
            ModelFileError: the file is damaged or foreign.
        """
        self._check_built()
        parts, given = self._learned(), load_path_or_dict
        states = given if isinstance(given, Mapping) else self._parameters_in(given, parts)
        for name in states:
            if name not in parts:
                raise ConfigurationError(explain("A name of parameters", "known", name, nearest(str(name), parts)))
        absent = [name for name in parts if name not in states]
        if exact_match and absent:
            cure = f"Absent: {absent}. exact_match=False changes only what is given."
            raise ConfigurationError(explain("The parameters", f"given for {[*parts]}", [*states], cure))
        self.runner.forget()
        for name, state in states.items():
            part = parts[name]
            try:
                if isinstance(part, nn.Module):
                    part.load_state_dict(state, strict=exact_match)
                else:
                    part.load_state_dict(deepcopy(state))  # PyTorch's optimisers keep the tensors that they are given
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
                shown = " ".join(str(error).split())[:200]
                raise ConfigurationError(f"The parameters of {name!r} do not fit this model: {shown}") from error

    def _learned(self) -> dict[str, Any]:
        kinds = (nn.Module, torch.optim.Optimizer)
        return {name: part for name, part in self.state_parts().items() if isinstance(part, kinds)}

    def _parameters_in(self, source: Any, parts: Mapping[str, Any]) -> dict[str, Any]:
        archive = read_archive(existing(source))
        state = archive.manifest.get("state")
        if not isinstance(state, dict) or archive.manifest.get("class") is None:
            raise ModelFileError(explain("The file of parameters", "a saved model of masoft", str(source)))
        decoder = Decoder(archive.members.get(WEIGHTS, {}), Trust(PACKAGES, []))
        return {name: decoder.decode(value, name) for name, value in state.items() if name in parts}


ARRAYS = ("actions", "buffer_actions", "clipped_actions", "rewards", "dones")
"""What stable-baselines3's callbacks find as arrays; a rollout may have them as tensors."""


class StepLocals(dict[str, Any]):
    """What a callback sees of a rollout: what costs something is computed when it is asked for.

    Actions, rewards and ends are arrays for whoever asks, also of steps that stay on a device.

    Args:
        values: the names that are there.
        policy: the team's.
    """

    def __init__(self, values: Mapping[str, Any], policy: Any) -> None:
        super().__init__(values)
        self._policy = policy

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        return found.cpu().numpy() if name in ARRAYS and isinstance(found, torch.Tensor) else found

    def __missing__(self, name: str) -> Any:
        if name == "obs_tensor":
            return self._policy.obs_to_tensor(self["obs"])[0]
        if name == "values":
            with torch.no_grad():
                return self._policy.predict_values(self["obs"])
        if name == "log_probs":
            with torch.no_grad():
                return self._policy.log_prob_of_stored(self["obs"], self["actions"])
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's, for the names that are computed too."""
        try:
            return self[name]
        except KeyError:
            return default


def offer_locals(callback: BaseCallback, policy: Any) -> None:
    """Give a callback and those inside it `StepLocals`."""
    if not isinstance(callback.locals, StepLocals):
        callback.locals = StepLocals(callback.locals, policy)
    inner = [*getattr(callback, "callbacks", ()), getattr(callback, "callback", None)]
    for each in inner:
        if isinstance(each, BaseCallback):
            offer_locals(each, policy)


def check_policy_kwargs(policy_class: type[Any], kwargs: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Refuse keys that a policy class does not have.

    Args:
        policy_class: the class.
        kwargs: keys that were given.
        fixed: keys that are the algorithm's own choice, not to be named.

    Raises:
        ConfigurationError: an unknown key; the message has the nearest one, or the way that masoft has instead.
    """
    known = _arguments(policy_class)
    if known is None:
        return
    choices = sorted(known - {"observation_space", "action_space", "lr_schedule", "team", *fixed})
    for name in kwargs:
        if name not in known:
            way = habits.POLICY_KWARGS.get(name)
            cure = nearest(str(name), choices) if way is None else f"As to {name!r}: {way}."
            which = f"A key of policy_kwargs for {policy_class.__name__}"
            raise ConfigurationError(explain(which, "one of its arguments", name, cure))


def _arguments(policy_class: type[Any]) -> set[str] | None:
    """Names that a policy's constructor takes, those that it hands on included; None: it takes any."""
    known: set[str] = set()
    for base in policy_class.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)} - {"self"}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known
    return None
