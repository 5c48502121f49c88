"""Environments that a simulator steps all at once, as one stable-baselines3 VecEnv without processes."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from masoft.envs.actions import ROUNDING, ActionSplitter
from masoft.errors import ConfigurationError, EnvironmentFault, explain
from masoft.infos import DeviceInfos, LazyInfos
from masoft.spec import ACTION_MASK, ACTIVE, TeamSpec

if TYPE_CHECKING:
    import torch

    from masoft.envs.on_device import DeviceSide

Joint = dict[str, Any]
SEPARATE = "Environments of a batch have no parts of their own; backend='dummy' makes separate ones."


@dataclass(frozen=True)
class BatchedStep:
    """What one step of all environments gives: arrays, or tensors where the batch has a ``device``.

    Args:
        observations: team observations to act on next, (n_envs, ...) by name; first ones where an episode has ended.
        finals: the same before any restart; only rows of episodes that have ended are read. The very object that
            ``observations`` is says that none has ended.
        rewards: (n_envs, n_agents); entries of agents that had left count nothing.
        terminated: (n_envs,), the episode is over for everybody.
        truncated: (n_envs,), it was cut short.
        successes: (n_envs,), whether an ended episode was won; None where the task knows no such thing.
    """

    observations: Joint
    finals: Joint
    rewards: Any
    terminated: Any
    truncated: Any
    successes: Any = None


class BatchedVecEnv(VecEnv):
    """Abstract: what all simulators share that are batched by themselves. One defines ``_start`` and ``_advance``.

    To a learner it is what a DummyVecEnv of TeamEnvs is: the same observations, ``info["rewards"]``,
    ``info["terminal_observation"]`` and ``info["TimeLimit.truncated"]``, the same refusal of illegal actions.

    With a ``device`` all is tensors there: ``_advance`` takes one and gives a step of new ones. Who passes ``step`` a
    tensor gets tensors, and nothing is read from them: what is wrong is noted, and raised by `settle`. Who passes an
    array gets stable-baselines3's arrays, and observations as tensors.

    Args:
        n_envs: number of environments.
        team: the team's specification.
        team_reward: ``"mean"``, ``"sum"`` or ``"shared"``, see `masoft.envs.TeamEnv`.
        name: for messages.
        device: of the simulator's tensors; None: it gives arrays.
    """

    def __init__(
        self, n_envs: int, team: TeamSpec, *, team_reward: str, name: str, device: torch.device | str | None = None
    ) -> None:
        self.team, self.team_reward, self.name = team, team_reward, name
        self.render_mode = None
        super().__init__(n_envs, team.observation_space, team.action_space)
        self._splitter = ActionSplitter(team)
        entries = [(agent.action, where) for agent, where in zip(team.agents, team.action_slices, strict=True)]
        self._low, self._high = np.zeros(team.action_size, np.float32), np.zeros(team.action_size, np.float32)
        for action, where in entries:
            self._low[where] = action.low if action.is_box else 0
            self._high[where] = action.high if action.is_box else np.array(action.nvec) - 1
        self._is_choice = np.concatenate([np.full(action.size, not action.is_box) for action, _ in entries])
        self._slack = np.where(self._is_choice, np.float32(0), ROUNDING * (self._high - self._low))
        sizes = [n for agent in team.agents for n in agent.action.nvec]
        self._mask_offsets = np.cumsum([0, *sizes])[:-1]
        self._mask: Any = None
        self._active: Any = None
        self._actions: Any = None
        self._elapsed = self._settled = self.n_moves = 0
        self.device = None if device is None else self._open_side(device).device
        self._gives_tensors = False

    def _open_side(self, device: torch.device | str) -> DeviceSide:
        from masoft.envs.on_device import DeviceSide  # here, since it imports torch

        bounds = dict(low=self._low, high=self._high, slack=self._slack)
        places = dict(choices=np.flatnonzero(self._is_choice), mask_offsets=self._mask_offsets)
        self._side = DeviceSide(self.team, self.num_envs, device, self.team_reward, **bounds, **places)
        return self._side

    @abstractmethod
    def _start(self, seeds: Sequence[int | None]) -> Joint:
        """Start an episode everywhere; a seed, where there is one, decides it and all that follow."""

    @abstractmethod
    def _advance(self, actions: Any) -> BatchedStep:
        """Step everywhere, and start those episodes anew that have ended.

        Args:
            actions: (n_envs, action_size), legal, in the environment's units; choices are whole numbers. An array; with
                a ``device`` a float32 tensor there.
        """

    def reset(self) -> Joint:
        """Start an episode in every environment."""
        seeds, self._actions, self._elapsed = list(self._seeds), None, 0
        self._reset_seeds()
        self._reset_options()
        observations = self._start(seeds)
        if self.device is None:
            self._check_finite(observations)
        else:
            self._side.look(observations)
            self.settle()
        return self._remember(observations)

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`.

        Raises:
            EnvironmentFault: an illegal one; the message says whose, where, and what would be legal.
        """
        if self._active is None:
            must, cure = "running when step is called", "Call reset first."
            raise EnvironmentFault(explain(f"The episodes of {self.name}", must, "none", cure))
        self._elapsed += 1
        if self.device is None:
            self._actions = self._legal(np.asarray(actions))
            return
        self._gives_tensors = not isinstance(actions, np.ndarray | list)
        if self._gives_tensors:
            self._actions = self._side.legal(actions, self._mask, self._active)
        else:
            self._actions = self._side.low.new_tensor(self._legal(np.asarray(actions)))

    def step_wait(self) -> Any:
        """Step.

        Returns:
            observations, team rewards (n_envs,), dones (n_envs,), one info an environment.
        """
        assert self._actions is not None and self._active is not None
        acted, actions, self._actions = self._active, self._actions, None
        try:
            step = self._advance(actions)
        except EnvironmentFault:
            raise
        except Exception as error:
            cure = "The error above comes from the simulator itself."
            raise EnvironmentFault(explain(f"step {self._where()}", "free of errors", error, cure)) from error
        if self.device is not None:
            return self._told_on_device(step, acted)
        self._check_finite(step.finals)
        own = np.where(acted, step.rewards, 0)
        infos = LazyInfos(self.team.names, own, step.finals, step.terminated, step.truncated, step.successes)
        dones = step.terminated | step.truncated
        return self._remember(step.observations), self._team_reward(own, acted), dones, infos

    def _told_on_device(self, step: BatchedStep, active: Any) -> Any:
        """A step of tensors as ``step_wait`` gives it: tensors again, or arrays but for the observations."""
        side, team = self._side, self.team
        side.look(step.finals)
        active = active if team.has_deaths else None
        own = step.rewards if active is None else step.rewards.masked_fill(active == 0, 0)
        rewards, dones = side.team_rewards(own, active), step.terminated | step.truncated
        infos = DeviceInfos(team.names, own, step.finals, step.terminated, step.truncated, step.successes)
        infos.has_no_end = step.finals is step.observations
        observations = self._remember(step.observations)
        if self._gives_tensors:
            return observations, rewards, dones, infos
        self.settle()
        return observations, rewards.cpu().numpy(), dones.cpu().numpy(), infos

    def settle(self) -> None:
        """Raise what was wrong in the vector steps since the last call; reads one number from the device.

        Raises:
            EnvironmentFault: an illegal action, or numbers of the simulator's that are not finite.
        """
        fault = None if self.device is None else self._side.fault()
        first, self._settled = self._settled, self._elapsed
        if fault is not None:
            where = f"at a vector step from {first} to {self._elapsed} of {self.name}"
            cure = "Steps of arrays instead of tensors name the step, the agent and the number."
            raise EnvironmentFault(explain(f"{fault[0]}, {where},", fault[1], "something else", cure))

    def _remember(self, observations: Joint) -> Joint:
        """Keep masks and flags, against which the next actions are checked."""
        self.n_moves += 1
        self._mask = observations.get(ACTION_MASK)
        active = observations[ACTIVE]
        self._active = np.asarray(active).astype(bool) if self.device is None else active
        return observations

    def _check_finite(self, observations: Joint) -> None:
        """Refuse observations that are not finite, with the environments they come from."""
        for name, values in observations.items():
            is_finite = np.isfinite(values) if isinstance(values, np.ndarray) else values.isfinite()
            if not is_finite.all():
                env = int((~is_finite).reshape(self.num_envs, -1).any(1).argmax())
                cure = "The simulation has diverged or divides by zero; the team's actions were inside their bounds."
                self._fault(f"{name!r} of environment {env}", "finite everywhere", values[env].tolist(), cure)

    def _team_reward(self, own: NDArray[Any], acted: NDArray[np.bool_]) -> NDArray[np.float32]:
        if not np.isfinite(own).all():
            self._fault("The rewards", "finite", own.tolist())
        if self.team_reward == "sum":
            return np.asarray(own.sum(1), np.float32)
        if self.team_reward == "mean":
            return np.asarray(own.mean(1), np.float32)
        shared = own[np.arange(len(own)), acted.argmax(1)]
        if not np.array_equal(np.where(acted, own, shared[:, None]), np.broadcast_to(shared[:, None], own.shape)):
            must, cure = "the same for all agents (team_reward='shared')", "Choose team_reward='mean' or 'sum'."
            self._fault("The rewards", must, own.tolist(), cure)
        return np.asarray(shared, np.float32)

    def _legal(self, actions: NDArray[Any]) -> NDArray[Any]:
        """The actions inside their bounds, choices as whole numbers; refuses what no rounding explains."""
        if actions.shape != (self.num_envs, self.team.action_size):
            self._fault("The joint actions", f"of shape {(self.num_envs, self.team.action_size)}", actions.shape)
        whole = actions.dtype.kind in "iu"
        rounded = actions if whole else np.where(self._is_choice, np.rint(actions), actions)
        inside: NDArray[Any] = np.minimum(np.maximum(rounded, self._low), self._high)
        legal = np.abs(rounded - inside) <= self._slack  # not so for NaN
        mask = self._mask if self.device is None or self._mask is None else self._mask.cpu().numpy()
        if mask is not None:
            choices = np.where(legal, inside, 0)[:, self._is_choice].astype(np.int64)
            legal[:, self._is_choice] &= np.take_along_axis(mask, choices + self._mask_offsets, 1) != 0
        if not legal.all():
            for env in np.flatnonzero(~legal.all(1)):
                self._refuse(int(env), actions[env])
            inside = np.where(np.isfinite(inside), inside, self._low)  # an entry of an agent that has left
        return inside

    def _refuse(self, env: int, actions: NDArray[Any]) -> None:
        """Raise with the name of the agent; silent where only agents that have left are concerned."""
        assert self._active is not None
        row = None if self._mask is None else self._mask[env]
        mask = None if row is None else np.asarray(row if self.device is None else row.cpu().numpy())
        flags = self._active[env] if self.device is None else self._active[env].cpu().numpy()
        live = np.flatnonzero(flags).tolist()
        self._splitter.split(actions, live, mask, lambda: f"in environment {env}, {self._where()}")

    def _fault(self, which: str, must: str, got: object, cure: str = "") -> NoReturn:
        raise EnvironmentFault(explain(f"{which} {self._where()}", must, got, cure))

    def _where(self) -> str:
        return f"at vector step {self._elapsed} of {self.name}"

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the whole, once for each environment asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute, for all environments at once.

        Raises:
            ConfigurationError: only some were asked for.
        """
        self._ask_all(indices, "set_attr")
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of the whole; its answer once for each environment.

        Raises:
            ConfigurationError: only some were asked for, or the batch has no such method.
        """
        self._ask_all(indices, "env_method")
        if not hasattr(self, method_name):
            must = f"a method of {type(self).__name__}"
            raise ConfigurationError(explain("method_name", must, method_name, SEPARATE))
        return [getattr(self, method_name)(*method_args, **method_kwargs)] * self.num_envs

    def set_options(self, options: Any = None) -> None:
        """A batch starts its episodes without options.

        Raises:
            ConfigurationError: there are some.
        """
        if options and any(options if isinstance(options, list) else [options]):
            raise ConfigurationError(explain(f"The reset options of {self.name}", "empty", options, SEPARATE))

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No environment is wrapped by itself."""
        return [False for _ in self._get_indices(indices)]

    def _ask_all(self, indices: Any, method: str) -> None:
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ConfigurationError(explain(f"indices of {method}", "None (all environments)", indices, SEPARATE))


class BatchMonitor(VecMonitor):
    """stable-baselines3's VecMonitor, which looks only at the episodes that have ended."""

    episode_returns: Any
    episode_lengths: Any

    def step_wait(self) -> Any:
        """Step, and tell the return and length of each episode that has ended."""
        given: Any = self.venv.step_wait()
        observations, rewards, dones, infos = given
        if not isinstance(rewards, np.ndarray):
            return observations, rewards, dones, self._watched_on_device(rewards, dones, infos)
        if not isinstance(self.episode_returns, np.ndarray):
            so_far = self.episode_returns, self.episode_lengths
            self.episode_returns, self.episode_lengths = (each.cpu().numpy() for each in so_far)
        self.episode_returns += rewards
        self.episode_lengths += 1
        for env in np.flatnonzero(dones).tolist():
            episode = {
                "r": self.episode_returns[env],
                "l": self.episode_lengths[env],
                "t": round(time.time() - self.t_start, 6),
                **{key: infos[env][key] for key in self.info_keywords},
            }
            if isinstance(infos, LazyInfos):
                infos.tell(env, "episode", episode)
            else:
                infos[env]["episode"] = episode
            self.episode_count += 1
            if self.results_writer:
                self.results_writer.write_row(episode)
        self.episode_returns[dones] = 0
        self.episode_lengths[dones] = 0
        return observations, rewards, dones, infos

    def _watched_on_device(self, rewards: Any, dones: Any, infos: DeviceInfos) -> DeviceInfos:
        """Count in tensors, and let the infos know; only a file of episodes has to be written, and so read, at once."""
        if isinstance(self.episode_returns, np.ndarray):
            so_far = self.episode_returns, self.episode_lengths
            self.episode_returns, self.episode_lengths = (rewards.new_tensor(each) for each in so_far)
        infos.returns, infos.lengths, infos.began = (
            self.episode_returns + rewards,
            self.episode_lengths + 1,
            self.t_start,
        )
        goes_on = ~dones
        self.episode_returns, self.episode_lengths = infos.returns * goes_on, infos.lengths * goes_on
        if self.results_writer:
            for env in infos.ended.tolist():
                episode = infos.told(env)["episode"]
                keywords = {key: infos[env][key] for key in self.info_keywords}
                self.results_writer.write_row({**episode, "l": int(episode["l"]), **keywords})
        return infos


def monitored(vec_env: VecEnv, monitor_dir: str | None) -> VecMonitor:
    """A batch inside stable-baselines3's VecMonitor, as separate environments are inside Monitors.

    Args:
        vec_env: the batch.
        monitor_dir: folder for the monitor's file; None writes none.
    """
    if monitor_dir is None:
        return BatchMonitor(vec_env)
    os.makedirs(monitor_dir, exist_ok=True)
    return BatchMonitor(vec_env, os.path.join(monitor_dir, "0"))
