"""Python values as JSON plus named tensors, and back, without pickle.

A JSON object is always one tagged value, such as ``{"tuple": [1, 2]}`` or ``{"tensor": "policy.weight"}``; numbers,
strings, lists and null stand for themselves.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from masoft.errors import ModelFileError, explain
from masoft.files.trust import SCHEDULES, Trust, fields_of, path_of

Json = Any
MAX_DEPTH = 64


class Encoder:
    """Turns values into JSON and collects the tensors in them.

    Attributes:
        tensors: name -> tensor, contiguous, on the CPU, sharing no memory.
        absent: where a value stood that no file can hold (a lambda, say) -> its repr.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.absent: dict[str, str] = {}
        self._seen: dict[tuple[Any, ...], tuple[str, Tensor]] = {}

    def encode(self, value: Any, where: str) -> Json:
        """One value as JSON.

        Args:
            value: what to write.
            where: dotted place of the value; names its tensors.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int | float | np.bool_ | np.integer | np.floating):
            return _encode_number(value)
        if isinstance(value, Tensor):
            return {"tensor": self._add(value, where)}
        if isinstance(value, np.ndarray):
            return self._encode_array(value, where)
        if isinstance(value, list | tuple):
            items = [self.encode(item, f"{where}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, Mapping):
            return self._encode_mapping(value, where)
        return self._encode_name(value, where)

    def _encode_mapping(self, value: Mapping[Any, Any], where: str) -> Json:
        if all(isinstance(key, str) for key in value):
            return {"dict": {key: self.encode(item, f"{where}.{key}") for key, item in value.items()}}
        pairs = [[self.encode(k, f"{where}.key"), self.encode(v, f"{where}.{k}")] for k, v in value.items()]
        return {"pairs": pairs}

    def _encode_array(self, value: np.ndarray, where: str) -> Json:
        if value.dtype.kind not in "biuf":
            return self._give_up(value, where)
        return {"array": self._add(torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape), where)}

    def _encode_name(self, value: Any, where: str) -> Json:
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, type):
            return {"class": path_of(value)}
        if isinstance(value, types.FunctionType) and "<" not in value.__qualname__:  # no lambda, no closure
            return {"function": path_of(value)}
        fields = fields_of(value)
        if fields is not None:
            items = {name: self.encode(item, f"{where}.{name}") for name, item in fields.items()}
            return {"object": path_of(type(value)), "fields": items}
        return self._give_up(value, where)

    def _give_up(self, value: Any, where: str) -> Json:
        self.absent[where] = repr(value)[:200]
        return {"absent": self.absent[where]}

    def _add(self, tensor: Tensor, where: str) -> str:
        """Store a tensor under a name; one that is stored already keeps its first name."""
        tensor = tensor.detach()
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and key in self._seen:
            return self._seen[key][0]
        # A view of a larger tensor has to become a tensor of its own.
        self.tensors[where] = tensor.cpu().clone(memory_format=torch.contiguous_format)
        self._seen[key] = (where, tensor)
        return where


def _encode_number(value: Any) -> Json:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"float": repr(plain)}
    return float(plain) if isinstance(plain, float) else plain if isinstance(plain, bool) else int(plain)


class Decoder:
    """Turns JSON back into values.

    Args:
        tensors: what the names in the JSON stand for.
        trust: which classes and functions may be named.
    """

    def __init__(self, tensors: Mapping[str, Tensor], trust: Trust) -> None:
        self._tensors = tensors
        self._trust = trust
        self._readers: dict[str, Callable[[Any, str, int], Any]] = {
            "tuple": lambda body, where, depth: tuple(self._items(body, where, depth)),
            "dict": self._dict,
            "pairs": self._pairs,
            "float": lambda body, where, depth: _read_float(body),
            "tensor": lambda body, where, depth: self._tensor(body),
            "array": lambda body, where, depth: self._tensor(body).numpy(),
            "device": lambda body, where, depth: _read_device(body),
            "class": self._class,
            "function": self._function,
            "absent": _refuse_absent,
        }

    def decode(self, value: Json, where: str, depth: int = 0) -> Any:
        """One JSON value as a Python value.

        Args:
            value: what stands in the file.
            where: dotted place, for messages.
            depth: nesting so far.

        Raises:
            ModelFileError: an unknown tag, an untrusted name, a missing tensor, nesting that is too deep.
        """
        if depth > MAX_DEPTH:
            raise ModelFileError(f"{where} in the model file is nested more than {MAX_DEPTH} deep.")
        if isinstance(value, list):
            return self._items(value, where, depth)
        if not isinstance(value, dict):
            return value
        if set(value) == {"object", "fields"}:
            return self._object(value, where, depth)
        if len(value) != 1 or next(iter(value)) not in self._readers:
            raise ModelFileError(explain(f"{where} in the model file", "one tagged value", sorted(value)))
        tag, body = next(iter(value.items()))
        return self._readers[tag](body, where, depth)

    def _items(self, body: Any, where: str, depth: int) -> list[Any]:
        if not isinstance(body, list):
            raise ModelFileError(explain(f"{where} in the model file", "a list", body))
        return [self.decode(item, f"{where}.{i}", depth + 1) for i, item in enumerate(body)]

    def _dict(self, body: Any, where: str, depth: int) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise ModelFileError(explain(f"{where} in the model file", "a dict", body))
        return {key: self.decode(item, f"{where}.{key}", depth + 1) for key, item in body.items()}

    def _pairs(self, body: Any, where: str, depth: int) -> dict[Any, Any]:
        pairs = self._items(body, where, depth)
        try:
            return {key: item for key, item in pairs}
        except (TypeError, ValueError):
            raise ModelFileError(explain(f"{where} in the model file", "pairs of key and value", body)) from None

    def _tensor(self, name: Any) -> Tensor:
        if not isinstance(name, str) or name not in self._tensors:
            raise ModelFileError(explain("A tensor that the model file names", "in the file", name))
        return self._tensors[name]

    def _class(self, body: Any, where: str, depth: int) -> type:
        found = self._trust.find(body)
        if not isinstance(found, type):
            raise ModelFileError(explain(f"{where} in the model file", "a class", body))
        return found

    def _function(self, body: Any, where: str, depth: int) -> Any:
        found = self._trust.find(body)
        if not isinstance(found, types.FunctionType):
            raise ModelFileError(explain(f"{where} in the model file", "a function", body))
        return found

    def _object(self, value: dict[str, Any], where: str, depth: int) -> Any:
        kind = self._trust.find(value["object"])
        fields = self._dict(value["fields"], where, depth)
        if not (isinstance(kind, type) and (dataclasses.is_dataclass(kind) or kind.__name__ in SCHEDULES)):
            raise ModelFileError(explain(f"{where} in the model file", "a frozen dataclass", value["object"]))
        try:
            made = kind(**fields)
        except (TypeError, ValueError, AssertionError) as error:
            raise ModelFileError(f"{where} in the model file cannot be built: {error}") from error
        if fields_of(made) is None:
            raise ModelFileError(explain(f"{where} in the model file", "a frozen dataclass", value["object"]))
        return made


def _read_float(body: Any) -> float:
    if body not in ("inf", "-inf", "nan"):
        raise ModelFileError(explain("A special number in the model file", "'inf', '-inf' or 'nan'", body))
    return float(body)


def _read_device(body: Any) -> torch.device:
    try:
        return torch.device(body)
    except (RuntimeError, TypeError) as error:
        raise ModelFileError(f"The model file names an unknown device: {error}") from None


def _refuse_absent(body: Any, where: str, depth: int) -> Any:
    first, name = where.removeprefix("parameters.").partition(".")[0], where.rpartition(".")[2]
    whole = f"{first}=..." if name == first else f"{first}={{{name!r}: ...}} with the other entries"
    cure = f"Pass it again: load(path, {whole})."
    raise ModelFileError(f"The file could not hold {name}, which was {body}. {cure}")
