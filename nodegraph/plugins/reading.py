"""Reading a plugin.yaml: every mistake is one error that names the key, and what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from nodegraph.errors import PluginError

from .manifest import CAPABILITIES, WEB, Listed, Manifest

MAX_BYTES = 2**20
_KEYS = (
    "name",
    "version",
    "description",
    "modules",
    "module",
    "requires",
    "nodegraph",
    "nodes",
    "touches",
    "aliases",
    "web",
    "enabled",
)
_LISTED = ("title", "category", "help")
_MODULES = "a list of file names without .py, unless there are aliases or web"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCRIPT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,96}\.js")


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises PluginError, naming the key and what was expected."""
    return _Reader(path, _parse(path)).manifest()


class _Loader(yaml.SafeLoader):
    """Plain data alone, and no key twice: of two equal ones YAML would take the last in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key) if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{name!r} is there a second time", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise PluginError(f"{path} has more than {MAX_BYTES:,} bytes")
        data = yaml.load(text, _Loader)  # a SafeLoader
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise PluginError(f"{path} is not YAML: {where}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PluginError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise PluginError(f"{path}: expected keys such as name and modules, not {_kind(data)}")
    return data


@dataclass(frozen=True)
class _Reader:
    path: Path
    data: Mapping[str, Any]

    def manifest(self) -> Manifest:
        self.refuse_unknown(self.data, _KEYS, "")
        return Manifest(
            name=self.name(),
            folder=self.path.parent.resolve(),
            aliases=self.aliases(),
            web=self.web(),
            modules=self.modules(),
            version=self.text("version", 'text in quotes, such as "1.0"'),
            description=self.text("description", "text"),
            requires=self.requires(),
            nodegraph=self.nodegraph(),
            nodes=self.nodes(),
            touches=self.touches(),
            enabled=self.enabled(),
        )

    def fail(self, key: str, expected: str, value: Any) -> NoReturn:
        nothing = "is empty" if key in self.data else "is missing"
        got = nothing if value is None else f"is {_kind(value)}"
        raise PluginError(f"{self.path}: {key} {got}; expected {expected}")

    def refuse_unknown(self, data: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
        for key in data:
            if key in known:
                continue
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise PluginError(f"{self.path}: {where}unknown key {key!r}; {hint}")

    def text(self, key: str, expected: str) -> str:
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            self.fail(key, expected, value)
        return value or ""

    def name(self) -> str:
        name = self.data.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.fail("name", "a word of small letters, digits and _", name)
        return name

    def modules(self) -> tuple[str, ...]:
        if "module" in self.data and "modules" in self.data:
            raise PluginError(f"{self.path}: give module or modules, not both")
        key = "module" if "module" in self.data else "modules"
        value = self.data.get(key)
        others = self.data.get("aliases") or self.data.get("web")
        if value is None and key not in self.data and others:
            return ()
        names = [value] if key == "module" else value
        if not isinstance(names, list) or not names:
            self.fail(key, _MODULES, value)
        for name in names:
            if not isinstance(name, str) or not _MODULE.fullmatch(name):
                self.fail(key, "file names without .py", name)
            folder = self.path.parent
            if not any((folder / file).is_file() for file in (f"{name}.py", f"{name}/__init__.py")):
                raise PluginError(f"{self.path}: {key}: there is no file {name}.py beside it")
        return tuple(dict.fromkeys(names))

    def requires(self) -> tuple[Requirement, ...]:
        value = self.data.get("requires")
        expected = 'a list of packages such as "scipy>=1.11"'
        if value is not None and not isinstance(value, list):
            self.fail("requires", expected, value)
        found = []
        for entry in value or ():
            if not isinstance(entry, str):
                self.fail("requires", expected, entry)
            try:
                found.append(Requirement(entry))
            except InvalidRequirement as error:
                why = str(error).partition("\n")[0]
                raise PluginError(
                    f"{self.path}: requires: {entry!r} is no requirement of a package, such as "
                    f'"scipy>=1.11,<2": {why}'
                ) from error
            if found[-1].url:
                raise PluginError(f"{self.path}: requires: {entry!r} is an address; name a package")
        return tuple(found)

    def nodegraph(self) -> SpecifierSet:
        text = self.text("nodegraph", 'text such as ">=0.1"')
        try:
            return SpecifierSet(text)
        except InvalidSpecifier as error:
            raise PluginError(
                f'{self.path}: nodegraph: {text!r}: expected comparisons such as ">=0.1,<2"'
            ) from error

    def nodes(self) -> Mapping[str, Listed] | None:
        value = self.data.get("nodes")
        expected = "names of nodes: a list, or each with its title, category and help"
        if value is None and "nodes" not in self.data:
            return None
        if isinstance(value, list):
            value = self.unique("nodes", value)
        if not isinstance(value, dict):
            self.fail("nodes", expected, value)
        for name in value:
            if not isinstance(name, str) or not name:
                self.fail("nodes", expected, name)
        return {name: self.listed(name, about) for name, about in value.items()}

    def unique(self, key: str, names: list[Any]) -> dict[Any, None]:
        found: dict[Any, None] = {}
        for name in names:
            if not isinstance(name, str):
                self.fail(key, "a list of names", name)
            if name in found:
                raise PluginError(f"{self.path}: {key}: {name!r} is there a second time")
            found[name] = None
        return found

    def listed(self, name: str, about: Any) -> Listed:
        if about is None:
            return Listed()
        if isinstance(about, str):
            return Listed(help=about)
        if not isinstance(about, dict):
            self.fail(f"nodes: {name}", "its help as text, or title, category and help", about)
        self.refuse_unknown(about, _LISTED, f"nodes: {name}: ")
        for key, text in about.items():
            if not isinstance(text, str):
                self.fail(f"nodes: {name}: {key}", "text", text)
        return Listed(**about)

    def touches(self) -> tuple[str, ...]:
        value = self.data.get("touches")
        expected = f"a list of any of {', '.join(CAPABILITIES)}"
        if value is None and "touches" not in self.data:
            return ()
        if not isinstance(value, list):
            self.fail("touches", expected, value)
        for word in value:
            if not isinstance(word, str) or word not in CAPABILITIES:
                close = difflib.get_close_matches(str(word), CAPABILITIES, n=1)
                self.fail("touches", expected + (f" ({close[0]}?)" if close else ""), word)
        return tuple(dict.fromkeys(value))

    def aliases(self) -> Mapping[str, tuple[str, str]]:
        value = self.data.get("aliases")
        expected = "new names, each with the name of a node: `NewName: ExistingName`"
        if value is None and "aliases" not in self.data:
            return {}
        if not isinstance(value, dict) or not value:
            self.fail("aliases", expected, value)
        return {self.alias_name(name): self.alias(name, about) for name, about in value.items()}

    def alias_name(self, name: Any) -> str:
        if not isinstance(name, str) or not name:
            self.fail("aliases", "names of nodes", name)
        return name

    def alias(self, name: str, about: Any) -> tuple[str, str]:
        given = {"node": about} if isinstance(about, str) else about
        expected = "the name of a node, or {node: its name, title: the title here}"
        if not isinstance(given, dict):
            self.fail(f"aliases: {name}", expected, about)
        self.refuse_unknown(given, ("node", "title"), f"aliases: {name}: ")
        node, title = given.get("node"), given.get("title", name)
        if not isinstance(node, str) or not node:
            self.fail(f"aliases: {name}", expected, node)
        if not isinstance(title, str):
            self.fail(f"aliases: {name}: title", "text", title)
        return node, title

    def web(self) -> tuple[str, ...]:
        value = self.data.get("web")
        expected = f"a list of scripts in the folder {WEB}, such as [panel.js]"
        if value is None and "web" not in self.data:
            return ()
        if not isinstance(value, list) or not value:
            self.fail("web", expected, value)
        for name in value:
            if not isinstance(name, str) or not _SCRIPT.fullmatch(name):
                self.fail("web", expected, name)
            if not (self.path.parent / WEB / name).is_file():
                raise PluginError(f"{self.path}: web: there is no file {WEB}/{name} beside it")
        return tuple(dict.fromkeys(value))

    def enabled(self) -> bool:
        value = self.data.get("enabled", True)
        if not isinstance(value, bool):
            self.fail("enabled", "true or false", value)
        return value


def _kind(value: Any) -> str:
    match value:
        case dict() | list():
            kind = "mapping" if isinstance(value, dict) else "list"
            return f"a {kind}" if value else f"an empty {kind}"
        case str():
            return f"the text {value!r:.60}"
        case None:
            return "nothing"
        case _:
            return f"{value!r:.60}"
