"""The last layer of an actor: features in, an action distribution out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain
from masoft.functional.distributions import Categoricals, SquashedGaussian
from masoft.functional.fixed import FixedAction

LOG_STD_MIN = -20.0
LOG_STD_MAX = 2.0


class SquashedGaussianHead(nn.Module):
    """Mean and state-dependent standard deviation of a tanh-squashed Gaussian, in one linear layer.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 2 * size)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> SquashedGaussian:
        """Distribution over actions in [-1, 1] for features (batch, n_features); a mask has no meaning here."""
        return self.read(self.linear(features), mask)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> SquashedGaussian:
        """The same from what the linear layer gave, (..., 2 * size)."""
        mean, log_std = outputs.chunk(2, dim=-1)
        return SquashedGaussian(mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX))


class DeterministicHead(nn.Module):
    """A tanh-squashed action, without noise.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, size)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> FixedAction:
        """The action in [-1, 1] for features (batch, n_features); a mask has no meaning here."""
        return self.read(self.linear(features), mask)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> FixedAction:
        """The same from what the linear layer gave, (..., size)."""
        return FixedAction(torch.tanh(outputs))


class CategoricalHead(nn.Module):
    """Logits of independent categorical parts.

    The last layer starts a hundred times smaller than usual, so that a fresh policy is close to uniform (or to
    ``initial_probabilities``) in every state.

    Args:
        n_features: length of the feature vector.
        nvec: number of choices of each part.
        initial_probabilities: probabilities with which every state's policy starts exactly, (sum(nvec),).
    """

    def __init__(
        self, n_features: int, nvec: tuple[int, ...], initial_probabilities: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.nvec = nvec
        self.linear = nn.Linear(n_features, sum(nvec))
        with torch.no_grad():
            self.linear.bias.zero_()
            self.linear.weight.mul_(0.01)
            if initial_probabilities is not None:
                self.linear.weight.zero_()
                self.linear.bias.copy_(_checked_probabilities(initial_probabilities, nvec).log())

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Categoricals:
        """Distribution over choices for features (batch, n_features); mask (batch, sum(nvec)), true = legal."""
        return self.read(self.linear(features), mask)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> Categoricals:
        """The same from what the linear layer gave, (..., sum(nvec))."""
        return Categoricals(outputs, self.nvec, mask)


def _checked_probabilities(probabilities: Sequence[float], nvec: tuple[int, ...]) -> Tensor:
    """The starting probabilities as a tensor, or an error that says what is wrong with them."""
    values = torch.as_tensor(probabilities, dtype=torch.float32).reshape(-1)
    is_valid = values.numel() == sum(nvec) and bool((values > 0).all())
    if is_valid:
        sums = torch.stack([part.sum() for part in torch.split(values, list(nvec))])
        is_valid = bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4))
    if not is_valid:
        must = f"{sum(nvec)} positive numbers that sum to 1 over each categorical part {nvec}"
        raise ConfigurationError(explain("initial_action_probabilities", must, probabilities))
    return values
