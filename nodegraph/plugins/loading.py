"""Loading plugins: each whole or not at all, and what became of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from nodegraph.errors import DeclarationError, NameClash, PluginError
from nodegraph.node import NodeType, Origin
from nodegraph.registry import Alias, Registry

from .code import code_hash
from .finding import find
from .importing import PACKAGE, imported, place_of
from .manifest import MANIFEST, Listed, Manifest
from .reading import read_manifest
from .requirements import require_permission, require_versions

State = Literal["loaded", "disabled", "refused", "broken", "needs permission"]


@dataclass(frozen=True)
class Choice:
    """What the user says of plugins, by name; what is disabled and enabled is disabled.

    enabled: loaded though their manifest says `enabled: false`. permissions: "name.capability".
    """

    disabled: Collection[str] = ()
    enabled: Collection[str] = ()
    permissions: Collection[str] = ()


@dataclass(frozen=True)
class Plugin:
    """What became of a plugin.

    state:    "loaded"; "disabled"; "refused", because something here does not go with it;
              "broken", because of its own mistakes; "needs permission".
    nodes:    what it registered; of one that is not loaded, what its manifest lists.
    touches:  what it declares to do. code: the hash of its files, if it is loaded.
    reason:   why it is not loaded. warnings: what is doubtful about one that is.
    """

    name: str
    state: State
    manifest: Manifest | None = None
    nodes: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    error: PluginError | None = field(default=None, repr=False)

    @property
    def version(self) -> str:
        return self.manifest.version if self.manifest else ""

    @property
    def description(self) -> str:
        return self.manifest.description if self.manifest else ""

    @property
    def web(self) -> tuple[str, ...]:
        """The scripts that the page imports: none of one that is not loaded."""
        return self.manifest.web if self.manifest and self.state == "loaded" else ()

    @property
    def touches(self) -> tuple[str, ...]:
        return self.manifest.touches if self.manifest else ()

    def as_json(self) -> dict[str, Any]:
        """What the command line and the server tell of it. `reason` may hold paths."""
        return {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "state": self.state,
            "nodes": list(self.nodes),
            "touches": list(self.touches),
            "web": list(self.web),
            "reason": self.reason,
            "warnings": list(self.warnings),
        }


def load_plugins(
    folders: Sequence[Path], registry: Registry, choice: Choice, *, installed: bool = True
) -> tuple[Plugin, ...]:
    """Load every plugin in `folders`, and those of installed packages, that may be loaded.

    Those with aliases come last, since they may name nodes of others. What cannot be loaded is told
    in the answer, which is by name, and stops nothing else.
    """
    errors: list[PluginError] = []
    manifests = find(folders, installed=installed, on_error=errors.append)
    ordered = sorted(manifests, key=lambda manifest: bool(manifest.aliases))
    loaded = [_loaded(manifest, registry, choice) for manifest in ordered]
    loaded.sort(key=lambda plugin: plugin.name)
    return (*loaded, *(_failed(error, None) for error in errors))


def load_all(
    folders: Sequence[Path],
    registry: Registry,
    disabled: Collection[str] = (),
    permissions: Collection[str] = (),
) -> list[PluginError]:
    """Load every enabled plugin in `folders`; what went wrong with those that could not be.

    disabled: names of plugins to leave alone. permissions: texts such as "downloader.network".
    """
    choice = Choice(disabled, permissions=permissions)
    found = load_plugins(folders, registry, choice, installed=False)
    unread = [plugin.error for plugin in found if plugin.error and not plugin.manifest]
    return unread + [plugin.error for plugin in found if plugin.error and plugin.manifest]


def load_plugin(folder: Path, registry: Registry, permissions: Collection[str] = ()) -> Plugin:
    """Load the plugin in one folder, as its own test does. Raises PluginError."""
    return load(read_manifest(folder / MANIFEST), registry, permissions)


def load(manifest: Manifest, registry: Registry, permissions: Collection[str] = ()) -> Plugin:
    """Import a plugin's modules and register all they offer.

    Raises PluginError, naming plugin, file, line and cause; then nothing of it stays imported.
    """
    name = manifest.name
    require_permission(manifest, permissions)
    require_versions(manifest)
    origin = Origin(name, manifest.version, code_hash(manifest.folder), str(manifest.folder))
    offered: dict[str, NodeType] = {}

    def accept(nodes: Mapping[str, NodeType]) -> None:
        _require_listed(manifest, nodes)
        offered.update(nodes)

    with _blaming(manifest), imported(manifest, origin.code) as modules:
        everything = (*modules, *_aliases(manifest))
        doubts = registry.register(*everything, origin=origin, accept=accept)
    return Plugin(name, "loaded", manifest, tuple(offered), origin.code, warnings=doubts)


@contextmanager
def _blaming(manifest: Manifest) -> Iterator[None]:
    """Whatever a plugin's code raises, as an error that names the plugin, and file and line."""
    name = manifest.name
    try:
        yield
    except PluginError:
        raise
    except NameClash as error:
        raise PluginError(f"plugin {name}: {error}", state="refused", plugin=name) from error
    except DeclarationError as error:
        raise PluginError(f"plugin {name}: {error}", plugin=name) from error
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything
        where = place_of(error, manifest.folder)
        raise PluginError(
            f"plugin {name}: {where}{type(error).__name__}: {error}", plugin=name
        ) from error


def _loaded(manifest: Manifest, registry: Registry, choice: Choice) -> Plugin:
    if reason := _disabled(manifest, choice):
        return Plugin(manifest.name, "disabled", manifest, _listed(manifest), reason=reason)
    try:
        return load(manifest, registry, choice.permissions)
    except PluginError as error:
        return _failed(error, manifest)


def _disabled(manifest: Manifest, choice: Choice) -> str:
    if manifest.name in choice.disabled:
        return "the settings say so"
    if not manifest.enabled and manifest.name not in choice.enabled:
        return f"its {MANIFEST} says so; `plugins enable {manifest.name}` enables it"
    return ""


def _failed(error: PluginError, manifest: Manifest | None) -> Plugin:
    name = manifest.name if manifest else error.plugin
    nodes = _listed(manifest) if manifest else ()
    return Plugin(name, error.state, manifest, nodes, reason=str(error), error=error)


def _listed(manifest: Manifest) -> tuple[str, ...]:
    return (*(manifest.nodes or ()), *manifest.aliases)


def _aliases(manifest: Manifest) -> list[ModuleType]:
    """The manifest's aliases as the module they would stand in."""
    module = ModuleType(manifest.package or f"{PACKAGE}.{manifest.name}")
    vars(module)["ALIASES"] = Alias(manifest.aliases)
    return [module] if manifest.aliases else []


def _require_listed(manifest: Manifest, nodes: Mapping[str, NodeType]) -> None:
    """Raises PluginError where the manifest lists other nodes than there are."""
    if manifest.nodes is None:
        return
    found = {name: kind for name, kind in nodes.items() if name not in manifest.aliases}
    missing = ", ".join(name for name in manifest.nodes if name not in found)
    unlisted = ", ".join(name for name in found if name not in manifest.nodes)
    both = [
        (name, manifest.nodes[name], kind) for name, kind in found.items() if name in manifest.nodes
    ]
    wrong = [
        *([f"lists {missing}, which it does not register"] if missing else []),
        *([f"does not list {unlisted}, which it registers"] if unlisted else []),
        *(text for each in both for text in _unlike(*each)),
    ]
    if wrong:
        raise PluginError(
            f"plugin {manifest.name}: its {MANIFEST} " + "; ".join(wrong),
            plugin=manifest.name,
        )


def _unlike(name: str, listed: Listed, kind: NodeType) -> list[str]:
    facts = (
        ("title", listed.title, kind.display_name),
        ("category", listed.category, kind.category),
    )
    return [
        f"gives {name} the {what} {said!r}, but its code says {is_!r}"
        for what, said, is_ in facts
        if said and said != is_
    ]
