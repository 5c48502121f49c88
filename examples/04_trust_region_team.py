"""Trust-region maximum entropy learning: a KL ball per agent, on a continuous particle task.

A small ball keeps every agent near its old policy for ten updates at a time; the log shows how far each moved and how
many steps stayed inside. Under a minute.
"""

from __future__ import annotations

from masoft import MEHAML, make_vec
from masoft.mirror import KLBall, KLDrift, Linear


def main(steps: int = 4_000) -> float:
    """Train for ``steps`` environment steps; returns the mean return of the team."""
    env = make_vec("mpe/simple_spread_v3", n_envs=4, seed=0, continuous_actions=True)
    model = MEHAML(
        "MlpPolicy",
        env,
        drift=KLDrift(Linear(0.1, 0.0)),  # a soft pull that fades over training
        neighborhood=KLBall(0.05),  # a hard limit that stays
        train_freq=4,
        gradient_steps=1,
        policy_kwargs=dict(net_arch=[64, 64]),
        verbose=1,
        seed=0,
    )
    model.learn(total_timesteps=steps, log_interval=40)
    return model.score(n_eval_episodes=10)


if __name__ == "__main__":
    print(main())
