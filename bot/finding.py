"""Finds a message of ours whose answer was lost: each carries, as metadata, what it is about."""

from __future__ import annotations

from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.jobs.snapshot import JobSnapshot
from bot.slack import error_name


def mark(job: JobSnapshot, part: str) -> dict[str, Any]:
    """The metadata of the message that is this part of what is told about the job."""
    return {"event_type": "traspaso_job", "event_payload": {"job": str(job.id), "part": part}}


def find(client: WebClient, job: JobSnapshot, part: str, thread_ts: str | None = None) -> str | None:
    """The ts of that message, if it had arrived after all.

    A public channel takes posts from everybody, but shows only its members what is in it: the bot joins.
    """
    try:
        return _look_for(client, job, part, thread_ts)
    except SlackApiError as error:
        if error_name(error) != "not_in_channel":
            raise
        try:
            client.conversations_join(channel=str(job.channel_id))
        except SlackApiError:
            raise error from None
    return _look_for(client, job, part, thread_ts)


def _look_for(client: WebClient, job: JobSnapshot, part: str, thread_ts: str | None) -> str | None:
    asked: dict[str, Any] = {
        "channel": job.channel_id,
        "include_all_metadata": True,
        "oldest": f"{job.created_at.timestamp() - 60:.6f}",
        "limit": 200,
    }
    wanted, cursor = mark(job, part), ""
    while True:
        if thread_ts is None:
            page = client.conversations_history(cursor=cursor, **asked)
        else:
            page = client.conversations_replies(ts=thread_ts, cursor=cursor, **asked)
        for message in page["messages"]:
            if (message.get("metadata") or {}).items() >= wanted.items():
                return str(message["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return None
