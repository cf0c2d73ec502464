"""A function's signature, read as ports. Every complaint names the node and the parameter."""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .context import Context
from .errors import DeclarationError
from .expansion import Expansion
from .outputs import Shown
from .ports import (
    REQUIRED,
    ChoiceOf,
    FileOf,
    Mark,
    Number,
    Port,
    Seed,
    Text,
    Tip,
    Widget,
)
from .types import ANYTHING, PRIMITIVES

PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "INT": int,
    "FLOAT": (int, float),
    "STRING": str,
    "COMBO": str,
    "BOOLEAN": bool,
}
WIDGETS = (Number, Seed, Text, ChoiceOf, FileOf)


@dataclass(frozen=True)
class Signature:
    """What a signature declares.

    context_name: of the parameter that takes the context. shows: one of the results is a Shown.
    unpack:       the function returns a NamedTuple, one field for each output (and for `Shown`).
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    context_name: str | None
    shows: bool
    unpack: bool


def read_signature(function: Callable[..., Any], node: str, known: Mapping[Any, str]) -> Signature:
    """The ports of a function; `known` maps annotations to wire names. Raises DeclarationError."""
    reader = _Reader(node, known)
    hints = reader.hints(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        reader.fail("it yields; a node returns its result")
    inputs, context_name = reader.inputs(function, hints)
    outputs, shows, unpack = reader.outputs(hints)
    return Signature(inputs, outputs, context_name, shows, unpack)


@dataclass(frozen=True)
class _Reader:
    node: str
    known: Mapping[Any, str]

    def fail(self, complaint: str) -> typing.NoReturn:
        raise DeclarationError(f"node {self.node}: {complaint}")

    def hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return typing.get_type_hints(function, include_extras=True)
        except Exception as error:  # evaluating an annotation may raise anything
            where, reason = _unreadable(function) or ("its annotations", error)
            self.fail(f"{where}: cannot be read: {reason}")

    def inputs(
        self, function: Callable[..., Any], hints: Mapping[str, Any]
    ) -> tuple[tuple[Port, ...], str | None]:
        ports: list[Port] = []
        context_name: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            name = parameter.name
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self.fail(f"parameter {name}: ports are named one by one; *{name} cannot be one")
            if parameter.kind is parameter.POSITIONAL_ONLY:
                self.fail(f"parameter {name}: inputs are passed by name; remove the / after it")
            if name not in hints:
                self.fail(f"parameter {name} has no annotation")
            if hints[name] is not Context:
                ports.append(self.port(name, hints[name], parameter.default))
                continue
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self.fail(f"parameter {name}: the context is keyword-only; put a * before it")
            if context_name is not None:
                self.fail(f"parameter {name}: {context_name} is the context already")
            context_name = name
        return tuple(ports), context_name

    def port(self, name: str, hint: Any, default: Any) -> Port:
        where = f"parameter {name}"
        hint, outer = _without_notes(hint)
        hint, optional = _without_none(hint)
        hint, middle = _without_notes(hint)
        hint, is_list = self.without_list(hint, where)
        hint, inner = _without_notes(hint)
        notes = (*inner, *middle, *outer)
        marks = {note.name for note in notes if isinstance(note, Mark)}
        if unknown := marks - {"lazy", "optional", "socket"}:
            self.fail(f"{where}: there is no mark called {', '.join(sorted(unknown))}")
        port = Port(
            name=name,
            type=self.wire_name(hint, where),
            default=REQUIRED if default is inspect.Parameter.empty else default,
            widget=self.widget(hint, notes, where),
            tooltip=next((note.text for note in notes if isinstance(note, Tip)), ""),
            optional=optional or "optional" in marks,
            lazy="lazy" in marks,
            socket="socket" in marks,
            is_list=is_list,
        )
        self.check_widget(port, where)
        if isinstance(port.widget, (tuple, ChoiceOf, FileOf)):
            port = replace(port, type="COMBO")
        self.check_default(port, optional, where)
        return port

    def without_list(self, hint: Any, where: str) -> tuple[Any, bool]:
        if hint is not list and get_origin(hint) is not list:
            return hint, False
        if len(get_args(hint)) != 1:
            self.fail(f"{where}: say what the list holds, as in list[int]")
        return get_args(hint)[0], True

    def wire_name(self, hint: Any, where: str) -> str:
        if hint is Any:
            return ANYTHING
        if get_origin(hint) is Literal:
            return "COMBO"
        if get_origin(hint) in (Union, types.UnionType):
            names = [self.wire_name(part, where) for part in get_args(hint)]
            if "COMBO" in names:
                self.fail(f"{where}: a Literal cannot be one of several types")
            return ANYTHING if ANYTHING in names else ",".join(dict.fromkeys(names))
        try:
            return PRIMITIVES[hint] if hint in PRIMITIVES else self.known[hint]
        except (KeyError, TypeError):
            label = getattr(hint, "__name__", hint)
            advice = (
                "return a NamedTuple for several outputs"
                if get_origin(hint) is tuple or hint is tuple
                else "register a PortType for it first"
            )
            self.fail(f"{where}: {label} is not a port type; {advice}")

    # -- inputs ------------------------------------------------------------------------------

    def widget(self, hint: Any, notes: Sequence[Any], where: str) -> Widget | None:
        widgets: list[Widget] = [note for note in notes if isinstance(note, WIDGETS)]
        for note in notes:
            if not isinstance(note, (*WIDGETS, Tip, Mark)):
                self.fail(f"{where}: {note!r} says nothing about a port")
        if get_origin(hint) is Literal:
            options = get_args(hint)
            if not all(isinstance(option, str) for option in options):
                self.fail(f"{where}: the choices of a Literal are strings")
            widgets.append(options)
        if len(widgets) > 1:
            self.fail(f"{where} has {len(widgets)} widgets; give one")
        return widgets[0] if widgets else None

    def check_widget(self, port: Port, where: str) -> None:
        widget, words = port.widget, set(port.type.split(","))
        if isinstance(widget, Number) and not words <= {"INT", "FLOAT"}:
            self.fail(f"{where}: Number is for int and float, not {port.type}")
        if isinstance(widget, Seed) and port.type != "INT":
            self.fail(f"{where}: Seed is for int, not {port.type}")
        if isinstance(widget, (Text, ChoiceOf, FileOf)) and port.type != "STRING":
            self.fail(f"{where}: {type(widget).__name__} is for str, not {port.type}")
        if port.lazy and port.is_list:
            self.fail(f"{where}: a list port cannot be lazy")
        if port.lazy and port.names_files:
            self.fail(f"{where}: the name of a file cannot be lazy: it is part of the step's key")
        if isinstance(widget, Number):
            self.check_number(widget, port.type == "INT", where)
        elif isinstance(widget, Seed) and widget.min > widget.max:
            self.fail(f"{where}: min {widget.min} is above max {widget.max}")

    def check_number(self, widget: Number, whole: bool, where: str) -> None:
        for label in ("min", "max", "step", "round"):
            value = getattr(widget, label)
            if value is None or (label == "round" and value is False):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
                self.fail(f"{where}: {label} {value!r} is not a number")
            if whole and value != value // 1:
                self.fail(f"{where}: {label} {value!r} is no whole number, but the input is an INT")
            if label in ("step", "round") and not 0 < value < math.inf:
                self.fail(f"{where}: {label} {value!r} is not above zero")
        if widget.min is not None and widget.max is not None and widget.min > widget.max:
            self.fail(f"{where}: min {widget.min} is above max {widget.max}")

    def check_default(self, port: Port, may_be_none: bool, where: str) -> None:
        default = port.default
        if may_be_none and default is not None:
            self.fail(f"{where} may be None, so its default has to be None")
        if port.optional and default is REQUIRED:
            self.fail(f"{where} is marked OPTIONAL, so it needs a default")
        if default is REQUIRED or may_be_none:
            return
        if not port.is_list:
            return self.check_item(port, default, where)
        if not isinstance(default, list):
            self.fail(f"{where}: the default {default!r} is not a list")
        for item in default:
            self.check_item(port, item, where)
        return None

    def check_item(self, port: Port, default: Any, where: str) -> None:
        """Whether a default, or an item of a list that is one, could stand in a document."""
        words = port.type.split(",")
        kinds = [PYTHON[word] for word in words if word in PYTHON]
        is_bool = isinstance(default, bool) and "BOOLEAN" not in words
        if port.type == ANYTHING:
            if not _is_json(default):
                self.fail(f"{where}: the default {default!r} could not stand in a document")
        elif is_bool or not any(isinstance(default, kind) for kind in kinds):
            self.fail(f"{where}: the default {default!r} is not of type {port.type}")
        elif isinstance(default, float) and not math.isfinite(default):
            self.fail(f"{where}: the default {default!r} is not a finite number")
        widget = port.widget
        if isinstance(widget, tuple) and default not in widget:
            self.fail(f"{where}: the default {default!r} is not among the choices {widget}")
        if isinstance(widget, (Number, Seed)):
            low, high = widget.min, widget.max
            if (low is not None and default < low) or (high is not None and default > high):
                self.fail(f"{where}: the default {default} is outside {low} to {high}")

    # -- outputs -----------------------------------------------------------------------------

    def outputs(self, hints: Mapping[str, Any]) -> tuple[tuple[Port, ...], bool, bool]:
        """The output ports, whether the node shows something, whether it gives a NamedTuple."""
        if "return" not in hints:
            self.fail("it has no return annotation")
        hint = _without(hints["return"], Expansion)
        if hint in (None, type(None), Expansion):
            return (), False, False
        if hint is Shown:
            return (), True, False
        if not hasattr(hint, "_fields") or hint in self.known:
            return (self.output("", hint),), False, False
        fields = self.hints(hint)
        if list(fields.values()).count(Shown) > 1:
            self.fail("it returns several Shown; put all there is to show into one")
        ports = tuple(self.output(name, kind) for name, kind in fields.items() if kind is not Shown)
        names = [port.name for port in ports]
        if len(set(names)) < len(names):
            self.fail(f"two outputs have the same name: {', '.join(names)}")
        return ports, Shown in fields.values(), True

    def output(self, name: str, hint: Any) -> Port:
        where = f"output {name}" if name else "the return annotation"
        hint, outer = _without_notes(hint)
        hint, is_list = self.without_list(hint, where)
        hint, inner = _without_notes(hint)
        tooltip = next((note.text for note in (*inner, *outer) if isinstance(note, Tip)), "")
        wire = self.wire_name(hint, where)
        # ComfyUI's convention: an output named like its type is written in capitals.
        shown = wire if name.upper() in ("", wire) else name
        return Port(shown, wire, tooltip=tooltip, is_list=is_list)


def _unreadable(function: Callable[..., Any]) -> tuple[str, Exception] | None:
    """Which annotation cannot be read, and why."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            typing.get_type_hints(alone, names, include_extras=True)
        except Exception as error:
            what = "the return annotation" if name == "return" else f"parameter {name}"
            return what, error
    return None


def _without_notes(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is not Annotated:
        return hint, ()
    plain, *notes = get_args(hint)
    return plain, tuple(notes)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """`X | None` -> (X, True); anything else -> (itself, False)."""
    stripped = _without(hint, type(None))
    return stripped, stripped is not hint


def _without(hint: Any, part: Any) -> Any:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    rest = [item for item in get_args(hint) if item is not part]
    if len(rest) == len(get_args(hint)):
        return hint
    return Union[tuple(rest)]  # noqa: UP007 - the parts are only known now


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
