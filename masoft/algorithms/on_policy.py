"""On-policy learning of teams in stable-baselines3's own loop: collecting rollouts, storing, evaluating them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import InitVar
from typing import Annotated, Any, ClassVar, TypeVar

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from masoft.algorithms.common_settings import RATE, UNIT, CommonSettings, LearningRate
from masoft.algorithms.habits import offer_locals
from masoft.algorithms.precise import in_own_precision
from masoft.algorithms.team import TeamAlgorithm, fitting_into_memory
from masoft.buffers.memory import readable
from masoft.buffers.rollout import TeamRolloutBuffer
from masoft.errors import ConfigurationError, explain
from masoft.learners.experience import Experience
from masoft.learners.rollout import Recall, evaluate_rollout
from masoft.policies.on_policy_team import Memories, OnPolicyTeamPolicy
from masoft.saving.parts import StatePart
from masoft.saving.rollout_state import RolloutState
from masoft.settings import Felt, settings
from masoft.validation import Integer, Nothing, Real

T = TypeVar("T", bound="OnPolicyTeamAlgorithm")


@settings
class OnPolicySettings(CommonSettings):
    """Of every method that learns from its latest rollout."""

    learning_rate: InitVar[Annotated[LearningRate, RATE]] = 3e-4
    n_steps: Annotated[int, Integer(1), Felt("_resize_rollouts")] = 2048
    batch_size: Annotated[int | None, Integer(1), Nothing(), Felt("_check_batches")] = 64
    gamma: Annotated[float, UNIT] = 0.99
    gae_lambda: Annotated[float, UNIT] = 0.95
    vf_coef: Annotated[float, Real(0, open_low=True)] = 0.5
    max_grad_norm: InitVar[Annotated[float | None, Real(0, open_low=True), Nothing()]] = 0.5


class OnPolicyTeamAlgorithm(OnPolicySettings, TeamAlgorithm, OnPolicyAlgorithm):
    """Abstract: what every on-policy team method shares. A method defines ``train``."""

    rollout_buffer: TeamRolloutBuffer  # type: ignore[assignment]
    policy: OnPolicyTeamPolicy  # type: ignore[assignment]
    experience: Experience
    policy_base: ClassVar[type[BasePolicy]] = OnPolicyTeamPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(
        OnPolicyTeamPolicy.policy_names, OnPolicyTeamPolicy
    )

    def __init__(self, policy: str | type[BasePolicy] = "MlpPolicy", env: Any = None, **settings: Any) -> None:
        self._take(settings)
        arguments = self._common_arguments(policy, env)
        for name in ("n_steps", "gamma", "gae_lambda", "vf_coef", "max_grad_norm"):
            arguments[name] = settings[name]
        OnPolicyAlgorithm.__init__(
            self, **arguments, ent_coef=0.0, use_sde=False, sde_sample_freq=-1, _init_setup_model=False
        )
        self._take(settings, but=("policy_kwargs", "device"))
        if self.env is not None:
            self._setup_model()

    def learn(
        self: T,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "OnPolicyAlgorithm",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> T:
        """Train, see `TeamAlgorithm.learn`; ``log_interval`` counts rollouts."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._build_policy()
        self._memories: Memories = ()
        self._recall = Recall()
        if self.env is not None:
            self._build_buffer()

    def _build_buffer(self) -> None:
        self._check_batches()
        with fitting_into_memory("n_steps", self.n_steps):
            self.rollout_buffer = TeamRolloutBuffer(self.n_steps, self.team, self.n_envs, self.device)
        if self.verbose >= 1:
            n_rows = self.n_steps * self.n_envs
            print(f"Rollout buffer: {n_rows:,} environment steps, {readable(self.rollout_buffer.n_bytes)}")

    def _resize_rollouts(self) -> None:
        """Let the next rollouts have their new length.

        Raises:
            ConfigurationError: one is under way.
        """
        if self.env is None:
            return
        if self.rollout_buffer.pos > 0 and not self.rollout_buffer.is_full:
            must = f"{self.rollout_buffer.n_steps} until the rollout that is under way is full"
            raise ConfigurationError(explain("n_steps", must, self.n_steps, "Change it between two calls of learn."))
        self._build_buffer()

    def _check_batches(self) -> None:
        """Refuse settings that leave minibatches or sequences empty.

        Raises:
            ConfigurationError: names the setting and the numbers that it has to fit.
        """
        length, n_rows = self.policy.sequence_length, self.n_steps * self.n_envs
        if self.n_steps % length:
            must = f"a multiple of the policy's sequence_length = {length}"
            cure = "Change one of them: policy_kwargs=dict(sequence_length=...)."
            raise ConfigurationError(explain("n_steps", must, self.n_steps, cure))
        for name in self.batch_size_names:
            size = getattr(self, name)
            if size is not None and size > n_rows:
                must = f"at most n_steps * n_envs = {n_rows}, so that no minibatch is empty"
                raise ConfigurationError(explain(name, must, size, "None takes the whole rollout at once."))
            if size is not None and size < length:
                must = f"at least the policy's sequence_length = {length}, so that no minibatch is empty"
                raise ConfigurationError(explain(name, must, size))

    def run_parts(self) -> dict[str, StatePart]:
        """Besides what every method's checkpoint holds: memories, and the rollout that is under way."""
        return {**super().run_parts(), "rollout": RolloutState(self)}

    @property
    def batch_size_names(self) -> tuple[str, ...]:
        """Names of the attributes that are sizes of minibatches."""
        return ("batch_size",)

    @property
    def reward_ent_coef(self) -> Tensor | None:
        """Temperature of the entropies that count as reward; None: none do."""
        return None

    @abstractmethod
    def train(self) -> None:
        """Improve the policies on ``experience``."""

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, Any]:
        self._check_ready()
        if reset_num_timesteps or self._last_obs is None:
            self.rollout_buffer.reset()  # the environments are about to be reset unseen
        return super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)

    def collect_rollouts(  # type: ignore[override]
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: TeamRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` steps of each environment, then evaluate it.

        A rollout that was interrupted (by a callback, or by a checkpoint) is continued. Callbacks see the names of
        stable-baselines3: ``actions`` (as drawn), ``clipped_actions`` (as played), ``new_obs``, ``rewards``, ``dones``,
        ``infos``, ``n_steps``; and, computed when asked for, ``obs_tensor``, ``values`` and ``log_probs``.

        Returns:
            False if the callback stopped it.
        """
        self.policy.set_training_mode(False)
        if rollout_buffer.is_full:
            rollout_buffer.reset()
        if rollout_buffer.pos == 0:
            self._recall = Recall(self._memories, self._recall.critic)
        offer_locals(callback, self.policy)
        callback.on_rollout_start()
        while not rollout_buffer.is_full:
            self._keep_track()
            obs, starts = self._seen()
            n_steps = rollout_buffer.pos
            actions, memories = self.policy.explore(obs, self._memories, starts, self.generator)
            clipped_actions = self._to_environment(actions)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self.watch.leave()
            rollout_buffer.add(obs, starts, actions, rewards, dones, infos)
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
            self.watch.settle()
            self._memories = memories
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
        self._settle_environment()
        rollout_buffer.finish(*self._seen())
        self._evaluate_rollout()
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _cut_episodes(self) -> None:
        self.rollout_buffer.cut(self._seen()[0])

    def _seen(self) -> tuple[dict[str, Any], Any]:
        """The present team observations, and where episodes start with them."""
        assert isinstance(self._last_obs, dict) and self._last_episode_starts is not None
        return self._last_obs, self._last_episode_starts

    @in_own_precision
    def _evaluate_rollout(self) -> None:
        """Old policies, values and advantages of the rollout that has just been made."""
        self.experience, critic_memory = evaluate_rollout(
            self.rollout_buffer,
            self.policy,
            self._recall,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            ent_coef=self.reward_ent_coef,
            generator=self.generator,
        )
        self._recall = Recall(self._memories, critic_memory)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy"], []
