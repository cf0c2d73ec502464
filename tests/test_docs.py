"""The documents hold together: what they link to is there, and nothing is left to fill in."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text)

    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_place_left_to_fill_in(page: Path) -> None:
    assert not re.search(r"^@[A-Z]+@$|TODO|FIXME", page.read_text(), re.MULTILINE)


def test_the_readme_names_the_commands_the_makefile_has() -> None:
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))

    assert {"run", "test"} <= commands
    for command in commands:
        subprocess.run(
            ["make", "--dry-run", command], cwd=ROOT, check=True, capture_output=True, timeout=60
        )
