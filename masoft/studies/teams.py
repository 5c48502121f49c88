"""Looking into a trained team: what each agent would do, and what each one is worth to the others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.evaluation import evaluate_policy

import masoft
from masoft.distributions import Categoricals
from masoft.envs import team_of
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import to_environment
from masoft.policies.exploration import uniform_actions
from masoft.policies.observations import seen_by
from masoft.runs.style import COLOURS, heat_map, new_figure, save_picture, tidy, write_data
from masoft.spec import ACTION_MASK
from masoft.studies.statistics import Estimate, bootstrap

PANELS_A_ROW = 4


def choice_probabilities(model: Any, observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each agent's action probabilities at a team observation.

    Args:
        model: a built estimator; one that remembers is asked at a first step.
        observation: as a VecEnv of teams gives it; its first row is used.

    Returns:
        agent -> (n_choices,), for agents with one Discrete action; a value-based agent's greedy choice has all of it.

    Raises:
        ConfigurationError: no agent has a Discrete action.
    """
    policy, team = model.policy, model.team
    masks = observation.get(ACTION_MASK) if team.has_masks else None
    joint = None if masks is None else torch.as_tensor(masks[:1], device=policy.device)
    found = {}
    with torch.no_grad():
        for i, agent in enumerate(team.agents):
            if agent.action.is_box or len(agent.action.nvec) > 1:
                continue
            seen = torch.as_tensor(observation[agent.name][:1], device=policy.device)
            choice = policy.distribution(i, seen, joint)
            if isinstance(choice, Categoricals):
                found[agent.name] = choice.probs[0].cpu().numpy().ravel()
            else:
                found[agent.name] = np.eye(agent.action.nvec[0])[int(choice.mode()[0, 0])]
    if not found:
        spaces = [agent.action_space for agent in team.agents]
        raise ConfigurationError(explain("A team whose policies are drawn", "one with a Discrete agent", spaces))
    return found


def draw_policies(models: Mapping[str, Any], env: Any, path: str | Path, *, seed: int = 0) -> Path:
    """Heat maps of what teams do where an episode starts, a panel a team, as the paper's Figure 5.

    Two agents that choose give their joint policy, first agent downwards; other teams a row an agent.

    Args:
        models: label -> a built estimator.
        env: where they play: an id, a callable or anything `masoft.make_vec` takes.
        path: picture to write; its ending decides the format.
        seed: of the environment.

    Raises:
        ConfigurationError: as `choice_probabilities`.
    """
    with closing(masoft.make_vec(env, 1, seed=seed)) as world:
        observation: Any = world.reset()
    tables = {
        label: _table(choice_probabilities(model, seen_by(model, observation))) for label, model in models.items()
    }
    width = min(len(tables), PANELS_A_ROW)
    height = -(-len(tables) // width)
    figure = new_figure(2.7 * width + 0.9, 2.6 * height)
    panels = figure.subplots(height, width, squeeze=False).reshape(-1)
    for panel, (label, table) in zip(panels, tables.items(), strict=False):
        image = heat_map(panel, table.values, table.rows, table.columns)
        panel.set_title(label, fontsize=9)
        panel.set(xlabel=table.across, ylabel=table.down)
    for panel in panels[len(tables) :]:
        panel.set_visible(False)
    figure.colorbar(image, ax=list(panels), label="probability")
    save_picture(figure, path)
    numbers = ((label, row, column, value) for label, table in tables.items()
               for row, values in zip(table.rows, table.values, strict=True)
               for column, value in zip(table.columns, values, strict=True))  # fmt: skip
    write_data(path, ("team", "row", "column", "probability"), numbers)
    return Path(path)


@dataclass(frozen=True)
class Table:
    """Probabilities to be drawn.

    Args:
        values: (rows, columns); NaN where an agent has fewer choices.
        rows, columns: their names.
        down, across: what the rows and the columns are.
    """

    values: np.ndarray
    rows: list[str]
    columns: list[str]
    down: str
    across: str


def _table(probabilities: Mapping[str, np.ndarray]) -> Table:
    """The joint policy of two agents, or a row an agent."""
    if len(probabilities) == 2:
        (one, first), (other, second) = probabilities.items()
        return Table(np.outer(first, second), _numbers(len(first)), _numbers(len(second)), one, other)
    widest = max(len(each) for each in probabilities.values())
    rows = [np.pad(each, (0, widest - len(each)), constant_values=np.nan) for each in probabilities.values()]
    return Table(np.stack(rows), [*probabilities], _numbers(widest), "", "action")


def _numbers(n: int) -> list[str]:
    return [str(k) for k in range(n)]


class OneAtRandom:
    """A team in which one agent takes uniform legal actions instead of its own; plays like a model.

    Args:
        model: the team.
        agent: index of that agent; None: nobody.
        seed: of its draws.
    """

    def __init__(self, model: Any, agent: int | None, seed: int = 0) -> None:
        self._model, self._agent = model, agent
        self._generator = torch.Generator().manual_seed(seed)

    def predict(self, observation: Any, state: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Joint actions in environment units for batched team observations."""
        joint, state = self._model.predict(seen_by(self._model, observation), state, *args, **kwargs)
        if self._agent is not None:
            team = self._model.team
            drawn = uniform_actions(team, len(joint), observation.get(ACTION_MASK), self._generator)
            where = team.action_slices[self._agent]
            joint = joint.copy()
            joint[:, where] = to_environment(team, drawn)[:, where]
        return joint, state


def contributions(model: Any, env: Any, *, n_eval_episodes: int = 20, seed: int = 0) -> dict[str, Estimate]:
    """What each agent is worth: the return that the team loses when that agent alone acts at random.

    The same episodes are played with and without, as far as the environment is decided by its seed.

    Args:
        model: a built estimator.
        env: id, callable or anything `masoft.make_vec` takes.
        n_eval_episodes: played for each agent, >= 2.
        seed: of the environment and the random actions.

    Returns:
        agent -> mean loss of return, with its bootstrap interval over episodes.

    Raises:
        ConfigurationError: fewer than two episodes.
    """
    if n_eval_episodes < 2:
        raise ConfigurationError(explain("n_eval_episodes", "at least 2", n_eval_episodes))

    def returns(agent: int | None) -> np.ndarray:
        with closing(masoft.make_vec(env, 1, seed=seed)) as world:
            assert team_of(world).names == model.team.names
            found, _ = evaluate_policy(
                OneAtRandom(model, agent, seed),
                world,
                n_eval_episodes=n_eval_episodes,
                return_episode_rewards=True,
                warn=False,
            )
        return np.asarray(found)

    whole = returns(None)
    return {name: bootstrap([whole - returns(i)], np.mean) for i, name in enumerate(model.team.names)}


def draw_contributions(found: Mapping[str, Estimate], path: str | Path) -> Path:
    """A bar an agent with its interval.

    Args:
        found: of `contributions`.
        path: picture to write; its ending decides the format.
    """
    figure = new_figure(5.0, 0.4 * len(found) + 1.0)
    panel = figure.subplots()
    for row, estimate in enumerate(found.values()):
        panel.barh(row, estimate.value, color=COLOURS[0], height=0.55, alpha=0.55)
        panel.plot([estimate.low, estimate.high], [row] * 2, color="black", linewidth=1.5)
    panel.axvline(0.0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(found)), [*found])
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.set_xlabel("return lost when this agent alone acts at random")
    tidy(panel)
    save_picture(figure, path)
    rows = ((name, estimate.value, estimate.low, estimate.high) for name, estimate in found.items())
    write_data(path, ("agent", "return_lost", "low", "high"), rows)
    return Path(path)
