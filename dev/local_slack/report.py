"""What to say when something did not happen in time: what the channels show, and what was called last."""

from dev.local_slack.jsontypes import Json
from dev.local_slack.plain import plain
from dev.local_slack.results import Call

_LAST_MESSAGES = 8
_LAST_CALLS = 10


def describe(snapshot: Json, calls: list[Call]) -> str:
    lines = [f"{snapshot['connected']} bot connections"]
    for channel in snapshot["channels"]:
        if channel["messages"]:
            lines.append(
                f"#{channel['name']} ({channel['id']}), {len(channel['messages'])} messages, the last:"
            )
        for message in channel["messages"][-_LAST_MESSAGES:]:
            lines += _message_lines(message)
    for user, stack in snapshot["modals"].items():
        lines += [f"modal of {user}: {plain(view['blocks'])} {view['trouble'] or ''}" for view in stack]
    lines.append("last calls:")
    for call in calls[-_LAST_CALLS:]:
        outcome = "ok" if call.response.get("ok") else call.response.get("error", "no answer")
        if call.held:
            outcome = f"{outcome}, {'held' if call.outcome is None else 'carried out late'}"
        lines.append(f"  {call.seq} {call.method} {call.status} {outcome}")
    return "\n".join(lines)


def _message_lines(message: Json) -> list[str]:
    notes = [f"only {message['visible_to']}"] if message["ephemeral"] else []
    notes += ["pinned"] if message["pinned"] else []
    notes += (
        [f"in thread {message['thread_ts']}"] if message.get("thread_ts") not in (None, message["ts"]) else []
    )
    text = plain(message.get("blocks"), message["text"]).replace("\n", "\n      ")
    return [f"  {message['ts']} {message['user']}{' (' + ', '.join(notes) + ')' if notes else ''}: {text}"]
