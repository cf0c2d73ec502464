"""The catalogue clients read (GET /object_info): node types as JSON.

    {"ImageScale": {"input": {"required": {"width": ["INT", {"default": 512, "min": 0}],
                                           "upscale_method": [["area", "bicubic"], {}]},
                              "optional": {...}},
                    "input_order": {"required": ["width", "upscale_method"], ...},
                    "output": ["IMAGE"], "output_is_list": [false], "output_name": ["IMAGE"], ...}}

A port stands among the required ones unless it is marked optional, even if it has a default: the
default is then one of its options. Nothing in the answer but JSON: no NaN, no infinity.
"""

from __future__ import annotations

import json
from typing import Any

from .node import FileOf, NodeType, Number, Port, Seed, Text
from .registry import Registry

# What the editor draws a widget for, and so what `widgets_values` holds a value of.
WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})


def object_info(registry: Registry) -> dict[str, Any]:
    """Every node type of the registry by name, as `node_info` gives it."""
    return {name: node_info(registry, kind) for name, kind in registry.nodes.items()}


def node_info(registry: Registry, kind: NodeType) -> dict[str, Any]:
    """One node type. The choices of file ports are listed anew at each call."""
    sections = {"required": required_ports(kind)}
    if optional := optional_ports(kind):
        sections["optional"] = optional
    info: dict[str, Any] = {
        "input": {
            name: {port.name: port_info(registry, port) for port in ports}
            for name, ports in sections.items()
        },
        "input_order": {name: [port.name for port in ports] for name, ports in sections.items()},
        "output": [port.type for port in kind.outputs],
        "output_is_list": [port.is_list for port in kind.outputs],
        "output_name": [port.name for port in kind.outputs],
        "name": kind.name,
        "display_name": kind.display_name,
        "description": kind.description,
        "python_module": kind.module,
        "category": kind.category,
        "output_node": kind.output_node,
    }
    if any(port.tooltip for port in kind.outputs):
        info["output_tooltips"] = [port.tooltip for port in kind.outputs]
    info |= {flag: True for flag in ("deprecated", "experimental") if getattr(kind, flag)}
    return info


def required_ports(kind: NodeType) -> list[Port]:
    """The ports clients show as required, in order."""
    return [port for port in kind.inputs if not port.optional]


def optional_ports(kind: NodeType) -> list[Port]:
    """The ports clients show as optional, in order."""
    return [port for port in kind.inputs if port.optional]


def widget_ports(kind: NodeType) -> list[Port]:
    """The ports the editor draws a widget for, in its order: required ones first."""
    ports = required_ports(kind) + optional_ports(kind)
    return [port for port in ports if port.type in WIDGET_TYPES and not port.socket]


def port_info(registry: Registry, port: Port) -> list[Any]:
    """One input: `[type, options]`, or `[[choice, ...], options]`."""
    options = registry.options(port)
    return [port.type if options is None else list(options), _options(port)]


def _options(port: Port) -> dict[str, Any]:
    values = {} if port.required else {"default": port.default}
    values |= _bounds(port)
    flags = {
        "control_after_generate": isinstance(port.widget, Seed),
        "image_upload": isinstance(port.widget, FileOf) and port.widget.upload,
        "lazy": port.lazy,
        "forceInput": port.socket and port.type in WIDGET_TYPES,
    }
    if isinstance(port.widget, Text):
        flags |= {
            "multiline": port.widget.multiline,
            "dynamicPrompts": port.widget.dynamic_prompts,
        }
        values["placeholder"] = port.widget.placeholder or None
    values["tooltip"] = port.tooltip or None
    found = {name: value for name, value in values.items() if _can_be_shown(value)}
    return found | {name: True for name, is_set in flags.items() if is_set}


def _bounds(port: Port) -> dict[str, Any]:
    match port.widget:
        case Number(low, high, step, round_to):
            return {"min": low, "max": high, "step": step, "round": round_to}
        case Seed(low, high):
            return {"min": low, "max": high}
        case _:
            return {}


def _can_be_shown(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return value is not None
