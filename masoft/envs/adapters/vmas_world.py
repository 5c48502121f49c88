"""A batch of worlds of one VMAS scenario, whose randomness is its own and whose episodes are seeded one by one.

Reference:
    Bettini et al., VMAS: A Vectorized Multi-Agent Simulator for Collective Robot Learning, 2022; ``vmas``.
"""

from __future__ import annotations

import contextlib
import io
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from masoft.envs.adapters.vmas_slots import restart_where
from masoft.errors import ConfigurationError, explain, nearest

SCENARIOS = (
    "balance", "ball_passage", "ball_trajectory", "buzz_wire", "discovery", "dispersion", "dropout", "flocking",
    "football", "give_way", "joint_passage", "joint_passage_size", "multi_give_way", "navigation", "passage",
    "reverse_transport", "road_traffic", "sampling", "transport", "wheel", "wind_flocking",
    "simple_spread", "simple_reference", "simple_speaker_listener",
)  # fmt: skip


SEEDINGS = ("world", "batch", "together")


class VmasWorld:
    """Worlds that move together on one torch device.

    VMAS draws from generators that all its environments in a process share. Here the batch has a stream of its own,
    and world i starts each episode from a seed that its own generator gives: how an episode starts depends neither on
    other environments nor on when its neighbours end. (What a scenario draws in the middle of an episode, it draws for
    the whole batch; there only the batch as a whole is repeatable.)

    Args:
        scenario: a name that ``vmas`` knows; masoft lists `SCENARIOS`.
        n_worlds: how many.
        device: where the simulation runs, and where its tensors are.
        seeding: ``"world"``: world i starts each episode from a seed of its own, one world after the other.
            ``"batch"``: all draw from one stream, and worlds that start at reset do so in one call. ``"together"``: the
            same, and those whose episodes have ended do so in one call, too, however many they are.
        options: ``continuous_actions``, ``multidiscrete_actions``, and the scenario's own.

    Raises:
        ConfigurationError: an unknown scenario or option.
    """

    def __init__(
        self,
        scenario: str,
        n_worlds: int,
        device: torch.device | str,
        options: dict[str, Any],
        seeding: str = "world",
    ) -> None:
        if seeding not in SEEDINGS:
            raise ConfigurationError(explain("seeding", f"one of {SEEDINGS}", seeding))
        self.seeding = seeding
        self.device = torch.device(device)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Scenario kwargs")
            try:
                self.env = _vmas().make_env(
                    scenario, num_envs=n_worlds, device=self.device, seed=0, terminated_truncated=True, **options
                )
            except AssertionError as error:
                if "scenario not found" not in str(error):
                    raise
                must, cure = "one of vmas's", nearest(scenario, SCENARIOS)
                raise ConfigurationError(explain("scenario", must, scenario, cure)) from error
            except (TypeError, UserWarning) as error:
                which = f"The options of vmas/{scenario}"
                raise ConfigurationError(explain(which, "the scenario's own", options, str(error))) from error
        self.names = [agent.name for agent in self.env.agents]
        self._shared = type(self.env).vmas_random_state
        self._stream = list(self._shared)
        self._cuda_stream = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        self._seeds = [np.random.default_rng() for _ in range(n_worlds)]
        self._seed_of_all = np.random.default_rng()

    def spaces(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Observation and action spaces by agent; vmas still speaks of gym's."""
        shapes = [tuple(seen.shape[1:]) for seen in self._observations()]
        observed = {
            name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in zip(self.names, shapes, strict=True)
        }
        return observed, {
            name: _space(self.env.get_agent_action_space(agent))
            for name, agent in zip(self.names, self.env.agents, strict=True)
        }

    def start(self, seeds: Sequence[int | None]) -> list[Tensor]:
        """Start an episode in every world.

        Args:
            seeds: one a world; it decides this episode and those that follow. None: go on as before.

        Returns:
            observations, one (n_worlds, size) an agent.
        """
        for world, seed in enumerate(seeds):
            if seed is not None:
                self._seeds[world] = np.random.default_rng(seed)
        given = [seed for seed in seeds if seed is not None]
        if given:
            self._seed_of_all = np.random.default_rng(given)
        self._begin(range(len(seeds)))
        return self._observations()

    def restart(self, ended: Tensor, observations: list[Tensor]) -> list[Tensor]:
        """Start an episode in some worlds.

        Args:
            ended: (n_worlds,), true where.
            observations: what was seen last everywhere; not changed.

        Returns:
            the same, with what is seen now in those worlds.
        """
        if self.seeding == "together":
            with self._drawing():
                self._seed_everything(int(self._seed_of_all.integers(2**31)))
                scenario = self.env.scenario
                restart_where([scenario, self.env.world], ended, lambda: scenario.env_reset_world_at(None))
        else:
            self._begin(ended.nonzero().squeeze(1).tolist())
        here = ended.unsqueeze(1)
        return [torch.where(here, now, last) for last, now in zip(observations, self._observations(), strict=True)]

    def step(self, actions: list[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor, list[dict[str, Tensor]]]:
        """Move all worlds.

        Args:
            actions: one (n_worlds, size) an agent, inside its space.

        Returns:
            observations and rewards (n_worlds,) by agent; terminated (n_worlds,); what vmas tells of each agent.
        """
        with self._randomness():
            observations, rewards, terminated, _, infos = self.env.step(actions)
        # Some scenarios (wheel) give their rewards a second axis.
        return observations, [reward.reshape(-1) for reward in rewards], terminated, infos

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        from vmas.simulator.environment.environment import local_seed

        # What ``env.seed`` and ``env.reset_at`` do, entering and leaving the stream once and not twice a world.
        with self._randomness(), local_seed(self._shared):
            yield

    def _begin(self, worlds: Sequence[int]) -> None:
        with self._drawing():
            if self.seeding != "world":
                self._seed_everything(int(self._seed_of_all.integers(2**31)))
                for one in [None] if len(worlds) == len(self._seeds) else worlds:
                    self.env.scenario.env_reset_world_at(one)
                return
            for world in worlds:
                seed = int(self._seeds[world].integers(2**31))
                self._seed_everything(seed)
                self.env.scenario.env_reset_world_at(world)

    def _seed_everything(self, seed: int) -> None:
        """Seed all that a scenario may draw from."""
        if self.device.type == "cpu":  # torch.manual_seed also queues seeds for devices that are not there
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)

    def _observations(self) -> list[Tensor]:
        with self._randomness():
            found: list[Tensor] = self.env.get_from_scenario(
                get_observations=True, get_rewards=False, get_infos=False, get_dones=False
            )[0]
        return found

    @contextlib.contextmanager
    def _randomness(self) -> Iterator[None]:
        """Let vmas draw from this batch's stream, and put back what was there."""
        kept, self._shared[:] = list(self._shared), self._stream
        kept_cuda = None if self._cuda_stream is None else torch.cuda.get_rng_state(self.device)
        if self._cuda_stream is not None:
            torch.cuda.set_rng_state(self._cuda_stream, self.device)
        try:
            yield
        finally:
            self._stream, self._shared[:] = list(self._shared), kept
            if kept_cuda is not None:
                self._cuda_stream = torch.cuda.get_rng_state(self.device)
                torch.cuda.set_rng_state(kept_cuda, self.device)


def _vmas() -> Any:
    with contextlib.redirect_stderr(io.StringIO()):  # gym, which vmas takes its spaces from, prints its own obituary
        import vmas
    return vmas


def _space(space: Any) -> spaces.Space[Any]:
    """A space of gym's as gymnasium's."""
    if hasattr(space, "nvec"):
        return spaces.MultiDiscrete(space.nvec)
    if hasattr(space, "n"):
        return spaces.Discrete(int(space.n))
    return spaces.Box(np.asarray(space.low), np.asarray(space.high), dtype=np.float32)
