"""`nodegraph plugins`: what became of each plugin; enabling and disabling; a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .core import Core
from .options import SETTINGS, with_options, wrong
from .session import Session

if TYPE_CHECKING:
    from nodegraph.plugins import Manifest


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print as the server's /plugins.")
@with_options(SETTINGS)
@click.pass_context
def plugins(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """List the plugins and what became of each; enable or disable one; begin a new one."""
    if context.invoked_subcommand is not None:
        context.meta["options"] = options
        return
    with Session(context.obj, options, as_json) as session:
        from .plugin_table import list_plugins

        session.code = list_plugins(session)


@plugins.command()
@click.argument("name")
@click.option(
    "--permit",
    multiple=True,
    metavar="CAPABILITY",
    help="Permit what it declares to do (network, files, subprocesses); may be repeated.",
)
@click.pass_context
def enable(context: click.Context, /, name: str, permit: tuple[str, ...]) -> None:
    """Load the plugin NAME from now on: written into the settings file."""
    with _session(context) as session:
        from .plugin_settings import enable as write

        write(session, _named(session, name), permit)


@plugins.command()
@click.argument("name")
@click.pass_context
def disable(context: click.Context, /, name: str) -> None:
    """Leave the plugin NAME out from now on: written into the settings file."""
    with _session(context) as session:
        from .plugin_settings import disable as write

        write(session, _named(session, name))


@plugins.command()
@click.argument("name")
@click.option(
    "--in",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of plugins to make it in; nodegraph's own plugins by default.",
)
@click.pass_context
def new(context: click.Context, /, name: str, folder: Path | None) -> None:
    """Begin a plugin NAME: a folder with a manifest, a working node, its test and a README."""
    core: Core = context.obj
    with _session(context) as session:
        from nodegraph.plugins.template import create

        place = create(name, folder or core.home / "plugins")
        for path in sorted(place.iterdir()):
            click.echo(path)
        session.say(f"its test passes{_test_of(place, core.home)}")


def _test_of(place: Path, home: Path) -> str:
    """How its test is started: where nodegraph is, which no installation puts on the path."""
    if home.resolve() in (Path.cwd(), *place.resolve().parents):
        return f": python -m pytest {place}"
    return f", in {home}: python -m pytest {place.resolve()}"


def _session(context: click.Context) -> Session:
    return Session(context.obj, context.meta.get("options", {}))


def _named(session: Session, name: str) -> Manifest:
    """Raises click.UsageError for a name that no plugin has."""
    import difflib

    from nodegraph.plugins import find

    found = find(session.settings.plugins, installed=True, on_error=lambda _: None)
    manifests = {manifest.name: manifest for manifest in found}
    if name not in manifests:
        close = difflib.get_close_matches(name, manifests, n=1)
        hint = f"did you mean {close[0]}?" if close else "`plugins` lists all"
        raise wrong(f"no plugin is named {name!r}; {hint}")
    return manifests[name]
