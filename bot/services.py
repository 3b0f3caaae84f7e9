"""The one composition root: builds every part from the settings, for the bot, a worker or the shell."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

import migrations
from bot.announcer import CardPublisher, MayEdit
from bot.charts import Charts
from bot.config import Settings
from bot.courier import OutboxRelay
from bot.errors import SchemaBehind
from bot.i18n import translator
from bot.jobs.approvals import Approvals
from bot.jobs.board import HomeRepository
from bot.jobs.cards import Cards
from bot.jobs.history import JobHistory
from bot.jobs.lifecycle import Lifecycle
from bot.jobs.limits import give_up_silent_servers, with_limits
from bot.jobs.outbox import Outbox
from bot.jobs.store import JobRepository
from bot.jobs.sweep import Sweep
from bot.jobs.throughput import Throughput
from bot.jobs.workers import Workers
from bot.pacing import EDIT, PacedClient, Pacing
from bot.panel import HomePublisher
from bot.people import People
from bot.permissions import Access, mentions
from bot.replies import Replies
from bot.work.presence import Presence
from bot.work.runner import Runner
from copier.failure import failures_of

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
    lifecycle: Lifecycle
    runner: Runner
    sweep: Sweep
    approvals: Approvals
    history: JobHistory
    workers: Workers
    presence: Presence

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
    presence = Presence(Workers(with_limits(beats)))
    lifecycle = Lifecycle(tracking, lease_seconds=work.lease_seconds, chart_seconds=work.chart_seconds)
    return Databases(
        prod=prod,
        consulta=consulta,
        tracking=tracking,
        store=JobRepository(tracking, operators),
        lifecycle=lifecycle,
        runner=Runner(
            prod,
            consulta,
            lifecycle,
            settings.file,
            worker=worker_name(),
            worker_id=lambda: presence.worker_id,
        ),
        sweep=Sweep(tracking, overdue_seconds=work.overdue_seconds, max_attempts=work.max_attempts),
        approvals=Approvals(tracking),
        history=JobHistory(tracking),
        workers=Workers(tracking),
        presence=presence,
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
