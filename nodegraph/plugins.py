"""Plugins: found by manifest, imported only when loaded, registered whole or not at all.

A plugin is a folder with a plugin.yaml:

    name: film_grain
    version: "1.2"                        # quoted: YAML reads 1.10 as the number 1.1
    description: Grain and halation.
    modules: [grain, halation]            # files beside the manifest, without .py
    requires: ["scipy>=1.11,<2"]          # Python packages; nothing is installed for them
    nodegraph: ">=0.1"
    enabled: true

Its modules become `nodegraph_plugins.<name>.<module>`, so that they can import each other
relatively; `sys.path` stays as it is. What a module may offer is the registry's business.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from .errors import DeclarationError, PluginError
from .plugin_manifest import MANIFEST, Manifest, read_manifest
from .registry import Registry
from .version import VERSION

PACKAGE = "nodegraph_plugins"


def find(
    folders: Sequence[Path], *, on_error: Callable[[PluginError], None] | None = None
) -> tuple[Manifest, ...]:
    """The manifests in `folders` and directly below them, by name. Nothing is imported.

    A folder that is not there holds no plugins. Raises PluginError at the first unusable manifest
    or second plugin of a name, unless `on_error` is given: then it is told, and the rest is found.
    """
    found: dict[str, Manifest] = {}
    for folder in _plugin_folders(folders):
        try:
            manifest = read_manifest(folder / MANIFEST)
            other = found.get(manifest.name)
            if other is not None and other.folder != manifest.folder:
                raise PluginError(
                    f"two plugins are named {manifest.name}: in {other.folder} and "
                    f"{manifest.folder}; rename or remove one"
                )
            found[manifest.name] = manifest
        except PluginError as error:
            if on_error is None:
                raise
            on_error(error)
    return tuple(found[name] for name in sorted(found))


def load_all(
    folders: Sequence[Path], registry: Registry, disabled: Collection[str] = ()
) -> list[PluginError]:
    """Load every enabled plugin in `folders`; what went wrong with those that could not be.

    disabled: names of plugins to leave alone.
    """
    errors: list[PluginError] = []
    for manifest in find(folders, on_error=errors.append):
        if manifest.enabled and manifest.name not in disabled:
            try:
                load(manifest, registry)
            except PluginError as error:
                errors.append(error)
    return errors


def load(manifest: Manifest, registry: Registry) -> None:
    """Import a plugin's modules and register all they offer.

    A plugin that was imported before from the same folder is not imported again. Raises
    PluginError, naming plugin, file, line and cause; then nothing of it stays imported.
    """
    _check_requirements(manifest)
    package = f"{PACKAGE}.{manifest.name}"
    kept = _imported(package, manifest.folder)
    try:
        if package not in kept:
            _import_package(package, manifest.folder)
        modules = [importlib.import_module(f"{package}.{name}") for name in manifest.modules]
        registry.register(*modules)
    except DeclarationError as error:
        _forget(package, kept)
        raise PluginError(f"plugin {manifest.name}: {error}") from error
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything
        _forget(package, kept)
        where = _place(error, manifest.folder)
        raise PluginError(
            f"plugin {manifest.name}: {where}{type(error).__name__}: {error}"
        ) from error


def _plugin_folders(folders: Sequence[Path]) -> list[Path]:
    near = [inner for folder in folders for inner in (folder, *sorted(folder.glob("*")))]
    return [folder for folder in near if (folder / MANIFEST).is_file()]


def _check_requirements(manifest: Manifest) -> None:
    if not manifest.nodegraph.allows(VERSION):
        raise PluginError(
            f"plugin {manifest.name} needs nodegraph{manifest.nodegraph}, but this is {VERSION}"
        )
    for package, wanted in manifest.requires.items():
        try:
            present = metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise PluginError(
                f"plugin {manifest.name} needs {package}{wanted}, which is not installed: "
                f"pip install '{package}{wanted}'"
            ) from error
        if not wanted.allows(present):
            raise PluginError(
                f"plugin {manifest.name} needs {package}{wanted}, but {present} is installed"
            )


def _imported(package: str, folder: Path) -> frozenset[str]:
    """The plugin's modules that were imported before, from this very folder."""
    present = sys.modules.get(package)
    if present is not None and list(present.__path__) == [str(folder)]:
        return frozenset(_names_in(package))
    _forget(package)
    return frozenset()


def _import_package(package: str, folder: Path) -> None:
    """Put the plugin's package into sys.modules and run its __init__.py if it has one."""
    importlib.invalidate_caches()
    if PACKAGE not in sys.modules:
        sys.modules[PACKAGE] = _package(PACKAGE, [])
    init = folder / "__init__.py"
    if not init.is_file():
        sys.modules[package] = _package(package, [str(folder)])
        return
    spec = importlib.util.spec_from_file_location(
        package, init, submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{init.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)


def _package(name: str, path: list[str]) -> ModuleType:
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = path
    return importlib.util.module_from_spec(spec)


def _names_in(package: str) -> list[str]:
    return [name for name in sys.modules if name == package or name.startswith(f"{package}.")]


def _forget(package: str, kept: Collection[str] = ()) -> None:
    for name in _names_in(package):
        if name not in kept:
            del sys.modules[name]


def _place(error: BaseException, folder: Path) -> str:
    """ "grain.py, line 7: " for the plugin's own code nearest to where the error was raised."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    own = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(folder)]
    if not own:
        return ""
    file, line = own[-1]
    return f"{file.relative_to(folder)}, line {line}: "
