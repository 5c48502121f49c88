"""Random games for the exact tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from masoft.tabular import MarkovGame

# The paper's matrix game (Figure 1a) and the policies that both agents begin with (Figure 1b).
PAYOFF = [[5.0, -20.0, -20.0], [-20.0, 10.0, -20.0], [-20.0, -20.0, 20.0]]
START = [[0.6, 0.2, 0.2], [0.6, 0.2, 0.2]]


@dataclass(frozen=True)
class Drawn:
    """A random game and what goes with it; its repr is enough to build it again."""

    n_actions: tuple[int, ...]
    n_states: int
    gamma: float
    ent_coef: float
    seed: int
    legal_share: float = 0.8

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator, other than the game's own."""
        return np.random.default_rng([self.seed, 1])

    def game(self) -> MarkovGame:
        """The game."""
        rng = np.random.default_rng([self.seed, 0])
        return MarkovGame.random(self.n_states, self.n_actions, self.gamma, rng, self.legal_share)


def drawn_games(max_agents: int = 4, max_states: int = 8, max_actions: int = 5) -> st.SearchStrategy[Drawn]:
    """2 to 4 agents, 1 to 8 states, 2 to 5 actions of unequal number, some illegal, gamma up to 0.99."""
    return st.builds(
        Drawn,
        n_actions=st.lists(st.integers(2, max_actions), min_size=2, max_size=max_agents).map(tuple),
        n_states=st.integers(1, max_states),
        gamma=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
        ent_coef=st.sampled_from([0.2, 0.5, 1.0, 2.0, 5.0]),
        seed=st.integers(0, 2**32 - 1),
    )
