"""Draw two flights of the light aircraft game.

Run from the repository's root: ``python docs/scripts/_lag_flights.py [folder]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from masoft.envs.lag import AirCombat
from masoft.envs.lag.geometry import bearing
from masoft.envs.lag.scenario import HEADINGS

OUT = Path(__file__).parents[1] / "assets" / "lag"


def straight(env: AirCombat, agent: str) -> list[int]:
    """Hold height, course and speed."""
    return [1, 2, 1]


def chase(env: AirCombat, agent: str) -> list[int]:
    """Turn to the opponent of the same number, slower in the turn, and keep the height."""
    k = env.possible_agents.index(agent)
    own, enemy = env.aircraft[k].state, env.aircraft[k + len(env.possible_agents)].state
    turn = bearing(own, enemy)
    return [1, int(np.argmin(np.abs(np.array(HEADINGS) - turn))), 1 if abs(turn) < 0.5 else 2]


def fly(policy: Callable[[AirCombat, str], list[int]]) -> tuple[AirCombat, float]:
    """The environment after an episode, and the team's return."""
    env, total = AirCombat("2v2"), 0.0
    env.reset()
    while env.agents:
        _, rewards, *_ = env.step({agent: policy(env, agent) for agent in env.agents})
        total += max(rewards.values())
    return env, total


def main(folder: Path) -> None:
    """Draw and print."""
    folder.mkdir(parents=True, exist_ok=True)
    for policy in (straight, chase):
        env, total = fly(policy)
        env.plot(folder / f"{policy.__name__}.png")
        print(f"{policy.__name__}: return {total:.1f}, crashes {env.crashes}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
