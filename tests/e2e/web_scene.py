"""A person at a real browser. Chromium comes from scripts/browser."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

PASSWORD = "three blue geese"
# A dialog would stop the browser; whatever a name or a note says, none comes.
WATCH = "window.broken = false; window.alert = () => { window.broken = true; };"


@contextmanager
def open_chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path is not None, "run scripts/browser"
    with sync_playwright() as playwright:
        # In a container there is no second sandbox within the first.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody at a browser of their own. Errors in the console are failures of the test."""

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(base_url=url, **options)  # type: ignore[arg-type]  # as given
        self.context.add_init_script(WATCH)
        self.context.set_default_timeout(10_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: dialog.accept())

    def choose_password(self, link: str) -> None:
        """By the link that the command line printed: its path is what counts."""
        self.page.goto(re.sub(r"^https?://[^/]+", "", link.strip()))
        self.page.get_by_label("New password").fill(PASSWORD)
        self.page.get_by_role("button", name="Set this password").click()

    def sign_in(self, name: str) -> None:
        self.page.goto("/login")
        self.page.get_by_label("Name or e-mail").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("details.menu summary")).to_be_visible()

    def end(self) -> None:
        assert self.page.evaluate("window.broken") is False
        assert self.complaints == []
        self.context.close()
