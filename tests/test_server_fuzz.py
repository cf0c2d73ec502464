"""The server against its own OpenAPI description: requests made from it, right and wrong ones.

What schemathesis checks of each answer: it is no failure; its status, type and content are as the
description says; requests that fit are taken, and those that do not are refused.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from server_process import Answer, ServerProcess, serving
from server_routes import DESCRIBED
from server_wire import assert_calm, assert_safe

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports is not ours to mend
    import schemathesis
    from schemathesis import APIOperation, Case, GenerationMode
    from schemathesis.checks import CHECKS

EXAMPLES, MANY = 5, 300  # of right requests for each operation, and of wrong ones as many
ALWAYS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
GRAPHS = "which graphs can run, no JSON schema can say"
PICTURES = "which bytes are a picture, no JSON schema can say"
NAMES = "which names files may have, no JSON schema can say"
MAY_BE_REFUSED = {  # requests that fit the description
    "POST /api/prompt": GRAPHS,
    "GET /api/view": NAMES,
    "POST /api/upload/image": PICTURES,
    "POST /api/upload/mask": PICTURES,
    "GET /api/userdata": NAMES,
    "GET /api/v2/userdata": NAMES,
    "GET /api/userdata/{file}": NAMES,
    "POST /api/userdata/{file}": NAMES,
    "DELETE /api/userdata/{file}": NAMES,
    "POST /api/userdata/{file}/move/{dest}": NAMES,
    "GET /api/userdata/{file}/versions": NAMES,
    "GET /api/userdata/{file}/versions/{version}": NAMES,
    "POST /api/userdata/{file}/versions/{version}/restore": NAMES,
    "GET /api/v2/userdata/deleted": NAMES,
    "GET /api/internal/files/{place}": "there are three places",
    "GET /api/ws": "it is answered only where it becomes a websocket",
    "POST /api/users": "it is always refused",
}
MAY_BE_TAKEN = {  # requests that do not fit it
    "GET /login": "without a token there is nothing to log in to",
}
# What there is, so that not every request ends at a name that nothing has.
PATHS = {
    "id": "finished",
    "prompt_id": "finished",
    "name": "Add",
    "folder": "checkpoints",
    "path_index": "0",
    "filename": "model.safetensors",
    "file": "notes.json",
    "dest": "moved.json",
    "version": "1",
    "place": "output",
    "plugin": "comfyui",
}
QUERIES = {"filename": "picture.png", "dir": "workflows", "path": "workflows"}

OPERATIONS = [
    f"{method.upper()} {path}"
    for path, entry in DESCRIBED["paths"].items()
    for method in entry
    if path != "/api/openapi.json"  # schemathesis leaves out where it got the description from
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("fuzz")) as server:
        yield server
        server.post("/queue/resume")
        assert_calm(server)


@pytest.fixture(scope="module")
def api(server: ServerProcess) -> dict[str, APIOperation]:
    schema = schemathesis.openapi.from_url(f"{server.url}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    return {operation.label: operation for operation in operations}


def test_all_operations_are_tried(api: dict[str, APIOperation]) -> None:
    assert sorted(api) == sorted(OPERATIONS)
    assert {*MAY_BE_REFUSED, *MAY_BE_TAKEN} <= api.keys()


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_server_does_what_its_description_says(
    server: ServerProcess, api: dict[str, APIOperation], label: str
) -> None:
    try_out(server, api[label], EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_server_does_what_its_description_says_at_length(
    server: ServerProcess, api: dict[str, APIOperation], label: str
) -> None:
    try_out(server, api[label], MANY)


def try_out(server: ServerProcess, operation: APIOperation, examples: int) -> None:
    """Right and wrong requests, a fixed series for each number of examples."""
    for mode in GenerationMode:
        if mode is GenerationMode.NEGATIVE and not may_be_wrong(operation):
            continue

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation, mode))
        def one(case: Case) -> None:
            check(case, operation.label)

        furnish(server)
        one()


def may_be_wrong(operation: APIOperation) -> bool:
    """Whether anything is no right request. In a path, and in a body without a schema, all is."""
    described = DESCRIBED["paths"][operation.path][operation.method.lower()]
    contents = described.get("requestBody", {}).get("content", {}).values()
    return bool(operation.query or any(content["schema"] for content in contents))


def cases(operation: APIOperation, mode: GenerationMode) -> st.SearchStrategy[Case]:
    """Requests, for what there is as well as for what there is not."""
    known: dict[str, Any] = {}
    paths = {each.name: PATHS[each.name] for each in operation.path_parameters}
    waiting = {"path_parameters": {"id": "waiting"}} if "id" in paths else None
    queries = {each.name: QUERIES[each.name] for each in operation.query if each.name in QUERIES}
    if paths:
        known["path_parameters"] = paths
    if queries and mode is GenerationMode.POSITIVE:
        known["query"] = queries
    anything = operation.as_strategy(generation_mode=mode)
    if not known:
        return anything
    found = anything | operation.as_strategy(generation_mode=mode, **known)
    if waiting is None or "settings" in operation.path:
        return found
    return found | operation.as_strategy(generation_mode=mode, **waiting)


def check(case: Case, label: str) -> None:
    names = [*ALWAYS]
    if label not in MAY_BE_REFUSED:
        names.append("positive_data_acceptance")
    if label not in MAY_BE_TAKEN:
        names.append("negative_data_rejection")
    response = case.call(timeout=60)
    case.validate_response(response, checks=[CHECKS.get_one(name) for name in names])
    headers = {name: values[0] for name, values in response.headers.items()}
    assert_safe(Answer(response.status_code, headers, response.content))


def furnish(server: ServerProcess) -> None:
    """A job that has ended, one that waits, a picture, a model, a file of the user's."""
    show = {"1": {"class_type": "Show", "inputs": {"value": 1}}}
    server.post("/queue/resume")
    if server.get("/history/finished") == {}:
        server.submit(show, prompt_id="finished")
        server.ended("finished")
    server.post("/queue/pause")
    server.post("/jobs/waiting/cancel", status=200 if is_known(server, "waiting") else 404)
    server.post("/history", {"delete": ["waiting"]})
    server.submit(show, prompt_id="waiting")
    server.post("/userdata/notes.json", {"a": 1})
    server.post("/userdata/workflows%2Fa.json", {"a": 1})
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 0, 0)).save(picture, "PNG")
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    write(server.folder / "output/picture.png", picture.getvalue())
    write(server.folder / "models/checkpoints/model.png", picture.getvalue())
    write(
        server.folder / "models/checkpoints/model.safetensors",
        len(header).to_bytes(8, "little") + header,
    )


def is_known(server: ServerProcess, id: str) -> bool:
    return server.request("GET", f"/jobs/{id}").status == 200


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
