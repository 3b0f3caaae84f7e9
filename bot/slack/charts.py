"""Puts the chart of a long copy into the thread of its card: the only caller of files.*.

A chart is a nicety: nothing waits for it, and whoever can't have one goes without.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from slack_sdk import WebClient

from bot.i18n import Translator
from bot.jobs.repository import Throughput
from bot.jobs.view import JobView
from bot.messages.chart import Chart, chart

log = logging.getLogger(__name__)


class Charts:
    """Draws from the ledger, in the channel's language."""

    def __init__(self, client: WebClient, throughput: Throughput, translator: Translator) -> None:
        self._client = client
        self._throughput = throughput
        self._t = translator

    def post(self, job: JobView, *, look_first: bool) -> None:
        """Uploads the chart, once. Slack takes files only where the bot is a member.

        ``look_first`` where this was tried before: the chart may have arrived.
        """
        drawn = self._draw(job)
        if drawn is None or job.channel_id is None or job.message_ts is None:
            return
        if look_first and any(_is(message, drawn) for message in self._thread(job)):
            return
        self._client.files_upload_v2(
            channel=job.channel_id,
            thread_ts=job.message_ts,
            content=drawn.png,
            filename=drawn.filename,
            title=drawn.title,
            alt_txt=drawn.words,
            initial_comment=drawn.words,
        )

    def _draw(self, job: JobView) -> Chart | None:
        stretches = self._throughput.of(job.id)
        try:
            return chart(job, stretches, self._t)
        except Exception:
            log.exception("job %s: the chart can't be drawn", job.id)
            return None

    def _thread(self, job: JobView) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = self._client.conversations_replies(
                channel=job.channel_id or "", ts=job.message_ts or "", limit=200, cursor=cursor
            )
            yield from page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return


def _is(message: dict[str, Any], drawn: Chart) -> bool:
    """A message with a file carries no metadata of ours: it is known by its words, or by the file's name."""
    names = [file.get("name") for file in message.get("files") or []]
    return bool(message.get("text") == drawn.words or drawn.filename in names)
