"""``masoft doctor``: what is installed, what is missing, and the command that mends it; and what an environment is."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any

import click

import masoft
from masoft.cli.output import show_json, show_table
from masoft.cli.requirements import missing_of
from masoft.errors import ConfigurationError, explain

CORE = ("torch", "stable-baselines3", "gymnasium", "pettingzoo", "numpy", "mpe2", "supersuit", "tensorboard")

# Extras that are no simulator's, and what they are for.
EXTRAS = {
    "deploy": "ONNX files", "studies": "comparisons, tuning, movies", "ray": "more machines",
    "s3": "runs at s3://", "gcs": "runs at gs://", "wandb": "a tracker", "mlflow": "a tracker",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: its name.
        state: what was found.
        good: whether nothing needs doing.
        cure: the command or step that mends it; empty where nothing is wrong.
    """

    what: str
    state: str
    good: bool = True
    cure: str = ""


@click.command(short_help="Say what is missing, and what mends it.")
@click.option(
    "--env", metavar="ID|MODULE:CLASS", help="Look at an environment: an id, or a class or function of yours."
)
@click.option("--strict", is_flag=True, help="With --env: what trains all the same counts as a fault too.")
@click.option("--steps", default=200, show_default=True, type=click.IntRange(1), help="With --env: of each check.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(env: str | None, strict: bool, steps: int, as_json: bool) -> None:
    """Say what works on this machine and how to mend what does not."""
    if env is not None:
        examine_env(env, strict=strict, steps=steps, as_json=as_json)
        return
    findings = [*core(), *simulators(), starcraft(), *extras(), *machine()]
    if as_json:
        show_json([asdict(finding) for finding in findings])
        return
    rows = [[item.what, item.state, "" if item.good else item.cure] for item in findings]
    show_table(f"masoft {masoft.__version__}, Python {platform.python_version()}", ["what", "state", "to mend"], rows)


def examine_env(name: str, *, strict: bool, steps: int, as_json: bool) -> None:
    """Print the report on one environment; the exit code is 1 where it cannot be trained on."""
    from masoft.envs.report import examine

    report = examine(load(name), n_steps=steps, strict=strict)
    if as_json:
        findings = [{"what": item.what, "mark": item.mark, "reason": item.reason} for item in report.findings]
        agents = [asdict(agent) for agent in report.agents]
        show_json({"env": report.name, "passed": report.passed, "findings": findings, "agents": agents,
                   **dict(report.facts), "steps_per_second": report.steps_per_second})  # fmt: skip
    else:
        click.echo(str(report))
    if not report.passed:
        sys.exit(1)


def load(name: str) -> Any:
    """What ``module:Class`` names, looked for in this folder too; an id as it is.

    Raises:
        ConfigurationError: there is no such thing.
    """
    module, colon, attribute = name.partition(":")
    if not colon or "/" in module:
        return name
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        must = "an id, or module:Class of something that can be imported here"
        raise ConfigurationError(explain("--env", must, name, f"It says: {error}.")) from error


def core() -> list[Finding]:
    """The packages that masoft always needs."""
    found = []
    for name in CORE:
        try:
            found.append(Finding(name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, "missing", False, f"pip install {name}"))
    return found


def simulators() -> list[Finding]:
    """The simulators, one line a family of environment ids."""
    from masoft.envs import registered

    families: dict[str, Finding] = {}
    for entry in registered():
        family = entry.id.split("/")[0] + "/*"
        if family not in families:
            state = "ready" if entry.is_installed else f"needs {', '.join(entry.missing)}"
            families[family] = Finding(family, state, entry.is_installed, entry.install_command)
    return list(families.values())


def extras() -> list[Finding]:
    """What the extras for deployment, studies and clusters still need here, by masoft's own list of requirements."""
    found = []
    for name, use in EXTRAS.items():
        missing = missing_of(name)
        state = f"needs {', '.join(missing)}" if missing else "ready"
        found.append(Finding(f"[{name}] {use}", state, not missing, f'pip install "masoft[{name}]"'))
    return found


def starcraft() -> Finding:
    """The game that ``smac/*`` and ``smacv2/*`` start; it comes from no package."""
    from masoft.envs.adapters.smac_game import GAME_CURE, game_folder, missing_parts

    folder = game_folder()
    missing = missing_parts(folder)
    state = f"no {' and no '.join(missing)} in {folder}" if missing else f"ready in {folder}"
    return Finding("StarCraft II", state, not missing, GAME_CURE)


def machine() -> list[Finding]:
    """Cores and accelerator, without importing torch."""
    cores = Finding("CPU cores", str(os.cpu_count()))
    if shutil.which("nvidia-smi") is None:
        return [cores, Finding("GPU", "none seen; everything runs on the CPU")]
    build = next((finding.state for finding in core() if finding.what == "torch"), "")
    if "+cpu" not in build:
        return [cores, Finding("GPU", "seen; device='auto' uses it")]
    cure = "install a CUDA build of PyTorch, see pytorch.org"
    return [cores, Finding("GPU", f"seen, but torch {build} is a CPU build", False, cure)]
