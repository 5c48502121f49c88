"""stable-baselines3's VecNormalize around a batch whose numbers are tensors: running statistics on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor


class DeviceMoments:
    """Running mean and variance, as stable-baselines3's ``RunningMeanStd`` has them, kept as tensors.

    Args:
        shape: of one value.
        device: where they lie.
    """

    def __init__(self, shape: tuple[int, ...] | None, device: torch.device) -> None:
        shape = shape or ()
        self.of_values = torch.zeros(shape, dtype=torch.float64, device=device)
        self.of_squares = torch.ones(shape, dtype=torch.float64, device=device)
        self.count = 1e-4

    @property
    def mean(self) -> np.ndarray:
        """As an array: a look from the host."""
        return self.of_values.cpu().numpy()

    @mean.setter
    def mean(self, values: Any) -> None:
        self.of_values.copy_(torch.as_tensor(values))

    @property
    def var(self) -> np.ndarray:
        """As an array: a look from the host."""
        return self.of_squares.cpu().numpy()

    @var.setter
    def var(self, values: Any) -> None:
        self.of_squares.copy_(torch.as_tensor(values))

    def update(self, batch: Tensor) -> None:
        """Take in values (n, *shape)."""
        n, batch = len(batch), batch.double()
        mean, variance = batch.mean(0), batch.var(0, unbiased=False)
        total, change = self.count + n, mean - self.of_values
        squares = self.of_squares * self.count + variance * n + change.square() * (self.count * n / total)
        self.of_values, self.of_squares, self.count = self.of_values + change * (n / total), squares / total, total


class DeviceNormalize(VecNormalize):
    """`VecNormalize` that reads nothing from the device in a vector step.

    Its statistics look like stable-baselines3's to whoever saves, copies or loads them.
    """

    obs_rms: Any
    ret_rms: Any

    def __init__(self, venv: Any, **settings: Any) -> None:
        self._returns = torch.zeros(venv.num_envs, device=venv.unwrapped.device)
        super().__init__(venv, **settings)
        device = self._returns.device
        if self.norm_obs:
            self.obs_rms = {key: DeviceMoments(self.obs_spaces[key].shape, device) for key in self.obs_rms}
        self.ret_rms = DeviceMoments((), device)

    @property
    def returns(self) -> Any:
        """Discounted returns of the running episodes, as an array: a look from the host."""
        return self._returns.cpu().numpy()

    @returns.setter
    def returns(self, values: Any) -> None:
        self._returns = torch.as_tensor(np.asarray(values), dtype=torch.float32).to(self._returns.device)

    def reset(self) -> Any:
        """Start episodes."""
        seen: Any = self.venv.reset()
        self.old_obs, self._returns = seen, torch.zeros_like(self._returns)
        return self._seen(seen)

    def step_wait(self) -> Any:
        """Step; tensors where the actions were some."""
        given: Any = self.venv.step_wait()
        seen, rewards, dones, infos = given
        self.old_obs, self.old_reward = seen, rewards
        observations = self._seen(seen)
        on_device = torch.as_tensor(rewards, device=self._returns.device)
        if self.training:
            self._returns = self._returns * self.gamma + on_device
            self.ret_rms.update(self._returns)
        scaled = self._scaled(on_device)
        self._returns = self._returns * ~torch.as_tensor(dones, device=self._returns.device)
        finals = observations if infos.has_no_end else self._normalised(infos.device_finals)
        told = infos.with_finals(finals)
        return observations, scaled if rewards is on_device else scaled.cpu().numpy(), dones, told

    def get_original_obs(self) -> Any:
        """The last observations as they were."""
        return dict(self.old_obs)

    def get_original_reward(self) -> Any:
        """The last rewards as they were."""
        return self.old_reward

    def normalize_obs(self, obs: Any) -> Any:
        """Observations of tensors or arrays, normalised."""
        if isinstance(next(iter(obs.values())), Tensor):
            return self._normalised(obs)
        return super().normalize_obs(obs)

    def _seen(self, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.training and self.norm_obs:
            for key, moments in self.obs_rms.items():
                moments.update(seen[key])
        return self._normalised(seen)

    def _normalised(self, seen: Any) -> dict[str, Tensor]:
        """As tensors; the statistics may be those of environments that give arrays."""
        return {key: self._one(key, values) for key, values in seen.items()}

    def _one(self, key: str, values: Tensor) -> Tensor:
        if not self.norm_obs or key not in self.obs_rms:
            return values
        mean, variance = tensors_of(self.obs_rms[key], values.device)
        return ((values - mean) / (variance + self.epsilon).sqrt()).clamp(-self.clip_obs, self.clip_obs).float()

    def _scaled(self, rewards: Tensor) -> Tensor:
        if not self.norm_reward:
            return rewards
        scale = (tensors_of(self.ret_rms, rewards.device)[1] + self.epsilon).sqrt()
        return (rewards / scale).clamp(-self.clip_reward, self.clip_reward).float()


def tensors_of(moments: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and variance of either kind of statistics, float64, on a device."""
    if isinstance(moments, DeviceMoments):
        return moments.of_values.to(device), moments.of_squares.to(device)
    return torch.as_tensor(moments.mean, device=device), torch.as_tensor(moments.var, device=device)
