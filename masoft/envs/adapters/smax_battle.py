"""A batch of SMAX battles as pure functions of JAX: one compiled call steps all, and restarts those that have ended.

Reference:
    Rutherford et al., JaxMARL: Multi-Agent RL Environments and Algorithms in JAX, 2024; ``jaxmarl``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from typing import Any, NamedTuple

from masoft.envs.adapters.jax_scene import Scene, load_jax
from masoft.errors import ConfigurationError, explain, nearest

PACKAGE_MAPS = (
    "3m", "2s3z", "25m", "3s5z", "8m", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z", "3s_vs_5z", "6h_vs_8z",
    "smacv2_5_units", "smacv2_10_units", "smacv2_20_units",
)  # fmt: skip
ZEALOT, ZERGLING = 3, 4
# Unit types, allies, enemies. Two maps of the paper that the package lacks, of the same units; the second is SMAC's
# "corridor" on the open field: its units, without the choke that gave the map its name.
OWN_MAPS = {
    "8m_vs_9m": ([0] * 17, 8, 9),
    "corridor_open": ([ZEALOT] * 6 + [ZERGLING] * 24, 6, 24),
}
MAPS = (*PACKAGE_MAPS, *OWN_MAPS)

RESTARTED_AT_ONCE = 4


class View(NamedTuple):
    """What the teams see of their battles.

    Args:
        observations: (n, agents, size), zeros for the dead.
        state: (n, size), all entries in [0, 1].
        masks: (n, agents, choices) uint8, ones for the dead.
        active: (n, agents) uint8; zeros once a battle is decided.
    """

    observations: Any
    state: Any
    masks: Any
    active: Any


class Outcome(NamedTuple):
    """What a step brought, (n,) each.

    Args:
        rewards: the same for all agents.
        terminated: one side is dead.
        truncated: the time is up, and both sides live.
        won: the enemies are dead, and an ally lives.
    """

    rewards: Any
    terminated: Any
    truncated: Any
    won: Any


class Battle:
    """One map's compiled functions, for any number n of battles at once (each n is compiled once).

    ``start(keys)`` gives (scene, view); ``step(scene, actions)`` with actions (n, agents) gives (scene, view, outcome);
    ``step_on(scene, actions)`` gives (scene, view, outcome, final view), where battles that have ended have begun anew.

    Args:
        map_name: one of `MAPS`.
        options: of jaxmarl's ``HeuristicEnemySMAX``, for example ``max_steps`` or ``attack_mode``.

    Raises:
        ConfigurationError: an unknown map or option.
    """

    def __init__(self, map_name: str, options: dict[str, Any]) -> None:
        if map_name not in MAPS:
            raise ConfigurationError(explain("map_name", "a known map", map_name, nearest(map_name, MAPS)))
        self._jax = load_jax()
        self.game = _game(map_name, options)
        self.n_agents = self.game.num_allies
        self.n_choices = self.game.num_ally_actions
        self.observation_size = self.game.obs_size
        self.state_size = self.game.state_size
        self.start = self._jax.jit(self._start)
        self.step = self._jax.jit(self._step)
        self.step_on = self._jax.jit(self._step_on)

    def _start(self, keys: Any) -> tuple[Scene, View]:
        def one(key: Any) -> tuple[Scene, View]:
            key, now = self._jax.random.split(key)
            observations, state = self.game.reset(now)
            return Scene(key, state), self._view(observations, state, False)

        begun: tuple[Scene, View] = self._jax.vmap(one)(keys)
        return begun

    def _step(self, scene: Scene, actions: Any) -> tuple[Scene, View, Outcome]:
        stepped: tuple[Scene, View, Outcome] = self._jax.vmap(self._step_one)(scene, actions)
        return stepped

    def _step_one(self, scene: Scene, actions: Any) -> tuple[Scene, View, Outcome]:
        key, now = self._jax.random.split(scene.keys)
        chosen = dict(zip(self.game.agents, actions, strict=True))
        # step_env, since step would start the next episode unseen and so lose the last observation
        observations, state, rewards, dones, _ = self.game.step_env(now, scene.state, chosen)
        alive = state.state.unit_alive
        allies, enemies = alive[: self.n_agents].any(), alive[self.n_agents :].any()
        terminated = ~(allies & enemies)
        outcome = Outcome(rewards[self.game.agents[0]], terminated, dones["__all__"] & ~terminated, allies & ~enemies)
        return Scene(key, state), self._view(observations, state, terminated), outcome

    def _step_on(self, scene: Scene, actions: Any) -> tuple[Scene, View, Outcome, View]:
        scene, final, outcome = self._step(scene, actions)
        n, lax, tree = len(actions), self._jax.lax, self._jax.tree

        def restart_some(carry: Any) -> Any:
            scene, view, over = carry
            # Where fewer are left, the index n fills up: nothing lies there, so nothing is written there.
            chosen = self._jax.numpy.nonzero(over, size=min(RESTARTED_AT_ONCE, n), fill_value=n)[0]
            fresh = self._start(scene.keys.at[chosen].get(mode="clip"))
            put = tree.map(lambda old, new: old.at[chosen].set(new, mode="drop"), (scene, view), fresh)
            return (*put, over.at[chosen].set(False, mode="drop"))

        over = outcome.terminated | outcome.truncated
        scene, view, _ = lax.while_loop(lambda carry: carry[2].any(), restart_some, (scene, final, over))
        return scene, view, outcome, final

    def _view(self, observations: dict[str, Any], state: Any, is_decided: Any) -> View:
        """One battle as its team sees it."""
        numpy = self._jax.numpy
        agents = self.game.agents
        legal = self.game.get_avail_actions(state)
        active = state.state.unit_alive[: self.n_agents] & ~numpy.asarray(is_decided)
        masks = numpy.stack([legal[agent] for agent in agents])
        return View(
            numpy.clip(numpy.stack([observations[agent] for agent in agents]), -1, 1),  # rounding
            self._normalised(observations["world_state"], state.state.unit_types),
            numpy.where(active[:, None], masks, 1).astype(numpy.uint8),
            active.astype(numpy.uint8),
        )

    def _normalised(self, world: Any, types: Any) -> Any:
        """jaxmarl's world state with positions in map widths, cooldowns in their full lengths, and types in [0, 1]."""
        game, numpy = self.game, self._jax.numpy
        n_units = len(types)
        units = world[: -2 * n_units].reshape(n_units, -1)
        positions = units[:, 1:3] / numpy.array([game.map_width, game.map_height])
        cooldowns = units[:, 3] / game.unit_type_weapon_cooldowns[types]
        units = units.at[:, 1:3].set(positions).at[:, 3].set(cooldowns)
        labels = numpy.concatenate([world[-2 * n_units : -n_units], types / (game.unit_type_bits - 1)])
        return numpy.clip(numpy.concatenate([units.reshape(-1), labels]), 0, 1).astype(numpy.float32)


@functools.lru_cache(maxsize=8)
def shared_battle(map_name: str, options: tuple[tuple[str, Any], ...]) -> Battle:
    """The functions of a map, compiled once in a process: training and evaluation share them."""
    return Battle(map_name, dict(options))


def _game(map_name: str, options: dict[str, Any]) -> Any:
    with contextlib.redirect_stdout(sys.stdout):  # its import leaves another one in its place
        smax: Any = importlib.import_module("jaxmarl.environments.smax")
    if map_name in OWN_MAPS:
        types, n_allies, n_enemies = OWN_MAPS[map_name]
        unit_types = load_jax().numpy.array(types, dtype="uint8")
        smax.register_scenario(map_name, smax.Scenario(unit_types, n_allies, n_enemies, False, False))
    try:
        return smax.HeuristicEnemySMAX(scenario=smax.map_name_to_scenario(map_name), **options)
    except TypeError as error:
        must = "those of jaxmarl's HeuristicEnemySMAX and SMAX"
        raise ConfigurationError(explain(f"The options of smax/{map_name}", must, options, str(error))) from error
