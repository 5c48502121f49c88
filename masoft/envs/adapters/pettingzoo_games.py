"""PettingZoo's own families, SISL and Butterfly, by names without versions; pictures made small enough to learn from.

Reference:
    Gupta et al., Cooperative Multi-Agent Control Using Deep Reinforcement Learning, 2017; Terry et al., PettingZoo,
    2021; ``pettingzoo.sisl``, ``pettingzoo.butterfly``.
"""

from __future__ import annotations

import importlib
from typing import Any


def make_sisl(game: str, **kwargs: Any) -> Any:
    """Walkers that carry a beam, or pursuers of evaders, as PettingZoo has them.

    Args:
        game: ``"multiwalker"``, ``"pursuit"`` or, up to PettingZoo 1.25, ``"waterworld"``.
        **kwargs: PettingZoo's own, for example ``n_walkers``, ``shared_reward``, ``max_cycles``.
    """
    return module_of("pettingzoo.sisl", game).parallel_env(**kwargs)


def make_butterfly(game: str, *, picture: int | None = 84, frames: int = 4, **kwargs: Any) -> Any:
    """Pong played together, pistons that move a ball, or knights and archers, as PettingZoo has them.

    What agents see as a picture becomes ``frames`` grey ones of ``picture`` times ``picture`` points, by SuperSuit; a
    picture as it is has 160,000 to 400,000 bytes, too much for a replay buffer.

    Args:
        game: ``"cooperative_pong"``, ``"pistonball"`` or ``"knights_archers_zombies"``.
        picture: height and width; None leaves pictures alone.
        frames: pictures in a row, so that motion can be seen.
        **kwargs: PettingZoo's own.
    """
    if game == "cooperative_pong":
        # PettingZoo draws the court in any case, and warns where nobody has asked for it.
        kwargs.setdefault("render_mode", "rgb_array")
    env = module_of("pettingzoo.butterfly", game).parallel_env(**kwargs)
    shape = env.observation_space(env.possible_agents[0]).shape
    if len(shape) != 3 or picture is None:
        return env
    import supersuit

    name = env.metadata["name"]
    env = supersuit.resize_v1(supersuit.color_reduction_v0(env, "full"), picture, picture)
    env = supersuit.frame_stack_v1(env, frames)
    env.metadata = {**env.metadata, "name": name, "state": "observations"}  # the state is a picture of the whole screen
    return env


def module_of(package: str, game: str) -> Any:
    """Where a package defines a game; there its name has no version, and PettingZoo warns of no old way to make it."""
    return importlib.import_module(f"{package}.{game}.{game}")
