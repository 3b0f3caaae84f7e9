"""The surface of the conversations for tests that build the app themselves."""

from __future__ import annotations

from typing import Any

from slack_sdk import WebClient
from sqlalchemy import Engine

from bot.commands.comparisons import Comparisons
from bot.commands.conversation import Surface
from bot.config import CopySection, File, SlackSection
from bot.i18n import translator
from bot.jobs.actions import Approvals
from bot.jobs.repository import HomeRepository, JobHistory, JobRepository
from bot.slack.access import Access, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.home_publisher import HomePublisher
from bot.slack.replies import Replies
from copier import Limits
from tests.tracking import TABLE, Jobs


def surface_of(
    web: WebClient,
    jobs: Jobs,
    consulta: Engine | None = None,
    prod: Engine | None = None,
    file: File | None = None,
    **parts: Any,
) -> Surface:
    """Everything real, over this client and these tables; both sides are consulta unless they are given."""
    consulta = consulta or jobs.engine
    copy = CopySection(name="items", source_table=TABLE, target_table=TABLE)
    file = file or File(slack=SlackSection(admin_groups=("S0ADMINS",)), copies=(copy,))
    permissions, people = Access(web, file.slack, file.copies), People(web, "es")
    card_publisher = CardPublisher(web, jobs.store, jobs.cards, translator("es"), lambda: True)
    defaults: dict[str, Any] = {
        "tracking": consulta,
        "store": JobRepository(consulta),
        "history": JobHistory(consulta),
        "approvals": Approvals(consulta),
        "permissions": permissions,
        "people": people,
        "comparisons": Comparisons(prod or consulta, consulta, Limits()),
        "panel": HomePublisher(web, HomeRepository(consulta), card_publisher, permissions, people),
        "card publisher": card_publisher,
        "replies": Replies(web, card_publisher),
        "enqueue": lambda job_id: True,
        "wake_courier": lambda: None,
    }
    return Surface(file=file, prod=prod or consulta, consulta=consulta, **defaults | parts)
