r"""Prompts that change over the steps, read into a tree.

    prompt  = { text | bracket }
    bracket = "[" prompt ":" prompt ":" when "]"       the first until `when`, then the second
            | "[" prompt ":" when "]"                  nothing until `when`, then the prompt
            | "[" prompt "|" prompt { "|" prompt } "]" each step the next one, from the first again
    when    = a share of the steps from 0 to 1, or a whole number of steps above 1

`[a::0.4]` is of the first kind with nothing as its second prompt. Inside parentheses `:` and `|`
are text, so that weights stay whole: `[(cat:1.2):dog:0.4]`. So is the colon of `embedding:name`.
`\[` and `\]` are brackets as text; inside brackets `\:` and `\|` are text as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from nodegraph import NodeGraphError

DEEPEST = 50  # brackets in brackets
NEARLY = 1e-9  # 0.29 · 100 is 28.999999999999996, and means 29


@dataclass(frozen=True)
class Moment:
    """A point of the walk: after a share of the steps in [0, 1], or after so many of them."""

    number: float

    @property
    def is_share(self) -> bool:
        return self.number <= 1

    def passed(self, step: int, steps: int) -> bool:
        """Whether step number `step`, from 0, of `steps` lies behind it: ⌊share · steps⌋ <= step"""
        return step >= (math.floor(self.number * steps + NEARLY) if self.is_share else self.number)


@dataclass(frozen=True)
class Switch:
    """One prompt until a moment, another from then on."""

    before: Prompt
    after: Prompt
    when: Moment


@dataclass(frozen=True)
class Turns:
    """Several prompts that take turns, a step each."""

    choices: tuple[Prompt, ...]


Prompt: TypeAlias = tuple["str | Switch | Turns", ...]


def read(text: str) -> Prompt:
    """The tree of a prompt. Raises NodeGraphError that names line and column."""
    return _Reader(text).prompt(inside=False)


@dataclass
class _Reader:
    """Reads a text from front to back; `place` is what it looks at."""

    text: str
    place: int = 0
    opened: list[int] = field(default_factory=list)  # where the brackets around `place` begin

    def prompt(self, *, inside: bool) -> Prompt:
        """All up to the mark that ends it, which is left unread: inside brackets `:`, `|`, `]`."""
        pieces: list[str | Switch | Turns] = []
        plain, groups = "", list[int]()
        while mark := self.mark():
            if mark == "[":
                pieces += [plain, self.bracket()]
                plain = ""
            elif mark == "]" and not inside:
                self.fail(self.place, r"this ] closes nothing; as text it is written \]")
            elif mark == "]" and groups:
                self.fail(groups[-1], r"this ( is open when ] comes; as text it is written \(")
            elif inside and self.ends(mark, plain, groups):
                break
            else:
                plain += self.character(groups, inside=inside)
        return (*pieces, plain)

    def ends(self, mark: str, plain: str, groups: list[int]) -> bool:
        """Whether `mark` ends a part of a bracket; not so inside parentheses."""
        names_a_file = mark == ":" and plain.endswith("embedding")
        return mark in ":|]" and not groups and not names_a_file

    def character(self, groups: list[int], *, inside: bool) -> str:
        """The next one of a text, an escape resolved; `groups` are the parentheses around it."""
        two = self.text[self.place : self.place + 2]
        self.place += 1
        if two[0] == "\\" and two[1:] in tuple("[]:|" if inside else "[]"):
            self.place += 1
            return two[1]
        if two in ("\\(", "\\)"):  # for whoever reads the weights
            self.place += 1
            return two
        if two[0] == "(":
            groups.append(self.place - 1)
        elif two[0] == ")" and groups:
            groups.pop()
        return two[0]

    def bracket(self) -> Switch | Turns:
        self.opened.append(self.place)
        if len(self.opened) > DEEPEST:
            self.fail(self.place, f"brackets are nested more than {DEEPEST} deep")
        parts, marks, begin = list[Prompt](), "", self.place
        while (mark := self.mark()) != "]" or not parts:
            if not mark:
                self.fail(self.opened[-1], r"this [ is not closed; as text it is written \[")
            marks += mark
            self.place += 1
            begin = self.place
            parts.append(self.prompt(inside=True))
        self.place += 1
        return self.made(parts, marks[1:], begin)

    def made(self, parts: list[Prompt], marks: str, last: int) -> Switch | Turns:
        """What a bracket stands for: its parts, the marks between them, where the last begins."""
        opening = self.opened.pop()
        match marks:
            case ":":
                return Switch(("",), parts[0], self.moment(parts[-1], last))
            case "::":
                return Switch(parts[0], parts[1], self.moment(parts[-1], last))
            case _ if marks and set(marks) == {"|"}:
                return Turns(tuple(parts))
        self.fail(
            opening,
            "expected [from:to:when], [text:when] or [one|other] from this bracket on; "
            r"[, ], : and | as text are written \[, \], \: and \|",
        )

    def moment(self, part: Prompt, begin: int) -> Moment:
        word = part[0].strip() if len(part) == 1 and isinstance(part[0], str) else ""
        if word.isascii() and word.replace(".", "", 1).isdecimal():
            number = float(word)
            if number <= 1 or number.is_integer():
                return Moment(number)
        self.fail(
            begin,
            "expected when to change: a share of the steps from 0 to 1, or a whole number of steps "
            r"above 1; a colon that is text is written \:",
        )

    def mark(self) -> str:
        """The character looked at; nothing at the end."""
        return self.text[self.place : self.place + 1]

    def fail(self, place: int, fault: str) -> NoReturn:
        before = self.text[:place]
        line, column = before.count("\n") + 1, place - before.rfind("\n")
        raise NodeGraphError(f"prompt schedule, line {line}, column {column}: {fault}")
