"""What an output node shows: files it wrote, pictures it sends, other small facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class SavedFile:
    """A file an output node wrote.

    type:   the folder's kind: output, temp or input.
    sha256: of what was written. A cached node is run again when the file holds something else by
            now: names are given anew once a file is gone. "" trusts the name.
    """

    filename: str
    subfolder: str
    type: str
    sha256: str = ""

    def as_json(self) -> dict[str, str]:
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}

    def under(self, folder: Path) -> Path:
        """Where the file is, given the folder of its kind."""
        return folder / self.subfolder / self.filename


@dataclass(frozen=True)
class Shown:
    """The result of an output node: `files` under a key ("images", "latents"), and `values`."""

    files: tuple[SavedFile, ...] = ()
    key: str = "images"
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """`{"images": [{"filename", "subfolder", "type"}, ...], ...}`."""
        shown: dict[str, Any] = {name: list(items) for name, items in self.values.items()}
        if self.files:
            shown[self.key] = [file.as_json() for file in self.files]
        return shown


@dataclass(frozen=True)
class Sent:
    """A picture for whoever asked for the run, given with `Context.preview`.

    It is a result and no preview: it is delivered as it is, in order, and none is left out. `data`
    is a whole file in `format`.
    """

    data: bytes = field(repr=False)
    format: Literal["png", "jpeg"] = "png"
