"""What docs/security.md says is so: its settings are settings, its errors are the server's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guarded_server import TOKEN

from nodegraph.server.access import Access
from nodegraph.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_its_settings_are_taken_and_want_a_token(example: str, tmp_path: Path) -> None:
    file = tmp_path / "nodegraph.yaml"
    file.write_text(example.replace("token: ...", f"token: {TOKEN}"))
    without = tmp_path / "without.yaml"
    without.write_text(example.replace("token: ...", ""))

    assert Access(Settings.load(file)).token == TOKEN
    assert Access(Settings.load(without)).token is not None


def test_it_lists_the_server_s_own_words_for_what_it_refuses() -> None:
    source = "".join(path.read_text() for path in (ROOT / "nodegraph/server").glob("*.py"))
    words = re.findall(r"^\| \d{3} `(\w+)`", PAGE, re.MULTILINE)

    assert len(words) >= 5
    assert all(f'"{word}"' in source for word in words)


def test_the_proxies_of_its_examples_take_whole_uploads() -> None:
    mebibytes = Settings().max_upload_bytes >> 20

    limits = re.findall(r"(?:max_size|client_max_body_size) (\d+)(MiB|m;)", PAGE)

    assert [int(limit) for limit, _ in limits] == [mebibytes + 1] * 2
