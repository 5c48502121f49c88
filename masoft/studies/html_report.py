"""The report of a run or of a study as one HTML file: curves, agents, settings, machine, and what repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from masoft.errors import ConfigurationError, explain
from masoft.files import read_json, shown, write_text
from masoft.runs.command import command_of
from masoft.runs.curves import draw_curve, read_curve, read_evaluations, read_outcome
from masoft.runs.settings import SETTINGS, STUDY_RUN, RunSettings
from masoft.studies.folder import DONE, INDEX, is_finished, read_index
from masoft.studies.folder import read_curve as read_rows
from masoft.studies.page import KINDS, MOST_BYTES, Page, Picture, Section, drawn, from_file
from masoft.studies.plots import draw_curves, draw_improvement, draw_scores
from masoft.studies.report import Table, failures, study_tables, summary_of
from masoft.studies.results import read_results
from masoft.studies.traces import PANELS, draw_traces, read_traces

REPORT = "report.html"
MACHINE = ("processor", "cores", "system", "python")
# Pictures that `masoft plot` and `masoft enjoy` leave in a folder, and what they show.
FOUND = {
    "policies": "What each agent does where an episode starts",
    "contributions": "Return that is lost when one agent alone acts at random",
    "episode": "An episode of the trained team",
}


def write_html_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a run or a study as one HTML file without scripts, for light and dark screens.

    Pictures that `masoft plot` or `masoft enjoy` have left in the folder are put in, too.

    Args:
        folder: of a run of `masoft train`, of a study, or of a run in one.
        path: the file; None: ``report.html`` in the folder.

    Returns:
        the file.

    Raises:
        ConfigurationError: the folder holds neither, or its files are damaged.
        MissingDependencyError: pandas or scipy is not installed, which the report of a study needs.
    """
    folder = Path(folder)
    place = folder / REPORT if path is None else Path(path)
    if (folder / INDEX).is_file():
        page = _page_of_study(folder)
    elif (folder / SETTINGS).is_file() or (folder / STUDY_RUN).is_file():
        page = _page_of_run(folder)
    else:
        cure = f"A run has {SETTINGS} or {STUDY_RUN} in it, a study {INDEX}."
        raise ConfigurationError(explain("The folder of a report", "that of a run or a study", str(folder), cure))
    write_text(place, page.html())
    return place


def _page_of_run(folder: Path) -> Page:
    settings = RunSettings.load(folder)
    ended = read_outcome(folder) or (read_json(folder / DONE) if (folder / DONE).is_file() else {})
    title = f"{settings.algorithm} on {settings.env}"
    sections = [
        Section("Learning", pictures=[*_curve_of_run(folder, title)], tables=[*_returns(folder, ended)]),
        *_agents(folder),
        *_found(folder),
        Section("Settings", tables=[_settings(settings)]),
        *_machine([ended], "The run was made on"),
        Section("Commands", text="The same run again, and what can be done with it.",
                commands=[command_of(settings), f"masoft enjoy {folder}", f"masoft evaluate {folder} --episodes 100"]),
    ]  # fmt: skip
    return Page(title, f"{folder.name}, seed {settings.seed}, {settings.total_timesteps:,} steps", sections)


def _curve_of_run(folder: Path, title: str) -> Iterator[Picture]:
    if read_curve(folder)[0]:
        yield drawn("Return of training episodes and of evaluations", lambda path: draw_curve(folder, title, path=path))


def _returns(folder: Path, ended: Mapping[str, Any]) -> Iterator[Table]:
    """How it ended, and the evaluations on the way."""
    names = {
        "timesteps": "environment steps", "mean_return": "return of the trained team",
        "random_return": "return of random actions", "episodes": "episodes of each", "seconds": "seconds of learning",
        "stopped_by": "stopped by",
    }  # fmt: skip
    rows = [(label, _figure(ended[name])) for name, label in names.items() if ended.get(name) is not None]
    if rows:
        yield Table("At the end", ("figure", "value"), rows)
    found = read_evaluations(folder)
    if found:
        numbers = [(f"{steps:,}", _figure(mean), _figure(std)) for steps, mean, std in found]
        yield Table("Evaluations", ("environment steps", "mean return", "deviation over episodes"), numbers)


def _agents(folder: Path) -> Iterator[Section]:
    """Traces, and their last values by agent."""
    try:
        traces = read_traces(folder)
    except ConfigurationError:
        return
    if not traces:
        return
    agents = dict.fromkeys(agent for lines in traces.values() for agent in lines)
    last = {name: {agent: values[-1] for agent, (_, values) in lines.items()} for name, lines in traces.items()}
    rows = [(agent or "team", *(_figure(last[name].get(agent)) for name in traces)) for agent in agents]
    columns = ("agent", *(PANELS[name] for name in traces))
    picture = drawn("What the learner logged, agent by agent where it tells them apart",
                    lambda path: draw_traces(folder, path))  # fmt: skip
    yield Section("Agents", pictures=[picture], tables=[Table("Last values in the log", columns, rows)])


def _found(folder: Path) -> Iterator[Section]:
    paths = {name: [folder / f"{name}{ending}" for ending in KINDS] for name in FOUND}
    there = {name: [path for path in each if path.is_file()] for name, each in paths.items()}
    pictures = [
        from_file(FOUND[name], each[0], is_drawn=name != "episode")
        for name, each in there.items()
        if each and each[0].stat().st_size <= MOST_BYTES
    ]
    if pictures:
        yield Section("Policies and episodes", pictures=pictures)


def _settings(settings: RunSettings) -> Table:
    plain = {
        "algorithm": settings.algorithm, "environment": settings.env, "seed": settings.seed,
        "total_timesteps": settings.total_timesteps, "n_envs": settings.n_envs, "preset": settings.preset,
        "eval_every": settings.eval_every, "eval_episodes": settings.eval_episodes, "threads": settings.threads,
    }  # fmt: skip
    rows = [(name, value) for name, value in plain.items() if value is not None]
    rows += [(f"env_kwargs.{name}", value) for name, value in settings.env_kwargs.items()]
    rows += [(name, value) for name, value in settings.parameters.items()]
    return Table("Settings", ("setting", "value"), rows, "Settings that are not listed are the algorithm's defaults.")


def _machine(records: Sequence[Mapping[str, Any]], text: str) -> Iterator[Section]:
    """The machines and versions that runs have noted; nothing where none has."""
    found: dict[tuple[tuple[str, str], ...], None] = {}
    for record in records:
        packages = record.get("packages")
        if isinstance(packages, dict):
            rows = [(name, shown(record[name])) for name in MACHINE if record.get(name)]
            found[(*rows, *((name, shown(version)) for name, version in packages.items()))] = None
    if found:
        tables = [Table("Machine and versions", ("what", "which"), rows) for rows in found]
        yield Section("Machine and versions", text=text, tables=tables)


def _page_of_study(folder: Path) -> Page:
    index, results = read_index(folder), read_results(folder)
    finished = {key: RunSettings.load(folder / key) for key in index if is_finished(folder / key)}
    failed = failures(folder)
    sections = []
    if len(results):
        pictures = [drawn(caption, partial(draw, results)) for caption, draw in _draws(results)]
        sections.append(Section("Comparison", pictures=pictures, tables=study_tables(folder)))
        sections.append(Section("Runs", tables=[_runs(folder, index, finished)]))
    if failed:
        sections.append(Section("Failed", tables=[Table("Failed", ("run", "reason"), [*failed.items()])]))
    if finished:
        commands = [command_of(settings) for settings in finished.values()]
        done = [read_json(folder / key / DONE) for key in finished]
        sections += [
            Section("Settings", tables=[_variants(index, finished)]),
            *_machine(done, "Its runs were made on"),
            Section("Commands", text="The whole study is the file that `masoft study` was given; each of its trainings "
                    "by itself is:", commands=commands),
        ]  # fmt: skip
    return Page(folder.resolve().name, summary_of(folder), sections)


def _draws(results: Any) -> Iterator[tuple[str, Callable[[Any, Path], Path]]]:
    yield "Learning curves: interquartile means over seeds with 95 % intervals", draw_curves
    yield "Last evaluations: each seed, and the interquartile mean with its interval", draw_scores
    pairs = results.groupby("algorithm")["environment"].agg(frozenset)
    if len(pairs) > 1 and pairs.nunique() == 1:
        yield "Probability that a run of one algorithm ends above one of another", draw_improvement


def _runs(folder: Path, index: Mapping[str, Any], finished: Mapping[str, RunSettings]) -> Table:
    rows = []
    for key, settings in finished.items():
        last = read_rows(folder / key)[-1]
        names = index[key]["algorithm"], index[key]["environment"]
        seconds = read_json(folder / key / DONE)["seconds"]
        rows.append(
            (*names, settings.seed, f"{last['timesteps']:,.0f}", _figure(last["mean_return"]), f"{seconds:.0f}")
        )
    return Table("Runs", ("algorithm", "environment", "seed", "steps", "final return", "seconds"), rows)


def _variants(index: Mapping[str, Any], finished: Mapping[str, RunSettings]) -> Table:
    """One row an algorithm and environment; their runs differ by the seed."""
    rows = {}
    for key, settings in finished.items():
        names = index[key]["algorithm"], index[key]["environment"]
        values = {"n_envs": settings.n_envs, **settings.env_kwargs, **settings.parameters}
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        rows[names] = (*names, settings.algorithm, settings.env, f"{settings.total_timesteps:,}", text)
    columns = ("algorithm", "environment", "class", "id", "steps", "settings")
    return Table("Settings", columns, [*rows.values()], "Others are the algorithm's defaults.")


def _figure(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
