"""Train a team, export its actors, and play them in a process that cannot import torch."""

from __future__ import annotations

import subprocess
import sys

from masoft import HASAC, make_vec

ENV = "mpe/simple_speaker_listener_v4"
PLAYER = f"""
import sys
sys.modules["torch"] = None  # importing it fails from here on
import masoft
team, world = masoft.deploy.load("actors"), masoft.make("{ENV}")
observations, infos = world.reset(seed=1)
total = 0.0
while world.agents:
    observations, rewards, terminations, truncations, infos = world.step(team.predict(observations))
    total += sum(rewards.values())
print(total)
"""


def main(steps: int = 20_000) -> float:
    """Train for ``steps`` environment steps; returns the return of one episode of the exported team."""
    settings = dict(train_freq=4, gradient_steps=4, policy_kwargs=dict(net_arch=[64, 64]))
    model = HASAC(make_vec(ENV, n_envs=4, seed=0), **settings, seed=0)
    model.learn(total_timesteps=steps)
    model.export("actors")  # speaker_0.onnx, listener_0.onnx, team.json
    played = subprocess.run([sys.executable, "-c", PLAYER], capture_output=True, text=True, check=True)
    return float(played.stdout)


if __name__ == "__main__":
    print(main())
