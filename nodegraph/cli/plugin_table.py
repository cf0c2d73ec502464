"""The plugins on the terminal."""

from __future__ import annotations

from nodegraph.engine import Engine
from nodegraph.plugins import Plugin

from .complain import Exit, printable
from .listing import row, table
from .session import Session

COLUMNS = ("name", "version", "state", "nodes", "touches", "")


def list_plugins(session: Session) -> Exit:
    """All plugins; the code says whether all are loaded that should be."""
    with Engine(session.modules(), session.settings) as engine:
        found = engine.plugins
    if session.json:
        session.answer([plugin.as_json() for plugin in found])
    else:
        _print(session, found)
    return Exit.SETTINGS if any(plugin.error for plugin in found) else Exit.OK


def tell(session: Session, found: tuple[Plugin, ...]) -> None:
    """Warn of what is not loaded though it should be, and of what is doubtful."""
    for plugin in found:
        if plugin.error is not None:
            session.warn(plugin.reason)
        for doubt in plugin.warnings:
            session.warn(f"plugin {plugin.name}: {doubt}")


def _print(session: Session, found: tuple[Plugin, ...]) -> None:
    shown = table(*COLUMNS)
    for plugin in found:
        count, touches = str(len(plugin.nodes)), ", ".join(plugin.touches)
        row(shown, plugin.name, plugin.version, plugin.state, count, touches, plugin.description)
    if found:
        session.out.print(shown)
    else:
        session.say("there are no plugins")
    for plugin in found:
        if plugin.state == "disabled":
            session.say(printable(f"{plugin.name} is disabled: {plugin.reason}"))
    tell(session, found)
