"""Callbacks: stable-baselines3's evaluation with early stopping, and one of your own that counts agents' rewards."""

from __future__ import annotations

from stable_baselines3.common.callbacks import BaseCallback, EvalCallback, StopTrainingOnRewardThreshold

from masoft import HASAC, make_vec

ENV, TASK = "mpe/simple_spread_v3", dict(continuous_actions=True)
SHORT = 120


class AgentRewards(BaseCallback):
    """Adds up what each agent was paid."""

    def _on_training_start(self) -> None:
        self.totals = dict.fromkeys(self.model.team.names, 0.0)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            for agent, reward in info["rewards"].items():
                self.totals[agent] += float(reward)
        return True


def main(steps: int = 10_000) -> dict[str, float]:
    """Train for at most ``steps`` environment steps; returns what each agent was paid in all."""
    model = HASAC(make_vec(ENV, seed=0, **TASK), learning_starts=50, policy_kwargs=dict(net_arch=[64, 64]), seed=0)
    enough = StopTrainingOnRewardThreshold(reward_threshold=-20.0, verbose=1)
    every = max(steps // 5, 1)
    evaluation = EvalCallback(
        make_vec(ENV, seed=1, **TASK), callback_on_new_best=enough, eval_freq=every, n_eval_episodes=3, verbose=0
    )
    rewards = AgentRewards()
    model.learn(total_timesteps=steps, callback=[evaluation, rewards])
    return rewards.totals


if __name__ == "__main__":
    print(main())
