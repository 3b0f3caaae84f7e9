"""Every message of the bot in each of its situations, a line for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.commands.registry import help_lines
from bot.config import Occasion
from bot.i18n import Translator
from bot.jobs.failure import Failure
from bot.jobs.freshness import Watched
from bot.jobs.models import FiringState, Status
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import Timeline
from bot.jobs.schedules import Firing
from bot.jobs.view import HomeFilters, JobView, NotificationDetail, RunView
from bot.messages import (
    answers,
    freshness,
    home,
    notification,
    proposal,
    question,
    receipts,
    run,
    run_proposal,
    schedules,
    status,
    verification,
)
from bot.messages.blocks import Message, View, moved_away, of_liquidation, sentence
from bot.messages.card import card, follower_message, reply
from bot.messages.failure_texts import WORDS, explained
from bot.messages.notification import Notification
from bot.messages.proposal import Carried, proposal_card
from bot.messages.question import approval_reminder, approval_reply, question_reply
from bot.messages.run import of_liquidations
from bot.messages.run_proposal import several_card, whole_card
from copier import Counts
from dev.messages import runs as r
from dev.messages import situations as s
from dev.messages import wholes as w


@dataclass(frozen=True, slots=True)
class Sample:
    """``section`` and ``name`` are its folder and file; ``make`` the message in one language."""

    section: str
    name: str
    make: Callable[[Translator], Message | View | Notification]


#: What servers and libpq say, and what mends it.
SAID = {
    "login": 'password authentication failed for user "traspaso"',
    "no_connect": 'permission denied for database "consulta"',
    "no_database": 'database "consulta" does not exist',
    "host_not_allowed": 'no pg_hba.conf entry for host "10.0.0.7", user "traspaso", database "consulta"',
    "encryption_wanted": 'no pg_hba.conf entry for host "10.0.0.7", user "traspaso", no encryption',
    "no_encryption": "server does not support SSL, but SSL was required",
    "certificate": "SSL error: certificate verify failed",
    "too_many_connections": 'too many connections for role "traspaso"',
    "unreachable": "Connection refused",
    "privilege_missing": "GRANT INSERT, DELETE ON TABLE public.items TO traspaso",
    "rows_hidden": "ALTER ROLE reader BYPASSRLS",
    "read_only": "ALTER ROLE traspaso IN DATABASE consulta SET default_transaction_read_only = off",
    "too_large": 'index row size 10016 exceeds btree version 4 maximum 2704 for index "by_note"',
    "database_says": 'cannot delete from table "items" because it does not have a replica identity',
    "circular_references": "payslips_main_line_fkey of payslips",
    "points_nowhere": "public.employees",
    "of_no_parent": "public.payslips",
    "still_referenced": "public.payslip_lines",
    "referenced_by_others": "public.payslip_lines",
    "set_failed": "lines, job 19: failed; in place: heads, payslips; not begun: deductions",
    "new_columns": "phone; second_cbu",
    "rules_dont_fit": "dni has the rule hash, and is bigint in consulta: make it text there",
    "url_wrong": 'invalid sslmode value: "requir"',
}


def _failure(code: str) -> Sample:
    error = replace(s.ERROR, code=code, lines=[SAID[code]] if code in SAID else s.ERROR.lines)
    return Sample("failures", code, lambda t: answers.problem(explained(error, t)))


def _fired(name: str, firing: Firing) -> Sample:
    titles, operators = {"items": s.TITLE}, ("<!subteam^S0OPS>",)
    return Sample("schedules", name, lambda t: schedules.firing(firing, titles, t, operators))


def _watched(name: str, seen: Watched) -> Sample:
    def made(t: Translator) -> Message:
        message = freshness.moved_on(seen, s.TITLES | s.TITLES_OF_SET, t)
        if message is None:
            raise ValueError("prod has moved on nowhere")
        return message

    return Sample("watch", name, made)


def _asking(name: str, job: JobView) -> Sample:
    if job.question is None:
        raise ValueError("this job asks nothing")
    question = job.question
    return Sample("asking", name, lambda t: question_reply(job, question, t))


def _long_reply(t: Translator) -> Message:
    return reply(s.COMPLETED_LATE, t, s.STRETCHES)


def _without_new_blocks(message: Message) -> Message:
    """As it is sent where Slack refuses its blocks."""
    if message.fallback is None:
        raise ValueError("this message has no fallback")
    return Message(message.text, message.fallback)


def _told(name: str, job: JobView, occasion: Occasion) -> Sample:
    return Sample("notification", name, lambda t: notification.of_job(job, occasion, t, LINK))


def _told_of_run(name: str, run: RunView, occasion: Occasion) -> Sample:
    return Sample("notification", name, lambda t: notification.of_run(run, occasion, t, LINK))


#: What a fact that concerns no job carries.
NAMES = NotificationDetail(copy="items", liquidation_id=42, schedule="nightly", due_at=s.NOW)

GROUPS = ["<!subteam^S0ADMINS>"]
LINK = s.LINKS[17]

SAMPLES = [
    # The card in the channel
    Sample("card", "queued", lambda t: card(s.QUEUED, t)),
    Sample("card", "queued-behind", lambda t: card(s.BEHIND, t)),
    Sample("card", "nobody-works", lambda t: card(s.NOBODY_WORKS, t)),
    Sample("card", "nobody-works-and-no-operators", lambda t: card(s.NOBODY_WORKS_OR_RUNS_IT, t)),
    Sample("card", "nobody-has-ever-worked", lambda t: card(s.NOBODY_EVER_WORKED, t)),
    Sample("card", "worker-lost-and-nobody-works", lambda t: card(s.LOST_AND_NOBODY_WORKS, t)),
    Sample("card", "approved-for-a-reason", lambda t: card(s.APPROVED_FOR_A_REASON, t)),
    Sample("card", "counting", lambda t: card(s.COUNTING, t)),
    Sample("card", "copying", lambda t: card(s.COPYING, t)),
    Sample("card", "throttled", lambda t: card(s.THROTTLED, t)),
    Sample("card", "verifying", lambda t: card(s.VERIFYING, t)),
    Sample("card", "waits-for-prod", lambda t: card(s.WAITS_FOR_PROD, t)),
    Sample("card", "worker-lost", lambda t: card(s.LOST, t)),
    Sample("card", "taken-over", lambda t: card(s.TAKEN_OVER, t)),
    Sample("card", "paused", lambda t: card(s.PAUSED, t)),
    Sample("card", "completed", lambda t: card(s.COMPLETED, t)),
    Sample("card", "completed-after-a-pause", lambda t: card(s.COMPLETED_AFTER_A_PAUSE, t)),
    Sample("card", "cancelled", lambda t: card(s.CANCELLED, t)),
    Sample("card", "failed", lambda t: card(s.FAILED, t)),
    Sample("card", "pausing", lambda t: card(s.PAUSING, t)),
    Sample("card", "being-cancelled", lambda t: card(s.CANCELLING, t)),
    Sample("card", "frozen", lambda t: card(s.FROZEN, t)),
    Sample("card", "frozen-by-a-window", lambda t: card(replace(s.QUEUED, freeze=s.WINDOW), t)),
    Sample("card", "for-later", lambda t: card(s.LATER, t)),
    Sample("card", "for-later-and-waits-for-approval", lambda t: card(s.LATER_AND_APPROVAL, t)),
    Sample("card", "asked-for-by-a-schedule", lambda t: card(s.BY_SCHEDULE, t)),
    Sample("card", "waits-for-approval", lambda t: card(s.APPROVAL, t)),
    Sample("card", "waits-for-approval-of-a-removal", lambda t: card(s.APPROVAL_OF_REMOVAL, t)),
    Sample("card", "waits-for-approval-of-an-estimate", lambda t: card(s.APPROVAL_UNKNOWN, t)),
    Sample("card", "asks-again", lambda t: card(s.ASKS_MOVED, t)),
    Sample("card", "asks-again-and-frozen", lambda t: card(replace(s.ASKS_MOVED, freeze=s.FREEZE), t)),
    Sample("card", "asks-again-to-remove", lambda t: card(s.ASKS_REMOVAL, t)),
    Sample("card", "asks-again-to-remove-more", lambda t: card(s.ASKS_SURPLUS, t)),
    Sample("card", "asks-again-to-delete-more-than-shown", lambda t: card(s.ASKS_DELETES, t)),
    Sample("card", "asks-again-for-approval", lambda t: card(s.ASKS_APPROVAL, t)),
    Sample("card", "asks-again-for-approval-of-a-removal", lambda t: card(s.ASKS_APPROVAL_OF_REMOVAL, t)),
    Sample("card", "approved", lambda t: card(s.APPROVED, t)),
    Sample("card", "rejected", lambda t: card(s.REJECTED, t)),
    Sample("card", "rejected-with-a-reason", lambda t: card(s.REJECTED_FOR_A_REASON, t)),
    Sample(
        "card", "read-by-another-organisation", lambda t: card(replace(s.COPYING, is_read_outside=True), t)
    ),
    Sample("card", "in-a-direct-message", lambda t: card(replace(s.COPYING, moved_from=s.ARCHIVED), t)),
    Sample(
        "card", "in-a-direct-message-uninvited", lambda t: card(replace(s.COPYING, moved_from=s.NO_MEMBER), t)
    ),
    Sample(
        "card",
        "in-a-direct-message-instead-of-another",
        lambda t: card(replace(s.COPYING, moved_from=s.BETWEEN_PEOPLE), t),
    ),
    Sample("card", "left-behind", lambda t: moved_away(replace(s.COPYING, moved_from=s.THREAD_LOCKED), t)),
    # Several copies of one press
    Sample("run", "under-way", lambda t: run.card(r.UNDER_WAY, t)),
    Sample("run", "under-way-without-the-new-block", r.without(lambda t: run.card(r.UNDER_WAY, t))),
    Sample("run", "fifty", lambda t: run.card(r.FIFTY, t)),
    Sample("run", "fifty-without-the-new-block", r.without(lambda t: run.card(r.FIFTY, t))),
    Sample("run", "of-a-set", lambda t: run.card(r.SET, t)),
    Sample("run", "of-a-set-without-the-new-block", r.without(lambda t: run.card(r.SET, t))),
    Sample("run", "set-queued", lambda t: run.card(r.SET_QUEUED, t)),
    Sample("run", "set-counting", lambda t: run.card(r.SET_COUNTING, t)),
    Sample("run", "set-compared", lambda t: run.card(r.SET_COMPARED, t)),
    Sample("run", "set-held-back", lambda t: run.card(r.SET_HELD_BACK, t)),
    Sample("run", "set-worker-lost", lambda t: run.card(r.SET_LOST, t)),
    Sample("run", "set-paused", lambda t: run.card(r.SET_PAUSED, t)),
    Sample("run", "set-waits-for-approval", lambda t: run.card(r.SET_WAITS_FOR_APPROVAL, t)),
    Sample("run", "set-asks-again", lambda t: run.card(r.SET_ASKS, t)),
    Sample("run", "set-completed", lambda t: run.card(r.SET_COMPLETED, t)),
    Sample("run", "set-failed", lambda t: run.card(r.SET_FAILED, t)),
    Sample("run", "set-ended-completed", lambda t: run.reply(r.SET_COMPLETED, t)),
    Sample("run", "set-ended-failed", lambda t: run.reply(r.SET_FAILED, t)),
    Sample("run", "set-ended-cancelled", lambda t: run.reply(r.SET_CANCELLED, t)),
    Sample("run", "set-question", lambda t: run.question_reply(r.SET_ASKS, t)),
    Sample(
        "run",
        "set-reminder",
        lambda t: run.approval_reminder(r.SET_WAITS_FOR_APPROVAL, MessageKind.REMINDER, t),
    ),
    Sample("run", "set-was-approved", lambda t: run.approval_reply(r.of_set(s.QUEUED, s.APPROVED), t)),
    Sample("run", "set-requested", lambda t: run.requested(r.SET_QUEUED, [], {}, LINK, t)),
    Sample("run", "set-approved", lambda t: run.approved(r.SET_QUEUED, 1, t)),
    Sample("run", "set-rejected", lambda t: run.rejected(r.SET_CANCELLED, 1, t)),
    Sample("run", "sets-under-way", lambda t: run.card(r.SETS, t)),
    Sample("run", "sets-under-way-without-the-new-block", r.without(lambda t: run.card(r.SETS, t))),
    Sample("run", "sets-fifty", lambda t: run.card(r.FIFTY_SETS, t)),
    Sample("run", "sets-wait-for-approval", lambda t: run.card(r.SETS_WAIT_FOR_APPROVAL, t)),
    Sample("run", "sets-ask-again", lambda t: run.card(r.SETS_ASK, t)),
    Sample("run", "sets-failed", lambda t: run.card(r.SETS_FAILED, t)),
    Sample("run", "sets-completed", lambda t: run.card(r.SETS_COMPLETED, t)),
    Sample("run", "sets-ended-completed", lambda t: run.reply(r.SETS_COMPLETED, t)),
    Sample("run", "sets-ended-in-part", lambda t: run.reply(r.SETS_FAILED, t)),
    Sample("run", "sets-question", lambda t: run.question_reply(r.SETS_ASK, t)),
    Sample("run", "sets-requested", lambda t: run.requested(r.SETS, [*r.SET.jobs], {}, LINK, t)),
    Sample("run", "set-left-behind", lambda t: run.moved_away(replace(r.SET, moved_from=s.ARCHIVED), t)),
    Sample("run", "waits-for-approval", lambda t: run.card(r.WAITS_FOR_APPROVAL, t)),
    Sample("run", "asks-again", lambda t: run.card(r.ASKS_AGAIN, t)),
    Sample("run", "frozen", lambda t: run.card(r.FROZEN, t)),
    Sample("run", "nobody-works", lambda t: run.card(r.NOBODY_WORKS, t)),
    Sample("run", "paused", lambda t: run.card(r.PAUSED, t)),
    Sample("run", "planned", lambda t: run.card(r.PLANNED, t)),
    Sample("run", "planned-and-waits-for-approval", lambda t: run.card(r.PLANNED_FOR_APPROVAL, t)),
    Sample("run", "requested-for-later", lambda t: run.requested(r.PLANNED, [], {}, LINK, t)),
    Sample("run", "told", lambda t: run.follower_message(r.IN_PART, LINK, t)),
    Sample("run", "told-of-fifty", lambda t: run.follower_message(r.FIFTY, None, t)),
    Sample("run", "will-be-told", lambda t: run.will_be_told(r.UNDER_WAY, t, before=False)),
    Sample("run", "will-be-told-already", lambda t: run.will_be_told(r.SET, t, before=True)),
    Sample("run", "wont-be-told", lambda t: run.wont_be_told(r.UNDER_WAY, t)),
    Sample("run", "completed", lambda t: run.card(r.COMPLETED, t)),
    Sample("run", "left-behind", lambda t: run.moved_away(replace(r.UNDER_WAY, moved_from=s.ARCHIVED), t)),
    Sample("run", "ended-completed", lambda t: run.reply(r.COMPLETED, t)),
    Sample("run", "ended-in-part", lambda t: run.reply(r.IN_PART, t)),
    Sample("run", "ended-without-any", lambda t: run.reply(r.NONE_COPIED, t)),
    Sample("run", "question", lambda t: run.question_reply(r.ASKS_AGAIN, t)),
    Sample("run", "reminder", lambda t: run.approval_reminder(r.WAITS_FOR_APPROVAL, MessageKind.REMINDER, t)),
    Sample("run", "was-approved", lambda t: run.approval_reply(r.run(r.part(s.APPROVED, 44)), t)),
    Sample("run", "requested", lambda t: run.requested(r.UNDER_WAY, [s.COPYING], {}, LINK, t)),
    Sample("run", "all-under-way", lambda t: run.all_taken([s.COPYING], {s.COPYING.id: LINK}, t)),
    Sample("run", "requested-blindly", lambda t: run.requested_blindly(7, t)),
    Sample("run", "done-blindly", lambda t: run.done_blindly(7, t)),
    Sample("run", "pressed-before", lambda t: run.pressed_before(r.UNDER_WAY, LINK, t)),
    Sample("run", "unknown", lambda t: run.unknown_run("99", t)),
    Sample("run", "not-now", lambda t: run.not_now(r.COMPLETED, LINK, t)),
    Sample("run", "not-yours", lambda t: run.not_yours(r.ASKS_AGAIN, t)),
    Sample("run", "stale", lambda t: run.stale(r.ASKS_AGAIN, LINK, t)),
    Sample("run", "alone", lambda t: run.shown_alone(r.PAUSED, LINK, t)),
    Sample("run", "approved", lambda t: run.approved(r.WAITS_FOR_APPROVAL, 2, t)),
    Sample("run", "rejected", lambda t: run.rejected(r.WAITS_FOR_APPROVAL, 2, t)),
    Sample("run", "too-late", lambda t: run.too_late(r.COMPLETED, LINK, t)),
    Sample("run", "own-request", lambda t: run.own_request(r.WAITS_FOR_APPROVAL, t)),
    Sample("run", "why-rejected", lambda t: run.why_rejected(r.WAITS_FOR_APPROVAL, "7 C0PAYROLL", t)),
    Sample("run", "why-approved", lambda t: run.why_approved(r.WAITS_FOR_APPROVAL, "7 C0PAYROLL", t)),
    Sample("several", "some-can-be-copied", lambda t: several_card(r.in_all_situations(t), t)),
    Sample("several", "some-without-a-table", r.without(lambda t: several_card(r.in_all_situations(t), t))),
    Sample(
        "several",
        "none-can-be-copied",
        lambda t: several_card(r.offered(r.seen(40, 0, 900), offer=None, expected_seconds=None), t),
    ),
    Sample(
        "several",
        "asked-anew-and-why",
        lambda t: several_card(
            r.offered(r.seen(40, 12_000, 0), notice=answers.asked_anew(t, moved=True), asks_why=True), t
        ),
    ),
    Sample("several", "too-many", lambda t: run_proposal.too_many(61, t)),
    Sample(
        "several", "not-numbers", lambda t: run_proposal.not_numbers("40 43", t, "/copy-liquidation 40,43")
    ),
    Sample("several", "too-long", run_proposal.too_long),
    Sample(
        "several",
        "read-as-several",
        lambda t: several_card(
            r.offered(r.seen(40, 12_000, 0), notice=run_proposal.read_as_several(1234, t)), t
        ),
    ),
    Sample("whole", "new", lambda t: whole_card(w.offered(*w.NEW), t)),
    Sample("whole", "copied-before", lambda t: whole_card(w.offered(*w.CHANGED, expected_seconds=6.2), t)),
    Sample("whole", "masked-and-slow", lambda t: whole_card(w.in_all_situations(), t)),
    Sample("whole", "without-a-table", r.without(lambda t: whole_card(w.in_all_situations(), t))),
    Sample("whole", "removes-a-table", lambda t: whole_card(w.removing(), t)),
    Sample("whole", "needs-approval", lambda t: whole_card(w.needing_approval(), t)),
    Sample(
        "whole",
        "asked-anew",
        lambda t: whole_card(w.offered(*w.CHANGED, notice=answers.asked_anew(t, moved=True)), t),
    ),
    Sample("whole", "not-possible", lambda t: run_proposal.not_possible(w.TITLE, 42, w.with_a_problem(t), t)),
    Sample(
        "whole", "tables-under-way", lambda t: run_proposal.under_way(w.TITLE, 42, w.TAKEN, {17: LINK}, t)
    ),
    Sample("whole", "set-under-way", lambda t: run.set_under_way(r.SET, LINK, t)),
    Sample("whole", "several", lambda t: several_card(w.several(t), t)),
    Sample("whole", "several-without-a-table", r.without(lambda t: several_card(w.several(t), t))),
    Sample("whole", "several-too-many", lambda t: run_proposal.too_many_tables_in_all(50, 12, t)),
    Sample("whole", "unknown-set", lambda t: run_proposal.unknown_set("todo", ["completa"], t)),
    Sample(
        "whole",
        "too-many-tables",
        lambda t: run_proposal.too_many_tables(w.TITLE, "traspaso copy 42 --set completa", t),
    ),
    Sample(
        "status",
        "overview-with-a-run",
        lambda t: status.overview(
            [*r.UNDER_WAY.live, s.COPYING], [r.DONE, r.FAILED], {}, t, runs={7: r.UNDER_WAY}
        ),
    ),
    Sample("status", "mine-with-a-run", lambda t: status.of_user([*r.IN_PART.jobs], {}, t, {7: r.IN_PART})),
    Sample("home", "with-sets", lambda t: home.home(r.panel(r.SETS), {}, frozenset(), t)),
    Sample(
        "home",
        "with-sets-that-failed",
        lambda t: home.home(r.panel(r.SETS_FAILED), {}, frozenset(), t, tables=False),
    ),
    Sample("home", "with-a-run", lambda t: home.home(r.panel(r.UNDER_WAY), {}, frozenset(), t)),
    Sample(
        "home",
        "with-a-run-to-approve",
        lambda t: home.home(r.panel(r.WAITS_FOR_APPROVAL), {}, frozenset(), t),
    ),
    Sample(
        "home",
        "with-a-run-that-failed",
        lambda t: home.home(r.panel(r.IN_PART), {}, frozenset(), t, tables=False),
    ),
    # The replies in the thread
    _asking("its-requester", s.ASKS_MOVED),
    _asking("to-remove", s.ASKS_REMOVAL),
    _asking("to-remove-more", s.ASKS_SURPLUS),
    _asking("a-second-person", s.ASKS_APPROVAL),
    Sample(
        "asking", "half-of-the-time-is-over", lambda t: approval_reminder(s.APPROVAL, MessageKind.REMINDER, t)
    ),
    Sample(
        "asking", "an-hour-is-left", lambda t: approval_reminder(s.APPROVAL, MessageKind.LAST_REMINDER, t)
    ),
    Sample(
        "asking", "a-second-group", lambda t: approval_reminder(s.SECOND_ASKED, MessageKind.SECOND_GROUP, t)
    ),
    Sample("asking", "approved", lambda t: approval_reply(s.APPROVED, t)),
    Sample("asking", "approved-for-a-reason", lambda t: approval_reply(s.APPROVED_FOR_A_REASON, t)),
    Sample("ending", "completed-for-a-reason", lambda t: reply(s.COMPLETED_FOR_A_REASON, t)),
    Sample("ending", "told-in-person", lambda t: follower_message(s.COMPLETED, LINK, t)),
    Sample("ending", "told-in-person-of-a-failure", lambda t: follower_message(s.FAILED, None, t)),
    Sample("ending", "completed", lambda t: reply(s.COMPLETED, t)),
    Sample("ending", "completed-after-a-pause", lambda t: reply(s.COMPLETED_AFTER_A_PAUSE, t)),
    Sample("ending", "completed-after-a-loss", lambda t: reply(s.COMPLETED_AFTER_A_LOSS, t)),
    Sample("ending", "completed-after-both", lambda t: reply(s.COMPLETED_AFTER_BOTH, t)),
    Sample("ending", "completed-at-once", lambda t: reply(s.COMPLETED_AT_ONCE, t)),
    Sample("ending", "completed-by-row-versions", lambda t: reply(s.COMPLETED_AGAIN, t)),
    Sample("ending", "completed-moved", lambda t: reply(replace(s.COMPLETED, moved=3), t)),
    Sample("ending", "completed-after-a-long-time", _long_reply),
    Sample("ending", "completed-where-slack-takes-no-chart", lambda t: _without_new_blocks(_long_reply(t))),
    Sample("ending", "cancelled", lambda t: reply(s.CANCELLED, t)),
    Sample("ending", "cancelled-before-it-began", lambda t: reply(s.NEVER_BEGUN, t)),
    Sample("ending", "failed", lambda t: reply(s.FAILED, t)),
    Sample("ending", "rejected", lambda t: reply(s.REJECTED, t)),
    Sample("ending", "rejected-with-a-reason", lambda t: reply(s.REJECTED_FOR_A_REASON, t)),
    Sample("ending", "nobody-to-ask", lambda t: reply(s.NOBODY_TO_ASK, t)),
    Sample("ending", "approval-expired", lambda t: reply(s.EXPIRED, t)),
    # /copy-liquidation 42
    Sample("preview", "new", lambda t: proposal_card(s.offered(s.proposal(1_000_000, 0)), t)),
    Sample("preview", "surplus", lambda t: proposal_card(s.offered(s.proposal(900, 1_000)), t)),
    Sample(
        "preview",
        "estimated-without-index",
        lambda t: proposal_card(s.offered(s.proposal(9_000_000, None, exact=False, advice=True)), t),
    ),
    Sample("preview", "removes-everything", lambda t: proposal_card(s.offered(s.proposal(0, 1_000)), t)),
    Sample(
        "preview",
        "large-objects",
        lambda t: proposal_card(s.offered(s.pointing("scan", "signature")), t),
    ),
    Sample("preview", "rules", lambda t: proposal_card(s.offered(s.under_rules()), t)),
    Sample(
        "preview",
        "asked-again",
        lambda t: proposal_card(s.offered(s.proposal(1_200_000, 9), answers.asked_anew(t, moved=True)), t),
    ),
    Sample("preview", "copied-before", lambda t: proposal_card(s.offered(s.copied_before()), t)),
    Sample("preview", "known-to-the-row", lambda t: proposal_card(s.offered(s.known(3, 12, 4)), t)),
    Sample("preview", "nothing-to-write", lambda t: proposal_card(s.offered(s.known(0, 0, 0)), t)),
    Sample("preview", "capped", lambda t: proposal_card(s.offered(s.capped()), t)),
    Sample("preview", "needs-approval", lambda t: proposal_card(s.offered(s.needing_approval()), t)),
    Sample(
        "preview",
        "rows-that-move",
        lambda t: proposal_card(s.offered(s.expected_changes_of_rows_that_move()), t),
    ),
    Sample(
        "preview",
        "asks-why",
        lambda t: proposal_card(replace(s.offered(s.proposal(10, 0)), asks_why=True), t),
    ),
    # Four eyes
    Sample("approval", "asked", lambda t: answers.requested(s.APPROVAL_BY_GROUP, LINK, t)),
    Sample("approval", "approved", lambda t: question.approved(s.APPROVED, t)),
    Sample("approval", "rejected", lambda t: question.rejected(s.REJECTED, t)),
    Sample("approval", "why-rejected", lambda t: question.why_rejected(s.APPROVAL, "20 C0PAYROLL", t)),
    Sample("approval", "why-approved", lambda t: question.why_approved(s.ASKED_WHY, "C0PAYROLL 20", t)),
    Sample("approval", "not-asked-why-approved", question.not_asked_why_approved),
    Sample("approval", "not-asked-why", question.not_asked_why),
    Sample("approval", "too-late", lambda t: question.too_late(s.APPROVED, t)),
    Sample("approval", "one-s-own", lambda t: question.own_request(s.APPROVAL, t)),
    Sample("approval", "no-such", lambda t: question.no_such("99", t)),
    Sample("approval", "not-in-private", lambda t: question.not_in_private(s.TITLE, t)),
    # Stopping and freezing
    Sample("buttons", "will-be-told", lambda t: answers.will_be_told(s.COPYING, t, before=False)),
    Sample("buttons", "will-be-told-already", lambda t: answers.will_be_told(s.COPYING, t, before=True)),
    Sample("buttons", "won-t-be-told", lambda t: answers.wont_be_told(s.COPYING, t)),
    Sample("buttons", "not-yours", lambda t: answers.not_yours(s.ASKS_MOVED, t)),
    Sample("buttons", "other-numbers", lambda t: answers.stale(s.ASKS_MOVED, LINK, t)),
    Sample("buttons", "not-now", lambda t: answers.not_now(s.COMPLETED, LINK, t)),
    Sample("details", "loading", status.loading),
    Sample("details", "story", lambda t: status.details(s.COPYING, s.STORY, t)),
    Sample("details", "no-longer-kept", lambda t: status.details(s.COMPLETED, Timeline((), ()), t)),
    Sample("details", "not-shown", lambda t: answers.details_not_shown(17, t)),
    Sample("details", "unknown-job", lambda t: status.answer(answers.unknown_job(99, t), t)),
    Sample("freeze", "asks-first", lambda t: answers.freeze_all(1, 2, t)),
    Sample("freeze", "nothing-frozen", answers.not_frozen_now),
    Sample("freeze", "channel-is-told", lambda t: answers.channel_frozen(s.FREEZE, t)),
    Sample("freeze", "channel-is-told-of-the-end", lambda t: answers.channel_freeze_over(s.FREEZE, s.BOB, t)),
    Sample("freeze", "frozen-and-channel-not-told", lambda t: answers.frozen_now(0, 0, t, told=False)),
    Sample("freeze", "frozen", lambda t: answers.frozen_now(1, 2, t)),
    Sample("freeze", "still-frozen", lambda t: answers.still_frozen(s.FREEZE, t)),
    Sample("freeze", "refused", lambda t: answers.refused_because_frozen(s.FREEZE, t)),
    Sample("freeze", "lifted", lambda t: answers.lifted(s.FREEZE, 2, t)),
    Sample("freeze", "lifted-and-nobody-works", lambda t: answers.lifted(s.FREEZE, 2, t, s.NO_WORKER)),
    Sample("freeze", "not-frozen", answers.not_frozen),
    Sample("freeze", "frozen-until", lambda t: answers.frozen_now(1, 0, t, until=s.FREEZE_UNTIL.until)),
    Sample("freeze", "channel-is-told-until", lambda t: answers.channel_frozen(s.FREEZE_UNTIL, t)),
    Sample(
        "freeze",
        "channel-is-told-that-it-is-over",
        lambda t: answers.channel_freeze_over(s.FREEZE_UNTIL, None, t),
    ),
    Sample("freeze", "refused-in-a-window", lambda t: answers.refused_because_frozen(s.WINDOW, t)),
    Sample("freeze", "lifted-in-a-window", lambda t: answers.lifted(s.FREEZE, 0, t, still=s.WINDOW)),
    Sample("freeze", "nobody-s-but-a-window", lambda t: answers.not_frozen(t, s.WINDOW)),
    Sample("freeze", "no-end", lambda t: answers.no_end("until late", t)),
    Sample("freeze", "help", answers.freeze_help),
    Sample("freeze", "no-reason", lambda t: answers.no_reason("42", t, None)),
    Sample(
        "freeze", "no-reason-but-nearly-a-command", lambda t: answers.no_reason("of", t, "/copy-freeze off")
    ),
    # Answers to what was typed or pressed
    Sample("answers", "help", lambda t: answers.help_text(help_lines(["items", "notes"], t), GROUPS, t)),
    Sample(
        "answers",
        "help-with-sets",
        lambda t: answers.help_text(help_lines([*w.NAMES], t, ["completa"]), GROUPS, t),
    ),
    Sample("answers", "requested", lambda t: answers.requested(s.QUEUED, LINK, t)),
    Sample("answers", "requested-for-later", lambda t: answers.requested(s.LATER, LINK, t)),
    Sample("answers", "requested-and-running", lambda t: answers.requested(s.COUNTING, LINK, t)),
    Sample("answers", "requested-without-a-card-yet", lambda t: answers.requested(s.NO_CARD_YET, None, t)),
    Sample("answers", "requested-and-nobody-works", lambda t: answers.requested(s.NOBODY_WORKS, LINK, t)),
    Sample("answers", "requested-and-nothing-more-known", lambda t: answers.requested_blindly(18, t)),
    Sample("answers", "done-and-nothing-more-known", lambda t: answers.done_blindly(18, t)),
    Sample("answers", "cancelled", answers.cancelled),
    Sample("answers", "running-already", lambda t: answers.running_already(s.COPYING, LINK, t)),
    Sample("answers", "waiting-already", lambda t: answers.running_already(s.NOBODY_WORKS, LINK, t)),
    Sample("answers", "pressed-before", lambda t: answers.pressed_before(s.COMPLETED, LINK, t)),
    Sample("answers", "at-capacity", lambda t: answers.at_capacity(True, t)),
    Sample("answers", "at-capacity-of-all", lambda t: answers.at_capacity(False, t)),
    Sample("answers", "number-missing", answers.number_missing),
    Sample("answers", "not-a-number", lambda t: answers.not_a_number("4e1", t)),
    Sample("answers", "several-numbers", lambda t: answers.one_at_a_time(42, t)),
    Sample("answers", "number-too-long", lambda t: answers.not_a_number("9" * 19, t)),
    Sample("answers", "too-many-words", answers.too_many_words),
    Sample("answers", "copy-not-configured", lambda t: answers.copy_not_configured(s.COPYING, t)),
    Sample("answers", "unknown-copy", lambda t: answers.unknown_copy("itms", ["items", "notes"], t)),
    Sample(
        "answers",
        "unknown-liquidation",
        lambda t: answers.unknown_liquidation("notes", 4242, "public.liquidations", t),
    ),
    Sample("answers", "no-rows-anywhere", lambda t: answers.unknown_liquidation("notes", 4242, None, t)),
    Sample("answers", "empty-liquidation", lambda t: answers.empty_liquidation(s.TITLE, 50, "Vacaciones", t)),
    Sample("answers", "refused", lambda t: answers.refused("/copy-liquidation", GROUPS, t)),
    Sample("answers", "refused-without-groups", lambda t: answers.refused("/copy-liquidation", [], t)),
    Sample("answers", "cannot-check", lambda t: answers.cannot_check("plan_upgrade_required", t)),
    Sample("answers", "incident", lambda t: answers.incident("0a1b2c3d", t)),
    # /copy-status
    Sample("status", "nothing-yet", lambda t: status.overview([], [], {}, t)),
    Sample(
        "status",
        "overview",
        lambda t: status.overview([s.COPYING, s.QUEUED, s.BEHIND], s.LATEST, s.LINKS, t),
    ),
    Sample(
        "status",
        "overview-and-nobody-works",
        lambda t: status.overview([s.NOBODY_WORKS, s.BEHIND_NOBODY], s.LATEST, s.LINKS, t, s.NO_WORKER),
    ),
    Sample("status", "job", lambda t: status.detail(s.COPYING, LINK, t)),
    Sample(
        "status",
        "overview-with-questions",
        lambda t: status.overview([s.ASKS_MOVED, s.ASKS_APPROVAL, s.BEHIND], [], s.LINKS, t),
    ),
    Sample(
        "status",
        "overview-with-a-schedule",
        lambda t: status.overview([s.LATER], [], s.LINKS, t, coming=s.COMING),
    ),
    Sample("status", "unknown-job", lambda t: answers.unknown_job(99, t)),
    Sample("status", "liquidation", lambda t: status.of_liquidation(42, s.HISTORY, s.LINKS, t)),
    Sample(
        "status",
        "liquidation-and-what-consulta-holds",
        lambda t: status.of_liquidation(42, s.HISTORY, s.LINKS, t, held=s.HELD, titles=s.TITLES),
    ),
    Sample(
        "status",
        "liquidation-whose-jobs-are-gone",
        lambda t: status.of_liquidation(42, [], {}, t, held=s.HELD[:1], titles=s.TITLES),
    ),
    Sample("status", "job-of-a-set", lambda t: status.detail(r.SET.jobs[1], None, t, r.SET)),
    Sample(
        "status",
        "liquidation-copied-as-a-set",
        lambda t: status.of_liquidation(
            42,
            list(r.SET.jobs),
            {},
            t,
            held=(s.HELD_OF_SET,),
            titles=s.TITLES_OF_SET,
            runs={r.SET.id: r.SET},
        ),
    ),
    *(
        Sample(
            "status",
            f"liquidation-whose-set-{name}",
            lambda t, held=held: status.of_liquidation(  # type: ignore[misc]
                42, [], {}, t, held=(held,), titles=s.TITLES_OF_SET
            ),
        )
        for name, held in (
            ("has-moved-on", s.MOVED_SET),
            ("is-being-copied", s.COPYING_SET),
            ("is-incomplete", s.BROKEN_SET),
            ("is-not-whole", s.MIXED_SET),
        )
    ),
    Sample("status", "liquidation-never-copied", lambda t: status.of_liquidation(42, [], {}, t)),
    Sample("status", "mine", lambda t: status.of_user(s.LATEST, s.LINKS, t)),
    Sample("status", "mine-none", lambda t: status.of_user([], {}, t)),
    Sample("status", "usage", lambda t: status.usage("yesterday", t)),
    # /copy-verify 42
    Sample("verify", "comparing", lambda t: verification.comparing(s.ITEMS, 42, t)),
    Sample("verify", "waiting", lambda t: verification.waiting(s.ITEMS, 42, 2, t)),
    Sample("verify", "same", lambda t: verification.same(s.ITEMS, 42, t)),
    Sample("verify", "cancelled", lambda t: verification.cancelled(s.TITLE, 42, t)),
    Sample("verify", "too-many-of-one", lambda t: verification.too_many(3, t, is_ones_own=True)),
    Sample("verify", "too-many", lambda t: verification.too_many(10, t, is_ones_own=False)),
    Sample("verify", "agrees", lambda t: verification.result(s.verification(0), t)),
    Sample("verify", "differs", lambda t: verification.result(s.verification(3), t)),
    Sample("verify", "differs-in-many", lambda t: verification.result(s.verification(15), t)),
    Sample("verify", "unknown", lambda t: verification.result(s.empty_verification(False), t)),
    Sample(
        "verify", "no-rows-and-no-catalogue", lambda t: verification.result(s.empty_verification(None), t)
    ),
    Sample("verify", "known-and-empty", lambda t: verification.result(s.empty_verification(True), t)),
    Sample("verify", "rows-without-a-key", lambda t: verification.result(s.hidden_verification(), t)),
    Sample("verify", "interrupted", lambda t: verification.interrupted(s.TITLE, 42, t)),
    # /copy-verify 42, where that is a set
    Sample("verify", "set-comparing", lambda t: verification.comparing(s.COMPLETA, 42, t)),
    Sample("verify", "set-is-the-same", lambda t: verification.result(s.set_verification(), t)),
    Sample(
        "verify",
        "set-differs",
        lambda t: verification.result(
            s.set_verification(apart={"lines": Counts(3, 12, 1), "deductions": Counts(updated=1)}), t
        ),
    ),
    Sample(
        "verify",
        "set-with-a-table-missing",
        lambda t: verification.result(s.set_verification(refused=s.NO_DEDUCTIONS), t),
    ),
    Sample(
        "verify",
        "set-differs-with-a-table-missing",
        lambda t: verification.result(
            s.set_verification(apart={"lines": Counts(inserted=96_000)}, refused=s.NO_DEDUCTIONS), t
        ),
    ),
    Sample(
        "verify",
        "set-not-compared",
        lambda t: verification.result(s.set_verification(refused=s.NO_TABLE), t),
    ),
    Sample(
        "verify",
        "set-where-slack-takes-no-table",
        lambda t: _without_new_blocks(
            verification.result(s.set_verification(apart={"lines": Counts(3, 12, 1)}), t)
        ),
    ),
    Sample("verify", "set-without-rows", lambda t: verification.result(s.empty_set_verification(), t)),
    # The receipts of a month
    Sample("audit", "sent", lambda t: receipts.sent("2026-11", 48, t, is_cut=False)),
    Sample("audit", "sent-the-newest", lambda t: receipts.sent("2026", 10_000, t, is_cut=True)),
    Sample("audit", "beside-the-file", lambda t: sentence(receipts.comment("2026-11", 48, s.RECEIPT, t))),
    Sample("audit", "nothing-ended", lambda t: receipts.nothing_ended("2026-11", t)),
    Sample("audit", "no-month", lambda t: receipts.no_period("novimebre", t)),
    Sample("audit", "not-sent", lambda t: receipts.not_sent("internal_error", t)),
    Sample("audit", "no-scope", lambda t: receipts.not_sent("missing_scope", t)),
    # Told elsewhere
    _told("completed", s.COMPLETED, Occasion.COMPLETED),
    _told("completed-after-both", s.COMPLETED_AFTER_BOTH, Occasion.COMPLETED),
    _told("completed-for-a-reason", s.COMPLETED_FOR_A_REASON, Occasion.COMPLETED),
    _told("failed", s.FAILED, Occasion.FAILED),
    _told("cancelled", s.CANCELLED, Occasion.CANCELLED),
    _told("rejected-with-a-reason", s.REJECTED_FOR_A_REASON, Occasion.CANCELLED),
    _told("waits-for-approval", s.APPROVAL, Occasion.APPROVAL),
    _told("asks-again-for-approval", s.ASKS_APPROVAL, Occasion.APPROVAL),
    _told_of_run("several-completed", r.COMPLETED, Occasion.COMPLETED),
    _told_of_run("several-failed-in-part", r.IN_PART, Occasion.FAILED),
    _told_of_run("several-cancelled", r.CANCELLED_ALL, Occasion.CANCELLED),
    _told_of_run("several-wait-for-approval", r.WAITS_FOR_APPROVAL, Occasion.APPROVAL),
    _told_of_run("sets-failed-in-part", r.SETS_FAILED, Occasion.FAILED),
    _told_of_run("set-completed", r.SET_COMPLETED, Occasion.COMPLETED),
    Sample("notification", "no-worker", lambda t: notification.no_worker(s.NOW, t)),
    Sample("notification", "never-a-worker", lambda t: notification.no_worker(None, t)),
    Sample("notification", "worker-back", lambda t: notification.worker_back(s.NOW, t)),
    Sample("notification", "test", notification.trial),
    Sample("notification", "drift", lambda t: notification.drift(s.TITLE, s.DRIFT, t)),
    Sample("notification", "missed-schedule", lambda t: notification.missed_schedule(s.TITLE, NAMES, t)),
    # The watch
    _watched("one-has-moved-on", s.ONE_MOVED),
    _watched("many-have-moved-on", s.MANY_MOVED),
    _watched("a-set-has-moved-on", s.SETS_MOVED),
    # App Home
    Sample("home", "nothing-yet", lambda t: home.home(s.home_view(latest=False), {}, frozenset(), t)),
    Sample(
        "home",
        "busy-and-frozen",
        lambda t: home.home(
            s.home_view(s.COPYING, s.BEHIND, s.APPROVAL, frozen=True), s.LINKS, frozenset(), t
        ),
    ),
    Sample(
        "home",
        "filtered",
        lambda t: home.home(
            s.home_view(filters=HomeFilters(Status.FAILED, "U0BOB")), s.LINKS, frozenset(), t
        ),
    ),
    Sample(
        "home",
        "where-slack-takes-no-table",
        lambda t: home.home(s.home_view(), s.LINKS, frozenset(), t, tables=False),
    ),
    Sample(
        "home",
        "not-ours-to-approve",
        lambda t: home.home(s.home_view(s.APPROVAL_BY_GROUP), s.LINKS, frozenset({"items"}), t),
    ),
    Sample(
        "home",
        "asked-again",
        lambda t: home.home(s.home_view(s.ASKS_MOVED, s.ASKS_APPROVAL), s.LINKS, frozenset(), t),
    ),
    Sample(
        "home",
        "nobody-works",
        lambda t: home.home(
            replace(s.home_view(s.NOBODY_WORKS), no_worker=s.NO_WORKER), s.LINKS, frozenset(), t
        ),
    ),
    Sample(
        "home",
        "next-by-the-clock",
        lambda t: home.home(
            replace(s.home_view(s.LATER), coming=s.COMING, window=s.NEXT_WINDOW, freeze=s.WINDOW),
            s.LINKS,
            frozenset(),
            t,
        ),
    ),
    Sample(
        "home",
        "prod-has-moved-on",
        lambda t: home.home(
            replace(s.home_view(), watched=s.ONE_MOVED, titles=s.TITLES), s.LINKS, frozenset(), t
        ),
    ),
    Sample(
        "home",
        "prod-has-moved-on-from-a-set",
        lambda t: home.home(
            replace(s.home_view(), watched=s.SETS_MOVED, titles=s.TITLES | s.TITLES_OF_SET),
            s.LINKS,
            frozenset(),
            t,
        ),
    ),
    Sample("home", "refused", lambda t: home.refused(GROUPS, t)),
    Sample("home", "cannot-check", lambda t: home.cannot_check("internal_error", t)),
    Sample(
        "home", "problem", lambda t: home.problem(explained(Failure("connection", "", side="consulta"), t), t)
    ),
    # The modal
    Sample("modal", "wait", lambda t: proposal.wait(t("One moment…"), t)),
    Sample(
        "modal",
        "choose",
        lambda t: proposal.choose(
            Carried("C0PAYROLL"), {"items": s.TITLE, "notes": "notes"}, has_catalogue=True, t=t
        ),
    ),
    Sample(
        "modal",
        "choose-from-home-without-catalogue",
        lambda t: proposal.choose(Carried(asks_channel=True), {"items": s.TITLE}, has_catalogue=False, t=t),
    ),
    Sample(
        "modal",
        "preview",
        lambda t: proposal.preview(s.offered(s.proposal(1_000_000, 0)), Carried("C0PAYROLL"), t),
    ),
    Sample(
        "modal",
        "choose-a-set",
        lambda t: proposal.choose(
            Carried(channel="C0PAYROLL"),
            {"completa": run_proposal.choice(w.TITLE, 4, t), **w.NAMES},
            has_catalogue=True,
            t=t,
        ),
    ),
    Sample(
        "modal",
        "preview-of-a-set",
        lambda t: run_proposal.whole_preview(w.in_all_situations(), Carried("C0PAYROLL"), t),
    ),
    Sample(
        "modal",
        "preview-of-a-set-that-removes",
        lambda t: run_proposal.whole_preview(w.removing(), Carried("C0PAYROLL"), t),
    ),
    Sample(
        "modal",
        "preview-needs-approval",
        lambda t: proposal.preview(s.offered(s.needing_approval()), Carried("C0PAYROLL"), t),
    ),
    Sample(
        "modal",
        "preview-removes-everything",
        lambda t: proposal.preview(s.offered(s.proposal(0, 9)), Carried("C0PAYROLL"), t),
    ),
    Sample(
        "modal",
        "preview-asks-why",
        lambda t: proposal.preview(
            replace(s.offered(s.proposal(10, 0)), asks_why=True, notice=proposal.why_missing(t)),
            Carried("C0PAYROLL"),
            t,
        ),
    ),
    Sample(
        "modal",
        "later-for-several",
        lambda t: proposal.later_for_run(of_liquidations(s.TITLE, [40, 41, 42], t), "several C0 x", s.NOW, t),
    ),
    Sample(
        "modal",
        "later-for-a-set-and-why",
        lambda t: proposal.later_for_run(
            of_liquidation("Liquidación completa", 42, t), "whole C0 x", s.NOW, t, why="Corrección de octubre"
        ),
    ),
    Sample(
        "modal",
        "later",
        lambda t: proposal.later(
            s.offered(s.proposal(1_000_000, 9)).offer, s.TITLE, s.ago(-6 * 3600), Carried("C0PAYROLL"), t
        ),
    ),
    Sample(
        "modal",
        "later-removes-everything",
        lambda t: proposal.later(
            replace(s.OFFER, in_prod=0, in_consulta=9),
            s.TITLE,
            s.ago(-6 * 3600),
            Carried("C0PAYROLL"),
            t,
        ),
    ),
    # Schedules
    _fired("missed", s.firing(FiringState.MISSED)),
    _fired("missed-often", s.firing(FiringState.MISSED, missed_before=3)),
    _fired("not-permitted", s.firing(FiringState.REFUSED)),
    _fired("frozen", s.firing(FiringState.FROZEN)),
    _fired("permission-not-known", s.firing(FiringState.FAILED, reason="permission_not_known")),
    _fired("prod-away", s.firing(FiringState.FAILED, reason="connection", error=s.PROD_LOST)),
    _fired("in-part", s.FIRED_IN_PART),
    Sample("modal", "not-shown", proposal.not_shown),
    Sample("modal", "started", lambda t: proposal.result(answers.requested(s.QUEUED, LINK, t), t)),
    # What each failure means
    *(_failure(code) for code in WORDS),
]
