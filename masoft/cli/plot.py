"""``masoft plot FOLDER``: pictures of a study or of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from masoft.cli.options import Folder, here, trusted_option
from masoft.cli.output import say, show_json
from masoft.cli.values import Count
from masoft.errors import ConfigurationError, MasoftError, explain
from masoft.runs.curves import draw_curve
from masoft.runs.own_code import ask_trust
from masoft.runs.settings import SETTINGS, STUDY_RUN
from masoft.runs.trained import Team

INDEX = "study.json"
OF_A_STUDY = ("curves", "scores", "profiles", "improvement", "policies")
OF_A_RUN = ("curves", "traces", "actions", "order", "policies", "contributions", "episode")
KINDS = tuple(dict.fromkeys([*OF_A_STUDY, *OF_A_RUN]))
# Drawn without being asked for: what needs neither a trained model nor a scale that a study may lack.
PLAIN = ("curves", "scores", "traces")


@click.command(short_help="Draw learning curves, traces, policies, an episode.")
@click.argument("folder", type=Folder())
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True,
              help="What to draw; repeat it for several.  [default: curves, and scores or traces]")  # fmt: skip
@click.option("--format", "ending", type=click.Choice(["png", "pdf", "svg"]), default="png", show_default=True,
              help="Of pictures.")  # fmt: skip
@click.option("--movie", type=click.Choice(["gif", "mp4"]), default="gif", show_default=True, help="Of an episode.")
@click.option("--episodes", type=Count(2), default=20, show_default=True, help="Played for contributions.")
@click.option("--seed", type=Count(), default=1_000_000, show_default=True, help="Of the environment played in.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    folder: str | Path,
    kinds: tuple[str, ...],
    ending: str,
    movie: str,
    episodes: int,
    seed: int,
    trusted: bool,
    as_json: bool,
) -> None:
    """Draw into the folder of a study (`masoft study`) or of a run (`masoft train`, or one of a study).

    \b
    study: curves, scores, profiles, improvement, policies
    run:   curves, traces, actions, order, policies, contributions, episode
    """
    folder = here(folder)
    is_run = (folder / SETTINGS).exists() or (folder / STUDY_RUN).exists()
    if not is_run and not (folder / INDEX).exists():
        cure = f"A run has {SETTINGS} or {STUDY_RUN} in it, a study {INDEX}."
        raise ConfigurationError(explain("FOLDER", "that of a run or a study", str(folder), cure))
    chosen = _chosen(kinds, OF_A_RUN if is_run else OF_A_STUDY, "run" if is_run else "study")
    if is_run:
        picture = RunPictures(folder, ending, movie, episodes, seed, explicit=bool(kinds), trusted=trusted)
        found = [picture.draw(kind) for kind in chosen]
    else:
        found = [_of_study(folder, kind, ending, seed, trusted) for kind in chosen]
    pictures = [each for each in found if each is not None]
    if as_json:
        show_json({"pictures": [str(each) for each in pictures]})
        return
    for each in pictures:
        say(f"Saved {each}")


def _chosen(kinds: Sequence[str], possible: Sequence[str], what: str) -> Sequence[str]:
    """The kinds asked for, or the plain ones.

    Raises:
        ConfigurationError: a kind that this folder cannot show.
    """
    for kind in kinds:
        if kind not in possible:
            cure = f"A {what} has: {', '.join(possible)}."
            raise ConfigurationError(explain("--kind", f"one of a {what}", kind, cure))
    return kinds or [kind for kind in possible if kind in PLAIN]


def _of_study(folder: Path, kind: str, ending: str, seed: int, trusted: bool) -> Path:
    from masoft import studies

    if kind == "policies":
        return _policies_of_study(folder, ending, seed, trusted)
    draw, name = {
        "curves": (studies.draw_curves, "learning_curves"),
        "scores": (studies.draw_scores, "final_returns"),
        "profiles": (studies.draw_profiles, "profiles"),
        "improvement": (studies.draw_improvement, "improvement"),
    }[kind]
    return draw(studies.read_results(folder), folder / f"{name}.{ending}")


def _policies_of_study(folder: Path, ending: str, seed: int, trusted: bool) -> Path:
    """What each algorithm's first seed does in the first environment that has a Discrete agent."""
    from masoft.studies import draw_policies
    from masoft.studies.running import DONE, read_index

    models: dict[str, dict[str, Team]] = {}
    for key, entry in read_index(folder).items():
        if (folder / key / DONE).exists():
            models.setdefault(entry["environment"], {}).setdefault(entry["algorithm"], Team.of(folder / key, trusted))
    refusal: MasoftError = ConfigurationError(explain("The study", "one with a finished run", str(folder)))
    for teams in models.values():
        first = next(iter(teams.values()))
        try:
            loaded = {label: team.load() for label, team in teams.items()}
            return draw_policies(loaded, first.make, folder / f"policies.{ending}", seed=seed)
        except MasoftError as error:
            refusal = error
    raise refusal


@dataclass(frozen=True)
class RunPictures:
    """The pictures of one run; see the options of the command for the fields."""

    folder: Path
    ending: str
    movie: str
    episodes: int
    seed: int
    explicit: bool
    trusted: bool = False

    def draw(self, kind: str) -> Path | None:
        """Draw one kind; None where it was not asked for by name and there is nothing to draw yet."""
        draw = {
            "curves": self._curve,
            "traces": self._traces,
            "actions": self._actions,
            "order": self._order,
            "policies": self._policies,
            "contributions": self._contributions,
            "episode": self._episode,
        }[kind]
        try:
            return draw()
        except ConfigurationError:
            if self.explicit or kind != "traces":
                raise
            return None

    def _curve(self) -> Path:
        team = Team.of(self.folder, self.trusted)
        picture = draw_curve(
            self.folder, f"{team.algorithm} on {team.env}", path=self.folder / f"learning_curve.{self.ending}"
        )
        if picture is None:
            raise ConfigurationError(explain("The run", "one in which an episode has ended", str(self.folder)))
        return picture

    def _traces(self) -> Path:
        from masoft.studies import draw_traces

        return draw_traces(self.folder, self.folder / f"traces.{self.ending}")

    def _actions(self) -> Path:
        from masoft.studies import draw_actions

        return draw_actions(self.folder, self.folder / f"actions.{self.ending}")

    def _order(self) -> Path:
        from masoft.studies import draw_order

        return draw_order(self.folder, self.folder / f"order.{self.ending}")

    def _policies(self) -> Path:
        from masoft.studies import draw_policies

        team = Team.of(self.folder, self.trusted)
        path = self.folder / f"policies.{self.ending}"
        return draw_policies({team.algorithm: team.load()}, team.make, path, seed=self.seed)

    def _contributions(self) -> Path:
        from masoft.studies import contributions, draw_contributions

        team = Team.of(self.folder, self.trusted)
        found = contributions(team.load(), team.make, n_eval_episodes=self.episodes, seed=self.seed)
        return draw_contributions(found, self.folder / f"contributions.{self.ending}")

    def _episode(self) -> Path:
        from masoft.studies import record_episode

        team = Team.of(self.folder, self.trusted)
        path = self.folder / f"episode.{self.movie}"
        ask_trust(team.env, self.folder, trusted=self.trusted)
        record_episode(team.load(), team.env, path, env_kwargs=team.env_kwargs, seed=self.seed)
        return path
