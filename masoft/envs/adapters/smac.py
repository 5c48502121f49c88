"""The StarCraft Multi-Agent Challenge, first and second version: oxwhirl's packages as PettingZoo environments.

Reference:
    Samvelyan et al., The StarCraft Multi-Agent Challenge, 2019; Ellis et al., SMACv2: An Improved Benchmark for
    Cooperative Multi-Agent Reinforcement Learning, 2023; the paper's Tables 1, 13 and 14.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from masoft.envs.adapters.smac_game import SMAC_COMMAND, SMACV2_COMMAND, import_class
from masoft.envs.adapters.smac_team import StarCraftTeam
from masoft.errors import ConfigurationError, explain, nearest

RACES: dict[str, dict[str, Any]] = {
    "protoss": {"unit_types": ["stalker", "zealot", "colossus"], "weights": [0.45, 0.45, 0.1]},
    "terran": {
        "unit_types": ["marine", "marauder", "medivac"],
        "weights": [0.45, 0.45, 0.1],
        "exception_unit_types": ["medivac"],
    },
    "zerg": {
        "unit_types": ["zergling", "baneling", "hydralisk"],
        "weights": [0.45, 0.1, 0.45],
        "exception_unit_types": ["baneling"],
    },
}
"""What SMACv2's teams are drawn from; a team is never made of exceptions alone."""

SMACV2_DEFAULTS: dict[str, Any] = {
    "conic_fov": False,
    "use_unit_ranges": True,
    "min_attack_range": 2,
    "obs_own_pos": True,
    "num_fov_actions": 12,
}
"""The benchmark's settings where they are not its constructor's own."""


def make_smac(map_name: str, *, state_type: str = "EP", **kwargs: Any) -> StarCraftTeam:
    """A map of the first version.

    Args:
        map_name: for example ``"3s5z"``.
        state_type: see `StarCraftTeam`.
        **kwargs: of ``smac.env.StarCraft2Env``, for example ``difficulty`` or ``obs_last_action``.

    Raises:
        MissingDependencyError: oxwhirl's package is absent; a missing game is told by the first reset.
    """
    game = import_class("smac.env", "StarCraft2Env", SMAC_COMMAND)
    settings = {**_refuse_own(kwargs), "map_name": map_name, "continuing_episode": True}
    return StarCraftTeam(lambda seed: game(seed=seed, **settings), name=f"smac/{map_name}", state_type=state_type)


def make_smacv2(race: str, n_units: int, n_enemies: int, *, state_type: str = "EP", **kwargs: Any) -> StarCraftTeam:
    """A task of the second version: teams and starting positions are drawn anew for each battle.

    Args:
        race: one of `RACES`.
        n_units, n_enemies: sizes of the two sides.
        state_type: see `StarCraftTeam`.
        **kwargs: of ``smacv2``'s ``StarCraft2Env``; ``capability_config`` replaces all of it.

    Raises:
        ConfigurationError: an unknown race or a size below 1.
        MissingDependencyError: oxwhirl's package is absent; a missing game is told by the first reset.
    """
    if race not in RACES:
        raise ConfigurationError(explain("race", "a known one", race, nearest(race, RACES)))
    for name, size in (("n_units", n_units), ("n_enemies", n_enemies)):
        if not isinstance(size, int) or size < 1:
            raise ConfigurationError(explain(name, "an integer >= 1", size))
    game = import_class("smacv2.env.starcraft2.wrapper", "StarCraftCapabilityEnvWrapper", SMACV2_COMMAND)
    settings = {
        **SMACV2_DEFAULTS,
        "capability_config": capability_config(race, n_units, n_enemies),
        **_refuse_own(kwargs),
        "map_name": f"10gen_{race}",
        "continuing_episode": True,
    }
    return StarCraftTeam(
        lambda seed: game(seed=seed, **deepcopy(settings)),  # the package writes into its capability_config
        name=f"smacv2/{race}_{n_units}_vs_{n_enemies}",
        state_type=state_type,
    )


def capability_config(race: str, n_units: int, n_enemies: int) -> dict[str, Any]:
    """The benchmark's distribution of teams and starting positions, in the package's own terms."""
    return {
        "n_units": n_units,
        "n_enemies": n_enemies,
        "team_gen": {"dist_type": "weighted_teams", "observe": True, **deepcopy(RACES[race])},
        "start_positions": {"dist_type": "surrounded_and_reflect", "p": 0.5, "map_x": 32, "map_y": 32},
    }


def _refuse_own(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The package's arguments without those that the adapter needs itself."""
    if "seed" in kwargs:
        raise ConfigurationError(explain("seed", "given to reset", kwargs["seed"], "Write env.reset(seed=...)."))
    if not kwargs.get("continuing_episode", True):
        cure = "Leave it out: it only makes the package say that a battle ran out of time."
        raise ConfigurationError(explain("continuing_episode", "True", False, cure))
    return kwargs
