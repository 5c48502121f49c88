"""What must be true on a GPU, and how fast it is: the tests of ``tests/gpu``, then the table of speeds.

Run: ``make gpu``, or ``python -m benchmarks.gpu [--minutes 9] [--device cuda]``. It asks no registry for anything, and
ends within the minutes given: what was not reached, or cannot be measured here, is a row that says "not measured".
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

import masoft
from benchmarks.collecting import rate_of
from benchmarks.synthetic import SHAPES, SPREAD, Shape, SyntheticTeam
from masoft.fast import recorder
from masoft.runs.machine import processor

OF_TESTS = 0.45
"""Share of the time that tests may take."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        what: is measured.
        asked: what is to be reached.
        measure: gives the figure as text.
        needs: packages without which it cannot be measured.
        on: device that it needs; empty: any.
        seconds: that it takes at most, by experience or by guess.
    """

    what: str
    asked: str
    measure: Callable[[], str]
    needs: tuple[str, ...] = ()
    on: str = ""
    seconds: float = 30.0


def update_ms(name: str, shape: Shape, device: str, record: bool | str, batch: int = 256, **settings: Any) -> float:
    """Milliseconds of one update, the best of several windows; what is recorded or compiled is so before."""
    env = masoft.make_vec(lambda: SyntheticTeam(shape))
    model = getattr(masoft, name)(env=env, batch_size=batch, device=device, seed=0, record=record, **settings)
    if "n_steps" in settings:
        model.learn(model.n_steps)
        work: Callable[[], Any] = model.train
        n_updates = model.n_epochs * -(-model.n_steps // batch) * shape.n_agents
    else:
        model.learning_starts = 10**9
        model.learn(2 * batch)
        n_updates = 8
        work = partial(model.train, n_updates, batch)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / n_updates * 1e3)
    return best


def update(shape: Shape, device: str) -> str:
    """HASAC's update recorded, and as it is."""
    recorded, plain = (update_ms("HASAC", shape, device, record, buffer_size=10_000) for record in (True, False))
    return f"{recorded:.2f} ms recorded, {plain:.2f} ms as it is"


def ratio(
    name: str, device: str, shape: Shape = SPREAD, batch: int = 256, record: bool | str = True, **settings: Any
) -> str:
    """How many times faster recorded is."""
    small = {"buffer_size": 10_000} if "n_steps" not in settings else {}
    recorded, plain = (update_ms(name, shape, device, way, batch, **small, **settings) for way in (record, False))
    return f"{plain / recorded:.2f} ({recorded:.2f} against {plain:.2f} ms)"


def compiled(shape: Shape, batch: int, **settings: Any) -> str:
    """How many times faster compiled is, without the wait before it is worth it."""
    patience, recorder.PATIENCE = recorder.PATIENCE, 2
    try:
        return ratio("HASAC", "cpu", shape, batch, "compile", **settings)
    finally:
        recorder.PATIENCE = patience


def vmas(device: str, n_envs: int, updates: int, batch: int, settings: dict[str, Any] | None = None) -> float:
    """Environment steps a second of MASAC with so many updates a vector step."""
    env = masoft.make_vec("vmas/balance", n_envs=n_envs, seed=0, device=device, tensors=True)
    model = masoft.MASAC(
        env, batch_size=batch, gradient_steps=updates, learning_starts=2 * n_envs, buffer_size=50 * n_envs,
        device=device, seed=0, record=device.startswith("cuda"), **(settings or {}),
    )  # fmt: skip
    return rate_of(model, 12, 20, time.perf_counter)


def beside_benchmarl(device: str, n_envs: int, updates: int, batch: int) -> str:
    """The same against BenchMARL, where that is installed."""
    ours = vmas(device, n_envs, updates, batch)
    if importlib.util.find_spec("benchmarl") is None or updates > 1:
        return f"{ours:,.0f} steps/s; BenchMARL not measured"
    from benchmarks.beside_benchmarl import benchmarl_rates

    theirs = benchmarl_rates(n_envs, device, batch, time.perf_counter)[1]
    return f"{ours / theirs:.2f} ({ours:,.0f} against {theirs:,.0f} steps/s)"


def smax(n_envs: int, device: str) -> str:
    """Steps a second of HAPPO in so many battles."""
    env = masoft.make_vec("smax/3m", n_envs=n_envs, seed=0, tensors=True)
    model = masoft.HAPPO(env=env, n_steps=128, batch_size=n_envs * 32, n_epochs=4, device=device, seed=0)
    return f"{rate_of(model, 129, 256, time.perf_counter):,.0f} steps/s"


def rows(device: str) -> Iterator[Row]:
    """The table, in the order in which it is measured: what tells most first."""
    n_agents = {2: SHAPES[0], 3: SPREAD, 6: SHAPES[2], 10: SHAPES[4], 17: SHAPES[6]}
    asked = {2: "1.3 ms", 3: "1.8 ms", 6: "3.2 ms", 10: "5 ms", 17: "9 ms"}
    for n, shape in n_agents.items():
        what = f"GPU: HASAC update, batch 256, n = {n}"
        yield Row(what, asked[n], lambda shape=shape: update(shape, device), on="cuda", seconds=15 + 3 * n)
    discrete = replace(SPREAD, discrete=True)
    yield Row("HATD3 on a GPU against eager", ">= 6", lambda: ratio("HATD3", device), on="cuda")
    yield Row("QMIX on a GPU against eager", ">= 6", lambda: ratio("QMIX", device, discrete), on="cuda")
    on_policy = dict(n_steps=1024, n_epochs=4)
    yield Row(
        "HAPPO minibatch step on a GPU against eager", ">= 6", lambda: ratio("HAPPO", device, **on_policy), on="cuda"
    )
    for updates, at_least in ((1, ">= 1.5"), (8, ">= 2.5")):
        what = f"VMAS balance, 4,096 worlds, updates a vector step: {updates}, against BenchMARL"
        yield Row(what, at_least, lambda u=updates: beside_benchmarl(device, 4096, u, 4096), ("vmas",), "cuda", 60)
    yield Row(
        "SMAX 3m, 1,024 battles, HAPPO", ">= 50,000 steps/s", lambda: smax(1024, device), ("jaxmarl",), "cuda", 60
    )
    matrix = Shape("matrix", 2, 1, 1, 3, discrete=True)
    wide, narrow = ({"policy_kwargs": {"net_arch": [width, width]}} for width in (256, 128))
    yield Row("one core: HASAC recorded, width 128", ">= 1.25", lambda: ratio("HASAC", "cpu", matrix, 200, **narrow))
    yield Row("one core: HASAC recorded, width 256", ">= 1.03", lambda: ratio("HASAC", "cpu", SPREAD, 256, **wide))
    yield Row(
        "one core: VMAS balance, 1,024 worlds, end to end, against BenchMARL", ">= 1.2",
        lambda: beside_benchmarl("cpu", 1024, 1, 1024), ("vmas",), seconds=40,
    )  # fmt: skip
    yield Row(
        "one core: HASAC compiled, width 128", ">= 1.8", lambda: compiled(matrix, 200, **narrow), seconds=200,
    )  # fmt: skip
    yield Row("one core: HASAC compiled, width 256", ">= 1.3", lambda: compiled(SPREAD, 256, **wide), seconds=200)


def measured(row: Row, device: str, left: float) -> str:
    """A row's figure, or why there is none."""
    missing = [name for name in row.needs if importlib.util.find_spec(name) is None]
    if row.on == "cuda" and not (device.startswith("cuda") and torch.cuda.is_available()):
        return "not measured: no GPU"
    if missing:
        return f"not measured: {', '.join(missing)} is not installed"
    if left < row.seconds:
        return "not measured: no time was left"
    try:
        return row.measure()
    except Exception as error:  # one row that fails leaves the others
        return f"not measured: {type(error).__name__}: {' '.join(str(error).split())[:120]}"


def run_tests(seconds: float) -> str:
    """The last line of what pytest says."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "stopped: no time was left"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "\n".join([*failed, (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]])


def main(arguments: list[str] | None = None) -> None:
    """Run the tests and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="when to have ended")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default="", help="measure only rows whose name has this in it, and run no tests")
    given = parser.parse_args(arguments)
    end = time.monotonic() + 60 * given.minutes - 10
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else "no GPU"
    print(f"{datetime.date.today()}, {name}, {processor()}, torch {torch.__version__}, 1 thread\n", flush=True)
    if not given.only:
        print(f"tests/gpu: {run_tests(OF_TESTS * 60 * given.minutes)}\n", flush=True)
    print("| what | asked | measured |\n|---|---|---|")
    for row in rows(given.device):
        if given.only in row.what:
            print(f"| {row.what} | {row.asked} | {measured(row, given.device, end - time.monotonic())} |", flush=True)


if __name__ == "__main__":
    main()
