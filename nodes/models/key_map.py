"""Key maps: further layouts of names, read as ones that are known here.

A key map is a function from the names of a file's tensors to what some of them are called in a
layout that this package reads: of checkpoints (checkpoint_part.py), or of LoRA files (lora_file.py,
lora_keys.py). Only names are mapped, so the tensors of both layouts must be the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from torch import Tensor

from .errors import CheckpointError
from .weight_file import Reader, WeightFile

KeyMap = Callable[[Collection[str]], Mapping[str, str]]
"""Names of a file's tensors -> {its name: the name here}.

Names that are left out stay as they are; an empty answer says that the file is of another layout.
"""
NO_MAPS: Mapping[str, KeyMap] = MappingProxyType({})


class RenamedFile(WeightFile):
    """A file whose tensors go by other names."""

    def __init__(self, file: WeightFile, renamed: Mapping[str, str]) -> None:
        """renamed: the file's name -> the new one, for some of its tensors."""
        self._file = file
        self._names = {renamed.get(name, name): name for name in file.tensors}
        tensors = {new: file.tensors[old] for new, old in self._names.items()}
        super().__init__(file.path, tensors, file.metadata)

    @contextmanager
    def reader(self, *, scratch: bool = False) -> Iterator[Reader]:
        with self._file.reader(scratch=scratch) as inner:

            def read(name: str, *, block: int = 0, blocks: int = 1) -> Tensor:
                self.rows(name, blocks)
                return inner(self._names[name], block=block, blocks=blocks)

            yield read


def renamed(file: WeightFile, maps: Mapping[str, KeyMap]) -> WeightFile:
    """The file as the first of the maps that knows its layout reads it; else the file itself.

    maps: by name, which errors tell. Raises CheckpointError where a map names what is not in the
    file, or gives two tensors one name.
    """
    for title, key_map in maps.items():
        found = key_map(file.tensors.keys())
        if not found:
            continue
        if strange := [name for name in found if name not in file.tensors]:
            raise CheckpointError(
                file.path, f"the key map {title} renames {strange[0]}, which is not in it"
            )
        names = Counter(found.get(name, name) for name in file.tensors)
        if double := [name for name, count in names.items() if count > 1]:
            raise CheckpointError(
                file.path, f"the key map {title} calls {names[double[0]]} tensors {double[0]}"
            )
        return RenamedFile(file, found)
    return file
