"""Replay for teams: every observation stored once, any mixture of spaces, n-step returns, O(batch) sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from masoft import habits
from masoft.buffers.finals import LastObservations
from masoft.buffers.horizon import Between, Chain, Horizon
from masoft.buffers.memory import check_fits, layout_bytes
from masoft.buffers.rows import RowStore, frame_layout, write_place
from masoft.buffers.views import apply_view, critic_state, tagged_rows, viewed_state
from masoft.errors import ConfigurationError, explain
from masoft.infos import DeviceInfos, LazyInfos
from masoft.mirror.replay import ReplayRule, UniformReplay
from masoft.spec import ACTION_MASK, ACTIVE, STATE, StateView, TeamSpec

PLACE_BYTES = 9
"""Reward, end and place of the last observation, of one transition."""

TAGGED_FROM = 256
"""Length of a state from which it pays to keep what agents see alike once, see `TaggedRows`."""


@dataclass(frozen=True)
class TeamBatch:
    """A minibatch of n-step transitions of the whole team.

    Args:
        state, next_state: (batch, critic_state_size), as the critic sees them; the next state is the one where the
            return bootstraps, ``steps`` later.
        observations, next_observations: one (batch, *shape) tensor an agent; or `TaggedRows`, only where they were
            asked for.
        actions: (batch, action_size); Box entries scaled to [-1, 1], categorical parts as choice numbers.
        rewards: (batch,), discounted sum over the steps really taken.
        discounts: (batch,), gamma to the power of the steps really taken.
        terminated: (batch,), 1 where the episode really ended (no bootstrap), 0 at time limits.
        masks, next_masks: (batch, mask_size) or None, true where a choice is legal.
        active, next_active: (batch, n_agents) or None, 1 where an agent is in the game.
        between: the steps of the returns; None where only their rewards are asked for.
    """

    state: Tensor
    next_state: Tensor
    observations: tuple[Any, ...]
    next_observations: tuple[Any, ...]
    actions: Tensor
    rewards: Tensor
    discounts: Tensor
    terminated: Tensor
    masks: Tensor | None = None
    next_masks: Tensor | None = None
    active: Tensor | None = None
    next_active: Tensor | None = None
    between: Between | None = None


class Normalizer(Protocol):
    """Applied when a batch is drawn, so that what is stored stays raw and the statistics may move on."""

    def observation(self, name: str, values: Tensor) -> Tensor:
        """Normalise the entry ``name`` of a team observation, (batch, ...)."""
        ...

    def reward(self, values: Tensor) -> Tensor:
        """Normalise rewards of any shape."""
        ...


class TeamReplayBuffer:
    """A ring of transitions for ``n_envs`` environments that step together.

    An observation is stored once: its successor is the next row of the ring, except at the end of an episode, where
    the last observation goes to a small side store. What agents see is derived from the state at sampling time where
    the team's specification has a view for it.

    Args:
        buffer_size: transitions kept over all environments.
        team: the team's specification.
        n_envs: environments that step together.
        n_steps: rewards summed before bootstrapping, at most.
        gamma: discount factor.
        device: where the data lives; batches are drawn there.
        seed: seed of the sampler's own generator.

    Attributes:
        gives_between: whether minibatches tell of the steps of their returns, see `Between`.
        log_probs: (rows, n_envs), of the joint actions when they were taken; None until `keep_log_probs`.

    Raises:
        ConfigurationError: the buffer is too small for ``n_envs`` rows, or larger than the memory.
    """

    def __init__(
        self,
        buffer_size: int,
        team: TeamSpec,
        *,
        n_envs: int = 1,
        n_steps: int = 1,
        gamma: float = 0.99,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        self.rows = max(buffer_size // n_envs, 1) + 1
        if buffer_size < 2 * n_envs:
            raise ConfigurationError(explain("buffer_size", f"at least 2 * n_envs = {2 * n_envs}", buffer_size))
        self.team = team
        self.n_envs = n_envs
        self.gamma = gamma
        self.device = torch.device(device)
        layout = frame_layout(team)
        self.bytes_per_transition = layout_bytes(layout) + 4 * team.action_size + PLACE_BYTES
        check_fits("buffer_size", buffer_size, self.bytes_per_transition, self.device)
        self.n_steps = n_steps
        self.pos = 0
        self.full = False
        self.rule: ReplayRule = UniformReplay()
        self.n_added = 0  # rows since the beginning; row k of them lies at k % rows
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._frames = RowStore(layout, (self.rows, n_envs), self.device)
        self._newest: Mapping[str, Any] | None = None  # the observation that row ``pos`` holds already
        self._finals = LastObservations(layout, n_envs, self.rows * n_envs, self.device)
        self.actions = torch.empty((self.rows, n_envs, team.action_size), device=self.device)
        self.rewards = torch.zeros((self.rows, n_envs), device=self.device)
        self.terminated = torch.zeros((self.rows, n_envs), dtype=torch.bool, device=self.device)
        self.final_slots = torch.full((self.rows, n_envs), -1, dtype=torch.int32, device=self.device)
        self.log_probs: Tensor | None = None
        self.gives_between = False

    def __getattr__(self, name: str) -> Any:
        raise habits.absent(type(self).__name__, name, habits.REPLAY)

    @property
    def n_steps(self) -> int:
        """Rewards summed before bootstrapping, at most; may be set at any time, what is stored holds for each."""
        return self._horizon.n_steps

    @n_steps.setter
    def n_steps(self, n_steps: int) -> None:
        self._horizon = Horizon(n_steps, self.gamma, self.device)

    @property
    def n_bytes(self) -> int:
        """Bytes when full, without the side store of last observations."""
        return self.rows * self.n_envs * self.bytes_per_transition

    @property
    def columns(self) -> dict[str, Tensor]:
        """What is stored of each step beside observations, by name, (rows, n_envs, ...)."""
        found = {name: getattr(self, name) for name in ("actions", "rewards", "terminated", "final_slots")}
        return found if self.log_probs is None else {**found, "log_probs": self.log_probs}

    def keep_log_probs(self) -> None:
        """Store log-probabilities of actions from now on.

        Raises:
            ConfigurationError: steps are stored already, whose log-probabilities nobody knows.
        """
        if self.log_probs is None:
            if self.n_added:
                must = "chosen before the first step, since log-probabilities of actions are stored with them"
                raise ConfigurationError(explain("A return_rule that corrects", must, f"{self.n_added} steps later"))
            self.log_probs = torch.zeros((self.rows, self.n_envs), device=self.device)
            self.bytes_per_transition += self.log_probs.element_size()

    @property
    def frames(self) -> dict[str, Tensor]:
        """Observations by entry, (rows, n_envs, *shape)."""
        return self._frames.views

    @property
    def finals(self) -> dict[str, Tensor]:
        """The side store of last observations by entry, (slots, *shape)."""
        return self._finals.store.views

    def size(self) -> int:
        """Number of transitions that can be drawn."""
        return (self.rows - 1 if self.full else self.pos) * self.n_envs

    def add(
        self,
        obs: Mapping[str, Any],
        next_obs: Mapping[str, Any],
        actions: Any,
        rewards: Any,
        dones: Any,
        infos: list[dict[str, Any]],
        log_probs: np.ndarray | Tensor | None = None,
    ) -> None:
        """Store one step of every environment.

        Args:
            obs: team observations before the step, arrays or tensors (n_envs, ...).
            next_obs: team observations after it; after an episode's end, those of the next episode's start.
            actions: (n_envs, action_size), as in `TeamBatch`.
            rewards: (n_envs,).
            dones: (n_envs,), true at an episode's end for any reason.
            infos: one an environment, with SB3's ``terminal_observation`` and ``TimeLimit.truncated`` at the ends.
            log_probs: (n_envs,), of the joint actions; only where they are kept.
        """
        if obs is not self._newest:
            self._frames.write(self.pos, obs)
        on_device = isinstance(infos, DeviceInfos) and infos.is_untouched
        terminated, slots = (self._ends_on_device if on_device else self._ends)(dones, infos)
        write_place(self.actions, self.pos, actions)
        write_place(self.rewards, self.pos, rewards)
        write_place(self.terminated, self.pos, terminated)
        write_place(self.final_slots, self.pos, slots)
        if self.log_probs is not None:
            assert log_probs is not None
            write_place(self.log_probs, self.pos, log_probs)
        self.pos += 1
        self.n_added += 1
        if self.pos == self.rows:
            self.full, self.pos = True, 0
        # The row ahead holds the newest successor, so it can hold no transition of its own.
        if self.full:
            self._finals.release(self.final_slots[self.pos])
            self.final_slots[self.pos] = -1
        self._frames.write(self.pos, next_obs)
        self._newest = next_obs

    def _ends(self, dones: Any, infos: Any) -> tuple[Any, Any]:
        """Where episodes really ended, and where their last observations are kept now; -1: nowhere."""
        terminated = np.zeros(self.n_envs, bool)
        slots = np.full(self.n_envs, -1, np.int32)
        if isinstance(infos, LazyInfos) and infos.is_untouched:
            ended = infos.ended
            terminated[ended] = ~infos.cut[ended]
            slots[ended] = self._finals.keep_all(infos.finals, len(ended))
        else:
            for env in np.flatnonzero(np.asarray(dones)):
                info = infos[env]
                terminated[env] = not info.get("TimeLimit.truncated", False)
                slots[env] = self._finals.keep(info["terminal_observation"])
        return terminated, slots

    def _ends_on_device(self, dones: Tensor, infos: Any) -> tuple[Any, Any]:
        """The same of tensors, without a look from the host."""
        if infos.has_no_end:
            return False, -1
        dones = dones.to(self.device)
        return dones & ~infos.device_cut.to(self.device), self._finals.keep_on_device(dones, infos.device_finals)

    def make_room(self, n_steps: int) -> None:
        """See to the room for ends of episodes in so many vector steps of tensors; may look at the device."""
        self._finals.make_room(n_steps)

    def cut(self) -> None:
        """End the running episodes here, as by a time limit: the environments are about to be reset unseen."""
        newest = (self.pos - 1) % self.rows
        if self.size() == 0:
            return
        for env in range(self.n_envs):
            if self.final_slots[newest, env] < 0:
                successor = {name: frame[self.pos, env] for name, frame in self.frames.items()}
                self.final_slots[newest, env] = self._finals.keep(successor)

    def sample(self, batch_size: int, normalizer: Normalizer | None = None, tagged: bool = False) -> TeamBatch:
        """Draw transitions by the rule, in time independent of the fill.

        Args:
            batch_size: number of transitions.
            normalizer: applied to observations and rewards; None leaves them raw.
            tagged: give observations that are a long state and the agent's number as `TaggedRows`, unless a
                normalizer treats each agent's by itself.

        Raises:
            ConfigurationError: nothing has been stored yet.
        """
        if self.size() == 0:
            raise ConfigurationError("The replay buffer is empty: step the environment before sampling.")
        places = self.rule.checked(self.size(), batch_size, self.generator)
        if self.full:
            places = (places + (self.pos + 1) * self.n_envs) % (self.rows * self.n_envs)
        return self.gather_places(places, normalizer, tagged)[0]

    def gather(self, rows: Tensor, envs: Tensor, normalizer: Normalizer | None = None) -> TeamBatch:
        """The n-step transitions that start at given places, (batch,) each."""
        return self.gather_places(rows * self.n_envs + envs, normalizer)[0]

    def seen_at(self, places: Tensor, normalizer: Normalizer | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The state and the agents' observations at flat places, (batch,)."""
        frames = self._seen(self._frames.read(places), normalizer)
        return self._state(frames), tuple(frames[name] for name in self.team.names)

    def gather_places(
        self, places: Tensor, normalizer: Normalizer | None, tagged: bool = False
    ) -> tuple[TeamBatch, Tensor]:
        """The same for flat places, row * n_envs + env, (batch,); and the places of the last steps taken."""
        chain = self._chain(places)
        last = chain.last
        rewards = self.rewards.view(-1).index_select(0, chain.places.reshape(-1)).view_as(chain.places)
        if normalizer is not None:
            rewards = normalizer.reward(rewards)
        following = (last + self.n_envs) % (self.rows * self.n_envs)
        slots = self.final_slots.view(-1).index_select(0, last)
        frames = self._seen(self._frames.read(places), normalizer, tagged)
        next_frames = self._seen(self._frames.read_or(following, self._finals.store, slots), normalizer, tagged)
        batch = TeamBatch(
            state=self._state(frames),
            next_state=self._state(next_frames),
            observations=tuple(frames[name] for name in self.team.names),
            next_observations=tuple(next_frames[name] for name in self.team.names),
            actions=self.actions.flatten(0, 1).index_select(0, places),
            rewards=self._horizon.sums(rewards, chain.n_taken),
            discounts=self._horizon.discounts(chain.n_taken),
            terminated=self.terminated.view(-1).index_select(0, last).float(),
            masks=frames.get(ACTION_MASK),
            next_masks=next_frames.get(ACTION_MASK),
            active=frames[ACTIVE].float() if ACTIVE in frames else None,
            next_active=next_frames[ACTIVE].float() if ACTIVE in next_frames else None,
            between=self._between(chain, rewards, normalizer) if self.gives_between else None,
        )
        return batch, last

    def _chain(self, places: Tensor) -> Chain:
        """The steps that the returns of some transitions take."""
        if self.n_steps == 1:
            return Chain(places.unsqueeze(1), torch.ones_like(places), places)
        chain = self._horizon.places(places, self.n_envs, self.rows * self.n_envs)
        ends = self.final_slots.view(-1).index_select(0, chain.view(-1)).view_as(chain) >= 0
        return self._horizon.chain(chain, ends, (self.pos - 1 - places // self.n_envs) % self.rows)

    def _between(self, chain: Chain, rewards: Tensor, normalizer: Normalizer | None) -> Between | None:
        """What is known of the steps after the first; None where there is none."""
        if self.n_steps == 1:
            return None
        goes_on = self._horizon.goes_on(chain.n_taken)
        # What lies behind an end may never have been written.
        places = torch.where(goes_on, chain.places[:, 1:].T, chain.places[:, 0]).flatten()
        frames = self._seen(self._frames.read(places), normalizer)
        return Between(
            rewards=rewards.T,
            goes_on=goes_on,
            state=self._state(frames),
            observations=tuple(frames[name] for name in self.team.names),
            actions=self.actions.flatten(0, 1).index_select(0, places),
            log_probs=None if self.log_probs is None else self.log_probs.view(-1).index_select(0, places),
            masks=frames.get(ACTION_MASK),
            active=frames[ACTIVE].float() if ACTIVE in frames else None,
        )

    def n_bytes_per_transition(self) -> float:
        """Bytes that one stored transition takes, the side store included at its present size."""
        tensors = [*self.frames.values(), *self.columns.values()]
        total = sum(t.element_size() * t.numel() for t in tensors)
        total += sum(t.element_size() * t.numel() for t in self.finals.values())
        return total / (self.rows * self.n_envs)

    def _seen(self, frames: dict[str, Any], normalizer: Normalizer | None, tagged: bool = False) -> dict[str, Any]:
        """Stored arrays, completed by the observations that are views of the state, normalised."""
        made: dict[StateView, tuple[Tensor, Tensor]] = {}
        tagged = tagged and normalizer is None and not self.team.critic_sees_observations
        tagged = tagged and self.team.state_size >= TAGGED_FROM
        for agent in self.team.agents:
            if agent.name not in frames:
                assert agent.view is not None
                if tagged and agent.view.position is not None:
                    frames[agent.name] = tagged_rows(agent.view, frames[STATE], made)
                else:
                    frames[agent.name] = apply_view(agent.view, frames[STATE])
        view = viewed_state(self.team, frames)
        if view is not None:
            frames[STATE] = view
        if normalizer is None:
            return frames
        return {name: normalizer.observation(name, values) for name, values in frames.items()}

    def _state(self, frames: Mapping[str, Tensor]) -> Tensor:
        return critic_state(self.team, frames.get(STATE), frames)
