"""Memory for partially observed tasks: a GRU or an LSTM that forgets where an episode starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masoft.fast.recording import is_recordable
from masoft.networks.torso import MemoryTorso, Sequences, Torso, first_steps


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
        _start(self.gru)

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
        if is_recordable():
            cuts = [*range(steps + 1)]
        elif steps > 1:
            cuts[1:1] = ((starts[1:] > 0).any(1).nonzero().flatten() + 1).tolist()
        pieces = []
        for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
            piece, _ = self.gru(inputs[begin:end], (hidden * kept[begin]).unsqueeze(0).contiguous())
            hidden = piece[-1]
            pieces.append(piece)
        remembered = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        outputs: Tensor = self.norm(remembered.view(steps * n, -1))
        return outputs, remembered


class GruTorso(MemoryTorso):
    """A GRU behind another torso.

    Args:
        inner: what the features are that it remembers.
        hidden_size: length of what is remembered.
    """

    def __init__(self, inner: Torso, hidden_size: int) -> None:
        super().__init__()
        self.inner = inner
        self.memory = Memory(inner.n_features, hidden_size)
        self.n_features = self.memory_size = hidden_size

    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        features, remembered = self.along(observation, Sequences(torch.zeros_like(memory[:, 0])[None], memory))
        return features, remembered[-1]

    def along(self, observation: Tensor, sequences: Sequences | None = None) -> tuple[Tensor, Tensor]:
        if sequences is None:
            sequences = first_steps(len(observation), self, observation.device)
        features: tuple[Tensor, Tensor] = self.memory(self.inner(observation), sequences)
        return features


class LstmTorso(MemoryTorso):
    """An LSTM and LayerNorm behind another torso; its output and its cell are what is remembered.

    Args:
        inner: what the features are that it remembers.
        hidden_size: length of the output, and of the cell.
    """

    def __init__(self, inner: Torso, hidden_size: int) -> None:
        super().__init__()
        self.inner = inner
        self.lstm = nn.LSTM(inner.n_features, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.n_features, self.memory_size = hidden_size, 2 * hidden_size
        _start(self.lstm)

    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self._step(self.inner(observation), memory)

    def along(self, observation: Tensor, sequences: Sequences | None = None) -> tuple[Tensor, Tensor]:
        """Features of all steps at once, then step by step, since the cell is remembered after each."""
        if sequences is None:
            sequences = first_steps(len(observation), self, observation.device)
        memory, features, remembered = sequences.hidden, [], []
        seen = self.inner(observation).chunk(len(sequences.starts))
        for start, now in zip(sequences.starts, seen, strict=True):
            feature, memory = self._step(now, torch.where(start.unsqueeze(-1) > 0, 0.0, memory))
            features.append(feature)
            remembered.append(memory)
        return torch.cat(features), torch.stack(remembered)

    def _step(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        output, cell = (part.unsqueeze(0).contiguous() for part in memory.chunk(2, dim=-1))
        _, (output, cell) = self.lstm(features.unsqueeze(0), (output, cell))
        return self.norm(output[0]), torch.cat([output[0], cell[0]], dim=-1)


def _start(layer: nn.RNNBase) -> None:
    """Orthogonal weights, no biases."""
    for name, parameter in layer.named_parameters():
        if "weight" in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
