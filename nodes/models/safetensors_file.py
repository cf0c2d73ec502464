"""Files in the safetensors format, read without mapping them into memory.

8 bytes n, little-endian; n bytes of JSON {name: {"dtype", "shape", "data_offsets": [begin, end]},
"__metadata__": {...}}; the tensors' bytes, without gaps, to the end of the file. (Format:
github.com/huggingface/safetensors.) The library maps the whole file and its tensors keep the map
alive; read straight into each tensor's own memory, a file comes in as fast as a plain read of it
(measured: 4 to 6 GB/s from the page cache, against 3 to 4 for map and copy).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError
from .weight_file import FileState, Reader, TensorInfo, WeightFile

LENGTH = 8  # bytes of the number in front of the header
LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Placed:
    """A tensor and where its bytes are, counted from the end of the header."""

    info: TensorInfo
    begin: int
    end: int


class SafetensorsFile(WeightFile):
    """One file. Opening it reads and checks the header alone; raises CheckpointError."""

    def __init__(self, path: Path) -> None:
        with _opened(path) as file:
            self._state = FileState.of(file.fileno())
            header = _header(path, file, self._state.size)
            self._start = file.tell()
        metadata = _metadata(path, header.pop("__metadata__", {}))
        self._placed = {name: _placed(path, name, entry) for name, entry in header.items()}
        _require_whole(path, self._placed, self._state.size - self._start)
        infos = {name: placed.info for name, placed in self._placed.items()}
        super().__init__(path, infos, metadata)

    @contextmanager
    def reader(self, *, scratch: bool = False) -> Iterator[Reader]:
        with _opened(self.path) as file:
            self._state.require_unchanged(self.path, file.fileno())
            # Fresh memory for every tensor costs more than the read itself: its pages are new.
            largest = max((info.nbytes for info in self.tensors.values()), default=0)
            buffer = torch.empty(largest, dtype=torch.uint8) if scratch else None

            def read(name: str, *, block: int = 0, blocks: int = 1) -> Tensor:
                rows = self.rows(name, blocks)
                info, begin = self.tensors[name], self._start + self._placed[name].begin
                shape = (rows, *info.shape[1:]) if info.shape else ()
                size = info.nbytes // blocks
                data = _bytes(self.path, file, begin + block * size, size, buffer)
                return data.view(info.dtype).view(shape)

            yield read


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise CheckpointError(path, f"cannot be opened: {error.strerror}") from error
    with file:
        yield file


def _header(path: Path, file: FileIO, size: int) -> dict[str, Any]:
    length = int.from_bytes(file.read(LENGTH), "little")
    if length > LONGEST_HEADER:
        raise CheckpointError(path, f"is no safetensors file: its header would be {length:,} bytes")
    text = bytes(_bytes(path, file, LENGTH, length).numpy()) if length <= size - LENGTH else b""
    if not text:
        raise CheckpointError(
            path,
            f"is cut short: {size:,} bytes, and the header alone is {length:,}: download it again",
        )
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"has a damaged header, no valid JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(path, "has a damaged header: no table of tensors")
    return header


def _metadata(path: Path, found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise CheckpointError(path, "has a damaged header: __metadata__ is no table")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _placed(path: Path, name: str, entry: Any) -> Placed:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise CheckpointError(path, f"has a damaged header: no dtype, shape and place for {name}")
    if dtype not in DTYPES:
        raise CheckpointError(
            path, f"{name} has the dtype {dtype}; expected one of {', '.join(DTYPES)}"
        )
    info = TensorInfo(DTYPES[dtype], tuple(shape))
    if end - begin != info.nbytes:
        raise CheckpointError(
            path,
            f"has a damaged header: {name} takes {end - begin:,} bytes, "
            f"but {dtype} of shape {info.shape} is {info.nbytes:,}",
        )
    return Placed(info, begin, end)


def _require_whole(path: Path, placed: Mapping[str, Placed], size: int) -> None:
    """The tensors must fill the rest of the file, `size` bytes, without a gap or an overlap."""
    end = 0
    for name, place in sorted(placed.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != end:
            raise CheckpointError(
                path, f"has a damaged header: {name} begins at byte {place.begin:,}, not {end:,}"
            )
        end = place.end
    if size < end:
        raise CheckpointError(
            path,
            f"is cut short: {size:,} of {end:,} bytes of tensors are there: download it again",
        )
    if size > end:
        raise CheckpointError(path, f"has {size - end:,} bytes more than its header accounts for")


def _bytes(
    path: Path, file: FileIO, begin: int, size: int, scratch: Tensor | None = None
) -> Tensor:
    """`size` bytes from `begin` on, as a uint8 tensor: of `scratch`, or of its own memory."""
    data = torch.empty(size, dtype=torch.uint8) if scratch is None else scratch[:size]
    buffer = memoryview(data.numpy().data)
    file.seek(begin)
    done = 0
    while done < size:  # the system reads at most 2 GiB at once
        got = file.readinto(buffer[done:])
        if not got:
            raise CheckpointError(path, f"is cut short: it ends at byte {begin + done:,}")
        done += got
    return data
