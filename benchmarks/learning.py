"""One learning curve: train with given settings, evaluate at intervals, write a CSV beside the settings.

    python -m benchmarks.learning --algo hasac --preset mpe/simple_spread_v3-continuous --seed 1 --steps 160000 \
        --out docs/benchmarks/data/spread_hasac_seed1.csv

The CSV has the columns env_steps, wall_s, cpu_s, updates, eval_return_mean, eval_return_std, eval_success. Environment
steps count the random warm-up; the time of evaluations is not counted; the last column is the share of episodes with
``info["is_success"]``, empty where the task reports none.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy

import masoft
from masoft.presets import preset, strategy


class Curve(BaseCallback):
    """Evaluates the deterministic team every ``every`` steps and appends a row to a CSV file."""

    def __init__(self, eval_env: Any, path: Path, every: int, episodes: int) -> None:
        super().__init__()
        self.eval_env, self.path, self.every, self.episodes = eval_env, path, every, episodes
        self.next_at = 0
        self.paused_wall = self.paused_cpu = 0.0

    def _on_training_start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.start_wall, self.start_cpu = time.time(), time.process_time()
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerow(
                ["env_steps", "wall_s", "cpu_s", "updates", "eval_return_mean", "eval_return_std", "eval_success"]
            )

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.next_at:
            self.next_at += self.every
            self._evaluate(self.num_timesteps)
        return True

    def _evaluate(self, steps: int) -> None:
        wall, cpu = time.time(), time.process_time()
        won: list[bool] = []

        def note(values: dict[str, Any], _: dict[str, Any]) -> None:
            if values["done"] and "is_success" in values["info"]:
                won.append(values["info"]["is_success"])

        mean, std = evaluate_policy(self.model, self.eval_env, self.episodes, callback=note, warn=False)
        row = [steps, wall - self.start_wall - self.paused_wall, cpu - self.start_cpu - self.paused_cpu]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(
                [*(f"{value:.1f}" for value in row), self.model._n_updates, f"{mean:.3f}", f"{std:.3f}"]
                + [f"{sum(won) / len(won):.3f}" if won else ""]
            )
        self.paused_wall += time.time() - wall
        self.paused_cpu += time.process_time() - cpu


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algo", default="hasac")
    parser.add_argument("--env", help="environment id; instead of --preset")
    parser.add_argument("--env-kwargs", type=json.loads, default={})
    parser.add_argument("--preset")
    parser.add_argument(
        "--params",
        type=json.loads,
        default={},
        help="JSON, over the preset; strategies as text",
    )
    parser.add_argument("--n-envs", type=int)
    parser.add_argument("--eval-envs", type=int, default=1, help="environments that evaluate side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, default=10_000)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    env_id, env_kwargs, n_envs, params = options.env, options.env_kwargs, options.n_envs or 1, options.params
    if options.preset:
        found = preset(options.algo, options.preset)
        env_id, env_kwargs = found.env, {**found.env_kwargs, **env_kwargs}
        n_envs, params = options.n_envs or found.n_envs, {**found.parameters, **params}
    algorithm = {name.lower(): name for name in masoft.__all__}[options.algo]
    env = masoft.make_vec(env_id, n_envs=n_envs, seed=options.seed, **env_kwargs)
    eval_env = masoft.make_vec(env_id, n_envs=options.eval_envs, seed=50_000 + options.seed, **env_kwargs)
    params = {"policy": "MlpPolicy", **{name: strategy(value) for name, value in params.items()}}
    model = getattr(masoft, algorithm)(env=env, seed=options.seed, device="cpu", **params)
    print(model, flush=True)
    model.learn(options.steps, callback=Curve(eval_env, options.out, options.every, options.episodes))


if __name__ == "__main__":
    main()
