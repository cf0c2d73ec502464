"""Rows that are computed once and kept in files: many tensors of few shapes, by number.

    00000.safetensors     "rows" (n, ...): those of one shard, in its order

A shard is on disk whole or not at all, so work that was stopped goes on with the first one that is
missing. Files are read by memory map: rows that nobody asks for cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nodes.models.atomic import replacing
from nodes.training.dataset import digest

SHARD_BYTES = 64 << 20
ROWS = "rows"

Make = Callable[[Sequence[int]], Tensor]  # the numbers of n rows of one shape -> (n, ...)
Progress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    return None


@dataclass(frozen=True)
class Shard:
    """The rows of one file: their numbers, and the shape they have in common."""

    name: str
    numbers: tuple[int, ...]
    shape: tuple[int, ...]


def shards_of(
    groups: Iterable[tuple[tuple[int, ...], Sequence[int]]], item: int, limit: int = SHARD_BYTES
) -> tuple[Shard, ...]:
    """Shards of about `limit` bytes for groups of (shape, numbers); `item`: bytes of an element."""
    found: list[Shard] = []
    for shape, numbers in groups:
        count = max(1, limit // (item * torch.Size(shape).numel()))
        for start in range(0, len(numbers), count):
            name = f"{len(found):05}.safetensors"
            found.append(Shard(name, tuple(numbers[start : start + count]), shape))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows by number. place: for each number its tensor and the row in it."""

    tensors: tuple[Tensor, ...]
    place: Mapping[int, tuple[int, int]]

    def take(self, numbers: Sequence[int]) -> Tensor:
        """(B, ...), for rows of one shape."""
        places = [self.place[number] for number in numbers]
        first = places[0][0]
        if all(tensor == first for tensor, _ in places):
            rows = self.tensors[first]
            return rows[torch.tensor([row for _, row in places], device=rows.device)]
        return torch.stack([self.tensors[tensor][row] for tensor, row in places])

    def to(self, device: str | torch.device) -> Rows:
        """The same, held by a device: one tensor for each shape."""
        shapes = list(dict.fromkeys(tensor.shape[1:] for tensor in self.tensors))
        joined: list[Tensor] = []
        starts: dict[int, tuple[int, int]] = {}
        for index, shape in enumerate(shapes):
            chosen = [i for i, tensor in enumerate(self.tensors) if tensor.shape[1:] == shape]
            begin = 0
            for i in chosen:
                starts[i] = (index, begin)
                begin += len(self.tensors[i])
            joined.append(torch.cat([self.tensors[i].to(device) for i in chosen]))
        place = {n: (starts[t][0], starts[t][1] + row) for n, (t, row) in self.place.items()}
        return Rows(tuple(joined), place)


@dataclass(frozen=True)
class Shelf:
    """A folder of shards. about: what the rows depend on; files of another kind are made anew."""

    path: Path
    about: str
    dtype: torch.dtype = torch.float32

    def fill(
        self,
        shards: Sequence[Shard],
        make: Make,
        batch: int,
        on_progress: Progress = silent,
    ) -> Rows:
        """Make the rows that are missing, `batch` at a time, and give them all.

        on_progress is told rows that are there, of how many, after each batch, and may raise: whole
        shards are kept. Raises OSError where the folder cannot be written.
        """
        total = sum(len(shard.numbers) for shard in shards)
        done = 0
        for shard in shards:
            if not self._holds(shard):
                made = []
                for start in range(0, len(shard.numbers), batch):
                    numbers = shard.numbers[start : start + batch]
                    made.append(make(numbers).to("cpu", self.dtype))
                    on_progress(done + start + len(numbers), total)
                self._write(shard, torch.cat(made))
            done += len(shard.numbers)
            on_progress(done, total)
        return self.rows(shards)

    def rows(self, shards: Sequence[Shard]) -> Rows:
        """All rows, by memory map."""
        place = {
            number: (index, row)
            for index, shard in enumerate(shards)
            for row, number in enumerate(shard.numbers)
        }
        return Rows(tuple(self._read(shard) for shard in shards), place)

    def _write(self, shard: Shard, rows: Tensor) -> None:
        if tuple(rows.shape[1:]) != shard.shape:
            raise ValueError(
                f"rows of shape {shard.shape} were expected, and {tuple(rows.shape[1:])} were made"
            )
        with replacing(self.path / shard.name) as file:
            file.write(save({ROWS: rows.contiguous()}, {"about": self._about(shard)}))

    def _read(self, shard: Shard) -> Tensor:
        with safe_open(self.path / shard.name, framework="pt") as file:
            rows: Tensor = file.get_tensor(ROWS)
            return rows

    def _holds(self, shard: Shard) -> bool:
        """Whether the shard is there, whole, and made from the same."""
        try:
            with safe_open(self.path / shard.name, framework="pt") as file:
                said = (file.metadata() or {}).get("about")
                shape = file.get_slice(ROWS).get_shape()
        except (OSError, SafetensorError):
            return False
        return said == self._about(shard) and shape == [len(shard.numbers), *shard.shape]

    def _about(self, shard: Shard) -> str:
        return digest([self.about, str(self.dtype), shard.numbers, shard.shape])
