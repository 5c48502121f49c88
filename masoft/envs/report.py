"""Everything that can be said of an environment before it is trained on: its spaces, its faults, its speed."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

from masoft.envs.builder import as_team
from masoft.envs.checks import CHECKS, Remark, transitions
from masoft.envs.registry import make
from masoft.envs.team_env import TeamEnv
from masoft.errors import EnvironmentFault, MasoftError

PASSED, REMARKED, FAILED = "✓", "!", "✗"
TITLES = {
    "check_spec": "the team is the same whenever one asks",
    "check_observations": "observations, state and masks lie in the team's spaces",
    "check_bounds": "agents report what their own spaces declare",
    "check_views": "declared views of the state hold",
    "check_seeding": "a seed repeats its episode",
    "check_endings": "episodes end by one flag, and for good",
    "check_masks": "masks leave a choice, and forbidden choices are refused",
    "check_deaths": "agents that have left show nothing",
    "check_snapshot": "what can be stopped goes on from there",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: in words.
        mark: ``"✓"``; ``"!"`` where it trains all the same; ``"✗"``.
        reason: which, must, got and cure where it is not ``"✓"``.
        error: what was raised.
    """

    what: str
    mark: str
    reason: str = ""
    error: MasoftError | None = None


@dataclass(frozen=True)
class AgentReport:
    """One agent's spaces.

    Args:
        name: the agent.
        observes: what the environment declares.
        becomes: what the policy sees: shape, number type, and how it is made.
        acts: the action space.
    """

    name: str
    observes: str
    becomes: str
    acts: str


@dataclass(frozen=True)
class EnvReport:
    """What `examine` found; ``print`` shows it.

    Args:
        name: the environment.
        findings: one an examined promise.
        agents: one an agent; empty where no team could be made.
        facts: of the team, in words: state, masks, deaths, reward.
        steps_per_second: of the environment in TeamEnv with random actions; 0 where it could not be played.
    """

    name: str
    findings: tuple[Finding, ...]
    agents: tuple[AgentReport, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    steps_per_second: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way of training."""
        return all(finding.mark != FAILED for finding in self.findings)

    def raise_faults(self) -> None:
        """Raise what was found.

        Raises:
            MasoftError: the fault itself, or, for several, the first one's kind with all reasons.
        """
        faults = [finding.error for finding in self.findings if finding.error is not None and finding.mark == FAILED]
        if len(faults) == 1:
            raise faults[0]
        if faults:
            kind = EnvironmentFault if isinstance(faults[0], EnvironmentFault) else type(faults[0])
            raise kind("\n".join([f"{len(faults)} faults:", *(f"{FAILED} {fault}" for fault in faults)])) from faults[0]

    def __str__(self) -> str:
        lines = [self.name]
        for finding in self.findings:
            lines.append(f"  {finding.mark} {finding.what}" + (f": {finding.reason}" if finding.reason else ""))
        for agent in self.agents:
            lines.append(f"  {agent.name}: sees {agent.observes} -> {agent.becomes}; acts in {agent.acts}")
        lines += [f"  {what}: {fact}" for what, fact in self.facts]
        if self.steps_per_second:
            lines.append(f"  speed: {self.steps_per_second:,.0f} steps a second with random actions")
        return "\n".join(lines)


def examine(env: Any, *, n_steps: int = 200, seed: int = 0, strict: bool = False) -> EnvReport:
    """Look at everything that training relies on, and say all that was found rather than the first fault.

    Args: see `masoft.testing.check_env`.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            team_env = _team_env(env)
        except MasoftError as error:
            return EnvReport(_name(env), (Finding("the environment is a team", FAILED, str(error), error),))
    findings = [Finding("the environment is a team", PASSED)]
    for warning in said:
        if "the observations in a row stand in" in str(warning.message):
            findings.append(_remark("the state is used", EnvironmentFault(str(warning.message)), strict))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    played, speed = _play(team_env, n_steps, seed)
    findings.append(played)
    if played.mark == PASSED:  # else each check would end in the same fault
        findings += [_finding(check, team_env, n_steps, seed, strict) for check in CHECKS]
    return EnvReport(_name(team_env.parallel_env), tuple(findings), _agents(team_env), _facts(team_env), speed)


def _finding(check: Any, env: TeamEnv, n_steps: int, seed: int, strict: bool) -> Finding:
    what = TITLES[check.__name__]
    try:
        check(env, n_steps, seed)
    except Remark as error:
        return _remark(what, error, strict)
    except MasoftError as error:
        return Finding(what, FAILED, str(error), error)
    return Finding(what, PASSED)


def _remark(what: str, error: MasoftError, strict: bool) -> Finding:
    return Finding(what, FAILED if strict else REMARKED, str(error), error)


def _team_env(env: Any) -> TeamEnv:
    made = make(env) if isinstance(env, str) else env
    if isinstance(made, type) or (callable(made) and not hasattr(made, "reset")):
        made = made()
    team_env = as_team(made).unwrapped
    assert isinstance(team_env, TeamEnv)
    return team_env


def _agents(env: TeamEnv) -> tuple[AgentReport, ...]:
    found = []
    for agent, reader in zip(env.team.agents, env.inspection.readers, strict=True):
        box = agent.observation_space
        becomes = f"{box.dtype}{list(box.shape)}, {reader.how}"
        found.append(AgentReport(agent.name, _short(reader.space), becomes, _short(agent.action_space)))
    return tuple(found)


def _facts(env: TeamEnv) -> tuple[tuple[str, str], ...]:
    team, source = env.team, env.inspection.state
    how = f"{source.how}, then the observations" if source.and_observations else source.how
    return (
        ("state of the critic", f"{team.critic_state_size} numbers, {how}"),
        ("action masks", f"yes, {team.mask_size} entries" if team.has_masks else "none"),
        ("agents may leave", "yes" if team.has_deaths else "no"),
        ("team's reward", f"{env.team_reward} of the agents'"),
    )


def _play(env: TeamEnv, n_steps: int, seed: int) -> tuple[Finding, float]:
    """Whether random legal actions find nothing at fault, and steps a second."""
    what, start = f"{n_steps} steps with random actions are free of faults", time.perf_counter()
    try:
        n = sum(1 for _ in transitions(env, n_steps, seed))
    except MasoftError as error:
        return Finding(what, FAILED, str(error), error), 0.0
    return Finding(what, PASSED), n / (time.perf_counter() - start)


def _short(space: Any) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 90 else f"{type(space).__name__}{getattr(space, 'shape', None) or ''}"


def _name(env: Any) -> str:
    if isinstance(env, str):
        return env
    name = (getattr(env, "metadata", None) or {}).get("name")
    return str(name or (env.__name__ if hasattr(env, "__name__") else type(env).__name__))
