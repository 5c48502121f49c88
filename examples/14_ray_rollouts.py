"""Rollouts in Ray actors, on this machine or on a cluster: the same two lines, and a lost worker is replaced.

On a cluster, call ``ray.init(address="auto")`` first. Without Ray installed this says how to install it, and ends.
"""

from __future__ import annotations

import masoft
from masoft.errors import MissingDependencyError

SHORT = 200


def main(steps: int = 50_000) -> None:
    """Train where the environments live elsewhere."""
    try:
        env = masoft.make_vec("mpe/simple_spread_v3", n_envs=2, seed=0, backend="ray", on_env_error="restart")
    except MissingDependencyError as missing:
        print(missing)
        return
    model = masoft.HASAC(env, learning_starts=100, seed=0).learn(steps)
    print(f"{model.num_timesteps} environment steps; workers replaced: {sum(env.n_restarts)}")
    env.close()


if __name__ == "__main__":
    main()
