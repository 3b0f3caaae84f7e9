"""Made-up jobs and comparisons, one for each case in which a message reads differently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.jobs.events import event_of
from bot.jobs.failure import Failure
from bot.jobs.freshness import Freshness, SetFreshness, Watched
from bot.jobs.models import Approval, FiringState, FreshnessState, Phase, Status, StopReason
from bot.jobs.receipts import Receipt
from bot.jobs.repository import Happening, SlowChunk, Timeline
from bot.jobs.schedules import Firing
from bot.jobs.view import (
    AgreedCounts,
    Freeze,
    HomeFilters,
    HomeView,
    JobView,
    Moved,
    NextFiring,
    NextWindow,
    NotificationDetail,
    NoWorker,
    Person,
    Question,
    Reason,
    Stretch,
    Working,
)
from bot.messages.proposal import Offer, Offered, Proposal
from bot.messages.verification import SetVerificationResult, TableResult, VerificationResult
from copier import (
    Advice,
    ColumnRule,
    Count,
    Counted,
    Counts,
    Digest,
    Entry,
    ExpectedChanges,
    Preview,
    Proof,
    RangeComparison,
    Treatment,
)
from copier.model import KeyRange

NOW = datetime(2026, 11, 24, 15, 30, 8, tzinfo=UTC)
BOB = Person("U0BOB", "T0ACME", "Bob Brown")
TITLE = "Ítems"


@dataclass(frozen=True)
class NamedCopy:
    """What messages take of a configured copy."""

    name: str
    shown: str


ITEMS = NamedCopy("items", TITLE)
LABEL = "Sueldos mensuales · Octubre 2026"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


#: What consulta holds of liquidation 42 in three target tables.
TITLES = {"items": TITLE, "notes": "notes"}
HELD = (
    Freshness(
        "public.liquidation_items",
        42,
        FreshnessState.MOVED_ON,
        ago(86_400),
        ago(50_000),
        65_000,
        16,
        "items",
        LABEL,
        ago(45_000),
        inserted=3,
        updated=12,
        deleted=0,
    ),
    Freshness(
        "public.item_notes", 42, FreshnessState.COMPLETE, ago(86_400), ago(45_000), 20, 15, "notes", LABEL
    ),
    Freshness("public.old_items", 42, FreshnessState.INCOMPLETE, None, None, None, 14, None),
    Freshness("public.taxes", 42, FreshnessState.BEING_COPIED, None, None, None, 17, "taxes"),
)
#: What consulta holds of the four tables of a set that run 5 has copied.
HELD_OF_SET = SetFreshness(
    tuple(
        Freshness(
            f"public.{name}",
            42,
            FreshnessState.COMPLETE,
            ago(86_400),
            ago(45_000),
            rows,
            200 + number,
            name,
            LABEL,
            run_id=5,
            set_name="completa",
            copies=4,
        )
        for number, (name, rows) in enumerate(
            (("head", 1), ("payslips", 12_000), ("lines", 96_000), ("deductions", 30_500))
        )
    )
)
TITLES_OF_SET = {
    "completa": "Liquidación completa",
    "head": "Cabecera",
    "payslips": "Recibos",
    "lines": "Líneas",
    "deductions": "Deducciones",
}


def of_set(*tables: Freshness, **differs: dict[str, Any]) -> SetFreshness:
    """The same but for these tables, by the names of their copies."""
    return SetFreshness(
        tuple(replace(each, **differs.get(each.copy_name or "", {})) for each in tables or HELD_OF_SET.tables)
    )


_MOVED: dict[str, Any] = {"state": FreshnessState.MOVED_ON, "moved_at": ago(44_000)}
MOVED_SET = of_set(
    lines={**_MOVED, "inserted": 3, "updated": 12, "deleted": 0},
    deductions={**_MOVED, "inserted": 0, "updated": 1, "deleted": 2},
)
COPYING_SET = of_set(lines={"state": FreshnessState.BEING_COPIED, "known_equal_at": None})
BROKEN_SET = of_set(head={"state": FreshnessState.INCOMPLETE, "known_equal_at": None})
#: Its lines have been copied by themselves since.
MIXED_SET = of_set(*(each for each in HELD_OF_SET.tables if each.copy_name != "lines"))
SETS_MOVED = Watched((MOVED_SET, replace(HELD[0], liquidation_id=41)), 2, 40, ago(44_000))

ONE_MOVED = Watched(HELD[:1], 1, 40, ago(44_000))
MANY_MOVED = Watched(
    tuple(
        replace(HELD[0], liquidation_id=each, updated=each, inserted=0, deleted=1_000, label=None)
        for each in range(60, 45, -1)
    ),
    31,
    1_000,
    ago(44_000),
)
#: What a destination is told of a round of the watch.
DRIFT = NotificationDetail(copy="items", liquidations=(42, 43), more=5)

#: Liquidation 42 in the middle of its copy. The other jobs say what differs from it.
COPYING = JobView(
    id=17,
    copy_name="items",
    source_table="public.liquidation_items",
    target_table="public.liquidation_items",
    liquidation_id=42,
    label=LABEL,
    status=Status.RUNNING,
    phase=Phase.COPYING,
    attempt=1,
    failures=0,
    ahead=0,
    total=1_000_000,
    copied=650_000,
    verified=0,
    inserted=649_000,
    updated=1_000,
    deleted=12,
    unchanged=0,
    moved=0,
    bytes=189_000_000,
    chunks_done=13,
    target_records=None,
    source_digest=None,
    target_digest=None,
    lag_mb=None,
    error=None,
    error_message=None,
    requester_id="U0ANA",
    requester_team="T0ACME",
    requester_name="Ana Álvarez",
    requester_locale="es-AR",
    channel_id="C0PAYROLL",
    message_ts="1795534208.000100",
    worker="worker-1:4711",
    created_at=ago(7),
    started_at=ago(6),
    claimed_at=ago(6),
    copying_since=ago(5.2),
    verifying_since=None,
    finished_at=None,
    as_of=ago(6),
    run_after=ago(7),
    lease_until=NOW + timedelta(seconds=55),
    now=NOW,
    copy_title=TITLE,
)


def job(**differs: Any) -> JobView:
    """The job above but for these fields."""
    return replace(COPYING, **differs)


QUEUED = job(
    id=18,
    status=Status.PENDING,
    phase=None,
    attempt=0,
    total=None,
    copied=0,
    chunks_done=0,
    started_at=None,
    claimed_at=None,
    copying_since=None,
    as_of=None,
    lease_until=None,
    worker=None,
)
BEHIND = replace(QUEUED, id=19, liquidation_id=43, label="Liquidación final · Octubre 2026", ahead=2)
NO_WORKER = NoWorker(ago(900), ("<@U0OPS>", "<!subteam^S0OPS>"))
NOBODY_WORKS = replace(QUEUED, no_worker=NO_WORKER)
BEHIND_NOBODY = replace(BEHIND, no_worker=NO_WORKER)
NOBODY_WORKS_OR_RUNS_IT = replace(QUEUED, no_worker=NoWorker(ago(900)))
NOBODY_EVER_WORKED = replace(QUEUED, no_worker=NoWorker(None, ("@sistemas",)))
LOST_AND_NOBODY_WORKS = job(worker_seen_at=ago(900), lease_until=ago(840), no_worker=NO_WORKER)
NO_CARD_YET = replace(QUEUED, message_ts=None)
COUNTING = job(phase=Phase.COUNTING, total=None, copied=0, chunks_done=0, copying_since=None)
THROTTLED = job(lag_mb=96.4)
VERIFYING = job(phase=Phase.VERIFYING, copied=1_000_000, verified=400_000, verifying_since=ago(1))
LOST = job(lease_until=ago(40))
WAITS_FOR_PROD = job(
    status=Status.PENDING,
    phase=None,
    attempt=2,
    failures=2,
    error=Failure("connection", "", side="prod"),
    run_after=NOW + timedelta(seconds=20),
    lease_until=None,
)
TAKEN_OVER = job(status=Status.PENDING, phase=None, attempt=1, lease_until=None)
PAUSED = job(status=Status.PAUSED, phase=None, stopped_by=BOB, lease_until=None)
COMPLETED = job(
    status=Status.COMPLETED,
    phase=None,
    copied=1_000_000,
    verified=1_000_000,
    inserted=999_000,
    verifying_since=ago(1.5),
    finished_at=NOW,
    target_records=1_000_000,
    source_digest="5515acfba491b3a3",
    target_digest="5515acfba491b3a3",
    lease_until=None,
)
#: The same where somebody paused it for a while, where it was lost once, and both; and in no time at all.
COMPLETED_AFTER_A_PAUSE = replace(
    COMPLETED, attempt=2, started_at=ago(808), working=Working(2.0, 720.0, 0.4, NOW)
)
COMPLETED_AFTER_A_LOSS = replace(
    COMPLETED, attempt=2, started_at=ago(50), working=Working(8.4, 0.0, 41.0, NOW, broken=1)
)
COMPLETED_AFTER_BOTH = replace(
    COMPLETED, attempt=3, started_at=ago(808), working=Working(8.4, 720.0, 41.0, NOW, broken=1)
)
COMPLETED_AT_ONCE = replace(COMPLETED, working=Working(0.02, 0.0, 0.0, NOW), total=12, copied=12, inserted=12)
#: A copy again of what hardly changed.
COMPLETED_AGAIN = replace(
    COMPLETED,
    inserted=2,
    updated=10,
    deleted=0,
    unchanged=999_988,
    values_job=9,
    working=Working(0.9, 0.0, 0.0, NOW),
)
#: The same after a copy of eight minutes: fast, then held back by a standby, then fast again.
COMPLETED_LATE = replace(
    COMPLETED, started_at=ago(490), claimed_at=ago(490), copying_since=ago(482), verifying_since=ago(2)
)
STRETCHES = tuple(
    Stretch(second, second + 8.0, 5_000 if 160 <= second < 320 else 22_500) for second in range(0, 480, 8)
)
CANCELLED = job(status=Status.CANCELLED, phase=None, finished_at=NOW, stopped_by=BOB, lease_until=None)
NEVER_BEGUN = replace(QUEUED, status=Status.CANCELLED, finished_at=NOW, stopped_by=BOB)
REFUSED = Failure(
    "check", "", side="consulta", table="public.liquidation_items", constraint="amount_positive"
)
FAILED = job(status=Status.FAILED, phase=None, finished_at=NOW, error=REFUSED, lease_until=None)
APPROVAL = replace(
    QUEUED,
    id=20,
    liquidation_id=44,
    label=None,
    approval=Approval.WAITING,
    approval_until=NOW + timedelta(minutes=30),
    terms=AgreedCounts(1_250_000, 0, removal_confirmed=False),
)
APPROVAL_BY_GROUP = replace(APPROVAL, approvers=("<!subteam^S0ADMINS>", "<@U0BOB>"))
APPROVED = replace(COPYING, approval=Approval.APPROVED, approval_by=BOB, approval_at=ago(300))
WHY = "cierre de octubre <@U0BOB> *urgente*"
WHY_APPROVED = "revisada con Contaduría"
ASKED_WHY = replace(APPROVAL, request_reason=WHY)
SECOND_ASKED = replace(APPROVAL, approvers=("<!subteam^S0ADMINS>", "<!subteam^S0BOSSES>"))
APPROVED_FOR_A_REASON = replace(APPROVED, request_reason=WHY, approval_reason=WHY_APPROVED)
COMPLETED_FOR_A_REASON = replace(
    COMPLETED,
    approval=Approval.APPROVED,
    approval_by=BOB,
    request_reason=WHY,
    approval_reason=WHY_APPROVED,
)
APPROVAL_OF_REMOVAL = replace(APPROVAL, terms=AgreedCounts(0, 300, removal_confirmed=True))
APPROVAL_UNKNOWN = replace(APPROVAL, terms=AgreedCounts(9_000_000, None, removal_confirmed=False))


def asking(reason: Reason, in_prod: int, in_consulta: int, *shown: int | None, **differs: Any) -> JobView:
    """Liquidation 42 after a worker has found these rows where others had been shown."""
    question = Question(reason, in_prod, in_consulta, *shown)
    return replace(QUEUED, id=21, attempt=1, question=question, **differs)


ASKS_MOVED = asking(Reason.MOVED, 150_500, 0, 500, 0)
ASKS_REMOVAL = asking(Reason.REMOVAL, 0, 300, 500, None)
ASKS_SURPLUS = asking(Reason.SURPLUS, 500, 900, 500, 20)
ASKS_DELETES = asking(Reason.SURPLUS, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 900, 4)
AGAIN = {
    "approval": Approval.WAITING,
    "approval_until": NOW + timedelta(hours=24),
    "approvers": ("<!subteam^S0ADMINS>", "<@U0BOB>"),
}
ASKS_APPROVAL = asking(Reason.APPROVAL, 150_500, 0, 500, 0, **AGAIN)
ASKS_APPROVAL_OF_REMOVAL = asking(Reason.REMOVAL, 0, 1_500, 1_500, 0, **AGAIN)
REJECTED = replace(
    NEVER_BEGUN, approval=Approval.REJECTED, approval_by=BOB, approval_at=ago(60), stopped_by=None
)
READ_OUTSIDE = replace(COPYING, is_read_outside=True)
REJECTED_FOR_A_REASON = replace(
    REJECTED, rejection_reason="faltan los ajustes de octubre: ver http://wiki.example/42 y <!channel>"
)
EXPIRED = replace(NEVER_BEGUN, approval=Approval.EXPIRED, approval_until=ago(60), stopped_by=None)
BETWEEN_PEOPLE = Moved("D0ANA0BOB", "channel_not_found")
THREAD_LOCKED = Moved("C0PAYROLL", "restricted_action_thread_locked")
ARCHIVED, NO_MEMBER = Moved("C0PAYROLL", "is_archived"), Moved("C0PAYROLL", "not_in_channel")
NOBODY_TO_ASK = replace(EXPIRED, approval_until=NOW + timedelta(hours=23), moved_from=NO_MEMBER)
PAUSING = replace(COPYING, stop_requested=StopReason.PAUSE, stopped_by=BOB)
CANCELLING = replace(COPYING, stop_requested=StopReason.CANCEL, stopped_by=BOB)
LATEST = [
    replace(COMPLETED, id=16),
    replace(FAILED, id=15, liquidation_id=41, label="Aguinaldo · Junio 2026", requester_id="U0BOB"),
    replace(
        CANCELLED,
        id=14,
        copy_name="notes",
        copy_title=None,
        liquidation_id=40,
        label=None,
        requester_team="shell",
        channel_id=None,
    ),
]
LINKS = {
    each: f"https://acme.slack.com/archives/C0PAYROLL/p17955342080001{each:02}" for each in range(14, 20)
}

HISTORY = [replace(COMPLETED, id=16), replace(FAILED, id=15, requester_id="U0BOB"), replace(CANCELLED, id=12)]

FREEZE = Freeze(BOB, "cierre de mes", ago(3600))
FREEZE_UNTIL = replace(FREEZE, until=ago(-7200))
WINDOW = Freeze(None, "cierre de mes", ago(3600), until=ago(-7200), window="closing")
FROZEN = replace(QUEUED, freeze=FREEZE)

LATER = replace(QUEUED, start_at=ago(-6 * 3600))
LATER_AND_APPROVAL = replace(APPROVAL, start_at=ago(-6 * 3600))
BY_SCHEDULE = replace(COPYING, schedule="nightly")
COMING = (NextFiring("nightly", TITLE, ago(-6 * 3600)), NextFiring("noon", "notes", ago(-16 * 3600)))
NEXT_WINDOW = NextWindow("closing", ago(-4 * 24 * 3600), ago(-4 * 24 * 3600 - 36000), "cierre de mes")


def firing(state: FiringState, *results: dict[str, object], **values: object) -> Firing:
    """What became of a due time of two hours ago."""
    found: dict[str, object] = {
        "id": 3,
        "schedule": "nightly",
        "due_at": ago(7200),
        "copy_name": "items",
        "as_user": "U0ANA",
        "channel_id": "C0PAYROLL",
        "reason": None,
        "error": None,
        "missed_before": 0,
        "liquidations": None,
        "more_fit": False,
        "tries": 1,
        "late": timedelta(0),
    }
    return Firing(**{**found, **values, "state": state, "results": tuple(results)})  # type: ignore[arg-type]


PROD_LOST = {"code": "connection", "side": "prod"}
FIRED_IN_PART = firing(
    FiringState.DONE,
    {"liquidation": 43, "outcome": "started", "job": 17},
    {"liquidation": 42, "outcome": "live", "job": 16},
    {"liquidation": 50, "outcome": "nothing"},
    {"liquidation": 7, "outcome": "failed", "error": PROD_LOST},
    more_fit=True,
)


def _event(kind: str, seconds: float, attempt: int, person: Person | None, **detail: object) -> Happening:
    """What happened so many seconds ago."""
    return Happening(event_of(kind, detail), ago(seconds), attempt, person)


STORY = Timeline(
    (
        _event("requested", 420, 0, BOB),
        _event("card_moved", 410, 0, None, channel="C0PAYROLL", reason="is_archived"),
        _event("second_group_asked", 407, 0, None, group="<!subteam^S0BOSSES>", approvers=[]),
        _event("approved", 405, 0, BOB, reason="revisada con Contaduría"),
        _event("not_told", 404, 0, None, destination="ops-mail", occasion="failed", reason="refused"),
        _event("claimed", 400, 1, None, worker="worker-1"),
        _event("worker_lost", 300, 1, None, worker="worker-1"),
        _event("claimed", 298, 2, None, worker="worker-2"),
        _event("pause_requested", 200, 2, BOB),
        _event("paused", 199, 2, BOB),
        _event("resumed", 100, 2, BOB),
        _event("asked_again", 99, 2, None, **(ASKS_MOVED.question.as_json() if ASKS_MOVED.question else {})),
        _event("confirmed", 99, 2, BOB, in_prod=150_500, in_consulta=0),
        _event("claimed", 99, 3, None, worker="worker-2"),
    ),
    (SlowChunk(7, 50_000, 3.2), SlowChunk(3, 50_000, 1.9)),
    receipt_hash="5f3a9c0d1e2b" + "0" * 52,
)
#: The newest of a chain.
RECEIPT = Receipt(
    number=340,
    job_id=17,
    attempt=1,
    at=NOW,
    content={},
    previous_hash="0" * 64,
    hash="5f3a9c0d1e2b" + "0" * 52,
)

#: An error with every name that words can mention.
ERROR = Failure(
    "check",
    "",
    side="consulta",
    table="public.liquidation_items",
    column="amount",
    constraint="liquidation_items_check",
    sqlstate="23514",
    command="/copy-liquidation 42 items",
    lines=["column amount: numeric in prod, integer in consulta"],
)

OFFER = Offer("items", 42, "0123456789abcdef0123456789abcdef", 1_795_535_108, 1_000_000, 0)


def seen(prod: int | None, consulta: int | None, *, exact: bool = True, advice: bool = False) -> Preview:
    """Both sides with so many rows."""
    create = "CREATE INDEX CONCURRENTLY ON public.liquidation_items (liquidation_id, id)"
    advices = (Advice("prod", create),) if advice else ()
    return Preview(True, LABEL, Count(prod, exact), Count(consulta, exact), advices)


def proposal(prod: int | None, consulta: int | None, *, exact: bool = True, advice: bool = False) -> Proposal:
    """The same, with nothing known of earlier copies."""
    return Proposal(seen(prod, consulta, exact=exact, advice=advice))


def offered(proposal: Proposal, notice: str = "") -> Offered:
    return Offered(OFFER, TITLE, proposal, 15, notice)


def copied_before() -> Proposal:
    """As many rows as at the last copy, which was some minutes ago, and another copy beside it."""
    return replace(
        proposal(1_000_000, 1_000_000),
        last=replace(COMPLETED, id=16),
        expected_seconds=6.2,
        others=(replace(COPYING, liquidation_id=43),),
    )


def known(inserted: int, updated: int, deleted: int) -> Proposal:
    """An earlier copy has proven a million rows, and it is known what has changed since."""
    counts = Counts(inserted, updated, deleted, 1_000_000 - updated - deleted)
    earlier = copied_before()
    seen = replace(
        earlier.seen,
        in_source=Count(1_000_000 + inserted - deleted, exact=True),
        expected_changes=ExpectedChanges(counts, NOW),
    )
    return replace(earlier, seen=seen, others=())


def capped() -> Proposal:
    """Nothing is known of earlier copies, and the configuration has a cap."""
    return replace(proposal(1_000_000, 0), most_a_second=20_000.0)


def needing_approval() -> Proposal:
    """A second person has to approve it."""
    return replace(proposal(1_250_000, 0), approvers=("<!subteam^S0ADMINS>", "<@U0BOB>"))


def expected_changes_of_rows_that_move() -> Proposal:
    """Rows of other liquidations are taken, and a trigger of consulta fires on each row."""
    return Proposal(
        replace(seen(1_000, 900), taken=Count(12, exact=True), triggers=("stamp on public.items",))
    )


def pointing(*columns: str) -> Proposal:
    """Both sides of a table whose columns of these names point to large objects."""
    return Proposal(replace(seen(900, 900), large_object_columns=columns))


def under_rules() -> Proposal:
    """Some columns aren't copied as they are."""
    rules = {"bonus": "omit", "cbu": "omit", "dni": "hash", "email": "null", "name": "mask"}
    found = tuple(ColumnRule(column, Treatment(treatment)) for column, treatment in rules.items())
    return Proposal(replace(seen(900, 0), rules=found))


def verification(differing: int) -> VerificationResult:
    """A comparison of twenty parts, of which so many differ: the first by values, the rest by rows."""
    parts = [
        RangeComparison(
            KeyRange(number, None, None, rows=50_000),
            Digest(50_000, number),
            Digest(50_000 - (number - 1 if number <= differing else 0), number + (number == 1 <= differing)),
        )
        for number in range(1, 21)
    ]
    counted = Counted(
        *(
            sum(side.rows for side in sides)
            for sides in zip(*((e.source, e.target) for e in parts), strict=True)
        )
    )
    return VerificationResult(42, "items", TITLE, Proof.of(parts, counted), len(parts), ago(6), 12.4)


def empty_verification(known: bool | None) -> VerificationResult:
    """A comparison of a liquidation of which neither side has rows; ``known`` to the catalogue."""
    nothing = RangeComparison(KeyRange(1, None, None, rows=0), Digest(0, 0), Digest(0, 0))
    return VerificationResult(
        7777, "items", TITLE, Proof.of([nothing], Counted(0, 0)), 1, ago(6), 0.2, known=known
    )


def hidden_verification() -> VerificationResult:
    """A comparison whose ranges agree, but consulta has rows in none of them."""
    found = verification(0)
    proof = replace(found.proof, counted=replace(found.proof.counted, target=found.proof.target.rows + 3))
    return replace(found, proof=proof)


#: A set, as messages take it.
COMPLETA = NamedCopy("completa", "Liquidación completa")
#: Its tables: the copy's name, what messages call it, and its rows in prod.
TABLES_OF_SET = (
    ("head", "Cabecera", 1),
    ("payslips", "Recibos", 12_000),
    ("lines", "Líneas", 96_000),
    ("deductions", "Deducciones", 30_500),
)


def set_verification(
    *, apart: dict[str, Counts] | None = None, refused: dict[str, Failure] | None = None
) -> SetVerificationResult:
    """A comparison of the set; by how many rows tables differ, and why others couldn't be compared."""
    differ, why = apart or {}, refused or {}
    tables = []
    for name, title, rows in TABLES_OF_SET:
        counts = differ.get(name, Counts())
        there = rows - counts.inserted + counts.deleted
        part = RangeComparison(
            KeyRange(1, None, None, rows), Digest(rows, 5), Digest(there, 6 if name in differ else 5)
        )
        proof = Proof.of([part], Counted(rows, there), counts)
        tables.append(TableResult(name, title, None if name in why else proof, why.get(name)))
    as_of = ago(6) if len(why) < len(tables) else None
    return SetVerificationResult(42, COMPLETA.name, COMPLETA.shown, tuple(tables), as_of, 3.2)


def empty_set_verification() -> SetVerificationResult:
    """A comparison of a set of which neither side has rows."""
    nothing = empty_verification(True).proof
    tables = tuple(TableResult(name, title, nothing) for name, title, _ in TABLES_OF_SET)
    return SetVerificationResult(7777, COMPLETA.name, COMPLETA.shown, tables, ago(6), 0.2, known=False)


#: Why tables of a set couldn't be compared.
NO_DEDUCTIONS = {"deductions": Failure("missing_table", "", side="consulta", table="public.deductions")}
NO_TABLE = {
    name: Failure("missing_table", "", side="prod", table=f"public.{name}") for name, _, _ in TABLES_OF_SET
}


ENTRIES = [
    Entry(42, LABEL, "2026-10-01"),
    Entry(50, "Vacaciones · Diciembre 2026", "2026-12-15"),
    Entry(51, None, None),
]


def home_view(
    *live: JobView, latest: bool = True, filters: HomeFilters | None = None, frozen: bool = False
) -> HomeView:
    """App Home of Bob."""
    return HomeView(
        reader_id="U0BOB",
        live=live,
        latest=tuple(LATEST) if latest else (),
        filters=filters or HomeFilters(),
        freeze=FREEZE if frozen else None,
    )
