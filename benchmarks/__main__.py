"""Print the speed table of the learner, or measure how its cost grows.

Run: ``python -m benchmarks`` for all rows, ``python -m benchmarks update replay`` for some,
``python -m benchmarks growth`` for the data of the picture of growing costs. One torch thread. Nothing is asserted:
compare the GEMM columns.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime
from pathlib import Path

import torch

from benchmarks import growth, learner, loop, memory, replay, training
from masoft.runs.machine import processor

PARTS = {
    "update": learner.rows,
    "replay": replay.rows,
    "training": training.rows,
    "loop": loop.rows,
    "memory": memory.rows,
}
GROWTH = Path("docs/benchmarks/data/growth.csv")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {[*PARTS, 'growth']}; default: all but growth")
    parser.add_argument("--out", type=Path, default=GROWTH, help=f"what growth writes; default {GROWTH}")
    given = parser.parse_args()
    unknown = set(given.parts) - {*PARTS, "growth"}
    if unknown:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    wanted = given.parts or [*PARTS]
    if tables := [part for part in wanted if part in PARTS]:
        print(f"{datetime.date.today()}, {processor()}, torch {torch.__version__}, 1 thread\n")
        print("| what | reference | goal | measured | yardstick |\n|---|---|---|---|---|")
        for part in tables:
            for row in PARTS[part]():
                print("| " + " | ".join(row) + " |", flush=True)
    if "growth" in wanted:
        growth.measure_all(given.out)


if __name__ == "__main__":
    main()
