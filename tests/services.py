"""What the conversations are wired with, for tests that build the app themselves."""

from __future__ import annotations

from typing import Any

from slack_bolt import App
from slack_bolt.listener import CustomListener
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient
from sqlalchemy import Engine

from bot.commands.conversation import BotParts, Callers, Guard, Signals
from bot.commands.copy_verify import VerificationRunner
from bot.config import CopySection, File, SlackSection
from bot.i18n import translator
from bot.jobs.repository import HomeRepository, JobHistory, JobRepository
from bot.slack.access import Access, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.ephemeral import Replies
from bot.slack.home_publisher import HomePublisher
from copier import Limits
from tests.tracking import TABLE, Jobs

#: Bolt gives up what isn't acknowledged after three seconds, as Slack does. A busy machine may take longer.
PATIENCE_SECONDS = 30


def dispatched(app: App, body: dict[str, Any]) -> BoltResponse:
    """What the app acknowledges a request of Slack with, however long that takes."""
    for listener in app._listeners:
        assert isinstance(listener, CustomListener)
        listener.ack_timeout = PATIENCE_SECONDS
    response = app.dispatch(BoltRequest(body=body, mode="socket_mode"))
    assert response.status == 200
    return response


def parts_of(
    web: WebClient,
    jobs: Jobs,
    consulta: Engine | None = None,
    prod: Engine | None = None,
    file: File | None = None,
    enqueue: Any = lambda job_id: True,
    wake_relay: Any = lambda: None,
    **parts: Any,
) -> BotParts:
    """Everything real, over this client and these tables; both sides are consulta unless they are given."""
    consulta = consulta or jobs.engine
    copy = CopySection(name="items", source_table=TABLE, target_table=TABLE)
    file = file or File(slack=SlackSection(admin_groups=("S0ADMINS",)), copies=(copy,))
    access, people = Access(web, file.slack, file.copies), People(web, "es")
    card_publisher = CardPublisher(web, jobs.store, jobs.cards, translator("es"), lambda: True)
    made: dict[str, Any] = {
        "guard": Guard(file, access),
        "callers": Callers(people, Replies(web, card_publisher)),
        "signals": Signals(enqueue, wake_relay),
        "prod": prod or consulta,
        "consulta": consulta,
        "tracking": consulta,
        "store": JobRepository(consulta),
        "history": JobHistory(consulta),
        "card_publisher": card_publisher,
        "home_publisher": HomePublisher(web, HomeRepository(consulta), card_publisher, access, people),
        "verifications": VerificationRunner(prod or consulta, consulta, Limits()),
    }
    return BotParts(**made | parts)
