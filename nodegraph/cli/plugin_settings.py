"""Enabling and disabling plugins, in the settings file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nodegraph.errors import PluginError, SettingsError
from nodegraph.plugins import CAPABILITIES, Manifest
from nodegraph.plugins.requirements import require_permission
from nodegraph.setting_values import permissions
from nodegraph.settings import FILE, PREFIX, Settings
from nodegraph.settings_file import Value, write_settings

from .options import wrong
from .session import Session


def enable(session: Session, manifest: Manifest, permit: tuple[str, ...]) -> None:
    """Load a plugin from now on. `permit`: what it may do. Raises SettingsError."""
    for word in permit:
        if word not in manifest.touches:
            declared = ", ".join(manifest.touches) or "nothing"
            raise wrong(f"--permit {word}: {manifest.name} declares {declared} of "
                        f"{', '.join(CAPABILITIES)}")  # fmt: skip
    file = _file(session)
    before = _in_file(file)
    granted = [*before.plugin_permissions, *(f"{manifest.name}.{word}" for word in permit)]
    changes: dict[str, Value] = {
        "disabled_plugins": _without(before.disabled_plugins, manifest.name)
    }
    if not manifest.enabled:
        changes["enabled_plugins"] = _with(before.enabled_plugins, manifest.name)
    if permit:
        changes["plugin_permissions"] = _by_name(granted)
    _write(session, file, changes, f"{manifest.name} is enabled")
    try:
        require_permission(manifest, granted)
    except PluginError as error:
        words = " ".join(f"--permit {word}" for word in manifest.touches)
        session.warn(f"{error}, or `plugins enable {manifest.name} {words}`")


def disable(session: Session, manifest: Manifest) -> None:
    """Leave a plugin out from now on. Raises SettingsError."""
    file = _file(session)
    before = _in_file(file)
    changes: dict[str, Value] = {
        "disabled_plugins": _with(before.disabled_plugins, manifest.name),
        "enabled_plugins": _without(before.enabled_plugins, manifest.name),
    }
    _write(session, file, changes, f"{manifest.name} is disabled")


def _write(session: Session, file: Path, changes: Mapping[str, Value], done: str) -> None:
    write_settings(file, changes)
    session.say(f"{done} in {file}; a server that runs notices at its next start")
    for name in changes:
        variable = PREFIX + name.upper()
        if os.environ.get(variable):
            session.warn(f"the variable {variable} is set, which goes before the file")


def _file(session: Session) -> Path:
    """The settings file that this command line reads."""
    named = os.environ.get(f"{PREFIX}CONFIG", "")
    return Path(session.options.get("config") or named or FILE)


def _in_file(file: Path) -> Settings:
    """What the file itself says."""
    return Settings.load(file) if file.exists() else Settings()


def _with(names: Iterable[str], name: str) -> list[str]:
    return list(dict.fromkeys([*names, name]))


def _without(names: Iterable[str], name: str) -> list[str]:
    return [other for other in names if other != name]


def _by_name(granted: Iterable[str]) -> dict[str, list[str]]:
    """ "downloader.network" ... as the file has it: {downloader: [network]}."""
    found: dict[str, list[str]] = {}
    for text in dict.fromkeys(granted):
        name, _, word = text.partition(".")
        found.setdefault(name, []).append(word)
    return found


def chosen(found: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of plugins with what the flags add to them; raises SettingsError."""
    enabled, disabled = options.get("enable_plugin", ()), options.get("disable_plugin", ())
    if both := set(enabled) & set(disabled):
        raise SettingsError(f"--enable-plugin and --disable-plugin both name {min(both)}")
    try:
        granted = permissions(list(options.get("permit_plugin", ())))
    except ValueError as error:
        raise SettingsError(f"--permit-plugin takes {error}") from None
    return {
        "disabled_plugins": (*(n for n in found.disabled_plugins if n not in enabled), *disabled),
        "enabled_plugins": (*found.enabled_plugins, *enabled),
        "plugin_permissions": (*found.plugin_permissions, *granted),
    }
