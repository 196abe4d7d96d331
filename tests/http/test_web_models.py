"""The pages of models: what they show to whom, their search without a script, and names that would like to be HTML."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pronto.core.tasks import Task
from tests.http.site_scene import Web, open_web, words


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


def card_ids(page: str) -> list[str]:
    return re.findall(r'class="card model" href="/models/([^"]+)"', page)


def playground(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', page)
    assert found is not None
    value: dict[str, Any] = json.loads(found[1])
    return value


async def test_the_search_works_without_a_script(web: Web) -> None:
    browser = web.browser()
    everything = card_ids((await browser.get("/models")).text)
    assert "tiny" in everything
    assert card_ids((await browser.get("/models?q=TINY&task=text-generation")).text) == ["tiny"]
    nothing = await browser.get("/models?q=there-is-no-such-model")
    assert card_ids(nothing.text) == []
    assert "No model fits" in words(nothing)
    assert card_ids((await browser.get("/models?task=text-to-image")).text) == []


async def test_the_search_shows_what_was_typed_as_text(web: Web) -> None:
    page = await web.browser().get("/models")
    page = await web.browser().get('/models?q="><script>alert(1)</script>')
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    assert page.status_code == 200


async def test_a_stranger_is_asked_to_sign_in(web: Web) -> None:
    page = await web.browser().get("/models/tiny")
    assert "please sign in" in words(page)
    assert playground(page.text)["may_run"] is False


async def test_a_user_sees_the_plan_and_may_run(web: Web) -> None:
    page = await (await web.signed_in("ann")).get("/models/tiny")
    assert "Your plan: free" in words(page)
    assert "300 per hour" in words(page)
    assert playground(page.text)["may_run"] is True
    assert playground(page.text)["max_new_tokens"] <= 1024


async def test_a_model_that_needs_another_plan_says_so_and_leads_there(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = web.rooms.models
    costly = msgspec.structs.replace(models.describe("tiny"), plan="pro")
    monkeypatch.setattr(models, "describe", lambda name: costly)
    page = await (await web.signed_in("ann")).get("/models/tiny")
    assert "needs the pro plan" in words(page)
    assert 'href="/pricing"' in page.text
    assert playground(page.text)["may_run"] is False
    page = await (await web.signed_in("bob", "pro")).get("/models/tiny")
    assert "needs the pro plan" not in words(page)
    assert playground(page.text)["may_run"] is True


async def test_words_of_an_operator_are_never_html(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    models = web.rooms.models
    evil = msgspec.structs.replace(
        models.describe("tiny"), use=hostile, size=hostile, reason=hostile, aliases=(hostile,)
    )
    monkeypatch.setattr(models, "describe", lambda name: evil)
    monkeypatch.setattr(models, "list", lambda: [evil])
    for path in ("/", "/models", "/models/tiny"):
        page = await web.browser().get(path)
        assert "<script>alert" not in page.text, path
        assert "<img src=x" not in page.text, path


async def test_adapters_and_their_base_lead_to_each_other(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    models = web.rooms.models
    base = models.describe("tiny")
    adapter = msgspec.structs.replace(base, id="tiny-pirate", base="tiny")
    monkeypatch.setattr(models, "list", lambda: [base, adapter])
    assert 'href="/models/tiny-pirate"' in (await web.browser().get("/models/tiny")).text
    monkeypatch.setattr(models, "describe", lambda name: adapter)
    assert 'href="/models/tiny"' in (await web.browser().get("/models/tiny-pirate")).text


def test_each_task_of_the_playground_is_a_task() -> None:
    static = Path(__file__).parents[2] / "src" / "pronto" / "web" / "static"
    script = (static / "play.js").read_text()
    known = {task.value for task in Task}
    entries = re.findall(r'^  "?([\w-]+)"?: \["\./([\w-]+\.js)", "(\w+)"\]', script, re.MULTILINE)
    assert len(entries) > 20
    for task, file, name in entries:
        assert task in known, task
        assert f"export function {name}(" in (static / file).read_text(), (file, name)
