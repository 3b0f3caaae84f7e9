"""``/copy-status``: what runs and the latest jobs, one job, the past of a liquidation or of one's own.

/copy-status   /copy-status 17   /copy-status liquidation 42   /copy-status mine
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.commands import parsing
from bot.commands.conversation import BotParts, Callers, Guard
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.i18n import Translator
from bot.jobs.freshness import FreshnessReader
from bot.jobs.models import RunKind
from bot.jobs.repository import JobHistory, JobRepository
from bot.jobs.schedules import Calendar
from bot.messages import answers, status
from bot.messages.blocks import STATUS_COMMAND, Message
from bot.slack.card_publisher import CardPublisher

if TYPE_CHECKING:
    from slack_bolt import Ack, App


MINE_WORDS = ("mine", "mías", "mias", "míos", "mios")


def help_lines(names: list[str], t: Translator) -> HelpLines:
    liquidation, mine = t("liquidation"), t("mine")
    return [
        (STATUS_COMMAND, t("what runs, and the latest jobs")),
        (f"{STATUS_COMMAND} 17", t("one job")),
        (f"{STATUS_COMMAND} {liquidation} 42", t("the history of a liquidation")),
        (f"{STATUS_COMMAND} {mine}", t("what you asked for")),
    ]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyStatus(
        parts.guard,
        parts.callers,
        parts.store,
        parts.history,
        parts.card_publisher,
        calendar=Calendar(parts.guard.file),
        held=FreshnessReader(parts.tracking),
    )
    app.command(STATUS_COMMAND)(conversation.command)


class CopyStatus:
    """Reads rows; asks nothing of prod and changes nothing.

    For whoever may run any copy, because one's own may wait behind any other; it says what the cards say.
    """

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        store: JobRepository,
        history: JobHistory,
        card_publisher: CardPublisher,
        *,
        calendar: Calendar,
        held: FreshnessReader,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._store = store
        self._history = history
        self._card_publisher = card_publisher
        self._calendar = calendar
        self._held = held

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        text = str(body.get("text") or "")
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller.user_id, caller.t))

    def _answer_to(self, text: str, user_id: str, t: Translator) -> Message:
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        if refusal := self._guard.refusal_to_use(STATUS_COMMAND, user_id, t):
            return refusal
        match [word.lower() for word in parsing.words(text)]:
            case []:
                live, latest = self._store.live(), self._store.latest()
                links = self._card_publisher.links([*live[: status.SHOWN], *latest])
                coming = self._calendar.next_firings(datetime.now(UTC), 1)
                runs = self._store.runs_of([*live, *latest])
                none = self._store.no_worker()
                return status.overview(live, latest, links, t, none, coming=coming, runs=runs)
            case [word] if word in MINE_WORDS:
                jobs = self._history.of_user(user_id)
                runs = self._store.runs_of(jobs)
                return status.of_user(jobs, self._card_publisher.links(jobs), t, runs)
            case [word, number] if word in parsing.LIQUIDATION_WORDS:
                return self._liquidation(number, t)
            case [number]:
                return self._job(number, t)
            case _:
                return self._usage(parsing.words(text), t)

    def _usage(self, words: list[str], t: Translator) -> Message:
        suggestion = parsing.suggestion(words, self._guard.copy_names, STATUS_COMMAND)
        return status.usage(" ".join(words), t, suggestion)

    def _liquidation(self, word: str, t: Translator) -> Message:
        liquidation_id = parsing.number(word)
        command = f"{STATUS_COMMAND} {status.liquidation_word(t)}"
        if len(numbers := parsing.numbers_in([word])) > 1:
            return answers.one_at_a_time(numbers[0], t, command=command)
        if liquidation_id is None:
            return answers.not_a_number(word, t, command=command)
        jobs = self._history.of_liquidation(liquidation_id)
        held, links = self._held.of_liquidation(liquidation_id), self._card_publisher.links(jobs)
        return status.of_liquidation(
            liquidation_id,
            jobs,
            links,
            t,
            held=held,
            titles=self._guard.file.titles,
            runs=self._store.runs_of(jobs),
        )

    def _job(self, word: str, t: Translator) -> Message:
        job_id = parsing.number(word)
        if job_id is None:
            return self._usage([word], t)
        job = self._store.job(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        run = self._store.run(job.run_id) if job.run_id is not None else None
        of_set = run if run is not None and run.kind is RunKind.SET else None
        return status.detail(job, self._card_publisher.link(job), t, of_set)


register(
    SlashCommand(
        name=STATUS_COMMAND,
        example="17",
        arguments=Arguments.JOB,
        help=help_lines,
        connect=connect,
        aliases={"status": "", "estado": "", **{word: word for word in MINE_WORDS}},
        place=2,
    )
)
