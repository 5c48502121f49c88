"""Redraw every picture of these pages from the tidy data: ``python docs/benchmarks/_draw.py``.

Curves are in files named ``<task>_<label>_seed<k>.csv`` with the columns that ``benchmarks/learning.py`` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF
from masoft.tabular import MarkovGame, haspi

HERE = Path(__file__).parent
STEPS, SECONDS = "env_steps", "cpu_s"
AXES = {STEPS: "thousand environment steps", SECONDS: "CPU seconds (training only)"}
# Beside the reference: title, labels, and the axes; processor time only where both ran on machines of one speed.
BESIDE_REFERENCE = {
    "spread": ("mpe/simple_spread_v3, continuous, N = 3", ("harl", "hasac"), (STEPS, SECONDS)),
    "halfcheetah_2x3": ("mamujoco/HalfCheetah-2x3", ("harl", "hasac", "hasac-before"), (STEPS,)),
}
LABELS = {
    "harl": "HARL (reference)",
    "hasac": "masoft HASAC, paper's settings",
    "hasac-before": "the same, an earlier version of masoft",
    "happo": "HAPPO",
    "mappo": "MAPPO",
    "hatd3": "HATD3",
    "qmix": "QMIX",
    "vdn": "VDN",
    "haddpg": "HADDPG",
    "masac": "MASAC",
    "drift": "with a KL drift",
    "ball": "within a KL ball",
    "both": "with both",
    "chosen": "HASAC's defaults",
    "annealed": "steps shorten to one",
    "mean": "mean of the targets",
    "n1": "one step",
    "lr3e-4": "rate 3e-4",
    "relative": "relative entropy, also in the target",
    "hasac-fast": "HASAC, rate 2e-3",
    "hasac-sees": "HASAC, the critic sees what all agents see",
    "hasac-learned": "HASAC's defaults",
    **{f"alpha{ent_coef}": f"temperature {ent_coef}" for ent_coef in (1, 5, 10, 15, 20)},
    "happo-soft": "HAPPO, temperature 10",
}


@dataclass(frozen=True)
class Group:
    """Several tasks in one picture, a panel each.

    Args:
        labels: whose curves are drawn.
        tasks: task -> title of its panel, and what uniformly random actions get there (None: not drawn).
        names: label -> what the legend says, where that differs from `LABELS`.
        until: environment steps that are still drawn.
        wins: tasks whose share of won episodes is drawn and not the return.
        columns: panels side by side.
    """

    labels: tuple[str, ...]
    tasks: dict[str, tuple[str, float | None]]
    names: dict[str, str]
    until: int = 10**9
    wins: tuple[str, ...] = ()
    columns: int = 4


SPREAD, CHEETAH = "simple_spread_v3, continuous", "HalfCheetah-2x3"
GROUPS = {
    "off_policy": Group(
        ("hasac", "hatd3", "haddpg"), {"halfcheetah_2x3": (CHEETAH, -295.0), "spread": (SPREAD, -75.1)}, {}, 100_000
    ),
    "order": Group(
        ("hasac", "masac"),
        {
            "halfcheetah_2x3": (CHEETAH, -295.0),
            "spread": (SPREAD, -75.1),
            "speaker-listener-continuous": ("simple_speaker_listener_v4, continuous", -73.9),
        },
        {"hasac": "HASAC, one after the other", "masac": "MASAC, at the same time"},
        100_000,
    ),
    "robots": Group(
        ("hasac",), {"walker2d_2x3": ("Walker2d-2x3", 2.8), "ant_4x2": ("Ant-4x2", -107.0)}, {"hasac": "HASAC"}
    ),
    "team_games": Group(
        ("hasac",),
        {
            "smax-3m": ("smax/3m", 0.0),
            "smax-3s5z": ("smax/3s5z", 0.0),
            "vmas-balance": ("vmas/balance", -9.2),
            "vmas-navigation": ("vmas/navigation", -0.6),
        },
        {"hasac": "HASAC"},
        wins=("smax-3m", "smax-3s5z"),
    ),
    "parts": Group(
        ("hasac", "drift", "ball", "both"),
        {
            "parts-speaker": ("simple_speaker_listener_v4, continuous", -73.9),
            "parts-halfcheetah": (CHEETAH, None),
        },
        {"hasac": "HASAC"},
    ),
    "derived": Group(
        ("hasac", "hasac-fast", "relative"), {"derived-spread": (SPREAD, -75.1)}, {"hasac": "HASAC, rate 1e-3"}
    ),
    "defaults": Group(
        ("chosen", "annealed", "mean", "n1", "lr3e-4"),
        {"defaults-halfcheetah": (CHEETAH, None), "defaults-spread": (SPREAD, -75.1)},
        {},
    ),
    "particles": Group(
        ("hasac", "hatd3", "happo", "mappo"),
        {
            "mpe-spread-continuous": (SPREAD, -76.4),
            "mpe-reference-continuous": ("simple_reference_v3, continuous", -52.3),
            "mpe-speaker-listener-continuous": ("simple_speaker_listener_v4, continuous", -73.5),
            "mpe-spread-discrete": ("simple_spread_v3, discrete", -80.6),
            "mpe-reference-discrete": ("simple_reference_v3, discrete", -55.0),
            "mpe-speaker-listener-discrete": ("simple_speaker_listener_v4, discrete", -82.2),
        },
        {"hasac": "HASAC"},
        columns=3,
    ),
    "million": Group(("hasac", "hatd3", "happo"), {"long-halfcheetah": (CHEETAH, -295.0)}, {"hasac": "HASAC"}),
    "shortening": Group(("hasac", "hatd3"), {"shortening-halfcheetah": (CHEETAH, -295.0)}, {"hasac": "HASAC"}),
    "unit": Group(
        ("hasac", "hatd3"),
        {
            "shortening-halfcheetah": ("HalfCheetah 2x3, observations as they are", -295.0),
            "unit-halfcheetah": ("observations of unit size", -295.0),
        },
        {"hasac": "HASAC"},
    ),
    "walker": Group(
        ("hasac", "hatd3", "happo", "mappo", "hasac-learned"),
        {"full-walker": ("Walker2d 2x3, the whole robot of unit size", 2.8)},
        {"hasac": "HASAC"},
    ),
    "families": Group(
        ("hasac", "happo", "mappo", "qmix", "vdn"),
        {
            "lbf-5x5-2p-1f": ("lbf/Foraging-5x5-2p-1f", 0.47),
            "lbf-8x8-2p-3f": ("lbf/Foraging-8x8-2p-3f", 0.19),
            "lbf-10x10-3p-3f": ("lbf/Foraging-10x10-3p-3f", 0.09),
            "overcooked-cramped-room": ("overcooked/cramped_room, shaped", 4.7),
            "momaland-item-gathering": ("momaland/item_gathering", 0.07),
            "magent2-battle": ("magent2/battle, 100 steps", -4.2),
            "multiwalker": ("sisl/multiwalker", -104.5),
            "pursuit": ("sisl/pursuit", -46.3),
            "camar-random-grid": ("camar/random_grid", -0.96),
            "rware-tiny-2ag": ("rware/tiny-2ag", 0.06),
        },
        {"hasac": "HASAC"},
        columns=4,
    ),
    "battles": Group(
        ("hasac", "hasac-sees", "mappo", "happo"), {"smax-3m": ("smax/3m", 0.0)}, {"hasac": "HASAC"}, wins=("smax-3m",)
    ),
    "maps": Group(
        ("hasac", "hasac-sees", "mappo"),
        {"smax-2s3z": ("smax/2s3z", 0.0), "smax-3s5z": ("smax/3s5z", 0.0)},
        {"hasac": "HASAC"},
        wins=("smax-2s3z", "smax-3s5z"),
    ),
    "outnumbered": Group(
        ("hasac",),
        {"smax-5m_vs_6m": ("smax/5m_vs_6m", None), "smax-8m_vs_9m": ("smax/8m_vs_9m", None)},
        {"hasac": "HASAC"},
    ),
}
# The paper's matrix game: title of each panel, then whose payoffs are drawn.
GAME = {
    "game-methods": ("four methods", ("hasac", "happo-soft", "happo", "mappo")),
    "game-temperatures": ("HASAC", ("alpha1", "alpha5", "alpha10", "alpha15", "alpha20")),
}
GAME_NAMES = {"hasac": "HASAC, temperature 10"}
# One line a seed: title of each panel, then horizontal lines: what random actions and a script get.
SIMULATORS = {
    "door-open-outward": ("dexhands/ShadowHandDoorOpenOutward", {"random actions": 20.5, "scripted hands": 160.0}),
    "hand-over": ("dexhands/ShadowHandOver", {"random actions": 3.0}),
    "lag-2v2": ("lag/2v2-noweapon", {"random actions": 11.1, "a chase by hand": 30.0}),
}
# Okabe and Ito's colours; line styles tell the curves apart without them.
STYLES = {
    "harl": ("#000000", "--"),
    "hasac": ("#0072B2", "-"),
    "hasac-before": ("#56B4E9", "-."),
    "happo": ("#009E73", "-."),
    "mappo": ("#CC79A7", (0, (1, 1))),
    "hatd3": ("#D55E00", "--"),
    "haddpg": ("#009E73", "-."),
    "masac": ("#D55E00", "--"),
    "drift": ("#D55E00", "--"),
    "ball": ("#009E73", "-."),
    "both": ("#CC79A7", (0, (1, 1))),
    "chosen": ("#0072B2", "-"),
    "annealed": ("#D55E00", "--"),
    "relative": ("#D55E00", "--"),
    "hasac-fast": ("#56B4E9", "-."),
    "hasac-sees": ("#D55E00", "--"),
    "hasac-learned": ("#0072B2", "--"),
    "mean": ("#009E73", "-."),
    "n1": ("#000000", (0, (5, 1, 1, 1))),
    "lr3e-4": ("#CC79A7", (0, (1, 1))),
    "happo-soft": ("#D55E00", "--"),
    "qmix": ("#D55E00", "--"),
    "vdn": ("#56B4E9", (0, (3, 1, 1, 1, 1, 1))),
    "alpha1": ("#D55E00", "--"),
    "alpha5": ("#0072B2", "-"),
    "alpha10": ("#009E73", "-."),
    "alpha15": ("#000000", (0, (5, 1, 1, 1))),
    "alpha20": ("#CC79A7", (0, (1, 1))),
}
SEED_LINES = ("-", "--", "-.")


def load() -> pd.DataFrame:
    """All curves as one table with the columns task, label, seed and those of the files."""
    tables = []
    for path in sorted((HERE / "data").glob("*_seed*.csv")):
        stem, seed = path.stem.rsplit("_seed", 1)
        task, label = stem.rsplit("_", 1)
        tables.append(pd.read_csv(path).assign(task=task, label=label, seed=int(seed)))
    return pd.concat(tables, ignore_index=True)


def draw(task: str, curves: pd.DataFrame) -> Path:
    """Returns against environment steps, and where it can be compared against CPU seconds, one line a seed."""
    title, labels, axes = BESIDE_REFERENCE[task]
    figure, panels = plt.subplots(1, len(axes), figsize=(1 + 4 * len(axes), 3.4), sharey=True, squeeze=False)
    for panel, column in zip(panels[0], axes, strict=True):
        for label in labels:
            for k, (_, curve) in enumerate(curves[curves["label"] == label].groupby("seed")):
                colour, line = STYLES[label]
                panel.plot(
                    curve[column] / (1000 if column == STEPS else 1),
                    curve["eval_return_mean"],
                    color=colour,
                    linestyle=line,
                    label=None if k else LABELS[label],
                )
        panel.set_xlabel(AXES[column])
        panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8)
    panels[0, 0].set_ylabel("mean return of the mode actions")
    figure.suptitle(title)
    figure.tight_layout()
    return save(figure, task)


def draw_group(name: str, curves: pd.DataFrame) -> Path:
    """A panel a task: the mean over seeds, a band from the worst to the best seed, and random actions."""
    group = GROUPS[name]
    columns = min(group.columns, len(group.tasks))
    rows = -(-len(group.tasks) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(max(3.1 * columns, 7.0), 0.4 + 2.8 * rows), squeeze=False)
    panels = grid.flatten()[: len(group.tasks)]
    for unused in grid.flatten()[len(group.tasks) :]:
        unused.set_axis_off()
    for panel, (task, (title, random)) in zip(panels, group.tasks.items(), strict=True):
        for label in group.labels:
            runs = curves[
                (curves["task"] == task) & (curves["label"] == label) & (curves["env_steps"] <= group.until + 20)
            ]
            column = "eval_success" if task in group.wins else "eval_return_mean"
            plot_band(panel, runs, column, label, group.names.get(label, LABELS[label]))
        if random is not None:
            panel.axhline(random, color="#000000", linestyle=":", label="random actions")
        if task in group.wins:
            panel.set_ylim(-0.03, 1.03)
        if group.wins:
            title += ", win rate" if task in group.wins else ", return"
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("thousand environment steps", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="lower center", ncols=5, frameon=False)
    what = "of the mode actions" if group.wins else "mean return of the mode actions"
    for panel in grid[:, 0]:
        panel.set_ylabel(what, fontsize=8)
    figure.tight_layout(rect=(0, 0.08 / rows, 1, 1))
    return save(figure, name)


def plot_band(panel: Any, runs: pd.DataFrame, column: str, label: str, name: str) -> None:
    """The mean over seeds, and a band from the worst to the best."""
    points = runs.groupby("env_steps")[column].agg(["mean", "min", "max"])
    colour, line = STYLES[label]
    steps = points.index / 1000
    panel.plot(steps, points["mean"], color=colour, linestyle=line, label=name)
    panel.fill_between(steps, points["min"], points["max"], color=colour, alpha=0.15, linewidth=0)


def draw_game(curves: pd.DataFrame) -> Path:
    """Payoffs while learning the paper's matrix game: methods on the left, temperatures on the right."""
    figure, panels = plt.subplots(1, len(GAME), figsize=(8.4, 3.2), sharey=True)
    for panel, (task, (title, labels)) in zip(panels, GAME.items(), strict=True):
        for label in labels:
            runs = curves[(curves["task"] == task) & (curves["label"] == label)]
            plot_band(panel, runs, "eval_return_mean", label, GAME_NAMES.get(label, LABELS[label]))
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("thousand games", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    panels[0].set_ylabel("payoff of the games played", fontsize=8)
    figure.tight_layout()
    return save(figure, "game")


def draw_equilibria() -> Path:
    """Joint policies of the paper's matrix game over temperatures: exact, and learned (the mean over seeds)."""
    ends = pd.read_csv(HERE / "data" / "game-policies.csv")
    start, actions = np.array([BIASED_START]), ["p_A", "p_B", "p_C"]
    temperatures = sorted(ends["ent_coef"].unique())
    figure, panels = plt.subplots(2, len(temperatures), figsize=(11, 4.6), layout="constrained")
    for column, ent_coef in zip(panels.T, temperatures, strict=True):
        end = haspi(MarkovGame.matrix(MAXENT_PAYOFF), ent_coef=ent_coef, policies=[start, start])
        runs = ends[ends["ent_coef"] == ent_coef]
        one, two = (runs[runs["agent"] == agent][actions].to_numpy() for agent in (0, 1))
        tables = {
            "exact": np.outer(end.policies[0][0], end.policies[1][0]),
            "learned": np.mean([np.outer(p, q) for p, q in zip(one, two, strict=True)], axis=0),
        }
        for panel, (name, table) in zip(column, tables.items(), strict=True):
            image = panel.imshow(table, vmin=0, vmax=1, cmap="cividis")
            panel.set(xticks=range(3), yticks=range(3), xticklabels="ABC", yticklabels="ABC")
            panel.set_title(f"{name}, alpha = {ent_coef:g}", fontsize=9)
            for (row, col), value in np.ndenumerate(table):
                panel.text(col, row, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.5 else "k")
    figure.colorbar(image, ax=panels, label="joint probability")
    return save(figure, "temperatures")


def draw_growth() -> Path:
    """GEMMs of an update, and of a draw, as one thing grows."""
    costs = pd.read_csv(HERE / "data" / "growth.csv")
    sweeps = list(costs.groupby("what", sort=False))
    figure, panels = plt.subplots(1, len(sweeps), figsize=(14, 3.2), layout="constrained")
    for panel, (what, sweep) in zip(panels, sweeps, strict=True):
        panel.plot(sweep["value"], sweep["gemms"], marker="o")
        is_draw = what == "transitions stored"
        scale, unit = ("log", "GEMMs a draw") if is_draw else ("linear", "GEMMs an update")
        panel.set(xlabel=what, ylabel=unit, xscale=scale, ylim=(0, None))
    return save(figure, "growth")


def save(figure: Any, name: str) -> Path:
    """Write a picture."""
    out = HERE / "pictures" / f"{name}.png"
    out.parent.mkdir(exist_ok=True)
    figure.savefig(out, dpi=130)
    plt.close(figure)
    return out


def draw_simulators(curves: pd.DataFrame) -> Path:
    """A panel a task of `SIMULATORS`, one line a seed."""
    figure, panels = plt.subplots(1, len(SIMULATORS), figsize=(3.6 * len(SIMULATORS), 3.2))
    for panel, (task, (title, levels)) in zip(panels, SIMULATORS.items(), strict=True):
        for seed, curve in curves[curves["task"] == task].groupby("seed"):
            steps, returns = curve["env_steps"] / 1000, curve["eval_return_mean"]
            panel.plot(steps, returns, SEED_LINES[(seed - 1) % len(SEED_LINES)], color="#0072B2", label=f"seed {seed}")
        for (name, level), line in zip(levels.items(), (":", (0, (5, 1))), strict=False):
            panel.axhline(level, color="#000000", linestyle=line, label=name)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("thousand environment steps", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    panels[0].set_ylabel("mean return of the mode actions", fontsize=8)
    figure.tight_layout()
    return save(figure, "hands_and_aircraft")


if __name__ == "__main__":
    table = load()
    for name in BESIDE_REFERENCE:
        print(draw(name, table[table["task"] == name]))
    print(draw_simulators(table), draw_game(table), draw_equilibria(), draw_growth(), sep="\n")
    for name in GROUPS:
        print(draw_group(name, table))
