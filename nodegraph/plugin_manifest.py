"""plugin.yaml: what a plugin says of itself, read without importing it.

Version constraints compare the leading numbers of versions: "2.1.0rc1+cpu" counts as 2.1.0.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from .errors import PluginError

MANIFEST = "plugin.yaml"
MAX_BYTES = 2**20
_KEYS = (
    "name",
    "version",
    "description",
    "modules",
    "module",
    "requires",
    "nodegraph",
    "enabled",
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(.*)", re.DOTALL)
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Constraint:
    """A condition on a version, such as ">=1.2,<2": all clauses have to hold."""

    clauses: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Raises ValueError."""
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        matches = [_CLAUSE.fullmatch(part) for part in parts]
        if not all(matches):
            raise ValueError('expected comparisons such as ">=1.2,<2"')
        return cls(tuple((match[1], match[2]) for match in matches if match))

    def allows(self, version: str) -> bool:
        """Whether `version` meets the condition. A version without numbers meets none."""
        found = _numbers(version)
        return not self.clauses or (
            bool(found)
            and all(
                _COMPARE[sign](*_padded(found, _numbers(bound))) for sign, bound in self.clauses
            )
        )

    def __str__(self) -> str:
        return ",".join(sign + bound for sign, bound in self.clauses)


@dataclass(frozen=True)
class Manifest:
    """One plugin.yaml.

    folder:    where the plugin is.
    modules:   names of the files to import, without .py.
    requires:  Python packages it needs, by name.
    nodegraph: versions of nodegraph it works with.
    enabled:   whether it is loaded unless somebody says otherwise.
    """

    name: str
    folder: Path
    modules: tuple[str, ...]
    version: str = ""
    description: str = ""
    requires: Mapping[str, Constraint] = field(default_factory=dict)
    nodegraph: Constraint = field(default_factory=Constraint)
    enabled: bool = True


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises PluginError, naming the key and what was expected."""
    return _Reader(path, _parse(path)).manifest()


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise PluginError(f"{path} has more than {MAX_BYTES:,} bytes")
        data = yaml.safe_load(text)
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise PluginError(f"{path} is not YAML: {where}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PluginError(f"{path} is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise PluginError(f"{path}: expected keys such as name and modules, not {_kind(data)}")
    return data


@dataclass(frozen=True)
class _Reader:
    path: Path
    data: Mapping[str, Any]

    def manifest(self) -> Manifest:
        self.refuse_unknown()
        return Manifest(
            self.name(),
            self.path.parent.resolve(),
            self.modules(),
            self.text("version", 'text in quotes, such as "1.0"'),
            self.text("description", "text"),
            self.requires(),
            self.constraint("nodegraph", self.text("nodegraph", 'text such as ">=0.1"')),
            self.enabled(),
        )

    def fail(self, key: str, expected: str, value: Any) -> NoReturn:
        got = "is missing" if value is None else f"is {_kind(value)}"
        raise PluginError(f"{self.path}: {key} {got}; expected {expected}")

    def refuse_unknown(self) -> None:
        for key in self.data:
            if key in _KEYS:
                continue
            close = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_KEYS)}"
            raise PluginError(f"{self.path}: unknown key {key!r}; {hint}")

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
        names = [value] if key == "module" else value
        if not isinstance(names, list) or not names:
            self.fail(key, "a list of file names without .py", value)
        for name in names:
            if not isinstance(name, str) or not _MODULE.fullmatch(name):
                self.fail(key, "file names without .py", name)
            folder = self.path.parent
            if not any((folder / file).is_file() for file in (f"{name}.py", f"{name}/__init__.py")):
                raise PluginError(f"{self.path}: {key}: there is no file {name}.py beside it")
        return tuple(dict.fromkeys(names))

    def requires(self) -> dict[str, Constraint]:
        value = self.data.get("requires")
        expected = 'a list of packages such as "scipy>=1.11"'
        if value is not None and not isinstance(value, list):
            self.fail("requires", expected, value)
        found: dict[str, Constraint] = {}
        for entry in value or ():
            match = _REQUIREMENT.fullmatch(entry.strip()) if isinstance(entry, str) else None
            if match is None:
                self.fail("requires", expected, entry)
            found[match[1]] = self.constraint("requires", match[2])
        return found

    def constraint(self, key: str, text: str) -> Constraint:
        try:
            return Constraint.parse(text)
        except ValueError as error:
            raise PluginError(f"{self.path}: {key}: {text!r}: {error}") from error

    def enabled(self) -> bool:
        value = self.data.get("enabled", True)
        if not isinstance(value, bool):
            self.fail("enabled", "true or false", value)
        return value


def _numbers(version: str) -> tuple[int, ...]:
    match = _NUMBERS.match(version)
    return tuple(int(part[:18]) for part in match[0].split(".")) if match else ()


def _padded(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both at one length, so that 1.2 equals 1.2.0."""
    length = max(len(a), len(b))
    return a + (0,) * (length - len(a)), b + (0,) * (length - len(b))


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: f"the text {value!r:.60}", bool: "a boolean"}
    return names.get(type(value), "nothing" if value is None else f"the number {value}")
