"""PyTorch's own checkpoints (.ckpt, .pt, .pth, .bin): pickles, read without running them.

torch.load(weights_only=True) rebuilds tensors and plain containers and refuses every other class.
Checkpoints from PyTorch Lightning also carry a few of the trainer's own objects; those classes,
named in OBJECTS and DICTS, are replaced by empty ones, so that no code of theirs runs either.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError
from .weight_file import FileState, Reader, TensorInfo, WeightFile

OBJECTS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "typing.Any",
    "builtins.dict",
    "builtins.list",
    "builtins.int",
)
DICTS = (
    "collections.defaultdict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
)
# Where trainers put the tensors.
NESTED = ("state_dict", "model", "params_ema", "params", "string_to_param")
_TORCH_LIST = Lock()  # torch's list of allowed classes is one for the whole process


class Ignored:
    """Takes the place of an object a weight file carries and nobody needs."""

    def __init__(self, *_args: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


class IgnoredDict:
    """Takes the place of a class derived from dict: torch fills plain dicts alone."""

    def __new__(cls, *_args: object) -> Any:
        return {}


class PickleFile(WeightFile):
    """One file, or the state dict inside it. Raises CheckpointError.

    The file is mapped while it is opened or read from, and no longer. A file of torch before 1.6
    cannot be mapped: it is held in memory, whole, while it is read.
    """

    def __init__(self, path: Path) -> None:
        with self._loaded(path) as (tensors, self._state):
            infos = {name: TensorInfo(t.dtype, tuple(t.shape)) for name, t in tensors.items()}
        super().__init__(path, infos, {})

    @contextmanager
    def reader(self, *, scratch: bool = False) -> Iterator[Reader]:
        with self._loaded(self.path, self._state) as (tensors, _):

            def read(name: str, *, block: int = 0, blocks: int = 1) -> Tensor:
                rows = self.rows(name, blocks)
                whole = tensors[name]
                part = whole[block * rows : (block + 1) * rows] if blocks > 1 else whole
                return part if scratch else part.clone(memory_format=torch.contiguous_format)

            yield read

    @staticmethod
    @contextmanager
    def _loaded(
        path: Path, expected: FileState | None = None
    ) -> Iterator[tuple[dict[str, Tensor], FileState]]:
        with path.open("rb") as file:
            state = FileState.of(file.fileno())
            if expected is not None:
                expected.require_unchanged(path, file.fileno())
            tensors = _tensors(path, _unpickled(path))
            yield tensors, state
            tensors.clear()  # a reader kept by mistake must not keep the file mapped


def _unpickled(path: Path) -> Any:
    stand_ins: list[Any] = [_stand_in(name, Ignored) for name in OBJECTS]
    stand_ins += [_stand_in(name, IgnoredDict) for name in DICTS]
    try:
        with _TORCH_LIST, torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, _refusal(str(error))) from error
    except Exception as error:  # whatever a damaged or hostile pickle provokes
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(path, f"is a damaged PyTorch checkpoint: {reason}") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _stand_in(name: str, base: type) -> type:
    module, _, qualified = name.rpartition(".")
    return type(qualified, (base,), {"__module__": module})  # torch goes by these two names


def _refusal(message: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", message)
    # Without the name, torch's own words would advise to switch the protection off.
    what = f"it names {found[1]}" if found else "it asks for more than tensors in tables"
    return (
        f"is refused: it holds more than weights ({what}). Such a file can run code when it is "
        "opened; use a .safetensors version of the model"
    )


def _tensors(path: Path, loaded: Any) -> dict[str, Tensor]:
    if isinstance(loaded, Tensor):  # some embeddings are nothing else
        loaded = {"tensor": loaded}
    for name in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    named = loaded.items() if isinstance(loaded, Mapping) else ()
    found = {k: v.detach() for k, v in named if isinstance(k, str) and isinstance(v, Tensor)}
    if not found:
        raise CheckpointError(path, "holds no named tensors: it is no checkpoint of a model")
    return found
