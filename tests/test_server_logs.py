"""The log that clients see: bounded, and without the places of this computer."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_parts import Site, settings_under, site

from nodegraph.folders import Folders
from nodegraph.model_paths import ExtraFolder
from nodegraph.server import logs as module
from nodegraph.server.logs import Logs


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.Logger("test")  # of its own, so that nobody else hears of it
    yield logger
    logger.handlers.clear()


def made(root: Path, log: logging.Logger, **settings: Any) -> Logs:
    values = settings_under(root, plugins=(root / "plugs",), **settings)
    extra = (ExtraFolder("loras", root / "elsewhere/lora files"),)
    folders = Folders(
        (root / "models", root / "models/more"),
        values.input,
        values.output,
        values.temp,
        values.cache,
        extra=extra,
    )
    logs = Logs(folders, values)
    log.addHandler(logs)
    return logs


def said(logs: Logs) -> list[str]:
    return [entry["m"] for entry in logs.entries()]


def test_lines_are_kept_with_their_time(tmp_path: Path, log: logging.Logger) -> None:
    logs = made(tmp_path, log)

    log.info("one %s", 1)
    log.warning("two\n")
    log.debug("details are left out")

    assert said(logs) == ["info: one 1\n", "warning: two\n"]
    assert logs.entries()[0]["t"].endswith("+00:00")


def test_only_so_many_lines_of_so_many_characters_are_kept(
    tmp_path: Path, log: logging.Logger
) -> None:
    logs = made(tmp_path, log)

    for number in range(module.KEPT + 5):
        log.info("%s%s", number, "x" * 100_000 if number % 500 == 0 else "")

    assert len(logs.entries()) == module.KEPT
    assert said(logs)[0] == "info: 5\n"
    assert max(map(len, said(logs))) < module.LONGEST + 10


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("{root}/models/a.safetensors is bad", "models/a.safetensors is bad"),
        ("no folder {root}/models", "no folder models"),
        ("'{root}/models/more/b.ckpt'", "'models/b.ckpt'"),
        ("{root}/input/x.png, {root}/output/y.png", "input/x.png, output/y.png"),
        ("{root}/temp/x {root}/cache/y", "temp/x cache/y"),
        ("{root}/state/journal.db", "state/journal.db"),
        ("{root}/plugs/p/nodes.py", "plugins/p/nodes.py"),
        ("{root}/elsewhere/lora files/l.ckpt", "loras/l.ckpt"),
        ("(file://{root}/input/x)", "(file://input/x)"),
        ("{root}/input.", "input."),
        ("{root}/input_of_others/x", ".../x"),
        ("{root}/input.old/x", ".../x"),
        ("{root}/secret/x.txt", ".../x.txt"),
        ("{cwd}/nodegraph.yaml", "./nodegraph.yaml"),
        ("/usr/lib/python3/site.py", ".../site.py"),
        ("in /etc/passwd: line 3", "in .../passwd: line 3"),
        ("file:///etc/passwd", "file://.../passwd"),
        ("C:\\Users\\ann\\x.png", ".../x.png"),
        ("\\\\host\\share\\x.png", ".../x.png"),
        ("POST /api/prompt took 3/4 s, a/b and 1/2", "POST /api/prompt took 3/4 s, a/b and 1/2"),
        ("see https://example.org/api/x", "see https://example.org/api/x"),
    ],
)
def test_places_of_this_computer_are_not_told(
    tmp_path: Path, log: logging.Logger, given: str, kept: str
) -> None:
    logs = made(tmp_path, log)

    log.info(given.format(root=tmp_path, cwd=os.getcwd()))

    assert said(logs) == [f"info: {kept}\n"]


def test_the_home_folder_is_not_told(
    tmp_path: Path, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home/ann"
    monkeypatch.setenv("HOME", str(home))
    logs = made(tmp_path / "x", log)

    log.info("%s/pictures/x.png, %s", home, home)
    log.info("%sa/x.png", home)

    assert said(logs) == ["info: ~/pictures/x.png, ~\n", "info: .../x.png\n"]


def test_folders_given_as_links_or_relative_paths_are_known(
    tmp_path: Path, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    logs = made(Path("link"), log)

    log.info("%s/input/x %s/input/x", tmp_path / "link", tmp_path / "real")

    assert said(logs) == ["info: input/x input/x\n"]


def test_the_token_is_not_told(tmp_path: Path, log: logging.Logger) -> None:
    logs = made(tmp_path, log, token="correct-horse-battery-staple")

    log.info("Authorization: Bearer correct-horse-battery-staple")

    assert said(logs) == ["info: Authorization: Bearer <token>\n"]


def test_an_exception_is_its_message(tmp_path: Path, log: logging.Logger) -> None:
    logs = made(tmp_path, log)

    try:
        (tmp_path / "missing").read_text()
    except OSError:
        log.exception("it failed")

    [line] = said(logs)
    assert line.startswith("error: it failed: FileNotFoundError: ")
    assert "Traceback" not in line
    assert str(tmp_path) not in line


def test_with_debug_nothing_is_hidden(tmp_path: Path, log: logging.Logger) -> None:
    logs = made(tmp_path, log, debug=True)

    try:
        (tmp_path / "missing").read_text()
    except OSError:
        log.exception("it failed in %s", tmp_path)

    [line] = said(logs)
    assert str(tmp_path) in line
    assert "Traceback" in line


def test_a_line_cannot_command_a_terminal(tmp_path: Path, log: logging.Logger) -> None:
    logs = made(tmp_path, log)

    log.info("a\x1b[2Jb\rc\x07d\x9be\tf\ng")

    assert said(logs) == ["info: a?[2Jb?c?d?e\tf\ng\n"]


def test_a_record_that_cannot_be_written_does_no_harm(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = made(tmp_path, log)

    log.info("%d", "no number")
    log.info("next")

    assert said(logs) == ["info: next\n"]
    assert "no number" in capsys.readouterr().err


# -- who is told ---------------------------------------------------------------------------------


def test_who_subscribed_is_sent_new_lines_from_any_thread(tmp_path: Path) -> None:
    sent: list[tuple[str, str, Any]] = []
    logs = Logs(Folders.of(settings_under(tmp_path)), settings_under(tmp_path))
    logger = logging.getLogger("nodegraph.test")
    logger.setLevel(logging.INFO)

    async def work() -> None:
        logs.attach(lambda *message: sent.append(message))
        logger.info("before")
        logs.subscribe("ann", True)
        logs.subscribe("bob", True)
        logs.subscribe("bob", False)
        thread = threading.Thread(target=logger.info, args=("from a thread",))
        thread.start()
        thread.join()
        logger.info("once more")
        await asyncio.sleep(0.01)
        logger.info("later")
        await asyncio.sleep(0.01)
        logs.detach()
        logger.info("after")
        await asyncio.sleep(0.01)

    asyncio.run(work())

    assert [(client, type) for client, type, _ in sent] == [("ann", "logs"), ("ann", "logs")]
    assert [[entry["m"] for entry in data["entries"]] for _, _, data in sent] == [
        ["info: from a thread\n", "info: once more\n"],
        ["info: later\n"],
    ]
    assert sent[0][2]["size"] == {"cols": 160, "rows": 50}


def test_logging_while_lines_are_sent_comes_to_an_end(tmp_path: Path) -> None:
    sent: list[Any] = []
    logs = Logs(Folders.of(settings_under(tmp_path)), settings_under(tmp_path))
    logger = logging.getLogger("nodegraph.test")
    logger.setLevel(logging.INFO)

    def send(client: str, type: str, data: Any) -> None:
        sent.append([entry["m"] for entry in data["entries"]])
        logger.info("sent to %s", client)

    async def work() -> None:
        logs.attach(send)
        logs.subscribe("ann", True)
        logger.info("one")
        await asyncio.sleep(0.01)
        logger.info("two")
        await asyncio.sleep(0.01)
        logs.detach()

    asyncio.run(work())

    assert sent == [["info: one\n"], ["info: sent to ann\n", "info: two\n"]]


# -- routes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_log_can_be_read(at: Site, prefix: str) -> None:
    logging.getLogger("nodegraph.test").warning("seen in %s/input/x.png", at.root)

    entry = at.get(f"{prefix}/internal/logs/raw").json["entries"][-1]

    assert entry["m"] == "warning: seen in input/x.png\n"
    assert at.get(f"{prefix}/internal/logs").json.endswith(f"{entry['t']} - {entry['m']}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"clientId": "a"}',
        b'{"enabled": true}',
        b'{"clientId": "", "enabled": true}',
        b'{"clientId": 3, "enabled": true}',
        b'{"clientId": "a", "enabled": 1}',
        b'{"clientId": "a", "enabled": null}',
        b'{"clientId": "' + b"a" * 300 + b'", "enabled": true}',
    ],
)
def test_a_wrong_subscription_is_refused(at: Site, body: bytes) -> None:
    assert at.ask("PATCH", "/internal/logs/subscribe", body).status == 400


def subscribers(at: Site) -> int:
    return len(at.server.logs._subscribers)


def test_a_client_subscribes_and_ends_it(at: Site) -> None:
    path = "/internal/logs/subscribe"

    assert at.ask("PATCH", path, b'{"clientId": "a", "enabled": true}').status == 200
    assert subscribers(at) == 1
    assert at.ask("PATCH", path, b'{"clientId": "a", "enabled": false}').status == 200
    assert subscribers(at) == 0
    assert at.ask("PATCH", path, b" " * 70_000).status == 413


def test_there_are_only_so_many_subscribers(at: Site) -> None:
    for number in range(module.SUBSCRIBERS + 10):
        at.server.logs.subscribe(f"client {number}", True)

    assert subscribers(at) == module.SUBSCRIBERS


def test_files_are_listed_the_newest_first(at: Site) -> None:
    folder = at.root / "output"
    folder.mkdir()
    for age, name in enumerate(("b.png", "a.png", "c.txt", ".hidden", "sub")):
        path = folder / name
        path.mkdir() if name == "sub" else path.touch()
        os.utime(path, (10_000 - age, 10_000 - age))

    assert at.get("/internal/files/output").json == ["b.png", "a.png", "c.txt"]
    assert at.get("/api/internal/files/input").json == []


@pytest.mark.parametrize("place", ["models", "..", "%2e%2e", "state", "output%2F..", "OUTPUT"])
def test_other_folders_are_not_listed(at: Site, place: str) -> None:
    assert at.get(f"/internal/files/{place}").status == 400
