"""Recorded conversations with the clients of the ecosystem, one file each, held once more.

    # a remark
    WS path               opens the client's websocket, which CLOSE closes
    -> JSON               is said over it
    <- JSON               is heard over it, and nothing before; PNG: a binary frame of that kind
    SKIP type type        from here on such messages may come or not
    METHOD path JSON      a request; with ~ (GET~) repeated until the answer fits
    STATUS JSON           its answer; PNG: a picture; nothing: an empty one
    GATE name             lets the nodes go on that wait for it

What is indented belongs to the line before. "$int" and "$text" stand for any, "$name" for a text
that is the same everywhere; "..." as a key says that there may be others. Of the messages about
the length of the queue some may be left out, so only a few are written down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from server_listener import Listener, faultless, listening, open_gate
from server_process import Answer, ServerProcess, serving, until

RECORDED = sorted((Path(__file__).parent / "data" / "conversations").glob("*.txt"))
PNG = b"\x89PNG\r\n\x1a\n"


def lines(path: Path) -> Iterator[str]:
    """The lines of a recording, each with what belongs to it."""
    text = re.sub(r"\n[ \t]+", " ", path.read_text())
    return (line for line in text.splitlines() if line and not line.startswith("#"))


@dataclass
class Held:
    """A conversation that is being held. names: what the names in it stand for."""

    server: ServerProcess
    stack: ExitStack
    names: dict[str, str] = field(default_factory=dict)
    listener: Listener | None = None
    heard: int = 0
    skipped: tuple[str, ...] = ()
    request: tuple[str, str, str] = ("", "", "")
    answer: Answer | None = None

    def step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "WS":
                query = self.named(rest).partition("=")[2]
                self.listener = self.stack.enter_context(listening(self.server, query))
                self.heard = 0
            case "CLOSE":
                assert self.listener is not None
                self.listener.leave()
            case "->":
                assert self.listener is not None
                self.listener.say(json.loads(self.named(rest)))
            case "<-":
                self.hear(rest)
            case "SKIP":
                self.skipped = tuple(rest.split())
            case "GATE":
                open_gate(self.server, rest)
            case _ if word.isdigit():
                self.compare(int(word), rest)
            case _:
                method, (path, _, body) = word, rest.partition(" ")
                self.request = (method, self.named(path), self.named(body))
                self.answer = None

    def hear(self, expected: str) -> None:
        message = self.next("status" if '"status"' in expected else "")
        if expected == "PNG":
            assert isinstance(message, bytes), message
            assert message[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 2])
            assert message[8:].startswith(PNG)
        else:
            assert isinstance(message, dict), message[:20]
            assert self.fits(json.loads(expected), message), (expected, message)

    def next(self, wanted: str) -> Any:
        """The next message that is not left out of recordings, unless that is what is wanted."""
        listener = self.listener
        assert listener is not None
        while True:
            listener.wait(lambda: len(listener.received) > self.heard)
            message = listener.received[self.heard]
            self.heard += 1
            kind = message["type"] if isinstance(message, dict) else ""
            if kind == wanted or kind not in ("status", *self.skipped):
                return message

    def compare(self, status: int, expected: str) -> None:
        method, path, body = self.request
        if method.endswith("~"):
            until(lambda: self.answered(method[:-1], path, body, status, expected))
        else:
            assert self.answered(method, path, body, status, expected), (expected, self.answer)

    def answered(self, method: str, path: str, body: str, status: int, expected: str) -> bool:
        answer = self.server.request(method, path, body.encode() or None)
        self.answer = answer
        if answer.status != status:
            return False
        if expected in ("", "PNG"):
            return answer.body[:8] == (PNG if expected else b"")
        return self.fits(json.loads(expected), answer.json)

    def named(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text

    def fits(self, expected: Any, found: Any) -> bool:
        """Whether something is what was recorded."""
        if expected == "$int":
            return type(found) is int
        if expected == "$text":
            return isinstance(found, str) and found != ""
        if isinstance(expected, str) and expected.startswith("$"):
            return isinstance(found, str) and self.names.setdefault(expected, found) == found
        if isinstance(expected, dict):
            return isinstance(found, dict) and self.fits_object(expected, found)
        if isinstance(expected, list):
            return (
                isinstance(found, list)
                and len(found) == len(expected)
                and all(self.fits(one, other) for one, other in zip(expected, found, strict=True))
            )
        return type(found) is type(expected) and bool(found == expected)

    def fits_object(self, expected: dict[str, Any], found: dict[str, Any]) -> bool:
        known = {self.named(name): value for name, value in expected.items() if name != "..."}
        if not known.keys() <= found.keys():
            return False
        if len(known) < len(found) and "..." not in expected:
            return False
        return all(self.fits(value, found[name]) for name, value in known.items())


@pytest.mark.parametrize("recording", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_conversation_can_be_held_again(recording: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as server, ExitStack() as stack:
        held = Held(server, stack)
        for line in lines(recording):
            held.step(line)
        faultless(server)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "...": 0}, {"b": 2}),
        ({"a": "$int"}, {"a": 1.0}),
        ({"a": "$int"}, {"a": True}),
        ({"a": "$text"}, {"a": ""}),
        ({"a": "$one", "b": "$one"}, {"a": "x", "b": "y"}),
        ({"$one": 1, "a": "$one"}, {"x": 1, "a": "x"}),
        ([1, 2], [1]),
        ([1], [True]),
        ({}, []),
        (None, 0),
        (1, 1.0),
    ],
)
def test_a_conversation_that_goes_otherwise_is_noticed(expected: Any, found: Any) -> None:
    held = Held(None, ExitStack())  # type: ignore[arg-type]

    assert not held.fits(expected, found)
    assert held.fits(found, found)
