"""What a football agent sees, and what dribbling forward pays: arithmetic on the engine's raw observations.

Reference:
    Kurach et al., Google Research Football: A Novel Reinforcement Learning Environment, 2020, sections 2.2 and 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAYERS, GAME_MODES = 11, 7
SHARED_SIZE = 104
"""Numbers that all agents of a team see alike: 88 of players, 3 + 3 of the ball, 3 of its owner, 7 of the game."""

OBSERVATION_SIZE = SHARED_SIZE + PLAYERS
"""115: the shared numbers, and which player the agent is."""

_BEFORE_AGENT = SHARED_SIZE - GAME_MODES
"""The agent's own part stands between the ball's owner and the game mode."""

_BLOCKS = ("left_team", "left_team_direction", "right_team", "right_team_direction")


def shared_features(raw: Mapping[str, Any]) -> NDArray[np.float32]:
    """The part of the observation that does not depend on the agent, (104,).

    Positions and directions of the left and of the right team's eleven players (22 numbers each, -1 for players that
    the scenario does not have), position and direction of the ball, who owns it (nobody, left, right), game mode.

    Args:
        raw: the engine's observation; its own team plays from left to right.
    """
    features = np.zeros(SHARED_SIZE, np.float32)
    players = features[: 4 * 2 * PLAYERS]
    players[:] = -1.0
    for block, name in zip(players.reshape(4, 2 * PLAYERS), _BLOCKS, strict=True):
        numbers = np.asarray(raw[name], np.float32).reshape(-1)
        block[: len(numbers)] = numbers
    features[88:91], features[91:94] = raw["ball"], raw["ball_direction"]
    features[95 + raw["ball_owned_team"]] = 1.0
    features[_BEFORE_AGENT + raw["game_mode"]] = 1.0
    return features


def joint_state(raw: Mapping[str, Any], players: Sequence[int]) -> NDArray[np.float32]:
    """The shared part once, then each agent's own: (104 + 11 n_agents,) = 115 + 11 (n_agents - 1), Section H.2.4.

    Args:
        raw: the engine's observation.
        players: for each agent the number of the player that it moves; -1: none at present.
    """
    own = np.zeros((len(players), PLAYERS), np.float32)
    for row, player in zip(own, players, strict=True):
        if player >= 0:
            row[player] = 1.0
    return np.concatenate([shared_features(raw), own.reshape(-1)])


def indices_of(agent: int) -> tuple[int, ...]:
    """Which entries of `joint_state` one agent sees, in the order of the usual 115 numbers."""
    start = SHARED_SIZE + PLAYERS * agent
    return (*range(_BEFORE_AGENT), *range(start, start + PLAYERS), *range(_BEFORE_AGENT, SHARED_SIZE))


class CheckpointReward:
    """Pays an agent for bringing the ball towards the other goal: ten checkpoints, 0.1 each, once an episode.

    Checkpoint k (from 0) is passed when the agent's player owns the ball within 0.99 - k * 0.8 / 9 of the goal's
    centre (1, 0). A goal pays those that the agent has not passed.

    Args:
        n_agents: the team's size.
    """

    COUNT, REWARD, FIRST, SPAN = 10, 0.1, 0.99, 0.8

    def __init__(self, n_agents: int) -> None:
        self._passed = [0] * n_agents

    def start_episode(self) -> None:
        """Nobody has passed anything."""
        self._passed = [0] * len(self._passed)

    def collect(self, raw: Mapping[str, Any], players: Sequence[int], *, scored: bool) -> list[float]:
        """What each agent gets in this step.

        Args:
            raw: the engine's observation after the step.
            players: the agents' players, see `joint_state`.
            scored: whether the team has scored in this step.
        """
        return [self._collect(agent, player, raw, scored) for agent, player in enumerate(players)]

    def _collect(self, agent: int, player: int, raw: Mapping[str, Any], scored: bool) -> float:
        before = self._passed[agent]
        if scored:
            self._passed[agent] = self.COUNT
        elif raw["ball_owned_team"] == 0 and raw["ball_owned_player"] == player:
            distance = math.hypot(raw["ball"][0] - 1.0, raw["ball"][1])
            while self._passed[agent] < self.COUNT and distance <= self._threshold(self._passed[agent]):
                self._passed[agent] += 1
        return self.REWARD * (self._passed[agent] - before)

    def _threshold(self, checkpoint: int) -> float:
        return self.FIRST - self.SPAN / (self.COUNT - 1) * checkpoint
