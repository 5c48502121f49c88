"""A first team: train a speaker and a listener, save them, load them, play.

Two different agents: the speaker sees a colour and says a word, the listener hears it and walks. About two minutes.
"""

from __future__ import annotations

from masoft import HASAC, make, make_vec


def main(steps: int = 20_000) -> float:
    """Train for ``steps`` environment steps; returns the mean return of the loaded team."""
    task = dict(continuous_actions=True)
    env = make_vec("mpe/simple_speaker_listener_v4", n_envs=4, seed=0, **task)
    model = HASAC("MlpPolicy", env, train_freq=4, gradient_steps=4, policy_kwargs=dict(net_arch=[128, 128]), seed=0)
    model.learn(total_timesteps=steps)
    model.save("team.zip")

    team = HASAC.load("team.zip")  # no environment needed to act
    world = make("mpe/simple_speaker_listener_v4", **task)
    observations, infos = world.reset(seed=1)
    while world.agents:
        actions = team.predict(observations, deterministic=True)
        observations, rewards, terminations, truncations, infos = world.step(actions)

    score = team.score(make_vec("mpe/simple_speaker_listener_v4", seed=2, **task), n_eval_episodes=20)
    print(f"mean return over 20 episodes: {score:.1f}")
    return score


if __name__ == "__main__":
    main()
