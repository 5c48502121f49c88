"""A simulator whose numbers are tensors, small enough to follow; it gives the same as arrays where asked to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from masoft.envs import BatchedStep, BatchedVecEnv
from masoft.spec import ACTION_MASK, ACTIVE, STATE, make_team_spec

NAMES = ("left", "right")


class TensorTeam(BatchedVecEnv):
    """Two agents on a line seek each other; nobody looks at its numbers from the host.

    Args:
        n_envs: copies.
        kind: ``"box"``; or ``"choice"``, with masks, deaths and a state; or ``"mixed"``, one of each.
        device: None: the same as arrays.
        length: steps of an episode, at most.
    """

    def __init__(self, n_envs: int, kind: str = "box", device: str | None = "cpu", length: int = 9) -> None:
        box, choice = spaces.Box(-0.5, 1.5, (1,), np.float32), spaces.Discrete(3)
        acts = {"box": (box, box), "choice": (choice, choice), "mixed": (box, choice)}[kind]
        has = kind == "choice"
        seen = dict.fromkeys(NAMES, spaces.Box(-10, 10, (3,), np.float32))
        acting = dict(zip(NAMES, acts, strict=True))
        team = make_team_spec(seen, acting, state_size=3 if has else 0, has_masks=kind != "box", has_deaths=has)
        super().__init__(n_envs, team, team_reward="mean", name=f"line of {kind}", device=device)
        self.kind, self.length, self.fault = kind, length, ""
        self._on = torch.device(device or "cpu")
        self._places = torch.zeros(n_envs, 2, device=self._on)
        self._steps = torch.zeros(n_envs, dtype=torch.long, device=self._on)
        self._random = torch.Generator(self._on)

    def _start(self, seeds: Any) -> dict[str, Any]:
        if seeds[0] is not None:
            self._random.manual_seed(seeds[0])
        self._fresh(torch.ones_like(self._steps, dtype=torch.bool))
        return self._seen()

    def _fresh(self, over: torch.Tensor) -> None:
        draws = torch.rand(self.num_envs, 2, generator=self._random, device=self._on) * 4 - 2
        starts = torch.randint(0, 4, (self.num_envs,), generator=self._random, device=self._on)
        self._places = torch.where(over.unsqueeze(1), draws, self._places)
        self._steps = torch.where(over, starts, self._steps)

    def _advance(self, actions: Any) -> BatchedStep:
        joint = torch.as_tensor(actions, dtype=torch.float32)
        self._places = (self._places + (joint - 0.5) * 0.3).clamp(-5, 5)
        self._steps = self._steps + 1
        finals, apart = self._seen(), (self._places[:, 0] - self._places[:, 1]).abs()
        if self.fault == "rewards":
            apart = apart / 0
        terminated = apart < 0.1
        truncated = (self._steps >= self.length) & ~terminated
        self._fresh(terminated | truncated)
        rewards = torch.stack([-apart, -2 * apart], 1)
        step = BatchedStep(self._seen(), finals, rewards, terminated, truncated, terminated)
        return step if self.device is not None else self._as_arrays(step)

    def _as_arrays(self, step: BatchedStep) -> BatchedStep:
        rest = (each.numpy() for each in (step.rewards, step.terminated, step.truncated, step.successes))
        return BatchedStep(step.observations, step.finals, *rest)

    def _seen(self) -> dict[str, Any]:
        mine, other = self._places.unbind(1)
        clock = self._steps.float() / 10
        found = {"left": torch.stack([mine, other, clock], 1), "right": torch.stack([other, mine, clock], 1)}
        if self.fault == "observations":
            found["right"] = found["right"] / 0
        found[ACTIVE] = torch.ones(self.num_envs, 2, dtype=torch.int8, device=self._on)
        if self.kind != "box":
            n = 6 if self.kind == "choice" else 3
            found[ACTION_MASK] = torch.ones(self.num_envs, n, dtype=torch.int8, device=self._on)
            found[ACTION_MASK][:, -1] = (mine < 4).to(torch.int8)
            found[ACTION_MASK][:, -3] = (self._steps % 2 == 0).to(torch.int8)
        if self.kind == "choice":
            found[STATE] = torch.stack([mine, other, clock], 1)
            found[ACTIVE][:, 1] = (self._steps < 7).to(torch.int8)
        return found if self.device is not None else {name: values.numpy() for name, values in found.items()}
