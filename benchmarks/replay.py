"""Drawing minibatches, whatever the fill, and what a stored transition takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.synthetic import SHAPES, SPREAD, Shape, SyntheticTeam
from benchmarks.timing import Timing, measure
from masoft.buffers import TeamReplayBuffer
from masoft.envs import make_vec
from masoft.envs.vector import team_of
from masoft.spec import TeamSpec

EPISODE = 25
REFERENCE_BYTES = {"HalfCheetah 2x3": (479, 130), "HumanoidStandup 17x1": (56_599, 2_000)}


def team_spec(shape: Shape) -> TeamSpec:
    """The specification of a synthetic team."""
    return team_of(make_vec(lambda: SyntheticTeam(shape)))


def full_buffer(size: int, n_steps: int, n_envs: int = 20) -> TeamReplayBuffer:
    """A buffer whose every row has been written, with episodes of 25 steps; its numbers mean nothing."""
    buffer = TeamReplayBuffer(size, team_spec(SPREAD), n_envs=n_envs, n_steps=n_steps)
    for frame in buffer.frames.values():
        frame.fill_(1.0)
    buffer.actions.fill_(0.5)
    buffer.rewards.fill_(1.0)
    buffer.full, buffer.pos, buffer.n_added = True, 0, buffer.rows
    ends = torch.arange(EPISODE - 1, buffer.rows, EPISODE)
    slots = torch.arange(len(ends) * n_envs, dtype=torch.int32).view(-1, n_envs)
    while len(buffer._finals) < slots.numel():
        buffer._finals.grow()
    for final in buffer.finals.values():
        final.fill_(1.0)
    buffer.final_slots[ends] = slots
    return buffer


def time_sample(fill: int, n_steps: int = 20, batch_size: int = 1000) -> Timing:
    """Cost of one ``sample()`` with so many transitions stored."""
    buffer = full_buffer(fill, n_steps)
    return measure(lambda: buffer.sample(batch_size), rounds=40, repeats=3)


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """The replay rows: what, reference, goal, measured, yardstick."""
    for fill, reference in ((10_000, "2 to 3"), (1_000_000, "46 to 59")):
        found = time_sample(fill)
        yield (
            f"sample(), n_steps 20, {fill:,} stored", f"{reference} GEMMs", "<= 3",
            f"{found.gemms:.1f} GEMMs ({found.ms:.1f} ms)", f"{found.gemm_ms:.2f} ms",
        )  # fmt: skip
    for shape in SHAPES:
        if shape.name in REFERENCE_BYTES:
            reference_bytes, goal = REFERENCE_BYTES[shape.name]
            size = TeamReplayBuffer(20_000, team_spec(shape)).n_bytes_per_transition()
            yield f"bytes a transition, {shape.name}", f"{reference_bytes:,}", f"<= {goal:,}", f"{size:,.0f}", "-"
