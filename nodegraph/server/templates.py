"""Example workflows that the page offers to begin with: the graphs in workflows/.

They come along with the package; in a checkout they are beside it. What they show, and in which
group they are, is read from the tables of the README there; their pictures are in its thumbnails/
(see benchmarks/thumbnails.py). Nothing else is served from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "_workflows", PACKAGE.parent / "workflows")
README, THUMBNAILS = "README.md", "thumbnails"
WORDS: Mapping[str, str] = MappingProxyType(
    {"ddpm": "DDPM", "lora": "LoRA", "gpu": "GPU", "controlnet": "ControlNet"}
    | {"controlnets": "ControlNets"}
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_GROUP = re.compile(r"## +(.+?) *")
_ROW = re.compile(r"\| *`([a-z0-9_-]+)\.json` *\| *(.+?) *\|")
_SEE = re.compile(r" *\(\[[^\]]*\]\(\.\./docs/[^)]*\)\)")  # "([docs/lora.md](../docs/lora.md))"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Template:
    """An example. group: "" where the README does not list it; picture: there is one."""

    name: str
    title: str
    group: str
    description: str
    picture: bool

    def as_json(self) -> dict[str, str | bool]:
        return asdict(self)


def templates() -> list[Template]:
    """The examples: those of the README in its order, then the others; [] if none came along."""
    folder = next((place for place in PLACES if place.is_dir()), None)
    if folder is None:
        return []
    listed = _listed(folder / README)
    names = [path.stem for path in folder.glob("*.json") if path.is_file()]
    order = {name: place for place, name in enumerate(listed)}
    ordered = sorted(names, key=lambda name: (order.get(name, len(order)), name))
    return [
        Template(name, _title(name), *listed.get(name, ("", "")), picture(name) is not None)
        for name in ordered
        if _NAME.fullmatch(name)
    ]


def template(name: str) -> Path | None:
    """The file of an example; None if there is none of that name."""
    return _file(name, f"{name}.json")


def picture(name: str) -> Path | None:
    """The small picture of an example, WebP; None if there is none."""
    return _file(name, f"{THUMBNAILS}/{name}.webp")


def _file(name: str, path: str) -> Path | None:
    if not _NAME.fullmatch(name):
        return None
    paths = (place / path for place in PLACES)
    return next((path for path in paths if path.is_file()), None)


def _listed(readme: Path) -> dict[str, tuple[str, str]]:
    """Group and description by name, from tables `| file | what it shows |` under headings."""
    found: dict[str, tuple[str, str]] = {}
    group = ""
    try:
        lines = readme.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return found
    for line in lines:
        if heading := _GROUP.fullmatch(line):
            group = heading[1]
        elif row := _ROW.fullmatch(line):
            found[row[1]] = (group, _plain(row[2]))
    return found


def _plain(text: str) -> str:
    """Markdown as plain words; references to the documentation go."""
    return _LINK.sub(r"\1", _SEE.sub("", text)).replace("`", "")


def _title(name: str) -> str:
    """ "train_lora" as "Train LoRA"."""
    words = " ".join(WORDS.get(word, word) for word in re.split("[_-]", name))
    return words[:1].upper() + words[1:]
