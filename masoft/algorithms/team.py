"""What on-policy and off-policy team methods share: the environment bridge, seeding, prediction, readiness."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from masoft.algorithms.common_settings import CommonSettings, LearningRate, Schedule
from masoft.algorithms.continuity import Continuity
from masoft.algorithms.estimator import Estimator
from masoft.algorithms.fitting import fitting_into_memory, same_team
from masoft.algorithms.habits import Habits, check_policy_kwargs
from masoft.algorithms.tally import CountsEpisodes
from masoft.envs.normalization import scaled_alike
from masoft.envs.vector import as_vec_env, make_vec
from masoft.envs.vector_team import team_of
from masoft.envs.wrapping import statistics_at_rest, wrapped_alike
from masoft.errors import ConfigurationError, MasoftError, SpaceError, explain, nearest
from masoft.fast.precision import tell_of_no_use
from masoft.functional.actions import ToEnvironment, to_environment
from masoft.habits import POLICIES
from masoft.mirror.schedule import Progress, value_at
from masoft.policies.architecture import ALIASES
from masoft.policies.base import JointPolicy
from masoft.presets import PAPER, preset
from masoft.spec import TeamSpec
from masoft.validation import Real

T = TypeVar("T", bound="TeamAlgorithm")

FIXED = dict.fromkeys(("critic_input", "value_decay", "mixer"))
"""Arguments of policies that the algorithm chooses."""

ACTION_KINDS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class TeamAlgorithm(CommonSettings, CountsEpisodes, Habits, Continuity, Estimator):
    """Abstract mixin over SB3's ``BaseAlgorithm``; keeps its habits and leaves global random states alone.

    Class attributes:
        policy_base: what a policy class must descend from.
        learning_rate_parts: names that a ``learning_rate`` dict must have; the first is what SB3 logs.
        action_kinds: action spaces that an agent may have.
    """

    team: TeamSpec
    is_learning: bool = False
    policy: JointPolicy
    learning_rate: Any
    preset_timesteps: int | None = None
    policy_base: ClassVar[type[BasePolicy]] = BasePolicy  # type: ignore[type-abstract]
    _of_alias: Mapping[str, Any] = {}
    _converter: ToEnvironment | None = None
    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic")
    action_kinds: ClassVar[tuple[type[spaces.Space[Any]], ...]] = ACTION_KINDS

    def _take(self, settings: Mapping[str, Any], but: Collection[str] = ()) -> None:
        """Keep settings as attributes, and check what no single one of them tells."""
        for name, value in settings.items():
            if name not in but:
                setattr(self, name, value)
        self._check_settings()

    def _check_settings(self) -> None:
        """Refuse settings that do not fit each other.

        Raises:
            ConfigurationError: names the setting and what it has to fit.
        """

    def _policy_arguments(self) -> dict[str, Any]:
        """What the policy's constructor takes: ``policy_kwargs``, and settings that are the networks' own."""
        return dict(self.policy_kwargs or {})

    def _common_arguments(self, policy: str | type[BasePolicy], env: Any) -> dict[str, Any]:
        """What stable-baselines3's constructors take of every method; the environment is made here."""
        return dict(
            policy=self._policy_class_of(policy),
            env=self._prepare_env(env, self.team_reward),
            learning_rate=1.0,  # replaced by the schedules of each part in _setup_lr_schedule
            policy_kwargs=self._policy_arguments(),
            device=self.device,
            seed=self.seed,
            verbose=self.verbose,
            tensorboard_log=self.tensorboard_log,
            stats_window_size=self.stats_window_size,
        )

    def _prepare_env(self, env: Any, team_reward: str) -> VecEnv | None:
        """Whatever the user passed as a VecEnv of teams; remembers the team."""
        if env is None:
            return None
        vec_env = as_vec_env(env, team_reward=team_reward)
        self.team = team_of(vec_env)
        self._check_team()
        return vec_env

    def _check_team(self) -> None:
        """Refuse a team that this method cannot train.

        Raises:
            SpaceError: names the agent, its action space and the kinds that are possible.
        """
        for agent in self.team.agents:
            if not isinstance(agent.action_space, self.action_kinds):
                which = f"The action space of agent {agent.name!r}"
                must = " or ".join(kind.__name__ for kind in self.action_kinds)
                cure = "HASAC and HATD3 take every kind." if agent.action.is_box else ""
                raise SpaceError(explain(which, f"a {must} for {type(self).__name__}", agent.action_space, cure))

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        # SB3 would transpose image observations here; a team's observations keep their shape.
        return env if isinstance(env, VecEnv) else as_vec_env(env)

    def _policy_class_of(self, policy: str | type[BasePolicy]) -> type[BasePolicy]:
        """The policy class behind an alias (SB3 refuses the string "MlpPolicy" with Dict observations)."""
        if isinstance(policy, str):
            if policy not in self.policy_aliases:
                known = POLICIES.get(policy) or nearest(policy, self.policy_aliases)
                raise ConfigurationError(explain("policy", "a known alias or a policy class", policy, known))
            self._of_alias = ALIASES[policy]
            return self.policy_aliases[policy]
        if not (isinstance(policy, type) and issubclass(policy, self.policy_base)):
            raise ConfigurationError(explain("policy", f"a subclass of {self.policy_base.__name__}", policy))
        return policy

    def _setup_lr_schedule(self) -> None:
        by_part = self._rates_by_part()
        self.lr_schedules = {part: FloatSchedule(rate) for part, rate in by_part.items()}
        if any(part not in by_part for part in self.learning_rate_parts):
            must = f"given for {self.learning_rate_parts}"
            raise ConfigurationError(explain("learning_rate", must, self.learning_rate))
        self.lr_schedule = self.lr_schedules[self.learning_rate_parts[0]]

    def _rates_by_part(self) -> dict[str, float | Schedule]:
        rates: Any = self.learning_rate
        return dict(rates) if isinstance(rates, Mapping) else dict.fromkeys(self.learning_rate_parts, rates)

    def learning_rate_of(self, part: str) -> float:
        """The learning rate of one part (``"actor"``, ``"critic"``, ``"ent_coef"``) at the present progress, >= 0."""
        return value_at(self.lr_schedules[part], self.progress_remaining, f"learning_rate of the {part}", Real(0))

    @property
    def progress_remaining(self) -> Progress:
        """Share of the training that is left, from 1 to 0; knows the environment steps taken."""
        return Progress(self._current_progress_remaining, self.num_timesteps)

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        # The last rollout may go past the end; no schedule is asked for a place outside of [0, 1].
        self._current_progress_remaining = max(1.0 - num_timesteps / total_timesteps, 0.0)

    def _look_at_precision(self) -> None:
        self.runner.forget()
        tell_of_no_use(self.precision, self.device)

    def _to_environment(self, actions: Any) -> Any:
        """Joint actions in the environment's units, on the device where they are."""
        if not isinstance(actions, torch.Tensor):
            return to_environment(self.team, actions)
        if self._converter is None or self._converter.device != actions.device:
            self._converter = ToEnvironment(self.team, actions.device)
        return self._converter(actions)

    def _settle_environment(self) -> None:
        """Raise what was wrong in steps of a simulator whose numbers stay on a device; see `BatchedVecEnv.settle`."""
        base: Any = None if self.env is None else self.env.unwrapped
        if getattr(base, "device", None) is not None:
            base.settle()

    def _build_policy(self) -> None:
        """Create the networks under a generator of our own, leaving PyTorch's global one as it was."""
        check_policy_kwargs(self.policy_class, self.policy_kwargs, FIXED)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self._draw_seed())
            try:
                kwargs = {"team": self.team, **self._of_alias, **self.policy_kwargs}
                policy = self.policy_class(self.observation_space, self.action_space, self.lr_schedule, **kwargs)
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                if isinstance(error, MasoftError):
                    raise
                must = f"arguments of {self.policy_class.__name__}"
                raise ConfigurationError(explain("policy_kwargs", must, self.policy_kwargs, str(error))) from error
        assert isinstance(policy, JointPolicy)
        self.policy, self._learners = policy.to(self.device), None
        self._settle_record()
        tell_of_no_use(self.precision, self.device)
        if self.verbose >= 1:
            print(f"Team of {self.team.n_agents}:\n{policy.sharing_table()}")

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Set the environment, as SB3's ``set_env``; it builds the networks of an estimator made without one."""
        known = self.team if hasattr(self, "policy") else None
        try:
            vec_env = self._prepare_env(env, self.team_reward)
            assert isinstance(vec_env, VecEnv)
            if known is not None:
                self.team = same_team(known, self.team)
                vec_env = scaled_alike(vec_env, self.normalization, is_first=self.env is None)
        except MasoftError:
            if known is not None:
                self.team = known
            raise
        if self.env is None:
            self.n_envs, self.env = vec_env.num_envs, vec_env
            if known is None:
                self.build_for(self.team)
            else:
                self._build_buffer()
        super().set_env(vec_env, force_reset)

    def build_for(self, team: TeamSpec) -> None:
        """Build the networks of an estimator made without an environment; it can then predict, and load weights."""
        self.team = team
        self.observation_space, self.action_space = team.observation_space, team.action_space
        self.n_envs = getattr(self, "n_envs", 1)
        with self._unsettled():
            self._setup_model()

    def _build_buffer(self) -> None:
        """Make storage for the environments that have just been set; a model that only predicts has none."""

    @classmethod
    def from_preset(
        cls: type[T], name: str, env: Any = None, *, variant: str = PAPER, seed: int | None = None, **changes: Any
    ) -> T:
        """The published experiment of that name: its environments and hyper-parameters; see `masoft.presets`.

        ``learn()`` without a number then runs as many steps as the publication did.

        Args:
            name: for example ``"mamujoco/HalfCheetah-2x3"``; ``masoft presets`` lists them.
            env: environments to use instead of the preset's.
            variant: ``"paper"``, or ``"reference"`` where the published code differs from the paper.
            seed: of the environments and of everything else.
            changes: constructor arguments that replace the preset's.

        Raises:
            ConfigurationError: no such preset; the message has the nearest names.
            MissingDependencyError: the simulator is not installed; the message has the command.
        """
        found = preset(cls.__name__, name, variant=variant)
        if env is None:
            env = make_vec(found.env, n_envs=found.n_envs, seed=seed, **found.env_kwargs)
        model = cls(env=env, seed=seed, **{**found.parameters, **changes})
        model.preset_timesteps = found.total_timesteps
        return model

    def learn(
        self: T,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 4,
        tb_log_name: str = "run",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> T:
        """Train, as stable-baselines3's ``learn``; timesteps count environment steps, not agents.

        Args:
            total_timesteps: environment steps; None: as many as the preset says that the model was made from.
            callback: one of stable-baselines3's or masoft's callbacks, a list of them, or a function of (locals,
                globals) that returns whether to go on.
            log_interval: episodes between two rows of the log (on-policy methods: rollouts); None writes none.
            tb_log_name: of the run in TensorBoard.
            reset_num_timesteps: whether steps are counted from 0; False goes on.
            progress_bar: draw stable-baselines3's bar.
        """
        total = self.preset_timesteps if total_timesteps is None else total_timesteps
        if total is None:
            raise ConfigurationError(
                explain("total_timesteps", "given, since the model was not made by from_preset", total_timesteps)
            )
        self.is_learning = True
        try:
            return super().learn(  # type: ignore[safe-super]
                total,
                callback,
                log_interval,  # type: ignore[arg-type]
                tb_log_name,
                reset_num_timesteps,
                progress_bar,
            )
        finally:
            self.is_learning = False

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed everything that belongs to this run: networks, draws, sampler, environments; nothing global.

        Args:
            seed: any integer >= 0; None draws one from the operating system.
        """
        entropy = np.random.SeedSequence(seed)
        self._seeds = np.random.Generator(np.random.PCG64(entropy))
        self.generator = torch.Generator(self.device).manual_seed(self._draw_seed())
        self.cpu_generator = torch.Generator().manual_seed(self._draw_seed())
        if seed is not None:
            self.action_space.seed(seed)
            if self.env is not None:
                self.env.seed(seed)

    def _draw_seed(self) -> int:
        return int(self._seeds.integers(2**31 - 1))

    def predict(  # type: ignore[override]
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Mapping[str, np.ndarray] | None = None,
    ) -> Any:
        """Actions for observations, see `TeamPolicy.predict`.

        A team observation (what the joint environment gives) returns SB3's pair ``(joint actions, state)``; a dict of
        agents' own observations returns a dict of actions, each in its agent's own space.

        Raises:
            ConfigurationError: an unknown or missing agent, a wrong shape, a mask without a legal choice.
        """
        self._check_built()
        return self.policy.predict(
            observation, state, episode_start, deterministic, action_masks, generator=self.generator
        )

    def score(self, env: Any = None, n_eval_episodes: int = 10) -> float:
        """Mean return of the team's deterministic policy, as scikit-learn's ``score``.

        Args:
            env: environment to play in; None: the training environment (whose running episodes end here). It is
                seen as in training: frames stacked, normalised with the statistics of training, which stay as they are.
            n_eval_episodes: episodes played.

        Returns:
            the mean of the sums of unscaled rewards.
        """
        from stable_baselines3.common.evaluation import evaluate_policy

        self._check_built()
        if env is None:
            self._check_ready()
        vec_env = self.env if env is None else wrapped_alike(as_vec_env(env, team_reward=self.team_reward), self.env)
        assert vec_env is not None
        vec_env = scaled_alike(vec_env, self.normalization)
        if vec_env is self.env:
            self.watch.forgive()
        with statistics_at_rest(vec_env):
            mean, _ = evaluate_policy(self, vec_env, n_eval_episodes=n_eval_episodes, warn=False)  # type: ignore[arg-type]
        return float(mean)  # type: ignore[arg-type]  # of the rewards' own type: float32 in a batched simulator

    def export(self, folder: str | Path) -> Path:
        """Write one ONNX file an agent and a JSON contract, which `masoft.deploy.load` plays without torch.

        The files take observations as the environment gives them; where training scaled them, the files do.

        Args:
            folder: where to; made if absent.

        Returns:
            the folder.
        """
        from masoft.deploy.export import export_policy

        self._check_built()
        export_policy(self.policy, folder, algorithm=type(self).__name__, normalization=self.normalization)
        return Path(folder)

    def _check_built(self) -> None:
        if not hasattr(self, "policy"):
            raise ConfigurationError(
                f"This {type(self).__name__} has no networks yet, since it was made without an environment. "
                "Pass env= to the constructor, or call set_env(env)."
            )

    def _check_ready(self) -> None:
        self._check_built()
        if self.env is None:
            raise ConfigurationError(
                f"This {type(self).__name__} has no environment to learn in. Call set_env(env), or pass env= to load."
            )


__all__ = [
    "LearningRate",
    "TeamAlgorithm",
    "fitting_into_memory",
    "same_team",
    "unwrap_vec_normalize",
]
