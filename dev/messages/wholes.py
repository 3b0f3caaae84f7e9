"""A set of copies before its press: a liquidation of four tables in its situations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.i18n import Translator
from bot.jobs.view import JobView
from bot.messages.failure_texts import explained
from bot.messages.proposal import Shown
from bot.messages.run_proposal import (
    Part,
    Refused,
    SeveralOffer,
    SeveralOffered,
    Table,
    WholeOffer,
    WholeOffered,
)
from copier import Count, Counts, ExpectedChanges, Lacking, Preview
from dev.messages import runs as r
from dev.messages import situations as s

TITLE = "Liquidación completa"
NAMES = {"head": "Cabecera", "payslips": "Recibos", "lines": "Líneas", "deductions": "Deducciones"}
ROWS = {"head": 1, "payslips": 3_000, "lines": 60_000, "deductions": 12_000}


def table(name: str, seen: Preview | None, **differs: Any) -> Table:
    return Table(name, NAMES[name], seen, **differs)


def known(prod: int, consulta: int, counts: Counts) -> Preview:
    """An earlier copy has proven it, so what would be done is known to the row."""
    found = s.seen(prod, consulta)
    return replace(found, expected_changes=ExpectedChanges(counts, s.NOW))


#: Nothing of it is in consulta yet.
NEW = tuple(table(name, s.seen(rows, 0)) for name, rows in ROWS.items())


def copied(name: str, run_id: int = 7) -> JobView:
    return replace(s.COMPLETED, copy_name=name, run_id=run_id, total=ROWS[name])


#: A set that was copied before, of which little has changed since.
CHANGED = (
    table("head", known(1, 1, Counts(0, 1, 0, 0)), last=copied("head")),
    table("payslips", known(3_004, 3_000, Counts(4, 0, 0, 3_000)), last=copied("payslips")),
    table("lines", known(60_064, 60_000, Counts(80, 120, 16, 59_864)), last=copied("lines")),
    table("deductions", known(12_000, 12_000, Counts(0, 0, 0, 12_000)), last=copied("deductions")),
)


def offered(*tables: Table, **differs: Any) -> WholeOffered:
    shown = tuple(Shown.of(each.seen) for each in tables if each.seen)
    offer = WholeOffer("completa", 42, "3f2a", 0, shown, "a1b2")
    return replace(WholeOffered(offer, TITLE, tables, 15), **differs)


def in_all_situations() -> WholeOffered:
    """Columns that stay in prod, an index that is missing, and a table that is empty on both sides."""
    masked = replace(s.under_rules().seen, in_source=Count(3_000, exact=True))
    slow = replace(
        s.seen(60_000, None, exact=False, advice=True),
        in_source=Count(60_000, exact=True),
        lacking=(
            Lacking("lines_concept_fkey", "public.concepts", 3, exact=True),
            Lacking("lines_unit_fkey", "public.units", 12, exact=False),
        ),
    )
    tables = (
        table("head", s.seen(1, 0)),
        table("payslips", masked),
        table("lines", slow),
        table("deductions", s.seen(0, 0)),
    )
    return offered(
        *tables, label=s.LABEL, expected_seconds=12.0, others=(replace(s.COPYING, liquidation_id=43),)
    )


def removing() -> WholeOffered:
    """Prod has no deductions any more."""
    return offered(*CHANGED[:3], table("deductions", s.seen(0, 12_000)))


def needing_approval() -> WholeOffered:
    """The lines are so many that a second person has to agree, and a reason is asked for."""
    lines = table("lines", s.seen(1_250_000, 0), needs_approval=True, approvers=("<!subteam^S0ADMINS>",))
    return offered(*NEW[:2], lines, NEW[3], asks_why=True)


def with_a_problem(t: Translator) -> tuple[Table, ...]:
    return (*NEW[:3], table("deductions", None, problem=explained(r.FAILED.error, t)))


def several(t: Translator) -> SeveralOffered:
    """Several liquidations of the set: some can be copied, and of the others there is said why not."""
    problem = with_a_problem(t)
    lacks = (Lacking("payslips_employee_id_fkey", "public.employees", 3, exact=True),)
    payslips = table("payslips", replace(s.seen(3_000, 0), lacking=lacks))
    parts = (
        Part(40, tables=(NEW[0], payslips, *NEW[2:])),
        Part(41, tables=CHANGED, needs_approval=True),
        Part(42, refused=Refused.REMOVES, tables=(*CHANGED[:3], table("deductions", s.seen(0, 12_000)))),
        Part(43, refused=Refused.TAKEN, taken=s.COPYING),
        Part(44, refused=Refused.PROBLEM, problem=problem[3].problem, tables=problem),
        Part(45, refused=Refused.UNKNOWN, tables=tuple(table(name, s.seen(0, 0)) for name in ROWS)),
    )
    offer = SeveralOffer(
        "completa", "3f2a", 0, tuple((part.liquidation_id, part.shown) for part in parts[:2])
    )
    who = ("<!subteam^S0ADMINS>",)
    return SeveralOffered(TITLE, "completa", parts, offer, 15, who, expected_seconds=12.0, tables=4)


TAKEN = [("Recibos", replace(s.COPYING, copy_name="payslips")), ("Líneas", s.QUEUED)]
