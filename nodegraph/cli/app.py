"""Commands and options. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import Cancelled, DocumentError, InvalidGraph, NodeGraphError
from ..settings import Settings
from ..version import VERSION
from .complain import Exit, describe_all, exit_code

if TYPE_CHECKING:
    from rich.console import Console

    from ..documents import Document
    from ..engine import Engine
    from ..graph import Checked, Graph

Modules = Callable[[], Iterable[ModuleType]]


@dataclass(frozen=True)
class Core:
    """What the command line is built around.

    modules: gives the modules of core nodes, when they are needed. home: the folder whose models
    and plugins are there whatever the working folder is.
    """

    modules: Modules
    home: Path


F = TypeVar("F", bound=Callable[..., Any])

SHARED = (
    click.option("--config", type=Path, help="Settings file (YAML). Default: nodegraph.yaml"),
    click.option(
        "--models", type=Path, multiple=True, help="Models folder, as ComfyUI's; may be repeated."
    ),
    click.option("--input", type=Path, help="Folder of input pictures."),
    click.option("--output", "--out", type=Path, help="Folder results are written to."),
    click.option("--cache", type=Path, help="Folder of cached results and hashes."),
    click.option("--plugins", type=Path, multiple=True, help="Plugins folder; may be repeated."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"])),
    click.option("--device", help="auto, cpu, cuda or cuda:N."),
    click.option("--strict", is_flag=True, default=None, help="Treat warnings as faults."),
    click.option("--debug", is_flag=True, default=None, help="Show tracebacks."),
)


def main(core: Core) -> None:
    """Run the command line."""
    cli.main(prog_name="nodegraph", obj=core)


def shared_options(command: F) -> F:
    """The options every command that works with graphs has."""
    for option in reversed(SHARED):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="nodegraph")
def cli() -> None:
    """A node-graph engine for latent diffusion.

    GRAPH is a file: a graph in API format, an editor workflow, or a picture that carries one.

    Exit codes: 0 done, 2 wrong options, 3 the graph has faults, 4 a node failed, 5 a setting,
    plugin or file is wrong, 6 --verify found a difference, 130 cancelled, 1 a defect of nodegraph.
    """


@cli.command()
@click.argument("graph", type=Path)
@click.option("--set", "values", multiple=True, metavar="NODE.INPUT=VALUE", help="Change an input.")
@click.option("--targets", multiple=True, metavar="ID[,ID]", help="Run only these nodes' branches.")
@click.option(
    "--grid", multiple=True, metavar="NODE.INPUT=A,B,C", help="Run for each value (the product)."
)
@click.option("--verify", "verify_", is_flag=True, help="Make the picture GRAPH again; compare.")
@click.option("--json", "as_json_", is_flag=True, help="Print the result as JSON.")
@shared_options
@click.pass_obj
def run(
    core: Core,
    graph: Path,
    values: tuple[str, ...],
    targets: tuple[str, ...],
    grid: tuple[str, ...],
    verify_: bool,
    as_json_: bool,
    **options: Any,
) -> None:
    """Run a graph and write its pictures."""
    with Failures(core, options, as_json_) as failures:
        from .runs import run_grid, run_one, run_verify

        settings = failures.settings
        changes = parse_assignments(values)
        wanted = [id for group in targets for id in group.split(",") if id] or None
        if verify_:
            failures.code = run_verify(core.modules(), settings, graph, failures)
        elif grid:
            failures.code = run_grid(core.modules(), settings, graph, changes, wanted, grid, failures)
        else:
            failures.code = run_one(core.modules(), settings, graph, changes, wanted, failures)


@cli.command()
@click.argument("graph", type=Path)
@click.option("--set", "values", multiple=True, metavar="NODE.INPUT=VALUE", help="Change an input.")
@click.option("--json", "as_json_", is_flag=True, help="Print the faults as JSON.")
@shared_options
@click.pass_obj
def validate(
    core: Core, graph: Path, values: tuple[str, ...], as_json_: bool, **options: Any
) -> None:
    """Check a graph without running it; list every fault."""
    with Failures(core, options, as_json_) as failures:
        plain_mistakes(graph, failures.settings)
        from .runs import opened

        with opened(core.modules(), failures.settings, failures) as engine:
            document = engine.read(graph)
            checked = engine.check_document(document, parse_assignments(values))
            failures.code = report_checked(document, checked, failures)


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "as_json_", is_flag=True, help="Print as /object_info does.")
@shared_options
@click.pass_obj
def nodes(core: Core, name: str | None, as_json_: bool, **options: Any) -> None:
    """List the node types, or show one in full."""
    with Failures(core, options, as_json_) as failures:
        from .listing import list_nodes, show_node
        from .runs import opened

        with opened(core.modules(), failures.settings, failures) as engine:
            if name is None:
                list_nodes(engine.registry, failures.console, as_json_)
            else:
                show_node(engine.registry, name, failures.console, as_json_)


def plain_mistakes(graph: Path, settings: Settings) -> None:
    """What needs no node to be seen to be wrong: no such file, no JSON, no object."""
    from ..graph import read

    if graph.suffix.lower() in (".json", ""):
        data = read(graph, max_bytes=settings.max_document_bytes)
        if not isinstance(data, dict) or not data:
            raise DocumentError(f"{graph} is JSON, but no graph: it holds no object of nodes")


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """`("3.seed=7",)` -> {"3.seed": 7}. Raises click.UsageError."""
    from ..documents import parse_value

    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or "." not in name:
            raise click.UsageError(f"--set {text}: expected NODE.INPUT=VALUE, as in 3.seed=7")
        values[name.strip()] = parse_value(value)
    return values


def report_checked(document: Document, checked: Checked, failures: Failures) -> Exit:
    """Print what is wrong, or that nothing is."""
    if failures.json:
        errors = InvalidGraph(checked.faults, checked.dependants).node_errors()
        general = [fault.as_json() for fault in checked.faults if fault.node is None]
        warnings = [str(fault) for fault in checked.warnings] + list(document.warnings)
        click.echo(
            json.dumps(
                {
                    "valid": not checked.faults,
                    "errors": general,
                    "node_errors": errors,
                    "warnings": warnings,
                },
                indent=2,
            )
        )
    else:
        failures.warn(checked, document)
        if checked.faults:
            failures.faults(checked, document)
        else:
            count = len(checked.graph.nodes) if checked.graph else 0
            click.echo(f"{document.source}: {count} nodes, no faults")
    return Exit.GRAPH if checked.faults else Exit.OK


class Failures:
    """Turns what a command raises into a message and an exit code; the end of every command."""

    def __init__(self, core: Core, options: Mapping[str, Any], as_json: bool) -> None:
        self.core = core
        self.options = options
        self.json = as_json
        self.code = Exit.OK
        self._settings: Settings | None = None
        self._console: Console | None = None

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            overrides = {k: v for k, v in self.options.items() if v not in (None, ())}
            config = overrides.pop("config", None)
            found = Settings.load(config, os.environ, overrides)
            self._settings = replace(
                found,
                models=_with(found.models, self.core.home / "models"),
                plugins=_with(found.plugins, self.core.home / "plugins"),
            )
        return self._settings

    @property
    def console(self) -> Console:
        """For people: the terminal, or standard error where the output is JSON."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=self.json, highlight=False)
        return self._console

    def warn(self, checked: Checked | Graph, document: Document) -> None:
        """Print warnings about a document."""
        for text in document.warnings:
            click.echo(f"warning: {text}", err=True)
        if checked.warnings:
            text = _text_of(document)
            click.echo(
                describe_all(checked.warnings, document.source, text, "warning") + "\n", err=True
            )

    def faults(self, checked: Checked, document: Document) -> None:
        """Print the faults of a document, and how many there are."""
        click.echo(describe_all(checked.faults, document.source, _text_of(document)), err=True)
        count = len(checked.faults)
        click.echo(f"\n{count} fault{'s' if count > 1 else ''} in {document.source}", err=True)

    def plugin_errors(self, engine: Engine) -> None:
        for error in engine.plugin_errors:
            click.echo(f"warning: {error}", err=True)

    def __enter__(self) -> Failures:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (click.ClickException, click.exceptions.Exit)):
            return
        if error is None:
            if self.code is not Exit.OK:
                sys.exit(self.code)
            return
        if isinstance(error, KeyboardInterrupt):
            error = Cancelled("cancelled")
        if not isinstance(error, NodeGraphError) and not isinstance(error, Exception):
            return
        code = exit_code(error)
        if self._wants_traceback(error, code):
            return
        if self.json:
            click.echo(json.dumps({"status": "error", "error": str(error)}, indent=2))
        prefix = "nodegraph: defect: " if code is Exit.INTERNAL else "error: "
        click.echo(f"{prefix}{_message(error)}", err=True)
        if code is Exit.INTERNAL:
            click.echo("run again with --debug for the traceback, and please report it", err=True)
        sys.exit(code)

    def _wants_traceback(self, error: BaseException, code: Exit) -> bool:
        return bool(self.options.get("debug")) and code in (Exit.INTERNAL, Exit.NODE)


def _with(folders: tuple[Path, ...], own: Path) -> tuple[Path, ...]:
    """The folders and, after them, nodegraph's own, unless it is among them."""
    known = {folder.resolve() for folder in folders}
    return folders if own.resolve() in known or not own.is_dir() else (*folders, own)


def _message(error: BaseException) -> str:
    text = str(error)
    return text if isinstance(error, NodeGraphError) else f"{type(error).__name__}: {text}"


def _text_of(document: Document) -> str:
    """The JSON text of the file, to point at lines; "" for pictures and editor workflows."""
    if document.source is None or document.workflow is not None:
        return ""
    try:
        return document.source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
