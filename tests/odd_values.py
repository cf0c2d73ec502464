"""Hypothesis strategies: any JSON, commands that are nearly right, graphs that were right once."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

COMMANDS = ("submit", "validate", "cancel", "subscribe", "unsubscribe", "result", "feature_flags")
SMALL = {
    "1": {"class_type": "Count", "inputs": {"value": 3, "word": "w", "ratio": 0.5, "mode": "up"}},
    "2": {"class_type": "Add", "inputs": {"left": ["1", 0], "right": 4}},
    "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}, "_meta": {"title": "t"}},
    "4": {"class_type": "Join", "inputs": {"words": {"__value__": ["a", "b"]}}},
    "5": {"class_type": "Save", "inputs": {"value": ["4", 0], "prefix": "fuzz"}},
    "6": {"class_type": "SaveTwice", "inputs": {"value": ["2", 0]}},
    "7": {"class_type": "Steps", "inputs": {"value": ["2", 0], "count": 2}},
    "8": {"class_type": "Show", "inputs": {"value": ["7", 0]}},
}
FIELDS = (
    "prompt",
    "prompt_id",
    "client_id",
    "number",
    "front",
    "deadline",
    "extra_data",
    "partial_execution_targets",
    "since",
    "images",
)

# Texts with all that trips programs: NUL, half characters, right-to-left marks, names of paths.
texts = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Lu"]), max_size=5),
    st.sampled_from(["", "\0", "\ud800", "../../etc/passwd", "C:\\x", "%s%n{0}", "__proto__", "1"]),
)
numbers = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**53 + 1, -(2**63) - 1, 2**64, 10**300, 10**4000]),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
ids = st.one_of(st.sampled_from([*SMALL, "99", "", "a b", "é", "\ud800"]), texts)
links = st.tuples(ids, st.integers(-2, 3) | scalars).map(list)


@st.composite
def commands(draw: st.DrawFn) -> Any:
    """What a client might say over a websocket: nearly a command."""
    data = draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4) | values)
    if isinstance(data, dict) and draw(st.booleans()):
        data["prompt"] = draw(graphs())
    message = {
        "type": draw(st.sampled_from(COMMANDS) | values),
        "id": draw(values),
        "data": data,
    }
    for name in draw(st.sets(st.sampled_from(sorted(message)), max_size=1)):
        del message[name]
    return message


@st.composite
def graphs(draw: st.DrawFn, origin: Any = None) -> Any:
    """A graph with some things in it changed: `origin`, or a small one of the tests' nodes."""
    graph = copy.deepcopy(SMALL if origin is None else origin)
    for _ in range(draw(st.integers(1, 4))):
        graph = _changed(draw, graph)
    return graph


def _changed(draw: st.DrawFn, graph: Any) -> Any:
    """The graph with one change, anywhere in it."""
    places = list(_places(graph))
    if not places:
        return draw(values)
    holder, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["value", "link", "remove", "rename", "copy", "nest"])):
        case "value":
            holder[key] = draw(values)
        case "link":
            holder[key] = draw(links)
        case "remove":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(key)
        case "copy":
            other, where = draw(st.sampled_from(places))
            holder[key] = copy.deepcopy(other[where])
        case _:
            holder[key] = [holder[key]] if draw(st.booleans()) else {draw(texts): holder[key]}
    return graph


def _places(data: Any) -> Any:
    """(list or object, index or name) of everything in some JSON."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in list(keys):
        yield data, key
        yield from _places(data[key])


def as_json(value: Any) -> bytes:
    """As JSON; with NaN and Infinity as Python writes them, and half characters as escapes."""
    return json.dumps(value).encode()


def workflows(folder: Path) -> dict[str, Any]:
    """The graphs in a folder, by name."""
    return {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
