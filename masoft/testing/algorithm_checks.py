"""Whether an algorithm keeps the promises that masoft's users rely on; like scikit-learn's ``check_estimator``."""

from __future__ import annotations

import ast
import inspect
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from masoft.algorithms.estimator import clone
from masoft.envs.vector import make_vec
from masoft.errors import ConfigurationError, MasoftError, explain
from masoft.testing.games import IdentityTeam
from masoft.validation import Integer, Real

Algorithm = Any
"""A final class of ours, or of a user's: both an `Estimator` and a stable-baselines3 algorithm."""

SPACES: dict[str, type[spaces.Space[Any]]] = {
    "box": spaces.Box,
    "discrete": spaces.Discrete,
    "multidiscrete": spaces.MultiDiscrete,
    "multibinary": spaces.MultiBinary,
}
SOLVED = 0.85
"""Share of `IdentityTeam`'s best return that counts as solving it; random play gets 0.4 to 0.7."""


def check_algorithm(
    algorithm: type[Algorithm], *, settings: Mapping[str, Any] | None = None, max_timesteps: int = 6_000
) -> None:
    """Put an algorithm through everything that users expect of all of them; silence means that it passed.

    Args:
        algorithm: the class.
        settings: constructor arguments for every check, on top of small networks and batches.
        max_timesteps: environment steps within which it has to solve `IdentityTeam`.

    Raises:
        AssertionError: a promise is broken; the message says which, and what was found.

    Example:
        >>> from masoft import HASAC
        >>> from masoft.testing import check_algorithm
        >>> check_algorithm(HASAC)  # doctest: +SKIP
    """
    kit = Kit(algorithm, settings or {}, max_timesteps)
    for check in CHECKS:
        check(kit)


class Kit:
    """What the checks share: the class under test, small settings, and teams that it can train.

    Args:
        algorithm: the class.
        settings: constructor arguments that win over the small ones.
        max_timesteps: see `check_algorithm`.
    """

    def __init__(self, algorithm: type[Algorithm], settings: Mapping[str, Any], max_timesteps: int = 6_000) -> None:
        self.algorithm = algorithm
        self.name = algorithm.__name__
        self.parameters = inspect.signature(algorithm).parameters
        self.settings = {**small_settings(self.parameters), **settings}
        self.max_timesteps = max_timesteps
        accepted = getattr(algorithm, "action_kinds", tuple(SPACES.values()))
        self.kinds = tuple(kind for kind, space in SPACES.items() if space in accepted)

    def team(self, n_agents: int = 3) -> IdentityTeam:
        """A team of different agents, made of the kinds that the algorithm takes."""
        return IdentityTeam([self.kinds[k % len(self.kinds)] for k in range(n_agents)])

    def build(self, env: Any = None, **changes: Any) -> Algorithm:
        """A small model in ``env``, by default in a team of three."""
        return self.algorithm(env=self.team() if env is None else env, **{**self.settings, **changes})

    def fail(self, which: str, must: str, got: object, cure: str = "") -> NoReturn:
        """Say what is wrong."""
        raise AssertionError(f"{self.name}: {explain(which, must, got, cure)}")


def small_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for quick runs, as far as a constructor has them."""
    wanted: dict[str, Any] = {"seed": 0, "batch_size": 16, "policy_kwargs": {"net_arch": [32, 32]}, "device": "cpu"}
    if "buffer_size" in parameters:
        wanted.update(buffer_size=5_000, learning_starts=20)
    else:
        wanted.update(n_steps=20)
    return {name: value for name, value in wanted.items() if name in parameters}


def check_defaults(kit: Kit) -> None:
    """It builds from its defaults, with and without an environment, and predicts before it has learned."""
    bare = kit.algorithm()
    try:
        bare.predict({})
        kit.fail("predict without an environment", "refused", "no error")
    except ConfigurationError as error:
        if "set_env" not in str(error):
            kit.fail("The message of predict without an environment", "one that names set_env", str(error))
    bare.set_env(kit.team())
    full = kit.algorithm(kit.team())
    for model in (bare, full):
        if not isinstance(model, BaseAlgorithm):
            kit.fail("The class", "a stable-baselines3 algorithm", type(model).__mro__)
        check_actions_lie_in_their_spaces(kit, model, kit.team())


def check_actions_lie_in_their_spaces(kit: Kit, model: Algorithm, team: IdentityTeam) -> None:
    """``predict`` answers a team observation with a joint action, and a dict of agents with a dict of theirs."""
    joint = model.env.reset()
    actions, state = model.predict(joint, deterministic=True)
    if len(actions) != model.env.num_envs or not all(model.action_space.contains(action) for action in actions):
        kit.fail("predict(team observation)", f"inside {model.action_space}", actions)
    observations, infos = team.reset(seed=0)
    masks = {agent: info["action_mask"] for agent, info in infos.items() if info}
    for deterministic in (True, False):
        for agent, action in by_agent(model, observations, masks, deterministic).items():
            if not team.action_space(agent).contains(action):
                kit.fail(f"predict for {agent}", f"inside {team.action_space(agent)}", action)


def by_agent(model: Algorithm, observations: Any, masks: Any, deterministic: bool) -> dict[str, Any]:
    """The dict of actions for a dict of agents; policies with a memory return their state beside it."""
    answer = model.predict(observations, action_masks=masks, deterministic=deterministic)
    actions: dict[str, Any] = answer[0] if isinstance(answer, tuple) else answer
    return actions


def check_parameters(kit: Kit) -> None:
    """``get_params``, ``set_params``, ``clone`` and ``repr`` agree with the constructor."""
    env = kit.team()
    model = kit.build(env)
    params = model.get_params()
    if list(params) != list(kit.parameters):
        kit.fail("get_params()", f"{list(kit.parameters)}, the constructor's arguments", list(params))
    wrong = [name for name, value in {**kit.settings, "env": env}.items() if params[name] is not value]
    if wrong:
        kit.fail("get_params()", "what was passed, untouched", wrong)
    twin = clone(model)
    if twin is model or twin.get_params() != params:
        kit.fail("clone(model).get_params()", "those of the model", twin.get_params())
    if twin.set_params(seed=7).get_params()["seed"] != 7 or model.get_params()["seed"] != kit.settings["seed"]:
        kit.fail("set_params(seed=7)", "felt by the clone alone", model.get_params()["seed"])
    call = ast.parse(repr(kit.build("matrix/maxent" if "discrete" in kit.kinds else None)), mode="eval").body
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != kit.name:
        kit.fail("repr(model)", f"a call of {kit.name}", ast.unparse(call))
    shown = {word.arg: ast.unparse(word.value) for word in call.keywords}
    expected = {n: repr(v) for n, v in kit.settings.items() if v != kit.parameters[n].default and n != "env"}
    missing = {name for name, text in expected.items() if shown.get(name) != text}
    if missing:
        kit.fail("repr(model)", f"one that shows {sorted(missing)}", shown)


def check_bad_arguments(kit: Kit) -> None:
    """Unknown names, wrong types and numbers out of range are refused by name before anything is built."""
    try:
        kit.algorithm(lerning_rate=1e-3)
        kit.fail("An unknown keyword", "refused", "no error")
    except TypeError as error:
        if "learning_rate" not in str(error):
            kit.fail("The message about 'lerning_rate'", "one that names learning_rate", str(error))
    constraints = getattr(kit.algorithm, "constraints", {})
    for name in set(constraints) & set(kit.parameters):
        for value in [object(), *_just_outside(constraints[name])]:
            try:
                kit.algorithm(**{name: value})
                kit.fail(f"{name}={value!r}", "refused", "no error")
            except ConfigurationError as error:
                if repr(name) not in str(error) or "must be" not in str(error):
                    kit.fail(f"The message about {name}={value!r}", "one that says which, must be and got", str(error))


def _just_outside(alternatives: Any) -> list[float]:
    """Numbers just beyond the bounds of numeric constraints, which no alternative accepts."""
    found: list[float] = []
    for constraint in alternatives:
        if isinstance(constraint, Real | Integer):
            found += [b for b in (constraint.low - 1, constraint.high + 1) if np.isfinite(b)]
            found += [constraint.low] if getattr(constraint, "open_low", False) and np.isfinite(constraint.low) else []
    return [value for value in found if not any(constraint.accepts(value) for constraint in alternatives)]


def check_repeatable(kit: Kit) -> None:
    """The same seed gives the same weights bit by bit, another seed others; global random states stay untouched."""
    before = _global_random_states()
    first, again, other = (kit.build(seed=seed).learn(80) for seed in (3, 3, 4))
    if _global_random_states() != before:
        kit.fail("Global random states", "left alone", "changed by learning", "Draw from the model's own generators.")
    weights = [_weights(model) for model in (first, again, other)]
    if not all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True)):
        kit.fail("Two runs with one seed", "equal bit by bit", "different weights")
    if all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True)):
        kit.fail("Two runs with different seeds", "different", "equal weights")


def _weights(model: Algorithm) -> list[torch.Tensor]:
    return list(model.policy.state_dict().values())


def _global_random_states() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state()
    return (random.getstate(), name, np.asarray(keys).tobytes(), *rest, torch.get_rng_state().numpy().tobytes())


def check_save_and_load(kit: Kit) -> None:
    """A saved model predicts the same after loading, with and without an environment, and can go on learning."""
    env = kit.team()
    model = kit.build(env).learn(60)
    observation = model.env.reset()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "team.zip"
        model.save(path)
        loaded = [kit.algorithm.load(path), kit.algorithm.load(path, env=kit.team())]
    for copy in loaded:
        expected, found = (m.predict(observation, deterministic=True)[0] for m in (model, copy))
        if not np.array_equal(expected, found):
            kit.fail("predict of a loaded model", f"{expected}", found)
    loaded[1].learn(30)


def check_masks(kit: Kit) -> None:
    """It never takes a choice that is forbidden, in warm-up, in training or in prediction."""
    if "discrete" not in kit.kinds:
        return
    env = IdentityTeam(["discrete", "discrete"])  # raises on a forbidden choice
    model = kit.build(env).learn(200)
    observations, infos = env.reset(seed=1)
    masks = {agent: info["action_mask"] for agent, info in infos.items()}
    for k in range(50):
        actions = by_agent(model, observations, masks, k % 2 == 0)
        taken = [agent for agent, action in actions.items() if not masks[agent][int(action) - 2]]
        if taken:
            kit.fail("predict under a mask", f"a legal choice {masks}", actions)
    empty = {"agent_0": np.zeros(4, np.int8)}
    try:
        model.predict({"agent_0": observations["agent_0"]}, action_masks=empty)
        kit.fail("A mask without a legal choice", "refused", "no error")
    except ConfigurationError:
        pass


def check_team_sizes(kit: Kit) -> None:
    """Teams of one, two and three agents of unequal spaces train, in one environment and in several."""
    for n_agents in (1, 2, 3):
        model = kit.build(kit.team(n_agents)).learn(40)
        check_actions_lie_in_their_spaces(kit, model, kit.team(n_agents))
    model = kit.build(make_vec(lambda: kit.team(), n_envs=2, seed=0)).learn(60)
    if model.num_timesteps < 60:
        kit.fail("num_timesteps with two environments", "at least 60", model.num_timesteps)


def check_refusals(kit: Kit) -> None:
    """An action space that it cannot use is refused when it is built, by the agent's name and the kind."""
    for kind in set(SPACES) - set(kit.kinds):
        try:
            kit.build(IdentityTeam([kind, *kit.kinds[:1]]))
            kit.fail(f"An agent with a {SPACES[kind].__name__} action space", "refused", "no error")
        except MasoftError as error:
            if "agent_0" not in str(error) or kit.name not in str(error):
                kit.fail(f"The message about a {kind} agent", "one with the agent's and the class's name", str(error))


def check_solves_identity(kit: Kit) -> None:
    """It learns to play what it is shown, on a team made of all the kinds that it takes."""
    changes: dict[str, Any] = {"gamma": 0.5, "batch_size": 64, "learning_rate": 1e-3}
    if "buffer_size" not in kit.parameters:
        changes.update(n_steps=128, learning_rate=3e-3)
    model = kit.build(**{name: value for name, value in changes.items() if name in kit.parameters})
    best = kit.team().best_return
    scores = []
    while model.num_timesteps < kit.max_timesteps:
        model.learn(500, reset_num_timesteps=False)
        scores.append(model.score(n_eval_episodes=20) / best)
        if scores[-1] >= SOLVED:
            return
    kit.fail("The return on IdentityTeam", f"at least {SOLVED} of the best", scores)


Check = Callable[[Kit], None]
CHECKS: tuple[Check, ...] = (
    check_defaults,
    check_parameters,
    check_bad_arguments,
    check_repeatable,
    check_save_and_load,
    check_masks,
    check_team_sizes,
    check_refusals,
    check_solves_identity,
)
