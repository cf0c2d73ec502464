"""The real application on a free loopback port, without an engine, asked by a client that changes
nothing of what it is told to send.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import re
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import web
from PIL import Image

from nodegraph.folders import Folders
from nodegraph.jobs import Journal
from nodegraph.server import schema
from nodegraph.server.app import make_app, make_server
from nodegraph.server.route import Route
from nodegraph.server.routes import MODULES
from nodegraph.server.server import Server
from nodegraph.settings import Settings

# Names that no folder may let anybody read or write, as they arrive after one decoding.
HOSTILE = (
    "../secret.txt",
    "..",
    "a/../../secret.txt",
    "..\\secret.txt",
    "a\\..\\..\\secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "\\etc\\passwd",
    "C:\\secret.txt",
    "C:secret.txt",
    "C:/secret.txt",
    "\\\\host\\share\\secret.txt",
    "//host/share/secret.txt",
    "\\\\?\\C:\\secret.txt",
    "a\0.txt",
    "secret.txt\0.png",
    "a\r\nX: y.txt",
    "CON",
    "nul.txt",
    "a/COM1.json",
    "LPT\N{SUPERSCRIPT ONE}.txt",
    "name.",
    "name ",
    "a//b",
    "a/./b",
    "...",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.txt",
    "x" * 256,
    "a/" * 1200 + "a",
)


@dataclass(frozen=True)
class Reply:
    """What came back. Header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message and details of an error."""
        error = self.json["error"]
        return f"{error['message']}: {error['details']}"


@dataclass(frozen=True)
class Site:
    """A server that runs in a thread. root: the folder that all its folders are in."""

    server: Server
    loop: asyncio.AbstractEventLoop
    port: int
    root: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The answer to a request, its path sent as it is given.

        No answer may be a failure of the server or tell where the server's folders are, each error
        has the one shape, and all is as the route says of itself.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            if isinstance(body, str):
                body = body.encode()
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            reply = Reply(response.status, found, response.read())
        finally:
            connection.close()
        self._check(method, path, reply)
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, data: Any) -> Reply:
        """Post JSON."""
        return self.ask("POST", path, json.dumps(data), {"Content-Type": "application/json"})

    def upload(
        self, path: str, file: bytes | None, filename: str = "x.png", **fields: str
    ) -> Reply:
        body, kind = form(file, filename, **fields)
        return self.ask("POST", path, body, {"Content-Type": kind})

    def _check(self, method: str, path: str, reply: Reply) -> None:
        assert reply.status not in (500, 501, 503), reply.body
        assert str(self.root).encode() not in reply.body + str(reply.headers).encode(), reply
        assert reply.headers["x-content-type-options"] == "nosniff"
        route = route_of(method, path)
        if route is not None:
            assert reply.status in {200, 400, 403, *route.statuses}, (route, reply)
        if reply.status >= 400 and reply.body:
            assert reply.headers["content-type"].startswith("application/json"), reply
            assert_fits(reply.json, schema.ERROR)
        elif route is not None and reply.status == 200 and method != "HEAD":
            assert_answers(reply, route)


def route_of(method: str, path: str) -> Route | None:
    """The route that a request is for."""
    path = path.partition("?")[0].removeprefix("/api")
    method = "GET" if method == "HEAD" else method
    for module in MODULES:
        for route in import_module(f"nodegraph.server.routes.{module}").routes:
            pattern = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
            if route.method == method and re.fullmatch(
                re.sub(r"\{\w+:(.+?)\}", r"\1", pattern), path
            ):
                return route
    return None


def assert_answers(reply: Reply, route: Route) -> None:
    """A 200 has the body that the route says it has."""
    if route.answer is None:
        assert reply.body == b""
    elif isinstance(route.answer, str):
        kind = reply.headers["content-type"].partition(";")[0]
        assert route.answer in ("*/*", kind)
    else:
        assert reply.headers["content-type"].startswith("application/json")
        assert_fits(reply.json, route.answer)


def assert_fits(value: Any, schema: Mapping[str, Any], where: str = "") -> None:
    """JSON has the shape that a schema says, as far as our schemas go."""
    if "anyOf" in schema:
        assert any(_fits(value, each) for each in schema["anyOf"]), (where, value)
    if "enum" in schema:
        assert value in schema["enum"], (where, value)
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    kinds |= {"object": dict, "array": list}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), (where, value)
        assert not isinstance(value, bool) or schema["type"] == "boolean", (where, value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            assert_fits(item, schema.get("items", {}), f"{where}[{index}]")
    if isinstance(value, dict):
        assert value.keys() >= set(schema.get("required", ())), (where, value)
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            assert_fits(item, inner, f"{where}.{name}")


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    try:
        assert_fits(value, schema)
    except AssertionError:
        return False
    return True


def form(file: bytes | None, filename: str = "x.png", **fields: str) -> tuple[bytes, str]:
    """The body of a form, and its Content-Type. The file is called `image`."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = f'--edge\r\nContent-Disposition: form-data; name="image"; filename="{filename}"'
        parts.append(head.encode() + b"\r\nContent-Type: image/png\r\n\r\n" + file + b"\r\n")
    return b"".join([*parts, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


def picture(
    format: str = "PNG",
    color: Any = (200, 30, 60),
    size: tuple[int, int] = (16, 12),
    **options: Any,
) -> bytes:
    """A picture of one colour."""
    mode = "RGBA" if len(color) == 4 else "RGB"
    out = io.BytesIO()
    Image.new(mode, size, color).save(out, format, **options)
    return out.getvalue()


def bomb() -> bytes:
    """A small PNG that says it has more pixels than Pillow likes."""
    size = struct.pack(">II5B", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def settings_under(root: Path, **changes: Any) -> Settings:
    """Settings with every folder under `root`."""
    places = {name: root / name for name in ("input", "output", "temp", "cache", "state")}
    return Settings(**{"models": (root / "models",), "port": 0, **places, **changes})


def files_under(folder: Path) -> list[str]:
    """Every file, hidden ones too, relative to the folder."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    )


def stored(at: Site) -> list[str]:
    """All files in the three folders."""
    return [
        f"{place}/{name}"
        for place in ("input", "output", "temp")
        for name in files_under(at.root / place)
    ]


def refused(reply: Reply, at: Site, status: int = 400) -> str:
    """The error of a refusal that left nothing behind."""
    assert reply.status == status, reply
    assert stored(at) == []
    return reply.error


@contextmanager
def site(root: Path, folders: Folders | None = None, **changes: Any) -> Iterator[Site]:
    """A server with its folders under `root`."""
    started: list[Site] = []
    ready = threading.Event()
    settings = settings_under(root, **changes)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        journal = Journal(settings.state)
        server = await make_server(
            settings, folders or Folders.of(settings), journal, _no_engine, lambda _: None
        )
        runner = web.AppRunner(make_app(server), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.append(Site(server, loop, runner.addresses[0][1], root))
        loop.call_soon(ready.set)
        ends.append(end)
        try:
            await end.wait()
        finally:
            await runner.cleanup()
            await server.queue.close(0)
            server.live.close()
            server.logs.detach()
            journal.close()

    ends: list[asyncio.Event] = []
    thread = threading.Thread(target=lambda: asyncio.run(work()), name="site")
    thread.start()
    assert ready.wait(30)
    try:
        yield started[0]
    finally:
        started[0].loop.call_soon_threadsafe(ends[0].set)
        thread.join(30)
        assert not thread.is_alive()


def _no_engine(settings: Settings, folders: Folders) -> NoReturn:
    raise AssertionError("these tests need no nodes")
