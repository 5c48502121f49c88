"""Google Research Football's engine behind four methods, without gym.

gfootball's wrappers are written for gym's interface of 2019 and fail with what pip installs today, so that only the
core below them is used: it takes a list of actions and gives one dict of raw numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest

BUILD_COMMAND = "python -m masoft.envs.adapters.football_build"
Raw = Mapping[str, Any]


class Engine(Protocol):
    """A football game that a team plays from left to right.

    Its raw observation is gfootball's: positions, directions, ball, score, and ``left_agent_controlled_player``, the
    number of the player that each agent moves (-1: none at present).
    """

    n_agents: int
    n_actions: int

    def reset(self, seed: int) -> Raw:
        """Start an episode that the seed decides."""
        ...

    def step(self, actions: Sequence[int]) -> tuple[Raw, int, bool]:
        """Move all agents: what they see, the goals' difference of this step (-1, 0, 1), whether the game is over."""
        ...

    def render(self) -> NDArray[np.uint8]:
        """A picture, (height, width, 3)."""
        ...

    def close(self) -> None:
        """Release the game."""
        ...


class FootballEngine:
    """gfootball's own core.

    Args:
        level: the scenario's name in gfootball, for example ``"academy_corner"``.
        n_agents: how many players of the left team the agents move.

    Raises:
        ConfigurationError: no such scenario, or more agents than it has players.
    """

    def __init__(self, level: str, n_agents: int) -> None:
        core = import_core()
        known = core.scenario_builder.all_scenarios()
        if level not in known:  # gfootball would end the process
            raise ConfigurationError(explain("The football scenario", "a known one", level, nearest(level, known)))
        self.n_agents = n_agents
        self._config = core.config.Config(
            {
                "level": level,
                "players": [f"agent:left_players={n_agents},right_players=0"],
                "game_engine_random_seed": 0,
                "reverse_team_processing": False,
                "dump_full_episodes": False,
                "dump_scores": False,
                "write_video": False,
            }
        )
        available = sum(player.controllable for player in self._config.ScenarioConfig().left_team)
        if not 1 <= n_agents <= available:  # the engine would abort the process
            raise ConfigurationError(explain(f"n_agents of {level!r}", f"from 1 to {available}", n_agents))
        self.n_actions = len(core.football_action_set.get_action_set(self._config))
        self._core = core.football_env_core.FootballEnvCore(self._config)

    def reset(self, seed: int) -> Raw:
        """See `Engine`."""
        self._config["game_engine_random_seed"] = seed
        self._config["reverse_team_processing"] = bool(seed % 2)  # which team moves first, as gfootball draws it
        self._core.reset()
        raw: Raw = self._core.observation()
        return raw

    def step(self, actions: Sequence[int]) -> tuple[Raw, int, bool]:
        """See `Engine`."""
        raw, score, is_over, _ = self._core.step([int(action) for action in actions])
        return raw, int(score), bool(is_over)

    def render(self) -> NDArray[np.uint8]:
        """See `Engine`; the first call starts the renderer, which needs OpenGL."""
        self._core.render("human")
        frame: NDArray[np.uint8] = self._core.observation()["frame"][..., ::-1]  # the engine's pixels are BGR
        return frame

    def close(self) -> None:
        """See `Engine`."""
        self._core.close()


def import_core() -> types.SimpleNamespace:
    """gfootball's modules that drive the engine.

    gfootball imports ``gym`` and ``cv2`` at the top of files of which nothing here is used. Where they are not
    installed, ``gymnasium`` and an empty module stand in for them, during this import only.

    Raises:
        MissingDependencyError: gfootball, its engine, or a library of the engine is absent.
    """
    names = ("config", "football_action_set", "football_env_core", "scenario_builder")
    try:
        with _stand_ins():
            modules = {name: importlib.import_module(f"gfootball.env.{name}") for name in names}
    except ImportError as error:
        must, cure = "built and importable", f"Run: {BUILD_COMMAND}"
        raise MissingDependencyError(explain("The football engine", must, str(error), cure)) from error
    return types.SimpleNamespace(**modules)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Something importable under the names ``gym`` and ``cv2`` where there is nothing else; taken away afterwards."""
    import gymnasium

    added: dict[str, types.ModuleType] = {}
    if not _is_importable("gym"):
        registration = types.ModuleType("gym.envs.registration")
        registration.register = lambda **_: None  # type: ignore[attr-defined]  # gymnasium's registry stays as it is
        added |= {"gym": gymnasium, "gym.envs": types.ModuleType("gym.envs"), "gym.envs.registration": registration}
    if not _is_importable("cv2"):
        added["cv2"] = types.ModuleType("cv2")
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)


def _is_importable(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None
