"""Node types: a typed function, read as a set of ports.

    @node("ImageInvert", category="image")
    def image_invert(image: Image) -> Image:
        "Invert the colours."
        return Image(1.0 - image)

Parameters become input ports and the return annotation the outputs: one for a plain type, one per
field for a NamedTuple, none for `Shown` or None. `@node` only marks; the registry calls `declare`,
which checks everything and names the parameter that is wrong.

    int, float, bool, str       a value with a widget; `Annotated[int, Number(min=1)]` says more
    Literal["a", "b"]           a choice; `Annotated[str, ChoiceOf("samplers")]` from an extension
                                point, `Annotated[str, FileOf("checkpoints")]` from a folder
    Model, Image ...            a socket, for any registered port type; `A | B` takes either
    X | None = None             an optional port
    list[X]                     the whole list where values come as a list; as output: gives one
    *, context: Context         what a running node may use; not a port
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from .context import Context
from .errors import DeclarationError
from .expansion import Expansion
from .outputs import Shown
from .types import ANYTHING, PRIMITIVES, PortType

F = TypeVar("F", bound=Callable[..., Any])
MAX_SEED = 2**64 - 1


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class Number:
    """The range a numeric input accepts (inclusive), and how its widget moves and rounds."""

    min: float | None = None
    max: float | None = None
    step: float | None = None
    round: float | None = None


@dataclass(frozen=True)
class Seed:
    """An INT from 0 to 2^64 - 1 that the canvas may change after every run."""

    min: int = 0
    max: int = MAX_SEED


@dataclass(frozen=True)
class Text:
    """How a STRING is edited."""

    multiline: bool = False
    dynamic_prompts: bool = False
    placeholder: str = ""


@dataclass(frozen=True)
class ChoiceOf:
    """One of the names registered at an extension point."""

    point: str


@dataclass(frozen=True)
class FileOf:
    """The name of a file in one of the folders; its content is part of the step's key.

    extra:  names that mean something other than a file ("pixel_space").
    upload: the canvas offers to upload one.
    """

    kind: str
    extra: tuple[str, ...] = ()
    upload: bool = False


@dataclass(frozen=True)
class Tip:
    """The port's tooltip."""

    text: str


@dataclass(frozen=True)
class Mark:
    """A property of a port: see LAZY, OPTIONAL, SOCKET."""

    name: str


LAZY = Mark("lazy")  # computed only if the node's `needs` hook asks for it
OPTIONAL = Mark("optional")  # has a default and stands among the optional ports
SOCKET = Mark("socket")  # takes a link only, though a literal could be typed in

Widget = Number | Seed | Text | ChoiceOf | FileOf | tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """An input or output. `type` is the wire name; a tuple as `widget` is a static choice."""

    name: str
    type: str
    default: Any = REQUIRED
    widget: Widget | None = None
    tooltip: str = ""
    optional: bool = False
    lazy: bool = False
    socket: bool = False
    is_list: bool = False

    @property
    def required(self) -> bool:
        """Whether a document has to give a value."""
        return self.default is REQUIRED


@dataclass(frozen=True)
class NodeType:
    """A declared node type.

    lane:        "compute" (the device's thread) or "io" (decoding, saving; overlaps with it).
    fingerprint: given the literal inputs it names, returns what else the result depends on.
    needs:       given the inputs known so far, returns the names of lazy inputs still wanted.
    check:       given the literal inputs it names, returns what is wrong with them, or None.
    cached:      whether results may be reused at all.
    is_async:    the function is a coroutine; it runs on the event loop.
    unpack:      the function returns a NamedTuple, one field for each output (and for `Shown`).
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    category: str = ""
    display_name: str = ""
    description: str = ""
    version: int = 1
    module: str = ""
    output_node: bool = False
    lane: Literal["compute", "io"] = "compute"
    cached: bool = True
    deprecated: bool = False
    experimental: bool = False
    context_name: str | None = None
    unpack: bool = False
    is_async: bool = False
    identity: str = ""
    fingerprint: Callable[..., str] | None = None
    needs: Callable[..., Iterable[str]] | None = None
    check: Callable[..., str | None] | None = None
    by_name: Mapping[str, Port] = field(default_factory=dict, compare=False, repr=False)
    hook_inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def call_hook(self, name: str, inputs: Mapping[str, Any]) -> Any:
        """Call the hook `name` with those of `inputs` that it has parameters for."""
        return getattr(self, name)(**{key: inputs.get(key) for key in self.hook_inputs[name]})

    def renamed(self, name: str, display_name: str) -> NodeType:
        """The same node under another name; its results are interchangeable with the first's."""
        return replace(self, name=name, display_name=display_name)


@dataclass(frozen=True)
class NodeMark:
    """What `@node` leaves on a function for the registry to find."""

    name: str
    options: Mapping[str, Any]


def node(
    name: str,
    *,
    category: str,
    display_name: str = "",
    version: int = 1,
    output: bool = False,
    lane: Literal["compute", "io"] = "compute",
    cached: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    fingerprint: Callable[..., str] | None = None,
    needs: Callable[..., Iterable[str]] | None = None,
    check: Callable[..., str | None] | None = None,
) -> Callable[[F], F]:
    """Mark a typed function as a node. The function stays what it is: its test just calls it.

    Raise `version` when the result changes for equal inputs, so that cached results are dropped.
    The other options are NodeType's; a function that returns `Shown` is an output node anyway.
    """
    options = {
        "category": category,
        "display_name": display_name,
        "version": version,
        "output_node": output,
        "lane": lane,
        "cached": cached,
        "deprecated": deprecated,
        "experimental": experimental,
        "fingerprint": fingerprint,
        "needs": needs,
        "check": check,
    }

    def mark(function: F) -> F:
        function.__node__ = NodeMark(name, options)  # type: ignore[attr-defined]
        return function

    return mark


def declare(function: Callable[..., Any], mark: NodeMark, known: Mapping[Any, str]) -> NodeType:
    """The NodeType of a marked function; `known` maps annotations to wire names.

    Raises DeclarationError, naming the node and the parameter.
    """
    reader = _Reader(mark.name, known)
    hints = reader.hints(function)
    inputs, context_name = reader.inputs(function, hints)
    outputs, shows = reader.outputs(hints)
    kind = NodeType(
        name=mark.name,
        function=function,
        inputs=inputs,
        outputs=outputs,
        description=inspect.getdoc(function) or "",
        module=function.__module__,
        context_name=context_name,
        is_async=inspect.iscoroutinefunction(function),
        unpack=hasattr(_without(hints["return"], Expansion), "_fields"),
        identity=f"{function.__module__}.{function.__qualname__}",
        by_name={port.name: port for port in inputs},
        **{**mark.options, "output_node": mark.options["output_node"] or shows},
    )
    if not kind.display_name:
        kind = replace(kind, display_name=mark.name)
    return replace(kind, hook_inputs=reader.hooks(kind))


@dataclass(frozen=True)
class _Reader:
    """Reads one function's signature; every complaint starts with the node's name."""

    node: str
    known: Mapping[Any, str]

    def fail(self, complaint: str) -> typing.NoReturn:
        raise DeclarationError(f"node {self.node}: {complaint}")

    def hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return typing.get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            self.fail(f"its annotations cannot be read: {error}")

    def inputs(
        self, function: Callable[..., Any], hints: Mapping[str, Any]
    ) -> tuple[tuple[Port, ...], str | None]:
        ports: list[Port] = []
        context_name: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            name = parameter.name
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self.fail(f"parameter {name}: ports are named one by one; *{name} cannot be one")
            if name not in hints:
                self.fail(f"parameter {name} has no annotation")
            if hints[name] is Context:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    self.fail(f"parameter {name}: the context is keyword-only; put a * before it")
                context_name = name
                continue
            ports.append(self.port(name, hints[name], parameter.default))
        return tuple(ports), context_name

    def port(self, name: str, hint: Any, default: Any) -> Port:
        notes: tuple[Any, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            notes = tuple(rest)
        where = f"parameter {name}"
        default = REQUIRED if default is inspect.Parameter.empty else default
        hint, optional = _without_none(hint)
        if optional and default is not None:
            self.fail(f"{where} may be None, so its default has to be None")
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            notes = (*rest, *notes)
        is_list = get_origin(hint) is list
        if is_list:
            (hint,) = get_args(hint)
        marks = {note.name for note in notes if isinstance(note, Mark)}
        port = Port(
            name=name,
            type=self.wire_name(hint, where),
            default=default,
            widget=self.widget(hint, notes, where),
            tooltip=next((note.text for note in notes if isinstance(note, Tip)), ""),
            optional=optional or "optional" in marks,
            lazy="lazy" in marks,
            socket="socket" in marks,
            is_list=is_list,
        )
        self.check_port(port, where)
        return replace(port, type="COMBO") if _is_choice(port.widget) else port

    def wire_name(self, hint: Any, where: str) -> str:
        if hint is Any:
            return ANYTHING
        if get_origin(hint) is Literal:
            return "COMBO"
        if get_origin(hint) in (Union, types.UnionType):
            names = [self.wire_name(part, where) for part in get_args(hint)]
            return ",".join(dict.fromkeys(names))
        try:
            return PRIMITIVES[hint] if hint in PRIMITIVES else self.known[hint]
        except (KeyError, TypeError):
            label = getattr(hint, "__name__", hint)
            self.fail(f"{where}: {label} is not a port type; register a PortType for it first")

    def widget(self, hint: Any, notes: tuple[Any, ...], where: str) -> Widget | None:
        widgets = [n for n in notes if isinstance(n, (Number, Seed, Text, ChoiceOf, FileOf))]
        if len(widgets) > 1:
            self.fail(f"{where} has {len(widgets)} widgets; give one")
        for note in notes:
            if not isinstance(note, (Number, Seed, Text, ChoiceOf, FileOf, Tip, Mark)):
                self.fail(f"{where}: {note!r} says nothing about a port")
        if get_origin(hint) is Literal:
            options = get_args(hint)
            if not all(isinstance(option, str) for option in options):
                self.fail(f"{where}: the choices of a Literal are strings")
            return options
        return widgets[0] if widgets else None

    def check_port(self, port: Port, where: str) -> None:
        widget, default = port.widget, port.default
        if isinstance(widget, Number) and port.type not in ("INT", "FLOAT"):
            self.fail(f"{where}: Number is for int and float, not {port.type}")
        if isinstance(widget, Seed) and port.type != "INT":
            self.fail(f"{where}: Seed is for int, not {port.type}")
        if isinstance(widget, (Text, ChoiceOf, FileOf)) and port.type != "STRING":
            self.fail(f"{where}: {type(widget).__name__} is for str, not {port.type}")
        if port.lazy and port.is_list:
            self.fail(f"{where}: a list port cannot be lazy")
        if isinstance(widget, (Number, Seed)):
            self.check_range(widget, default, where)
        if isinstance(widget, tuple) and default not in (*widget, REQUIRED, None):
            self.fail(f"{where}: the default {default!r} is not among the choices {widget}")
        expected = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}
        if default in (REQUIRED, None) or port.is_list or port.type not in expected:
            return
        is_bool = isinstance(default, bool)
        if not isinstance(default, expected[port.type]) or is_bool != (port.type == "BOOLEAN"):
            self.fail(f"{where}: the default {default!r} is not of type {port.type}")

    def check_range(self, widget: Number | Seed, default: Any, where: str) -> None:
        low, high = widget.min, widget.max
        if low is not None and high is not None and low > high:
            self.fail(f"{where}: min {low} is above max {high}")
        if not isinstance(default, (int, float)):
            return
        if (low is not None and default < low) or (high is not None and default > high):
            self.fail(f"{where}: the default {default} is outside {low} to {high}")

    def outputs(self, hints: Mapping[str, Any]) -> tuple[tuple[Port, ...], bool]:
        """The output ports, and whether the node shows something."""
        if "return" not in hints:
            self.fail("it has no return annotation")
        hint = _without(hints["return"], Expansion)
        if hint in (None, type(None)):
            return (), False
        if hint is Shown:
            return (), True
        if not hasattr(hint, "_fields"):
            return (self.output("", hint),), False
        fields = typing.get_type_hints(hint, include_extras=True)
        ports = [self.output(name, kind) for name, kind in fields.items() if kind is not Shown]
        return tuple(ports), Shown in fields.values()

    def output(self, name: str, hint: Any) -> Port:
        tooltip = ""
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            tooltip = next((note.text for note in notes if isinstance(note, Tip)), "")
        is_list = get_origin(hint) is list
        if is_list:
            (hint,) = get_args(hint)
        wire = self.wire_name(hint, f"output {name}" if name else "the return annotation")
        # ComfyUI's convention: an output named like its type is written in capitals.
        shown = wire if name.upper() in ("", wire) else name
        return Port(shown, wire, tooltip=tooltip, is_list=is_list)

    def hooks(self, kind: NodeType) -> dict[str, tuple[str, ...]]:
        """For each hook, the inputs it has parameters for; **rest stands for all."""
        names = [port.name for port in kind.outputs]
        if len(set(names)) < len(names):
            self.fail(f"two outputs have the same name: {', '.join(names)}")
        if any(port.lazy for port in kind.inputs) and kind.needs is None:
            self.fail("it has lazy inputs but no `needs` hook that asks for them")
        found: dict[str, tuple[str, ...]] = {}
        for label in ("fingerprint", "needs", "check"):
            hook = getattr(kind, label)
            if hook is None:
                continue
            parameters = inspect.signature(hook).parameters.values()
            named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
            for name in named:
                if name not in kind.by_name:
                    self.fail(f"its {label} hook asks for {name}, which is no input")
            found[label] = tuple(named) if len(named) == len(parameters) else tuple(kind.by_name)
        return found


def _is_choice(widget: Widget | None) -> bool:
    return isinstance(widget, (tuple, ChoiceOf, FileOf))


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
