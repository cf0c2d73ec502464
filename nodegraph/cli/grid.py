"""A graph run for each cell of a grid; what cells share comes from the cache."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

from nodegraph.changes import Typed
from nodegraph.context import CancelToken
from nodegraph.documents import Document
from nodegraph.engine import Engine
from nodegraph.errors import Fault
from nodegraph.graph import Checked

from .bars import Watcher
from .complain import Exit, printable
from .opening import cancelled_by_ctrl_c, opened
from .report import counted, print_errors, print_files, summary
from .request import Request, Values
from .runs import answer, code_of, runnable, start
from .session import Session, faults_json


def run_grid(session: Session, request: Request) -> Exit:
    """Run a graph for every combination of the axes' values, if none of them has faults.

    With keep_going, what has none.
    """
    with opened(session) as engine:
        document = engine.read(request.graph)
        checked = check_all(request, engine, document)
        if runnable(session, request, document, checked, engine) is None:
            return Exit.GRAPH
        grid = Grid(session, request, engine, document)
        with cancelled_by_ctrl_c(session) as token:
            grid.run(token)
        grid.finish()
        return grid.code


def check_all(request: Request, engine: Engine, document: Document) -> Checked:
    """What is wrong with any cell, each fault once; the graph is the first sound cell's."""
    faults: dict[object, Fault] = {}
    warnings: dict[object, Fault] = {}
    whole: Checked | None = None
    for cell in request.cells():
        checked = request.check(engine, document, cell)
        faults |= {_identity(fault): fault for fault in checked.faults}
        warnings |= {_identity(fault): fault for fault in checked.warnings}
        if whole is None or whole.graph is None:
            whole = checked
    assert whole is not None, "a grid has a cell"
    return replace(whole, faults=tuple(faults.values()), warnings=tuple(warnings.values()))


class Grid:
    """The cells one after another, and what came of them."""

    def __init__(
        self, session: Session, request: Request, engine: Engine, document: Document
    ) -> None:
        self.session = session
        self.request = request
        self.engine = engine
        self.document = document
        self.cells = list(request.cells())
        self.code = Exit.OK
        self.answers: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0

    def run(self, token: CancelToken) -> None:
        """Run the cells, until they end or `token` is set."""
        begin = time.perf_counter()
        for number, cell in enumerate(self.cells, 1):
            if token.cancelled:
                self.code = Exit.CANCELLED
                break
            self._run(number, cell, token)
        self.seconds = time.perf_counter() - begin

    def finish(self) -> None:
        """Print the answer, or how it ended."""
        if self.session.json:
            words = {Exit.OK: "success", Exit.CANCELLED: "cancelled"}
            status = words.get(self.code, "error")
            seconds = round(self.seconds, 6)
            self.session.answer({"status": status, "seconds": seconds, "cells": self.answers})
        elif not self.request.quiet:
            done = f"{self.counts['runs']} of {len(self.cells)} cells"
            text = f"{done} in {self.seconds:.2f} s: {counted(self.counts)}"
            self.session.out.print(text, markup=False)

    def _run(self, number: int, cell: Values, token: CancelToken) -> None:
        checked = self.request.check(self.engine, self.document, cell)
        if checked.graph is None:
            self.code = max(self.code, Exit.GRAPH)
            self._note(cell, {"status": "invalid", **faults_json(checked)}, "has faults")
            return
        title = f"{number} of {len(self.cells)}"
        quiet = self.request.quiet
        with Watcher(self.session.err, title=title, lines=False, quiet=quiet) as watch:
            result = start(self.engine, checked.graph, self.request, self.document, watch, token)
        self.code = max(self.code, code_of(result, checked))
        self.counts += Counter(account.status for account in result.accounts)
        self.counts["runs"] += not result.cancelled
        self._note(cell, answer(result, checked, self.engine), summary(result))
        if not self.session.json:
            print_errors(self.session, result)
            indent = "" if quiet else "  "
            print_files(self.session, result, self.engine, indent=indent)

    def _note(self, cell: Values, data: dict[str, Any], text: str) -> None:
        """Add what came of a cell to the answer, or print it."""
        if self.session.json:
            values = {name: str(v) if isinstance(v, Typed) else v for name, v in cell.items()}
            self.answers.append({"values": values, **data})
        elif not self.request.quiet:
            label = " ".join(f"{name}={value}" for name, value in cell.items())
            self.session.out.print(printable(f"{label}: {text}"), markup=False, soft_wrap=True)


def _identity(fault: Fault) -> object:
    option = fault.extra.get("option")
    return (fault.type, fault.node, fault.input, fault.details, option)
