"""Memory for partially observed tasks: a GRU that forgets where an episode starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sequences:
    """How the rows of a batch form sequences: row ``t * n + s`` is step t of sequence s.

    Args:
        starts: (steps, n), 1 where an episode starts with that step.
        hidden: (n, hidden_size), what was remembered before the first step.
    """

    starts: Tensor
    hidden: Tensor


class Memory(nn.Module):
    """One GRU layer followed by LayerNorm, over sequences of any number of episodes.

    Args:
        n_features: length of the feature vector at each step.
        hidden_size: length of what is remembered.
    """

    def __init__(self, n_features: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gru = nn.GRU(n_features, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        for name, parameter in self.gru.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """Run over the sequences.

        Args:
            features: (steps * n, n_features), rows as in `Sequences`.
            sequences: where episodes start, and what was remembered before.

        Returns:
            outputs (steps * n, hidden_size), and what is remembered after each step (steps, n, hidden_size).
        """
        starts, hidden = sequences.starts, sequences.hidden
        steps, n = starts.shape
        inputs = features.view(steps, n, -1)
        kept = (1 - starts.to(features.dtype)).unsqueeze(-1)
        # Between two starts of anybody, all steps are one call; a single step needs no look at the data.
        cuts = [0, steps]
        if steps > 1:
            cuts[1:1] = ((starts[1:] > 0).any(1).nonzero().flatten() + 1).tolist()
        pieces = []
        for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
            piece, _ = self.gru(inputs[begin:end], (hidden * kept[begin]).unsqueeze(0).contiguous())
            hidden = piece[-1]
            pieces.append(piece)
        remembered = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        outputs: Tensor = self.norm(remembered.view(steps * n, -1))
        return outputs, remembered
