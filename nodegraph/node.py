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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

from .errors import DeclarationError
from .ports import (
    LAZY,
    MAX_SEED,
    OPTIONAL,
    REQUIRED,
    SOCKET,
    ChoiceOf,
    FileOf,
    FilesIn,
    Mark,
    Number,
    Port,
    Seed,
    Text,
    Tip,
    Widget,
)
from .signature import read_signature

__all__ = [
    "LAZY",
    "MAX_SEED",
    "OPTIONAL",
    "REQUIRED",
    "SOCKET",
    "ChoiceOf",
    "FileOf",
    "FilesIn",
    "Mark",
    "NodeMark",
    "NodeType",
    "Number",
    "Origin",
    "Port",
    "Seed",
    "Text",
    "Tip",
    "Widget",
    "declare",
    "node",
]

F = TypeVar("F", bound=Callable[..., Any])
LaneName = Literal["compute", "io"]
HOOKS = ("fingerprint", "needs", "check")


@dataclass(frozen=True)
class Origin:
    """The plugin that something was registered by. code: the hash of all its files."""

    plugin: str
    version: str
    code: str
    folder: str

    def __str__(self) -> str:
        return f"plugin {self.plugin} in {self.folder}"


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
    extensions:  extension points whose entries it looks through, beside those of its choices.
    origin:      the plugin it comes from; None for the core.
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
    lane: LaneName = "compute"
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
    extensions: tuple[str, ...] = ()
    origin: Origin | None = field(default=None, repr=False)

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
    lane: LaneName = "compute",
    cached: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    fingerprint: Callable[..., str] | None = None,
    needs: Callable[..., Iterable[str]] | None = None,
    check: Callable[..., str | None] | None = None,
    extensions: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Mark a typed function as a node. The function stays what it is: its test just calls it.

    Raise `version` when the result changes for equal inputs, so that cached results are dropped.
    A node that looks through all entries of an extension point names it in `extensions`: its key
    then depends on the code of the plugins that added to it.
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
        "extensions": extensions,
    }

    def mark(function: F) -> F:
        function.__node__ = NodeMark(name, options)  # type: ignore[attr-defined]
        return function

    return mark


def declare(function: Callable[..., Any], mark: NodeMark, known: Mapping[Any, str]) -> NodeType:
    """The NodeType of a marked function; `known` maps annotations to wire names.

    Raises DeclarationError, naming the node and the parameter.
    """
    _check_mark(mark)
    signature = read_signature(function, mark.name, known)
    origin = f"{function.__module__}.{function.__qualname__}"
    options = dict(mark.options)
    kind = NodeType(
        name=mark.name,
        function=function,
        inputs=signature.inputs,
        outputs=signature.outputs,
        display_name=options.pop("display_name") or mark.name,
        description=inspect.getdoc(function) or "",
        module=function.__module__,
        output_node=options.pop("output_node") or signature.shows,
        context_name=signature.context_name,
        unpack=signature.unpack,
        is_async=inspect.iscoroutinefunction(function),
        # With the name: functions made by another function share all the rest.
        identity=f"{origin}:{mark.name}",
        by_name={port.name: port for port in signature.inputs},
        **options,
    )
    return replace(kind, hook_inputs=_hooks(kind))


def _check_mark(mark: NodeMark) -> None:
    """What `@node` was given; a type checker sees these too, but not everybody runs one."""
    if not isinstance(mark.name, str) or not mark.name:
        raise DeclarationError(f"a node's name is a text, not {mark.name!r}")
    version, lane = mark.options["version"], mark.options["lane"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise DeclarationError(f"node {mark.name}: version {version!r} is not a whole number")
    if lane not in get_args(LaneName):
        lanes = " or ".join(get_args(LaneName))
        raise DeclarationError(f"node {mark.name}: there is no lane {lane!r}; it is {lanes}")


def _hooks(kind: NodeType) -> dict[str, tuple[str, ...]]:
    """For each hook, the inputs it has parameters for; **rest stands for all."""
    lazy = [port.name for port in kind.inputs if port.lazy]
    if lazy and kind.needs is None:
        listed = ", ".join(lazy)
        raise DeclarationError(
            f"node {kind.name}: parameter {listed} is lazy, but no `needs` hook asks for it"
        )
    found: dict[str, tuple[str, ...]] = {}
    for label in HOOKS:
        hook = getattr(kind, label)
        if hook is None:
            continue
        parameters = inspect.signature(hook).parameters.values()
        named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        for parameter in parameters:
            if parameter.name in named and parameter.name not in kind.by_name:
                raise DeclarationError(
                    f"node {kind.name}: its {label} hook asks for {parameter.name}, which is no "
                    f"input"
                )
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise DeclarationError(
                    f"node {kind.name}: its {label} hook takes {parameter.name} by position; "
                    f"inputs are passed by name"
                )
        found[label] = tuple(named) if len(named) == len(parameters) else tuple(kind.by_name)
    return found
