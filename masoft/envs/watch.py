"""Whether environments are where their learner left them."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from masoft.envs.team_env import TeamEnv


class Watch:
    """Remembers where a learner's own steps left its environments, and tells when they are elsewhere.

    Environments in this process are seen whoever moves them: through the VecEnv, another one, or the `TeamEnv`
    itself. Those in processes of their own are seen where the VecEnv is asked.

    Args:
        vec_env: the learner's.
    """

    def __init__(self, vec_env: VecEnv) -> None:
        self.vec_env = vec_env
        base: Any = vec_env.unwrapped
        self._base = base
        teams = [env.unwrapped for env in getattr(base, "envs", ())]
        moves = [team._moves for team in teams if isinstance(team, TeamEnv)]
        self._first = moves[0] if moves else None
        self._others = moves[1:]
        self._left: Any = None
        self._known: Any = None
        self._is_forgiven = False

    def _position(self) -> Any:
        """Equal at two times only if nothing has moved in between."""
        if self._first is not None:
            count = self._first.count
            return count + sum([moves.count for moves in self._others]) if self._others else count
        base = self._base
        if isinstance(base, SubprocVecEnv):  # a new object at every step and reset
            return object() if base.waiting else base.reset_infos
        return getattr(base, "n_moves", None)

    def leave(self) -> None:
        """The learner has stepped the environments."""
        self._left = self._position()

    def settle(self) -> None:
        """The learner has taken note of its last step."""
        self._known = self._left

    def meet(self) -> None:
        """The learner knows the environments as they are, just reset or restored."""
        self._left = self._known = self._position()
        self._is_forgiven = False

    def forgive(self) -> None:
        """The learner itself gives the environments away."""
        self._is_forgiven = True

    @property
    def is_new(self) -> bool:
        """Whether the learner has not met the environments yet."""
        return self._known is None

    @property
    def is_behind(self) -> bool:
        """Whether the environments are not where the learner last saw them."""
        known, position = self._known, self._position()
        # Asked at every step of the learner: the usual answer is given without another call.
        return position is not known and known is not None and not _same(position, known)

    @property
    def was_moved(self) -> bool:
        """Whether somebody else has moved them, who was not asked to."""
        return not (self.is_new or self._is_forgiven or _same(self._position(), self._left))


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is int and one == other)
