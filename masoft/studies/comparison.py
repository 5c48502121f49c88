"""Trained teams side by side: the same episodes, returns with intervals, and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.runs.playing import RandomTeam, play
from masoft.runs.style import COLOURS, new_figure, save_picture, tidy, write_data
from masoft.runs.trained import Team
from masoft.studies.page import drawn
from masoft.studies.statistics import Estimate, bootstrap

if TYPE_CHECKING:
    import pandas

RANDOM = "random actions"
COLUMNS = ("team", "mean_return", "low", "high", "difference", "difference_low", "difference_high", "episodes")


@dataclass(frozen=True)
class Comparison:
    """Teams and their returns; in a notebook a table with its picture.

    Args:
        returns: label -> (n_episodes,), the same episodes for all as far as a seed decides them.
        env: what they played in, for titles.
    """

    returns: Mapping[str, np.ndarray]
    env: str

    @property
    def means(self) -> dict[str, Estimate]:
        """Mean return of each team with its 95 % bootstrap interval over episodes."""
        return {label: bootstrap([found], np.mean) for label, found in self.returns.items()}

    @property
    def differences(self) -> dict[str, Estimate]:
        """What each team has more than the first one, episode by episode, with its interval."""
        first = next(iter(self.returns.values()))
        return {label: bootstrap([found - first], np.mean) for label, found in self.returns.items()}

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The table, in the columns `COLUMNS`."""
        differences = self.differences
        for label, mean in self.means.items():
            other = differences[label]
            yield label, mean.value, mean.low, mean.high, other.value, other.low, other.high, len(self.returns[label])

    def to_frame(self) -> pandas.DataFrame:
        """The table as a data frame over the teams.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError('Data frames need pandas. pip install "masoft[studies]"') from None
        return pandas.DataFrame(list(self.rows()), columns=list(COLUMNS)).set_index("team")

    def draw(self, path: str | Path) -> Path:
        """A mark a team with its interval; the table lies beside the picture as CSV.

        Args:
            path: picture to write; its ending decides the format.
        """
        means = self.means
        figure = new_figure(5.6, 0.4 * len(means) + 1.2)
        panel = figure.subplots()
        for row, mean in enumerate(means.values()):
            panel.plot([mean.low, mean.high], [row] * 2, color=COLOURS[0], linewidth=2)
            panel.plot(mean.value, row, "o", color=COLOURS[0])
        panel.set_yticks(range(len(means)), list(means))
        panel.set_ylim(len(means) - 0.5, -0.5)
        panel.set(title=self.env, xlabel="mean return with its 95 % interval over episodes")
        tidy(panel)
        save_picture(figure, path)
        write_data(path, COLUMNS, self.rows())
        return Path(path)

    def __str__(self) -> str:
        differences = self.differences
        lines = [("team", "mean return [95 %]", "more than the first")]
        lines += [(label, str(mean), str(differences[label])) for label, mean in self.means.items()]
        widths = [max(len(line[k]) for line in lines) for k in range(3)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        from jinja2 import Environment

        template = """<table><tr><th>team</th><th>mean return [95 %]</th><th>more than the first</th></tr>
{%- for label, mean in means.items() %}
<tr><td>{{ label }}</td><td>{{ mean }}</td><td>{{ differences[label] }}</td></tr>
{%- endfor %}</table><img src="{{ picture.source }}" alt="{{ picture.caption }}">"""
        picture = drawn("Mean returns with their intervals", self.draw)
        return (
            Environment(autoescape=True)
            .from_string(template)
            .render(means=self.means, differences=self.differences, picture=picture)
        )


def compare(
    teams: Sequence[Any] | Mapping[str, Any],
    env: Any = None,
    *,
    n_eval_episodes: int = 50,
    deterministic: bool = True,
    random: bool = True,
    seed: int = 0,
) -> Comparison:
    """Play trained teams in the same episodes and compare their returns.

    Args:
        teams: models, exported actors (`masoft.deploy.load`) or folders of runs; a dict gives them labels.
        env: an id, a callable or anything `masoft.make_vec` takes; None: what the first folder names was trained in.
        n_eval_episodes: played by each, >= 2.
        deterministic: whether they act by their policies' modes.
        random: whether a team that acts at random stands beside them.
        seed: of the environment.

    Returns:
        the comparison: print it, or take its ``to_frame()``, ``draw(path)``, ``means`` and ``differences``.

    Raises:
        ConfigurationError: no teams, fewer than two episodes, or no environment to play in.

    Example:
        >>> import masoft
        >>> teams = {name: getattr(masoft, name)("matrix/maxent", seed=0) for name in ("HASAC", "QMIX")}
        >>> found = masoft.compare(teams, "matrix/maxent", n_eval_episodes=4)
        >>> list(found.means)
        ['HASAC', 'QMIX', 'random actions']
    """
    if n_eval_episodes < 2:
        raise ConfigurationError(explain("n_eval_episodes", "at least 2", n_eval_episodes))
    folders = [Team.of(Path(each)) for each in _values(teams) if isinstance(each, str | Path)]
    if env is None and not folders:
        raise ConfigurationError(explain("env", "given, since models do not name one", None))
    place: Any = folders[0].make if env is None else env
    title = env if isinstance(env, str) else folders[0].env if env is None else ""
    players = {label: Team.of(Path(each)).load() if isinstance(each, str | Path) else each
               for label, each in _labelled(teams).items()}  # fmt: skip

    def returns(player: Any) -> np.ndarray:
        with closing(masoft.make_vec(place, 1, seed=seed)) as world:
            actor = RandomTeam(world, seed) if player is None else player
            return np.asarray(play(actor, world, n_eval_episodes, deterministic=deterministic), float)

    if random:
        players[RANDOM] = None
    return Comparison({label: returns(player) for label, player in players.items()}, title)


def _values(teams: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    return list(teams.values() if isinstance(teams, Mapping) else teams)


def _labelled(teams: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Teams by label: folders by their names, models by their classes, numbered where there are several of one name."""
    if isinstance(teams, str | Path) or not teams:
        raise ConfigurationError(explain("teams", "a list or dict of one or more", teams))
    if isinstance(teams, Mapping):
        return dict(teams)
    names = [Path(each).name if isinstance(each, str | Path) else type(each).__name__ for each in teams]
    labels = [name if names.count(name) == 1 else f"{name} {names[:k].count(name) + 1}" for k, name in enumerate(names)]
    return dict(zip(labels, teams, strict=True))
