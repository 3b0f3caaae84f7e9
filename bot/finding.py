"""Finds messages of ours whose answer was lost: each carries, as metadata, what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.jobs.snapshot import JobView
from bot.slack import error_name

Hold = Callable[[], None]

#: The type of the metadata on each of them.
EVENT = "traspaso_job"


def mark(job: JobView, part: str) -> dict[str, Any]:
    """The metadata of the message that is this part of what is told about the job."""
    return {"event_type": EVENT, "event_payload": {"job": str(job.id), "part": part}}


def find(client: WebClient, job: JobView, part: str, hold: Hold, thread_ts: str | None = None) -> str | None:
    """The ts of that message, if it had arrived after all."""
    wanted = mark(job, part)["event_payload"]
    ours = of_job(client, job, str(job.channel_id), hold, thread_ts)
    return next((ts for ts, payload in ours if payload == wanted), None)


def of_job(
    client: WebClient, job: JobView, channel_id: str, hold: Hold, thread_ts: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ts and the mark of each message about the job in that channel, or in that thread; newest first.

    ``hold`` is asked before each call: a look may take several, and longer than a claim.

    A public channel takes posts from everybody, but shows only its members what is in it: the bot joins.
    """
    try:
        yield from _pages(client, job, channel_id, hold, thread_ts)
    except SlackApiError as error:
        if error_name(error) != "not_in_channel":
            raise
        hold()
        try:
            client.conversations_join(channel=channel_id)
        except SlackApiError:
            raise error from None
        yield from _pages(client, job, channel_id, hold, thread_ts)


def _pages(
    client: WebClient, job: JobView, channel_id: str, hold: Hold, thread_ts: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    asked: dict[str, Any] = {
        "channel": channel_id,
        "include_all_metadata": True,
        "oldest": f"{job.created_at.timestamp() - 60:.6f}",
        "limit": 200,
    }
    cursor = ""
    while True:
        hold()
        if thread_ts is None:
            page = client.conversations_history(cursor=cursor, **asked)
        else:
            page = client.conversations_replies(ts=thread_ts, cursor=cursor, **asked)
        for message in page["messages"]:
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            if metadata.get("event_type") == EVENT and payload.get("job") == str(job.id):
                yield str(message["ts"]), payload
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return
