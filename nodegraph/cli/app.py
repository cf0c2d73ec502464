"""Commands. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import click

from nodegraph.errors import DocumentError
from nodegraph.version import VERSION

from .core import Core
from .options import (
    GRAPH,
    NEW_FOLDER,
    SETTINGS,
    read_axes,
    read_targets,
    read_values,
    with_options,
    wrong,
)
from .plugins import plugins
from .session import Session

SPINS = "5000"  # about ten microseconds
PICTURES = (".png", ".apng", ".jpg", ".jpeg", ".webp")  # it takes the nodes to read their graphs


def main(core: Core) -> None:
    """Run the command line."""
    _be_patient()
    cli.main(obj=core)


def _be_patient() -> None:
    """Have torch's threads on a CPU sleep when they wait, not spin for milliseconds.

    Beside another busy process, spinning makes small networks ten times slower (OpenMP's threads
    wait for each other thousands of times a step). Read when torch is imported, so it comes first.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="nodegraph")
def cli() -> None:
    """A node-graph engine for latent diffusion.

    GRAPH is a file: a graph in API format, an editor's workflow, or a picture that carries one.

    \b
    Exit codes:
      0  done                        4  a node failed; the others ran
      1  a defect of nodegraph       5  a setting, plugin, package or file is wrong
      2  wrong options               6  --verify found a difference
      3  the graph has faults      130  cancelled
    """


@cli.command()
@with_options(GRAPH)
@click.option(
    "--grid",
    multiple=True,
    metavar="NODE.INPUT=A,B,C",
    help="Run for each of these values; of several inputs, for each combination.",
)
@click.option("--verify", is_flag=True, help="Make the picture GRAPH again and compare the pixels.")
@click.option("--keep-going", is_flag=True, help="Where some targets have faults, run the others.")
@click.option(
    "--allow-ckpt",
    is_flag=True,
    help="Let loaders read PyTorch checkpoints (.ckpt, .pt): weights alone, never code.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
@click.option("--quiet", "-q", is_flag=True, help="Neither bars nor tables: the files alone.")
@with_options(SETTINGS)
@click.pass_obj
def run(
    core: Core,
    /,
    graph: Path,
    values: tuple[str, ...],
    targets: tuple[str, ...],
    grid: tuple[str, ...],
    verify: bool,
    keep_going: bool,
    allow_ckpt: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run a graph, or one for each cell of a grid, and write its pictures."""
    with Session(core, options, as_json) as session:
        given, axes = read_values(values), read_axes(grid)
        if verify and (given or axes or targets or keep_going):
            raise wrong("--verify makes a picture as it was: it takes no values, grid or targets")
        plain_mistakes(graph, session)
        from .grid import run_grid
        from .request import Request
        from .runs import run_once
        from .verify import run_verify

        allowed = allow_ckpt or session.settings.allow_ckpt
        extra = {"allow_ckpt": True} if allowed else {}
        request = Request(graph, given, read_targets(targets), axes, keep_going, quiet, extra)
        way = run_verify if verify else run_grid if axes else run_once
        session.code = way(session, request)


@cli.command()
@with_options(GRAPH)
@click.option("--json", "as_json", is_flag=True, help="Print the faults as one JSON document.")
@with_options(SETTINGS)
@click.pass_obj
def validate(
    core: Core,
    /,
    graph: Path,
    values: tuple[str, ...],
    targets: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Check a graph without running it; list every fault."""
    with Session(core, options, as_json) as session:
        given = read_values(values)
        plain_mistakes(graph, session)
        from .request import Request
        from .runs import validate as check

        session.code = check(session, Request(graph, given, read_targets(targets)))


@cli.command()
@click.option("--host", metavar="H", help="The address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, metavar="P", help="The port; 0 for any free one. Default: 8188.")
@click.option("--jobs", type=int, metavar="N", help="Jobs that run at the same time. Default: 1.")
@click.option(
    "--state", type=NEW_FOLDER, metavar="DIR", help="Folder of the journal and of users' files."
)
@click.option("--allow-ckpt", is_flag=True, default=None, help="Let loaders read .ckpt files.")
@with_options(SETTINGS)
@click.pass_obj
def serve(core: Core, /, **options: Any) -> None:
    """Serve graphs over HTTP and websockets: ComfyUI's protocol, a queue that loses nothing."""
    with Session(core, options) as session:
        _ = session.settings  # wrong ones are told before anything is imported
        from .serve import serve as run_server

        session.code = run_server(session)


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as the server's /object_info.")
@with_options(SETTINGS)
@click.pass_obj
def nodes(core: Core, /, name: str | None, as_json: bool, **options: Any) -> None:
    """List the node types, or show one in full."""
    with Session(core, options, as_json) as session:
        from .listing import list_nodes, show_node
        from .opening import opened

        with opened(session) as engine:
            if name is None:
                list_nodes(engine.registry, session)
            else:
                show_node(engine.registry, name, session)


cli.add_command(plugins)


def plain_mistakes(graph: Path, session: Session) -> None:
    """What needs no node to be seen: no such file, no JSON, no object. Raises DocumentError."""
    from nodegraph.documents import read_json, size_of

    settings = session.settings
    if not graph.exists():
        raise DocumentError(f"there is no file {graph}{_similar(graph)}")
    if graph.suffix.lower() in PICTURES:
        size_of(graph)
        return
    data = read_json(graph, max_bytes=settings.max_document_bytes)
    if not isinstance(data, dict):
        raise DocumentError(f"{graph} is JSON, but no graph: a graph is an object of nodes by id")
    if not data:
        raise DocumentError(f"{graph} is an empty graph: it has no nodes")


def _similar(path: Path) -> str:
    """A hint at the file that was probably meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f": there is no folder {path.parent}"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean {path.parent / close[0]}?" if close else ""
