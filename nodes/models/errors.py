"""Everything nodes.models raises.

* ModelError
  + ArchitectureError     tensors or settings describe no network this package can build
  + CheckpointError       a file cannot be read, or is not what it was taken for; names the file
"""

from __future__ import annotations

from pathlib import Path


class ModelError(Exception):
    """Base of every error the models raise on purpose."""


class ArchitectureError(ModelError, ValueError):
    """A configuration, or the names and shapes in a file, fit no architecture known here."""


class CheckpointError(ModelError):
    """A weight file is missing, damaged, incomplete or of another kind.

    The message names the file by its last two parts ("checkpoints/model.safetensors"), so that it
    can be shown to a stranger; `path` is the whole path, `fault` the message without the name.
    """

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{'/'.join(path.parts[-2:])}: {fault}")
        self.path = path
        self.fault = fault
