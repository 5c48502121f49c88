"""Storage of one rollout of a team, and its arrangement as rows that minibatches pick from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from masoft import habits
from masoft.buffers.memory import check_fits, layout_bytes
from masoft.buffers.rows import frame_layout
from masoft.infos import DeviceInfos
from masoft.spec import TeamSpec

STEP_BYTES = 10
"""Start, reward and both kinds of end, of one step of an environment."""
_PER_STEP = ("starts", "actions", "rewards", "ended", "terminated")


@dataclass(frozen=True)
class RolloutLayout:
    """Steps and environments as rows: row ``t * n_sequences + s`` is step t of sequence s.

    Without memory a sequence is a single step. With memory the rollout of each environment is cut into sequences of
    ``length`` steps.

    Args:
        n_steps: steps of each environment.
        n_envs: environments.
        length: steps of a sequence; divides ``n_steps``.
    """

    n_steps: int
    n_envs: int
    length: int = 1

    @property
    def n_rows(self) -> int:
        """Number of steps of all environments."""
        return self.n_steps * self.n_envs

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return self.n_rows // self.length

    def to_rows(self, values: Tensor) -> Tensor:
        """(n_steps, n_envs, ...) to (n_rows, ...)."""
        if self.length == 1:
            return values.flatten(0, 1)
        pieces = values.reshape(self.n_steps // self.length, self.length, *values.shape[1:])
        return pieces.transpose(0, 1).flatten(0, 2)

    def from_rows(self, rows: Tensor) -> Tensor:
        """(n_rows, ...) to (n_steps, n_envs, ...)."""
        pieces = rows.view(self.length, self.n_steps // self.length, self.n_envs, *rows.shape[1:])
        return pieces.transpose(0, 1).reshape(self.n_steps, self.n_envs, *rows.shape[1:])

    def rows_of(self, sequences: Tensor | None) -> Tensor | None:
        """Numbers of the rows of some sequences (k,), in the order of `Sequences`; None stands for all."""
        if sequences is None or self.length == 1:
            return sequences
        steps = torch.arange(self.length, device=sequences.device).unsqueeze(1)
        return (steps * self.n_sequences + sequences).flatten()

    def minibatches(
        self, batch_size: int | None, generator: torch.Generator, device: torch.device
    ) -> Iterator[Tensor | None]:
        """One pass over all sequences in random order, in parts whose sizes differ by at most one sequence.

        Args:
            batch_size: steps a part, at most; None, or all of them: one part, given as None.
            generator: source of the order, on ``device``.
            device: of the numbers.
        """
        if batch_size is None or batch_size >= self.n_rows:
            yield None
            return
        n_parts = -(-self.n_sequences // (batch_size // self.length))
        yield from torch.randperm(self.n_sequences, generator=generator, device=device).tensor_split(n_parts)


class TeamRolloutBuffer:
    """The steps of ``n_envs`` environments since the last update, as the policies saw them.

    Args:
        n_steps: steps of each environment.
        team: the team's specification.
        n_envs: environments that step together.
        device: where the data lives.

    Raises:
        ConfigurationError: the steps are more than the memory holds.
    """

    def __init__(self, n_steps: int, team: TeamSpec, n_envs: int = 1, device: torch.device | str = "cpu") -> None:
        self.n_steps, self.team, self.n_envs = n_steps, team, n_envs
        self.device = torch.device(device)
        layout = frame_layout(team, with_views=True)
        each = n_envs * (layout_bytes(layout) + 4 * team.action_size + STEP_BYTES)
        check_fits("n_steps", n_steps, each, self.device)
        self.n_bytes = n_steps * each
        # One row more than steps: what is seen after the last one, where the return bootstraps.
        self.frames = {
            name: torch.empty((n_steps + 1, n_envs, *shape), dtype=dtype, device=self.device)
            for name, (shape, dtype) in layout.items()
        }
        self.starts = torch.zeros((n_steps + 1, n_envs), device=self.device)
        self.actions = torch.zeros((n_steps, n_envs, team.action_size), device=self.device)
        self.rewards = torch.zeros((n_steps, n_envs), device=self.device)
        self.ended = torch.zeros((n_steps, n_envs), dtype=torch.bool, device=self.device)
        self.terminated = torch.zeros((n_steps, n_envs), dtype=torch.bool, device=self.device)
        self._open_windows()
        self.reset()

    def __getattr__(self, name: str) -> Any:
        raise habits.absent(type(self).__name__, name, habits.ROLLOUT)

    def reset(self) -> None:
        """Forget everything."""
        self.pos = 0
        self.finals: list[tuple[int, int, Mapping[str, np.ndarray]]] = []
        # Steps of tensors: where time limits ended episodes, and all that was seen there; read at the rollout's end.
        self._device_finals: list[tuple[int, Tensor, Mapping[str, Tensor]]] = []
        self._final_blocks: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []

    @property
    def is_full(self) -> bool:
        """Whether all steps are there."""
        return self.pos == self.n_steps

    def add(
        self,
        obs: Mapping[str, Any],
        starts: Any,
        actions: Any,
        rewards: Any,
        dones: Any,
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one step of every environment.

        Args:
            obs: team observations before the step, arrays or tensors (n_envs, ...).
            starts: (n_envs,), true where an episode starts with this step.
            actions: (n_envs, action_size), as drawn.
            rewards: (n_envs,).
            dones: (n_envs,), true at an episode's end for any reason.
            infos: one an environment, with SB3's ``terminal_observation`` and ``TimeLimit.truncated`` at the ends.
        """
        self._see(self.pos, obs, starts)
        if isinstance(infos, DeviceInfos) and infos.is_untouched:
            cut = infos.device_cut
            terminated = dones & ~cut
            if not infos.has_no_end:
                self._device_finals.append((self.pos, cut, infos.device_finals))
        else:
            terminated = self._ends(np.asarray(dones), infos)
        step = {"actions": actions, "rewards": rewards, "ended": dones, "terminated": terminated}
        for name, values in step.items():
            _write(getattr(self, name), self._windows[name], self.pos, values)
        self.pos += 1

    def _ends(self, dones: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """Where episodes really ended, (n_envs,); keeps what was last seen of the others that ended."""
        terminated = np.zeros(self.n_envs, bool)
        for env in np.flatnonzero(dones) if dones.any() else ():
            if infos[env].get("TimeLimit.truncated", False):
                self.finals.append((self.pos, int(env), infos[env]["terminal_observation"]))
            else:
                terminated[env] = True
        return terminated

    def finish(self, obs: Mapping[str, Any], starts: Any) -> None:
        """Store what is seen after the last step, arrays or tensors (n_envs, ...)."""
        self._see(self.n_steps, obs, starts)
        self._look_at_finals()

    def _look_at_finals(self) -> None:
        """Of all that was seen last on a device, keep what time limits ended: one look for all steps."""
        kept, self._device_finals = self._device_finals, []
        if not kept:
            return
        envs = [cut.nonzero().squeeze(1) for cut in torch.stack([cut for _, cut, _ in kept]).cpu()]
        for (step, cut, frames), here in zip(kept, envs, strict=True):
            if len(here):
                rows = here.to(cut.device)
                steps = torch.full((len(here),), step, device=self.device)
                chosen = {name: frames[name].index_select(0, rows).to(self.device) for name in self.frames}
                self._final_blocks.append((steps, here.to(self.device), chosen))

    @property
    def has_finals(self) -> bool:
        """Whether a time limit ended an episode."""
        return bool(self.finals or self._final_blocks)

    def final_places(self) -> tuple[Tensor, Tensor]:
        """Step and environment of each end by a time limit, in the order of `last_frames`."""
        steps = torch.tensor([step for step, _, _ in self.finals], dtype=torch.long, device=self.device)
        envs = torch.tensor([env for _, env, _ in self.finals], dtype=torch.long, device=self.device)
        blocks = self._final_blocks
        return torch.cat([steps, *(block[0] for block in blocks)]), torch.cat([envs, *(block[1] for block in blocks)])

    def cut(self, obs: Mapping[str, np.ndarray]) -> None:
        """End the running episodes after the newest step, as by a time limit.

        Args:
            obs: what was seen after it, arrays (n_envs, ...).
        """
        if self.pos == 0:
            return
        for env in range(self.n_envs):
            if not self.ended[self.pos - 1, env]:
                self.ended[self.pos - 1, env] = True
                self.finals.append((self.pos - 1, env, {name: _copy(values[env]) for name, values in obs.items()}))

    def last_frames(self) -> dict[str, Tensor]:
        """What was seen at the ends by time limits, in the order of `final_places`, (n, ...) by key."""
        found = {}
        for name, frame in self.frames.items():
            parts = [frames[name].to(frame.dtype) for _, _, frames in self._final_blocks]
            if self.finals:
                ends = torch.stack([torch.as_tensor(obs[name]) for _, _, obs in self.finals])
                parts.insert(0, ends.to(self.device, frame.dtype))
            found[name] = torch.cat(parts)
        return found

    def _see(self, row: int, obs: Mapping[str, Any], starts: Any) -> None:
        for name, window in self._frame_windows.items():
            _write(self.frames[name], window, row, obs[name])
        _write(self.starts, self._windows["starts"], row, starts)

    def _open_windows(self) -> None:
        """All tensors to write to: in main memory as NumPy sees them, which costs less around the copying."""
        self._windows = {name: _window(getattr(self, name)) for name in _PER_STEP}
        self._frame_windows = {name: _window(frame) for name, frame in self.frames.items()}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.endswith("_windows")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._open_windows()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on in the middle of a rollout."""
        self._look_at_finals()
        finals = [(step, env, {k: np.asarray(v) for k, v in obs.items()}) for step, env, obs in self.finals]
        for steps, envs, frames in self._final_blocks:
            seen = {name: values.cpu().numpy() for name, values in frames.items()}
            rows = enumerate(zip(steps.tolist(), envs.tolist(), strict=True))
            finals += [(step, env, {name: values[k] for name, values in seen.items()}) for k, (step, env) in rows]
        kept = {name: getattr(self, name) for name in _PER_STEP}
        return {"pos": self.pos, "finals": finals, **kept, **{f"frames.{k}": v for k, v in self.frames.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave; shapes must match this buffer's."""
        self.pos = int(state["pos"])
        self._device_finals, self._final_blocks = [], []
        self.finals = [(int(step), int(env), obs) for step, env, obs in state["finals"]]
        for name in _PER_STEP:
            getattr(self, name).copy_(state[name])
        for name, frame in self.frames.items():
            frame.copy_(state[f"frames.{name}"])


def _window(tensor: Tensor) -> np.ndarray | Tensor:
    return tensor.numpy() if tensor.is_cpu else tensor


def _write(tensor: Tensor, window: np.ndarray | Tensor, row: int, values: np.ndarray | Tensor) -> None:
    if isinstance(values, Tensor):
        tensor[row] = values
    elif isinstance(window, np.ndarray):
        window[row] = values
    else:
        window[row] = torch.as_tensor(values)


def _copy(values: Any) -> np.ndarray:
    return np.array(values.cpu().numpy() if isinstance(values, Tensor) else values)
