"""Environments in Ray actors, on this machine or on others, in the place of local worker processes."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from masoft.envs.worker import Builder
from masoft.envs.worker_process import Hosted, Question, packed
from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.validation import Integer, Real

NOTICE_SECONDS = 30.0
"""How long an environment waits for a CPU of the cluster before that is said."""
PLACEMENTS = ("SPREAD", "PACK", "STRICT_SPREAD", "STRICT_PACK")
"""Ray's strategies of placement groups."""


@dataclass(frozen=True)
class RayPlacement:
    """How environments are laid out on a Ray cluster.

    Args:
        envs_per_worker: environments an actor, which steps them one after the other and answers for all at once; fewer
            processes and messages where a step is cheap.
        cpus_per_worker: CPUs that an actor takes of Ray's books, more than 0.
        resources: what else an actor takes of them, by name.
        placement: where actors go: ``"SPREAD"`` over the machines, or ``"PACK"`` on as few as possible; ``"STRICT_"``
            before it: or not at all. None: actors are placed one by one, and those of one run may wait for each other.

    Raises:
        ConfigurationError: names the argument.
    """

    envs_per_worker: int = 1
    cpus_per_worker: float = 1.0
    resources: dict[str, float] = field(default_factory=dict)
    placement: str | None = None

    def __post_init__(self) -> None:
        if not Integer(1).accepts(self.envs_per_worker):
            raise ConfigurationError(explain("envs_per_worker", "an integer >= 1", self.envs_per_worker))
        if not Real(0, open_low=True).accepts(self.cpus_per_worker):
            raise ConfigurationError(explain("cpus_per_worker", "a number > 0", self.cpus_per_worker))
        if self.placement is not None and self.placement not in PLACEMENTS:
            raise ConfigurationError(explain("placement", f"None or one of {PLACEMENTS}", self.placement))


class RayLauncher:
    """Starts workers as Ray actors; used by `masoft.envs.subproc.TeamSubprocVecEnv` instead of multiprocessing.

    A cluster that the program has joined (``ray.init(address=...)``) is used as it is; without one, Ray is started on
    this machine and ends with the program.

    Args:
        n_envs: environments that will be started.
        layout: how.

    Raises:
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self, n_envs: int, layout: RayPlacement | None = None) -> None:
        try:
            self.ray = importlib.import_module("ray")
        except ImportError as error:
            raise MissingDependencyError(
                explain("backend='ray'", "used with Ray installed", "no ray", 'pip install "masoft[ray]"')
            ) from error
        if not self.ray.is_initialized():
            # Ray's own advice about accelerators and its dashboard are no concern of someone who asked for rollouts.
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            self.ray.init(include_dashboard=False, log_to_driver=False)
        self.layout = layout or RayPlacement()
        self.group: Any = None
        n_workers = -(-n_envs // self.layout.envs_per_worker)
        if self.layout.placement is not None:
            bundle = {"CPU": self.layout.cpus_per_worker, **self.layout.resources}
            placement_group = importlib.import_module("ray.util.placement_group").placement_group
            self.group = placement_group([bundle] * n_workers, strategy=self.layout.placement)
        self.hosts: list[Host | None] = [None] * n_workers

    def __call__(self, rank: int, builder: Builder) -> tuple[ActorPipe, ActorProcess]:
        """An environment in its actor, as the pipe and the process that a worker's handle expects."""
        which = rank // self.layout.envs_per_worker
        host = self.hosts[which]
        if host is None or host.is_dead:
            host = self.hosts[which] = Host(self, which)
        pipe = ActorPipe(host, rank, builder)
        return pipe, ActorProcess(pipe)

    def flush(self) -> None:
        """Send what has been asked for and not been sent, so that no actor waits for another one's answers."""
        for host in self.hosts:
            if host is not None:
                host.flush()

    def release(self) -> None:
        """Give the places back."""
        if self.group is not None:
            with contextlib.suppress(Exception):  # Ray may be gone
                importlib.import_module("ray.util.placement_group").remove_placement_group(self.group)
            self.group = None


@dataclass
class Asked:
    """One answer to come.

    Args:
        question: what was asked.
        reference: Ray's, of all answers that it comes with; None: not sent yet.
        place: among them.
    """

    question: Question
    reference: Any = None
    place: int = 0


class Host:
    """An actor with its environments.

    Args:
        launcher: whose it is.
        which: number of its bundle.
    """

    def __init__(self, launcher: RayLauncher, which: int) -> None:
        self.launcher, self.ray, self.is_dead = launcher, launcher.ray, False
        layout = launcher.layout
        options: dict[str, Any] = {"num_cpus": layout.cpus_per_worker, "max_restarts": 0}
        if layout.resources:
            options["resources"] = layout.resources
        if launcher.group is not None:
            strategies = importlib.import_module("ray.util.scheduling_strategies")
            options["scheduling_strategy"] = strategies.PlacementGroupSchedulingStrategy(launcher.group, which)
        self._actor = self.ray.remote(Hosted).options(**options).remote()
        self._unsent: list[Asked] = []
        self.users: set[int] = set()
        self.has_started = False

    def ask(self, rank: int, command: str, data: Any) -> Asked:
        """Ask for something at the next `flush`."""
        asked = Asked((rank, command, data))
        self._unsent.append(asked)
        return asked

    def flush(self) -> None:
        """Send what has been asked for, as one message."""
        if self._unsent:
            reference = self._actor.answer.remote([asked.question for asked in self._unsent])
            for place, asked in enumerate(self._unsent):
                asked.reference, asked.place = reference, place
            self._unsent = []

    def leave(self, rank: int) -> None:
        """An environment needs it no more; the last one ends it."""
        self.users.discard(rank)
        if not self.users:
            self.kill()

    def kill(self) -> None:
        """End the actor now."""
        if not self.is_dead:
            self.is_dead = True
            with contextlib.suppress(Exception):  # it may be dead, and Ray too
                self.ray.kill(self._actor)


class ActorPipe:
    """What a local worker's pipe does, through an actor: answers come in the order of the questions.

    Args:
        host: the actor.
        rank: number of the environment.
        builder: makes it.
    """

    def __init__(self, host: Host, rank: int, builder: Builder) -> None:
        self.host, self.rank = host, rank
        host.users.add(rank)
        self.hangs = False
        self._answers: deque[Asked] = deque([host.ask(rank, "build", packed(builder))])

    def send(self, message: tuple[str, Any]) -> None:
        """Ask; returns at once."""
        self._answers.append(self.host.ask(self.rank, *message))

    def poll(self, timeout: float | None) -> bool:
        """Whether the next answer is there within so many seconds; None waits as long as it takes.

        The first answer needs a CPU of the cluster: where none comes free, that is said after `NOTICE_SECONDS`.
        """
        self.host.launcher.flush()
        host = self.host
        if not host.has_started and (timeout is None or timeout > NOTICE_SECONDS):
            if self._wait(NOTICE_SECONDS):
                return True
            host.has_started = True  # said once
            timeout = None if timeout is None else timeout - NOTICE_SECONDS
            self._say_what_is_missing()
        return self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        return bool(self.host.ray.wait([self._answers[0].reference], timeout=timeout)[0])

    def _say_what_is_missing(self) -> None:
        ray, needed = self.host.ray, self.host.launcher.layout.cpus_per_worker
        free, total = ray.available_resources().get("CPU", 0), ray.cluster_resources().get("CPU", 0)
        if free < needed:
            what = "one" if needed == 1 else f"{needed:g}"
            warnings.warn(
                f"An environment waits for a CPU of Ray: each takes {what}, all {total:g} of the cluster are taken, "
                f"and none came free in {NOTICE_SECONDS:g} s. Lower n_envs, close environments that are not used, add "
                "machines, or start Ray with more: ray.init(num_cpus=...). It goes on waiting.",
                UserWarning,
                stacklevel=2,
            )

    def recv(self) -> Any:
        """The next answer.

        Raises:
            EOFError: the actor, or its machine, is gone.
        """
        ray = self.host.ray
        try:
            self.poll(None)
            asked = self._answers[0]
            answer = ray.get(asked.reference)[asked.place]
        except ray.exceptions.RayError as error:
            self._answers.popleft()
            self.host.kill()
            raise EOFError(str(error)) from error
        self._answers.popleft()  # not before: Ctrl-C may come while it waits
        self.host.has_started = True
        return answer

    def close(self) -> None:
        """Give up what has not been answered; who does not answer now may never do so."""
        sent = [each for each in self._answers if each.reference is not None and each.question[1] != "close"]
        self.hangs = bool(sent) and not self._wait(0)
        self._answers.clear()


class ActorProcess:
    """What a worker's handle asks of a process, for an environment in an actor.

    Args:
        pipe: to it.
    """

    exitcode = "unknown: a Ray actor"

    def __init__(self, pipe: ActorPipe) -> None:
        self._pipe = pipe

    def join(self, timeout: float) -> None:
        """The environment needs its actor no more; one that hangs is ended, with its other environments."""
        if self._pipe.hangs:
            self.kill()
        self._pipe.host.leave(self._pipe.rank)

    def is_alive(self) -> bool:
        """It has been left."""
        return False

    def kill(self) -> None:
        """End the actor."""
        self._pipe.host.kill()

    def close(self) -> None:
        """Nothing is left to release."""
