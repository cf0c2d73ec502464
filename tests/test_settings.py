import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import setting_values
from nodegraph.errors import SettingsError
from nodegraph.settings import SETTINGS, Settings

GIB = 1 << 30


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


def config(text: str, path: str = "nodegraph.yaml") -> Path:
    file = Path(path)
    file.write_text(text)
    return file


def test_without_any_source_the_defaults_hold() -> None:
    settings = Settings.load(None, {}, {})

    assert settings == Settings()
    assert (settings.host, settings.port, settings.device) == ("127.0.0.1", 8188, "auto")
    assert (settings.models, settings.host_budget) == ((Path("models"),), None)


def test_later_sources_win() -> None:
    config("port: 1\nhost: from-file\nprecision: fp16\ndevice: cpu\n")
    env = {"NODEGRAPH_PORT": "2", "NODEGRAPH_HOST": "from-env", "PATH": "/bin"}

    settings = Settings.load(None, env, {"port": 3, "strict": None})

    assert (settings.port, settings.host) == (3, "from-env")
    assert (settings.precision, settings.device, settings.strict) == ("fp16", "cpu", False)


def test_every_setting_is_read_from_yaml_with_paths_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.yaml"
    file.write_text(
        "models: [m, /data/models]\nextra_model_paths: x.yaml\n"
        "input: i\noutput: o\ntemp: t\ncache: c\n"
        "precision: bf16\ndevice: cuda:1\nstrict: true\n"
        "memory_cache_bytes: 512M\ndisk_cache_bytes: 0\nhost_budget: 8G\ndevice_budget: auto\n"
        "max_nodes: 5\nmax_document_bytes: 1.5K\nio_workers: 3\n"
        "plugins: p\ndisabled_plugins: [a, b]\ndebug: yes\nhost: 0.0.0.0\nport: 0\n"
        "enabled_plugins: c\nplugin_permissions: {a: [network, files], b: subprocesses}\n"
    )

    assert Settings.load(file) == Settings(
        models=(tmp_path / "m", Path("/data/models")),
        extra_model_paths=tmp_path / "x.yaml",
        input=tmp_path / "i",
        output=tmp_path / "o",
        temp=tmp_path / "t",
        cache=tmp_path / "c",
        precision="bf16",
        device="cuda:1",
        strict=True,
        memory_cache_bytes=512 << 20,
        disk_cache_bytes=0,
        host_budget=8 * GIB,
        device_budget=None,
        max_nodes=5,
        max_document_bytes=1536,
        io_workers=3,
        plugins=(tmp_path / "p",),
        disabled_plugins=("a", "b"),
        enabled_plugins=("c",),
        plugin_permissions=("a.network", "a.files", "b.subprocesses"),
        debug=True,
        host="0.0.0.0",
        port=0,
    )


def test_every_setting_is_read_from_the_environment_as_text() -> None:
    env = {
        "NODEGRAPH_MODELS": os.pathsep.join(["a", "/b"]),
        "NODEGRAPH_PLUGINS": "p",
        "NODEGRAPH_DISABLED_PLUGINS": "x, y",
        "NODEGRAPH_PLUGIN_PERMISSIONS": "x.network, y.files",
        "NODEGRAPH_STRICT": "on",
        "NODEGRAPH_DEBUG": "0",
        "NODEGRAPH_HOST_BUDGET": "2GiB",
        "NODEGRAPH_DEVICE_BUDGET": "auto",
        "NODEGRAPH_IO_WORKERS": "7",
        "NODEGRAPH_OUTPUT": "~/out",
        "NODEGRAPH_DEVICE": "",
    }

    settings = Settings.load(None, env, {})

    assert settings == Settings(
        models=(Path("a"), Path("/b")),
        plugins=(Path("p"),),
        disabled_plugins=("x", "y"),
        plugin_permissions=("x.network", "y.files"),
        strict=True,
        host_budget=2 * GIB,
        io_workers=7,
        output=Path.home() / "out",
    )


def test_the_environment_may_name_the_file_and_an_argument_wins_over_it(tmp_path: Path) -> None:
    config("port: 1\n")
    env = {"NODEGRAPH_CONFIG": str(config("port: 2\n", "other.yaml"))}

    assert Settings.load(None, {}).port == 1
    assert Settings.load(None, env).port == 2
    assert Settings.load(config("port: 3\n", "third.yaml"), env).port == 3


def test_an_empty_file_sets_nothing() -> None:
    assert Settings.load(config("# nothing yet\n")) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "port: 1\ndivice: cpu\n",
            "bad.yaml:2: there is no setting 'divice'; did you mean device?",
        ),
        ("Host-Budget: 1", "bad.yaml:1: there is no setting 'Host-Budget'; did you mean host_bud"),
        ("zzz: 1", "bad.yaml:1: there is no setting 'zzz'; there are: models, extra_model_paths"),
        ("\nport: x", "bad.yaml:2: port is a whole number from 0 to 65535, not 'x'"),
        ("port: 65536", "port is a whole number from 0 to 65535, not 65536"),
        ("port: true", "port is a whole number from 0 to 65535, not True"),
        ("port: 1.0", "port is a whole number from 0 to 65535, not 1.0"),
        ("port: 1\nport: 2\n", "bad.yaml:2: port is set a second time"),
        ("precision: [fp32]", "precision is one of auto, fp32, bf16, fp16, not ['fp32']"),
        ("device: gpu", "device is auto, cpu, cuda or cuda:N, not 'gpu'"),
        ("strict: perhaps", "strict is true or false, not 'perhaps'"),
        ("memory_cache_bytes: 8X", "memory_cache_bytes is a size: bytes, or a number with K, M, G"),
        ("memory_cache_bytes: -1", "memory_cache_bytes is a size"),
        ("memory_cache_bytes: true", "memory_cache_bytes is a size"),
        ("host_budget: [1]", "host_budget is a size"),
        ("input:", "input is a path, not None"),
        ("input: ' '", "input is a path"),
        ("models: [3]", "models is paths: a list, or text"),
        ("models: 3", "models is paths: a list, or text"),
        ("disabled_plugins: {a: b}", "disabled_plugins is a list, not {'a': 'b'}"),
        ("disabled_plugins: [1]", "disabled_plugins is names: a list, or text with commas"),
        ("plugin_permissions: [network]", "permissions of plugins: {name: [network]}, or texts"),
        ("plugin_permissions: {a: [1.0]}", "plugin_permissions is permissions of plugins"),
        ("plugin_permissions: {a: [[]]}", "plugin_permissions is permissions of plugins"),
        ("plugin_permissions: [1]", "plugin_permissions is permissions of plugins"),
        ("host: 3", "host is text, not 3"),
        ("- port", "bad.yaml:1: expected settings as `name: value`"),
        ("a: [1,\nb: {", "bad.yaml:"),
        ("a: !!python/object:os.system x", "this is not YAML"),
        ("a: \t\x01", "this is not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.load(config(text, "bad.yaml"))

    assert message in str(error.value)
    assert str(error.value).startswith("bad.yaml")


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SettingsError, match=r"gone.yaml cannot be read: No such file"):
        Settings.load(Path("gone.yaml"))
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"binary.yaml is not text in UTF-8"):
        Settings.load(Path("binary.yaml"))


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(SettingsError, match=r"NODEGRAPH_PROT: there is no setting 'prot'.*port"):
        Settings.load(None, {"NODEGRAPH_PROT": "1"})
    with pytest.raises(SettingsError, match=r"NODEGRAPH_PORT: port is a whole number.*not 'x'"):
        Settings.load(None, {"NODEGRAPH_PORT": "x"})


def test_a_mistake_on_the_command_line_names_the_flag() -> None:
    with pytest.raises(SettingsError, match="--io-workers: io_workers is a whole number"):
        Settings.load(None, {}, {"io_workers": 0})
    with pytest.raises(SettingsError, match="--hots: there is no setting 'hots'"):
        Settings.load(None, {}, {"hots": "x"})


@given(st.integers(0, 1 << 50), st.sampled_from(["", "K", "m", "G", "T", "KB", "GiB", " MiB"]))
def test_sizes_are_powers_of_1024(number: int, unit: str) -> None:
    power = "KMGT".find(unit.strip()[:1].upper()) + 1 if unit else 0

    assert setting_values.size(f"{number}{unit}") == number * 1024**power


def test_every_setting_has_a_help_text_and_a_default_its_reader_accepts() -> None:
    defaults = Settings()

    for name, setting in SETTINGS.items():
        value = getattr(defaults, name)
        assert setting.read(value) == value, name
        assert setting.help


def test_settings_are_frozen_and_do_not_import_torch() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]
    code = "import nodegraph.settings, nodegraph.folders, sys; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


# -- the server's settings -------------------------------------------------------------------------


def test_every_setting_of_the_server_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.yaml"
    file.write_text(
        "state: s\njobs: 3\nallow_ckpt: true\nmax_queue: 5\nmax_upload_bytes: 1.5K\n"
        "node_timeout: none\nstop_grace: 2\nshutdown_seconds: 0.5\n"
        "history_jobs: 0\nhistory_days: 7.5\nhistory_bytes: 2M\n"
        "previews: latent2rgb\npreview_size: 64\n"
        "token: 'correct-horse!'\nallowed_hosts: [a.example, b]\nallowed_origins: https://x.org\n"
        "public_url: https://me.example/\n"
    )

    settings = Settings.load(file)

    assert settings == Settings(
        state=tmp_path / "s",
        jobs=3,
        allow_ckpt=True,
        max_queue=5,
        max_upload_bytes=1536,
        node_timeout=None,
        stop_grace=2.0,
        shutdown_seconds=0.5,
        history_jobs=0,
        history_days=7.5,
        history_bytes=2 << 20,
        previews="latent2rgb",
        preview_size=64,
        token="correct-horse!",
        allowed_hosts=("a.example", "b"),
        allowed_origins=("https://x.org",),
        public_url="https://me.example",
    )


def test_every_setting_of_the_server_is_read_from_the_environment_as_text() -> None:
    env = {
        "NODEGRAPH_NODE_TIMEOUT": "1.5",
        "NODEGRAPH_HISTORY_DAYS": "none",
        "NODEGRAPH_TOKEN": "12345678",
        "NODEGRAPH_ALLOWED_HOSTS": "a.example, b.example",
        "NODEGRAPH_PUBLIC_URL": "http://[::1]:8080",
    }

    assert Settings.load(None, env, {}) == Settings(
        node_timeout=1.5,
        history_days=None,
        token="12345678",
        allowed_hosts=("a.example", "b.example"),
        public_url="http://[::1]:8080",
    )


SECONDS = "a number of seconds, 0 or more"
LIMIT = "a number of seconds, more than 0, or none"
DAYS = "a number of days, 0 or more, or none"
ADDRESS = "an address like https://example.org"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stop_grace: soon", f"stop_grace is {SECONDS}, not 'soon'"),
        ("stop_grace: -1", f"stop_grace is {SECONDS}, not -1"),
        ("stop_grace: .nan", f"stop_grace is {SECONDS}, not nan"),
        ("stop_grace: .inf", f"stop_grace is {SECONDS}, not inf"),
        ("stop_grace: true", f"stop_grace is {SECONDS}, not True"),
        ("stop_grace: none", f"stop_grace is {SECONDS}, not 'none'"),
        ("stop_grace:", f"stop_grace is {SECONDS}, not None"),
        ("stop_grace: [1]", f"stop_grace is {SECONDS}, not [1]"),
        ("stop_grace: 1" + "0" * 30, f"stop_grace is {SECONDS}, not 1000"),
        ("node_timeout: '-0.5'", f"node_timeout is {LIMIT}, not '-0.5'"),
        ("node_timeout: never", f"node_timeout is {LIMIT}, not 'never'"),
        ("node_timeout: 0", f"node_timeout is {LIMIT}, not 0"),
        ("history_days: -1", f"history_days is {DAYS}, not -1"),
        ("history_days: a week", f"history_days is {DAYS}, not 'a week'"),
        ("jobs: 0", "jobs is a whole number from 1 to 64, not 0"),
        ("jobs: 65", "jobs is a whole number from 1 to 64, not 65"),
        ("max_queue: 0", "max_queue is a whole number from 1 to 1000000, not 0"),
        ("previews: always", "previews is one of auto, latent2rgb, none, not 'always'"),
        ("preview_size: 15", "preview_size is a whole number from 16 to 2048, not 15"),
        ("max_upload_bytes: lots", "max_upload_bytes is a size: bytes, or a number with K"),
        ("allowed_hosts: 3", "allowed_hosts is a list, not 3"),
        ("allowed_hosts: [3]", "allowed_hosts is names: a list, or text with commas, not [3]"),
        ("public_url: example.org", f"public_url is {ADDRESS}, not 'example.org'"),
        ("public_url: ftp://example.org", f"public_url is {ADDRESS}"),
        ("public_url: https://example.org/path", f"public_url is {ADDRESS}"),
        ("public_url: https://me:pass@example.org", f"public_url is {ADDRESS}"),
        ("public_url: https://example.org?x", f"public_url is {ADDRESS}"),
        ("public_url: 'https://a b'", f"public_url is {ADDRESS}"),
        ("public_url: https://", f"public_url is {ADDRESS}"),
        ("public_url: 3", f"public_url is {ADDRESS}, not 3"),
        ("state:", "state is a path, not None"),
    ],
)
def test_a_mistake_in_a_setting_of_the_server_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.load(config(text, "bad.yaml"))

    assert str(error.value).startswith("bad.yaml:1: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "secret", ["sesame7", "open sesame", "sésame-öffne-dich", "x" * 201, "line\nbreak", "tab\there"]
)
def test_a_token_that_is_refused_is_never_repeated(secret: str) -> None:
    expected = "token is 8 to 200 letters, digits and signs, without spaces"
    sources = [
        lambda: Settings.load(config(f"token: {json.dumps(secret)}\n", "bad.yaml")),
        lambda: Settings.load(None, {"NODEGRAPH_TOKEN": secret}),
        lambda: Settings.load(None, {}, {"token": secret}),
    ]
    for load in sources:
        with pytest.raises(SettingsError) as error:
            load()
        assert str(error.value).endswith(expected)
        assert secret not in "".join(traceback.format_exception(error.value))


def test_a_token_that_is_no_text_is_not_repeated_either() -> None:
    for value in ("12345678", "[secret, words]", "{secret: words}"):
        with pytest.raises(SettingsError) as error:
            Settings.load(config(f"token: {value}\n", "bad.yaml"))
        assert not {"12345678", "secret", "words"} & set(re.findall(r"\w+", str(error.value)))


def test_the_token_is_not_among_the_settings_that_are_shown() -> None:
    settings = Settings(token="correct-horse")

    assert "correct-horse" not in repr(settings)
    assert "token" not in repr(settings)
    assert settings != Settings(token="other-horse")


@given(st.floats(0, 1e11, exclude_min=True), st.booleans())
def test_seconds_and_days_are_numbers_or_texts_of_numbers(number: float, as_text: bool) -> None:
    value: Any = str(number) if as_text else number

    assert setting_values.seconds(value) == number
    assert setting_values.optional_seconds(value) == number
    assert setting_values.optional_days(value) == number
    assert setting_values.optional_seconds(None) is None
    assert setting_values.optional_days("none") is None
