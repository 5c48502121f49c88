"""What a checkpoint of a large run writes: ``python tests/faults/incremental_replay.py [ROWS]``.

A replay buffer of that many transitions (a million by default) is filled with random numbers and saved; then a few
thousand are added and it is saved again. Printed are the bytes and seconds of both saves.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from masoft import HASAC
from masoft.saving.checkpoint_folder import CheckpointFolder

NEW = 10_000


def written(folder: Path, before: set[Path]) -> int:
    """Bytes of the files that were not there before."""
    return sum(path.stat().st_size for path in set(folder.iterdir()) - before)


def fill(model: HASAC, n: int) -> None:
    """Count ``n`` more transitions, of whatever the buffer's memory holds."""
    buffer = model.replay_buffer
    buffer.n_added += n


def main(rows: int) -> None:
    """Save, add, save."""
    torch.set_num_threads(1)
    model = HASAC(
        "mpe/simple_spread_v3", learning_starts=10**9, buffer_size=rows, device="cpu", seed=0,
        policy_kwargs={"net_arch": [16]},
    )  # fmt: skip
    model.learn(100)
    with tempfile.TemporaryDirectory() as name:
        folder = CheckpointFolder(name).path
        report = []
        for added in (rows, NEW):
            fill(model, added)
            before = set(folder.iterdir()) if folder.exists() else set()
            start = time.perf_counter()
            model.save_checkpoint(name)
            seconds = round(time.perf_counter() - start, 2)
            report.append(
                {"transitions added": added, "MB written": round(written(folder, before) / 1e6, 2), "s": seconds}
            )
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
