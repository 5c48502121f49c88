"""One learning curve: train with given settings, evaluate at intervals, write a CSV beside the settings.

    python -m benchmarks.learning --algo hasac --preset mpe/simple_spread_v3-continuous --seed 1 --steps 160000 \
        --out docs/benchmarks/data/spread_hasac_seed1.csv

The CSV has the columns env_steps, wall_s, cpu_s, updates, eval_return_mean, eval_return_std, eval_success. Environment
steps count the random warm-up; the time of evaluations is not counted; the last column is the share of episodes with
``info["is_success"]``, empty where the task reports none. All are of the mode actions; ``--sampled`` plays as many
episodes again with drawn actions and adds the column eval_success_sampled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from stable_baselines3.common.logger import Logger

import masoft
from masoft.presets import preset
from masoft.runs.driver import environments, learn, new_model
from masoft.runs.evaluations import Columns, Evaluations
from masoft.runs.settings import RunSettings

COLUMNS: Columns = {
    "env_steps": lambda found: f"{found.timesteps:.1f}",
    "wall_s": lambda found: f"{found.wall_s:.1f}",
    "cpu_s": lambda found: f"{found.cpu_s:.1f}",
    "updates": lambda found: found.updates,
    "eval_return_mean": lambda found: f"{found.mean_return:.3f}",
    "eval_return_std": lambda found: f"{found.std_return:.3f}",
    "eval_success": lambda found: "" if found.success is None else f"{found.success:.3f}",
}
SAMPLED: Columns = {
    **COLUMNS,
    "eval_success_sampled": lambda found: "" if found.sampled is None else f"{found.sampled:.3f}",
}


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
    parser.add_argument("--sampled", action="store_true", help="evaluate drawn actions, too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = settings_of(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    seed = 50_000 + options.seed
    with environments(settings, arena_seed=seed, arena_copies=options.eval_envs) as (env, arena):
        model = new_model(settings, env, device="cpu")
        print(model, flush=True)
        curve = Evaluations(
            arena, options.out, options.every, options.episodes, at_start=True,
            columns=SAMPLED if options.sampled else COLUMNS, sampled=options.sampled,
        )  # fmt: skip
        learn(model, settings, options.steps, Logger(None, []), [curve])


def settings_of(options: argparse.Namespace) -> RunSettings:
    """The run that a command line asks for."""
    env, env_kwargs, n_envs, params = options.env, options.env_kwargs, options.n_envs, options.params
    if options.preset:
        found = preset(options.algo, options.preset)
        env, env_kwargs = found.env, {**found.env_kwargs, **env_kwargs}
        n_envs, params = n_envs or found.n_envs, {**found.parameters, **params}
    algorithm = {name.lower(): name for name in masoft.ALGORITHMS}[options.algo]
    return RunSettings(
        algorithm, env, env_kwargs, n_envs or 1, options.seed, options.steps, params,
        eval_every=options.every, eval_episodes=options.episodes,
    )  # fmt: skip


if __name__ == "__main__":
    main()
