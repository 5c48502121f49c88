"""Builds Google Research Football's engine and installs it here: ``python -m masoft.envs.adapters.football_build``.

The package index has its source alone, and plain ``pip install gfootball`` fails: the build script needs psutil, which
the isolated build does not have. Done this way it takes about 15 minutes of one core, on Debian 12 or what is like it.
The build has a virtual environment of its own; yours gets the wheel and two small packages, and keeps everything else.

The library is linked against the system's Boost.Python, which serves one minor version of Python: 3.11 on Debian 12.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from masoft.errors import ConfigurationError, MissingDependencyError, explain

GFOOTBALL = "gfootball==2.10.2"

SYSTEM_PACKAGES = (
    "g++", "make", "cmake", "python3-dev", "libboost-python-dev", "libboost-system-dev", "libboost-thread-dev",
    "libboost-filesystem-dev", "libsdl2-dev", "libsdl2-image-dev", "libsdl2-ttf-dev", "libsdl2-gfx-dev",
    "libgl1-mesa-dev", "libegl-dev",
)  # fmt: skip
"""Debian's names: compiler, headers, and what the engine is linked to. The libraries are needed at run time too."""

BUILD_PACKAGES = ("setuptools<81", "wheel", "psutil")
RUNTIME_PACKAGES = ("absl-py>=1.0", "six>=1.16")


@dataclass(frozen=True)
class Step:
    """One command of the recipe.

    Args:
        why: what it does, for the log.
        command: program and arguments.
        env: environment variables beside those of the process.
    """

    why: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*variables, shlex.join(self.command)])


def recipe(folder: Path, wheels: Path, *, python: str = sys.executable, system: bool = True) -> tuple[Step, ...]:
    """All commands in order; nothing is run.

    Args:
        folder: for the build's own virtual environment.
        wheels: where the wheel goes, which later installs can use.
        python: the interpreter to install for.
        system: also install Debian's packages, which needs root or sudo.
    """
    build_python = str(folder / "venv" / "bin" / "python")
    # The build script takes `python3` from PATH; newer CMakes refuse its old minimum version without the second one.
    path = os.pathsep.join([str(folder / "venv" / "bin"), os.environ.get("PATH", os.defpath)])
    variables = {"PATH": path, "CMAKE_POLICY_VERSION_MINIMUM": "3.5"}
    pip = ("-m", "pip", "--disable-pip-version-check")
    build = ("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(wheels), GFOOTBALL)
    install = ("install", "--no-deps", "--no-index", "--find-links", str(wheels), GFOOTBALL)
    steps = (
        Step("a virtual environment for the build", (python, "-m", "venv", str(folder / "venv"))),
        Step("what the build script needs", (build_python, *pip, "install", *BUILD_PACKAGES)),
        Step("the engine and its wheel; this is the long one", (build_python, *pip, *build), variables),
        Step("the wheel into your environment", (python, *pip, *install)),
        Step("what it imports", (python, *pip, "install", *RUNTIME_PACKAGES)),
        Step("one episode", (python, "-c", _TRIAL)),
    )
    return (*_system_steps(), *steps) if system else steps


_TRIAL = "import masoft.envs; env = masoft.envs.make('football/rps'); env.reset(seed=0); print('football/rps runs')"


def _system_steps() -> tuple[Step, ...]:
    """Debian's packages."""
    sudo = () if hasattr(os, "geteuid") and os.geteuid() == 0 else ("sudo",)
    apt = (*sudo, "apt-get")
    quiet = {} if sudo else {"DEBIAN_FRONTEND": "noninteractive"}
    return (
        Step("Debian's list of packages", (*apt, "update")),
        Step("compiler and libraries", (*apt, "install", "--yes", "--no-install-recommends", *SYSTEM_PACKAGES), quiet),
    )


def run(steps: Sequence[Step]) -> None:
    """Run the commands, stop at the first that fails.

    Raises:
        MissingDependencyError: a command failed or does not exist; the message names it.
    """
    for number, step in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {step.why}\n    {step}", flush=True)
        if shutil.which(step.command[0]) is None:
            cure = "Install it, or leave out Debian's packages with --no-system."
            raise MissingDependencyError(explain("The program", "installed", step.command[0], cure))
        code = subprocess.run(step.command, env={**os.environ, **step.env}).returncode
        if code:
            must, cure = "free of errors", "Its own messages are above; start again where they are mended."
            raise MissingDependencyError(explain(f"Step {number} ({step.why})", must, f"exit status {code}", cure))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and build.

    Raises:
        ConfigurationError: not on Linux.
        MissingDependencyError: a step failed.
    """
    parser = argparse.ArgumentParser(prog="python -m masoft.envs.adapters.football_build", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    parser.add_argument("--no-system", action="store_true", help="leave out apt-get: Debian's packages are there")
    parser.add_argument("--wheels", type=Path, help="folder that keeps the wheel, for other environments")
    options = parser.parse_args(arguments)
    if sys.platform != "linux":
        cure = "Use a container with Debian 12, or follow the instructions of gfootball itself."
        raise ConfigurationError(explain("The system", "Linux", sys.platform, cure))
    with tempfile.TemporaryDirectory(prefix="football-build-") as folder:
        steps = recipe(Path(folder), options.wheels or Path(folder) / "wheels", system=not options.no_system)
        if options.dry_run:
            print("\n".join(str(step) for step in steps))
            return
        run(steps)


if __name__ == "__main__":
    main()
