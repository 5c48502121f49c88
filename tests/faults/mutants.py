"""Do the fast tests notice a fault of one line? ``python tests/faults/mutants.py [--only N] [--file WORD]``.

The package is copied to a temporary folder, where the faults of `planted.py` are planted one at a time; the tests that
concern each are run on the copy. A fault is caught where a test fails, or where it runs for longer than two minutes; a
test that cannot be collected catches nothing. Before that the same tests have to pass without any fault.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import pytest
import stable_baselines3  # noqa: F401  each forked run has it, and torch, already
import torch
from planted import FAULTS, Fault

ROOT = Path(__file__).parents[2]
MISSED = 2
"""So many faults at most may go unnoticed."""
SECONDS = 120
"""So long may the tests of one fault take."""


class FirstFailure:
    """Remembers which test failed first, and has hypothesis stop there rather than seek a simpler example."""

    name = ""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not before pytest, which wants to rewrite it

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("first", settings.get_profile("fixed"), phases=phases)
        settings.load_profile("first")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def outcome(tests: Sequence[str], copy: Path, seconds: int) -> tuple[bool | None, str]:
    """Whether the tests pass on the copy, in a process of their own, and which did not; None: they could not be run."""
    note = copy / "first_failure"
    note.write_text("")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 98
        try:
            signal.alarm(seconds)
            code = run(tests, copy, note)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False, f"ended by signal {os.WTERMSIG(status)}"
    code = os.WEXITSTATUS(status)
    return {0: True, 1: False}.get(code), note.read_text() or f"pytest ended with {code}"


def run(tests: Sequence[str], copy: Path, note: Path) -> int:
    """What pytest returns; never comes back with the repository's own package."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    first = FirstFailure()
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "-x", "-q", "-m", "not slow"]
    code = int(pytest.main([*options, *tests], plugins=[first]))
    import masoft

    note.write_text(first.name)
    return code if Path(masoft.__file__).is_relative_to(copy) else 99


def plant(fault: Fault, package: Path) -> tuple[Path, str]:
    """Write the fault into the copy; the path and what stood there before."""
    path = package / fault.file
    before = path.read_text()
    if before.count(fault.old) != 1:
        raise SystemExit(f"{fault.file} has {fault.old!r} {before.count(fault.old)} times, not once")
    path.write_text(before.replace(fault.old, fault.new))
    return path, before


def chosen(only: int | None, word: str) -> list[tuple[int, Fault]]:
    """Faults by number, from 1."""
    numbered = list(enumerate(FAULTS, start=1))
    return [(n, fault) for n, fault in numbered if only in (None, n) and word in fault.file]


def main(arguments: Sequence[str]) -> int:
    """Plant, test, restore, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, metavar="N", help="the N-th fault, from 1")
    parser.add_argument("--file", default="", metavar="WORD", help="faults in files whose path has this word")
    parsed = parser.parse_args(arguments)
    faults, start = chosen(parsed.only, parsed.file), time.monotonic()
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True  # a fault and what was there before may be equally long and as old to the second
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        package = copy / "masoft"
        shutil.copytree(ROOT / "masoft", package, ignore=shutil.ignore_patterns("__pycache__"))
        tests = sorted({test for _, fault in faults for test in fault.tests})
        passes, name = outcome(tests, copy, SECONDS * len(tests))
        if not passes:
            print(f"Without any fault, {name} does not pass.")
            return 2
        print(f"{len(tests)} files of tests pass without a fault ({time.monotonic() - start:.0f} s)")
        missed = 0
        for n, fault in faults:
            begun = time.monotonic()
            path, before = plant(fault, package)
            passes, name = outcome(fault.tests, copy, SECONDS)
            path.write_text(before)
            verdict = {True: "SURVIVED", False: "caught", None: "BROKEN"}[passes]
            missed += passes is not False
            seconds = time.monotonic() - begun
            print(f"{n:2} {verdict:8} {seconds:4.0f} s  {fault.file}: {fault.old} -> {fault.new}")
            print(f"{'':19}{'' if passes else name}", flush=True)
    print(f"{len(faults) - missed} of {len(faults)} caught in {time.monotonic() - start:.0f} s")
    return int(missed > MISSED)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
