"""A person before the page: what they type, press and see, by the roles and names that a screen reader
has."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Request, expect

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
SECONDS = 1_000


class Desk:
    """One window. `troubles` is what no page may have: errors, and requests to anywhere else."""

    def __init__(self, browser: Browser, url: str, user: str, place: str, *, phone: bool = False) -> None:
        self.url, self.user = url, user
        self.troubles: list[str] = []
        self._context = browser.new_context(viewport=PHONE if phone else WIDE)  # type: ignore[arg-type]
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(45 * SECONDS)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("console", lambda line: line.type == "error" and self.troubles.append(line.text))
        self.page.on("request", self._look_at)
        self.page.goto(f"{url}/as/{user}/{place}")
        expect(self.page.locator("body[data-stream=open]")).to_be_attached()

    def close(self) -> None:
        self._context.close()

    # ------------------------------------------------------------------------------------- what one does

    @property
    def box(self) -> Locator:
        """Where one writes in the channel."""
        return self.page.locator("#composer").get_by_role("textbox")

    def say(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def press(self, name: str, within: Locator | None = None) -> None:
        (within or self.page).get_by_role("button", name=name, exact=True).click()

    # ------------------------------------------------------------------------------------- what one sees

    @property
    def room(self) -> Locator:
        return self.page.locator("#list")

    def row(self, text: str) -> Locator:
        """The newest message with these words."""
        return self.room.get_by_role("article").filter(has_text=text).last

    @property
    def pane(self) -> Locator:
        """What is beside the channel: a thread, or the pins."""
        return self.page.locator("#pane")

    @property
    def modal(self) -> Locator:
        return self.page.locator("#modal")

    @property
    def scripts_ran(self) -> bool:
        return bool(self.page.evaluate("Boolean(window.ran)"))

    @property
    def too_wide(self) -> bool:
        """It has to be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def shoot(self, folder: Path, name: str) -> None:
        """A picture to be looked at."""
        self.page.mouse.move(0, 0)
        self.page.screenshot(path=folder / f"{name}.png")

    def _look_at(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.troubles.append(f"a request left the machine: {request.url}")
