"""Off-policy learning of teams in stable-baselines3's own loop: collecting, storing, seeding, predicting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback, RolloutReturn, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import should_collect_more_steps
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from masoft.algorithms.common_settings import RATE, UNIT, CommonSettings, LearningRate, Schedule
from masoft.algorithms.habits import offer_locals
from masoft.algorithms.normalise import VecNormalizer
from masoft.algorithms.remembering import RemembersEpisodes
from masoft.algorithms.team import TeamAlgorithm, fitting_into_memory
from masoft.buffers.memory import readable
from masoft.buffers.replay import TeamBatch, TeamReplayBuffer
from masoft.buffers.sequences import SequenceSampler
from masoft.buffers.stretches import ReplayStretches
from masoft.errors import ConfigurationError, explain
from masoft.learners.metrics import Metrics
from masoft.learners.multi_step import Backup, log_prob_taken, no_log_prob
from masoft.learners.presence import shares_of, weighed
from masoft.mirror.exploration import Noise
from masoft.mirror.replay import ReplayRule, UniformReplay
from masoft.mirror.returns import RETURN_RULES, ReturnRule
from masoft.networks.joint_critic import RememberingCritic
from masoft.policies.exploration import noisy_actions, noisy_on_device, uniform_actions, uniform_on
from masoft.policies.team_policy import TeamPolicy
from masoft.saving.replay_files import load_replay, save_replay
from masoft.settings import Felt, Fixed, settings
from masoft.spec import ACTION_MASK
from masoft.validation import PROBED, Every, Instance, Integer, Real
from masoft.validation import Callable as IsCallable

N_STEPS = Integer(1, 100)
N_RANGE = (N_STEPS, IsCallable("a schedule"), Felt("_tell_buffer"))


@settings
class OffPolicySettings(CommonSettings):
    """Of every method that learns from replayed transitions."""

    learning_rate: InitVar[Annotated[LearningRate, RATE]] = 3e-4
    buffer_size: Annotated[int, Integer(1), Fixed("Save it, and load it with load(path, buffer_size=...).")] = 1_000_000
    learning_starts: Annotated[int, Integer(0)] = 1_000
    batch_size: Annotated[int, Integer(1), Felt("_check_settings")] = 256
    tau: Annotated[float, Real(0, 1, open_low=True)] = 0.005
    gamma: Annotated[float, UNIT, Felt("_tell_buffer")] = 0.99
    train_freq: Annotated[
        int | tuple[int, str], Integer(1), Every(("step", "episode")), Felt("_convert_train_freq")
    ] = 1
    gradient_steps: Annotated[int, Integer(-1)] = -1
    replay_rule: Annotated[ReplayRule, Instance((ReplayRule,), "a ReplayRule")] = UniformReplay()
    return_rule: Annotated[ReturnRule | str, RETURN_RULES, Felt("_tell_buffer")] = "plain"
    # Rounded, so `_n_steps_at` checks what a schedule gives.
    n_steps: InitVar[Annotated[int | Schedule, N_RANGE]] = 1


class OffPolicyTeamAlgorithm(OffPolicySettings, RemembersEpisodes, TeamAlgorithm, OffPolicyAlgorithm):
    """Abstract: what every off-policy team method shares. A method defines ``train``.

    Class attributes:
        has_log_probs: whether its policies draw actions whose log-probabilities returns may be corrected by.
    """

    _log_probs: Tensor | None = None
    replay_buffer: TeamReplayBuffer  # type: ignore[assignment]
    policy: TeamPolicy
    has_log_probs: ClassVar[bool] = False
    policy_base: ClassVar[type[BasePolicy]] = TeamPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(TeamPolicy.policy_names, TeamPolicy)

    def __init__(self, policy: str | type[BasePolicy] = "MlpPolicy", env: Any = None, **settings: Any) -> None:
        self._take(settings)
        arguments = self._common_arguments(policy, env)
        # n_steps decides which replay buffer SB3 would take, and masoft has its own.
        OffPolicyAlgorithm.__init__(self, **arguments, n_steps=1, support_multi_env=True, sde_support=False)
        self._take(settings, but=("policy_kwargs", "device"))
        if self.env is not None:
            self._setup_model()

    def _setup_model(self) -> None:
        self._metrics = Metrics(self.team.names)
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._buffer_seed = self._draw_seed()
        self._build_policy()
        self._forget()
        if self.env is not None:
            self._build_buffer()
        self._convert_train_freq()

    def _check_settings(self) -> None:
        """Refuse a minibatch that no buffer holds, and a schedule of n_steps that leaves its range."""
        if self.batch_size > self.buffer_size:
            must = f"at most buffer_size = {self.buffer_size}"
            raise ConfigurationError(explain("batch_size", must, self.batch_size, "Enlarge the buffer."))
        for progress in PROBED:
            self._n_steps_at(progress)

    def _convert_train_freq(self) -> None:
        super()._convert_train_freq()
        if self.n_envs > 1 and self.train_freq.unit is TrainFrequencyUnit.EPISODE:  # type: ignore[union-attr]
            must = f"in steps, since {self.n_envs} environments step together and end at different times"
            raise ConfigurationError(explain("train_freq", must, self.train_freq, "Use train_freq=(n, 'step')."))

    def _tell_buffer(self) -> None:
        """Let the returns that are drawn from now on have the present discount and length."""
        self._check_settings()
        if hasattr(self, "replay_buffer"):
            self.replay_buffer.gamma, self.replay_buffer.n_steps = self.gamma, self._n_steps_at(self.progress_remaining)
            self._look_between()

    def _build_buffer(self) -> None:
        with fitting_into_memory("buffer_size", self.buffer_size):
            self.replay_buffer = TeamReplayBuffer(
                self.buffer_size,
                self.team,
                n_envs=self.n_envs,
                n_steps=self._n_steps_at(1.0),
                gamma=self.gamma,
                device=self.device,
                seed=self._buffer_seed,
            )
        self._look_between()
        if self.verbose >= 1:
            print(f"Replay buffer: {self.buffer_size:,} transitions, {readable(self.replay_buffer.n_bytes)} when full")

    def _look_between(self) -> None:
        """Let the buffer keep and give what the returns ask for.

        Raises:
            ConfigurationError: this method, or what is stored already, does not have it.
        """
        rule: ReturnRule = RETURN_RULES.read(self.return_rule, "return_rule")
        if rule.needs_log_probs and not self.has_log_probs:
            raise no_log_prob(self.return_rule)
        if rule.looks_between and self.policy.remembers:
            must = "'plain' where agents have a memory"
            raise ConfigurationError(explain("return_rule", must, self.return_rule, "Or use 'MlpPolicy'."))
        if rule.needs_log_probs:
            self.replay_buffer.keep_log_probs()
        self.replay_buffer.gives_between, self._return_rule = rule.looks_between, rule

    def _backup(self) -> Backup:
        """How the critic's target is made now."""
        return Backup(self._return_rule.at(self.progress_remaining), self.gamma)

    def _n_steps_at(self, progress: float) -> int:
        """The number of rewards in a return at a remaining progress from 1 to 0.

        Raises:
            ConfigurationError: the schedule left the range from 1 to 100.
        """
        if not callable(self.n_steps):
            return self.n_steps
        given: Any = self.n_steps
        try:
            given = self.n_steps(progress)
            now = round(float(given))
        except (TypeError, ValueError, OverflowError):
            now = 0
        if not N_STEPS.accepts(now):
            where = f"That is its value at a remaining progress of {progress:g}."
            raise ConfigurationError(explain("n_steps", f"{N_STEPS.describe()} at any time", given, where))
        return now

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, total_timesteps)
        n_steps = self._n_steps_at(self.progress_remaining) if callable(self.n_steps) else self.n_steps
        if n_steps != self.replay_buffer.n_steps:
            self.replay_buffer.n_steps = n_steps

    def replay_stretches(self) -> ReplayStretches:
        """The replay buffer, to be saved by and by."""
        return ReplayStretches(self.replay_buffer)

    def save_replay_buffer(self, path: str | Path | BinaryIO) -> None:  # type: ignore[override]
        """Write the replay buffer to a file of JSON and safetensors, whatever its name ends in."""
        self._check_ready()
        save_replay(self.replay_buffer, path)

    def load_replay_buffer(  # type: ignore[override]
        self, path: str | Path | BinaryIO, truncate_last_traj: bool = True
    ) -> None:
        """Fill the replay buffer from a file that `save_replay_buffer` wrote.

        Args:
            path: the file.
            truncate_last_traj: end the episodes that were running, since the environments are elsewhere now.

        Raises:
            ModelFileError: the file is damaged, foreign, or of another team or size.
        """
        self._check_ready()
        self._on_disk = None
        load_replay(self.replay_buffer, path)
        if truncate_last_traj:
            self.replay_buffer.cut()

    def turns_of_present(self, batch: TeamBatch, walk: Iterable[int] | None = None) -> Iterator[int]:
        """The agents that learn and are in the batch, in update order; their steps weigh as much as their rows.

        Args:
            batch: the minibatch.
            walk: the update order, where it was asked for already.
        """
        presence = shares_of(batch.active, self.team.n_agents)
        for i in self.turns() if walk is None else walk:
            if presence[i] > 0:
                with weighed(self.policy.actor_optimizers[i], presence[i]):
                    yield i

    @abstractmethod
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Do ``gradient_steps`` updates on minibatches of ``batch_size`` transitions."""

    def _prepare_training(self) -> None:
        """What stays the same over the updates of one call of ``train``."""
        self.policy.set_training_mode(True)
        self._look_for_learners()
        self.replay_buffer.rule = self.replay_rule.at(self.progress_remaining)
        if "actor" in self.learning_rate_parts:
            for optimizer in self.policy.actor_optimizers:
                optimizer.param_groups[0]["lr"] = self.learning_rate_of("actor")
        self.policy.critic_optimizer.param_groups[0]["lr"] = self.learning_rate_of("critic")

    def _update_targets(self) -> None:
        """Polyak averaging of the target critic."""
        self.policy.critic_target.follow(self.policy.critic, self.tau)

    def _finish_training(self) -> None:
        """Log what one call of ``train`` did."""
        self._settle_gradients()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/learning_rate", self.learning_rate_of(self.learning_rate_parts[0]))
        self._metrics.record(self.logger)

    def sample_batch(self, batch_size: int) -> TeamBatch:
        """A minibatch, normalised where the environments are wrapped in ``VecNormalize``.

        For agents that remember it is stretches of steps, of ``batch_size`` transitions together.
        """
        wrapper = self._vec_normalize_env
        normalizer = None if wrapper is None else VecNormalizer(wrapper)
        if self.policy.remembers:
            with_states = isinstance(self.policy.critic, RememberingCritic)
            sampler = SequenceSampler(self.replay_buffer, self.policy.stretch, with_states)
            return sampler.sample(batch_size, normalizer)
        tagged = normalizer is None and self.policy.takes_tagged_rows
        return self.replay_buffer.sample(batch_size, normalizer, tagged)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, Any]:
        self._check_ready()
        self._convert_train_freq()
        if reset_num_timesteps or self._last_obs is None:
            self._cut_episodes()
        return super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)

    def collect_rollouts(  # type: ignore[override]
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: TeamReplayBuffer,
        action_noise: Any = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """Step the environments and store what happens, with stable-baselines3's names for what callbacks see.

        Nothing here is done once an environment; a log is written once a step at most.
        """
        self.policy.set_training_mode(False)
        num_collected_steps = num_collected_episodes = 0
        offer_locals(callback, self.policy)
        callback.on_rollout_start()
        if getattr(env.unwrapped, "device", None) is not None:
            replay_buffer.make_room(train_freq.frequency)
        while should_collect_more_steps(train_freq, num_collected_steps, num_collected_episodes):
            actions, buffer_actions = self._sample_action(learning_starts, action_noise, env.num_envs)
            new_obs, rewards, dones, infos = env.step(actions)
            self.watch.leave()
            self.num_timesteps += env.num_envs
            num_collected_steps += 1
            callback.update_locals(locals())
            if not callback.on_step():
                return RolloutReturn(num_collected_steps * env.num_envs, num_collected_episodes, False)
            self._update_info_buffer(infos, dones)
            self._store_transition(replay_buffer, buffer_actions, new_obs, rewards, dones, infos)
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            self._on_step()
            n_ended = self._n_ended(dones)
            num_collected_episodes += n_ended
            self._count_ended(n_ended, log_interval)
        self._settle_environment()
        self._count_ended(self._n_ended_on_device(), log_interval)
        callback.on_rollout_end()
        return RolloutReturn(num_collected_steps * env.num_envs, num_collected_episodes, True)

    def _count_ended(self, n_ended: int, log_interval: int | None) -> None:
        """Count episodes, and write the log where its time has come."""
        self._episode_num += n_ended
        if log_interval is not None and self._episode_num % log_interval < n_ended:
            self.dump_logs()

    def _cut_episodes(self) -> None:
        self.replay_buffer.cut()
        self._forget()

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> tuple[Any, Any]:
        self._keep_track()
        assert isinstance(self._last_obs, dict)
        if self.num_timesteps < learning_starts:
            if self.policy.remembers and not self.resting:
                self.play(self._last_obs, deterministic=True)  # memories see all steps
            stored = self._uniform(self._last_obs, n_envs)
            if self.resting:
                own = self._explore(self._last_obs)
                for where in [self.team.action_slices[i] for i in self.resting]:
                    stored[:, where] = own[:, where]
        else:
            stored = self._explore(self._last_obs)
        if self.replay_buffer.log_probs is not None:
            is_random = self.num_timesteps < learning_starts
            self._log_probs = log_prob_taken(self.policy, self._last_obs, stored, self.learners if is_random else ())
        return self._to_environment(stored), stored

    def _noisy(self, actions: Any, noise: float | Noise, epsilon: float, masks: Any) -> Any:
        """Actions (n_envs, action_size) with noise on Boxes, and now and then a uniform choice of who learns."""
        if not isinstance(actions, Tensor):
            return noisy_actions(self.team, actions, noise, epsilon, masks, self.cpu_generator, self.resting)
        masks = None if masks is None else masks.to(self.device)
        generators = self.cpu_generator, self._device_generator
        return noisy_on_device(self.team, actions, noise, epsilon, masks, generators, self.resting)

    def _uniform(self, obs: Mapping[str, Any], n_envs: int) -> Any:
        """Legal actions at random, (n_envs, action_size)."""
        masks = obs.get(ACTION_MASK)
        if not isinstance(obs[self.team.names[0]], Tensor):
            return uniform_actions(self.team, n_envs, masks, self.cpu_generator)
        masks = None if masks is None else masks.to(self.device)
        return uniform_on(self.device, self.team, n_envs, masks, self._device_generator)

    @property
    def _device_generator(self) -> torch.Generator:
        """Of draws for exploration where observations are tensors; on a processor the one that arrays use."""
        found: torch.Generator = self.cpu_generator if self.device.type == "cpu" else self.generator
        return found

    def _explore(self, obs: Mapping[str, Any]) -> Any:
        """Actions for training, (n_envs, action_size): a draw from the policies."""
        return self.play(obs, deterministic=False)

    def _store_transition(
        self,
        replay_buffer: Any,
        buffer_action: Any,
        new_obs: Any,
        reward: Any,
        dones: Any,
        infos: list[dict[str, Any]],
    ) -> None:
        wrapper = self._vec_normalize_env
        self._starts = dones
        if wrapper is None:
            replay_buffer.add(self._last_obs, new_obs, buffer_action, reward, dones, infos, self._log_probs)
        elif self.watch.was_moved:
            return  # the wrapper holds raw observations of another step
        else:
            raw_obs, raw_reward = wrapper.get_original_obs(), wrapper.get_original_reward()
            raw_infos = getattr(infos, "raw", None) or [
                {**info, "terminal_observation": wrapper.unnormalize_obs(info["terminal_observation"])}
                if done
                else info
                for info, done in zip(infos, dones, strict=True)
            ]
            replay_buffer.add(
                self._last_original_obs, raw_obs, buffer_action, raw_reward, dones, raw_infos, self._log_probs
            )
            self._last_original_obs = raw_obs
        self._last_obs = new_obs
        self.watch.settle()
