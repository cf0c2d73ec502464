"""Values whose tensors are on another device."""

from __future__ import annotations

import copy
import dataclasses
from types import MappingProxyType
from typing import Any

from .tree import PLAIN, everything, is_array, is_tensor, opened


def to_host(value: Any) -> Any:
    """`value` with every tensor on the CPU; `value` itself if they all are."""
    return move(value, "cpu")


def move(value: Any, device: str) -> Any:
    """`value` with every tensor on `device`; `value` itself if nothing has to move.

    Branches that hold a moved tensor are rebuilt with the same types; the rest is shared.
    """
    tensors = (leaf for leaf in everything(value) if is_tensor(leaf))
    if all(str(tensor.device) == device for tensor in tensors):
        return value
    return _moved(value, device, {})


def _moved(value: Any, device: str, done: dict[int, tuple[Any, Any]]) -> Any:
    if type(value) in PLAIN:
        return value
    if id(value) in done:
        return done[id(value)][1]
    done[id(value)] = (value, value)  # a cycle leads back to the value as it was
    result = value
    if is_tensor(value):
        if str(value.device) != device:
            result = value.detach().to(device).requires_grad_(value.requires_grad)
    elif (branch := opened(value)) is not None:
        parts = [_moved(child, device, done) for child in branch[1]]
        if any(new is not old for new, old in zip(parts, branch[1], strict=True)):
            result = _rebuilt(value, parts)
    done[id(value)] = (value, result)
    return result


def _rebuilt(value: Any, parts: list[Any]) -> Any:
    """A branch like `value` with other children, in the order in which it was opened."""
    kind = type(value)
    if dataclasses.is_dataclass(value):
        result = copy.copy(value)  # not replace(): __post_init__ checked these values already
        for field, part in zip(dataclasses.fields(value), parts, strict=True):
            if part is not dataclasses.MISSING:
                object.__setattr__(result, field.name, part)
        return result
    if issubclass(kind, tuple):
        return _rebuilt_tuple(value, parts)
    if is_array(value):
        return value
    if issubclass(kind, (dict, MappingProxyType)):
        items = dict(zip(parts[::2], parts[1::2], strict=True))
        if issubclass(kind, MappingProxyType):
            return MappingProxyType(items)
        result = copy.copy(value)
        result.clear()
        result.update(items)
        return result
    if issubclass(kind, frozenset):
        return kind(parts)
    result = copy.copy(value)  # list, deque, set: keep what a subclass adds
    result.clear()
    (result.update if issubclass(kind, set) else result.extend)(parts)
    return result


def _rebuilt_tuple(value: tuple[Any, ...], parts: list[Any]) -> Any:
    kind = type(value)
    try:
        return tuple.__new__(kind, parts)  # a NamedTuple's own __new__ takes fields, not a list
    except TypeError:
        return kind(parts)  # a struct sequence, such as torch.return_types.max
