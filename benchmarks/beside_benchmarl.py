"""MASAC in VMAS, masoft and BenchMARL in turn: environment steps a CPU-second, collecting alone and with updates.

Run: ``python -m benchmarks.beside_benchmarl [worlds] [rounds]`` where ``benchmarl`` is installed too (1.5.2 wants
``torchrl<0.12``). Both have separate actors and critics of [256, 256] with ReLU, one update of a batch of 1,024 after
each vector step, one-step returns, and one torch thread. BenchMARL's collecting leaves out what it takes to store.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

import masoft
from benchmarks.collecting import rate_of

BATCH, WARM_UP, STEPS = 1024, 12, 30
SCENARIO = "balance"


def masoft_rate(n_envs: int, updates: int) -> float:
    """Environment steps a CPU-second of masoft's MASAC, ``updates`` after each vector step."""
    env = masoft.make_vec(f"vmas/{SCENARIO}", n_envs=n_envs, seed=0, tensors=True)
    settings: dict[str, Any] = {"learning_starts": 2 * n_envs, "buffer_size": 100_000, "n_steps": 1, "device": "cpu"}
    model = masoft.MASAC(env, batch_size=BATCH, gradient_steps=updates, seed=0, **settings)
    return rate_of(model, WARM_UP, STEPS)


def benchmarl_rates(
    n_envs: int, device: str = "cpu", batch_size: int = BATCH, tick: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """Collecting alone, and with one update after each vector step."""
    from benchmarl.algorithms import MasacConfig
    from benchmarl.environments import VmasTask
    from benchmarl.experiment import Callback, Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig

    class Clock(Callback):  # type: ignore[misc]
        """When each phase has ended."""

        collected: list[float]
        trained: list[float]

        def on_batch_collected(self, batch: Any) -> None:
            self.collected.append(tick())

        def on_train_end(self, training_td: Any, group: str) -> None:
            self.trained.append(tick())

        def __reduce__(self) -> Any:
            return dict, ()  # BenchMARL pickles its callbacks beside the run

    config = ExperimentConfig.get_from_yaml()
    changes = dict(
        sampling_device=device, train_device=device, buffer_device=device, share_policy_params=False, evaluation=False,
        off_policy_collected_frames_per_batch=n_envs, off_policy_n_envs_per_worker=n_envs,
        off_policy_n_optimizer_steps=1, off_policy_train_batch_size=batch_size, off_policy_memory_size=100_000,
        max_n_frames=n_envs * (WARM_UP + STEPS), max_n_iters=None, loggers=[], create_json=False,
        checkpoint_interval=0, render=False, save_folder=tempfile.mkdtemp(),
    )  # fmt: skip
    for name, value in changes.items():
        setattr(config, name, value)
    networks = MlpConfig(num_cells=[256, 256], layer_class=torch.nn.Linear, activation_class=torch.nn.ReLU)
    algorithm, clock = MasacConfig.get_from_yaml(), Clock()
    algorithm.share_param_critic = True
    clock.collected, clock.trained = [], []
    task = getattr(VmasTask, SCENARIO.upper()).get_from_yaml()
    Experiment(
        task=task, algorithm_config=algorithm, model_config=networks, critic_model_config=networks, seed=0,
        config=config, callbacks=[clock],
    ).run()  # fmt: skip
    first, last = WARM_UP, len(clock.trained) - 1
    collecting = sum(clock.collected[k + 1] - clock.trained[k] for k in range(first, last))
    n = n_envs * (last - first)
    return n / collecting, n / (clock.trained[last] - clock.trained[first])


def main(n_envs: int = 1024, rounds: int = 3) -> None:
    """Print each round's figures."""
    torch.set_num_threads(1)
    for _ in range(rounds):
        ours = masoft_rate(n_envs, 0), masoft_rate(n_envs, 1)
        theirs = benchmarl_rates(n_envs)
        for what, here, there in zip(("collecting", "end to end"), ours, theirs, strict=True):
            print(f"{what}, {n_envs} worlds: masoft {here:,.0f}, BenchMARL {there:,.0f}, ratio {here / there:.2f}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
