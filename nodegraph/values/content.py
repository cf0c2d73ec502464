"""The content of a value as one number."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from xxhash import xxh3_64, xxh3_64_digest, xxh3_64_intdigest

from .tree import UNORDERED, is_array, is_scalar, is_tensor, name_of, opened

BLOCK_BYTES = 1 << 20  # a strided array is gathered and hashed this much at a time
BLOCK_WORDS = 1 << 22  # likewise on an accelerator, where a temporary costs 8 bytes a word

Digester = Callable[[Any], bytes]


def fingerprint(value: Any) -> int:
    """A 64-bit checksum of everything in `value` (xxh3; see `device_checksum` for accelerators).

    Equal trees have equal fingerprints, however their tensors are laid out in memory; any change
    of an element, item, key, type, shape or dtype changes it. Opaque objects count by type and
    identity, so it means nothing outside this process unless the value has none. A tensor's
    device does count; whether it requires a gradient does not.
    """
    plain = _PLAIN.get(type(value))
    return int.from_bytes(plain(value) if plain is not None else _digest(value), "big")


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
            elif (branch := opened(child)) is None:
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
    type(None): lambda _: xxh3_64_digest(b"", 5),
    bytes: lambda value: xxh3_64_digest(value, 6),
    bytearray: lambda value: xxh3_64_digest(value, 7),
    complex: lambda value: xxh3_64_digest(struct.pack("<dd", value.real, value.imag), 8),
}


def _leaf_digest(value: Any) -> bytes:
    if is_tensor(value):
        return _tensor_digest(value)
    if is_array(value):
        return _memory_digest(f"array {value.dtype} {value.shape}".encode(), value)
    if is_scalar(value):
        return xxh3_64_digest(f"scalar {value.dtype} ".encode() + value.tobytes())
    for kind, digest in _PLAIN.items():
        if isinstance(value, kind):
            return xxh3_64_digest(digest(value), xxh3_64_intdigest(name_of(type(value))))
    return _opaque_digest(value)


def _opaque_digest(value: Any) -> bytes:
    # An address is used again once its object is gone; what compares by value (a path, a date)
    # is told apart by its hash as well.
    try:
        own = hash(value)
    except Exception:
        own = 0
    return xxh3_64_digest(b"%s %d %d" % (name_of(type(value)), id(value), own))


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
