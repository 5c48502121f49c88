"""What every team method can do with files: save, load, checkpoint, resume."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import get_system_info

from masoft.algorithms.guard import GradientGuard
from masoft.algorithms.recorded import RecordsUpdates
from masoft.buffers.stretches import ReplayStretches
from masoft.envs.normalization import Normalization
from masoft.saving.checkpoint import OnDisk, resume, save_checkpoint
from masoft.saving.files import load_model, save_model
from masoft.saving.parts import (
    COUNTERS,
    NORMALIZED,
    Attributes,
    EpisodeStatistics,
    Generators,
    NormalizeStatistics,
    PendingLog,
    StatePart,
    fill_log,
)
from masoft.spec import TeamSpec

S = TypeVar("S", bound="SavedAlgorithm")


class SavedAlgorithm(RecordsUpdates, BaseAlgorithm):
    """Abstract: lists its state as named parts, and reads and writes them.

    Attributes:
        on_nan: what happens when a gradient is not finite: ``"raise"`` a `NumericalFault` before the weights are
            touched, or ``"skip"`` that optimiser's step (at most 100 times in a row).
        n_skipped: optimiser steps skipped so far.
    """

    on_nan: str = "raise"
    n_skipped: int = 0
    team: TeamSpec
    _guard: GradientGuard | None = None
    _run_id: str | None = None
    _on_disk: OnDisk | None = None
    _pending_log: Mapping[str, Any] | None = None
    _normalization: Normalization | None = None

    @property
    def normalization(self) -> Normalization | None:
        """How a ``VecNormalize`` scales in training, now or before the model was saved; None: there is none."""
        wrapper = self.get_vec_normalize_env()
        return self._normalization if wrapper is None else Normalization.of(wrapper)

    @normalization.setter
    def normalization(self, known: Normalization | None) -> None:
        self._normalization = known

    def normalize_obs(self, observation: Mapping[str, Any]) -> Mapping[str, Any]:
        """An observation as the environment itself gives it, scaled as in training: what ``predict`` wants then.

        Args:
            observation: of the team or of some agents, single or batched; what training did not scale is passed on.
        """
        known = self.normalization
        return observation if known is None else known.normalize_obs(observation)

    @property
    def run_id(self) -> str:
        """What names this run in its checkpoints and in trackers; a resumed model has that of its checkpoint."""
        if self._run_id is None:
            self._run_id = secrets.token_hex(8)
        return self._run_id

    def state_parts(self) -> dict[str, StatePart]:
        """Everything that the algorithm has learned, by name: what ``save`` writes.

        A method that learns more than its policy adds to this; what is not listed is neither saved nor resumed.
        """
        policy: Any = self.policy
        optimizers = dict.fromkeys(getattr(policy, "actor_optimizers", ()))  # shared actors share theirs
        by_name = {f"actor_optimizer.{i}": optimizer for i, optimizer in enumerate(optimizers)}
        if hasattr(policy, "critic_optimizer"):
            by_name["critic_optimizer"] = policy.critic_optimizer
        parts: dict[str, StatePart] = {"policy": policy, **by_name, "counters": Attributes(self, COUNTERS)}
        if self._normalization is not None or self._vec_normalize_env is not None:
            parts[NORMALIZED] = NormalizeStatistics(self)
        return parts

    def renew(self, parts: Iterable[str]) -> None:
        """Let parts start anew from what has been loaded; those that start by themselves need nothing.

        Args:
            parts: names, for example ``"reference"``.
        """

    def run_parts(self) -> dict[str, StatePart]:
        """What a checkpoint holds besides `state_parts` and the replay buffer: how the run goes on from here."""
        return {"generators": Generators(self), "episodes": EpisodeStatistics(self), "log": PendingLog(self)}

    def replay_stretches(self) -> ReplayStretches | None:
        """The replay buffer, to be saved by and by; None where there is none."""
        return None

    def save(  # type: ignore[override]
        self, path: str | Path | BinaryIO, exclude: None = None, include: None = None
    ) -> None:
        """Write settings and everything learned to one zip of JSON and safetensors, atomically; no pickle in it.

        Args:
            path: where to, a path or a URL (``s3://...``); ``.zip`` is appended where the name has no ending.
            exclude, include: stable-baselines3's; what is saved is a fixed list here, see `state_parts`.
        """
        save_model(self, path)

    @classmethod
    def load(  # type: ignore[override]
        cls: type[S],
        path: str | Path | BinaryIO,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        trusted: Iterable[object] = (),
        **changes: Any,
    ) -> S:
        """Rebuild a saved model. No code from the file is run, and classes it names must be masoft's or torch's.

        Args:
            path: the file, or its URL.
            env: environment to go on learning in; None: the model can predict, and ``set_env`` can be called later.
                Where training had a ``VecNormalize``, it is scaled with those statistics.
            device: where the networks go.
            custom_objects: the same as ``changes``, for stable-baselines3's sake.
            print_system_info: as in stable-baselines3.
            force_reset: as in stable-baselines3; running episodes are no part of the file, so it is always so.
            trusted: your own classes, functions or modules that the file may name (drifts, policies, schedules).
            changes: constructor arguments that replace those in the file.

        Raises:
            ModelFileError: the file is damaged, foreign, of another class, or names what is not trusted.
            ConfigurationError: the environment's team is another one.
        """
        if print_system_info:
            get_system_info()
        return load_model(cls, path, env, device, trusted, {**(custom_objects or {}), **changes})

    def save_checkpoint(self, folder: str | Path, keep_last: int = 3) -> Path:
        """Write everything that this run needs to go on bit by bit; call it between two calls of ``learn``.

        While learning, use `masoft.callbacks.CheckpointCallback`, which waits for the right moment.

        Args:
            folder: the run's, or its URL (``s3://...``); checkpoints lie in its subfolder ``checkpoints``.
            keep_last: how many stay.

        Returns:
            the new checkpoint's path; where a URL was given, the one in its working copy.

        Raises:
            ConfigurationError: the folder holds another run's checkpoints.
            NumericalFault: a weight is NaN; the checkpoints before stay.
            OSError: the disk is full and the like; the checkpoints before stay.
        """
        return save_checkpoint(self, folder, keep_last)

    @classmethod
    def resume(
        cls: type[S],
        folder: str | Path,
        env: Any = None,
        device: torch.device | str = "auto",
        *,
        trusted: Iterable[object] = (),
        **changes: Any,
    ) -> S:
        """Go on where a run's newest whole checkpoint was written.

        Then ``model.learn(model.remaining_timesteps, reset_num_timesteps=False)`` continues bit by bit on the CPU.

        Args:
            folder: what ``save_checkpoint`` or the callback was given.
            env: environments made as they were before; None: only what was learned is restored, to predict.
            device, trusted, changes: as in `load`.

        Raises:
            ModelFileError: there is no whole checkpoint, or it names what is not trusted.
            ConfigurationError: the environments are others, or of another number.
        """
        return resume(cls, folder, env, device, trusted, changes)

    @property
    def remaining_timesteps(self) -> int:
        """Environment steps that the last call of ``learn`` has not taken yet."""
        return max(self._total_timesteps - self.num_timesteps, 0)

    def _settle_gradients(self) -> None:
        """Hear of bad gradients that a GPU has met since the last call."""
        if self._guard is not None:
            self._guard.settle()

    def _look_at_gradients(self, from_now_on: bool = False) -> None:
        """Guard the optimisers that there are now.

        Args:
            from_now_on: begin with it; otherwise only a guard that is there already is renewed.
        """
        self.runner.forget()
        if self._guard is not None:
            self._guard.remove()
        if self._guard is not None or from_now_on:
            self._guard = GradientGuard(self)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, Any]:
        ready = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        self._look_at_gradients(from_now_on=True)
        if self._pending_log is not None:
            fill_log(self.logger, self._pending_log)
            self._pending_log = None
        return ready


def load(path: str | Path | BinaryIO, env: Any = None, device: torch.device | str = "auto", **kwargs: Any) -> Any:
    """Rebuild a saved model of any algorithm: ``HASAC.load`` for who does not know that it is HASAC.

    Args:
        path: the file, or its URL.
        env, device, kwargs: as in `SavedAlgorithm.load`.

    Raises:
        ModelFileError: the file is damaged, foreign, or names what is not trusted.
        ConfigurationError: the environment's team is another one.
    """
    return SavedAlgorithm.load(path, env, device, **kwargs)
