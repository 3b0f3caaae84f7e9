"""The one place where everything is wired: for the bot, for a worker and for the shell.

The shell needs `databases` alone, so what loads Slack's client, Bolt or Dramatiq is imported where it is
built.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

import migrations
from bot import tracing
from bot.config import REQUESTER, SIDES, Settings, variable_of
from bot.errors import ConfigError, SchemaAhead, SchemaBehind, TablesInUse
from bot.i18n import translator
from bot.jobs.attempt import Executions
from bot.jobs.notifications import Notifications
from bot.jobs.outbox import MessageKind, Outbox
from bot.jobs.recovery import Sweep
from bot.jobs.repository import HomeRepository, JobHistory, JobRepository, Throughput
from bot.jobs.retention import Pruning, Retention
from bot.jobs.transactions import ask_before_use, give_up_silent_servers, with_limits
from bot.jobs.workers import Workers
from bot.messages import answers
from bot.messages.blocks import Message
from bot.work.background import LivenessBeat
from bot.work.runner import Runner
from copier.connections import AS_GREETED
from copier.errors import failures_of

if TYPE_CHECKING:
    from slack_bolt import Ack, App, BoltContext
    from slack_bolt.response import BoltResponse
    from slack_sdk import WebClient
    from slack_sdk.socket_mode.request import SocketModeRequest

    from bot.commands.concurrency import WorkPools
    from bot.commands.conversation import BotParts, Callers
    from bot.commands.copy_verify import VerificationRunner
    from bot.monitoring.service import Monitoring
    from bot.notify.destinations import Destination
    from bot.slack.access import Access, People
    from bot.slack.card_publisher import CardPublisher
    from bot.slack.home_publisher import HomePublisher
    from bot.slack.outbox_relay import OutboxRelay
    from bot.slack.pubsub import PubSub
    from bot.slack.rate_limit import PacedClient
    from bot.work.background import WorkersMissing
    from bot.work.queue import JobQueue
    from bot.work.scheduler import Scheduler
    from bot.work.watch import Watch
    from bot.worker import WorkerProcess


log = logging.getLogger(__name__)

#: Threads that acknowledge. Work has threads of its own (`bot.commands.concurrency`): only a step of the
#: modal and a search keep one for a moment, because their acknowledgement brings their outcome, and both have
#: caps.
ACK_THREADS = 64
#: So long a stop waits for what people have asked for already, in seconds.
ANSWERS_LEAVE_SECONDS = 5.0
#: The longest name of a span: whoever can't be trusted yet may have written it.
NAME_LENGTH = 80
#: The process that copies, as monitoring calls it.
WORKER = "worker"
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


class Service(Protocol):
    """What runs in threads of its own between `start` and `stop`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class Bot:
    """What `python -m bot` starts and stops beside its connection to Slack."""

    app: App
    queue: JobQueue
    relay: OutboxRelay
    home_publisher: HomePublisher
    verifications: VerificationRunner
    workers_missing: WorkersMissing
    scheduler: Scheduler
    pubsub: PubSub
    pools: WorkPools

    @property
    def _services(self) -> tuple[Service, ...]:
        """In the order in which they start; the last one stops first."""
        return (
            self.pubsub,
            self.relay,
            self.home_publisher,
            self.queue.health,
            self.workers_missing,
            self.scheduler,
        )

    def start(self) -> None:
        for service in self._services:
            service.start()

    def stop(self) -> None:
        """What people have asked for is answered first, if that takes no more than a few seconds."""
        self.pools.drain(ANSWERS_LEAVE_SECONDS)
        self.verifications.stop()
        for service in reversed(self._services):
            service.stop()


def databases(settings: Settings, operators: tuple[str, ...] = (), *, brief: bool = False) -> Databases:
    """Connects to nothing yet. ``operators`` are those whom messages mention where nobody works.

    A process that is ``brief`` ends with its copies, and connects as seldom as it can: it keeps its session
    in prod from one use to the next, where others leave none that does nothing, and says that it lives over
    the connections of its copies.
    """
    prod = _pooled(settings.prod, pool_size=5, max_overflow=-1) if brief else unpooled(settings.prod)
    # Threads and lanes bound how many sessions there are. Below a limit that is less, copies which all have a
    # part of what they need would wait for each other.
    there = migrations.options(settings.tracking_schema)
    consulta = _pooled(settings.consulta, pool_size=5, max_overflow=-1, execution_options=there)
    tracking = with_limits(consulta)
    work = settings.file.work
    beats = (
        consulta
        if brief
        else _pooled(settings.consulta, pool_size=1, max_overflow=0, pool_timeout=5, execution_options=there)
    )
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
        sweep=Sweep(
            tracking,
            overdue_seconds=work.overdue_seconds,
            max_attempts=work.max_attempts,
            second_groups=_second_groups(settings),
        ),
        history=JobHistory(tracking, settings.file.titles),
        workers=Workers(tracking),
        liveness=liveness,
        pruning=Pruning(tracking, Retention(**settings.file.keep.model_dump())),
    )


def check_schema(consulta: Engine) -> None:
    """Raises SchemaBehind or SchemaAhead where the tracking tables there aren't this release's."""
    with failures_of(SIDES.target), consulta.connect() as connection:
        check_version(connection)


def check_version(connection: Connection) -> None:
    """The same, over a connection to consulta."""
    current = migrations.current(connection)
    if current is not None and current not in migrations.versions():
        raise SchemaAhead(current, migrations.newest())
    if current != migrations.newest():
        raise SchemaBehind(current, migrations.newest())


def _second_groups(settings: Settings) -> dict[str, str]:
    """Who is asked to approve after a while, as messages show them, by the copies' names."""
    if not any(copy.approval_second_group for copy in settings.file.copies):
        return {}
    from bot.slack.access import second_groups

    return second_groups(settings.file.copies)


def operators(settings: Settings) -> tuple[str, ...]:
    """Who runs Traspaso, as messages mention them."""
    from bot.slack.access import mentions

    return mentions(settings.file.slack.operators)


def slack(settings: Settings, parts: Databases) -> SlackParts:
    """Calls Slack only when asked something. Progress is shown where the minute has room left for it."""
    from bot.jobs.cards import Cards
    from bot.notify.relay import NotificationRelay, SlackSide
    from bot.slack.access import Access, People
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
    people = People(client, language)
    elsewhere = NotificationRelay(
        Notifications(parts.tracking),
        parts.store,
        settings.file,
        destinations(settings),
        SlackSide(card_publisher.link, people.address_of),
    )
    return SlackParts(
        client=client,
        card_publisher=card_publisher,
        relay=OutboxRelay(outbox, parts.store, dict.fromkeys(MessageKind, notifier), elsewhere),
        access=Access(client, settings.file.slack, settings.file.copies),
        people=people,
    )


def destinations(settings: Settings) -> dict[str, Destination]:
    """Where notifications go, by their names. Raises ConfigError. Apprise is loaded with the first one."""
    if not settings.destination_urls:
        return {}
    from bot.notify.destinations import BadDestination, Destination

    found, lines = {}, []
    for name, url in settings.destination_urls.items():
        try:
            found[name] = Destination(name, url)
            if name == REQUESTER:
                found[name].addressed_to(f"somebody@{name}.invalid")
        except BadDestination as wrong:
            lines.append(f"{variable_of(name)}: {wrong}")
    if lines:
        raise ConfigError(lines)
    return found


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
    from bot.jobs.schedules import Calendar
    from bot.slack.ephemeral import Replies
    from bot.slack.home_publisher import HomePublisher
    from bot.slack.pubsub import PubSub
    from bot.work.background import WorkersMissing

    file = settings.file
    queue = _queue(settings, parts)
    slack_parts = slack(settings, parts)
    # Any of several processes gets what somebody does: those of HTTP mode, or bots with a socket each.
    pubsub = PubSub(settings.redis_url or "", settings.tracking_schema)
    home_publisher = HomePublisher(
        slack_parts.client,
        HomeRepository(parts.tracking, parts.store, Calendar(file)),
        slack_parts.card_publisher,
        slack_parts.access,
        slack_parts.people,
        pubsub=pubsub,
    )
    verifications = VerificationRunner(parts.prod, parts.consulta, file.work.limits, file.catalogue, pubsub)
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
        app=build_app(
            conversations, slack_client(settings), settings.http.signing_secret if settings.http else ""
        ),
        queue=queue,
        relay=slack_parts.relay,
        home_publisher=home_publisher,
        verifications=verifications,
        workers_missing=WorkersMissing(parts.workers, slack_parts.relay.wake),
        pubsub=pubsub,
        scheduler=scheduler(settings, parts, slack_parts, queue),
        pools=conversations.callers.pools,
    )


def scheduler(
    settings: Settings,
    parts: Databases,
    slack_parts: SlackParts,
    queue: JobQueue,
    *,
    in_worker: bool = False,
) -> Scheduler:
    """What begins by the clock, in the bot and in each worker; the watch in workers alone."""
    from bot.jobs.freezes import Freezes, FreezeWindows
    from bot.jobs.freshness import FreshnessReader
    from bot.jobs.outbox import Notice, NoticeKind, Notices
    from bot.jobs.schedules import Schedules
    from bot.messages import freshness
    from bot.messages import schedules as schedule_messages
    from bot.slack.outbox_relay import NoticeRelay
    from bot.work.scheduler import FiringRunner, Scheduler

    file, t = settings.file, translator(settings.file.slack.language)
    fresh = FreshnessReader(parts.tracking)
    schedules, freezes = Schedules(parts.tracking, file.schedules), Freezes(parts.tracking)

    def message(notice: Notice) -> Message | None:
        if notice.kind == NoticeKind.FREEZE_OVER:
            freeze = freezes.of(notice.subject_id)
            return answers.channel_freeze_over(freeze, None, t) if freeze else None
        if notice.kind == NoticeKind.DRIFT:
            return freshness.moved_on(fresh.watched(freshness.OFFERED), file.titles, t)
        found = schedules.firing(notice.subject_id)
        return schedule_messages.firing(found, file.titles, t, operators(settings)) if found else None

    notices = NoticeRelay(Notices(parts.tracking), slack_parts.client, message)

    def told() -> None:
        notices.wake()
        slack_parts.relay.wake()

    return Scheduler(
        FreezeWindows(parts.tracking, file.freezes),
        schedules,
        FiringRunner(
            schedules,
            file,
            prod=parts.prod,
            consulta=parts.consulta,
            store=parts.store,
            freezes=freezes,
            access=slack_parts.access,
            people=slack_parts.people,
            enqueue=queue.put,
            wake=slack_parts.relay.wake,
        ),
        notices,
        changed=slack_parts.relay.wake,
        watch=watch(settings, parts, told) if in_worker else None,
    )


def watch(settings: Settings, parts: Databases, told: Callable[[], None]) -> Watch | None:
    """What looks whether prod has moved on; None where the configuration has no [watch]."""
    file = settings.file
    if file.watch is None:
        return None
    from bot.jobs.watch import Rounds
    from bot.work.watch import Watch

    tables = [(str(each.source_table), str(each.target_table)) for each in file.copies]
    # One connection to each side, kept from one liquidation to the next.
    one: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}
    return Watch(
        Rounds(parts.tracking, file.watch, tables),
        file.copies,
        prod=_pooled(settings.prod, **one),
        consulta=_pooled(
            settings.consulta, **one, execution_options=migrations.options(settings.tracking_schema)
        ),
        timeout_seconds=file.work.preview_timeout_seconds,
        told=told,
    )


def build_app(parts: BotParts, client: WebClient, signing_secret: str = "") -> App:
    """The Bolt app: the conversations, and a catch-all for what none of them answers.

    Without a ``signing_secret`` it takes nothing but what comes over a socket.
    Bolt's own look at the token, by auth.test, would answer everybody in its own words when Slack refuses it.
    """
    from slack_bolt import App
    from slack_bolt.authorization import AuthorizeResult
    from slack_bolt.request import BoltRequest

    from bot.commands import app_home, buttons, registry

    class TracedApp(App):
        """Each payload, until it is acknowledged, is a span; what is done for it afterwards belongs to it."""

        def dispatch(self, req: BoltRequest) -> BoltResponse:
            with tracing.span(payload_name(req.body), tracing.SpanKind.SERVER):
                return super().dispatch(req)

    app = TracedApp(
        name="traspaso",  # without one Bolt reads the sources of all modules, to name its caller
        client=client,
        signing_secret=signing_secret,
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token),
        token_verification_enabled=False,
        listener_executor=tracing.HandingOn(ACK_THREADS, thread_name_prefix="listener"),
    )
    app.middleware(clean)
    app.middleware(without_suffix([command.name for command in registry.commands()]))
    app.middleware(with_client(client))
    app.error(broken_payloads(parts.callers))
    for command in registry.commands():
        command.connect(app, parts)
    for panel in (app_home, buttons):
        panel.connect(app, parts)
    app.command(re.compile(".*"))(unknown_command)
    app.action(re.compile(".*"))(unknown_action)
    return app


def payload_name(body: Mapping[str, Any]) -> str:
    """What somebody did, in words of the manifest and of our own messages: never what was typed."""
    kind = str(body.get("type") or "payload")
    if "command" in body:
        return f"command {body['command']}"[:NAME_LENGTH]
    match kind:
        case "block_actions":
            action = next((each.get("action_id") for each in body.get("actions") or ()), "")
            return f"press {action}"[:NAME_LENGTH]
        case "view_submission" | "view_closed":
            return f"{kind} {(body.get('view') or {}).get('callback_id', '')}"
        case "event_callback":
            return f"event {(body.get('event') or {}).get('type', '')}"
    return kind


def acknowledged(app: App, request: SocketModeRequest) -> BoltResponse:
    """What the app answers to a payload that came over a socket; see `answered`."""
    from slack_bolt.adapter.socket_mode.internals import run_bolt_app

    return answered(lambda: run_bolt_app(app, request), f"payload of type {request.type}")


def answered(run: Callable[[], BoltResponse], what: str) -> BoltResponse:
    """What the app answers, also where nothing in it takes the payload, or something in it breaks.

    Slack would say to whoever typed or pressed that the app fails, and send an event again and again.
    """
    from slack_bolt.response import BoltResponse

    try:
        response = run()
        if response.status == 200:
            return response
        log.warning("no conversation for a %s", what)
    except Exception:
        log.exception("a %s was not understood", what)
    return BoltResponse(status=200)


def clean(body: dict[str, Any], next_: Callable[[], None]) -> None:
    """What no database and no answer of ours can hold goes out of the payload first."""
    from bot.commands.conversation import cleaned

    cleaned(body)
    next_()


def without_suffix(names: Sequence[str]) -> Callable[[dict[str, Any], Callable[[], None]], None]:
    """A second app in one workspace has commands such as /copy-status-dev: here they are the same command."""

    def middleware(body: dict[str, Any], next_: Callable[[], None]) -> None:
        written = body.get("command")
        if isinstance(written, str) and written not in names:
            body["command"] = next((name for name in names if written.startswith(f"{name}-")), written)
        next_()

    return middleware


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


def worker(settings: Settings, parts: Databases) -> WorkerProcess:
    """A worker's process: it takes messages as soon as Dramatiq boots it, with its queue as the broker."""
    from bot.work.background import Pruner, Sweeper
    from bot.work.cancellation import StopSwitch
    from bot.work.slots import CopySlots, DirectRuns
    from bot.worker import Admission, CopyWorker, DramatiqThreads, WorkerProcess

    work = settings.file.work
    stop, slots = StopSwitch(), CopySlots()
    queue = _queue(settings, parts)
    dramatiqs = DramatiqThreads()
    seen = monitoring(settings, queue, WORKER, several=True, others=dramatiqs.lives)
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
    direct = DirectRuns(slots, copies.perform, stop)
    sweeper = Sweeper(
        parts.sweep,
        queue.put,
        direct.take,
        slots=slots,
        own=lambda: parts.liveness.unbroken,
        every_seconds=work.sweep_seconds,
    )
    return WorkerProcess(
        copies=copies,
        stop=stop,
        slots=slots,
        liveness=parts.liveness,
        queue=queue,
        sweeper=sweeper,
        pruner=Pruner(parts.pruning),
        direct=direct,
        outbox_relay=slack_parts.relay,
        scheduler=scheduler(settings, parts, slack_parts, queue, in_worker=True),
        monitoring=seen,
        threads=dramatiqs,
    )


def monitoring(
    settings: Settings,
    queue: JobQueue,
    process: str,
    *,
    several: bool = False,
    slack: Callable[[], str] | None = None,
    others: Callable[[], Mapping[str, bool]] = dict,
) -> Monitoring | None:
    """What answers on the port of the ``process``, bot or worker; None where the settings name no port.

    ``several``: this process may be one of several children of one parent, of which one answers for all. Then
    this comes before anything else imports `prometheus_client`. ``slack`` gives the state of the
    connection, or raises NotReady; ``others`` are threads that aren't ours, and whether each lives.
    """
    port = settings.worker_health_port if process == WORKER else settings.health_port
    if port is None:
        return None
    from bot import metrics
    from bot.monitoring.health import SharedHealth, folder_of_service

    shared = SharedHealth(folder_of_service()) if several else None
    names = [*(copy.name for copy in settings.file.copies), *(each.name for each in settings.file.sets)]
    counted = metrics.begin(shared.folder if shared else None, names)

    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
    from prometheus_client.multiprocess import MultiProcessCollector

    from bot.monitoring.collector import InstallationCollector
    from bot.monitoring.health import Readiness
    from bot.monitoring.service import Monitoring

    # Connections of their own: what the copies and the conversations do to theirs keeps no probe waiting.
    prod = _pooled(settings.prod, pool_size=1, max_overflow=0, pool_timeout=2)
    there = migrations.options(settings.tracking_schema)
    consulta = _pooled(
        settings.consulta, pool_size=2, max_overflow=0, pool_timeout=2, execution_options=there
    )
    tracking = with_limits(consulta)
    readiness = Readiness(
        prod,
        tracking,
        queue.health,
        check_version,
        outbox_seconds=settings.file.health.outbox_seconds,
        slack=slack,
    )
    registry = CollectorRegistry()
    if shared is not None:
        MultiProcessCollector(registry, str(shared.folder))  # type: ignore[no-untyped-call]
    else:
        registry.register(counted)
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=registry)
    registry.register(InstallationCollector(tracking, readiness, names, process))

    def dispose() -> None:
        prod.dispose()
        consulta.dispose()

    return Monitoring(
        settings.health_host,
        port,
        process,
        readiness,
        registry,
        shared=shared,
        others=others,
        dispose=dispose,
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
    place = url.difference_update_query(secrets).set(drivername=AS_GREETED)
    engine = create_engine(place, **arguments)
    give_up_silent_servers(engine)
    return engine
