"""What a run's log says about its learning: temperature, entropy, drift and distance moved, agent by agent."""

from __future__ import annotations

from pathlib import Path

from masoft.errors import ConfigurationError, explain
from masoft.files.text import number, read_table
from masoft.runs.settings import LOG
from masoft.runs.style import COLOURS, DASHES, legend_below, new_figure, save_picture, tidy, write_data

STEPS = "time/total_timesteps"
# Column of the log (or its part before the agent's name) -> label of its panel.
PANELS = {
    "ent_coef": "temperature",
    "entropy": "entropy",
    "drift": "drift",
    "kl": "KL from the old policy",
    "clip_fraction": "share of clipped samples",
    "accepted": "share of accepted steps",
    "critic_loss": "critic loss",
    "value_loss": "value loss",
}
Lines = dict[str, tuple[list[int], list[float]]]
"""Agent, or "" for the team -> environment steps and values."""


def read_traces(folder: str | Path) -> dict[str, Lines]:
    """The traces in a run's log, by panel.

    Raises:
        ConfigurationError: the folder has no log.
    """
    path = Path(folder) / LOG
    if not path.is_file():
        cure = "Give the folder of a run of `masoft train` or `masoft study`."
        raise ConfigurationError(explain("The folder of a run", f"one with {LOG} in it", str(folder), cure))
    found: dict[str, Lines] = {}
    for row in read_table(path)[1]:
        step = number(row.get(STEPS))
        for column, text in row.items():
            kind, name, agent = [*column.split("/", 2), "", ""][:3]
            value = number(text)
            if kind == "train" and name in PANELS and value is not None and step is not None:
                steps, values = found.setdefault(name, {}).setdefault(agent, ([], []))
                steps.append(int(step))
                values.append(value)
    # The log puts columns in any order; an agent keeps its colour from panel to panel.
    return {name: dict(sorted(found[name].items())) for name in PANELS if name in found}


def draw_traces(folder: str | Path, path: str | Path) -> Path:
    """One panel a quantity, one line an agent where the log tells agents apart.

    Args:
        folder: of a run of `masoft train`, or of one in a study.
        path: picture to write; its ending decides the format; the numbers lie beside it as CSV.

    Raises:
        ConfigurationError: the folder has no log, or learning had not begun when it ended.
    """
    traces = read_traces(folder)
    if not traces:
        raise ConfigurationError(explain("The run", "one that has learned for a while", str(folder)))
    width = min(len(traces), 3)
    height = -(-len(traces) // width)
    figure = new_figure(3.6 * width, 2.6 * height)
    panels = figure.subplots(height, width, squeeze=False, sharex=True).reshape(-1)
    for panel, (name, lines) in zip(panels, traces.items(), strict=False):
        for i, (agent, (steps, values)) in enumerate(lines.items()):
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
            panel.plot(steps, values, label=agent or None, **style)
        panel.set(title=PANELS[name], xlabel="environment steps")
        panel.tick_params(labelbottom=True)  # also above a place that stays empty
        tidy(panel)
    for panel in panels[len(traces) :]:
        panel.set_visible(False)
    named = next((panel for panel, lines in zip(panels, traces.values(), strict=False) if any(lines)), None)
    if named is not None:
        legend_below(figure, named)
    save_picture(figure, path)
    rows = ((name, agent, step, value) for name, lines in traces.items() for agent, line in lines.items()
            for step, value in zip(*line, strict=True))  # fmt: skip
    write_data(path, ("quantity", "agent", "timesteps", "value"), rows)
    return Path(path)
