"""Changing settings in a file: what is wanted is there, and all else is as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import settings_file
from nodegraph.errors import SettingsError
from nodegraph.settings import Settings
from nodegraph.settings_file import write_settings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "disabled_plugins: [a, b]\n"),
        ("port: 1", "port: 1\ndisabled_plugins: [a, b]\n"),
        ("# mine\nport: 1  # here\n", "# mine\nport: 1  # here\ndisabled_plugins: [a, b]\n"),
        ("disabled_plugins: []\nport: 1\n", "disabled_plugins: [a, b]\nport: 1\n"),
        (
            "# why\ndisabled_plugins:  # those\n  - x\n  - y\n\n# next\nport: 1\n",
            "# why\ndisabled_plugins: [a, b]\n\n# next\nport: 1\n",
        ),
        ("disabled_plugins: x, y # two\nport: 1\n", "disabled_plugins: [a, b] # two\nport: 1\n"),
        ("port: 1\ndisabled_plugins: [x,\n  y]\n", "port: 1\ndisabled_plugins: [a, b]\n"),
        ("disabled_plugins:\n- x", "disabled_plugins: [a, b]"),
    ],
)
def test_a_setting_is_written_and_all_else_stays(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "nodegraph.yaml"
    file.write_text(before)

    write_settings(file, {"disabled_plugins": ["a", "b"]})

    assert file.read_text() == after
    assert Settings.load(file).disabled_plugins == ("a", "b")
    assert os.listdir(tmp_path) == ["nodegraph.yaml"]


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "nodegraph.yaml"

    write_settings(file, {"plugin_permissions": {"a": ["network", "files"]}, "enabled_plugins": []})

    assert file.read_text() == "plugin_permissions: {a: [network, files]}\n"
    assert Settings.load(file).plugin_permissions == ("a.network", "a.files")


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "nodegraph.yaml"
    file.write_text("token: secret-secret\n")
    file.chmod(0o640)
    link.symlink_to(file)

    write_settings(link, {"disabled_plugins": ["a"]})

    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.read_text() == "token: secret-secret\ndisabled_plugins: [a]\n"


@pytest.mark.parametrize(
    "before",
    ["{port: 1}", "disabled_plugins: &names [x]\nenabled_plugins: *names\n", "port: 1\n...\n"],
)
def test_a_file_that_cannot_be_changed_safely_is_left_and_the_lines_are_told(
    tmp_path: Path, before: str
) -> None:
    file = tmp_path / "nodegraph.yaml"
    file.write_text(before)

    with pytest.raises(SettingsError) as error:
        write_settings(file, {"disabled_plugins": ["a"]})

    assert file.read_text() == before
    assert str(file) in str(error.value)
    assert "write there: `disabled_plugins: [a]`" in str(error.value)
    assert os.listdir(tmp_path) == ["nodegraph.yaml"]


def test_a_change_that_would_say_something_else_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "nodegraph.yaml"
    file.write_text("port: 1\n")
    monkeypatch.setattr(settings_file, "_changed", lambda *_: "port: 2\ndisabled_plugins: [a]\n")

    with pytest.raises(SettingsError, match="cannot be changed safely"):
        write_settings(file, {"disabled_plugins": ["a"]})

    assert file.read_text() == "port: 1\n"


def test_a_file_with_mistakes_is_left_and_they_are_told(tmp_path: Path) -> None:
    file = tmp_path / "nodegraph.yaml"
    file.write_text("prot: 1\n")

    with pytest.raises(SettingsError, match="did you mean port"):
        write_settings(file, {"disabled_plugins": ["a"]})

    assert file.read_text() == "prot: 1\n"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="cannot be written"):
        write_settings(tmp_path / "file" / "nodegraph.yaml", {"disabled_plugins": ["a"]})


NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True), max_size=3, unique=True)


@given(NAMES, NAMES, st.sampled_from(["", "# first\n", "port: 1\n", "disabled_plugins: [z]\n"]))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, disabled: list[str], enabled: list[str], before: str
) -> None:
    file = tmp_path_factory.mktemp("settings") / "nodegraph.yaml"
    file.write_text(before)

    write_settings(file, {"disabled_plugins": disabled, "enabled_plugins": enabled})

    found = Settings.load(file)
    assert (found.disabled_plugins, found.enabled_plugins) == (tuple(disabled), tuple(enabled))
    assert found.port == (1 if "port" in before else 8188)
