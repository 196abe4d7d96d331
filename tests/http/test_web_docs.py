"""The API for people: every operation is there once, with its fields, and the clients have this server's address."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.edge import openapi
from pronto.web.reference import sections
from tests.http.site_scene import Web, open_web, words


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


def test_each_operation_has_its_place_and_an_id_of_its_own() -> None:
    shown = [operation for section in sections(openapi.document()) for operation in section.operations]
    assert len({operation.id for operation in shown}) == len(shown)
    paths = {(operation.method, operation.path) for operation in shown}
    assert {("POST", "/models/{id}"), ("POST", "/v1/chat/completions"), ("GET", "/api/usage"), ("POST", "/")} <= paths
    # What is left out only repeats another path.
    for path, methods in openapi.document()["paths"].items():
        for method in methods:
            if (method.upper(), path) not in paths:
                assert re.match(r"/hf-inference|/anthropic/|/models/\{id\}/", path), path


def test_fields_come_with_their_kinds() -> None:
    by_name = {section.name: section for section in sections(openapi.document())}
    chat = next(each for each in by_name["OpenAI"].operations if each.path == "/v1/chat/completions")
    fields = {field.name: field for field in chat.fields}
    assert fields["messages"].is_required
    assert fields["messages"].kind.startswith("list of")
    assert fields["messages"].fields  # with those of a message
    assert "number" in fields["temperature"].kind


async def test_the_page_has_this_server_s_address_and_model(web: Web) -> None:
    page = await web.browser().get("/docs")
    assert page.status_code == 200
    assert "http://localhost:8080/v1" in words(page)
    assert "http://localhost:8080/models/tiny" in words(page)
    assert "Sign in to try it here" in words(page)
    assert "Make a token" in words(await (await web.signed_in("ann")).get("/docs"))


async def test_programs_get_what_they_got(web: Web) -> None:
    assert "application/json" in (await web.house.client.get("/openapi.json")).headers["content-type"]
