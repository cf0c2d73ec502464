"""What the server is: node types, statistics, metrics, its description; what is not there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import jsonschema_rs
import pytest
import server_nodes
import small_nodes
from prometheus_client.parser import text_string_to_metric_families
from server_listener import busy, faultless, listening, node, saving, shape_of
from server_process import ServerProcess, serving

from nodegraph.catalogue import object_info
from nodegraph.folders import Folders
from nodegraph.registry import Registry
from nodegraph.server.route import Route
from nodegraph.server.routes import MODULES
from nodegraph.settings import Settings
from nodegraph.version import VERSION


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("system")) as server:
        yield server
        faultless(server)


@pytest.fixture(scope="module")
def openapi(server: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/api/openapi.json")
    return found


ROUTES: list[Route] = [
    route
    for module in MODULES
    for route in import_module(f"nodegraph.server.routes.{module}").routes
]
# Those that need neither a name nor a question, and are no websocket.
PLAIN = [
    route
    for route in ROUTES
    if route.method == "GET"
    and "{" not in route.path
    and not any(param.required for param in route.query)
    and route.path not in ("/ws", "/login", "/view", "/userdata", "/v2/userdata")
]


def paths(route: Route) -> list[str]:
    return [route.path, f"/api{route.path}"] if route.doubled else [route.path]


def described(route: Route) -> str:
    """The path under which the description has a route."""
    path = f"/api{route.path}" if route.doubled else route.path
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


# -- node types ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/object_info", "/api/object_info"])
def test_the_node_types_are_those_of_the_registry(server: ServerProcess, path: str) -> None:
    home = server.folder
    registry = Registry(Folders.of(Settings(models=(home / "models",), input=home / "input")))
    registry.register(small_nodes, server_nodes)

    found = server.get(path)

    assert found == object_info(registry)
    assert list(found) == list(registry.nodes)
    for name in ("Count", "Read", "Dice"):
        assert server.get(f"{path}/{name}") == {name: found[name]}


@pytest.mark.parametrize("name", ["Nobody", "count", "a%2Fb", "%00", "%F0%9F%90%B1", "x" * 500])
def test_of_no_node_type_there_is_nothing_to_say(server: ServerProcess, name: str) -> None:
    assert server.get(f"/object_info/{name}") == {}


def test_a_new_file_can_be_chosen_at_once(server: ServerProcess) -> None:
    def choices() -> Any:
        return server.get("/object_info/Read")["Read"]["input"]["required"]["name"][0]

    assert choices() == []
    folder = server.folder / "models" / "checkpoints" / "sub"
    folder.mkdir(parents=True)
    (folder / "new.txt").write_text("fresh")
    assert choices() == []  # of a kind that holds models, other files are none
    (folder / "new.safetensors").write_text("fresh")
    assert choices() == ["sub/new.safetensors"]
    graph = {"1": node("Read", name="sub/new.safetensors"), "2": node("Show", value=["1", 0])}
    assert server.ended(server.submit(graph))["outputs"] == {"2": {"text": ["fresh"]}}


# -- statistics ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/system_stats", "/api/system_stats"])
def test_the_statistics_have_all_that_clients_read(server: ServerProcess, path: str) -> None:
    found = server.get(path)

    system, [device] = found["system"], found["devices"]
    assert system["os"] in ("posix", "nt")
    assert system["python_version"] == sys.version
    assert system["nodegraph_version"] == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", system["comfyui_version"])
    assert re.match(r"\d+\.\d+", system["pytorch_version"])
    assert re.match(r"\d+\.\d+", system["required_frontend_version"])
    assert system["embedded_python"] is False
    assert system["argv"] == ["main.py"]
    assert 0 < system["ram_free"] <= system["ram_total"]
    assert device["type"] == "cpu"
    assert device["name"]
    assert device["index"] is None
    for name in ("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"):
        assert type(device[name]) is int
        assert device[name] > 0


def test_the_features_are_told(server: ServerProcess) -> None:
    assert server.get("/features") == {
        "supports_preview_metadata": True,
        "max_upload_size": 100 << 20,
        "numbered_events": True,
        "websocket_commands": [
            *("cancel", "result", "submit", "subscribe", "unsubscribe", "validate")
        ],
    }


def test_the_health_is_told_to_anybody(server: ServerProcess) -> None:
    for path in ("/healthz", "/api/healthz"):
        assert server.get(path, Origin="https://elsewhere.example") == {"status": "ok"}


# -- metrics ---------------------------------------------------------------------------------------


def metrics(server: ServerProcess) -> dict[str, float]:
    """Each sample by its name and labels."""
    text = server.request("GET", "/metrics").body.decode()
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_what_prometheus_reads(server: ServerProcess) -> None:
    answer = server.request("GET", "/metrics")

    families = {each.name: each for each in text_string_to_metric_families(answer.body.decode())}

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert server.request("GET", "/api/metrics").status == 404
    assert all(family.documentation for family in families.values())
    kinds = {name: family.type for name, family in families.items()}
    assert kinds["nodegraph_node_seconds"] == kinds["nodegraph_job_seconds"] == "histogram"
    assert kinds["nodegraph_jobs"] == kinds["nodegraph_http_requests"] == "counter"
    assert {
        "nodegraph_queue_pending",
        "nodegraph_queue_running",
        "nodegraph_queue_paused",
        "nodegraph_websockets",
        "nodegraph_cache_entries",
        "nodegraph_cache_bytes",
        "nodegraph_cache_hits",
        "nodegraph_disk_cache_bytes",
        "nodegraph_model_bytes",
        "nodegraph_model_loads",
        "nodegraph_nodes_failed",
    } <= kinds.keys()


def test_metrics_count_what_happens(server: ServerProcess) -> None:
    failing = {"1": node("Fail", value=1), "2": node("Show", value=["1", 0])}
    graph = saving()
    before = metrics(server)

    with listening(server, "metrics"), busy(server):
        ids = [server.submit(each) for each in (graph, failing, graph)]
        during = metrics(server)
    for id in ids:
        server.ended(id)
    server.request("GET", "/nowhere")
    after = metrics(server)

    assert (during["nodegraph_queue_running"], during["nodegraph_queue_pending"]) == (1, 3)
    assert during["nodegraph_websockets"] == before["nodegraph_websockets"] + 1
    assert (after["nodegraph_queue_running"], after["nodegraph_queue_pending"]) == (0, 0)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grown("nodegraph_jobs_total status=success") == 3
    assert grown("nodegraph_jobs_total status=error") == 1
    assert grown("nodegraph_job_seconds_count") == 4
    assert grown("nodegraph_nodes_failed_total") == 1
    assert grown("nodegraph_nodes_cached_total") == 2
    assert grown("nodegraph_node_seconds_count class_type=Add") == 1
    assert grown("nodegraph_node_seconds_count class_type=Save") == 2  # that of `busy` as well
    assert grown("nodegraph_node_seconds_bucket class_type=Add le=+Inf") == 1
    assert grown("nodegraph_http_requests_total method=POST status=200") == 4
    assert grown("nodegraph_http_requests_total method=GET status=404") == 1


# -- the description -------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else(openapi: dict[str, Any]) -> None:
    there = {(method, path) for path, entry in openapi["paths"].items() for method in entry}

    assert there == {(route.method.lower(), described(route)) for route in ROUTES}
    assert openapi["openapi"].startswith("3.1.")
    assert openapi["info"]["version"] == VERSION


def test_the_description_is_whole(openapi: dict[str, Any]) -> None:
    names = set()
    for path, entry in openapi["paths"].items():
        for operation in entry.values():
            assert operation["summary"], path
            assert operation["operationId"] not in names
            names.add(operation["operationId"])
            in_path = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)
            for parameter in operation.get("parameters", []):
                assert parameter["in"] in ("path", "query", "header")
                assert parameter["required"] is True or parameter["in"] != "path"
            assert "200" in operation["responses"] or "204" in operation["responses"]
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"\d{3}", status)
                assert response["description"]


def test_what_writes_a_file_says_that_it_reads_if_match(openapi: dict[str, Any]) -> None:
    told = {
        (method, path)
        for path, entry in openapi["paths"].items()
        for method, operation in entry.items()
        for parameter in operation.get("parameters", [])
        if (parameter["name"], parameter["in"]) == ("If-Match", "header")
    }

    assert told == {
        ("post", "/api/userdata/{file}"),
        ("delete", "/api/userdata/{file}"),
        ("post", "/api/userdata/{file}/move/{dest}"),
        ("post", "/api/userdata/{file}/versions/{version}/restore"),
    }


def test_every_schema_is_one(openapi: dict[str, Any]) -> None:
    schemas = list(all_schemas(openapi))

    assert len(schemas) > 50
    for schema in schemas:
        jsonschema_rs.meta.validate({"$schema": DRAFT, **schema})
        reference = schema.get("$ref", "#/components/schemas/Error")
        assert reference.removeprefix("#/components/schemas/") in openapi["components"]["schemas"]


DRAFT = "https://json-schema.org/draft/2020-12/schema"


def all_schemas(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        if isinstance(data.get("schema"), dict):
            yield data["schema"]
        for value in data.values():
            yield from all_schemas(value)
    elif isinstance(data, list):
        for value in data:
            yield from all_schemas(value)


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.path)
def test_answers_are_as_described(
    server: ServerProcess, openapi: dict[str, Any], route: Route
) -> None:
    content = openapi["paths"][described(route)]["get"]["responses"]["200"]["content"]
    [(kind, media)] = content.items()

    for path in paths(route):
        answer = server.request("GET", path)
        assert answer.status == 200, (path, answer)
        assert answer.headers["Content-Type"].partition(";")[0] == kind
        if kind == "application/json":
            jsonschema_rs.validate({"$schema": DRAFT, **media["schema"]}, answer.json)


def test_errors_are_as_described(server: ServerProcess, openapi: dict[str, Any]) -> None:
    answer = server.request("POST", "/prompt", b"{")

    described = openapi["paths"]["/api/prompt"]["post"]["responses"]["400"]
    assert described["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
    }
    jsonschema_rs.validate(openapi["components"]["schemas"]["Error"], answer.json)


# -- what is not there -----------------------------------------------------------------------------


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.path)
def test_the_head_of_an_answer_can_be_had_alone(server: ServerProcess, route: Route) -> None:
    for path in paths(route):
        whole, head = (server.request(method, path) for method in ("GET", "HEAD"))

        assert (head.status, head.body) == (whole.status, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        assert head.headers.keys() == whole.headers.keys()


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/nowhere", "/api", "/api/", "/api/api/prompt", "/prompt/", "//prompt"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
def test_what_is_not_there_is_said_in_json(server: ServerProcess, method: str, path: str) -> None:
    answer = shape_of(server.request(method, path, headers={"Accept": "text/html"}), 404)

    assert answer["error"]["type"] == "not_found"
    head = server.request("HEAD", path)
    assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_method_that_does_not_fit_is_said_in_json(server: ServerProcess, route: Route) -> None:
    path = re.sub(r"\{[^{}]*\}", "1", route.path)
    there = {each.method for each in ROUTES if re.fullmatch(pattern(each), path)}
    wrong = next(m for m in ("DELETE", "PUT", "PATCH", "POST", "GET") if m not in there)

    answer = server.request(wrong, path, headers={"Accept": "text/html"})

    assert shape_of(answer, 405)["error"]["type"] == "wrong_method"
    assert route.method in answer.headers["Allow"]
    assert wrong not in answer.headers["Allow"].split(",")


def pattern(route: Route) -> str:
    return re.sub(r"\{[^{}]*\}", "[^/]+", route.path)


# -- the page --------------------------------------------------------------------------------------


def test_the_plain_page_says_what_is_going_on(server: ServerProcess) -> None:
    with busy(server):
        server.post("/queue/pause")
        waits = server.submit(saving())
        answer = server.request("GET", "/plain")
    server.post("/queue/resume")
    server.ended(waits)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    text = answer.body.decode()
    assert f"nodegraph {VERSION}" in text
    assert "ready. 1 running, 1 waiting, paused." in text
    links = re.findall(r'href="([^"]+)"', text)
    assert len(links) >= 5
    for link in links:
        assert server.request("GET", link).status == 200, link
