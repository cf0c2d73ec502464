"""One command from its options to its exit code: settings, the two streams, what went wrong.

What was asked for goes to standard output: files, tables, and with --json one JSON document and
nothing else. Bars, warnings and errors go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import click

from nodegraph.errors import Cancelled, Fault, InvalidGraph, NodeGraphError
from nodegraph.settings import Settings

from .core import Core

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from nodegraph.documents import Document
    from nodegraph.engine import Engine
    from nodegraph.graph import Checked

    from .complain import Exit

PLUGIN_FLAGS = ("enable_plugin", "disable_plugin", "permit_plugin")  # they add to settings
LOG_WIDTH = 160  # columns, where the output is no terminal


@dataclass
class Session:
    """A command at work; leaving its `with` block prints what was raised, and exits.

    options: the settings among the command's options. json: the answer is JSON. code: what the
    command exits with, if nothing is raised.
    """

    core: Core
    options: Mapping[str, Any]
    json: bool = False
    code: int = 0

    @cached_property
    def settings(self) -> Settings:
        """The settings, with nodegraph's own models and plugins after those of the user."""
        overrides = {k: v for k, v in self.options.items() if v not in (None, ())}
        config = overrides.pop("config", None)
        flags = {flag: overrides.pop(flag) for flag in PLUGIN_FLAGS if flag in overrides}
        found = Settings.load(config, os.environ, overrides)
        if flags:
            from .plugin_settings import chosen

            found = replace(found, **chosen(found, flags))
        return replace(
            found,
            models=_with(found.models, self.core.home / "models"),
            plugins=_with(found.plugins, self.core.home / "plugins"),
        )

    def modules(self) -> Iterable[ModuleType]:
        """The core nodes. Raises MissingPackage."""
        try:
            return self.core.modules()
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if find_spec(name) is not None:  # a part of it is missing: a defect
                raise
            from .complain import MissingPackage

            raise MissingPackage(
                f"the Python package {name} is not installed: `make` installs what "
                "nodegraph needs, see requirements.lock"
            ) from error

    @cached_property
    def out(self) -> Console:
        """Standard output, for people."""
        return _console(stderr=False)

    @cached_property
    def err(self) -> Console:
        """Standard error."""
        return _console(stderr=True)

    def answer(self, data: Any) -> None:
        """Print the answer, as JSON."""
        click.echo(json.dumps(data, indent=2, default=str))

    def say(self, text: str | Text) -> None:
        """Print a line for people to standard error."""
        self.err.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning."""
        from .complain import headline

        self.say(headline("warning", text, "warning"))

    def complain(self, document: Document, faults: Sequence[Fault], engine: Engine) -> None:
        """Print all faults of a document, and how many they are."""
        self._print(document, faults, engine, "error")
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        self.say(f"{count} in {_name_of(document)}")

    def doubt(self, document: Document, warnings: Sequence[Fault], engine: Engine) -> None:
        """Print the warnings about a document."""
        self._print(document, warnings, engine, "warning")

    def _print(
        self, document: Document, faults: Sequence[Fault], engine: Engine, level: str
    ) -> None:
        if faults:
            from .complain import Complaints
            from .looking import looked_in

            complaints = Complaints(
                _name_of(document), _text_of(document), lambda fault: looked_in(fault, engine)
            )
            for text in complaints.all(faults, level):
                self.say(text)

    # -- the end -----------------------------------------------------------------------------

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            if self.code:
                sys.exit(self.code)
            return
        if isinstance(error, click.UsageError) and self.json:
            self.answer(failure(error))
        if isinstance(error, KeyboardInterrupt):
            error = Cancelled("cancelled")
        theirs = (click.ClickException, click.exceptions.Exit, BrokenPipeError)
        if isinstance(error, Exception) and not isinstance(error, theirs):
            sys.exit(self._report(error))

    def _report(self, error: BaseException) -> Exit:
        from .complain import Exit, describe, exit_code, headline, printable, traceback_of

        code = exit_code(error)
        if self.json:
            self.answer(failure(error))
        if self._debug and code is not Exit.CANCELLED:
            self.say(printable(traceback_of(error)))
        if code is not Exit.INTERNAL:
            self.say(describe(error))
            return code
        self.say(headline("defect of nodegraph", f"{type(error).__name__}: {error}"))
        if not self._debug:
            self.say("   = run again with --debug for the traceback, and please report it")
        return code

    @property
    def _debug(self) -> bool:
        try:
            return self.settings.debug
        except NodeGraphError:  # the settings are what is wrong
            return bool(self.options.get("debug"))


def failure(error: BaseException) -> dict[str, Any]:
    """What --json says where nothing could be run."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    status = "cancelled" if isinstance(error, Cancelled) else "error"
    return {"status": status, "error": {"type": type(error).__name__, "message": message}}


def faults_json(checked: Checked) -> dict[str, Any]:
    """Faults as clients of the server get them: of the whole graph, and by node."""
    return {
        "errors": [fault.as_json() for fault in checked.faults if fault.node is None],
        "node_errors": InvalidGraph(checked.faults, checked.dependants).node_errors(),
        "warnings": [str(fault) for fault in checked.warnings],
    }


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    return console


def _with(folders: tuple[Path, ...], own: Path) -> tuple[Path, ...]:
    """The folders and, after them, nodegraph's own, unless it is among them."""
    known = {folder.resolve() for folder in folders}
    return folders if own.resolve() in known or not own.is_dir() else (*folders, own)


def _name_of(document: Document) -> str:
    return "the graph" if document.source is None else str(document.source)


def _text_of(document: Document) -> str:
    """The text of the file, to point at lines; "" for pictures."""
    if document.source is None:
        return ""
    try:
        return document.source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
