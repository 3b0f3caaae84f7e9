"""App Home, the panel: what runs, what is frozen, what waits for approval, and the latest copies."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.models import Status
from bot.jobs.view import HomeFilters, HomeView, JobView, RunView, together
from bot.messages import answers, freshness, question, run
from bot.messages.answers import how_to_lift
from bot.messages.blocks import (
    COPY_COMMAND,
    Block,
    View,
    actions,
    at,
    bar,
    button,
    code,
    context,
    copied,
    frozen_since,
    header,
    mention,
    menu,
    nobody_works,
    option,
    requester,
    section,
)
from bot.messages.card import progress
from bot.messages.failure_texts import Explained
from bot.messages.question import approval_buttons, possible_approvers
from bot.messages.schedules import next_line, window_line
from bot.messages.status import ended_line, jobs_table, named, run_link, waits_for

NEW_ACTION = "home.new"
STATUS_ACTION = "home.status"
WHO_ACTION = "home.who"
FILTERS_BLOCK = "home.filters"

ALL, MINE = "all", "mine"
ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

#: More jobs than this of one kind are counted, not listed.
SHOWN = 15
#: So many lines fit into one section, however long their names are.
TOGETHER = 5


def home(
    seen: HomeView, links: dict[int, str], not_theirs: frozenset[str], t: Translator, *, tables: bool = True
) -> View:
    """The whole panel; ``links`` lead to the cards, ``not_theirs`` are copies that its reader may not run.

    ``tables`` is False where Slack takes no table here: the latest copies are lines then.
    """
    blocks = [header(t("Copies from prod to consulta"))]
    if seen.freeze:
        blocks += [section(f"🧊 {frozen_since(seen.freeze, t)}"), context(how_to_lift(t, seen.freeze))]
    if seen.no_worker:
        blocks.append(section(f"⚠️ {nobody_works(seen.no_worker, t)}"))
    blocks.append(actions(button(t("New copy"), NEW_ACTION, "new", style="primary")))
    blocks += _under_way(seen, links, t)
    blocks += _approvals(seen, links, not_theirs, t)
    blocks += _moved_on(seen, t)
    blocks += _coming(seen, t)
    blocks += _latest(seen, links, t, tables=tables)
    return _view(blocks)


def linked(seen: HomeView) -> list[JobView]:
    """The jobs that the panel lists: those whose cards it leads to."""
    return [*seen.under_way[:SHOWN], *seen.waiting_for_approval[:SHOWN], *seen.latest]


def refused(groups: list[str], t: Translator) -> View:
    """To somebody who may run no copy: whom to ask."""
    message = answers.refused(COPY_COMMAND, groups, t)
    return _view([header(t("Copies from prod to consulta")), *message.blocks])


def cannot_check(reason: str, t: Translator) -> View:
    """Slack didn't say who is in the groups, so nothing is shown."""
    words = t("I can't check your permission now, so nothing is shown.")
    hint = t("Slack answered {reason}. Try again, or tell whoever runs Traspaso.", reason=code(reason))
    return _view([header(t("Copies from prod to consulta")), section(words), context(hint)])


def problem(words: Explained, t: Translator) -> View:
    """Consulta can't be asked: what happened and what to do."""
    return _view([header(t("Copies from prod to consulta")), section(words.what), context(words.step)])


def _under_way(seen: HomeView, links: dict[int, str], t: Translator) -> list[Block]:
    jobs = list(seen.under_way)
    blocks = [_title(t("Running and waiting"))]
    if not jobs:
        return [*blocks, section(t("Nothing is running."))]
    entries = together(jobs, seen.runs)
    for job in entries[:SHOWN]:
        if isinstance(job, RunView):
            blocks.append(section(run.entry(job, run_link(job, links), t)))
            continue
        shown = f"{bar(job.fraction or 0.0)} {progress(job, t)}"
        blocks.append(section(f"{_name(job, links, t)}\n{shown}\n{waits_for(job, jobs, t)}"))
    return [*blocks, *_more(len(entries), t)]


def _approvals(
    seen: HomeView, links: dict[int, str], not_theirs: frozenset[str], t: Translator
) -> list[Block]:
    jobs = seen.waiting_for_approval
    if not jobs:
        return []
    blocks = [_title(t("Waiting for approval"))]
    entries = together(jobs, seen.runs)
    for job in entries[:SHOWN]:
        if isinstance(job, RunView):
            blocks += _approval_of_run(job, seen, links, not_theirs, t)
            continue
        asked = t("Requested by {user}", user=mention(requester(job)))
        if job.approval_until is not None:
            asked += " · " + t("until {moment}", moment=at(job.approval_until, t))
        blocks.append(section(f"{_name(job, links, t)}\n{question.request_text(job, t)}\n{asked}"))
        if job.requester_id == seen.reader_id:
            blocks.append(context(t("Somebody else has to approve it.")))
        elif job.copy_name in not_theirs:
            blocks.append(context(possible_approvers(job, t)))
        else:
            blocks.append(actions(*approval_buttons(job, t)))
    return [*blocks, *_more(len(entries), t)]


def _approval_of_run(
    found: RunView, seen: HomeView, links: dict[int, str], not_theirs: frozenset[str], t: Translator
) -> list[Block]:
    """What waits of a run is answered with one press."""
    waiting = found.waiting_for_approval
    blocks = [section(run.entry(found, run_link(found, links), t))]
    if found.requester.id == seen.reader_id:
        return [*blocks, context(t("Somebody else has to approve it."))]
    if any(job.copy_name in not_theirs for job in waiting):
        return [*blocks, context(possible_approvers(waiting[0], t))]
    return [*blocks, actions(*run.approval_buttons(found, t))]


def _moved_on(seen: HomeView, t: Translator) -> list[Block]:
    """What the watch knows, where there is one."""
    if not seen.watched:
        return []
    lines = freshness.of_watch(seen.watched, seen.titles, t)
    parts = range(0, len(lines), TOGETHER)
    blocks = [_title(t("What the watch knows"))]
    blocks += [section("\n".join(lines[at : at + TOGETHER])) for at in parts]
    small = [freshness.summary(seen.watched, t), freshness.how_to_copy(t) if lines else ""]
    return [*blocks, context(*small)]


def _coming(seen: HomeView, t: Translator) -> list[Block]:
    """What the configuration has begin by itself."""
    lines = [f"🗓️ {next_line(each, t)}" for each in seen.coming]
    if seen.window is not None:
        lines.append(f"🧊 {window_line(seen.window, t)}")
    return [_title(t("Next by the clock")), section("\n".join(lines))] if lines else []


def _latest(seen: HomeView, links: dict[int, str], t: Translator, *, tables: bool) -> list[Block]:
    words = {
        Status.COMPLETED: t("Only completed"),
        Status.FAILED: t("Only failed"),
        Status.CANCELLED: t("Only cancelled"),
    }
    states = [option(t("Every state"), ALL), *(option(words[each], each.value) for each in ENDED)]
    people = [option(t("By everybody"), ALL), option(t("Only mine"), MINE)]
    filters = seen.filters
    blocks = [
        _title(t("Latest")),
        actions(
            menu(STATUS_ACTION, states, filters.status.value if filters.status else ALL),
            menu(WHO_ACTION, people, MINE if filters.user_id else ALL),
            block_id=FILTERS_BLOCK,
        ),
    ]
    if not seen.latest:
        return [*blocks, section(t("No copy yet that fits."))]
    for found in seen.runs.values():
        if found.failed and not found.is_live:
            blocks += run.failed_entry(found, run_link(found, links), t)
    if tables:
        return [*blocks, jobs_table(list(seen.latest), links, t, seen.runs)]
    entries = together(seen.latest, seen.runs)
    lines = [
        run.short_entry(each, run_link(each, links), t)
        if isinstance(each, RunView)
        else ended_line(each, links, t)
        for each in entries
    ]
    parts = range(0, len(lines), TOGETHER)
    return [*blocks, *(section("\n".join(lines[at : at + TOGETHER])) for at in parts)]


def filters_of(status: str, who: str, reader_id: str) -> HomeFilters:
    """The filters that the values of both menus stand for; what isn't one of them filters nothing."""
    known = next((each for each in ENDED if each.value == status), None)
    return HomeFilters(status=known, user_id=reader_id if who == MINE else None)


def _name(job: JobView, links: dict[int, str], t: Translator) -> str:
    return named(job, f"*{copied(job, t)}*", links, t)


def _title(words: str) -> Block:
    return section(f"*{words}*")


def _more(n: int, t: Translator) -> list[Block]:
    return [context(t.plural("and {n} more", "and {n} more", n - SHOWN))] if n > SHOWN else []


def _view(blocks: list[Block]) -> View:
    return {"type": "home", "blocks": blocks}
