"""One HASAC update: critics, all actors, temperatures and targets on one minibatch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.synthetic import SHAPES, SPREAD, Shape, SyntheticTeam
from benchmarks.timing import Timing, measure
from masoft import HASAC
from masoft.envs import make_vec

# GEMMs of the reference implementation's update at the same shapes, and what to reach.
REFERENCE = {
    "HalfCheetah 2x3": (79, 44),
    "simple_spread": (105, 58),
    "HalfCheetah 6x1": (173, 96),
    "Ant 4x2": (125, 74),
    "manyagent_swimmer 10x2": (286, 165),
    "simple_spread discrete": (103, 110),
    "HumanoidStandup 17x1": (682, 350),
}
MATRIX_GAME = Shape("matrix game size", 2, 1, 1, 3, discrete=True)


def learner(shape: Shape, batch_size: int, net_arch: tuple[int, ...], layer_norm: bool) -> Any:
    """A HASAC with a little in its buffer, which has taken no update yet."""
    model = HASAC(
        make_vec(lambda: SyntheticTeam(shape)),
        batch_size=batch_size,
        buffer_size=5_000,
        learning_starts=10_000,
        policy_kwargs={"net_arch": list(net_arch), "layer_norm": layer_norm},
        device="cpu",
        seed=0,
    )
    model.learn(300)
    return model


def time_update(
    shape: Shape,
    batch_size: int = 1000,
    net_arch: tuple[int, ...] = (256, 256),
    layer_norm: bool = False,
    rounds: int = 20,
    repeats: int = 1,
) -> Timing:
    """Cost of one update of a team of the given shape."""
    model = learner(shape, batch_size, net_arch, layer_norm)
    model.train(3, batch_size)
    return measure(lambda: model.train(1, batch_size), rounds, repeats)


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """The update rows: what, reference, goal, measured, yardstick."""
    for shape in SHAPES:
        reference, goal = REFERENCE[shape.name]
        found = time_update(shape, rounds=8 if shape.n_agents > 9 else 20)
        yield (
            f"update, {shape.name} (n = {shape.n_agents})", f"{reference} GEMMs", f"<= {goal}",
            f"{found.gemms:.0f} GEMMs ({found.ms:.0f} ms)", f"{found.gemm_ms:.2f} ms",
        )  # fmt: skip
    for layer_norm in (False, True):
        found = time_update(SPREAD, 256, layer_norm=layer_norm, rounds=40)
        yield (
            f"update, simple_spread, batch 256, {'with' if layer_norm else 'without'} LayerNorm",
            "13 to 18 a CPU-s", ">= 40 a CPU-s",
            f"{1000 / found.ms:.0f} a CPU-s ({found.gemms:.0f} GEMMs)", f"{found.gemm_ms:.2f} ms",
        )  # fmt: skip
    found = time_update(MATRIX_GAME, 200, (128, 128), rounds=40, repeats=3)
    yield (
        "update, matrix game size (n = 2, batch 200, [128, 128])", "15 ms (about 13 GEMMs)", "<= 3 ms",
        f"{found.ms:.1f} ms ({found.gemms:.1f} GEMMs)", f"{found.gemm_ms:.2f} ms",
    )  # fmt: skip
