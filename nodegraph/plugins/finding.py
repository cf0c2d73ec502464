"""Where plugins are: folders with a manifest, and installed packages that name theirs.

A package names its plugin by an entry point, in its pyproject.toml:

    [project.entry-points."nodegraph.plugins"]
    film_grain = "film_grain"          # the plugin's name, the package that holds its plugin.yaml

Nothing is imported to find either: of a dotted name only the first package is looked for, and the
rest is folders in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from nodegraph.errors import PluginError

from .manifest import MANIFEST, Manifest
from .reading import read_manifest

GROUP = "nodegraph.plugins"


def find(
    folders: Sequence[Path],
    *,
    installed: bool = False,
    on_error: Callable[[PluginError], None] | None = None,
) -> tuple[Manifest, ...]:
    """The manifests in `folders` and directly below them, by name. Nothing is imported.

    installed: those of installed packages as well, after them.

    A folder that is not there holds no plugins. Raises PluginError at the first unusable manifest
    or second plugin of a name, unless `on_error` is given: then it is told, and the rest is found.
    """
    found: dict[str, Manifest] = {}
    for read in _candidates(folders, installed):
        try:
            manifest = read()
            other = found.get(manifest.name)
            if other is not None and other.folder != manifest.folder:
                raise PluginError(
                    f"two plugins are named {manifest.name}: in {other.folder} and "
                    f"{manifest.folder}; rename or remove one",
                    state="refused",
                    plugin=manifest.name,
                )
            found.setdefault(manifest.name, manifest)
        except PluginError as error:
            if on_error is None:
                raise
            on_error(error)
    return tuple(found[name] for name in sorted(found))


def _candidates(folders: Sequence[Path], installed: bool) -> Iterator[Callable[[], Manifest]]:
    near = [inner for folder in folders for inner in (folder, *sorted(folder.glob("*")))]
    for folder in near:
        if (folder / MANIFEST).is_file():
            yield partial(_read, folder, folder.name)
    for entry in metadata.entry_points(group=GROUP) if installed else ():
        yield partial(_in_package, entry)


def _read(folder: Path, name: str) -> Manifest:
    """The manifest in a folder; of one that cannot be read the error calls the plugin `name`."""
    try:
        return read_manifest(folder / MANIFEST)
    except PluginError as error:
        raise PluginError(str(error), plugin=name) from error.__cause__


def _in_package(entry: metadata.EntryPoint) -> Manifest:
    """The manifest that an entry point stands for."""
    package = entry.value.partition(":")[0].strip()
    source = entry.dist.name if entry.dist is not None else package
    for folder in _places(package):
        if (folder / MANIFEST).is_file():
            manifest = _read(folder, entry.name)
            break
    else:
        raise PluginError(
            f"the installed package {source} names the plugin {entry.name}, but there is no "
            f"{MANIFEST} in a package {package}",
            plugin=entry.name,
        )
    if manifest.name != entry.name:
        raise PluginError(
            f"{folder / MANIFEST}: name is {manifest.name}, but the entry point of the installed "
            f"package {source} calls it {entry.name}: make them the same",
            plugin=entry.name,
        )
    return replace(manifest, package=package)


def _places(package: str) -> list[Path]:
    """Where a package's files are; only its first part is looked for, and nothing imported."""
    top, *rest = package.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    locations = None if spec is None else spec.submodule_search_locations
    return [Path(place, *rest) for place in locations or ()]
