"""Simulators that are batched by themselves: their own batched step beside masoft's VecEnv, at 64 environments.

Run: ``python -m benchmarks.batches [id ...]``, for example ``python -m benchmarks.batches smax/3m vmas/balance``.
Both are stepped in turn, with restarts of what has ended and with fresh legal actions, whose choice is not timed. The
middle one of several windows counts, so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from masoft.envs import make_vec, team_of

N_ENVS, WINDOWS, STEPS, LENGTH = 64, 20, 20, 100
DEFAULT = ("smax/3m", "smax/5m_vs_6m", "vmas/balance", "vmas/navigation", "vmas/transport")
Work = Callable[[], None]
Prepare = Callable[[], Work]


def choose(masks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Uniform legal choices, from (..., choices) to (...)."""
    chosen: np.ndarray = np.argmax(generator.random(masks.shape) * masks, -1)
    return chosen


def masoft_batch(id: str) -> Prepare:
    """Steps masoft's VecEnv."""
    vec_env, generator = make_vec(id, N_ENVS, seed=0), np.random.default_rng(0)
    team, space = team_of(vec_env), vec_env.action_space
    seen = vec_env.reset()

    def prepare() -> Work:
        if team.has_masks:
            actions = choose(seen["action_mask"].reshape(N_ENVS, team.n_agents, -1), generator)
        else:
            actions = generator.uniform(space.low, space.high, (N_ENVS, team.action_size)).astype(np.float32)

        def work() -> None:
            seen.update(vec_env.step(actions)[0])

        return work

    return prepare


def own_smax(map_name: str) -> Prepare:
    """Steps jaxmarl's environment: one compiled call of its restarting step, one of its masks."""
    from masoft.envs.adapters.jax_scene import load_jax
    from masoft.envs.adapters.smax_battle import shared_battle

    jax, game = load_jax(), shared_battle(map_name, ()).game
    step, legal = jax.jit(jax.vmap(game.step)), jax.jit(jax.vmap(game.get_avail_actions))
    keys = jax.jit(lambda key: jax.random.split(key, N_ENVS))
    split, generator = jax.jit(jax.random.split), np.random.default_rng(0)
    key = jax.random.PRNGKey(0)
    _, state = jax.jit(jax.vmap(game.reset))(keys(key))
    now: dict[str, Any] = {"key": key, "state": state, "masks": legal(state)}

    def prepare() -> Work:
        masks = np.stack([np.asarray(now["masks"][agent]) for agent in game.agents], 1)
        chosen = choose(masks, generator).astype(np.int32)
        actions = {agent: chosen[:, index] for index, agent in enumerate(game.agents)}

        def work() -> None:
            now["key"], key = split(now["key"])
            seen, now["state"], rewards, dones, _ = step(keys(key), now["state"], actions)
            now["masks"] = legal(now["state"])
            jax.block_until_ready((seen, rewards, dones, now["masks"]))

        return work

    return prepare


def own_vmas(scenario: str) -> Prepare:
    """Steps vmas's environment, and resets the worlds that have ended one by one, as its interface has it."""
    import vmas

    env, generator = (
        vmas.make_env(scenario, num_envs=N_ENVS, seed=0, terminated_truncated=True),
        np.random.default_rng(0),
    )
    ranges = [env.get_agent_action_space(agent) for agent in env.agents]
    elapsed = np.zeros(N_ENVS, int)

    def prepare() -> Work:
        drawn = [generator.uniform(s.low, s.high, (N_ENVS, *s.shape)).astype(np.float32) for s in ranges]

        def work() -> None:
            terminated = env.step([torch.from_numpy(action) for action in drawn])[2].numpy()
            elapsed[:] += 1
            for world in np.flatnonzero(terminated | (elapsed >= LENGTH)):
                env.reset_at(int(world), return_observations=False)
                elapsed[world] = 0

        return work

    return prepare


def milliseconds(contenders: dict[str, Prepare]) -> dict[str, float]:
    """CPU time of one step of all environments: the middle one of the windows' means."""
    means: dict[str, list[float]] = {name: [] for name in contenders}
    for window in range(WINDOWS + 1):
        for name, prepare in contenders.items():
            spent = 0.0
            for _ in range(STEPS):
                work = prepare()
                start = time.process_time()
                work()
                spent += time.process_time() - start
            if window:  # the first one compiles
                means[name].append(spent / STEPS * 1e3)
    return {name: float(np.median(values)) for name, values in means.items()}


def row(id: str) -> str:
    """One line of the table."""
    family, _, task = id.partition("/")
    own = own_smax(task) if family == "smax" else own_vmas(task)
    times = milliseconds({"own": own, "masoft": masoft_batch(id)})
    rates = "".join(f"{N_ENVS / times[name] * 1e3:>12,.0f}" for name in ("own", "masoft"))
    return f"{id:<28}{rates}{times['own']:>9.2f}{times['masoft']:>9.2f}{times['masoft'] / times['own']:>8.2f}"


def main(ids: list[str]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{f'{N_ENVS} environments':<28}{'own/s':>12}{'masoft/s':>12}{'own ms':>9}{'ms':>9}{'ratio':>8}")
    print("(environment steps per CPU-second; CPU-milliseconds of a step of all; masoft's time over the simulator's)")
    for id in ids or DEFAULT:
        print(row(id), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
