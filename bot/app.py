"""The Bolt app: the conversations, a catch-all for what nobody else answers, and nothing else."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from bot.commands import (
    app_home,
    approval,
    choosing,
    copy_freeze,
    copy_liquidation,
    copy_status,
    copy_verify,
    job_buttons,
    job_details,
)
from bot.commands.choosing import Choosing
from bot.commands.surface import Surface

log = logging.getLogger(__name__)

#: Bolt's own five threads delay the acknowledgement of the sixth listener; previews wait for databases.
LISTENER_THREADS = 32


def build_app(surface: Surface, client: WebClient) -> App:
    """The app without a connection; `python -m bot` connects it."""
    app = App(
        client=client,
        token_verification_enabled=False,
        listener_executor=ThreadPoolExecutor(LISTENER_THREADS, thread_name_prefix="listener"),
    )
    app.middleware(with_this(client))
    app_home.register(app, surface)
    modal = Choosing(surface)
    choosing.register(app, modal)
    copy_liquidation.register(app, surface, modal)
    copy_status.register(app, surface)
    approval.register(app, surface)
    copy_freeze.register(app, surface)
    job_buttons.register(app, surface)
    job_details.register(app, surface)
    copy_verify.register(app, surface)
    app.command(re.compile(".*"))(unknown_command)
    app.action(re.compile(".*"))(unknown_action)
    return app


def with_this(client: WebClient) -> Callable[[BoltContext, Callable[[], None]], None]:
    """Bolt makes a plain client for each request; conversations get this one, which is paced."""

    def ours(context: BoltContext, next_: Callable[[], None]) -> None:
        context["client"] = client
        next_()

    return ours


def unknown_command(ack: Ack, body: dict[str, Any]) -> None:
    """A command of a newer manifest: without an ack the person would see a timeout."""
    log.warning("no conversation for command %s", body.get("command"))
    ack(f"{body.get('command')}: this version of Traspaso doesn't know that command.")


def unknown_action(ack: Ack, body: dict[str, Any]) -> None:
    """A button of another version of a message, or a plain link button."""
    log.warning("no conversation for action %s", body["actions"][0].get("action_id"))
    ack()
