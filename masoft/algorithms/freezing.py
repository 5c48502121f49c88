"""Agents that act but do not learn: frozen as they are, or played by somebody else."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from masoft.algorithms.saved import SavedAlgorithm
from masoft.errors import ConfigurationError, explain, nearest
from masoft.mirror.order import Order
from masoft.policies.base import JointPolicy
from masoft.policies.teammates import Teammate, script_of
from masoft.spec import TeamSpec

F = TypeVar("F", bound="Freezing")


class Freezing(SavedAlgorithm):
    """Abstract: which agents of a team learn.

    An agent learns while a weight of its actor requires a gradient, PyTorch's own sign; `freeze` sets it. The others
    act as they are: their weights, temperatures and moments stay bit by bit. A joint critic still sees their actions.
    """

    team: TeamSpec
    policy: JointPolicy
    order: Order
    cpu_generator: Any
    _learners: tuple[int, ...] | None = None

    def freeze(self: F, agents: str | Iterable[str] | Mapping[str, Any]) -> F:
        """Let some agents act without learning.

        Args:
            agents: their names; or a dict from each name to who plays its part: a trained model of any class (by its
                deterministic policy), exported actors (`masoft.deploy.load`), or a function from observations
                (n, *shape) and action masks (n, mask_size), or None, to actions (n, *action shape) in the agent's own
                space; None in the dict: its own actor. Functions see what this model's actors see (normalised under
                ``VecNormalize``), models and exported actors what they were trained on; no file holds them.

        Returns:
            the model itself.

        Raises:
            ConfigurationError: an unknown agent, one that shares its actor with an agent that goes on learning, or a
                teammate that cannot play its part.
        """
        self._check_built()  # type: ignore[attr-defined]
        teammates = dict(agents) if isinstance(agents, Mapping) else dict.fromkeys(self._listed(agents))
        numbers = [self._number(name) for name in teammates]
        scripts = {
            i: script_of(teammate, self.team.agents[i], partial(self._unscaled, self.team.names[i]))
            for i, teammate in zip(numbers, teammates.values(), strict=True)
            if teammate is not None
        }
        if scripts:
            self._check_teammates()
        resting = {*numbers, *self.frozen_numbers()} - {*scripts}
        actors = self.policy.actors
        for i in resting.intersection(numbers):
            partners = [j for j, actor in enumerate(actors) if actor is actors[i] and j not in {*resting, *scripts}]
            if partners:
                which, names = f"The agents to freeze besides {self.team.names[i]!r}", self.team.names
                cure = "Freeze these too, or train with policy_kwargs=dict(share_parameters=False)."
                must = f"those with the same actor, {[names[j] for j in partners]}"
                raise ConfigurationError(explain(which, must, [*teammates], cure))
        for i in resting.intersection(numbers):
            actors[i].requires_grad_(False)
        for i, script in scripts.items():
            self._give_back(i)
            for actors in self._actor_lists():
                actors[i] = Teammate(self.team.agents[i], script, actors[i])
        self._look_for_learners()
        return self

    def unfreeze(self: F, agents: str | Iterable[str] | None = None) -> F:
        """Let agents learn again, each with its own actor.

        Args:
            agents: their names; None: all.
        """
        self._check_built()  # type: ignore[attr-defined]
        for i in [self._number(name) for name in self._listed(self.team.names if agents is None else agents)]:
            self._give_back(i)
            self.policy.actors[i].requires_grad_(True)
        self._look_for_learners()
        return self

    @property
    def train_agents(self) -> tuple[str, ...]:
        """Names of the agents that learn; setting it freezes the others and lets these learn."""
        self._look_for_learners()
        return tuple(self.team.names[i] for i in self.learners)

    @train_agents.setter
    def train_agents(self, agents: str | Iterable[str]) -> None:
        wanted = [self.team.names[i] for i in sorted({self._number(name) for name in self._listed(agents)})]
        resting = [name for name in self.team.names if name not in wanted]
        played = [self.team.names[i] for i in self.teammate_numbers()]
        self.freeze([name for name in resting if name not in played])
        self.unfreeze(wanted)

    @property
    def learners(self) -> tuple[int, ...]:
        """Numbers of the agents that learn, as of the last look: one is taken before each training."""
        if self._learners is None:
            self._look_for_learners()
        assert self._learners is not None
        return self._learners

    @property
    def resting(self) -> list[int]:
        """Numbers of the agents that do not."""
        return [i for i in range(self.team.n_agents) if i not in self.learners]

    def frozen_numbers(self) -> list[int]:
        """Agents that act by actors of their own without learning."""
        actors = self.policy.actors
        return [i for i, a in enumerate(actors) if not isinstance(a, Teammate) and not _learns(a)]

    def teammate_numbers(self) -> list[int]:
        """Agents whose part somebody else plays."""
        return [i for i, actor in enumerate(self.policy.actors) if isinstance(actor, Teammate)]

    def frozen_in_file(self) -> dict[str, list[str]]:
        """Who does not learn, as a file keeps it: agents by their own actors, and those played by somebody else."""
        own, played = self.frozen_numbers(), self.teammate_numbers()
        names = self.team.names
        return {"own": [names[i] for i in own], "played": [names[i] for i in played]}

    def freeze_from_file(self, frozen: Any) -> None:
        """Freeze whom `frozen_in_file` names; files of earlier versions name nobody."""
        if not isinstance(frozen, dict):
            return
        own, played = (self._names_of(frozen.get(key, [])) for key in ("own", "played"))
        for name in own:
            self.policy.actors[self._number(name)].requires_grad_(False)
        self._look_for_learners()
        if played:
            shown = "{" + ", ".join(f"{name!r}: ..." for name in played) + "}"
            text = f"Agents {played} were played by teammates, which no file holds; give them again: freeze({shown})."
            warnings.warn(text, UserWarning, stacklevel=2)

    def turns(self, improvements: Callable[[tuple[int, ...]], Sequence[float]] | None = None) -> Iterator[int]:
        """The agents that learn, in update order.

        Args:
            improvements: numbers of agents to their expected improvements; None where no order asks for these.
        """
        learners = self.learners

        def asked(agents: tuple[int, ...]) -> list[float]:
            some = tuple(i for i in agents if i in learners)
            values = dict(zip(some, improvements(some), strict=True)) if some and improvements else {}
            return [values.get(i, -math.inf) for i in agents]  # who rests comes last, and is left out

        needs = asked if self.order.needs_improvements else None
        for i in self.order.walk(self.team.n_agents, self.cpu_generator, needs):
            if i in learners:
                yield i

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        self._look_for_learners()
        return super()._setup_learn(*args, **kwargs)

    def _look_for_learners(self) -> None:
        """See anew who learns: gradients may have been switched off, or on, by hand."""
        resting = {*self.frozen_numbers(), *self.teammate_numbers()}
        self._learners = tuple(i for i in range(self.team.n_agents) if i not in resting)

    def _check_teammates(self) -> None:
        """Refuse teammates where a method needs every agent's own network.

        Raises:
            ConfigurationError: it does.
        """

    def _unscaled(self, name: str, values: np.ndarray) -> np.ndarray:
        """What the environment gives an agent, of what its actor sees."""
        known = self.normalization
        return values if known is None else known.original(name, values)

    def _actor_lists(self) -> list[Any]:
        lists = [self.policy.actors, getattr(self.policy, "actors_target", None)]
        return [each for each in lists if each is not None]

    def _give_back(self, i: int) -> None:
        """Put an agent's own actor in its place."""
        for actors in self._actor_lists():
            if isinstance(actors[i], Teammate):
                actors[i] = vars(actors[i])["actor"]
        self.policy.forget_groups()

    def _names_of(self, names: Any) -> list[str]:
        """Names of agents as a file lists them."""
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigurationError(explain("The frozen agents in the file", "lists of names", names))
        return [self.team.names[self._number(name)] for name in names]

    def _listed(self, agents: str | Iterable[str]) -> list[str]:
        return [agents] if isinstance(agents, str) else [*agents]

    def _number(self, name: str) -> int:
        if name not in self.team.names:
            cure = nearest(str(name), self.team.names)
            raise ConfigurationError(explain("An agent's name", "one of the team's", name, cure))
        return self.team.names.index(name)


def _learns(module: Any) -> bool:
    return any(weight.requires_grad for weight in module.parameters())
