"""Episodes stay whole: a learner whose environments were moved by somebody else starts anew there."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import MaybeCallback

from masoft.algorithms.saved import SavedAlgorithm
from masoft.envs.watch import Watch

_MOVED = (
    "The training environments were moved by somebody else than the learner: an evaluation, another model, or steps by "
    "hand. The running episodes are cut there, as by a time limit, and new ones start. Evaluate in environments of "
    "their own: EvalCallback(masoft.make_vec(...)). If the environments are in a VecNormalize, its statistics may have "
    "moved too."
)


class Continuity(SavedAlgorithm):
    """Abstract mixin: before each step of the learner its environments must be where its last one left them."""

    _watch: Watch | None = None
    _has_warned_of_moves: bool = False

    @property
    def watch(self) -> Watch:
        """What knows where the environments were left."""
        assert self.env is not None
        if self._watch is None or self._watch.vec_env is not self.env:
            self._watch = Watch(self.env)
        return self._watch

    @property
    def knows_episodes(self) -> bool:
        """Whether the observations that would be acted on next are those of the running episodes."""
        return self.env is not None and self._last_obs is not None and not self.watch.is_behind

    @abstractmethod
    def _cut_episodes(self) -> None:
        """End the running episodes in the buffer, as by a time limit, with what was last seen."""

    def _keep_track(self) -> None:
        """Start anew if the environments are elsewhere; called before each step."""
        watch = self.watch
        if not watch.is_behind:
            return
        if watch.was_moved and not self._has_warned_of_moves:
            self._has_warned_of_moves = True
            warnings.warn(_MOVED, UserWarning, stacklevel=2)
        self._cut_episodes()
        assert self.env is not None
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.env.num_envs, bool)
        if self._vec_normalize_env is not None:
            self._last_original_obs = self._vec_normalize_env.get_original_obs()
        watch.meet()

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, Any]:
        is_fresh = reset_num_timesteps or self._last_obs is None or self.watch.is_new
        ready = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        if is_fresh:
            self.watch.meet()
        return ready
