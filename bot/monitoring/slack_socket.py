"""Whether the bot's socket to Slack is open, and answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bot.monitoring.readiness import NotReady

if TYPE_CHECKING:
    from slack_sdk.socket_mode.builtin import SocketModeClient

#: Slack is pinged every two seconds; without an answer for so long the line counts as lost.
PONG_SECONDS = 15.0


def sentence(client: SocketModeClient) -> str:
    """Raises NotReady with what is wrong."""
    session = client.current_session
    if session is None or not client.is_connected():
        raise NotReady("not connected to Slack: the log says why, and when the next try is")
    pong = session.last_ping_pong_time
    if pong is None:
        return "connected just now"
    seconds = max(0.0, time.time() - pong)
    if seconds > PONG_SECONDS:
        raise NotReady(f"Slack has not answered a ping for {seconds:.0f} s: it is connected to anew soon")
    return f"connected, the last pong came {seconds:.1f} s ago"


def threads(client: SocketModeClient) -> Mapping[str, bool]:
    """The SDK's own threads, and whether they live; the one that looks after the line begins with it."""
    found = {
        "socket-reader": client.current_session_runner,
        "socket-messages": client.message_processor,
        **({"socket-monitor": client.current_app_monitor} if client.current_app_monitor_started else {}),
    }
    return {name: thread.is_alive() for name, thread in found.items()}
