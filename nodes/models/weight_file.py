"""What every file of named tensors can do, whatever its format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .errors import CheckpointError


@dataclass(frozen=True)
class TensorInfo:
    """What a file says of a tensor before it is read."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


class Reader(Protocol):
    """Reads one tensor of an open file into memory of its own."""

    def __call__(self, name: str, *, block: int = 0, blocks: int = 1) -> Tensor:
        """Tensor `name`, contiguous; or the `block`-th of `blocks` equal parts along its rows.

        Raises CheckpointError where there is no such tensor or its data end early.
        """


class WeightFile(ABC):
    """Named tensors on disk: their names, shapes and dtypes at hand, their data read on request.

    Nothing of the file stays open or mapped between reads, and no tensor read from it notices what
    becomes of the file.
    """

    def __init__(
        self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]
    ) -> None:
        self.path = path
        self.tensors = tensors
        self.metadata = metadata

    @abstractmethod
    def reader(self, *, scratch: bool = False) -> AbstractContextManager[Reader]:
        """Open the file for any number of reads.

        With `scratch` a tensor that was read holds only until the next read, and may change with
        the file: for callers that convert or copy each at once, which saves fresh memory for it.
        Raises CheckpointError where the file is not the one whose names and shapes these are.
        """

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own. Raises CheckpointError."""
        with self.reader() as read:
            return read(name)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    def dtypes(self) -> dict[str, torch.dtype]:
        """Name -> dtype of every tensor."""
        return {name: tensor.dtype for name, tensor in self.tensors.items()}

    def rows(self, name: str, blocks: int) -> int:
        """Rows in one of `blocks` equal parts of tensor `name`, for the readers to check with."""
        if name not in self.tensors:
            raise CheckpointError(self.path, f"there is no tensor {name}")
        shape = self.tensors[name].shape
        if blocks > 1 and (not shape or shape[0] % blocks):
            raise CheckpointError(
                self.path, f"{name} has shape {shape}, which cannot be split into {blocks} parts"
            )
        return shape[0] // blocks if shape else 1


@dataclass(frozen=True)
class FileState:
    """Tells a file from its successor at the same path."""

    size: int
    modified: int  # nanoseconds
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> FileState:
        status = os.fstat(descriptor)
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    def require_unchanged(self, path: Path, descriptor: int) -> None:
        """Raise CheckpointError where `descriptor` is open on another file, or on a changed one."""
        if FileState.of(descriptor) != self:
            raise CheckpointError(
                path, "the file has changed since it was inspected: inspect it again"
            )
