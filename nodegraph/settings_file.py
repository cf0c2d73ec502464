"""Changing some settings in a settings file, and leaving all else in it as it stands."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingsError
from .settings import Settings

Value = list[str] | dict[str, list[str]]


def write_settings(path: Path, changes: Mapping[str, Value]) -> None:
    """Set some settings in a file, which is made if it is not there; comments stay.

    The file is replaced in one step, with its mode. Raises SettingsError where it cannot be read,
    written, or changed without touching more: then it is as it was, and the message says what to
    write by hand.
    """
    path = path.resolve()  # a link stays one
    before = Settings.load(path) if path.exists() else Settings()
    text = path.read_text("utf-8") if path.exists() else ""
    for name, value in changes.items():
        text = _changed(path, text, name, value)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    try:
        _publish(path, handle, Path(temporary), text, before, changes)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _publish(
    path: Path,
    handle: int,
    temporary: Path,
    text: str,
    before: Settings,
    changes: Mapping[str, Value],
) -> None:
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        after = Settings.load(temporary)
    except SettingsError:
        raise _by_hand(path, changes) from None
    _require_meant(path, after, before, changes)
    if path.exists():
        shutil.copymode(path, temporary)
    os.replace(temporary, path)


def _require_meant(
    path: Path, after: Settings, before: Settings, changes: Mapping[str, Value]
) -> None:
    """Whatever a file looks like: the new one says what is wanted, and nothing else."""
    others = {name: getattr(before, name) for name in changes}
    wanted = {name: _flat(value) for name, value in changes.items()}
    found = {name: getattr(after, name) for name in changes}
    if found != wanted or replace(after, **others) != before:
        raise _by_hand(path, changes)


def _changed(path: Path, text: str, name: str, value: Value) -> str:
    """The text with a setting's lines replaced, or a line more."""
    line = f"{name}: {_written(value)}\n"
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return f"{_whole(text)}{line}"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _by_hand(path, {name: value})
    for key, old in root.value:
        if key.value == name:
            start, end = key.start_mark.index, _end_of(text, key.start_mark.index, old)
            return text[:start] + line.rstrip("\n") + text[end:]
    return f"{_whole(text)}{line}" if value else text


def _end_of(text: str, start: int, old: yaml.Node) -> int:
    """Where a value ends: empty lines and comments after a block are not its own."""
    kept = text[start : old.end_mark.index].split("\n")
    while len(kept) > 1 and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
        kept.pop()
    return start + len("\n".join(kept))


def _whole(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _written(value: Value) -> str:
    written: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False)
    return written.strip()


def _flat(value: Value) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    return tuple(f"{name}.{what}" for name, granted in value.items() for what in granted)


def _by_hand(path: Path, changes: Mapping[str, Any]) -> SettingsError:
    lines = ", ".join(f"`{name}: {_written(value)}`" for name, value in changes.items())
    return SettingsError(f"{path} has a layout that cannot be changed safely; write there: {lines}")
