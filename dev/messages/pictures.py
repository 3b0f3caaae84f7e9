"""Some of the samples as Slack would show them: pictures for docs/messages.md, from the local Slack's page.

python -m dev.messages.pictures
"""

from __future__ import annotations

import time

from playwright.sync_api import Locator, Page, expect
from slack_sdk import WebClient

from bot.messages.blocks import Message, View
from bot.messages.notification import Notification
from dev.browser import chromium
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer
from dev.messages.catalogue import LARGEST_PICTURE_BYTES, PICTURES, made
from dev.messages.samples import SAMPLES
from dev.messages.situations import NOW

CHANNEL = "C0PAYROLL"
READERS = {"es": "U0ANA", "en": "U0BOB"}
#: Of the window; a table needs more.
WIDTH, TABLE_WIDTH = 920, 1240


class Studio:
    """A local Slack at the moment of the samples, without a bot, and a window before it."""

    def __init__(self, server: LocalSlackServer, page: Page) -> None:
        self._core = server.core
        self._slack = LocalSlack(server.url)
        self._slack.advance_clock(NOW.timestamp() - time.time())
        self._web = WebClient(token=self._slack.bot_token, base_url=self._slack.api_url)
        self._page = page

    def take(self, shown: Message | View | Notification, user: str) -> bytes:
        if isinstance(shown, Notification):
            raise TypeError("Slack doesn't show a notification")
        if isinstance(shown, Message):
            return self._message(shown, user)
        return self._home(shown, user) if shown["type"] == "home" else self._modal(shown, user)

    def _message(self, message: Message, user: str) -> bytes:
        blocks = message.blocks
        width = TABLE_WIDTH if any(block["type"] == "table" for block in blocks) else WIDTH
        ts = str(self._web.chat_postMessage(channel=CHANNEL, text=message.text, blocks=blocks)["ts"])
        self._enter(user, CHANNEL, width)
        picture = _shoot(self._page.get_by_role("article"))
        self._slack.delete_message(CHANNEL, ts)
        return picture

    def _home(self, view: View, user: str) -> bytes:
        self._web.views_publish(user_id=user, view=view)
        self._enter(user, "home")
        content = self._page.locator("#home .content")
        content.evaluate("content => { content.style.padding = '16px'; }")
        return _shoot(content)

    def _modal(self, view: View, user: str) -> bytes:
        self._web.views_open(trigger_id=self._core.new_trigger(user), view=view)
        self._enter(user, CHANNEL)
        modal = self._page.get_by_role("dialog")
        modal.evaluate("modal => { document.activeElement.blur(); modal.style.borderRadius = 0; }")
        picture = _shoot(modal)
        self._slack.user(user).close_modal()
        return picture

    def _enter(self, user: str, place: str, width: int = WIDTH) -> None:
        self._page.set_viewport_size({"width": width, "height": 1400})
        self._page.goto(f"{self._slack.url}/as/{user}/{place}")
        expect(self._page.locator("body[data-stream=open]")).to_be_attached()
        self._page.mouse.move(0, 0)


def _shoot(found: Locator) -> bytes:
    return found.screenshot(caret="hide", animations="disabled")


def main() -> None:
    samples = {(sample.section, sample.name): sample for sample in SAMPLES}
    with LocalSlackServer(ROOT / "manifest.yml", rate_limits=False) as server, chromium() as browser:
        studio = Studio(server, browser.new_page())
        for (section, name, language), path in PICTURES.items():
            picture = studio.take(made(samples[section, name], language), READERS[language])
            if len(picture) > LARGEST_PICTURE_BYTES:
                raise SystemExit(f"{path} has {len(picture):,} bytes, more than {LARGEST_PICTURE_BYTES:,}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
            print(f"{path.relative_to(ROOT)}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
