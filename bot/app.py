"""The one composition root: builds every part from the settings, for the bot, a worker or the shell."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

import migrations
from bot.commands import (
    app_home,
    card_buttons,
    copy_freeze,
    copy_liquidation,
    copy_modal,
    copy_status,
    copy_verify,
)
from bot.commands.conversation import Surface
from bot.commands.copy_modal import Choosing
from bot.config import Settings
from bot.errors import SchemaBehind
from bot.i18n import translator
from bot.jobs.actions import Approvals
from bot.jobs.cards import Cards
from bot.jobs.execution import Executions
from bot.jobs.outbox import Outbox
from bot.jobs.recovery import Sweep
from bot.jobs.repository import HomeRepository, JobHistory, JobRepository, Throughput
from bot.jobs.transactions import give_up_silent_servers, with_limits
from bot.jobs.workers import Workers
from bot.slack.access import Access, People, mentions
from bot.slack.card_publisher import CardPublisher, MayEdit
from bot.slack.charts import Charts
from bot.slack.home_publisher import HomePublisher
from bot.slack.outbox_relay import OutboxRelay
from bot.slack.rate_limit import EDIT, PacedClient, Pacing
from bot.slack.replies import Replies
from bot.work.background import LivenessBeat
from bot.work.runner import Runner
from copier.errors import failures_of

#: What every database connection is opened with: a dead peer is noticed within about two minutes.
CONNECT_ARGS = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 90_000,
    "application_name": "traspaso",
    "prepare_threshold": None,  # PgBouncer in transaction mode gives each transaction another session
}
# Whatever the role's default is: heartbeats, lanes and people change one row of a job at the same time.
COMMON: dict[str, Any] = {"connect_args": CONNECT_ARGS, "isolation_level": "READ COMMITTED"}


@dataclass(frozen=True)
class Databases:
    """Both engines, for copies; and what lives in consulta, over connections of ``tracking``."""

    prod: Engine
    consulta: Engine
    tracking: Engine
    store: JobRepository
    executions: Executions
    runner: Runner
    sweep: Sweep
    approvals: Approvals
    history: JobHistory
    workers: Workers
    liveness: LivenessBeat

    def check_schema(self) -> None:
        """Raises SchemaBehind where the tracking tables aren't this release's."""
        with failures_of("consulta"), self.tracking.connect() as connection:
            current = migrations.current(connection)
        if current != migrations.newest():
            raise SchemaBehind(current, migrations.newest())


@dataclass(frozen=True)
class Slack:
    """Everything that talks to Slack."""

    card_publisher: CardPublisher
    replies: Replies
    outbox_relay: OutboxRelay
    permissions: Access
    people: People
    home_publisher: HomePublisher


def databases(settings: Settings, operators: tuple[str, ...] = ()) -> Databases:
    """Connects to nothing yet. ``operators`` are those whom messages mention where nobody works."""
    prod = _engine(settings.prod, pooled=False)
    consulta = _engine(settings.consulta, pooled=True)
    tracking = with_limits(consulta)
    work = settings.file.work
    beats = create_engine(
        consulta.url, **COMMON, pool_pre_ping=True, pool_size=1, max_overflow=0, pool_timeout=5
    )
    give_up_silent_servers(beats)
    liveness = LivenessBeat(Workers(with_limits(beats)))
    executions = Executions(tracking, lease_seconds=work.lease_seconds, chart_seconds=work.chart_seconds)
    return Databases(
        prod=prod,
        consulta=consulta,
        tracking=tracking,
        store=JobRepository(tracking, operators),
        executions=executions,
        runner=Runner(
            prod,
            consulta,
            executions,
            settings.file,
            worker=worker_name(),
            worker_id=lambda: liveness.worker_id,
        ),
        sweep=Sweep(tracking, overdue_seconds=work.overdue_seconds, max_attempts=work.max_attempts),
        approvals=Approvals(tracking),
        history=JobHistory(tracking),
        workers=Workers(tracking),
        liveness=liveness,
    )


def operators(settings: Settings) -> tuple[str, ...]:
    """Who runs Traspaso, as messages mention them."""
    return mentions(settings.file.slack.operators)


def slack(settings: Settings, parts: Databases, may_edit: MayEdit) -> Slack:
    """Calls Slack only when asked something. Progress is shown where the minute has room left for it."""
    web = slack_client(settings)
    language = settings.file.slack.language
    cards = Cards(parts.tracking)
    card_publisher = CardPublisher(
        web, parts.store, cards, translator(language), lambda: web.pacing.has_spare(EDIT) and may_edit()
    )
    charts = Charts(web, Throughput(parts.tracking), translator(language))
    permissions = Access(web, settings.file.slack, settings.file.copies)
    people = People(web, language)
    return Slack(
        card_publisher=card_publisher,
        replies=Replies(web, card_publisher),
        outbox_relay=OutboxRelay(Outbox(parts.tracking), parts.store, cards, card_publisher, charts),
        permissions=permissions,
        people=people,
        home_publisher=HomePublisher(
            web, HomeRepository(parts.tracking, parts.store), card_publisher, permissions, people
        ),
    )


def slack_client(settings: Settings) -> PacedClient:
    """A client that keeps to the limits which all processes share."""
    return PacedClient(
        Pacing(settings.redis_url or ""),
        token=settings.bot_token,
        base_url=settings.slack_api_url,
        timeout=10,
    )


def worker_name() -> str:
    """Host and process, as the row and the log show it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _engine(url: URL | None, *, pooled: bool) -> Engine:
    if url is None:
        raise ValueError("the settings were read without Need.DATABASES")
    # Threads and lanes bound how many sessions there are. Below a limit that is less, copies which all have a
    # part of what they need would wait for each other.
    pool = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": -1} if pooled else {"poolclass": NullPool}
    engine = create_engine(url, **COMMON, **pool)
    give_up_silent_servers(engine)
    return engine


# ----------------------------------------------------------------------------
# The Bolt app: the conversations, a catch-all for what nobody else answers, and nothing else.


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
    copy_modal.register(app, modal)
    copy_liquidation.register(app, surface, modal)
    copy_status.register(app, surface)
    card_buttons.register_approval(app, surface)
    copy_freeze.register(app, surface)
    card_buttons.register(app, surface)
    card_buttons.register_details(app, surface)
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
