"""The one place where everything is wired: for the bot, for a worker and for the shell.

The shell needs `databases` alone, so what loads Bolt or Dramatiq is imported where it is built.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

import migrations
from bot.config import SIDES, Settings
from bot.errors import SchemaAhead, SchemaBehind, TablesInUse
from bot.i18n import translator
from bot.jobs.cards import Cards
from bot.jobs.execution import Executions
from bot.jobs.models import ask_before_use, give_up_silent_servers, with_limits
from bot.jobs.outbox import Kind, Outbox
from bot.jobs.recovery import Sweep, Workers
from bot.jobs.repository import HomeRepository, JobHistory, JobRepository, Throughput
from bot.jobs.retention import Pruning, Retention
from bot.messages import answers
from bot.slack.access import Access, People, mentions
from bot.work.background import LivenessBeat
from bot.work.runner import Runner
from copier.errors import failures_of

if TYPE_CHECKING:
    from slack_bolt import Ack, App, BoltContext
    from slack_bolt.response import BoltResponse
    from slack_sdk import WebClient
    from slack_sdk.socket_mode.request import SocketModeRequest

    from bot.commands.conversation import BotParts, Callers
    from bot.commands.copy_verify import VerificationRunner
    from bot.slack.card_publisher import CardPublisher
    from bot.slack.home_publisher import HomePublisher
    from bot.slack.outbox_relay import OutboxRelay
    from bot.slack.rate_limit import PacedClient
    from bot.work.background import WorkerWatch
    from bot.work.queue import JobQueue
    from bot.worker import Background


log = logging.getLogger(__name__)

#: Threads that acknowledge. Work has threads of its own (`bot.commands.turns`): only a step of the modal and
#: a search keep one for a moment, because their acknowledgement brings their outcome, and both have caps.
ACK_THREADS = 64
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
COMMON: dict[str, Any] = {
    "isolation_level": "READ COMMITTED",
    "use_native_hstore": False,  # nothing reads one here, and each engine would ask for the type
}
#: Options of libpq whose values are secrets.
SECRET_OPTION = re.compile("password|secret|scram_")


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
    history: JobHistory
    workers: Workers
    liveness: LivenessBeat
    pruning: Pruning

    def check_schema(self) -> None:
        """Raises SchemaBehind or SchemaAhead where the tracking tables aren't this release's."""
        check_schema(self.tracking)

    def move_schema(self, version: str) -> None:
        """Takes the tracking tables forward or back to this version. Raises SchemaAhead, TablesInUse and
        CopierErrors.
        """
        with failures_of(SIDES.target):
            try:
                migrations.move(self.consulta, version)
            except migrations.UnknownVersion as unknown:
                raise SchemaAhead(unknown.version, migrations.newest()) from None
            except migrations.TablesInUse as used:
                raise TablesInUse(used.holders) from None


@dataclass(frozen=True)
class SlackParts:
    """What talks to Slack in the bot and in a worker."""

    client: PacedClient
    card_publisher: CardPublisher
    relay: OutboxRelay
    access: Access
    people: People


@dataclass(frozen=True)
class Bot:
    """What `python -m bot` starts and stops beside its connection to Slack."""

    app: App
    queue: JobQueue
    relay: OutboxRelay
    home_publisher: HomePublisher
    verifications: VerificationRunner
    worker_watch: WorkerWatch

    def start(self) -> None:
        self.queue.watch.start()
        self.relay.start()
        self.home_publisher.start()
        self.worker_watch.start()

    def stop(self) -> None:
        self.verifications.stop()
        self.worker_watch.stop()
        self.queue.watch.stop()
        self.home_publisher.stop()
        self.relay.stop()


def databases(settings: Settings, operators: tuple[str, ...] = ()) -> Databases:
    """Connects to nothing yet. ``operators`` are those whom messages mention where nobody works."""
    prod = unpooled(settings.prod)
    # Threads and lanes bound how many sessions there are. Below a limit that is less, copies which all have a
    # part of what they need would wait for each other.
    there = migrations.options(settings.tracking_schema)
    consulta = _pooled(settings.consulta, pool_size=5, max_overflow=-1, execution_options=there)
    tracking = with_limits(consulta)
    work = settings.file.work
    beats = _pooled(settings.consulta, pool_size=1, max_overflow=0, pool_timeout=5, execution_options=there)
    liveness = LivenessBeat(Workers(with_limits(beats)))
    executions = Executions(tracking, lease_seconds=work.lease_seconds)
    return Databases(
        prod=prod,
        consulta=consulta,
        tracking=tracking,
        store=JobRepository(tracking, operators, settings.file.titles),
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
        history=JobHistory(tracking, settings.file.titles),
        workers=Workers(tracking),
        liveness=liveness,
        pruning=Pruning(tracking, Retention(**settings.file.keep.model_dump())),
    )


def check_schema(consulta: Engine) -> None:
    """Raises SchemaBehind or SchemaAhead where the tracking tables there aren't this release's."""
    with failures_of(SIDES.target), consulta.connect() as connection:
        current = migrations.current(connection)
    if current is not None and current not in migrations.versions():
        raise SchemaAhead(current, migrations.newest())
    if current != migrations.newest():
        raise SchemaBehind(current, migrations.newest())


def operators(settings: Settings) -> tuple[str, ...]:
    """Who runs Traspaso, as messages mention them."""
    return mentions(settings.file.slack.operators)


def slack(settings: Settings, parts: Databases) -> SlackParts:
    """Calls Slack only when asked something. Progress is shown where the minute has room left for it."""
    from bot.slack.card_publisher import CardPublisher
    from bot.slack.outbox_relay import CardNotifier, OutboxRelay
    from bot.slack.rate_limit import EDIT

    client = slack_client(settings)
    language = settings.file.slack.language
    cards = Cards(parts.tracking)
    card_publisher = CardPublisher(
        client, parts.store, cards, translator(language), partial(client.pacing.has_spare, EDIT)
    )
    outbox = Outbox(parts.tracking)
    throughput = Throughput(parts.tracking, chart_seconds=settings.file.work.chart_seconds)
    notifier = CardNotifier(outbox, cards, card_publisher, throughput)
    return SlackParts(
        client=client,
        card_publisher=card_publisher,
        relay=OutboxRelay(outbox, parts.store, dict.fromkeys(Kind, notifier)),
        access=Access(client, settings.file.slack, settings.file.copies),
        people=People(client, language),
    )


def slack_client(settings: Settings) -> PacedClient:
    """A client that keeps to the limits which all processes share."""
    from bot.slack.rate_limit import PacedClient, Pacing

    return PacedClient(
        Pacing(settings.redis_url or "", prefix=f"{settings.tracking_schema}-pace"),
        token=settings.bot_token,
        base_url=settings.slack_api_url,
        timeout=10,
    )


def bot(settings: Settings, parts: Databases) -> Bot:
    """The bot; `python -m bot` connects it."""
    from bot.commands.conversation import BotParts, Callers, Guard, Signals
    from bot.commands.copy_verify import VerificationRunner
    from bot.slack.home_publisher import HomePublisher
    from bot.slack.replies import Replies
    from bot.work.background import WorkerWatch

    file = settings.file
    queue = _queue(settings, parts)
    slack_parts = slack(settings, parts)
    home_publisher = HomePublisher(
        slack_parts.client,
        HomeRepository(parts.tracking, parts.store),
        slack_parts.card_publisher,
        slack_parts.access,
        slack_parts.people,
    )
    catalogue = file.liquidations.catalogue if file.liquidations else None
    verifications = VerificationRunner(parts.prod, parts.consulta, file.work.limits, catalogue)
    conversations = BotParts(
        guard=Guard(file, slack_parts.access),
        callers=Callers(slack_parts.people, Replies(slack_parts.client, slack_parts.card_publisher)),
        signals=Signals(queue.put, slack_parts.relay.wake),
        prod=parts.prod,
        consulta=parts.consulta,
        tracking=parts.tracking,
        store=parts.store,
        history=parts.history,
        card_publisher=slack_parts.card_publisher,
        home_publisher=home_publisher,
        verifications=verifications,
    )
    return Bot(
        app=build_app(conversations, slack_client(settings)),
        queue=queue,
        relay=slack_parts.relay,
        home_publisher=home_publisher,
        verifications=verifications,
        worker_watch=WorkerWatch(parts.workers, slack_parts.relay.wake),
    )


def build_app(parts: BotParts, client: WebClient) -> App:
    """The Bolt app: the conversations, and a catch-all for what none of them answers.

    Bolt's own look at the token, by auth.test, would answer everybody in its own words when Slack refuses it.
    """
    from slack_bolt import App
    from slack_bolt.authorization import AuthorizeResult

    from bot.commands import app_home, card_buttons, registry

    app = App(
        client=client,
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token),
        token_verification_enabled=False,
        listener_executor=ThreadPoolExecutor(ACK_THREADS, thread_name_prefix="listener"),
    )
    app.middleware(clean)
    app.middleware(with_client(client))
    app.error(broken_payloads(parts.callers))
    for command in registry.commands():
        command.connect(app, parts)
    for buttons in (app_home, card_buttons):
        buttons.connect(app, parts)
    app.command(re.compile(".*"))(unknown_command)
    app.action(re.compile(".*"))(unknown_action)
    return app


def acknowledged(app: App, request: SocketModeRequest) -> BoltResponse:
    """What the app answers, also where nothing in it takes the payload, or something in it breaks."""
    from slack_bolt.adapter.socket_mode.internals import run_bolt_app
    from slack_bolt.response import BoltResponse

    try:
        response: BoltResponse = run_bolt_app(app, request)
        if response.status == 200:
            return response
        log.warning("no conversation for a payload of type %s", request.type)
    except Exception:
        log.exception("a payload of type %s was not understood", request.type)
    return BoltResponse(status=200)


def clean(body: dict[str, Any], next_: Callable[[], None]) -> None:
    """What no database and no answer of ours can hold goes out of the payload first."""
    from bot.commands.conversation import cleaned

    cleaned(body)
    next_()


def broken_payloads(callers: Callers) -> Callable[..., BoltResponse]:
    """For what a listener couldn't read: it is acknowledged, logged, and said to whoever sent it."""
    from slack_bolt.response import BoltResponse

    def broken(error: Exception, body: dict[str, Any]) -> BoltResponse:
        number = uuid4().hex[:8]
        log.error("incident %s: a payload was not understood", number, exc_info=error)
        with suppress(Exception):  # it doesn't even say who sent it
            callers.tell(body, lambda t: answers.incident(number, t))
        no_options: str | dict[Any, Any] = {"options": []} if body.get("type") == "block_suggestion" else ""
        return BoltResponse(status=200, body=no_options)

    return broken


def with_client(client: WebClient) -> Callable[[BoltContext, Callable[[], None]], None]:
    """Bolt makes a plain client for each request; conversations get this one, which is paced."""

    def middleware(context: BoltContext, next_: Callable[[], None]) -> None:
        context["client"] = client
        next_()

    return middleware


def unknown_command(ack: Ack, body: dict[str, Any]) -> None:
    """A command of a newer manifest: without an ack the person would see a timeout."""
    log.warning("no conversation for command %s", body.get("command"))
    ack(f"{body.get('command')}: this version of Traspaso doesn't know that command.")


def unknown_action(ack: Ack, body: dict[str, Any]) -> None:
    """A button of another version of a message, or a plain link button."""
    ack()
    log.warning("no conversation for action %s", body["actions"][0].get("action_id"))


def worker(settings: Settings, parts: Databases) -> Background:
    """A worker's process: its queue takes messages as soon as it is Dramatiq's broker."""
    from bot.work.background import Pruner, Sweeper
    from bot.work.cancellation import StopSwitch
    from bot.work.queue import CopySlots, DirectRuns
    from bot.work.runner import Admission
    from bot.worker import Background, CopyWorker

    work = settings.file.work
    stop, slots = StopSwitch(), CopySlots()
    queue = _queue(settings, parts)
    slack_parts = slack(settings, parts)
    copies = CopyWorker(
        runner=parts.runner,
        store=parts.store,
        queue=queue,
        slots=slots,
        stop=stop,
        admission=Admission(parts.store, slack_parts.access, settings.file.copies),
        card_publisher=slack_parts.card_publisher,
        relay=slack_parts.relay,
        card_seconds=work.card_seconds,
    )
    queue.consume(copies.take_message)
    direct = DirectRuns(slots, copies.perform, stop)
    sweeper = Sweeper(
        parts.sweep,
        queue.put,
        direct.take,
        room=lambda: slots.free,
        own=lambda: parts.liveness.unbroken,
        every_seconds=work.sweep_seconds,
    )
    slots.when_freed(sweeper.has_room)
    return Background(
        stop=stop,
        slots=slots,
        liveness=parts.liveness,
        queue=queue,
        sweeper=sweeper,
        pruner=Pruner(parts.pruning),
        direct=direct,
        outbox_relay=slack_parts.relay,
    )


def _queue(settings: Settings, parts: Databases) -> JobQueue:
    """The installation's own: several may have one Redis."""
    from bot.work.queue import NAMESPACE, JobQueue

    schema = settings.tracking_schema
    return JobQueue(
        settings.redis_url or "",
        on_put=parts.store.enqueued,
        namespace=NAMESPACE if schema == migrations.SCHEMA else f"{NAMESPACE}:{schema}",
    )


def worker_name() -> str:
    """Host and process, as the row and the log show it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def unpooled(url: URL | None, **options: Any) -> Engine:
    """Each use is a connection of its own."""
    return _engine(url, poolclass=NullPool, **options)


def _pooled(url: URL | None, **pool: Any) -> Engine:
    """Connections are used again, and asked before that whether they live."""
    engine = _engine(url, **pool)
    ask_before_use(engine)
    return engine


def _engine(url: URL | None, **pool: Any) -> Engine:
    """SQLAlchemy hides the password of a URL wherever it shows one, and not those among its options."""
    if url is None:
        raise ValueError("the settings were read without Need.DATABASES")
    secrets = {name: value for name, value in url.query.items() if SECRET_OPTION.search(name)}
    own = {name: value for name, value in CONNECT_ARGS.items() if name not in url.query}
    arguments = {**COMMON, **pool, "connect_args": {**own, **secrets}}
    engine = create_engine(url.difference_update_query(secrets), **arguments)
    give_up_silent_servers(engine)
    return engine
