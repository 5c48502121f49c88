"""Faults at random in one training, which ends as if nothing had happened: ``python tests/faults/chaos.py [N] [SEED]``.

A child trains with a checkpoint every few steps until a fault ends it; the next child goes on from what it left. After
N faults a last child ends the run, and its weights and optimisers have to equal those of a run that nothing disturbed,
bit by bit. No completed checkpoint may ever be missing. The faults:

- kill, term, interrupt: SIGKILL (also while it resumes, or inside a save), SIGTERM, SIGINT;
- nan, raise: an environment gives NaN or raises;
- hang, lost: a worker process hangs, or is killed;
- disk: no file may grow beyond 2 kB for a while (RLIMIT_FSIZE), so that checkpoints fail; then a signal;
- clock: the system's clock jumps back by up to ten days; then a signal;
- cut: the newest checkpoint is cut at a random byte.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft.envs.subproc
from masoft import HASAC, make_vec
from masoft.errors import EnvironmentFault
from masoft.files import read_archive
from masoft.saving.checkpoint_callback import CheckpointCallback
from masoft.saving.checkpoint_folder import CheckpointFolder
from masoft.testing.games import IdentityTeam

SETTINGS: dict[str, Any] = dict(
    learning_starts=32, batch_size=16, buffer_size=2_000, train_freq=4, gradient_steps=1, seed=0, device="cpu",
    policy_kwargs={"net_arch": [16]},
)  # fmt: skip
N_ENVS = 2
ROUND = 8
"""Environment steps between two updates."""
EVERY = 24
"""Environment steps between two checkpoints."""
SMALLEST_DISK = 2_000
MESSAGE = struct.Struct("<cq")
READY, SAVED, FAILED, LIFTED = b"r", b"s", b"f", b"l"
ENDED_BY_FAULT, UNEXPECTED = 4, 5
FAULTS = ("kill", "term", "interrupt", "nan", "raise", "hang", "lost", "disk", "clock", "cut")
OF_ENVIRONMENTS = ("nan", "raise", "hang", "lost")
OF_WORKERS = ("hang", "lost")
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "interrupt": signal.SIGINT}


@dataclass(frozen=True)
class Fault:
    """One of them, and the step of the child at which it strikes."""

    kind: str = "none"
    at: int = 0


class Struck(IdentityTeam):
    """A team whose environment does what a fault says."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault, self.count = fault, 0

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        observations, rewards, *rest = super().step(actions)
        self.count += 1
        if self.count == self.fault.at:
            if self.fault.kind == "raise":
                raise RuntimeError("struck")
            if self.fault.kind == "hang":
                time.sleep(600)
            if self.fault.kind == "lost":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault.kind == "nan" and self.count % 2:
                rewards["agent_0"] = float("nan")
            elif self.fault.kind == "nan":
                observations["agent_0"] = np.full_like(observations["agent_0"], np.nan)
        return observations, rewards, *rest


class Telling(CheckpointCallback):
    """Tells a pipe which checkpoints are complete, and which failed."""

    def __init__(self, folder: Path, pipe: int) -> None:
        super().__init__(folder, every=EVERY, grace=600.0)
        self.pipe = pipe

    def _save(self) -> None:
        super()._save()
        kind = SAVED if self._saved_at == self.model.num_timesteps else FAILED
        os.write(self.pipe, MESSAGE.pack(kind, self.model.num_timesteps))


class Surroundings(BaseCallback):
    """The faults of the machine: a disk that is full for a while, a clock that jumps back."""

    def __init__(self, fault: Fault, pipe: int) -> None:
        super().__init__()
        self.fault, self.pipe = fault, pipe

    def _on_training_start(self) -> None:  # from here on signals are listened to
        os.write(self.pipe, MESSAGE.pack(READY, self.model.num_timesteps))

    def _on_step(self) -> bool:
        if self.fault.kind == "disk" and self.n_calls in (self.fault.at, self.fault.at + EVERY):
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            is_full = self.n_calls == self.fault.at
            resource.setrlimit(resource.RLIMIT_FSIZE, (SMALLEST_DISK if is_full else hard, hard))
            if not is_full:
                os.write(self.pipe, MESSAGE.pack(LIFTED, self.model.num_timesteps))
        if self.fault.kind == "clock" and self.n_calls == self.fault.at:
            real, back = time.time, 10.0 * 86_400 * (1 + self.fault.at) / 100
            time.time = lambda: real() - back
        return True


def train(folder: Path, fault: Fault, pipe: int, last: int) -> None:
    """Go on from the newest checkpoint, or begin, until step ``last``."""
    # Workers are forked from this process, which has everything imported.
    masoft.envs.subproc._context = lambda: multiprocessing.get_context("fork")
    backend = "subproc" if fault.kind in OF_WORKERS else "dummy"
    timeout = {"env_timeout": 1.5} if backend == "subproc" else {}
    struck = fault if fault.kind in OF_ENVIRONMENTS else Fault()
    env = make_vec(lambda: Struck(struck), N_ENVS, seed=0, backend=backend, **timeout)
    if CheckpointFolder(folder).checkpoints():
        model = HASAC.resume(folder, env=env, device="cpu")
    else:
        model = HASAC(env, **SETTINGS)
    watch = [Telling(folder, pipe), Surroundings(fault, pipe)]
    model.learn(last - model.num_timesteps, callback=watch, reset_num_timesteps=False, log_interval=None)
    env.close()


def start(folder: Path, fault: Fault, last: int) -> tuple[int, int]:
    """A child and the pipe that it tells."""
    reader, writer = os.pipe()
    number = os.fork()
    if number:
        os.close(writer)
        return number, reader
    os.close(reader)
    warnings.simplefilter("ignore")  # of locks taken over, damaged and failed checkpoints: all of them are meant
    status = UNEXPECTED
    try:
        train(folder, fault, writer, last)
        status = 0
    except EnvironmentFault:
        status = ENDED_BY_FAULT if fault.kind in OF_ENVIRONMENTS else UNEXPECTED
    finally:
        if status == UNEXPECTED:
            traceback.print_exc()
        os._exit(status)


def messages(pipe: int, seconds: float) -> Iterator[tuple[bytes, int]]:
    """What a child tells within a time, until it ends."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([pipe], [], [], left)[0]:
        data = os.read(pipe, MESSAGE.size)
        if not data:
            return
        yield MESSAGE.unpack(data)


class Chaos:
    """One run under faults.

    Args:
        folder: of the run.
        seed: of the faults.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.saved = -1  # the newest checkpoint that was told to be complete
        self.count: Counter[str] = Counter()

    def strike(self, kind: str) -> None:
        """One fault, and a look at what it left."""
        if kind == "cut":
            self.cut()
        else:
            fault = Fault(kind, self.rng.randint(1, 40))
            number, pipe = start(self.folder, fault, 10**9)
            try:
                self.end(number, pipe, kind)
            finally:
                os.close(pipe)
        self.count[kind] += 1
        self.look()

    def end(self, number: int, pipe: int, kind: str) -> None:
        """Let a fault take its course, with a signal where it is one or does not end a child by itself."""
        told = []
        if kind in OF_ENVIRONMENTS:
            told += messages(pipe, 120.0)
            expected = ENDED_BY_FAULT << 8
        else:
            if kind != "kill" or self.rng.random() < 0.7:  # else: perhaps before it has resumed
                for message in messages(pipe, 120.0):
                    told.append(message)
                    if message[0] == (LIFTED if kind == "disk" else READY):
                        break
            told += messages(pipe, self.rng.uniform(0.0, 0.3))
            number_of_signal = SIGNALS[kind if kind in SIGNALS else self.rng.choice([*SIGNALS])]
            os.kill(number, number_of_signal)
            expected = signal.SIGKILL if number_of_signal == signal.SIGKILL else 0
            told += messages(pipe, 120.0)
        _, status = os.waitpid(number, 0)
        assert status == expected, f"{kind}: the child ended with {status}, not {expected}"
        self.saved = max([self.saved, *(step for what, step in told if what == SAVED)])
        self.count["failed checkpoints"] += sum(what == FAILED for what, _ in told)

    def cut(self) -> None:
        """Cut the newest of several checkpoints."""
        paths = CheckpointFolder(self.folder).checkpoints()
        if len(paths) > 1:
            size = paths[-1].stat().st_size
            os.truncate(paths[-1], self.rng.randrange(size))
            self.saved = int(read_archive(paths[-2]).manifest["timesteps"])
            self.count["cut files"] += 1

    def look(self) -> None:
        """No completed checkpoint may be missing, and none but a cut one damaged."""
        folder = CheckpointFolder(self.folder)
        whole = [path for path in folder.checkpoints() if folder.damage(path) is None]
        found = int(read_archive(whole[-1]).manifest["timesteps"]) if whole else -1
        assert found >= self.saved, f"the newest whole checkpoint is of step {found}, but {self.saved} was completed"
        self.saved = found

    def finish(self, folder: Path, last: int) -> dict[str, torch.Tensor]:
        """The weights and optimisers of a run that goes on undisturbed to a step."""
        number, pipe = start(folder, Fault(), last)
        for _ in messages(pipe, 3_600.0):
            pass
        os.close(pipe)
        assert os.waitpid(number, 0)[1] == 0
        archive = read_archive(CheckpointFolder(folder).checkpoints()[-1])
        assert archive.manifest["timesteps"] == last
        return archive.members["weights"]


def run(n: int, seed: int, seconds: float = float("inf")) -> dict[str, Any]:
    """Strike ``n`` times, or for a time, and compare with an undisturbed run."""
    with tempfile.TemporaryDirectory() as name:
        chaos = Chaos(Path(name) / "chaos", seed)
        began, struck = time.monotonic(), 0
        while struck < n and time.monotonic() - began < seconds:
            # Each kind once in every round, in an order of its own.
            order = chaos.rng.sample(FAULTS, len(FAULTS))
            for kind in order[: n - struck]:
                chaos.strike(kind)
                struck += 1
        last = (max(chaos.saved, 0) // ROUND + 8) * ROUND
        ours, theirs = (chaos.finish(Path(name) / folder, last) for folder in ("chaos", "undisturbed"))
        assert ours.keys() == theirs.keys()
        different = [each for each in ours if not torch.equal(ours[each], theirs[each])]
        assert not different, f"not the same as undisturbed: {different[:5]}"
        return {"faults": struck, **chaos.count, "steps": last, "tensors compared": len(ours), "different": 0}


if __name__ == "__main__":
    torch.set_num_threads(1)
    HASAC(make_vec(lambda: Struck(Fault()), seed=0), **SETTINGS).learn(80)  # everything is imported before a fork
    numbers = [float(word) for word in sys.argv[1:]]
    n_faults, of_faults, longest = (*numbers, *(500.0, 0.0, float("inf"))[len(numbers) :])
    print(json.dumps(run(int(n_faults), int(of_faults), longest)))
