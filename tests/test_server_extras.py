"""What ComfyUI's page asks for when it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server_parts import Site, site


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("extras")) as running:
        yield running


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("path", "answer"),
    [("extensions", []), ("workflow_templates", {}), ("i18n", {}), ("global_subgraphs", {})],
)
def test_there_is_nothing_of_it_and_that_is_said(
    at: Site, prefix: str, path: str, answer: object
) -> None:
    reply = at.get(f"{prefix}/{path}")

    assert (reply.status, reply.json) == (200, answer)
