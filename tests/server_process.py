"""The server as a process of its own, on a free port of the loopback, and ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
HOME = TESTS.parent
WAIT = 60.0  # seconds; only a server that hangs takes so long
# The command line with nodes of the tests, which need no torch.
SMALL = """
import sys
from pathlib import Path
from nodegraph.cli import Core, main
def modules():
    import server_nodes, small_nodes
    return (small_nodes, server_nodes)
main(Core(modules, Path(sys.prefix)))
"""


@dataclass(frozen=True)
class Answer:
    """What an HTTP request got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ServerProcess:
    """A server that runs. `folder`: where its input, output, state ... are."""

    process: subprocess.Popen[str]
    folder: Path
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, the path as it stands. A body that is no bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request(method, path, data, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """The JSON at a path, which must be there."""
        answer = self.request("GET", path, headers=headers)
        assert answer.status == 200, (path, answer)
        return answer.json

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON a path answers, None if that is empty."""
        answer = self.request("POST", path, body)
        assert answer.status == status, (path, answer)
        return answer.json if answer.body else None

    def submit(self, graph: Mapping[str, Any], **more: Any) -> str:
        """Submit a graph; the job's id."""
        return str(self.post("/prompt", {"prompt": graph, **more})["prompt_id"])

    def ended(self, id: str) -> dict[str, Any]:
        """A job's entry in the history, once it is there."""
        found: dict[str, Any] = until(lambda: self.get(f"/history/{id}").get(id))
        return found

    def kill(self) -> None:
        """kill -9. May be called again."""
        self.process.kill()
        self.gone()

    def gone(self) -> int:
        """Wait until it is; its exit code."""
        code = self.process.wait(WAIT)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.gone()

    def said(self) -> str:
        """What it has written to standard error. After its end."""
        return (self.folder / "stderr.txt").read_text()


@contextmanager
def serving(
    folder: Path,
    *options: str,
    program: str = SMALL,
    settings: Mapping[str, str] | None = None,
    ready: bool = True,
) -> Iterator[ServerProcess]:
    """A server in `folder`, which is gone at the end. settings: as NODEGRAPH_* variables.

    program: Python that is the command line. ready: wait until the nodes are loaded.
    """
    server = start(folder, *options, program=program, settings=settings, ready=ready)
    try:
        yield server
    finally:
        server.kill()


def start(
    folder: Path,
    *options: str,
    program: str = SMALL,
    settings: Mapping[str, str] | None = None,
    ready: bool = True,
) -> ServerProcess:
    """As `serving`, but whoever starts it must end it."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NODEGRAPH_")},
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(HOME)]),
        "NODEGRAPH_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        **{f"NODEGRAPH_{name.upper()}": value for name, value in (settings or {}).items()},
    }
    with (folder / "stderr.txt").open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "serve", "--port", "0", *options],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r":(\d+)$", line.strip())
    assert match, (line, (folder / "stderr.txt").read_text())
    server = ServerProcess(process, folder, int(match[1]))
    if ready:
        until(lambda: server.get("/healthz")["status"] == "ok")
    return server


def until(condition: Callable[[], Any], seconds: float = WAIT) -> Any:
    """What a condition says once it says something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
    return found
