"""What stable-baselines3 calls infos, for simulators of many environments: dicts that are made when somebody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

Info = dict[str, Any]


class LazyInfos(list[Info]):
    """A list of one dict an environment, which are arrays until they are asked for.

    Args:
        names: of the agents.
        rewards: (n_envs, n_agents), the agents' own.
        finals: team observations before any restart, (n_envs, ...) by name.
        terminated, truncated: (n_envs,), how episodes have ended.
        successes: (n_envs,), whether an ended episode was won; None where the task knows no such thing.

    Attributes:
        ended: numbers of the environments whose episodes have ended.
        finals: team observations before any restart, of these alone, (n_ended, ...) by name.
        cut: (n_envs,), true where a time limit ended them.
        is_untouched: whether nobody has looked at any of them; only then ``finals`` is sure to be what they hold, since
            wrappers may change the dicts.
    """

    def __init__(
        self,
        names: Sequence[str],
        rewards: NDArray[Any],
        finals: Mapping[str, Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        successes: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__([None] * len(rewards))  # type: ignore[list-item]
        self._names, self._rewards, self.successes = tuple(names), rewards, successes
        self.cut = truncated & ~terminated
        self.ended = np.flatnonzero(terminated | truncated)
        # Copies: the simulator may write over what it gave.
        self.finals = {name: values[self.ended] for name, values in finals.items()} if len(self.ended) else {}
        self._told: dict[int, Info] = {}
        self.is_untouched = True

    def _made(self, env: int) -> Info:
        info: Info | None = list.__getitem__(self, env)
        if info is None:
            info = {"rewards": dict(zip(self._names, self._rewards[env].tolist(), strict=True))}
            place = int(np.searchsorted(self.ended, env))
            if place < len(self.ended) and self.ended[place] == env:
                info["terminal_observation"] = {name: values[place] for name, values in self.finals.items()}
                info["TimeLimit.truncated"] = bool(self.cut[env])
                if self.successes is not None:
                    info["is_success"] = bool(self.successes[env])
            info.update(self._told.get(env, {}))
            self[env], self.is_untouched = info, False
        return info

    def tell(self, env: int, name: str, value: Any) -> None:
        """Add an entry to one environment's dict, without making it."""
        if list.__getitem__(self, env) is None:
            self._told.setdefault(env, {})[name] = value
        else:
            self[env][name] = value

    def told(self, env: int) -> Info:
        """One environment's dict if somebody has looked at it; else what has been told of it, and its success."""
        info: Info | None = list.__getitem__(self, env)
        if info is not None:
            return info
        success = {} if self.successes is None else {"is_success": bool(self.successes[env])}
        return {**success, **self._told.get(env, {})}

    @overload
    def __getitem__(self, index: SupportsIndex) -> Info: ...
    @overload
    def __getitem__(self, index: slice) -> list[Info]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Info | list[Info]:
        if isinstance(index, slice):
            return [self._made(env) for env in range(*index.indices(len(self)))]
        env = range(len(self))[index]
        return self._made(env)

    def __iter__(self) -> Iterator[Info]:
        return map(self._made, range(len(self)))

    def __reversed__(self) -> Iterator[Info]:
        return map(self._made, reversed(range(len(self))))

    def __eq__(self, other: object) -> bool:
        return self[:] == (other[:] if isinstance(other, LazyInfos) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self[:])

    def copy(self) -> list[Info]:
        """All of them, as a plain list."""
        return self[:]

    def __reduce__(self) -> Any:
        return list, (self[:],)


class DeviceInfos(LazyInfos):
    """The same of tensors on a device, from which nothing is read until somebody looks.

    Args:
        names, rewards, finals, terminated, truncated, successes: as for `LazyInfos`, tensors that stay as they are.

    Attributes:
        returns, lengths: (n_envs,), of the episodes so far, told by a monitor; None where there is none.
        began: when the monitor's clock started.
        has_no_end: whether it is known without a look that no episode has ended.
        raw: the infos as they were before a wrapper; None: it was none.
    """

    returns: Any = None
    lengths: Any = None
    began: float = 0.0
    has_no_end: bool = False
    raw: DeviceInfos | None = None
    _READ = ("_names", "_rewards", "cut", "ended", "finals", "_told")

    def __init__(
        self, names: Sequence[str], rewards: Any, finals: Mapping[str, Any], terminated: Any, truncated: Any,
        successes: Any = None,
    ) -> None:  # fmt: skip
        list.__init__(self, [None] * len(rewards))  # type: ignore[misc]
        self.tensors = (names, rewards, finals, terminated, truncated, successes)
        self.is_untouched = True

    def with_finals(self, finals: Mapping[str, Any]) -> DeviceInfos:
        """The same with other last observations, as a wrapper shows them; these here are its ``raw``."""
        names, rewards, _, *ends = self.tensors
        other = DeviceInfos(names, rewards, finals, *ends)
        other.returns, other.lengths, other.began = self.returns, self.lengths, self.began
        other.has_no_end, other.raw = self.has_no_end, self
        return other

    @property
    def device_finals(self) -> Mapping[str, Any]:
        """Team observations before any restart, (n_envs, ...) by name, all of them."""
        finals: Mapping[str, Any] = self.tensors[2]
        return finals

    @property
    def device_cut(self) -> Any:
        """(n_envs,), true where a time limit ended the episode."""
        return self.tensors[4] & ~self.tensors[3]

    def __getattr__(self, name: str) -> Any:
        if name not in self._READ and name != "successes":
            raise AttributeError(name)
        self._read()
        return vars(self)[name]

    def _read(self) -> None:
        names, *rest = self.tensors
        rewards, terminated, truncated, successes = (_array(each) for each in (rest[0], *rest[2:]))
        ended = terminated | truncated
        finals = {name: _array(values) for name, values in rest[1].items()} if ended.any() else {}
        super().__init__(names, rewards, finals, terminated, truncated, successes)
        if self.returns is not None and len(self.ended):
            returns, lengths, now = _array(self.returns), _array(self.lengths), round(time.time() - self.began, 6)
            for env in self.ended.tolist():
                self.tell(env, "episode", {"r": returns[env], "l": lengths[env], "t": now})
        for env, entries in ({} if self.raw is None else vars(self.raw).get("_told", {})).items():
            for name, value in entries.items():
                self.tell(env, name, value)


def _array(values: Any) -> Any:
    """A tensor as an array in main memory."""
    return values if values is None or isinstance(values, np.ndarray) else values.detach().cpu().numpy()
