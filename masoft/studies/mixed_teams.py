"""Ad-hoc teamwork: how well teams play whose agents were trained apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.evaluation import evaluate_policy

import masoft
from masoft.envs import team_of
from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest
from masoft.policies.observations import seen_by
from masoft.runs.style import heat_map, new_figure, save_picture, write_data
from masoft.spec import TeamSpec
from masoft.studies.statistics import Estimate, bootstrap

if TYPE_CHECKING:
    import pandas


class MixedTeam:
    """A team whose agents belong to two models; plays like a model.

    Args:
        own: a trained model, or exported actors (`masoft.deploy.load`).
        others: another one, of the same team.
        agents: names of those who belong to the first.
    """

    def __init__(self, own: Any, others: Any, agents: Iterable[str]) -> None:
        self.team: TeamSpec = own.team
        self._pair = own, others
        wanted = {*agents}
        slices = zip(self.team.names, self.team.action_slices, strict=True)
        self._own = np.concatenate([np.arange(self.team.action_size)[where] for n, where in slices if n in wanted])

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """Joint actions in environment units for batched team observations, and what both models remember."""
        answers = [
            model.predict(seen_by(model, observation), memory, episode_start, deterministic)
            for model, memory in zip(self._pair, state or (None, None), strict=True)
        ]
        (own, own_memory), (joint, memory) = answers
        joint = joint.copy()
        joint[..., self._own] = own[..., self._own]
        return joint, (own_memory, memory)


@dataclass(frozen=True)
class CrossPlay:
    """Scores of mixed teams.

    Args:
        labels: of the models.
        agents: names of those who belong to the row's model; the others belong to the column's.
        scores: returns of the team whose agents belong to row and column; on the diagonal a model plays with itself.
    """

    labels: tuple[str, ...]
    agents: tuple[str, ...]
    scores: tuple[tuple[Estimate, ...], ...]

    @property
    def values(self) -> np.ndarray:
        """Mean returns, (n_models, n_models)."""
        return np.array([[score.value for score in row] for row in self.scores])

    @property
    def self_play(self) -> float:
        """Mean return of the models with themselves."""
        return float(self.values.diagonal().mean())

    @property
    def cross_play(self) -> float:
        """Mean return of the mixed teams."""
        apart = ~np.eye(len(self.labels), dtype=bool)
        return float(self.values[apart].mean())

    def to_frame(self) -> pandas.DataFrame:
        """Mean returns as a data frame, the agents' models downwards and their teammates' across.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError('Data frames need pandas. pip install "masoft[studies]"') from None
        return pandas.DataFrame(self.values, index=list(self.labels), columns=list(self.labels))

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        others = "the others of"
        head = [f"{', '.join(self.agents)} of \\ {others}", *self.labels]
        rows = [[label, *map(str, row)] for label, row in zip(self.labels, self.scores, strict=True)]
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
        end = f"with themselves {self.self_play:.3g}, with others {self.cross_play:.3g}"
        return "\n".join([*(line.rstrip() for line in lines), end])


def cross_play(
    models: Mapping[str, Any],
    env: Any,
    *,
    agents: Iterable[str] | None = None,
    n_eval_episodes: int = 20,
    deterministic: bool = True,
    seed: int = 0,
) -> CrossPlay:
    """Play every model's agents with every other model's teammates.

    All teams play the same episodes, as far as the environment is decided by its seed.

    Args:
        models: label -> trained model of any class, or exported actors (`masoft.deploy.load`); two or more.
        env: an id, a callable or anything `masoft.make_vec` takes.
        agents: names of those who belong to the row's model, some of the team but not all; None: the first agent.
        n_eval_episodes: played by each team, >= 2.
        deterministic: whether the teams act by their policies' modes.
        seed: of the environment.

    Returns:
        the table: mean returns with their bootstrap intervals over episodes.

    Raises:
        ConfigurationError: fewer than two models or episodes, models of another team, or agents that it does not have.

    Reference:
        Stone et al., Ad Hoc Autonomous Agent Teams: Collaboration without Pre-Coordination, 2010; Hu et al.,
        "Other-Play" for Zero-Shot Coordination, 2020.
    """
    if not isinstance(models, Mapping) or len(models) < 2:
        raise ConfigurationError(explain("models", "a dict from labels to two models or more", models))
    if n_eval_episodes < 2:
        raise ConfigurationError(explain("n_eval_episodes", "at least 2", n_eval_episodes))
    with closing(masoft.make_vec(env, 1, seed=seed)) as world:
        team = team_of(world)
    for label, model in models.items():
        _check_team(label, model, team)
    chosen = _chosen(team, agents)

    def score(own: Any, others: Any) -> Estimate:
        with closing(masoft.make_vec(env, 1, seed=seed)) as world:
            returns, _ = evaluate_policy(
                MixedTeam(own, others, chosen),  # type: ignore[arg-type]
                world,
                n_eval_episodes=n_eval_episodes,
                deterministic=deterministic,
                return_episode_rewards=True,
                warn=False,
            )
        return bootstrap([np.asarray(returns)], np.mean)

    scores = tuple(tuple(score(own, others) for others in models.values()) for own in models.values())
    return CrossPlay(tuple(models), chosen, scores)


def draw_cross_play(found: CrossPlay, path: str | Path) -> Path:
    """A heat map of the scores, each model's agents downwards and the teammates across.

    Args:
        found: of `cross_play`.
        path: picture to write; its ending decides the format.
    """
    size = 0.8 * len(found.labels)
    figure = new_figure(size + 2.6, size + 1.2)
    panel = figure.subplots()
    names, values = list(found.labels), found.values
    low, high = float(values.min()), float(values.max())
    image = heat_map(panel, values, names, names, low, high if high > low else low + 1)
    panel.set(xlabel="the others of", ylabel=f"{', '.join(found.agents)} of")
    figure.colorbar(image, ax=panel, label="mean return")
    save_picture(figure, path)
    rows = ((own, others, score.value, score.low, score.high) for own, scores in zip(names, found.scores, strict=True)
            for others, score in zip(names, scores, strict=True))  # fmt: skip
    write_data(path, ("agents_of", "others_of", "mean_return", "low", "high"), rows)
    return Path(path)


def _check_team(label: str, model: Any, team: TeamSpec) -> None:
    other = getattr(model, "team", None)
    mine = [(agent.name, agent.observation_space, agent.action_space) for agent in team.agents]
    got = [(agent.name, agent.observation_space, agent.action_space) for agent in getattr(other, "agents", ())]
    if mine != got:
        raise ConfigurationError(explain(f"The team of model {label!r}", f"that of the environment, {mine}", got))


def _chosen(team: TeamSpec, agents: Iterable[str] | None) -> tuple[str, ...]:
    wanted = {team.names[0]} if agents is None else {agents} if isinstance(agents, str) else {*agents}
    for name in wanted:
        if name not in team.names:
            raise ConfigurationError(explain("agents", "names of the team's", name, nearest(str(name), team.names)))
    if not 0 < len(wanted) < team.n_agents:
        must = f"some of {team.names}, but not all: the others belong to the column's model"
        raise ConfigurationError(explain("agents", must, sorted(wanted)))
    return tuple(name for name in team.names if name in wanted)
