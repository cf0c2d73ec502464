"""The three ways to run a graph: once, for a grid of values, and to verify a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from ..documents import Document
from ..engine import Engine
from ..events import Event
from ..graph import Graph
from ..settings import Settings
from ..tasks import RunResult
from .complain import Exit
from .grid import combinations, label, parse_axes
from .running import Watcher, as_json, print_result, written
from .verify import verify

if TYPE_CHECKING:
    from .app import Failures

Values = Mapping[str, Any]


@contextmanager
def opened(
    modules: Iterable[ModuleType], settings: Settings, failures: Failures
) -> Iterator[Engine]:
    """An engine; plugins that could not be loaded are told."""
    with Engine(modules, settings) as engine:
        failures.plugin_errors(engine)
        yield engine


def run_one(
    modules: Iterable[ModuleType],
    settings: Settings,
    path: Path,
    values: Values,
    targets: Sequence[str] | None,
    failures: Failures,
) -> Exit:
    """Run a graph once; the parts that have no fault run even if others have."""
    with opened(modules, settings, failures) as engine:
        document = engine.read(path)
        graph = _runnable(engine, document, values, targets, failures)
        if graph is None:
            return Exit.GRAPH
        with Watcher(failures.console) as watch:
            result = engine.run(graph, emit=watch, workflow=document.workflow)
        if failures.json:
            click.echo(json.dumps(as_json(result, engine.folders), indent=2))
        else:
            print_result(failures.console, result, engine.folders)
        return _code(result)


def run_grid(
    modules: Iterable[ModuleType],
    settings: Settings,
    path: Path,
    values: Values,
    targets: Sequence[str] | None,
    options: Sequence[str],
    failures: Failures,
) -> Exit:
    """Run a graph for every combination of the axes' values."""
    axes = parse_axes(options)
    code = Exit.OK
    rows: list[dict[str, Any]] = []
    with opened(modules, settings, failures) as engine:
        document = engine.read(path)
        for chosen in combinations(axes):
            graph = _runnable(engine, document, {**values, **chosen}, targets, failures)
            if graph is None:
                return Exit.GRAPH
            with Watcher(failures.console) as watch:
                result = engine.run(graph, emit=watch, workflow=document.workflow)
            code = max(code, _code(result))
            rows.append({"values": chosen, **as_json(result, engine.folders)})
            if not failures.json:
                _print_cell(chosen, result, engine, failures)
            if result.cancelled:
                break
    if failures.json:
        click.echo(json.dumps(rows, indent=2))
    return code


def run_verify(
    modules: Iterable[ModuleType], settings: Settings, picture: Path, failures: Failures
) -> Exit:
    """Make a picture again and compare the pixels."""
    with Watcher(failures.console) as watch:
        emit: Callable[[Event], None] = watch
        verdict = verify(picture, modules, settings, emit)
    if failures.json:
        fields = {
            "picture": str(verdict.picture),
            "same": verdict.same,
            "differing": verdict.differing,
            "values": verdict.values,
            "largest": verdict.largest,
            "changed": list(verdict.changed),
        }
        click.echo(json.dumps(fields, indent=2))
    elif verdict.same:
        click.echo(f"{picture}: the same pixels ({verdict.values:,} values)")
    else:
        click.echo(
            f"{picture}: {verdict.differing:,} of {verdict.values:,} values differ, "
            f"by at most {verdict.largest} of 255"
        )
    if not failures.json:
        for change in verdict.changed:
            click.echo(f"  note: {change}")
    return Exit.OK if verdict.same else Exit.DIFFERENT


def _runnable(
    engine: Engine,
    document: Document,
    values: Values,
    targets: Sequence[str] | None,
    failures: Failures,
) -> Graph | None:
    checked = engine.check_document(document, values, targets=targets)
    failures.warn(checked, document)
    if checked.faults:
        failures.faults(checked, document)
        return None
    return checked.graph


def _print_cell(
    chosen: Mapping[str, Any], result: RunResult, engine: Engine, failures: Failures
) -> None:
    ran = sum(account.status == "ran" for account in result.accounts)
    files = written(result.shown, engine.folders)
    failures.console.print(
        f"{label(dict(chosen))}: {ran} nodes ran in {result.seconds:.2f} s", highlight=False
    )
    for path in files:
        failures.console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
    for error in result.errors.values():
        failures.console.print(f"  error: {error}", markup=False, highlight=False)


def _code(result: RunResult) -> Exit:
    if result.cancelled:
        return Exit.CANCELLED
    return Exit.NODE if result.errors else Exit.OK
