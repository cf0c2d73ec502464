"""Opening a file of weights: which format it is in is read off its first bytes, not its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import Any

from torch import Tensor

from .errors import CheckpointError
from .pickle_file import PickleFile
from .safetensors_file import SafetensorsFile
from .weight_file import Reader, TensorInfo, WeightFile

__all__ = ["Reader", "ShardedFile", "TensorInfo", "WeightFile", "open_weights"]

INDEX = re.compile(r"\.index(\.\w+)?\.json$")  # with or without a variant's name
# First bytes of what people have instead of a checkpoint, and what it then is.
OTHER_FILES = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: run `git lfs pull`",
    b"<": "is a web page, not a checkpoint: the download saved an error or login page",
    b"GGUF": "is a GGUF file; expected safetensors",
    b"{": "is JSON text; expected safetensors",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"7z\xbc\xaf": "is a 7z archive: unpack it first",
    b"Rar!": "is a RAR archive: unpack it first",
}
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class ShardedFile(WeightFile):
    """Several files read as one, by their `*.index.json`: {"weight_map": {tensor: file}}."""

    def __init__(self, index: Path, *, ckpt: bool = False) -> None:
        homes = _weight_map(index)
        self._shards = {
            name: open_weights(index.parent / name, ckpt=ckpt) for name in set(homes.values())
        }
        self._homes = {tensor: self._shards[home] for tensor, home in homes.items()}
        for tensor, shard in self._homes.items():
            if tensor not in shard.tensors:
                raise CheckpointError(
                    index, f"places {tensor} in {shard.path.name}, which has no such tensor"
                )
        metadata = {k: v for shard in self._shards.values() for k, v in shard.metadata.items()}
        super().__init__(
            index, {name: shard.tensors[name] for name, shard in self._homes.items()}, metadata
        )

    @contextmanager
    def reader(self, *, scratch: bool = False) -> Iterator[Reader]:
        with ExitStack() as stack:
            readers = {
                id(shard): stack.enter_context(shard.reader(scratch=scratch))
                for shard in self._shards.values()
            }

            def read(name: str, *, block: int = 0, blocks: int = 1) -> Tensor:
                self.rows(name, blocks)
                return readers[id(self._homes[name])](name, block=block, blocks=blocks)

            yield read


def open_weights(path: Path, *, ckpt: bool = False) -> WeightFile:
    """Open a .safetensors file, an `*.index.json` of several, or with `ckpt` a PyTorch checkpoint.

    Only names, shapes, dtypes and metadata are read. Raises CheckpointError saying what is wrong
    with the file, and for a PyTorch checkpoint without `ckpt` how to allow it.
    """
    if INDEX.search(path.name):
        return ShardedFile(path, ckpt=ckpt)
    start = _first_bytes(path)
    if start[8:9] == b"{":
        return SafetensorsFile(path)
    if start.startswith(PICKLES):
        if ckpt:
            return PickleFile(path)
        raise CheckpointError(
            path,
            "is a PyTorch checkpoint (a pickle), which is read only on request: allow it "
            "(--allow-ckpt), with nothing but weights accepted, or use a .safetensors version of "
            "the model",
        )
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")
    known = (fault for first, fault in OTHER_FILES.items() if text.startswith(first))
    neither = "is no safetensors file, nor a PyTorch checkpoint: it does not begin like one"
    raise CheckpointError(path, next(known, neither))


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(path, "is a folder; expected a file of weights")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        raise CheckpointError(path, "does not exist") from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be opened: {error.strerror}") from error
    if not start:
        raise CheckpointError(path, "is empty (0 bytes): download it again")
    return start


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        found: Any = json.loads(index.read_bytes())["weight_map"]
    except OSError as error:
        raise CheckpointError(index, f"cannot be opened: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(index, 'is damaged: expected JSON with a "weight_map"') from error
    if not isinstance(found, dict) or not found:
        raise CheckpointError(index, 'is damaged: "weight_map" names no tensors')
    for home in found.values():
        if not isinstance(home, str) or PurePath(home).name != home:
            raise CheckpointError(index, f"names the file {home!r}, which is not beside it")
    return found
