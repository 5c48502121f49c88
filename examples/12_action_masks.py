"""Action masks: two pickers at a shelf of four boxes; a box that is gone cannot be picked. Under a minute."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft import HASAC, make_vec
from masoft.testing import check_env


class Shelf(ParallelEnv):
    """Both pick at once until fewer than two boxes are left; they are worth 4, 3, 2 and 1, and each pays once."""

    metadata = {"name": "shelf", "has_deaths": False, "team_reward": "shared"}
    possible_agents = ["left", "right"]

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Box(0, 1, (4,))

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Discrete(4)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.agents, self._full = [*self.possible_agents], np.ones(4, np.int8)
        return self._observe(self.agents)

    def step(self, actions: dict[str, Any]) -> Any:
        everyone, picked = self.agents, {int(action) for action in actions.values()}
        assert all(self._full[k] for k in picked), "a forbidden box"
        self._full[[*picked]] = 0
        reward, is_over = float(sum(4 - k for k in picked)), bool(self._full.sum() < 2)
        self.agents = [] if is_over else everyone
        observations, infos = self._observe(everyone)
        return observations, *(dict.fromkeys(everyone, value) for value in (reward, is_over, False)), infos

    def _observe(self, agents: list[str]) -> Any:
        mask = self._full if self._full.any() else np.ones(4, np.int8)  # one choice has to be legal, even at the end
        seen = {agent: self._full.astype(np.float32) for agent in agents}
        return seen, {agent: {"action_mask": mask.copy()} for agent in agents}


def main(steps: int = 3_000) -> float:
    """Train, then play one episode with masks passed on; returns the mean return (the best is 10)."""
    check_env(Shelf())
    settings = dict(learning_starts=100, gradient_steps=1, ent_coef=0.1, policy_kwargs=dict(net_arch=[32]), seed=0)
    model = HASAC(make_vec(Shelf, n_envs=4, seed=0), **settings).learn(total_timesteps=steps)
    observations, infos = (world := Shelf()).reset(seed=1)
    while world.agents:
        masks = {agent: info["action_mask"] for agent, info in infos.items()}
        observations, _, _, _, infos = world.step(model.predict(observations, action_masks=masks, deterministic=True))
    return model.score(make_vec(Shelf, seed=1), n_eval_episodes=5)


if __name__ == "__main__":
    print(main())
