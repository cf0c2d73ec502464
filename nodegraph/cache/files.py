"""One result as one safetensors file.

The tensors are the file's tensors, named "0", "1" ...; everything else is in `__metadata__`:

    format      FORMAT
    key         the content key it was stored under
    seconds     how long it took to compute
    structure   JSON, one item per output slot; {"$tensor": "0"} stands for a tensor, with "dtype"
                and "shape" where safetensors does not know the dtype and has its bytes
    checksum    fingerprint of all of the above and of the tensors

A slot is {"plain": value}, {"shown": ...}, {"many": [slots]} or {"port": what the port type's
codec made of it}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from nodegraph.errors import NodeGraphError
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import Codec, structural
from nodegraph.values import Many, fingerprint

FORMAT = "nodegraph-result/1"
LONGEST_STRUCTURE = 64 << 20  # safetensors refuses to read a header above 100 MB
TENSOR = "$tensor"
ESCAPED = "$escaped"  # {"$escaped": {...}} is a dict that has one of these two as a key
SHOWN = structural(Shown, SavedFile)
# What safetensors reads and writes in every version we support; others are stored as bytes.
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
FLOATS = ("bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")
NATIVE = frozenset(INTEGERS + FLOATS)

Slots = Sequence[Codec | None]


class Unstorable(NodeGraphError):
    """A value has no form on disk; says which and why."""


class Damaged(NodeGraphError):
    """A file is not a whole, unchanged result."""


class NoCodec(NodeGraphError):
    """A file is fine, but its reader has no codec for a slot."""


@dataclass(frozen=True)
class Packed:
    """A result ready to be written: structure (JSON text) and tensors by name."""

    structure: str
    tensors: dict[str, Any]

    @property
    def nbytes(self) -> int:
        """About the size of its file."""
        sizes = [int(tensor.numel() * tensor.element_size()) for tensor in self.tensors.values()]
        return len(self.structure) + sum(sizes)


@dataclass(frozen=True)
class Read:
    """A result as it came back. `seconds`: what it once took to compute."""

    outputs: tuple[Any, ...]
    seconds: float


def has_shown(outputs: Sequence[Any]) -> bool:
    """Whether a result refers to files it wrote."""
    return any(isinstance(value, Shown) for value in outputs)


def obstacle(outputs: Sequence[Any], codecs: Slots) -> str:
    """Why the result cannot be on disk: which slot has no codec. Empty if it can."""
    for index, value in enumerate(outputs):
        for item in value.items if isinstance(value, Many) else (value,):
            if not isinstance(item, Shown) and not _is_plain(item) and not _at(codecs, index):
                kind = type(item).__name__
                return f"output {index} is a {kind}, and its port type has no codec"
    return ""


def pack(outputs: Sequence[Any], codecs: Slots) -> Packed:
    """Encode every slot. Raises Unstorable, or what a codec raises."""
    if reason := obstacle(outputs, codecs):
        raise Unstorable(reason)
    tensors = _Tensors()
    slots = [_packed(value, _at(codecs, index), tensors) for index, value in enumerate(outputs)]
    structure = json.dumps(slots, separators=(",", ":"))
    if len(structure) > LONGEST_STRUCTURE:
        raise Unstorable(f"its plain data takes {len(structure)} bytes as JSON")
    return Packed(structure, tensors.named)


def write(path: Path, key: str, packed: Packed, seconds: float) -> None:
    """Write one file; neither atomically nor synced, which is the folder's business."""
    tensors = _separate(packed.tensors)
    metadata = {
        "format": FORMAT,
        "key": key,
        "seconds": repr(float(seconds)),
        "structure": packed.structure,
    }
    metadata["checksum"] = _checksum(metadata, tensors)
    if tensors:
        from safetensors.torch import save_file  # imports torch

        save_file(tensors, path, metadata)
    else:
        safetensors.serialize_file({}, path, metadata)


def read(path: Path, key: str, codecs: Slots) -> Read:
    """The result stored under `key`. Its tensors are on the CPU and own their memory.

    Raises OSError; MemoryError; Damaged if the file is not exactly what was written, or a codec
    cannot make sense of it; NoCodec if a slot needs a codec that was not given.
    """
    data = path.read_bytes()
    try:
        metadata, tensors = _parsed(data, key)
        slots = json.loads(metadata["structure"])
        outputs = [_unpacked(slot, _at(codecs, index), tensors) for index, slot in enumerate(slots)]
        return Read(tuple(outputs), float(metadata["seconds"]))
    except (Damaged, NoCodec, MemoryError):
        raise
    except Exception as error:  # whatever damage makes of JSON, safetensors or a codec
        if isinstance(error, RuntimeError) and "memory" in str(error).lower():
            # torch's lack of memory is a RuntimeError, and says nothing about the file.
            raise MemoryError(str(error)) from error
        raise Damaged(f"{path.name}: {type(error).__name__}: {error}") from error


def _at(codecs: Slots, index: int) -> Codec | None:
    return codecs[index] if index < len(codecs) else None


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str)


# --- slots ----------------------------------------------------------------------------------


def _packed(value: Any, codec: Codec | None, tensors: _Tensors) -> dict[str, Any]:
    if isinstance(value, Many):
        return {"many": [_packed(item, codec, tensors) for item in value.items]}
    if isinstance(value, Shown):
        return {"shown": _extracted(SHOWN.encode(value), tensors)}
    if codec is None:
        return {"plain": value}
    return {"port": _extracted(codec.encode(value), tensors)}


def _unpacked(slot: dict[str, Any], codec: Codec | None, tensors: dict[str, Any]) -> Any:
    ((form, data),) = slot.items()
    match form:
        case "many":
            return Many(tuple(_unpacked(item, codec, tensors) for item in data))
        case "shown":
            return SHOWN.decode(_restored(data, tensors))
        case "plain":
            return data
        case "port" if codec is not None:
            return codec.decode(_restored(data, tensors))
        case "port":
            raise NoCodec("a slot was stored with a codec, and none was given to read it")
        case _:
            raise Damaged(f"there is no slot form {form!r}")


# --- tensors in and out of the tree ---------------------------------------------------------


class _Tensors:
    """The tensors of one result, by name; the same tensor twice is stored once."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def add(self, tensor: Any) -> dict[str, Any]:
        if str(tensor.layout) != "torch.strided" or tensor.is_quantized or tensor.is_nested:
            raise Unstorable(f"a tensor of layout {tensor.layout} has no form on disk")
        name = self._names.setdefault(id(tensor), str(len(self._names)))
        self.named[name] = tensor
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype in NATIVE:
            return {TENSOR: name}
        return {TENSOR: name, "dtype": dtype, "shape": list(tensor.shape)}


def _extracted(data: Any, tensors: _Tensors) -> Any:
    """JSON with every tensor replaced by its name."""
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [_extracted(item, tensors) for item in data]
    if isinstance(data, dict) and all(isinstance(key, str) for key in data):
        items = {key: _extracted(item, tensors) for key, item in data.items()}
        return {ESCAPED: items} if TENSOR in items or ESCAPED in items else items
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor):
        return tensors.add(data)
    raise Unstorable(f"its codec gave a {type(data).__name__}, which is neither JSON nor a tensor")


def _restored(data: Any, tensors: dict[str, Any]) -> Any:
    """The inverse of `_extracted`."""
    if isinstance(data, list):
        return [_restored(item, tensors) for item in data]
    if not isinstance(data, dict):
        return data
    if TENSOR in data:
        tensor = tensors[data[TENSOR]]
        if "dtype" not in data:
            return tensor
        return tensor.view(getattr(sys.modules["torch"], data["dtype"])).reshape(data["shape"])
    return {key: _restored(item, tensors) for key, item in data.get(ESCAPED, data).items()}


def _separate(tensors: dict[str, Any]) -> dict[str, Any]:
    """As safetensors wants them: dense, on the CPU, none sharing memory with another."""
    separate: dict[str, Any] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        torch = sys.modules["torch"]
        plain = tensor.detach().to("cpu").as_subclass(torch.Tensor).resolve_conj().resolve_neg()
        plain = plain.contiguous()
        if str(plain.dtype).removeprefix("torch.") not in NATIVE:
            plain = plain.reshape(-1).view(torch.uint8)
        if plain.untyped_storage().data_ptr() in storages:
            plain = plain.clone()
        storages.add(plain.untyped_storage().data_ptr())
        separate[name] = plain
    return separate


# --- the file -------------------------------------------------------------------------------


def _checksum(metadata: dict[str, str], tensors: dict[str, Any]) -> str:
    text = tuple(metadata[name] for name in ("format", "key", "seconds", "structure"))
    return f"{fingerprint((text, sorted(tensors.items()))):016x}"


def _parsed(data: bytes, key: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The checked metadata and tensors of a file's bytes."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__")
    if metadata["format"] != FORMAT:
        raise Damaged(f"its format is {metadata['format']!r}; this version reads {FORMAT!r}")
    tensors: dict[str, Any] = {}
    if header:
        from safetensors.torch import load  # imports torch

        tensors = load(data)
    elif len(data) != 8 + int.from_bytes(data[:8], "little"):
        raise Damaged("there are bytes after its end")
    if metadata["key"] != key:
        raise Damaged(f"it holds the result of {metadata['key']!r}")
    if _checksum(metadata, tensors) != metadata["checksum"]:
        raise Damaged("its checksum does not fit its content")
    return metadata, tensors
