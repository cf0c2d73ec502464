"""The command `plugins`, and the flags that choose plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import small_nodes
from command_line import CommandLine
from plugin_support import plugin, shouting

from nodegraph.settings import Settings

pytestmark = pytest.mark.usefixtures("modules_as_before")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line with one plugin of each kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")
    home = tmp_path / "home" / "plugins"
    shouting(home, "loud", 'version: "1.2"\ndescription: Shouts.')
    return CommandLine(tmp_path)


def several(call: CommandLine) -> None:
    home = call.folder / "home" / "plugins"
    plugin(home, "broken", {"bad": "raise ValueError('[no]')"})
    plugin(home, "idle", {"bad": "raise ValueError"}, "enabled: false")
    plugin(home, "phones_home", {"words": ""}, "touches: [network]")


def states(call: CommandLine, *flags: str, code: int = 0) -> dict[str, str]:
    return {each["name"]: each["state"] for each in call.answer("plugins", *flags, code=code)}


def test_all_is_well_where_all_plugins_are_loaded(call: CommandLine) -> None:
    result = call("plugins")

    assert result.stdout.split("\n")[0].split() == ["name", "version", "state", "nodes", "touches"]
    assert result.stdout.split("\n")[1].split() == ["loud", "1.2", "loaded", "1", "Shouts."]
    assert result.stderr == ""


def test_what_is_not_loaded_is_listed_with_the_reason(call: CommandLine) -> None:
    several(call)

    result = call("plugins", code=5)

    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert rows[1:] == [["broken", "broken"], ["idle", "disabled"], ["loud", "1.2"],
                        ["phones_home", "needs"]]  # fmt: skip
    assert "warning: plugin broken: bad.py, line 1: ValueError: [no]" in result.stderr
    assert "idle is disabled: its plugin.yaml says so; `plugins enable idle`" in result.stderr
    assert "plugin_permissions: {phones_home: [network]}" in result.stderr


def test_as_json_it_is_one_document(call: CommandLine) -> None:
    several(call)

    found = {each["name"]: each for each in call.answer("plugins", code=5)}

    assert found["loud"] == {
        "name": "loud",
        "version": "1.2",
        "description": "Shouts.",
        "state": "loaded",
        "nodes": ["Shout"],
        "touches": [],
        "web": [],
        "reason": "",
        "warnings": [],
    }
    assert found["phones_home"]["state"] == "needs permission"
    assert found["broken"]["reason"] == "plugin broken: bad.py, line 1: ValueError: [no]"


def test_without_plugins_that_is_said(call: CommandLine) -> None:
    bare = CommandLine(call.folder / "elsewhere")

    assert "there are no plugins" in bare("plugins").stderr
    assert bare.answer("plugins") == []


def test_flags_choose_for_one_command(call: CommandLine) -> None:
    several(call)
    flags = ("--disable-plugin", "loud", "--disable-plugin", "broken", "--enable-plugin", "idle")

    found = states(call, *flags, "--permit-plugin", "phones_home.network", code=5)

    assert found == {
        "broken": "disabled",
        "idle": "broken",
        "loud": "disabled",
        "phones_home": "loaded",
    }


def test_a_flag_goes_before_the_settings_and_adds_to_them(call: CommandLine) -> None:
    several(call)
    Path("nodegraph.yaml").write_text("disabled_plugins: [broken, loud, phones_home]\n")

    assert set(states(call).values()) == {"disabled"}
    assert states(call, "--enable-plugin", "loud")["loud"] == "loaded"
    assert states(call, "--enable-plugin", "loud")["broken"] == "disabled"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--permit-plugin", "loud"), "--permit-plugin takes permissions of plugins"),
        (
            ("--enable-plugin", "a", "--disable-plugin", "a"),
            "--enable-plugin and --disable-plugin both name a",
        ),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    call: CommandLine, flags: tuple[str, ...], complaint: str
) -> None:
    assert complaint in call("plugins", *flags, code=5).stderr


def test_enabling_and_disabling_are_written_into_the_settings(call: CommandLine) -> None:
    several(call)
    Path("nodegraph.yaml").write_text("# mine\ndisabled_plugins: [broken]  # for now\nport: 1\n")

    said = call("plugins", "disable", "loud").stderr
    assert said == (
        "loud is disabled in nodegraph.yaml; a server that runs notices at its next start\n"
    )
    call("plugins", "enable", "idle")
    call("plugins", "enable", "phones_home", "--permit", "network")

    assert Path("nodegraph.yaml").read_text() == (
        "# mine\ndisabled_plugins: [broken, loud]  # for now\nport: 1\nenabled_plugins: [idle]\n"
        "plugin_permissions: {phones_home: [network]}\n"
    )
    assert states(call, code=5) == {
        "broken": "disabled",
        "idle": "broken",
        "loud": "disabled",
        "phones_home": "loaded",
    }
    call("plugins", "enable", "loud")
    call("plugins", "disable", "idle")
    settings = Settings.load()
    assert (settings.disabled_plugins, settings.enabled_plugins) == (("broken", "idle"), ())


def test_enabling_says_what_is_still_to_be_permitted(call: CommandLine) -> None:
    several(call)

    said = call("plugins", "enable", "phones_home").stderr

    assert "warning: plugin phones_home uses the network: to permit it write" in said
    assert "or `plugins enable phones_home --permit network`" in said


def test_the_file_that_is_named_is_written(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("plugins", "--config", "own.yaml", "disable", "loud", code=5)  # it is not there yet
    Path("own.yaml").write_text("")
    call("plugins", "--config", "own.yaml", "disable", "loud")
    assert Path("own.yaml").read_text() == "disabled_plugins: [loud]\n"

    Path("other.yaml").write_text("")
    monkeypatch.setenv("NODEGRAPH_CONFIG", "other.yaml")
    monkeypatch.setenv("NODEGRAPH_DISABLED_PLUGINS", "x")
    said = call("plugins", "disable", "loud").stderr
    assert Path("other.yaml").read_text() == "disabled_plugins: [loud]\n"
    assert "the variable NODEGRAPH_DISABLED_PLUGINS is set, which goes before the file" in said
    assert not Path("nodegraph.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("enable", "luod"), "no plugin is named 'luod'; did you mean loud?"),
        (("disable", "zzz"), "no plugin is named 'zzz'; `plugins` lists all"),
        (
            ("enable", "loud", "--permit", "network"),
            "--permit network: loud declares nothing of network, files, subprocesses",
        ),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest(
    call: CommandLine, arguments: tuple[str, ...], complaint: str
) -> None:
    assert complaint in " ".join(call("plugins", *arguments, code=2).stderr.split())
    assert not Path("nodegraph.yaml").exists()


def test_a_new_plugin_is_there_and_loaded(call: CommandLine) -> None:
    made = call("plugins", "new", "glow", "--in", "mine")

    assert made.stdout.split() == [
        f"mine/glow/{name}"
        for name in ("README.md", "conditioning.py", "plugin.yaml", "test_glow.py")
    ]
    home, place = call.folder / "home", call.folder / "mine" / "glow"
    assert made.stderr == f"its test passes, in {home}: python -m pytest {place}\n"
    again = call("plugins", "new", "glow", "--in", "mine", code=5)
    assert "mine/glow is there already: nothing was written" in again.stderr
    inside = call("plugins", "new", "glow")
    assert (call.folder / "home/plugins/glow/plugin.yaml").is_file()
    assert inside.stderr == f"its test passes: python -m pytest {home}/plugins/glow\n"


def test_a_command_warns_of_plugins_that_are_not_loaded(call: CommandLine) -> None:
    several(call)
    text = "from nodegraph import Extension\nE = Extension('colour', {})"
    plugin(call.folder / "home/plugins", "doubtful", {"nodes": text})
    call.file({"1": {"class_type": "Shout", "inputs": {"text": "hi"}}})
    small_nodes_with_point = call.modules

    said = CommandLine(call.folder, lambda: (*small_nodes_with_point(), colours()))(
        "validate", "graph.json", code=3
    ).stderr

    assert "warning: plugin broken: bad.py" in said
    assert "idle" not in said
    assert (
        "warning: plugin doubtful: nothing reads the extension point 'colour'; did you mean "
        "'colours'?" in said
    )


def colours() -> object:
    from executor_support import module_of

    from nodegraph.registry import Extension

    return module_of(Extension("colours", {}))


def test_nothing_of_torch_is_needed_to_begin_or_disable_one(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nodegraph.cli import Core, main\n"
        "sys.modules['torch'] = None\n"
        "main(Core(lambda: (), Path('home')))"
    )
    root = Path(small_nodes.__file__).parent.parent
    (tmp_path / "home" / "plugins").mkdir(parents=True)

    for arguments in (["new", "glow"], ["disable", "glow"], ["enable", "glow"]):
        subprocess.run(
            [sys.executable, "-c", program, "plugins", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(root)},
            check=True,
            timeout=60,
        )
