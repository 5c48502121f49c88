"""``masoft evaluate FOLDER``: play a trained team, beside random actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import masoft
from masoft.cli.output import show_json
from masoft.cli.own_code import ask_trust, trusted_option
from masoft.cli.run_folder import SETTINGS, RunSettings
from masoft.cli.trained import model_file
from masoft.cli.values import Count


@click.command(short_help="Play a trained team.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--episodes", type=Count(1), default=20, show_default=True, help="Episodes to play.")
@click.option("--seed", type=Count(), default=1_000_000, show_default=True, help="Of the evaluation environment.")
@click.option("--stochastic", is_flag=True, help="Draw actions instead of taking each policy's mode.")
@click.option("--random/--no-random", default=True, help="Play legal random actions too, for comparison.")
@click.option("--best", is_flag=True, help="Play best.zip, the best team that --eval-every met, not the last one.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    folder: Path, episodes: int, seed: int, stochastic: bool, random: bool, best: bool, trusted: bool, as_json: bool
) -> None:
    """Play the team of a run folder and print its return."""
    import torch

    torch.set_num_threads(1)
    settings = RunSettings.load(folder)
    cls = settings.algorithm_class()
    file = model_file(folder, best=best)
    ask_trust(settings.env, folder / SETTINGS, trusted=trusted)
    env = masoft.make_vec(settings.env, 1, seed=seed, **settings.env_kwargs)
    try:
        model = cls.load(file, env=env, verbose=0)
        returns = play(model, env, episodes, deterministic=not stochastic)
        baseline = play_random(env, episodes, seed) if random else None
    finally:
        env.close()
    result = summary(returns) | {"episodes": episodes}
    if baseline is not None:
        result["random"] = summary(baseline)
    if as_json:
        show_json({"folder": str(folder), **result})
        return
    click.echo(f"{settings.algorithm} on {settings.env}, {episodes} episodes")
    click.echo(f"  team    {result['mean_return']:10.2f}  +- {result['std']:.2f}")
    if baseline is not None:
        click.echo(f"  random  {result['random']['mean_return']:10.2f}  +- {result['random']['std']:.2f}")


def play(model: Any, env: Any, episodes: int, *, deterministic: bool) -> list[float]:
    """Returns of whole episodes, by SB3's own ``evaluate_policy``."""
    from stable_baselines3.common.evaluation import evaluate_policy

    returns, _ = evaluate_policy(
        model, env, n_eval_episodes=episodes, deterministic=deterministic, return_episode_rewards=True, warn=False
    )
    return list(returns)  # type: ignore[arg-type]


def play_random(env: Any, episodes: int, seed: int) -> list[float]:
    """Returns of a team that takes uniform legal actions."""
    return play(RandomTeam(env, seed), env, episodes, deterministic=False)


class RandomTeam:
    """Uniform legal actions, in the form that ``evaluate_policy`` asks for.

    Args:
        env: the VecEnv of teams to act in.
        seed: of the draws.
    """

    def __init__(self, env: Any, seed: int) -> None:
        import torch

        from masoft.envs import team_of

        self._team = team_of(env)
        self._generator = torch.Generator().manual_seed(seed)

    def predict(self, observation: Any, state: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Joint actions for batched team observations; the policy state passes through."""
        from masoft.functional.actions import to_environment
        from masoft.policies.exploration import uniform_actions
        from masoft.spec import ACTION_MASK

        n_envs = len(next(iter(observation.values())))
        actions = uniform_actions(self._team, n_envs, observation.get(ACTION_MASK), self._generator)
        return to_environment(self._team, actions), state


def summary(returns: list[float]) -> dict[str, Any]:
    """Mean and standard deviation over episodes."""
    import numpy as np

    return {"mean_return": float(np.mean(returns)), "std": float(np.std(returns))}
