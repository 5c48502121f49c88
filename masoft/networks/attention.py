"""A torso for things in any order: self-attention over the tokens of an observation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain
from masoft.networks.torso import Torso
from masoft.spec import AgentSpec


class AttentionBlock(nn.Module):
    """Self-attention and two layers, each behind LayerNorm and with a shortcut around it.

    PyTorch's own layer takes a way at rest that no ONNX file can hold; attention without biases of its inputs does not.

    Args:
        width: of a token.
        n_heads: heads of the attention.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, n_heads, bias=False, batch_first=True)
        self.layers = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, n_tokens, width) to the same."""
        normed = self.before_attention(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        changed: Tensor = tokens + self.layers(self.before_layers(tokens))
        return changed


class AttentionTorso(Torso):
    """Tokens attend to each other, and their mean is the features: it does not matter in which order things are seen.

    Args:
        agent: whose observations are tokens (n_tokens, size); or vectors that ``token_size`` divides.
        width: of each token inside, and of the features; a multiple of ``n_heads``.
        n_heads: heads of the attention.
        n_layers: blocks of attention and a layer, each with LayerNorm before and a shortcut around it.
        token_size: length of a token where observations are vectors; None: each vector is one token.

    Reference:
        Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(
        self, agent: AgentSpec, width: int = 64, n_heads: int = 4, n_layers: int = 1, token_size: int | None = None
    ) -> None:
        super().__init__()
        shape = agent.observation_shape
        self.token_size = shape[-1] if token_size is None else token_size
        if len(shape) > 2 or math.prod(shape) % self.token_size:
            must = f"tokens, or vectors in parts of token_size = {self.token_size}"
            raise ConfigurationError(explain(f"The observation shape of agent {agent.name!r}", must, shape))
        if width % n_heads:
            raise ConfigurationError(explain("width of AttentionTorso", f"a multiple of n_heads = {n_heads}", width))
        self.n_features, self.n_tokens = width, math.prod(shape) // self.token_size
        self.embed = nn.Linear(self.token_size, width)
        self.blocks = nn.ModuleList([AttentionBlock(width, n_heads) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, observation: Tensor) -> Tensor:
        tokens = torch.relu(self.embed(observation.float().reshape(-1, self.n_tokens, self.token_size)))
        for block in self.blocks:
            tokens = block(tokens)
        features: Tensor = self.norm(tokens.mean(dim=1))
        return features
