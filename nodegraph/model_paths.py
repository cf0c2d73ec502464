"""Reading `extra_model_paths.yaml`: where a user of ComfyUI keeps models already.

my_models:
    base_path: /data/models
    is_default: true            # looked into before the others
    checkpoints: checkpoints
    loras: |
        loras
        more/loras
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingsError


@dataclass(frozen=True)
class ExtraFolder:
    """A folder with files of one kind. `first`: looked into before the models folders."""

    kind: str
    path: Path
    first: bool = False


def read_model_paths(path: Path) -> tuple[ExtraFolder, ...]:
    """The folders a file names, in its order. Relative ones start at the file's own folder.

    Raises SettingsError if the file cannot be read or is of another form.
    """
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if data is None:
        return ()
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: expected a mapping of names to folders")
    return tuple(
        folder for name, section in data.items() for folder in _section(path, name, section)
    )


def _section(path: Path, name: Any, section: Any) -> Iterator[ExtraFolder]:
    if section is None:
        return
    if not isinstance(section, dict):
        raise SettingsError(f"{path}: {name} is a mapping of kinds to folders, not {section!r}")
    first = bool(section.get("is_default", False))
    base = path.absolute().parent / _expanded(str(section.get("base_path") or ""))
    for kind, folders in section.items():
        if kind in ("base_path", "is_default") or folders is None:
            continue
        lines = folders.splitlines() if isinstance(folders, str) else folders
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise SettingsError(f"{path}: {name}.{kind} is a folder or a list, not {folders!r}")
        for line in filter(None, (line.strip() for line in lines)):
            yield ExtraFolder(str(kind), base / _expanded(line), first)


def _expanded(text: str) -> str:
    return os.path.expandvars(os.path.expanduser(text))
