"""Applying stable-baselines3's ``VecNormalize`` to batches drawn from a replay buffer, as tensors."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from masoft.envs.device_normalize import tensors_of


class VecNormalizer:
    """Normalises stored raw values by the present statistics of a ``VecNormalize`` wrapper.

    Args:
        wrapper: the wrapper around the training environments.
    """

    def __init__(self, wrapper: VecNormalize) -> None:
        self._wrapper = wrapper
        keys = wrapper.norm_obs_keys if wrapper.norm_obs_keys is not None else []
        self._keys = frozenset(keys) if wrapper.norm_obs else frozenset()

    def observation(self, name: str, values: Tensor) -> Tensor:
        """Normalise the entry ``name`` of a team observation, (batch, ...), if the wrapper does."""
        if name not in self._keys:
            return values
        assert isinstance(self._wrapper.obs_rms, dict)
        moments = self._wrapper.obs_rms[name]
        mean, variance = (each.float() for each in tensors_of(moments, values.device))
        clip = self._wrapper.clip_obs
        return ((values - mean) / torch.sqrt(variance + self._wrapper.epsilon)).clamp(-clip, clip)

    def reward(self, values: Tensor) -> Tensor:
        """Scale rewards of any shape, if the wrapper does."""
        if not self._wrapper.norm_reward:
            return values
        moments, epsilon = self._wrapper.ret_rms, self._wrapper.epsilon
        scale: Any = float(moments.var + epsilon) ** 0.5 if isinstance(moments, RunningMeanStd) else None
        if scale is None:
            scale = (tensors_of(moments, values.device)[1] + epsilon).sqrt().float()
        scaled: Tensor = (values / scale).clamp(-self._wrapper.clip_reward, self._wrapper.clip_reward)
        return scaled
