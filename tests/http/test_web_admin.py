"""The administration in a browser: accounts, wishes for plans, models, and that all of it is in the trail."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.web.routes import TABLE, For
from tests.http.site_scene import Operations, Web, open_web, words

ANN = "/admin/accounts/ann"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


async def test_nobody_else_does_anything_there(web: Web) -> None:
    browser = await web.signed_in("eve")
    await web.house.user("ann")
    for page in TABLE:
        if page.access is For.ADMINISTRATORS:
            path = page.path.replace("{name}", "ann").replace("{id}", "1")
            await browser.get("/settings/account")
            answer = await (
                browser.get(path) if page.method == "GET" else browser.post(path, {"do": "plan", "plan": "pro"})
            )
            assert answer.status_code == 403, page
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    assert account.plan == "free"


async def test_a_wish_is_granted_once(web: Web) -> None:
    ann, root = await web.signed_in("ann"), await web.administrator()
    await ann.submit("/settings/billing", "/settings/billing/ask", {"plan": "pro", "note": "<i>please</i>"})
    page = await root.get("/admin")
    assert "1 wish for a plan waits" in words(page)
    page = await root.get("/admin/requests")
    assert "<i>please</i>" in words(page)
    assert "<i>please" not in page.text
    await root.post("/admin/requests/1", {"decision": "grant"})
    assert "Your decision holds" in words(await root.follow())
    await root.post("/admin/requests/1", {"decision": "deny"})
    assert root.last.status_code == 404
    assert "You are on the pro plan" in words(await ann.get("/settings/billing"))
    assert (await web.house.client.get("/api/limits", headers=await web.house.token("ann"))).json()["plan"] == "pro"
    entry = (await web.store.audit.list(subject="ann", limit=2))[1]
    assert (entry.actor, entry.action) == ("root", "account.plan")


async def test_a_wish_is_not_granted(web: Web) -> None:
    ann, root = await web.signed_in("ann"), await web.administrator()
    await ann.submit("/settings/billing", "/settings/billing/ask", {"plan": "pro"})
    await root.submit("/admin/requests", "/admin/requests/1", {"decision": "deny"})
    assert "Pro: not granted" in words(await ann.get("/settings/billing"))
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    assert account.plan == "free"


async def test_accounts_are_made_found_and_changed(web: Web) -> None:
    root = await web.administrator()
    headers = await web.house.user("ann")
    accounts = "/admin/accounts"
    await root.submit(accounts, accounts, {"name": "acme", "kind": "org", "plan": "enterprise", "admin": "ann"})
    assert "organisation" in words(root.last)
    assert "ann admin" in words(root.last)
    for form, said in (
        ({"name": "acme", "plan": "free"}, "already"),
        ({"name": "a b", "plan": "free"}, "A name has"),
        ({"name": "x", "plan": "nope"}, "There is no plan"),
        ({"name": "x", "plan": "free", "email": "no"}, "no e-mail"),
    ):
        page = await root.submit(accounts, accounts, form)
        assert (page.status_code, said in words(page)) == (422, True)
    assert "ann" in words(await root.get(f"{accounts}?q=AN"))
    assert "Nobody like that" in words(await root.get(f"{accounts}?q=%25"))
    await root.submit(ANN, ANN, {"do": "plan", "plan": "pro"})
    await root.submit(ANN, ANN, {"do": "limits", "limits": '{"requests": {"hour": 5}}'})
    shown = (await web.house.client.get("/api/limits", headers=headers)).json()
    assert (shown["plan"], shown["windows"][0]["limit"]) == ("pro", 5)
    for limits in ("{", "[1]", '{"nope": 1}', '{"concurrency": 0}'):
        assert (await root.submit(ANN, ANN, {"do": "limits", "limits": limits})).status_code == 422
    await root.submit(ANN, ANN, {"do": "suspend"})
    assert (await web.house.ask(headers)).status_code == 403
    await root.submit(ANN, ANN, {"do": "resume"})
    assert (await web.house.ask(headers)).status_code == 200
    assert (await root.get("/admin/accounts/nobody")).status_code == 404


async def test_who_is_suspended_is_signed_out_everywhere(web: Web) -> None:
    ann, root = await web.signed_in("ann"), await web.administrator()
    await root.submit(ANN, ANN, {"do": "suspend"})
    assert (await ann.get("/settings/account")).status_code == 303
    await root.submit(ANN, ANN, {"do": "resume"})
    assert (await ann.get("/settings/account")).status_code == 303


async def test_nobody_shuts_themselves_out(web: Web) -> None:
    root = await web.administrator()
    for do in ("suspend", "no-admin"):
        assert (await root.submit("/admin/accounts/root", "/admin/accounts/root", {"do": do})).status_code == 422
    await web.house.user("ann")
    await root.submit(ANN, ANN, {"do": "admin"})
    ann = await web.signed_in("ann")
    assert (await ann.get("/admin")).status_code == 200
    await root.submit(ANN, ANN, {"do": "no-admin"})
    assert (await ann.get("/admin")).status_code == 403


async def test_links_that_are_handed_over(web: Web) -> None:
    root = await web.administrator()
    await web.house.user("ann")
    await root.get(ANN)
    page = await root.post(f"{ANN}/password")
    [link] = re.findall(r"http://localhost:8080(/password/[\w-]+)", page.text)
    assert "For the account ann" in words(await web.browser().get(link))
    await root.get("/admin/accounts")
    page = await root.post("/admin/invite", {"plan": "pro"})
    [link] = re.findall(r"http://localhost:8080(/join/[\w-]+)", page.text)
    await web.browser().submit(link, link, {"name": "newt", "password": "three blue geese"})
    account = await web.store.accounts.by_name("newt")
    assert account is not None
    assert account.plan == "pro"
    page = words(await root.get("/admin/audit"))
    assert "link.password ann" in page
    assert link.rpartition("/")[2] not in page


async def test_models_are_loaded_unloaded_and_pinned(web: Web) -> None:
    root = await web.administrator()
    page = words(await root.get("/admin/models"))
    assert "1.5 GB of 4.0 GB" in page
    assert "tiny 2 of 8 1" in page
    done = web.rooms.operations
    assert isinstance(done, Operations)
    for do in ("load", "unload", "pin"):
        await root.submit("/admin/models", "/admin/models", {"do": do, "model": "tiny"})
    assert done.done == [("load", "tiny"), ("unload", "tiny"), ("pin", "tiny")]
    assert "pinned" in words(root.last)
    for form, status in (
        ({"do": "load", "model": "nothing"}, 404),
        ({"do": "unload", "model": "busy"}, 429),
        ({"do": "x"}, 422),
    ):
        assert (await root.submit("/admin/models", "/admin/models", form)).status_code == status
    actions = [entry.action for entry in await web.store.audit.list(subject="tiny")]
    assert actions == ["model.pin", "model.unload", "model.load"]


async def test_the_trail_by_subject_and_further_back(web: Web) -> None:
    root = await web.administrator()
    for number in range(105):
        await web.store.audit.write("operator", "test.write", f"s{number}", {"number": number})
    page = await root.get("/admin/audit")
    assert "s104" in words(page)
    found = re.search(r'href="(/admin/audit\?[^"]*before=\d+)"', page.text)
    assert found is not None
    assert "s3" in words(await root.get(found[1].replace("&amp;", "&"))).split()
    assert "number: 7" in words(await root.get("/admin/audit?subject=s7"))
    assert (await root.get("/admin/audit?before=x&subject=<b>")).status_code == 200
