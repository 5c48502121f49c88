"""Updates in the precision that an algorithm was given, and what to lower where they do not fit into memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from masoft.errors import ConfigurationError, explain
from masoft.fast.precision import at_precision

F = TypeVar("F", bound=Callable[..., Any])

SIZES = ("batch_size", "critic_batch_size", "n_steps", "buffer_size", "n_envs")
"""Attributes that decide how much memory an update takes."""


def in_own_precision(method: F) -> F:
    """A method of an algorithm, run with its ``precision``; PyTorch's own switches are put back afterwards.

    Raises:
        ConfigurationError: the device has not the memory; names the settings that decide how much it takes.
    """

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            with at_precision(self.precision, self.device):
                return method(self, *args, **kwargs)
        except torch.OutOfMemoryError as error:
            sizes = {name: getattr(self, name) for name in SIZES if getattr(self, name, None) is not None}
            which, must = f"An update with {sizes}", f"small enough for the memory of {self.device}"
            cure = "Lower batch_size first, then n_steps or buffer_size, the number of environments, or net_arch."
            raise ConfigurationError(explain(which, must, str(error).partition(".")[0], cure)) from error

    return run  # type: ignore[return-value]
