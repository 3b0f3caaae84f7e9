"""All output of the shell: words, tables and a bar for a person; JSON, one object a line, for a program.

It may hold what others have written: the name of a liquidation, of a person, a reason. So all of it goes
through `say`, `_table` or `_write`: no control character and no bidirectional one reaches the terminal, and
nothing is read as markup.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import click

from bot.config import SIDES, CopySection, ScheduleSection
from bot.i18n import N_, Translator
from bot.jobs.models import Approval, CopyChunk, FiringState, Phase, Status
from bot.jobs.view import JobView, NextWindow, RunView, together
from bot.jobs.workers import Alive
from bot.messages.blocks import bare_name, copied, of_liquidation, plain
from bot.messages.card import activity, progress, receipt, state
from bot.messages.failure_texts import explained
from bot.messages.proposal import counted, kept_in_prod, notes, removes_everything, would_do
from bot.messages.question import confirmation, question_text
from bot.messages.run import done, state_of
from bot.messages.run import together as written_together
from bot.untrusted_text import one_line
from copier import CopySpec, Count, Digest, Plan, Preview, Proof, RangeComparison

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

    from bot.doctor.checks import Finding
    from bot.jobs.receipts import Entry
    from bot.jobs.retention import Pruned
    from bot.jobs.schedules import Firing
    from bot.messages.verification import SetVerificationResult, TableResult
    from copier import ExplainedKey, ExplainedTable, Explanation, OutsideKey
    from copier.discovery import Discovery, Size

# ----------------------------------------------------------------------------
# What writes


def say(text: str = "", *, err: bool = False) -> None:
    """One line on stdout, or on stderr; whatever would end the line or steer the terminal is taken out."""
    click.echo(one_line(text), err=err)


def ask(text: str, default: str | None = None) -> str:
    """What somebody types at the terminal, without spaces around it."""
    return str(click.prompt(one_line(text), default=default)).strip()


#: A text, or a text and its colour.
Cell = str | tuple[str, str]


def _table(headings: Iterable[str], rows: Iterable[Iterable[Cell]]) -> None:
    """A table on stdout, as wide as the terminal; where stdout is none, each row is one line and whole."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(_cell, row))
    if _console().is_terminal:
        _console().print(table)
        return
    whole = _console(width=WIDEST)
    with whole.capture() as captured:
        whole.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(one_line(text), style)


#: No table of ours is wider: what a program or a file gets is cut nowhere.
WIDEST = 10_000


def _console(*, err: bool = False, width: int | None = None) -> Console:
    """Takes every text as it is: ``[/b]`` in a name is no markup, ``:bomb:`` no picture."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False, width=width)


def _write(found: dict[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.write(_as_line(found) + "\n")
    sys.stdout.flush()


def print_json_document(found: dict[str, Any]) -> None:
    """One JSON object on several lines of stdout, for a person or a program."""
    for line in json.dumps(found, ensure_ascii=False, indent=2).splitlines():
        say(line)


def _as_line(found: dict[str, Any]) -> str:
    """What a terminal would act on is written as ``\\uXXXX``."""
    return "".join(map(_as_escape, json.dumps(found, ensure_ascii=False, default=str)))


def _as_escape(each: str) -> str:
    if each.isprintable() or unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return each
    return json.dumps(each)[1:-1]


# ----------------------------------------------------------------------------
# A job as it goes


class Display(Protocol):
    """What shows a job as it goes."""

    def show(self, job: JobView) -> None: ...
    def finish(self, job: JobView) -> None: ...


class Bar:
    """A progress bar on stderr; a plain line where stderr is no terminal."""

    def __init__(self, t: Translator) -> None:
        self._t = t
        self._bar = _started_bar() if sys.stderr.isatty() else None

    def show(self, job: JobView) -> None:
        words = one_line(f"{progress(job, self._t)} · {plain(activity(job, self._t, bare_name))}")
        if self._bar is None:
            say(words, err=True)
        else:
            self._bar.update(self._bar.task_ids[0], total=job.total, completed=job.copied, description=words)

    def finish(self, job: JobView) -> None:
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], total=job.total or 1, completed=job.copied or 1, description=""
            )
            self._bar.stop()
        sign = "✅" if job.status is Status.COMPLETED else "❌"
        lines = [f"{sign} {job_name(job, self._t)}: {plain(activity(job, self._t, bare_name))}"]
        if job.status is Status.COMPLETED:
            lines.append(plain(receipt(job, self._t)))
        elif job.error and job.status is Status.FAILED:
            lines.append(plain(explained(job.error, self._t).step))
        for line in lines:
            say(line, err=True)


class SetLines:
    """The tables of a set, a line each: on a terminal it moves in its place, else it is said when it has
    changed. Several threads may show their jobs at once.
    """

    def __init__(self, t: Translator) -> None:
        self._t = t
        self._bar = _started_bar() if sys.stderr.isatty() else None
        self._tasks: dict[int, Any] = {}
        self._said: dict[int, str] = {}

    def show(self, job: JobView) -> None:
        words = one_line(f"{job.copy_shown}: {progress(job, self._t)}")
        if self._bar is None:
            if self._said.get(job.id) != words:
                self._said[job.id] = words
                say(words, err=True)
            return
        if job.id not in self._tasks:
            self._tasks[job.id] = self._bar.add_task("", total=None) if self._tasks else self._bar.task_ids[0]
        self._bar.update(self._tasks[job.id], total=job.total, completed=job.copied, description=words)

    def finish(self, job: JobView) -> None:
        """Only the bars end: what became of the jobs is for `print_set`."""
        if self._bar is not None:
            self._bar.stop()


def print_set(run: RunView, shown: str, again: str, t: Translator) -> None:
    """How a set has ended, on stderr: a line for each table, what failed, and ``again`` as the way to go on.

    ``shown`` is what messages call the set.
    """
    completed = len(run.completed) == len(run.jobs)
    for job in run.jobs:
        sign = "✅" if job.status is Status.COMPLETED else "❌"
        say(f"{sign} {job_name(job, t)}: {plain(activity(job, t, bare_name))}", err=True)
        if job.status is Status.COMPLETED:
            say(f"   {plain(receipt(job, t))}", err=True)
        elif job.error and job.status is Status.FAILED and job.error.code != "set_failed":
            found = explained(job.error, t)
            say(f"   {plain(found.what)} {plain(found.step)}", err=True)
    others = next((job for job in run.jobs if job.error and job.error.code == "set_failed"), None)
    for line in others.error.lines if others and others.error else ():
        say(f"   {line}", err=True)
    [liquidation] = run.liquidations
    names = {"set": shown, "id": liquidation}
    moment = run.jobs[0].as_of
    if completed and moment is not None:
        words = t(
            "✅ {set} of liquidation {id}: all tables are proven, as prod held them at {moment}.",
            **names,
            moment=t.moment(moment),
        )
    else:
        words = t(
            "❌ {set} of liquidation {id} is not completed; what is in place stays. `{again}` goes on.",
            **names,
            again=again,
        )
    say(words, err=True)


def print_set_json(run: RunView) -> None:
    """The same as JSON: one object for each job, and one for the set."""
    for job in run.jobs:
        print_json(job)
    moment = run.jobs[0].as_of
    _write(
        {
            "set": run.set_name,
            "liquidation_id": run.liquidations[0],
            "completed": len(run.completed) == len(run.jobs),
            "as_of": moment.isoformat() if moment else None,
            "jobs": [job.id for job in run.jobs],
        }
    )


def _started_bar() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(BarColumn(40), TextColumn("{task.description}", markup=False), console=_console(err=True))
    bar.add_task("", total=None)
    bar.start()
    return bar


class JsonLines:
    """One JSON object a line on stdout: the job, each time it was looked at, and once at its end."""

    def show(self, job: JobView) -> None:
        print_json(job)

    def finish(self, job: JobView) -> None:
        print_json(job)


# ----------------------------------------------------------------------------
# How a set is copied


def print_explanation(title: str | None, found: Explanation, t: Translator) -> None:
    """A set for a person to read: a line for each table in order, then what is to be known of each."""
    say(title or t("All copies"))
    say()
    headings = (t("Step"), t("Which copy"), t("In prod"), t("In consulta"), t("Key"), t("Belongs by"))
    rows = (
        (
            str(table.step or "–"),
            table.name,
            table.source_table,
            table.target_table,
            ", ".join(table.key) or "–",
            table.belongs_by,
        )
        for table in found.tables
    )
    _table(headings, rows)
    for heading, lines in (
        (t("Foreign keys of consulta"), _key_lines(found, t)),
        (t("Rows of other tables that have to be in consulta before"), _needed_lines(found)),
        (t("Rows of other tables that keep a row of these from being deleted"), _keeping_lines(found)),
        (t("Rules"), [f"{table.name}: {_rules(table)}" for table in found.tables if table.rules]),
        (
            t("Triggers of consulta"),
            [line for table in found.tables for line in _trigger_lines(table, t)],
        ),
        (t("Indexes that are there"), [line for table in found.tables for line in _index_lines(table)]),
        (
            t("Indexes that are missing"),
            [
                f"{side}: {statement}"
                for table in found.tables
                for side, statements in table.missing.items()
                for statement in statements
            ],
        ),
        (
            t("Indexes that are missing where a row is deleted to which others may refer"),
            [f"{SIDES.target}: {key.missing_index}" for key in _to_parents(found) if key.missing_index],
        ),
        (
            t("Would be refused"),
            [
                *found.refused,
                *(f"{table.name}: {words}" for table in found.tables for words in table.refused),
            ],
        ),
    ):
        if lines:
            say()
            say(heading)
            for line in dict.fromkeys(lines):
                say(f"  - {line}")


def _to_parents(found: Explanation) -> list[ExplainedKey | OutsideKey]:
    """The foreign keys to rows of the set."""
    return [*found.foreign_keys, *(key for key in found.outside if not key.refers)]


def _key_lines(found: Explanation, t: Translator) -> list[str]:
    """A line for each, and one for those that partitions have each of their own."""
    alike: dict[ExplainedKey, list[str]] = {}
    for key in found.foreign_keys:
        alike.setdefault(replace(key, name="", missing_index=None), []).append(key.name)
    return [_key_line(replace(key, name=_several(names)), t) for key, names in alike.items()]


def _several(names: Sequence[str]) -> str:
    return f"{names[0]} … {names[-1]}" if len(names) > 1 else names[0]


def _actions(key: ExplainedKey | OutsideKey) -> str:
    """What the key does beside refusing."""
    found = (("ON DELETE", key.on_delete), ("ON UPDATE", key.on_update))
    return "".join(f" {when} {action}" for when, action in found if action != "NO ACTION")


def _outside_lines(keys: Iterable[OutsideKey], line: Callable[[OutsideKey, str], str]) -> list[str]:
    alike: dict[OutsideKey, list[str]] = {}
    for key in keys:
        alike.setdefault(replace(key, name="", missing_index=None), []).append(key.name)
    return [line(key, f"{_several(names)}{_actions(key)}") for key, names in alike.items()]


def _needed_lines(found: Explanation) -> list[str]:
    return _outside_lines(
        (key for key in found.outside if key.refers),
        lambda key, name: f"{key.copy} ({', '.join(key.columns)}) -> {key.other}, {name}",
    )


def _keeping_lines(found: Explanation) -> list[str]:
    return _outside_lines(
        (key for key in found.outside if not key.refers),
        lambda key, name: f"{key.other} ({', '.join(key.columns)}) -> {key.copy}, {name}",
    )


def _key_line(key: ExplainedKey, t: Translator) -> str:
    from copier import Use

    own, to = ", ".join(key.columns), ", ".join(key.parent_columns)
    line = f"{key.child} ({own}) -> {key.parent} ({to}), {key.name}{_actions(key)}"
    match key.use:
        case Use.ORDER if key.on_delete in {"CASCADE", "SET NULL", "SET DEFAULT"}:
            words = t("the parent is written first, and deleted last: the action finds no row")
        case Use.ORDER:
            words = t("the parent is written first")
        case Use.SECOND_PASS:
            words = t("left empty at first, filled in by a second pass")
        case Use.ITSELF:
            words = t("rows that need each other are written together")
        case Use.UNSOLVED:
            words = t("part of a circle that nothing takes apart")
    return f"{line}: {words}"


def _trigger_lines(table: ExplainedTable, t: Translator) -> list[str]:
    altering = t("before each row: it may alter it")
    return [
        f"{table.name}: {name}{f', {altering}' if name in table.altering else ''}" for name in table.triggers
    ]


def _rules(table: ExplainedTable) -> str:
    return ", ".join(f"{column} {treatment}" for column, treatment in table.rules.items())


def _index_lines(table: ExplainedTable) -> list[str]:
    return [
        f"{table.name}, {side}: {'; '.join(f'({columns})' for columns in indexes)}"
        for side, indexes in table.indexes.items()
        if indexes
    ]


def print_mermaid(found: Explanation) -> None:
    """The same as a diagram: an arrow from each table to those that are written before it."""
    from copier import Use

    say("flowchart BT")
    place = {table.name: f"t{number}" for number, table in enumerate(found.tables, 1)}
    for step, names in enumerate(found.steps or [tuple(place)], 1):
        say(f"    subgraph step{step}[{step}]")
        for name in names:
            table = next(each for each in found.tables if each.name == name)
            words = f"{name}<br/>{table.target_table}".replace('"', "#quot;")
            say(f'        {place[name]}["{words}"]')
        say("    end")
    arrows = []
    for key in found.foreign_keys:
        arrow = "-->" if key.use is Use.ORDER else "-.->"
        words = ", ".join(key.columns).replace('"', "#quot;")
        arrows.append(f'    {place[key.child]} {arrow}|"{words}"| {place[key.parent]}')
    for line in dict.fromkeys(arrows):  # partitions may have keys of their own
        say(line)


# ----------------------------------------------------------------------------
# Jobs and workers


def print_table(jobs: list[JobView], t: Translator, runs: Mapping[int, RunView] | None = None) -> None:
    """Jobs for a person to read; of a run of these one line above those of its jobs."""
    headings = (
        t("Job"),
        t("Liquidation"),
        t("Which copy"),
        t("State"),
        t("Progress"),
        t("Requested by"),
        t("Requested at"),
    )
    rows = []
    for entry in together(jobs, runs or {}):
        if isinstance(entry, RunView):
            rows.append(_run_line(entry, t))
        own = entry.jobs if isinstance(entry, RunView) else (entry,)
        rows += [_job_line(job, t, "↳ " if isinstance(entry, RunView) else "") for job in own]
    _table(headings, rows)


def _run_line(run: RunView, t: Translator) -> tuple[str, ...]:
    return (
        t("Run {id}", id=run.id),
        written_together(run.liquidations),
        run.set_shown or run.jobs[0].copy_shown,
        state_of(run, t),
        done(run, t),
        run.requester.name,
        t.moment(run.created_at),
    )


def _job_line(job: JobView, t: Translator, sign: str) -> tuple[str, ...]:
    return (
        f"{sign}{job.id}",
        str(job.liquidation_id),
        job.copy_shown,
        state(job, t),
        progress(job, t),
        job.requester_name,
        t.moment(job.created_at),
    )


def print_workers(workers: list[Alive], t: Translator) -> None:
    """The processes that live, and what each of them has in hand."""

    def name(worker: Alive) -> str:
        place = f"{worker.host}:{worker.process}"
        return place if worker.takes_jobs else t("{worker} (a shell)", worker=place)

    _table(
        (t("Worker"), t("Version"), t("Since"), t("Last heard of"), t("Jobs in hand")),
        (
            (
                name(worker),
                worker.version,
                t.moment(worker.started_at),
                t.moment(worker.beat_at),
                ", ".join(str(job_id) for job_id in worker.jobs) or "–",
            )
            for worker in workers
        ),
    )


def print_pruned(gone: Pruned, t: Translator, *, dry_run: bool) -> None:
    """How many rows of each kind went, or would go."""
    kinds = {
        t("lines of the ledger"): gone.ledger,
        t("events"): gone.events,
        t("messages"): gone.outbox,
        t("due times of schedules"): gone.firings,
        t("workers"): gone.workers,
        t("jobs"): gone.jobs,
    }
    _table([t("Would go") if dry_run else t("Gone"), ""], [(name, t.number(n)) for name, n in kinds.items()])


# ----------------------------------------------------------------------------
# What begins by the clock


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """A schedule: its section, None where the file has it no more; its next times, and its last firings."""

    name: str
    section: ScheduleSection | None
    coming: Sequence[datetime]
    last: Sequence[Firing]


def print_schedules(lines: Sequence[ScheduleLine], windows: Sequence[NextWindow], t: Translator) -> None:
    """Schedules with their next and last times, and the windows that are open or come next."""
    if not lines and not windows:
        say(t("The configuration has no [[schedules]] and no [[freezes]]."))
    if lines:
        headings = (t("Schedule"), t("Which copy"), t("When"), t("Next"), t("Last"))
        _table(headings, (_schedule_row(line, t) for line in lines))
    if windows:
        if lines:
            say()
        _table(
            (t("Freeze window"), t("From"), t("Until"), t("Reason")),
            ((each.name, t.moment(each.begin), t.moment(each.end), each.reason or "–") for each in windows),
        )


def _schedule_row(line: ScheduleLine, t: Translator) -> tuple[str, ...]:
    section = line.section
    last = f"{t.moment(line.last[0].due_at)}: {firing_state(line.last[0], t)}" if line.last else "–"
    if section is None:
        return line.name, "–", t("not in the configuration any more"), "–", last
    coming = t.moment(line.coming[0]) if line.coming else "–"
    return line.name, section.copied, f"{section.cron} ({section.time_zone})", coming, last


def firing_state(firing: Firing, t: Translator) -> str:
    """What became of a due time, in a few words."""
    match firing.state:
        case FiringState.DUE:
            return t("is being worked on")
        case FiringState.MISSED:
            return t("missed")
        case FiringState.REFUSED:
            return t("its user may not copy")
        case FiringState.FROZEN:
            return t("copies were frozen")
        case FiringState.FAILED:
            return t("not brought to its end")
        case FiringState.DONE:
            return t.plural("{n} copy", "{n} copies", len(firing.jobs))


def print_schedules_json(lines: Sequence[ScheduleLine], windows: Sequence[NextWindow], t: Translator) -> None:
    """The same for programs: one object a schedule, and one a window."""
    for line in lines:
        section = line.section
        _write(
            {
                "schedule": line.name,
                "configured": section is not None,
                "cron": section.cron if section else None,
                "time_zone": section.time_zone if section else None,
                "copy": section.copy_name if section else None,
                "set": section.set_name if section else None,
                "as_user": section.as_user if section else None,
                "channel": section.channel if section else None,
                "next": [each.isoformat() for each in line.coming],
                "last": [
                    {
                        "due_at": each.due_at.isoformat(),
                        "state": str(each.state),
                        "reason": each.reason,
                        "jobs": each.jobs,
                        "results": list(each.results),
                    }
                    for each in line.last
                ],
            }
        )
    for window in windows:
        _write(
            {
                "freeze_window": window.name,
                "begin": window.begin.isoformat(),
                "end": window.end.isoformat(),
                "reason": window.reason,
            }
        )


def approval_line(job: JobView, t: Translator) -> str | None:
    """What the second person said, or until when they may; None for a job that needs no approval."""
    if job.approval is None:
        return None
    by = job.approval_by.name if job.approval_by else "–"
    when = t.moment(job.approval_at or job.approval_until or job.created_at)
    match job.approval:
        case Approval.WAITING:
            return t("Waiting for approval until {moment}.", moment=when)
        case Approval.APPROVED:
            return t("Approved by {name}, {moment}.", name=by, moment=when)
        case Approval.REJECTED:
            words = t("Rejected by {name}, {moment}.", name=by, moment=when)
            return f"{words} {job.rejection_reason}" if job.rejection_reason else words
        case Approval.EXPIRED:
            return t("Nobody approved it until {moment}.", moment=when)


def question_line(job: JobView, t: Translator) -> str | None:
    """Why a job asks again, and how to answer in a shell; None for one that asks nothing."""
    if job.question is None or not job.waits_for_somebody:
        return None
    words = question_text(job.question, t)
    if job.waits_for_approval:
        return words
    return f"{words} " + t("`{command}` confirms it.", command=confirmation(job.id, job.question))


def asks(job: JobView) -> str:
    """What ends a command that has nothing left to do before somebody has answered the job."""
    question = job.question
    if job.waits_for_approval or question is None:
        return f"job {job.id} waits for a second person's approval, which only Slack can ask for"
    shown = "unknown" if question.shown_in_prod is None else f"{question.shown_in_prod:,}"
    shown_there = "unknown" if question.shown_in_consulta is None else f"{question.shown_in_consulta:,}"
    deletes = ""
    if question.shown_deleted is not None:
        now = "an unknown number" if question.deleted is None else f"{question.deleted:,}"
        deletes = f"; {question.shown_deleted:,} of consulta's were to be deleted, now it is {now}"
    return (
        f"nothing was written: rows shown were {shown} in prod and {shown_there} in consulta, and now they "
        f"are {question.in_prod:,} and {question.in_consulta:,}{deletes}; "
        f"`{confirmation(job.id, question)}` has it copied so, `traspaso cancel {job.id}` ends it"
    )


# ----------------------------------------------------------------------------
# Both sides of a liquidation: before a copy, and compared at any later time


def refusal_of_preview(seen: Preview, liquidation: int, *, remove: bool) -> str | None:
    """What in Slack would be an answer without a Copy button, or with a warning on it."""
    if seen.exists is False:
        return f"there is no liquidation {liquidation} in prod: check the number"
    if not removes_everything(seen):
        return None if remove else _removal(seen, liquidation)
    if seen.in_target == Count(0, exact=True):
        return f"liquidation {liquidation} has no rows in prod, and none in consulta: nothing to copy"
    if not remove:
        return (
            f"liquidation {liquidation} has no rows in prod: copying would remove its rows from consulta; "
            "add --remove if that is meant"
        )
    return None


def _removal(seen: Preview, liquidation: int) -> str | None:
    """More of consulta's rows would go than a press in Slack lets go without showing them."""
    in_prod, in_consulta = seen.in_source.rows, seen.in_target.rows
    if in_prod is None or in_consulta is None:
        return None
    goes = seen.expected_changes.counts.deleted if seen.expected_changes else in_consulta - in_prod
    if goes <= in_consulta / 10:
        return None
    return (
        f"liquidation {liquidation} has {in_prod:,} rows in prod and {in_consulta:,} in consulta: copying "
        f"would remove {goes:,} of them; add --remove if that is meant"
    )


def print_preview(seen: Preview, chosen: CopySection, liquidation: int, t: Translator) -> None:
    """Rows of both sides, and the statements that would make the copy faster."""
    say(of_liquidation(chosen.shown, liquidation, t))
    if seen.exists is False:
        say(t("It isn't in the catalogue of liquidations in prod."))
    if seen.label:
        say(seen.label)
    say(f"prod      {chosen.source_table}: {counted(seen.in_source, t)}")
    say(f"consulta  {chosen.target_table}: {counted(seen.in_target, t)}")
    if kept := kept_in_prod(seen, t, quoted=str):
        say(kept)
    if seen.expected_changes is not None:
        say(would_do(seen.expected_changes.counts, t))
    for note in notes(seen, t, quoted=str):
        say(note)
    for advice in seen.advice:
        words = t(
            "No index serves this copy in {side}. Without one every chunk reads the whole table:",
            side=advice.side,
        )
        say(words)
        say(f"  {advice.statement};")


class VerificationOutput:
    """The comparison of both sides, range by range. The bounds are keys of rows: they stay in the shell."""

    def __init__(self, as_json: bool, t: Translator) -> None:
        self._as_json = as_json
        self._t = t
        self._plan: Plan | None = None

    def begin(self, plan: Plan) -> None:
        self._plan = plan

    def add(self, comparison: RangeComparison) -> None:
        if self._as_json:
            _write(range_as_json(comparison))
        elif not comparison.agrees:
            say(f"{comparison.sentence(SIDES)}, keys {comparison.range}")

    def finish(self, proof: Proof, known: bool | None = None) -> bool:
        """Says what came out; True where both sides agree on rows, or on having none.

        ``known`` says whether the catalogue has the liquidation, where neither side has rows; None where
        there is no catalogue.
        """
        missing = proof.is_empty and not known
        if self._as_json:
            as_of = self._plan.as_of.isoformat() if self._plan else None
            sides = {"prod": _side(proof.source), "consulta": _side(proof.target)}
            counted = {"prod": proof.counted.source, "consulta": proof.counted.target}
            found = {"agree": proof.holds, "as_of": as_of, **sides, "counted": counted}
            _write({**found, "known": known} if proof.is_empty else found)
        else:
            say(self._words(proof, known))
        return proof.holds and not missing

    def _words(self, proof: Proof, known: bool | None) -> str:
        t = self._t
        if proof.is_empty:
            return self._nothing_there(known)
        if proof.holds:
            rows = t.rows(proof.source.rows)
            return t("Both sides agree: {rows}, digest {digest}.", rows=rows, digest=proof.source.hex)
        if not proof.differences:
            return t(
                "Rows whose key is NULL lie in no key range: {prod} in prod, {consulta} in consulta.",
                prod=t.number(proof.counted.source - proof.source.rows),
                consulta=t.number(proof.counted.target - proof.target.rows),
            )
        return t(
            "Both sides differ in {n} key ranges: {prod} rows in prod, {consulta} in consulta.",
            n=len(proof.differences),
            prod=t.number(proof.counted.source),
            consulta=t.number(proof.counted.target),
        )

    def _nothing_there(self, known: bool | None) -> str:
        t = self._t
        words = [t("Neither prod nor consulta has rows of it.")]
        if known:
            words.append(t("The catalogue of liquidations in prod knows it: there is nothing to compare."))
        else:
            if known is False:
                words.append(t("The catalogue of liquidations in prod doesn't know it."))
            words.append(t("Check the number: nothing was compared."))
        return " ".join(words)


# ----------------------------------------------------------------------------
# The same of a whole liquidation: a line for each table


@dataclass(frozen=True, slots=True)
class TablePreview:
    """A table of a set: what both sides hold of it, or the ``problem`` that kept us from a look."""

    copy: CopySection
    seen: Preview | None
    problem: str = ""


def print_set_preview(shown: str, liquidation: int, tables: Sequence[TablePreview], t: Translator) -> None:
    """A line for each table with its rows and what a copy would do, and below it what is to be known of each.

    ``shown`` is what messages call the set.
    """
    say(of_liquidation(shown, liquidation, t))
    there = [each.seen for each in tables if each.seen is not None]
    if any(seen.exists is False for seen in there):
        say(t("It isn't in the catalogue of liquidations in prod."))
    if label := next((seen.label for seen in there if seen.label), None):
        say(label)
    say()
    headings = (t("Which copy"), t("Rows in prod"), t("Rows in consulta"), t("What becomes of it"))
    _table(headings, (_previewed(each, t) for each in tables))
    for each in tables:
        lines = [f"❌ {each.problem}"] if each.problem else _notes(each.seen, t) if each.seen else []
        for line in lines:
            say(f"{each.copy.name}: {line}")


def _previewed(each: TablePreview, t: Translator) -> tuple[str, ...]:
    seen = each.seen
    if seen is None:
        return each.copy.shown, "–", "–", t("can't be looked at now")
    would = would_do(seen.expected_changes.counts, t) if seen.expected_changes is not None else t("not known")
    return each.copy.shown, counted(seen.in_source, t), counted(seen.in_target, t), would


def _notes(seen: Preview, t: Translator) -> list[str]:
    kept = kept_in_prod(seen, t, quoted=str)
    return [
        *([kept] if kept else []),
        *notes(seen, t, quoted=str),
        *(f"{advice.side}: {advice.statement};" for advice in seen.advice),
    ]


def print_set_preview_json(set_name: str, liquidation: int, tables: Sequence[TablePreview]) -> None:
    """One object for each table, and one for the set."""
    for each in tables:
        found = preview_as_json(each.seen) if each.seen is not None else {}
        _write({"copy": each.copy.name, **found, "problem": each.problem or None})
    _write({"set": set_name, "liquidation_id": liquidation, "copies": [each.copy.name for each in tables]})


def print_range(copy_name: str, comparison: RangeComparison, *, as_json: bool) -> None:
    """A compared key range of a table of a set; for a person only where it differs."""
    if as_json:
        _write({"copy": copy_name, **range_as_json(comparison)})
    elif not comparison.agrees:
        say(f"{copy_name}: {comparison.sentence(SIDES)}, keys {comparison.range}")


def print_set_verification(found: SetVerificationResult, t: Translator) -> None:
    """A line for each table, why a table couldn't be compared, and whether the set is the same."""
    from bot.messages.verification import result, rows_of_table, table_words, words_of_set

    headings = (t("Which copy"), t("Rows in prod"), t("Rows in consulta"), t("Result"))
    _table(
        headings, ((each.copy_title, *rows_of_table(each, t), table_words(each, t)) for each in found.tables)
    )
    for each in found.refused:
        words = explained(each.failure, t)
        say(f"❌ {each.copy_name}: {plain(words.what)} {plain(words.step)}")
    say(plain(result(found, t).text if found.is_empty else " ".join(words_of_set(found, t))))


def print_set_verification_json(found: SetVerificationResult) -> None:
    """One object for each table, and one for the set. ``agree`` is null of a table that wasn't compared."""
    for each in found.tables:
        _write({"copy": each.copy_name, **_table_as_json(each)})
    as_of = found.as_of.isoformat() if found.as_of else None
    whole = {
        "set": found.set_name,
        "liquidation_id": found.liquidation_id,
        "agree": found.holds,
        "as_of": as_of,
    }
    _write({**whole, "known": found.known} if found.is_empty else whole)


def _table_as_json(each: TableResult) -> dict[str, Any]:
    proof = each.proof
    if proof is None:
        failure = each.failure
        return {"agree": None, "error": failure and {**failure.as_json(), "sentence": failure.sentence}}
    found: dict[str, Any] = {
        "agree": proof.holds,
        "prod": _side(proof.source),
        "consulta": _side(proof.target),
        "counted": {"prod": proof.counted.source, "consulta": proof.counted.target},
    }
    if proof.apart is not None:
        apart = proof.apart
        found |= {"differing": apart.updated, "missing": apart.inserted, "surplus": apart.deleted}
    return found


# ----------------------------------------------------------------------------
# What a new installation could copy


def print_discovery(found: Discovery, names: Mapping[CopySpec, str], t: Translator) -> None:
    """The tables that can be copied, by what each copy is called; then the others, each with the reason."""

    def rows(size: Size) -> str:
        return t("not known") if size.rows is None else t.number(size.rows)

    if found.candidates:
        _table(
            (t("Which copy"), t("Table in prod"), t("Rows, about"), t("Key")),
            (
                (names[each.spec], str(each.spec.source_table), rows(each.size), ", ".join(each.key))
                for each in found.candidates
            ),
        )
    if found.catalogue:
        say(t("Catalogue of liquidations: {table}.", table=found.catalogue.catalogue.table))
    for left in found.left_out:
        say(t("Not taken: {table}: {reason}.", table=left.table, reason=left.reason))


# ----------------------------------------------------------------------------
# What the doctor has found


#: How a finding is shown: its word and its colour.
_SHOWN = {
    "ok": (N_("ok"), "green"),
    "warning": (N_("warning"), "yellow"),
    "failed": (N_("failed"), "bold red"),
    "skipped": (N_("skipped"), "dim"),
}


def print_findings(findings: Sequence[Finding], t: Translator) -> None:
    """A table of all, and below it what to do: there no line is cut, so that a statement can be copied."""
    from bot.doctor.checks import TITLES

    titles = {each.id: t(TITLES[each.id]) for each in findings}
    _table(
        (t("Check"), t("Result"), t("Found")),
        (
            (
                titles[each.id],
                (t(_SHOWN[each.status][0]), _SHOWN[each.status][1]),
                f"{each.about}: {each.sentence}"
                if each.about and each.id.startswith("copy.")
                else each.sentence,
            )
            for each in findings
        ),
    )
    steps: dict[str, list[Finding]] = {}
    for status in ("failed", "warning", "skipped"):
        for each in findings:
            if each.status == status and each.step:
                steps.setdefault(each.step, []).append(each)
    if steps:
        say()
        say(t("What to do:"))
    for number, (step, about) in enumerate(steps.items(), 1):
        names = ", ".join(
            f"{titles[each.id]} ({each.about})" if each.about else titles[each.id] for each in about
        )
        say(f"{number}. {names}")
        say(f"   {step}")
    counted = {status: sum(each.status == status for each in findings) for status in _SHOWN}
    say()
    say(
        t(
            "{ok} ok, {warning} warnings, {failed} failed, {skipped} skipped",
            **{status: t.number(n) for status, n in counted.items()},
        )
    )


def print_findings_json(findings: Sequence[Finding]) -> None:
    """One object a line."""
    for each in findings:
        _write(
            {
                "id": each.id,
                "about": each.about or None,
                "status": each.status,
                "sentence": each.sentence,
                "next_step": each.step or None,
            }
        )


# ----------------------------------------------------------------------------
# JSON


def print_json(
    job: JobView, chunks: Sequence[CopyChunk] | None = None, *, set_name: str | None = None
) -> None:
    """The job, with the lines of its ledger if they are given; null where they are kept no longer.

    ``set_name`` is that of the set of which it is a part.
    """
    found = as_json(job) | ({"set": set_name} if set_name is not None else {})
    if chunks is not None:
        are_kept = chunks or not job.chunks_done
        found["chunks"] = [chunk_as_json(chunk) for chunk in chunks] if are_kept else None
    _write(found)


def as_json(job: JobView) -> dict[str, Any]:
    """The job with the names of the tracking table's columns; times in ISO 8601, rates in rows a second."""

    def moment(when: datetime | None) -> str | None:
        return when.isoformat() if when else None

    return {
        "id": job.id,
        "run_id": job.run_id,
        "copy": job.copy_name,
        "liquidation_id": job.liquidation_id,
        "source_table": job.source_table,
        "target_table": job.target_table,
        "status": job.status,
        "phase": job.phase,
        "attempt": job.attempt,
        "total_records": job.total,
        "copied_records": job.copied,
        "verified_records": job.verified,
        "inserted_records": job.inserted,
        "updated_records": job.updated,
        "deleted_records": job.deleted,
        "unchanged_records": job.unchanged,
        "moved_records": job.moved,
        "copied_bytes": job.bytes,
        "chunks_done": job.chunks_done,
        "target_records": job.target_records,
        "source_digest": job.source_digest,
        "target_digest": job.target_digest,
        "values_job": job.values_job,
        "error": job.error.as_json() if job.error else None,
        "error_message": job.error_message,
        "requested_by": job.requester_name,
        "previewed_records": job.terms.in_prod,
        "previewed_target_records": job.terms.in_consulta,
        "previewed_deletes": job.terms.deleted,
        "removal_confirmed": job.terms.removal_confirmed,
        "question": job.question.as_json() if job.question else None,
        "schedule": job.schedule,
        "start_at": moment(job.start_at),
        "approval": job.approval,
        "approval_by": job.approval_by.name if job.approval_by else None,
        "rejection_reason": job.rejection_reason,
        "approval_at": moment(job.approval_at),
        "approval_until": moment(job.approval_until),
        "request_reason": job.request_reason,
        "approval_reason": job.approval_reason,
        "as_of": moment(job.as_of),
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "seconds": round(job.seconds, 3) if job.seconds is not None else None,
        "seconds_by_phase": {
            phase.value: round(seconds, 3)
            for phase in Phase
            if (seconds := job.seconds_of(phase)) is not None
        },
        "rows_per_second": round(job.rate) if job.rate is not None else None,
    }


def chunk_as_json(chunk: CopyChunk) -> dict[str, Any]:
    """A line of the ledger; the bounds are keys of rows, so they belong in a shell and in no chat."""
    return {
        "number": chunk.number,
        "lower_key": chunk.lower_key,
        "upper_key": chunk.upper_key,
        "outcome": chunk.outcome,
        "records": chunk.records,
        "target_records": chunk.target_records,
        "inserted_records": chunk.inserted_records,
        "updated_records": chunk.updated_records,
        "deleted_records": chunk.deleted_records,
        "unchanged_records": chunk.unchanged_records,
        "moved_records": chunk.moved_records,
        "bytes": chunk.bytes,
        "seconds": round(chunk.seconds, 3),
        "source_digest": chunk.source_digest,
        "target_digest": chunk.target_digest,
    }


def print_preview_json(seen: Preview) -> None:
    """The preview as one object."""
    _write(preview_as_json(seen))


def preview_as_json(seen: Preview) -> dict[str, object]:
    """The preview with the sides called prod and consulta; what a copy would do is the ``outlook`` in it."""
    names = {"in_source": "in_prod", "in_target": "in_consulta", "expected_changes": "outlook"}
    return {names.get(name, name): value for name, value in asdict(seen).items()}


def range_as_json(comparison: RangeComparison) -> dict[str, Any]:
    """A key range and the digests of both sides."""
    part = comparison.range
    return {
        "number": part.number,
        "lower_key": part.lower,
        "upper_key": part.upper,
        "agree": comparison.agrees,
        "prod": _side(comparison.source),
        "consulta": _side(comparison.target),
    }


def _side(digest: Digest) -> dict[str, Any]:
    return {"rows": digest.rows, "digest": digest.hex}


# ----------------------------------------------------------------------------
# Words


def job_name(job: JobView, t: Translator) -> str:
    """The job, and what it copies."""
    name = t("Job {id}", id=job.id)
    return f"{name}, {plain(copied(job, t))}"


# ----------------------------------------------------------------------------
# Receipts


def print_entries(entries: Iterable[Entry], form: str) -> None:
    """As CSV with its headings, or as JSON, an object a line."""
    from bot.messages.receipts import csv_lines, entry_json

    if form == "json":
        for entry in entries:
            _write(entry_json(entry))
    else:
        for line in csv_lines(entries):
            say(line)


def json_line(entry: Entry) -> str:
    """The same for a file."""
    from bot.messages.receipts import entry_json

    return _as_line(entry_json(entry))
