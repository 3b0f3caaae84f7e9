"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, and writes nothing.

`VerificationRunner` runs two comparisons at a time, in threads of their own: no listener waits. When the
process ends they are broken off between two parts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, or_problem
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.config import SIDES, CopySection
from bot.i18n import Translator
from bot.jobs.repository import JobRepository
from bot.jobs.status import Status
from bot.messages import answers, verification
from bot.messages.blocks import VERIFY_COMMAND, Message
from bot.messages.verification import VerificationResult
from bot.slack.card_publisher import CardPublisher
from copier import Catalogue, Comparison, Copy, Limits, is_known

if TYPE_CHECKING:
    from slack_bolt import Ack, App


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [(f"{VERIFY_COMMAND} 42", t("compares both sides now, and writes nothing"))]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyVerify(
        parts.guard, parts.callers, parts.store, parts.card_publisher, parts.verifications
    )
    app.command(VERIFY_COMMAND)(conversation.command)


class CopyVerify:
    """The conversation from the command to the verification result."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        store: JobRepository,
        card_publisher: CardPublisher,
        verifications: VerificationRunner,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._store = store
        self._card_publisher = card_publisher
        self._verifications = verifications

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        caller = self._callers.of(body)
        caller.answer(lambda: self._answer_to(str(body.get("text") or ""), caller))

    def _answer_to(self, text: str, caller: Caller) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        t, user_id, names = caller.t, caller.user_id, self._guard.copy_names
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t, VERIFY_COMMAND)
        if len(numbers := parsing.numbers_in(words)) > 1:
            return answers.one_at_a_time(numbers[0], t, command=VERIFY_COMMAND)
        suggestion = parsing.suggestion(words, names, VERIFY_COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, suggestion, command=VERIFY_COMMAND)
        if len(words) > 2:
            return answers.too_many_words(t, suggestion, command=VERIFY_COMMAND)
        copy = self._guard.chosen_copy(VERIFY_COMMAND, words[1] if len(words) == 2 else None, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{VERIFY_COMMAND} {words[0]} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        if refusal := self._guard.refusal_to_run(VERIFY_COMMAND, user_id, copy, t):
            return refusal
        live = self._store.live_job(str(copy.target_table), liquidation_id)
        if live is not None and live.status is Status.RUNNING:
            return answers.running_already(live, self._card_publisher.link(live), t)
        self._begin(copy, liquidation_id, caller)
        return None

    def _begin(self, copy: CopySection, liquidation_id: int, caller: Caller) -> None:
        reply, t = caller.reply, caller.t
        ahead = self._verifications.ahead()

        def verify() -> Message:
            try:
                return verification.verdict(self._verifications.verify(copy, liquidation_id), t)
            except Interrupted:
                return verification.interrupted(copy.shown, liquidation_id, t)

        def work() -> None:
            if ahead:
                reply.say(verification.comparing(copy.shown, liquidation_id, t), replace=True)
            reply.say(or_problem(verify, t), replace=True)

        # Said before the work begins, so that the result can't be overtaken by it.
        if ahead:
            reply.say(verification.waiting(copy.shown, liquidation_id, ahead, t))
        else:
            reply.say(verification.comparing(copy.shown, liquidation_id, t))
        self._verifications.begin(work)


register(
    SlashCommand(
        name=VERIFY_COMMAND,
        example="42",
        arguments=Arguments.LIQUIDATION,
        help=help_lines,
        connect=connect,
        aliases={"verify": "", "verificar": "", "compare": "", "comparar": ""},
        place=3,
    )
)


# ----------------------------------------------------------------------------
# The runner


log = logging.getLogger(__name__)

#: Verifications that run at once in this process.
AT_ONCE = 2


class Interrupted(Exception):
    """The process ends; the comparison has no result."""


class VerificationRunner:
    """Runs what `begin` is given, two at a time and the rest in the order in which they came."""

    def __init__(
        self, prod: Engine, consulta: Engine, limits: Limits, catalogue: Catalogue | None = None
    ) -> None:
        self._prod = prod
        self._consulta = consulta
        self._limits = limits
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._taken = 0
        self._over = threading.Event()
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Not an executor's threads, which the process would wait for however long a server takes.
        self._threads = [
            threading.Thread(target=self._run, name=f"verification-{number}", daemon=True)
            for number in range(AT_ONCE)
        ]

    def ahead(self) -> int:
        """How many are before one that is begun now; zero where it wouldn't have to wait."""
        with self._lock:
            return self._taken if self._taken >= AT_ONCE else 0

    def begin(self, work: Callable[[], None]) -> None:
        """Runs ``work``, which calls `verify` and handles what that raises, as soon as there is room.

        After `stop` it is run at once, by the caller: `verify` raises Interrupted then.
        """
        with self._lock:
            is_over = self._over.is_set()
            if not is_over:
                self._taken += 1
                for thread in self._threads:
                    if thread.ident is None:
                        thread.start()
                self._waiting.put(work)
        if is_over:
            work()

    def verify(self, copy: CopySection, liquidation_id: int) -> VerificationResult:
        """Compares both sides now.

        Raises:
            Interrupted: the process ends.
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached.
        """
        if self._over.is_set():
            raise Interrupted
        began = time.monotonic()
        comparisons: list[Comparison] = []
        with Copy(
            self._prod,
            self._consulta,
            copy.spec,
            liquidation_id,
            names=SIDES,
            limits=self._limits,
            label="traspaso verify",
            on_silence=self._may_wait,
        ) as both:
            as_of = both.plan().as_of
            proof = both.verify(on_comparison=comparisons.append, should_stop=self._over.is_set)
            if proof is None:
                raise Interrupted
        known = None
        if proof.is_empty and self._catalogue is not None:
            known = is_known(self._prod, self._catalogue, liquidation_id, names=SIDES)
        return VerificationResult(
            liquidation_id=liquidation_id,
            copy_name=copy.name,
            copy_title=copy.shown,
            proof=proof,
            parts=len(comparisons),
            as_of=as_of,
            seconds=time.monotonic() - began,
            known=known,
        )

    def _may_wait(self, silent: float) -> None:
        """Asked while a side is silent."""
        if self._over.is_set():
            raise Interrupted

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Breaks off what runs and what waits; each says so to whoever asked, if there is time for it."""
        with self._lock:  # so that nothing is put behind the end of the queue
            self._over.set()
            for _ in self._threads:
                self._waiting.put(None)
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while work := self._waiting.get():
            try:
                work()
            except Exception:
                log.exception("a verification failed; the next one comes")
            finally:
                with self._lock:
                    self._taken -= 1
