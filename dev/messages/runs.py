"""Runs in their situations: several liquidations of one press, and a set of copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.i18n import Translator
from bot.jobs.failure import Failure
from bot.jobs.models import RunKind
from bot.jobs.view import HomeFilters, HomeView, JobView, Person, RunView
from bot.messages import run_proposal
from bot.messages.blocks import Message
from bot.messages.failure_texts import explained
from bot.messages.proposal import Shown
from bot.messages.run_proposal import Part, Refused, SeveralOffer, SeveralOffered
from copier import Count
from dev.messages import situations as s

LINK = "https://acme.example/archives/C0PAYROLL/p1795534208000100"


def part(job: JobView, number: int, **differs: Any) -> JobView:
    return replace(job, id=100 + number, liquidation_id=number, label=None, run_id=7, **differs)


def run(*jobs: JobView, **differs: Any) -> RunView:
    values: dict[str, Any] = {
        "id": 7,
        "kind": RunKind.SEVERAL,
        "set_name": None,
        "liquidations": tuple(job.liquidation_id for job in jobs),
        "jobs": jobs,
        "round": 0,
        "requester": Person("U0ANA", "T0ACME", "Ana Álvarez"),
        "channel_id": "C0PAYROLL",
        "message_ts": "1795534208.000100",
        "created_at": s.ago(30),
        "ended_at": None if any(job.is_live for job in jobs) else s.NOW,
        "now": s.NOW,
    }
    return RunView(**values | differs)


DONE, FAILED = part(s.COMPLETED, 40), part(s.FAILED, 41)
COPYING, QUEUED, CANCELLED = part(s.COPYING, 42), part(s.QUEUED, 43), part(s.CANCELLED, 44)
COPIED = [part(s.COMPLETED, number) for number in (40, 41, 42)]
APPROVAL = [part(s.APPROVAL, number, approvers=("<!subteam^S0ADMINS>",)) for number in (44, 45)]
ASKS = part(s.ASKS_MOVED, 46)

UNDER_WAY = run(DONE, FAILED, COPYING, QUEUED)
WAITS_FOR_APPROVAL = run(COPYING, *APPROVAL)
ASKS_AGAIN = run(DONE, ASKS)
FROZEN = run(DONE, replace(QUEUED, freeze=s.FREEZE))
NOBODY_WORKS = run(part(s.NOBODY_WORKS, 40), part(s.NOBODY_WORKS, 41))
PAUSED = run(DONE, part(s.PAUSED, 42))
COMPLETED = run(*COPIED)
IN_PART = run(DONE, FAILED, CANCELLED)
NONE_COPIED = run(FAILED)
CANCELLED_ALL = run(replace(CANCELLED, id=143, liquidation_id=43), CANCELLED)
PLANNED = run(*(part(s.LATER, number) for number in (40, 41)))
PLANNED_FOR_APPROVAL = run(*(replace(job, start_at=s.LATER.start_at) for job in APPROVAL))
FIFTY = run(*(part(s.COMPLETED if n < 20 else s.QUEUED, n) for n in range(1, 51)))
SECONDS = {201: 0.3, 202: 1.9, 203: 6.2, 204: 1.1}


def of_set(*jobs: JobView, **differs: Any) -> RunView:
    """The jobs of a set, in the order in which its tables are written."""
    names = zip(jobs, ("Cabecera", "Recibos", "Líneas", "Deducciones"), strict=False)
    made = [
        replace(
            job,
            id=200 + n,
            liquidation_id=42,
            copy_name=title.lower(),
            copy_title=title,
            label=None,
            run_id=7,
        )
        for n, (job, title) in enumerate(names, 1)
    ]
    values: dict[str, Any] = {
        "kind": RunKind.SET,
        "set_name": "completa",
        "set_title": "Liquidación completa",
        "liquidations": (42,),
        "spent": {job.id: SECONDS[job.id] for job in made if job.copied},
    }
    return run(*made, **values | differs)


def written(done: int, total: int, made: JobView = s.COPYING, **differs: Any) -> JobView:
    return replace(made, copied=done, total=total, **differs)


SET = of_set(written(1, 1), written(1_840, 3_000), written(0, 60_000), written(0, 12_000))
SET_QUEUED = of_set(*[replace(s.QUEUED, ahead=0)] * 4)
SET_COUNTING = of_set(*[s.COUNTING] * 4)
SET_COMPARED = of_set(
    written(1, 1, s.VERIFYING, verified=1),
    written(3_000, 3_000, s.VERIFYING, verified=3_000),
    written(60_000, 60_000, s.VERIFYING, verified=20_000),
    written(12_000, 12_000, s.VERIFYING, verified=0),
)
SET_COMPLETED = of_set(*(written(n, n, s.COMPLETED) for n in (1, 3_000, 60_000, 12_000)))
_OTHERS = Failure("set_failed", "another table of its set was not copied", lines=["failed: Líneas (job 203)"])
SET_FAILED = of_set(
    written(1, 1, s.FAILED, error=_OTHERS),
    written(3_000, 3_000, s.FAILED, error=_OTHERS),
    written(20_000, 60_000, s.FAILED),
    written(0, 12_000, s.FAILED, error=_OTHERS),
)
SET_PAUSED = of_set(written(1, 1, s.PAUSED), written(1_840, 3_000, s.PAUSED), written(0, 60_000, s.PAUSED))
SET_CANCELLED = of_set(
    written(1, 1, s.CANCELLED), written(1_840, 3_000, s.CANCELLED), written(0, 60_000, s.CANCELLED)
)
SET_WAITS_FOR_APPROVAL = of_set(
    replace(s.QUEUED, ahead=0), replace(s.APPROVAL, approvers=("<!subteam^S0ADMINS>",))
)
SET_ASKS = of_set(replace(s.QUEUED, ahead=0), s.ASKS_MOVED)
SET_LOST = of_set(*(replace(job, lease_until=s.ago(40)) for job in SET.jobs))
SET_HELD_BACK = of_set(SET.jobs[0], replace(SET.jobs[1], lag_mb=64.0, attempt=2), *SET.jobs[2:])

OFFER = SeveralOffer(
    "items", "3f2a", 0, ((40, Shown(12_000, 0)), (41, Shown(1_250_000, 1_100_000, 4, 7))), "a1b2"
)
SET_COMPLETED = replace(
    SET,
    jobs=tuple(
        replace(s.COMPLETED, id=200 + n, copy_title=title, run_id=7, label=None)
        for n, title in enumerate(["Head", "Payslips", "Lines"])
    ),
    ended_at=s.NOW,
)


def offered(*parts: Part, **differs: Any) -> SeveralOffered:
    values: dict[str, Any] = {
        "title": s.TITLE,
        "copy_name": "items",
        "parts": parts,
        "offer": OFFER,
        "minutes": 15,
        "approvers": ("<!subteam^S0ADMINS>",),
        "expected_seconds": 75.0,
    }
    return SeveralOffered(**values | differs)


def seen(number: int, prod: int, consulta: int) -> Part:
    found = s.seen(prod, consulta)
    return Part(number, found, run_proposal.refusal_of(found))


def in_all_situations(t: Translator) -> SeveralOffered:
    """A line for each that can be copied or can't, and what to mind of one, and of all that can."""
    trigger = ("stamp on public.items",)
    takes = replace(s.seen(12_000, 0), taken=Count(12, exact=True), triggers=trigger)
    big = replace(s.seen(1_250_000, 1_100_000), triggers=trigger)
    problem = explained(s.FAILED.error, t)
    return offered(
        Part(40, takes),
        Part(41, big, needs_approval=True),
        Part(39, replace(s.known(3, 12, 0).seen, triggers=trigger)),
        Part(42, refused=Refused.TAKEN, taken=s.COPYING),
        Part(43, s.seen(0, 0), Refused.EMPTY),
        Part(44, s.seen(0, 0), Refused.UNKNOWN),
        seen(45, 0, 900),
        Part(46, refused=Refused.PROBLEM, problem=problem),
    )


def plainer(made: Message) -> Message:
    """As a workspace shows it that refuses the new blocks."""
    return replace(made, blocks=made.fallback or made.blocks)


Made = Callable[[Translator], Message]


def without(make: Made) -> Made:
    """The same message where Slack doesn't know the new block."""
    return lambda t: plainer(make(t))


def of_sets(*sets: RunView, **differs: Any) -> RunView:
    """The sets of several liquidations, 40 and those after it, in one run."""
    jobs = [
        replace(job, id=300 + 4 * n + place, liquidation_id=40 + n)
        for n, own in enumerate(sets)
        for place, job in enumerate(own.jobs)
    ]
    numbers = tuple(range(40, 40 + len(sets)))
    whole = {"kind": RunKind.SET, "set_name": "completa", "set_title": "Liquidación completa"}
    return run(*jobs, **{**whole, "liquidations": numbers, **differs})


SETS = of_sets(SET_COMPLETED, SET, SET_QUEUED)
SETS_COMPLETED = of_sets(SET_COMPLETED, SET_COMPLETED)
SETS_FAILED = of_sets(SET_COMPLETED, SET_FAILED, SET_CANCELLED)
SETS_WAIT_FOR_APPROVAL = of_sets(SET, SET_WAITS_FOR_APPROVAL, SET_WAITS_FOR_APPROVAL)
SETS_ASK = of_sets(SET_COMPLETED, SET_ASKS)
FIFTY_SETS = of_sets(*[SET_COMPLETED] * 20, SET, *[SET_QUEUED] * 29)


def panel(found: RunView) -> HomeView:
    """App Home with this run, for somebody who didn't ask for it."""
    ended = tuple(job for job in found.jobs if not job.is_live)
    return HomeView("U0BOB", found.live, ended, HomeFilters(), None, runs={found.id: found})
