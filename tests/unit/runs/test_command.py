"""The command line that a report prints parses back to the very settings of the run."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import masoft
from masoft.cli.train import algorithm_command, settings_of
from masoft.cli.values import parse_value
from masoft.mirror import KLDrift, Linear
from masoft.runs.command import command_of, written
from masoft.runs.driver import parameters_of
from masoft.runs.settings import RunSettings


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings("MEHAML", "mpe/simple_spread_v3", {"N": 2, "continuous_actions": True}, 4, 3, 500,
                    {"drift": KLDrift(0.5), "policy_kwargs": {"net_arch": [8]}, "gamma": 0.9, "ent_coef": "auto_0.2"}),
        RunSettings("HAPPO", "mymodule:My Env", {"name": "a b'c", "number": "12", "off": None}, 1, None, 1_000,
                    {"learning_rate": 3e-4, "n_steps": 64}, eval_every=50, eval_episodes=3, stop_at=-1.5, threads=2),
    ],
)  # fmt: skip
def test_it_gives_the_settings_back(settings: RunSettings) -> None:
    words = shlex.split(command_of(settings))
    assert words[:3] == ["masoft", "train", settings.algorithm.lower()]
    context = algorithm_command(settings.algorithm).make_context(words[2], words[3:])
    flags = {**context.params, "eval_episodes": context.params["eval_episodes"] or 10}
    again = settings_of(settings.algorithm, getattr(masoft, settings.algorithm), flags)
    assert asdict(again) | {"checkpoint_every": 0} == asdict(settings)


@pytest.mark.parametrize("value", [True, None, 1, 0.5, 1e-9, "auto", "12", "true", "[1", "a b", "", [1, 2], {"a": [1]}])
def test_values_are_written_as_they_are_read(value: Any) -> None:
    assert parse_value(written(value)) == value


def test_parts_survive_the_file(tmp_path: Path) -> None:
    rates = {"actor": Linear(1e-3, 0.0), "critic": 1e-3, "ent_coef": 1e-3}
    parts = {"drift": 2 * KLDrift(0.5), "n_steps": Linear(3, 1), "learning_rate": rates}
    settings = RunSettings("MEHAML", "matrix/maxent", {}, 1, 0, 20, parts)
    settings.save(tmp_path)
    assert parameters_of(RunSettings.load(tmp_path)) == settings.parameters
    assert parse_value(written(rates)) == rates
