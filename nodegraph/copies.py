"""Copies of values that share nothing that can be changed in place."""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from .values.tree import is_array, is_tensor


def copied(value: Any) -> Any:
    """The same tree, with tensors, arrays and containers of its own.

    What a value is never looked into for (a model, a callable) is shared. A tuple or frozenset of
    which nothing had to be copied stays as it is.
    """
    return _copied(value, {})


def _copied(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    if id(value) in done:
        return done[id(value)][1]
    if is_tensor(value):
        result = value.detach().clone().requires_grad_(value.requires_grad)
    elif is_array(value) or isinstance(value, bytearray):
        result = value.copy()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = _dataclass(value, done)
    elif isinstance(value, (list, deque, set)):
        result = copy.copy(value)
        done[id(value)] = (value, result)  # before its items: one of them may be it again
        _refill(result, [_copied(item, done) for item in value])
    elif isinstance(value, (tuple, frozenset)):
        result = _rebuilt(value, [_copied(item, done) for item in value])
    elif isinstance(value, dict):
        result = copy.copy(value)
        done[id(value)] = (value, result)
        for key, item in value.items():
            result[key] = _copied(item, done)
    elif isinstance(value, MappingProxyType):
        result = MappingProxyType({key: _copied(item, done) for key, item in value.items()})
    else:
        return value
    done[id(value)] = (value, result)
    return result


def _dataclass(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    result = copy.copy(value)  # not replace(): __post_init__ checked these values already
    done[id(value)] = (value, result)
    for field in dataclasses.fields(value):
        if hasattr(value, field.name):
            own = _copied(getattr(value, field.name), done)
            object.__setattr__(result, field.name, own)
    return result


def _refill(container: Any, items: list[Any]) -> None:
    container.clear()
    if isinstance(container, set):
        container.update(items)
    else:
        container.extend(items)


def _rebuilt(value: Any, items: Iterable[Any]) -> Any:
    new = list(items)
    if all(one is other for one, other in zip(new, value, strict=True)):
        return value
    if isinstance(value, frozenset):
        return type(value)(new)
    return tuple.__new__(type(value), new)
