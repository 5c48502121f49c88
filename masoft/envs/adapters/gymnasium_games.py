"""Level-based foraging and robotic warehouses: gymnasium's convention for teams, with time limits that are ones.

Reference:
    Papoudakis et al., Benchmarking Multi-Agent Deep Reinforcement Learning Algorithms in Cooperative Tasks, 2021;
    ``lbforaging``, ``rware``.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import gymnasium

from masoft.envs.gymnasium_team import GymnasiumTeam
from masoft.errors import ConfigurationError, explain


class TimedTeam(GymnasiumTeam):
    """A team whose simulator calls the end of its time a termination; here it is a truncation, and is bootstrapped.

    Nothing in what these agents see tells the time, so that a last step whose value is taken for zero would be a
    wrong target. Rewards and observations stay as they are.

    Args:
        env: of `lbforaging` or `rware`.
        name: for messages.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self.metadata = {**self.metadata, "name": name, "has_masks": False, "team_reward": "sum"}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode.

        lbforaging keeps places free at which players stood when the last episode ended, so that its episodes depend on
        more than their seeds; with a seed those places are forgotten.
        """
        if seed is not None:
            for player in getattr(self.env.unwrapped, "players", ()):
                player.position = None
        return super().reset(seed=seed, options=options)

    def step(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One step of all agents."""
        seen, rewards, terminated, truncated, infos = super().step(actions)
        if any(terminated.values()) and not self._is_finished():
            terminated, truncated = dict.fromkeys(terminated, False), dict.fromkeys(truncated, True)
        return seen, rewards, terminated, truncated, infos

    def _is_finished(self) -> bool:
        """Whether nothing is left to do: all food is eaten. A warehouse is never finished."""
        field = getattr(self.env.unwrapped, "field", None)
        return field is not None and not field.any()


def make_lbf(task: str, **kwargs: Any) -> TimedTeam:
    """Foraging: players of different levels load food together; all food of an episode pays 1 in sum.

    The team's reward is the sum of the players'. An episode has at most 50 steps.

    Args:
        task: lbforaging's name without its version, ``"Foraging-8x8-2p-3f"``; those with ``-coop`` too. Any number of
            pieces of food, where the package has names for four at most.
        **kwargs: lbforaging's own, for example ``sight``, ``max_episode_steps``, ``penalty``.
    """
    food = re.search(r"(?<=-)\d+(?=f)", task)
    if food is not None:
        kwargs = {"max_num_food": int(food[0]), **kwargs}
    one_piece = re.sub(r"-\d+f", "-1f", f"{task}-v3")
    return TimedTeam(_made("lbforaging", f"{task}-v3", kwargs, like=one_piece), f"lbf/{task}")


def make_rware(task: str, **kwargs: Any) -> TimedTeam:
    """Robots bring requested shelves; each that arrives pays 1.

    The team's reward is the sum of the robots'. An episode has 500 steps.

    Args:
        task: rware's name without its version, ``"tiny-2ag"``, ``"tiny-4ag-easy"``.
        **kwargs: rware's own, for example ``max_steps``, ``sensor_range``, ``reward_type``.
    """
    return TimedTeam(_made("rware", f"rware-{task}-v2", kwargs), f"rware/{task}")


def _made(package: str, id: str, kwargs: dict[str, Any], like: str = "") -> gymnasium.Env[Any, Any]:
    """An environment of a package that registers its ids when it is imported.

    Args:
        package: its name.
        id: what was asked for.
        kwargs: of the environment.
        like: the registered id from which the arguments make it; empty: ``id``.
    """
    importlib.import_module(package)
    registered = like or id
    if registered not in gymnasium.registry:
        raise ConfigurationError(explain("The task", f"one that {package} registers", id))
    # gymnasium's own checker warns of lists of rewards
    return gymnasium.make(registered, disable_env_checker=True, **kwargs)
