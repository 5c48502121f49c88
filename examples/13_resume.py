"""Checkpoints: a run that is cut off in the middle goes on as if nothing had happened, bit by bit."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from masoft import HASAC, make_vec
from masoft.callbacks import CheckpointCallback

ENV, SHORT = "mpe/simple_speaker_listener_v4", 240


class CutOff(BaseCallback):
    """Asks the process to end, as a cluster does whose time is up."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _on_step(self) -> bool:
        if self.num_timesteps == self.at:
            signal.raise_signal(signal.SIGTERM)
        return True


def new_env() -> Any:
    """Environments, made the same way each time."""
    return make_vec(ENV, n_envs=2, seed=0)


def weights(model: Any) -> np.ndarray:
    """All parameters of all networks in one row."""
    return np.concatenate([p.detach().numpy().ravel() for p in model.policy.parameters()])


def main(steps: int = 4_000) -> bool:
    """Train once in one piece and once in two; returns whether both teams are the same to the last bit."""
    settings: dict[str, Any] = dict(learning_starts=50, batch_size=64, policy_kwargs=dict(net_arch=[32]), seed=0)
    whole = HASAC(new_env(), **settings)
    whole.learn(total_timesteps=steps)

    model = HASAC(new_env(), **settings)
    every = CheckpointCallback("runs/resumed", every=steps // 4)
    model.learn(total_timesteps=steps, callback=[every, CutOff(steps // 2)])

    again = HASAC.resume("runs/resumed", env=new_env())
    again.learn(again.remaining_timesteps, reset_num_timesteps=False)
    return bool((weights(again) == weights(whole)).all())


if __name__ == "__main__":
    print(main())
