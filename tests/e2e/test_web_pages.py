"""The pages in a real browser over the real server: from the invitation to a model that needs a plan.

Chromium comes from scripts/browser. What it sees is judged by axe-core, which scripts/clients installs.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from pronto.web.routes import TABLE, For
from tests.e2e.http import post
from tests.e2e.server import Server, run_cli
from tests.e2e.web_scene import PASSWORD, Person, open_chromium

AXE = Path(__file__).parents[2] / ".venvs/axe/node_modules/axe-core/axe.min.js"
CODER = Path(__file__).parents[2] / "src/pronto/shipped_models/tiny-coder"
HOSTILE = '<img src=x onerror="window.broken = true"><script>window.broken = true</script>'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model for everybody and one for which a plan is needed, and an administrator."""
    folder = tmp_path_factory.mktemp("pages")
    for name, plan in (("echo", "free"), ("for-pro", "pro")):
        run_cli(folder, "models", "add", f"test/{name}", "--engine", "echo", "--plan", plan, "--source", str(CODER))
    run_cli(folder, "users", "add", "root")
    run_cli(folder, "users", "admin", "root")
    server = Server(folder)
    yield server
    assert server.stop() == 0


def with_password(pages: Server, person: Person, name: str) -> None:
    person.choose_password(run_cli(pages.data_dir, "users", "password", name).stdout)
    person.sign_in(name)


def test_from_an_invitation_to_a_model_that_needs_a_plan(pages: Server, chromium: Browser) -> None:
    ann, root = Person(chromium, pages.url), Person(chromium, pages.url)
    link = run_cli(pages.data_dir, "users", "invite").stdout.strip()
    page = ann.page
    page.goto(re.sub(r"^https?://[^/]+", "", link))
    page.get_by_label("Name").fill("annika")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    expect(page.get_by_text("Welcome!")).to_be_visible()

    page.get_by_label("Name", exact=True).fill(HOSTILE[:90])
    page.get_by_role("button", name="Make the token").click()
    secret = page.locator("#secret").inner_text()
    assert run_model(pages, "test/echo", secret) == 200
    assert run_model(pages, "test/for-pro", secret) == 403

    page.goto("/settings/usage")
    assert page.locator(".figure", has_text="requests").first.inner_text().split()[0] == "1"
    api = ask(pages, "/api/usage?days=30", secret)
    assert api["total"]["requests"] == 1

    page.goto("/pricing")
    page.get_by_role("link", name="Choose").first.click()
    page.get_by_label("What do you need it for?").fill(HOSTILE)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("You asked for the pro plan")).to_be_visible()

    with_password(pages, root, "root")
    root.page.goto("/admin/requests")
    expect(root.page.get_by_text(HOSTILE)).to_be_visible()
    root.page.get_by_role("button", name="Grant", exact=True).click()
    expect(root.page.get_by_text("granted by root")).to_be_visible()
    assert run_model(pages, "test/for-pro", secret) == 200
    page.goto("/settings/billing")
    expect(page.get_by_text("the pro plan")).to_be_visible()
    root.page.goto("/admin/audit")
    ann.end()
    root.end()


def test_a_script_of_a_page_uses_the_api_until_the_browser_is_signed_out(pages: Server, chromium: Browser) -> None:
    here, elsewhere = Person(chromium, pages.url), Person(chromium, pages.url)
    with_password(pages, here, "root")
    elsewhere.sign_in("root")
    run = """async (path) => {
        const script = document.querySelector('script[type="module"]').src;
        const api = await import(script.replace('page.js', 'api.js'));
        try {
            let text = '';
            const body = {model: path, stream: true, messages: [{role: 'user', content: 'one two'}], max_tokens: 5};
            for await (const event of api.events('/v1/chat/completions', {body})) {
                text += event.data?.choices?.[0]?.delta?.content ?? '';
            }
            return [200, text];
        } catch (error) { return [error.status ?? 0, error.message]; }
    }"""
    here.page.goto("/models")
    status, text = here.page.evaluate(run, "test/echo")
    assert (status, bool(text)) == (200, True), text
    elsewhere.page.goto("/settings/sessions")
    elsewhere.page.get_by_role("button", name="Sign out all others").click()
    expect(elsewhere.page.get_by_text("All other browsers are signed out")).to_be_visible()
    assert here.page.evaluate(run, "test/echo")[0] == 401
    here.page.goto("/settings/sessions")
    expect(here.page.get_by_role("heading", name="Sign in")).to_be_visible()
    here.complaints.clear()  # the browser itself reports the 401
    here.end()
    elsewhere.end()


def test_models_are_loaded_and_unloaded_by_an_administrator(pages: Server, chromium: Browser) -> None:
    root = Person(chromium, pages.url)
    with_password(pages, root, "root")
    row = root.page.locator("tr", has=root.page.get_by_role("link", name="test/for-pro"))
    root.page.goto("/admin/models")
    if row.get_by_role("button", name="Load", exact=True).count():
        row.get_by_role("button", name="Load", exact=True).click()
    deadline = time.monotonic() + 30
    while "Ready" not in row.inner_text():
        assert time.monotonic() < deadline, row.inner_text()
        time.sleep(0.2)
        root.page.goto("/admin/models")
    row.get_by_role("button", name="Pin").click()
    deadline = time.monotonic() + 5
    while "pinned" not in row.inner_text() and time.monotonic() < deadline:
        root.page.goto("/admin/models")
    assert "pinned" in row.inner_text()
    row.get_by_role("button", name="Unload").click()
    expect(row.get_by_text("Ready")).to_have_count(0)
    root.end()


def test_forms_work_without_scripts(pages: Server, chromium: Browser) -> None:
    person = Person(chromium, pages.url, java_script_enabled=False)
    person.choose_password(run_cli(pages.data_dir, "users", "password", "root").stdout)
    person.sign_in("root")
    person.page.goto("/settings/tokens/new")
    person.page.get_by_label("Name", exact=True).fill("no script")
    person.page.get_by_role("button", name="Make the token").click()
    assert person.page.locator("#secret").inner_text().startswith("hf_")
    assert person.complaints == []
    person.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_fit_for_all_eyes_and_hands(pages: Server, chromium: Browser, scheme: str) -> None:
    """axe-core finds nothing serious, and on a phone no page is wider than the screen."""
    person = Person(chromium, pages.url, color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844})
    axe = AXE.read_text(encoding="utf-8")
    for path in ("/", "/models", "/models/test/echo", "/login", "/join", "/password", "/pricing", "/nothing/there"):
        judge(person.page, path, axe, scheme)
    with_password(pages, person, "root")
    for page in TABLE:
        if page.method == "GET" and page.access is not For.ANYBODY and "{" not in page.path and "csv" not in page.path:
            judge(person.page, page.path, axe, scheme)
    for path in ("/admin/accounts/root", f"/admin/audit?subject={quote(HOSTILE)}"):
        judge(person.page, path, axe, scheme)
    person.complaints = [one for one in person.complaints if "404" not in one]
    person.end()


def judge(page: Page, path: str, axe: str, scheme: str) -> None:
    page.goto(path)
    page.evaluate(axe)
    # In the dark nothing but the colours is another.
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {"resultTypes": ["violations"]}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    said = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious]
    assert said == [], path
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def run_model(pages: Server, model: str, token: str) -> int:
    """The status of the answer."""
    return post(pages.url, f"/models/{model}", {"inputs": "Hello"}, token, x_wait_for_model="1")[0]


def ask(pages: Server, path: str, token: str) -> dict:
    import urllib.request

    request = urllib.request.Request(pages.url + path, headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
