"""What a plugin needs before it can be loaded: versions, packages, the user's permission."""

from __future__ import annotations

from collections.abc import Collection
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from nodegraph.errors import PluginError
from nodegraph.version import VERSION

from .manifest import CAPABILITIES, Manifest


def require_permission(manifest: Manifest, permissions: Collection[str]) -> None:
    """Raises PluginError where the plugin declares what nobody has permitted.

    permissions: texts such as "downloader.network".
    """
    missing = [word for word in manifest.touches if f"{manifest.name}.{word}" not in permissions]
    if not missing:
        return
    does = " and ".join(CAPABILITIES[word] for word in missing)
    listed = ", ".join(missing)
    flags = " ".join(f"--permit-plugin {manifest.name}.{word}" for word in missing)
    raise PluginError(
        f"plugin {manifest.name} {does}: to permit it write `plugin_permissions: "
        f"{{{manifest.name}: [{listed}]}}` into nodegraph.yaml, or give {flags}",
        state="needs permission",
        plugin=manifest.name,
    )


def require_versions(manifest: Manifest) -> None:
    """Raises PluginError where this nodegraph, or a package, is not what the plugin needs."""
    if not allows(manifest.nodegraph, VERSION):
        raise _refused(manifest, f"needs nodegraph{manifest.nodegraph}, but this is {VERSION}")
    for wanted in manifest.requires:
        if wanted.marker is None or wanted.marker.evaluate():
            _require_package(manifest, wanted)


def _require_package(manifest: Manifest, wanted: Requirement) -> None:
    text = f"{wanted.name}{wanted.specifier}"
    try:
        present = metadata.version(wanted.name)
    except metadata.PackageNotFoundError as error:
        raise _refused(
            manifest, f"needs {text}, which is not installed: pip install '{text}'"
        ) from error
    if not allows(wanted.specifier, present):
        raise _refused(manifest, f"needs {text}, but {present} is installed")


def allows(wanted: SpecifierSet, version: str) -> bool:
    """Whether a version will do; one before a release counts if it is what is there."""
    try:
        return wanted.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _refused(manifest: Manifest, why: str) -> PluginError:
    return PluginError(f"plugin {manifest.name} {why}", state="refused", plugin=manifest.name)
