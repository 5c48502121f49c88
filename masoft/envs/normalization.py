"""What a VecNormalize has learned, apart from the environments that it stands around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from masoft.errors import ConfigurationError, explain

SETTINGS = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys")
RETURNS = "discounted returns"
"""Name of the moments that rewards are scaled by, among those of the observations."""

Scale = tuple[np.ndarray, np.ndarray, float]


@dataclass(frozen=True)
class Normalization:
    """How a team's observations and rewards were scaled in training.

    Args:
        settings: arguments of ``VecNormalize``.
        moments: mean, variance and count, by key of the observation; those of the returns under `RETURNS`.
    """

    settings: Mapping[str, Any]
    moments: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, wrapper: VecNormalize) -> Normalization:
        """That of environments, as it is now."""
        moments = {
            key: {"mean": np.array(each.mean), "var": np.array(each.var), "count": each.count}
            for key, each in _moments(wrapper).items()
        }
        return cls({name: getattr(wrapper, name) for name in SETTINGS}, moments)

    def around(self, vec_env: VecEnv) -> VecEnv:
        """Environments scaled like this, whose statistics go on from here.

        Raises:
            ConfigurationError: they have other entries, or ones of another shape.
        """
        given = getattr(vec_env.observation_space, "spaces", {})
        scaled = [*(self.settings["norm_obs_keys"] or ())]
        if not set(scaled) <= set(given):
            must = f"environments that give {scaled}, which training scaled"
            raise ConfigurationError(explain("env", must, [*given]))
        from masoft.envs.wrapping import normalizer_of  # a module above

        wrapper = normalizer_of(vec_env)(vec_env, **self.settings)
        self.into(wrapper)
        return wrapper

    def into(self, wrapper: VecNormalize) -> None:
        """Give environments these statistics.

        Raises:
            ConfigurationError: they scale other entries, or ones of another shape.
        """
        own = _moments(wrapper)
        if set(own) != set(self.moments):
            must = f"the same that training scaled, {sorted(set(self.moments) - {RETURNS})}"
            raise ConfigurationError(explain("norm_obs_keys of the VecNormalize", must, sorted(set(own) - {RETURNS})))
        for key, moments in own.items():
            stored = self.moments[key]
            if np.shape(stored["mean"]) != np.shape(moments.mean):
                must = f"{np.shape(moments.mean)}, that of its environment"
                raise ConfigurationError(
                    explain(f"The shape of the statistics of {key!r}", must, np.shape(stored["mean"]))
                )
        for key, moments in own.items():
            stored = self.moments[key]
            moments.mean, moments.var, moments.count = stored["mean"], stored["var"], stored["count"]

    def scale_of(self, key: str) -> Scale | None:
        """Mean, standard deviation and bound of one entry's scaled values; None: it stays as it is."""
        if not self.settings["norm_obs"] or key not in self.moments:
            return None
        mean, variance = (np.asarray(self.moments[key][name], np.float64) for name in ("mean", "var"))
        return mean, np.sqrt(variance + self.settings["epsilon"]), float(self.settings["clip_obs"])

    def original(self, key: str, values: np.ndarray) -> np.ndarray:
        """What scaled values (n, *shape) of one entry were before, but for those that were cut at the bound."""
        scale = self.scale_of(key)
        return values if scale is None else (values * scale[1] + scale[0]).astype(np.float32)

    def normalize_obs(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """One observation or a batch as ``VecNormalize`` shows it; entries that it leaves alone are passed on."""
        return {key: self._scaled(values, self.scale_of(key)) for key, values in observation.items()}

    @staticmethod
    def _scaled(values: Any, scale: Scale | None) -> Any:
        if scale is None:
            return values
        mean, deviation, bound = scale
        return np.clip((values - mean) / deviation, -bound, bound).astype(np.float32)


def scaled_alike(vec_env: VecEnv, known: Normalization | None, *, is_first: bool = False) -> VecEnv:
    """Environments in which a trained team goes on, scaled as those before.

    Args:
        vec_env: without a VecNormalize, which it then gets; or with one, which stays.
        known: how others were scaled; None: they were not.
        is_first: whether a VecNormalize that stays gets the statistics of before.
    """
    wrapper = unwrap_vec_normalize(vec_env)
    if known is None:
        return vec_env
    if wrapper is None:
        return known.around(vec_env)
    if is_first:
        known.into(wrapper)
    return vec_env


def _moments(wrapper: VecNormalize) -> dict[str, Any]:
    by_key = wrapper.obs_rms if wrapper.norm_obs else {}
    assert isinstance(by_key, dict)
    return {**by_key, RETURNS: wrapper.ret_rms}
