"""A graph checked, and run once."""

from __future__ import annotations

from collections.abc import Callable

from nodegraph.context import CancelToken
from nodegraph.documents import Document
from nodegraph.engine import Engine
from nodegraph.events import Event
from nodegraph.graph import Checked, Graph
from nodegraph.tasks import RunResult

from .bars import Watcher
from .complain import Exit, printable
from .opening import cancelled_by_ctrl_c, opened
from .report import print_errors, print_files, print_result, result_json
from .request import Request
from .session import Session, faults_json


def validate(session: Session, request: Request) -> Exit:
    """Check a graph, and say what is wrong or that nothing is."""
    with opened(session) as engine:
        document = engine.read(request.graph)
        checked = request.check(engine, document)
        if session.json:
            status = "invalid" if checked.faults else "valid"
            session.answer({"status": status, **faults_json(checked)})
            return Exit.GRAPH if checked.faults else Exit.OK
        session.doubt(document, checked.warnings, engine)
        if checked.faults:
            session.complain(document, checked.faults, engine)
            return Exit.GRAPH
        count = len(checked.require().nodes)
        text = f"{request.graph}: no faults; {count} node{'s' if count > 1 else ''} would run"
        session.out.print(printable(text), markup=False, soft_wrap=True)
        return Exit.OK


def run_once(session: Session, request: Request) -> Exit:
    """Run a graph, if it has no faults; with keep_going, what of it has none."""
    with opened(session) as engine:
        document = engine.read(request.graph)
        checked = request.check(engine, document)
        graph = runnable(session, request, document, checked, engine)
        if graph is None:
            return Exit.GRAPH
        watch = Watcher(session.err, quiet=request.quiet)
        with watch, cancelled_by_ctrl_c(session) as token:
            result = start(engine, graph, request, document, watch, token)
        if session.json:
            session.answer(answer(result, checked, engine))
        elif request.quiet:
            print_errors(session, result)
            print_files(session, result, engine)
        else:
            print_result(session, result, engine)
        return code_of(result, checked)


def runnable(
    session: Session, request: Request, document: Document, checked: Checked, engine: Engine
) -> Graph | None:
    """What of a checked document is to run; None if nothing is, which the answer then says."""
    session.doubt(document, checked.warnings, engine)
    if checked.faults:
        session.complain(document, checked.faults, engine)
    graph = checked.graph if request.keep_going or not checked.faults else None
    if graph is not None and checked.faults:
        session.say(f"going on with {', '.join(graph.targets)}")
    if graph is None and checked.graph is not None:
        targets = ", ".join(checked.graph.targets)
        session.say(f"nothing was run; --keep-going runs what has no fault: {targets}")
    if graph is None and session.json:
        session.answer({"status": "invalid", **faults_json(checked)})
    return graph


def start(
    engine: Engine,
    graph: Graph,
    request: Request,
    document: Document,
    watch: Callable[[Event], None],
    token: CancelToken,
) -> RunResult:
    """Run a graph to its end.

    Pictures carry the editor's form only if it is what made them: it does not know new values.
    """
    changed = request.values or request.axes
    workflow = None if changed else document.workflow
    return engine.run(graph, emit=watch, cancel=token, workflow=workflow, extra=request.extra)


def answer(result: RunResult, checked: Checked, engine: Engine) -> dict[str, object]:
    """What --json prints about a run."""
    data = result_json(result, engine)
    if checked.faults and data["status"] == "success":
        data["status"] = "error"
    return {**data, **faults_json(checked)}


def code_of(result: RunResult, checked: Checked) -> Exit:
    """The exit code for a run: of the worst that happened."""
    if result.cancelled:
        return Exit.CANCELLED
    if result.errors:
        return Exit.NODE
    return Exit.GRAPH if checked.faults else Exit.OK
