"""The shape of a value: which objects are branches, and what they hold."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

PLAIN = frozenset({int, str, float, bool, type(None), bytes, bytearray, complex})
UNORDERED = b"{"  # starts the header of a branch whose children have no order

Branch = tuple[bytes, Sequence[Any]]  # header (what kind it is), children
Opener = Callable[[Any], Branch | None]  # None: this very value is a leaf


@dataclass(frozen=True)
class Many:
    """A slot that holds several values: a list output, or one value per fanned-out call."""

    items: tuple[Any, ...]


def everything(root: Any) -> Iterator[Any]:
    """Every object of the tree once: branches, leaves, and the buffers that arrays look into."""
    seen: dict[int, Any] = {}
    stack = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        yield value
        if type(value) in PLAIN:
            continue
        branch = opened(value)
        if branch is not None:
            stack.extend(branch[1])
        elif is_array(value) and value.base is not None:
            stack.append(value.base)


def opened(value: object) -> Branch | None:
    """The header and children of a branch; None for a leaf."""
    kind: Any = type(value)  # mypy does not see that a type can be hashed
    return _opener(kind)(value)


def is_tensor(value: object) -> bool:
    kind: Any = type(value)
    return _derives(kind, "torch", "Tensor")


def is_array(value: object) -> bool:
    kind: Any = type(value)
    return _derives(kind, "numpy", "ndarray")


def is_scalar(value: object) -> bool:
    """Whether it is one of numpy's own numbers."""
    kind: Any = type(value)
    return _derives(kind, "numpy", "generic")


def name_of(kind: type) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__}".encode()


@lru_cache(maxsize=4096)
def _derives(kind: type, module: str, name: str) -> bool:
    """Whether `kind` is `module.name` or a subclass; such a class implies an imported module."""
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(kind, base)


@lru_cache(maxsize=4096)
def _opener(kind: Any) -> Opener:
    """How to see the children of a value of this type."""
    if _derives(kind, "torch", "Tensor"):
        return _open_tensor
    if _derives(kind, "numpy", "ndarray"):
        return _open_array
    name = name_of(kind)
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        header = b"dataclass " + name
        return lambda value: (header, [getattr(value, n, dataclasses.MISSING) for n in names])
    if issubclass(kind, (dict, MappingProxyType)):
        header = b"dict " + name
        return lambda value: (header, [part for item in list(value.items()) for part in item])
    if issubclass(kind, (set, frozenset)):
        header = UNORDERED + name
        return lambda value: (header, tuple(value))
    if issubclass(kind, (tuple, list, deque)):
        header = b"sequence " + name
        return lambda value: (header, tuple(value))
    return _is_leaf


def _is_leaf(_: Any) -> None:
    return None


def _open_tensor(tensor: Any) -> Branch | None:
    """A tensor made of other tensors: sparse, nested, or a subclass that wraps some."""
    if tensor.is_nested:
        return b"nested", tensor.unbind()
    layout = str(tensor.layout)
    header = f"{layout} {tensor.dtype} {tuple(tensor.shape)}".encode()
    if hasattr(type(tensor), "__tensor_flatten__"):
        names, context = tensor.__tensor_flatten__()
        return header, [*(getattr(tensor, name) for name in names), repr(context)]
    match layout:
        case "torch.strided":
            return None
        case "torch.sparse_coo":
            return header, (tensor._indices(), tensor._values())
        case "torch.sparse_csr" | "torch.sparse_bsr":
            return header, (tensor.crow_indices(), tensor.col_indices(), tensor.values())
        case "torch.sparse_csc" | "torch.sparse_bsc":
            return header, (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
        case _:
            return header, (tensor.to_dense(),)


def _open_array(array: Any) -> Branch | None:
    if not array.dtype.hasobject:
        return None
    return f"array {array.dtype} {array.shape}".encode(), array.reshape(-1).tolist()
