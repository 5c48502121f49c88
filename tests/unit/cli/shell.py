"""The command line in this process, and an environment as a user writes one."""

from __future__ import annotations

from masoft.cli import main

SMALL = ("--learning-starts", "16", "--batch-size", "8", "--policy-kwargs", '{"net_arch": [8]}', "--no-progress")
MODULE = '''
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Line(ParallelEnv):
    """Two agents on a line, paid for standing together; draws itself."""

    metadata = {"name": "line"}
    possible_agents = ["left", "right"]

    def __init__(self, length=5, render_mode=None):
        self.length, self.render_mode = length, render_mode

    def observation_space(self, agent):
        return spaces.Box(-10, 10, (2,))

    def action_space(self, agent):
        return spaces.Box(-1, 1, (1,))

    def reset(self, seed=None, options=None):
        self.agents, self.steps = list(self.possible_agents), 0
        self.at = np.random.default_rng(seed).uniform(-1, 1, 2)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.at += [float(actions[agent][0]) for agent in self.possible_agents]
        self.steps += 1
        reward, over = -abs(self.at[0] - self.at[1]), self.steps >= self.length
        agents = self.agents
        self.agents = [] if over else agents
        return (self._seen(), dict.fromkeys(agents, reward), dict.fromkeys(agents, False),
                dict.fromkeys(agents, over), {agent: {} for agent in agents})

    def _seen(self):
        return {agent: np.clip(self.at, -10, 10).astype(np.float32) for agent in self.possible_agents}

    def render(self):
        picture = np.zeros((40, 80, 3), np.uint8)
        for i, at in enumerate(self.at):
            picture[:, int(np.clip(40 + 4 * at, 0, 79)), i] = 255
        return picture


def short_line(render_mode=None):
    return Line(3, render_mode)
'''


def run(*args: object) -> int:
    """Exit status of one command."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as done:
        return int(done.code or 0)
    return 0
