"""Sign-in with a real, certified provider of OpenID Connect (npm `oidc-provider`), in a real browser."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.server import Server, run_cli
from tests.e2e.web_scene import Person, open_chromium

ROOT = Path(__file__).parents[2]
SETTINGS = """
[[sso]]
name = "corp"
title = "Corp"
issuer = "http://localhost:{port}"
client_id = "pronto"
client_secret = "client-secret"
scopes = ["openid", "email", "profile", "groups"]
domains = ["corp.example"]
groups = {{ engineering = "acme:write", leads = "acme:admin" }}
plans = {{ engineering = "pro", leads = "enterprise" }}
administrators = ["leads"]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def corp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port, own = tmp_path_factory.mktemp("sso"), free_port(), free_port()
    run_cli(folder, "users", "list")
    run_cli(folder, "orgs", "add", "acme", "--plan", "enterprise")
    (folder / "pronto.toml").write_text(SETTINGS.format(port=port), encoding="utf-8")
    callback = f"http://127.0.0.1:{own}/sso/corp/callback"
    node = shutil.which("node") or str(ROOT / ".venvs/node/bin/node")  # the latter from scripts/clients
    command = [node, str(ROOT / "tests/e2e/clients/idp.mjs"), str(port), callback, str(ROOT / ".venvs/oidc")]
    idp = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert idp.stdout is not None
    while (line := idp.stdout.readline()) and "ready" not in line:
        continue
    assert line, "the provider did not start: scripts/clients oidc"
    server = Server(folder, "--port", str(own), "--config", str(folder / "pronto.toml"))
    yield server
    assert server.stop() == 0
    idp.terminate()
    idp.wait(10)
    idp.stdout.close()


def test_people_come_with_their_provider_and_get_what_their_groups_give(corp: Server) -> None:
    with open_chromium() as browser:
        for name, plan, role in (("eli", "pro", "write"), ("lea", "enterprise", "admin")):
            person = Person(browser, corp.url)
            page = person.page
            page.goto("/settings/account")
            if name == "eli":
                page.get_by_role("link", name="Sign in with Corp").click()
            else:  # the domain of an address leads there by itself
                page.get_by_label("Name or e-mail").fill("lea@corp.example")
                page.get_by_label("Password").fill("whatever")
                page.get_by_role("button", name="Sign in", exact=True).click()
            page.locator("input[name=login]").fill(name)
            page.locator("input[name=password]").fill("x")
            page.locator("button[type=submit]").click()
            page.locator("button[type=submit]").click()
            expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
            said = page.locator("main").inner_text()
            assert f"{name}@corp.example" in said
            assert plan in said
            assert f"acme {role}" in " ".join(said.split())
            assert ("Administration" in page.locator("header").text_content()) == (name == "lea")
            person.complaints.clear()  # the provider's own pages have no icon
            person.end()
