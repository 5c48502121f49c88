"""The multi-agent particle environments, as fully cooperative teams.

Reference:
    Lowe et al., Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments, 2017; ``mpe2``.
"""

from __future__ import annotations

import importlib
from typing import Any

SCENARIOS = ("simple_spread_v3", "simple_reference_v3", "simple_speaker_listener_v4")


def make_mpe(scenario: str, **kwargs: Any) -> Any:
    """A particle environment with what a team needs to know declared.

    The team's reward is the sum of the agents' (Section H.2.5); the state is their observations in a row, so it is
    not stored a second time; an episode lasts ``max_cycles`` (25) steps and ends by truncation.

    Args:
        scenario: one of `SCENARIOS`.
        **kwargs: mpe2's own, for example ``continuous_actions=True`` (Boxes from 0 to 1, used over their whole
            range), ``N``, ``local_ratio``, ``max_cycles``, ``render_mode``.
    """
    env = importlib.import_module(f"mpe2.{scenario}").parallel_env(**kwargs)
    declared = {"has_deaths": False, "has_masks": False, "team_reward": "sum", "state_is_observations": True}
    env.metadata = {**env.metadata, **declared}
    env.unwrapped.metadata = {**env.unwrapped.metadata, **declared}  # where wrappers that drop metadata are looked past
    return env
