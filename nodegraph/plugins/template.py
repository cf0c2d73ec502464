"""A new plugin to start from: a manifest, a working conditioning node, its test, a README."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from nodegraph.errors import PluginError
from nodegraph.version import VERSION

FILES = ("plugin.yaml", "conditioning.py", "test_name.py", "README.md")
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def create(name: str, folder: Path) -> Path:
    """Make a plugin in `folder`; its place. What is there already is never written over.

    Raises PluginError where the name cannot be one, or the folder is there or cannot be made.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise PluginError(
            f"a plugin cannot be named {name!r}: expected a word of small letters, digits and _"
        )
    place = folder / name
    words = {
        "name": name,
        "node": "".join(part.capitalize() for part in name.split("_")),
        "title": " ".join(part.capitalize() for part in name.split("_") if part),
        "nodegraph": VERSION,
    }
    try:
        place.mkdir(parents=True)
        for file in FILES:
            text = Template(_text(file)).substitute(words)
            with (place / file.replace("test_name", f"test_{name}")).open("x") as made:
                made.write(text)
    except FileExistsError as error:
        raise PluginError(f"{place} is there already: nothing was written") from error
    except OSError as error:
        raise PluginError(f"{place} cannot be made: {error.strerror}") from error
    return place


def _text(file: str) -> str:
    return (resources.files(__package__) / "start" / f"{file}.txt").read_text("utf-8")
