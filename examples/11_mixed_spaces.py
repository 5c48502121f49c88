"""One team of three agents that act in three ways: a Box, a Discrete and a MultiDiscrete space, without padding.

Each agent is shown a target in its own space and is paid for playing it, so 25 is the best return. HASAC learns it off
policy and HAPPO on policy, with the same two lines. About a minute.
"""

from __future__ import annotations

import masoft
from masoft import make_vec
from masoft.testing.games import IdentityTeam

KINDS = ("box", "discrete", "multidiscrete")
SETTINGS = {
    "HASAC": dict(learning_starts=100, train_freq=2, gradient_steps=2, learning_rate=3e-3),
    "HAPPO": dict(n_steps=64, learning_rate=3e-3),
}


def main(steps: int = 6_000) -> dict[str, float]:
    """Train both for ``steps`` environment steps; returns their mean returns."""
    found = {}
    for name, settings in SETTINGS.items():
        env = make_vec(lambda: IdentityTeam(KINDS), n_envs=4, seed=0)
        network = dict(net_arch=[64, 64])
        model = getattr(masoft, name)("MlpPolicy", env, gamma=0.0, policy_kwargs=network, seed=0, **settings)
        for agent in model.team.agents:
            print(f"{agent.name}: sees {agent.observation_shape}, plays {agent.action_space}")
        model.learn(total_timesteps=steps)
        found[name] = model.score(make_vec(lambda: IdentityTeam(KINDS), seed=1), n_eval_episodes=10)
    return found


if __name__ == "__main__":
    print(main())
