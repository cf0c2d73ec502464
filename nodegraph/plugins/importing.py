"""A plugin's modules in sys.modules: `nodegraph_plugins.<name>.<module>`, sys.path as it is.

Those of an installed package are there under its own name.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from .manifest import Manifest

PACKAGE = "nodegraph_plugins"
CODE = "__nodegraph_code__"  # the hash that a plugin's package had when it was imported


@contextmanager
def imported(manifest: Manifest, code: str) -> Iterator[list[ModuleType]]:
    """The plugin's modules. If the block raises, none stays that was not there before.

    What was imported before from the same folder, and is the same code, is not imported again.
    """
    package = manifest.package or f"{PACKAGE}.{manifest.name}"
    kept = _kept(package, manifest, code)
    try:
        if package not in kept:
            _import_package(package, manifest)
            setattr(sys.modules[package], CODE, code)
        yield [importlib.import_module(f"{package}.{name}") for name in manifest.modules]
    except BaseException:
        _forget(package, kept)
        raise


def place_of(error: BaseException, folder: Path) -> str:
    """ "grain.py, line 7: " for the plugin's own code nearest to where the error was raised."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    own = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(folder)]
    if not own:
        return ""
    file, line = own[-1]
    return f"{file.relative_to(folder)}, line {line}: "


def _kept(package: str, manifest: Manifest, code: str) -> frozenset[str]:
    """The plugin's modules that were imported before, if they are this very code."""
    present = sys.modules.get(package)
    if present is None:
        return frozenset()
    here = bool(manifest.package) or list(present.__path__) == [str(manifest.folder)]
    if here and getattr(present, CODE, code) == code:
        return frozenset(_names_in(package))
    _forget(package)
    return frozenset()


def _import_package(package: str, manifest: Manifest) -> None:
    """Put the plugin's package into sys.modules and run its __init__.py if it has one."""
    importlib.invalidate_caches()
    if manifest.package:
        importlib.import_module(package)
        return
    if PACKAGE not in sys.modules:
        sys.modules[PACKAGE] = _package(PACKAGE, [])
    init = manifest.folder / "__init__.py"
    if not init.is_file():
        sys.modules[package] = _package(package, [str(manifest.folder)])
        return
    spec = importlib.util.spec_from_file_location(
        package, init, submodule_search_locations=[str(manifest.folder)]
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


def _forget(package: str, kept: frozenset[str] = frozenset()) -> None:
    for name in _names_in(package):
        if name not in kept:
            del sys.modules[name]
