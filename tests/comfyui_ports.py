"""What the ecosystem's catalogue says of the ports of its nodes, and how ours are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "comfyui_ports.json").read_text()
)
# Of these choices ours are some: samplers grow with plugins, and other families are not read.
SOME = {("CLIPLoader", "type"), *((name, "sampler_name") for name in TABLE)}


def assert_order(name: str, info: Mapping[str, Any]) -> None:
    """A node has the ports of the ecosystem, in the same order, and is of the same kind."""
    expected = TABLE[name]
    assert info["input_order"]["required"] == [port[0] for port in expected["required"]]
    optional = [port[0] for port in expected.get("optional", [])]
    assert info["input_order"].get("optional", [])[: len(optional)] == optional
    outputs = list(zip(info["output_name"], info["output"], strict=True))
    assert outputs == [(_shown(*port), port[1]) for port in expected["output"]]
    assert info["output_node"] is expected.get("output_node", False)
    assert info["category"] == expected["category"]


def _shown(name: str, wire: str) -> str:
    """An output that is called as its type is shown as the type, in capitals."""
    return wire if name.upper() == wire else name


def assert_ports(name: str, info: Mapping[str, Any]) -> None:
    """Each port has the type, default, range and choices of the ecosystem."""
    for section in ("required", "optional"):
        for port, wanted, *rest in TABLE[name].get(section, []):
            kind, options = info["input"][section][port]
            facts = rest[0] if rest else {}
            where = f"{name}.{port}"
            if wanted == "FILE":
                assert isinstance(kind, list), where
            elif (name, port) in SOME:
                assert set(kind) <= set(wanted), where
                assert kind == [choice for choice in wanted if choice in kind], where
                assert kind, where
            else:
                assert kind == wanted, where
            assert {key: options.get(key) for key in facts} == facts, where
            if section == "required" and "default" not in facts:
                assert "default" not in options, where
