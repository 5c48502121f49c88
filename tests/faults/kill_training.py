"""Kills a training at random moments and looks at what is left: ``python tests/faults/kill_training.py [N] [SEED]``.

A child trains with a checkpoint every few steps and tells after each that it is complete. It is killed with SIGKILL at
a random moment, also inside a save; the next child has to find a whole checkpoint that is not older than that.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from masoft import HASAC
from masoft.files import open_archive
from masoft.saving.checkpoint_callback import CheckpointCallback
from masoft.saving.checkpoint_folder import CheckpointFolder

SETTINGS = dict(
    learning_starts=4, batch_size=4, buffer_size=400, seed=0, device="cpu", policy_kwargs={"net_arch": [256, 256]}
)


class Told(CheckpointCallback):
    """Writes the step of each completed checkpoint to a pipe."""

    pipe: int

    def _save(self) -> None:
        super()._save()
        os.write(self.pipe, self.model.num_timesteps.to_bytes(8, "little"))


def child(folder: Path, pipe: int) -> None:
    """Train until killed, from the newest checkpoint where there is one."""
    if CheckpointFolder(folder).checkpoints():
        model = HASAC.resume(folder, env="matrix/maxent", device="cpu")
    else:
        model = HASAC("matrix/maxent", **SETTINGS)
    callback = Told(folder, every=3)
    callback.pipe = pipe
    model.learn(10**9, callback=callback, reset_num_timesteps=False, log_interval=None)


def newest(folder: Path) -> int:
    """Step of the newest checkpoint; every one in the folder has to be whole."""
    checkpoints = CheckpointFolder(folder)
    for path in checkpoints.checkpoints():
        damage = checkpoints.damage(path)
        if damage is not None:
            raise AssertionError(f"{path}: {damage}")
    if not checkpoints.checkpoints():
        return -1
    with open_archive(checkpoints.checkpoints()[-1]) as archive:
        return int(archive.manifest["timesteps"])


def kill_often(n: int, seed: int) -> dict[str, int]:
    """Kill ``n`` children in a row that continue one run."""
    rng = random.Random(seed)
    during = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(n):
            reader, writer = os.pipe()
            number = os.fork()
            if number == 0:
                os.close(reader)
                child(folder, writer)
                os._exit(1)
            os.close(writer)
            time.sleep(rng.uniform(0.05, 2.0))
            os.kill(number, signal.SIGKILL)
            _, status = os.waitpid(number, 0)
            assert os.WIFSIGNALED(status), "a child ended by itself"
            told = -1
            with os.fdopen(reader, "rb") as pipe:
                while data := pipe.read(8):
                    told = int.from_bytes(data, "little")
            during += any(path.name.startswith(".") for path in (folder / "checkpoints").glob(".*"))
            found = newest(folder)
            assert found >= told, f"the newest checkpoint is of step {found}, but step {told} was completed"
        return {"kills": n, "inside a save": during, "corrupted": 0, "steps reached": newest(folder)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    HASAC("matrix/maxent", **SETTINGS).learn(8)  # everything is imported before the first fork
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(json.dumps(kill_often(n_kills, int(sys.argv[2]) if len(sys.argv) > 2 else 0)))
