"""A server with a token, as a whole: links for browsers, and a token that nothing repeats."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import urlsplit

from server_process import serving

from nodegraph.folders import Folders
from nodegraph.server.logs import Logs
from nodegraph.settings import Settings

TOKEN = "correct-horse-battery"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
OPENED = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


def test_who_has_the_token_gets_a_link_that_lets_one_browser_in(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"token": TOKEN}) as server:
        assert server.request("POST", "/login/link").status == 401
        answer = server.request("POST", "/login/link", headers=RIGHT)
        link = urlsplit(answer.json["link"])
        path = f"{link.path}?{link.query}"

        opened = server.request("GET", path, headers=OPENED)
        cookie = {"Cookie": opened.headers["Set-Cookie"].partition(";")[0], **OPENED}
        page = server.request("GET", "/", headers=cookie)
        again = server.request("GET", path, headers=OPENED)

    assert link.netloc == f"127.0.0.1:{server.port}"
    assert page.status == 200
    assert again.status == 403
    assert TOKEN not in server.said()


def test_a_token_the_server_made_itself_is_printed_once_and_not_in_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", ready=False) as server:
        assert server.request("GET", "/queue").status == 401
        server.end()

    [line] = [line for line in server.said().splitlines() if "Bearer" in line]
    token = line.rpartition(" ")[2]
    assert len(token) >= 40
    assert server.said().count(token) == 1
    logs = Logs(Folders.of(Settings()), Settings(token=token))
    logs.handle(logging.LogRecord("n", logging.INFO, "f", 1, f"it was {token}", None, None))
    assert token not in logs.entries()[0]["m"]
