"""What is inside a value that travels over a link: its content, its size, where its tensors are.

A value is a tree. Its branches are dataclass instances, tuples, lists, dicts, sets and Many; its
leaves are tensors, numpy arrays and plain data (numbers, text, bytes, None). Everything else (a
model, a callable) is opaque: it counts as the object it is, and is never looked into.

torch and numpy are not imported here: a value can only hold what has been imported already.
"""

from __future__ import annotations

import copy
import dataclasses
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from xxhash import xxh3_64, xxh3_64_digest, xxh3_64_intdigest

OBJECT_BYTES = 64  # what one object is taken to cost, beside the memory it points to
BLOCK_BYTES = 1 << 20  # a strided array is gathered and hashed this much at a time
BLOCK_WORDS = 1 << 22  # likewise on an accelerator, where a temporary costs 8 bytes a word
UNORDERED = b"{"  # starts the header of a branch whose children have no order

Branch = tuple[bytes, Sequence[Any]]  # header (what kind it is), children
Opener = Callable[[Any], Branch | None]  # None: this very value is a leaf
Digester = Callable[[Any], bytes]


@dataclass(frozen=True)
class Many:
    """A slot that holds several values: a list output, or one value per fanned-out call."""

    items: tuple[Any, ...]


def fingerprint(value: Any) -> int:
    """A 64-bit checksum of everything in `value` (xxh3; see `device_checksum` for accelerators).

    Equal trees have equal fingerprints, however their tensors are laid out in memory; any change
    of an element, item, key, type, shape or dtype changes it. Opaque objects count by type and
    identity, so it means nothing outside this process unless the value has none. A tensor's
    device does count; whether it requires a gradient does not.
    """
    plain = _PLAIN.get(type(value))
    return int.from_bytes(plain(value) if plain is not None else _digest(value), "big")


def nbytes(value: Any) -> int:
    """Bytes held by `value`: every tensor storage and array buffer once, text, and its objects.

    A view holds all of the storage it looks into. Opaque objects count as one object.
    """
    return sum(device_bytes(value).values())


def device_bytes(value: Any) -> dict[str, int]:
    """`nbytes` by device: `{"cpu": ..., "cuda:0": ...}`; objects and arrays are on the CPU."""
    held = {"cpu": 0}
    storages: set[tuple[str, int]] = set()
    for leaf in _everything(value):
        held["cpu"] += OBJECT_BYTES
        if isinstance(leaf, (str, bytes, bytearray)):
            held["cpu"] += len(leaf)
        elif _is_tensor(leaf) and str(leaf.layout) == "torch.strided":
            storage, device = leaf.untyped_storage(), str(leaf.device)
            if device != "meta" and (device, storage.data_ptr()) not in storages:
                storages.add((device, storage.data_ptr()))
                held[device] = held.get(device, 0) + storage.nbytes()
        elif _is_array(leaf) and leaf.base is None:
            held["cpu"] += leaf.nbytes
    return held


def to_host(value: Any) -> Any:
    """`value` with every tensor on the CPU; `value` itself if they all are."""
    return move(value, "cpu")


def move(value: Any, device: str) -> Any:
    """`value` with every tensor on `device`; `value` itself if nothing has to move.

    Branches that hold a moved tensor are rebuilt with the same types; the rest is shared.
    """
    tensors = (leaf for leaf in _everything(value) if _is_tensor(leaf))
    if all(str(tensor.device) == device for tensor in tensors):
        return value
    return _moved(value, device, {})


def device_checksum(tensor: Any) -> int:
    """sum_i w_i x_i mod 2^64 over the words x_i of a dense tensor, computed on its device.

    Words are 32 bits, or the element where that is smaller. The weights w_i are odd, so a change
    of any one word always shows, and scattered, so that changes of several do not cancel: a
    splitmix64 of i (Steele, Lea & Flood, OOPSLA 2014, fig. 16), one round short. Sums of integers
    do not depend on order: the result is the same on every device.
    """
    torch = sys.modules["torch"]
    flat = tensor.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
    flat = flat.contiguous().reshape(-1)
    words = flat.view({1: torch.uint8, 2: torch.int16}.get(flat.element_size(), torch.int32))
    total = torch.zeros((), dtype=torch.int64, device=words.device)
    for start in range(0, len(words), BLOCK_WORDS):
        x = words[start : start + BLOCK_WORDS].to(torch.int64)
        i = torch.arange(start, start + len(x), dtype=torch.int64, device=words.device)
        w = (i + 1).mul_(-0x61C8864680B583EB)
        w ^= w >> 30
        w *= -0x40A7B892E31B1A47
        w ^= w >> 27
        w |= 1
        total += w.mul_(x).sum()
    return int(total) & 0xFFFF_FFFF_FFFF_FFFF


class _Frame:
    """A branch whose children are being digested."""

    __slots__ = ("header", "parts", "rest", "value")

    def __init__(self, value: Any, header: bytes, children: Sequence[Any]) -> None:
        self.value = value
        self.header = header
        self.rest = iter(children)
        self.parts: list[bytes] = []

    def digest(self) -> bytes:
        if self.header.startswith(UNORDERED):
            self.parts.sort()
        return xxh3_64_digest(b"".join(self.parts), xxh3_64_intdigest(self.header))


def _digest(root: Any) -> bytes:
    """The digest of a tree, from the leaves up, without recursion: nesting has no limit."""
    finished: dict[int, tuple[Any, bytes]] = {}  # holds the value too, so its id stays its own
    depth_of: dict[int, int] = {}
    stack = [_Frame(None, b"root", (root,))]
    while True:
        frame = stack[-1]
        for child in frame.rest:
            plain = _PLAIN.get(type(child))
            if plain is not None:
                frame.parts.append(plain(child))
            elif id(child) in finished:
                frame.parts.append(finished[id(child)][1])
            elif id(child) in depth_of:  # a cycle: say how far up it leads
                above = len(stack) - depth_of[id(child)]
                frame.parts.append(xxh3_64_digest(b"cycle %d" % above))
            elif (branch := _opener(type(child))(child)) is None:
                digest = _leaf_digest(child)
                finished[id(child)] = (child, digest)
                frame.parts.append(digest)
            else:
                depth_of[id(child)] = len(stack)
                stack.append(_Frame(child, *branch))
                break
        else:
            stack.pop()
            if not stack:
                return frame.parts[0]
            digest = frame.digest()
            del depth_of[id(frame.value)]
            finished[id(frame.value)] = (frame.value, digest)
            stack[-1].parts.append(digest)


def _everything(root: Any) -> Iterator[Any]:
    """Every object of the tree once: branches, leaves, and the buffers that arrays look into."""
    seen: dict[int, Any] = {}
    stack = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        yield value
        if type(value) in _PLAIN:
            continue
        branch = _opener(type(value))(value)
        if branch is not None:
            stack.extend(branch[1])
        elif _is_array(value) and value.base is not None:
            stack.append(value.base)


# --- branches -------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _opener(kind: type) -> Opener:
    """How to see the children of a value of this type."""
    if _derives(kind, "torch", "Tensor"):
        return _open_tensor
    if _derives(kind, "numpy", "ndarray"):
        return _open_array
    name = _name(kind)
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


# --- leaves ---------------------------------------------------------------------------------


def _plain_int(value: int) -> bytes:
    return xxh3_64_digest(value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True), 1)


def _plain_text(value: str) -> bytes:
    return xxh3_64_digest(value.encode("utf-8", "surrogatepass"), 2)


_PLAIN: Mapping[type, Digester] = {
    int: _plain_int,
    str: _plain_text,
    float: lambda value: xxh3_64_digest(struct.pack("<d", value), 3),
    bool: lambda value: xxh3_64_digest(b"1" if value else b"0", 4),
    type(None): lambda value: xxh3_64_digest(b"", 5),
    bytes: lambda value: xxh3_64_digest(value, 6),
    bytearray: lambda value: xxh3_64_digest(value, 7),
    complex: lambda value: xxh3_64_digest(struct.pack("<dd", value.real, value.imag), 8),
}


def _leaf_digest(value: Any) -> bytes:
    if _is_tensor(value):
        return _tensor_digest(value)
    if _is_array(value):
        return _memory_digest(f"array {value.dtype} {value.shape}".encode(), value)
    if _derives(type(value), "numpy", "generic"):
        return xxh3_64_digest(f"scalar {value.dtype} ".encode() + value.tobytes())
    for kind, digest in _PLAIN.items():
        if isinstance(value, kind):
            return xxh3_64_digest(digest(value), xxh3_64_intdigest(_name(type(value))))
    return _opaque_digest(value)


def _opaque_digest(value: Any) -> bytes:
    # An address is used again once its object is gone; what compares by value (a path, a date)
    # is told apart by its hash as well.
    try:
        own = hash(value)
    except Exception:
        own = 0
    return xxh3_64_digest(b"%s %d %d" % (_name(type(value)), id(value), own))


def _tensor_digest(tensor: Any) -> bytes:
    device = tensor.device.type
    header = f"tensor {tensor.dtype} {tuple(tensor.shape)} {device}".encode()
    if device == "meta":
        return xxh3_64_digest(header)
    if device != "cpu":
        return xxh3_64_digest(header, device_checksum(tensor))
    torch = sys.modules["torch"]
    plain = tensor.dequantize() if tensor.is_quantized else tensor
    plain = plain.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
    # numpy knows neither bfloat16 nor the 8-bit floats; as integers they are the same bytes.
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    as_integer = integers.get(plain.element_size())
    return _memory_digest(header, (plain if as_integer is None else plain.view(as_integer)).numpy())


def _memory_digest(header: bytes, array: Any) -> bytes:
    seed = xxh3_64_intdigest(header)
    if array.nbytes == 0:
        return xxh3_64_digest(b"", seed)
    if array.flags.c_contiguous:
        return xxh3_64_digest(array.reshape(-1).view("u1"), seed)
    hasher = xxh3_64(seed=seed)
    for block in _blocks(array):
        hasher.update(block.reshape(-1).view("u1"))
    return hasher.digest()


def _blocks(array: Any) -> Iterator[Any]:
    """The array in C order, as contiguous pieces of about BLOCK_BYTES."""
    if array.flags.c_contiguous:
        yield array
    elif array.nbytes <= BLOCK_BYTES:
        yield array.copy(order="C")
    elif array.nbytes // len(array) > BLOCK_BYTES:
        for row in array:
            yield from _blocks(row)
    else:
        step = BLOCK_BYTES // (array.nbytes // len(array))
        for start in range(0, len(array), step):
            yield array[start : start + step].copy(order="C")


def _name(kind: type) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__}".encode()


@lru_cache(maxsize=4096)
def _derives(kind: type, module: str, name: str) -> bool:
    """Whether `kind` is `module.name` or a subclass; such a class implies an imported module."""
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(kind, base)


def _is_tensor(value: Any) -> bool:
    return _derives(type(value), "torch", "Tensor")


def _is_array(value: Any) -> bool:
    return _derives(type(value), "numpy", "ndarray")


# --- moving ---------------------------------------------------------------------------------


def _moved(value: Any, device: str, done: dict[int, tuple[Any, Any]]) -> Any:
    if type(value) in _PLAIN:
        return value
    if id(value) in done:
        return done[id(value)][1]
    done[id(value)] = (value, value)  # a cycle leads back to the value as it was
    result = value
    if _is_tensor(value):
        result = value.detach().to(device).requires_grad_(value.requires_grad)
    elif (branch := _opener(type(value))(value)) is not None:
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
    if _is_array(value):
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
