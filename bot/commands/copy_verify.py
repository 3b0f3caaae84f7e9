"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, of a copy or a set. Writes nothing.

Comparisons run two at a time, in threads of their own: no listener waits. A liquidation and copy that is
being compared already isn't compared beside that: whoever asks for it gets the same answer. When the process
ends, and when everybody who asked cancels, a comparison is broken off.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from sqlalchemy import Engine

from bot import metrics
from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, or_problem, pressed_value
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.config import SIDES, CopySection, SetSection
from bot.i18n import Translator
from bot.jobs.baseline import spec_of
from bot.jobs.models import Status
from bot.jobs.repository import JobRepository
from bot.messages import answers, verification
from bot.messages.blocks import VERIFY_COMMAND, Message
from bot.messages.verification import SetVerificationResult, VerificationResult
from bot.slack.card_publisher import CardPublisher
from bot.slack.pubsub import PubSub
from copier import Catalogue, Copy, Limits, RangeComparison, compare_set, is_known

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: What is compared, and what a comparison has found.
Chosen = CopySection | SetSection
Result = VerificationResult | SetVerificationResult

#: Comparisons at once in this process, that may wait for them, and that one person may have asked for.
AT_ONCE, WAITING, OF_ONE = 2, 8, 3
#: Seconds after which somebody who waits for a comparison is told that it runs.
SOON_SECONDS = 2.0
#: What processes tell each other of somebody who cancels.
CANCELLED = "comparison-cancelled"


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [(f"{VERIFY_COMMAND} 42", t("compares both sides now, and writes nothing"))]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyVerify(
        parts.guard, parts.callers, parts.store, parts.card_publisher, parts.verifications
    )
    app.command(VERIFY_COMMAND)(conversation.command)
    app.action(verification.CANCEL_ACTION)(conversation.cancelled)


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
        text = str(body.get("text") or "")
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller))

    def cancelled(self, ack: Ack, body: dict[str, Any]) -> None:
        self._callers.answer(ack, body, lambda caller: self._cancel(body, caller), replace=True)

    def _cancel(self, body: dict[str, Any], caller: Caller) -> Message:
        number, copy_name = verification.to_be_cancelled(pressed_value(body))
        self._verifications.cancel(Key(copy_name, number), caller.user_id)
        chosen = self._guard.copy_named(copy_name) or self._guard.set_named(copy_name)
        return verification.cancelled(chosen.shown if chosen else copy_name, number, caller.t)

    def _answer_to(self, text: str, caller: Caller) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        t, user_id, guard = caller.t, caller.user_id, self._guard
        names = [*guard.copy_names, *guard.set_names]
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
        name = words[1] if len(words) == 2 else None
        if (chosen := guard.set_named(name)) is not None:
            if refusal := guard.refusal_to_run_set(VERIFY_COMMAND, user_id, chosen, t):
                return refusal
            return self._begin(chosen, guard.file.copies_of(chosen), liquidation_id, caller)
        copy = guard.chosen_copy(VERIFY_COMMAND, name, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{VERIFY_COMMAND} {words[0]} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        if refusal := guard.refusal_to_run(VERIFY_COMMAND, user_id, copy, t):
            return refusal
        return self._begin(copy, [copy], liquidation_id, caller)

    def _begin(
        self, chosen: Chosen, copies: Sequence[CopySection], liquidation_id: int, caller: Caller
    ) -> Message | None:
        reply, t = caller.reply, caller.t
        for copy in copies:
            live = self._store.live_job(str(copy.target_table), liquidation_id)
            if live is not None and live.status is Status.RUNNING:
                return answers.running_already(live, self._card_publisher.link(live), t)

        notice = _Notice(lambda: reply.say(verification.comparing(chosen, liquidation_id, t)))

        def comparing(ahead: int) -> None:
            if ahead:
                reply.say(verification.waiting(chosen, liquidation_id, ahead, t))
            else:
                notice.start()

        def answer(outcome: Callable[[], Result]) -> Message:
            try:
                return verification.result(outcome(), t)
            except Interrupted:
                return verification.interrupted(chosen.shown, liquidation_id, t)

        def ended(outcome: Callable[[], Result]) -> None:
            notice.stop()
            reply.say(or_problem(lambda: answer(outcome), t), replace=True)

        asker = Asker(
            caller.user_id,
            asked=comparing,
            began=lambda: reply.say(verification.comparing(chosen, liquidation_id, t), replace=True),
            ended=ended,
            gone=notice.cancel,
        )
        match self._verifications.ask(chosen, copies, liquidation_id, asker):
            case Asked.SAME:
                return verification.same(chosen, liquidation_id, t)
            case Asked.TOO_MANY_OF_ONE:
                return verification.too_many(OF_ONE, t, is_ones_own=True)
            case Asked.TOO_MANY:
                return verification.too_many(AT_ONCE + WAITING, t, is_ones_own=False)
            case Asked.TAKEN:
                return None


class _Notice:
    """Says that the comparison runs, where it takes longer than `SOON_SECONDS`.

    Slack lets nobody take back what a command was answered with, so what is over soon is answered once.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._is_over = False
        self._timer = threading.Timer(SOON_SECONDS, self._due)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def stop(self) -> None:
        """Nothing is said any more; what is being said is waited for, so that the answer comes after it."""
        self.cancel()
        with self._lock:
            self._is_over = True

    def _due(self) -> None:
        with self._lock:
            if not self._is_over:
                self._say()


# ----------------------------------------------------------------------------
# The comparisons


class Interrupted(Exception):
    """The process ends, or nobody wants the comparison any more; it has no result."""


class Asked(Enum):
    """What became of a request for a comparison."""

    TAKEN = "it runs, or waits"
    SAME = "the same one runs or waits already: its answer comes to this person too"
    TOO_MANY_OF_ONE = "this person has asked for too many"
    TOO_MANY = "too many wait"


class Key(NamedTuple):
    """What is compared: a copy or a set of that name."""

    name: str
    liquidation_id: int


@dataclass(frozen=True)
class Asker:
    """Who waits for a comparison. ``asked`` is called with how many are before it, ``began`` where it had to
    wait, and ``ended`` with what gives the result or raises what kept it from one. ``gone`` is called instead
    where this asker waits no longer: they cancelled it, or asked once more.
    """

    person: str
    asked: Callable[[int], None]
    began: Callable[[], None]
    ended: Callable[[Callable[[], Result]], None]
    gone: Callable[[], None]


class _SharedComparison:
    """A comparison that runs or waits, and all who wait for it."""

    def __init__(
        self, chosen: Chosen, copies: Sequence[CopySection], liquidation_id: int, asker: Asker
    ) -> None:
        self.chosen = chosen
        self.copies = copies
        self.key = Key(chosen.name, liquidation_id)
        self.askers = {asker.person: asker}
        self.waited = False
        self.is_over = threading.Event()

    def check(self, silent: float = 0.0) -> None:
        """Asked while a side is silent."""
        if self.is_over.is_set():
            raise Interrupted


class VerificationRunner:
    """Runs comparisons, two at a time and the rest in the order in which they were asked for."""

    def __init__(
        self,
        prod: Engine,
        consulta: Engine,
        limits: Limits,
        catalogue: Catalogue | None = None,
        pubsub: PubSub | None = None,
    ) -> None:
        """A press of *Cancel* may come to another process than the command did: ``pubsub`` tells it."""
        self._prod = prod
        self._consulta = consulta
        self._limits = limits
        self._catalogue = catalogue
        self._pubsub = pubsub
        if pubsub is not None:
            pubsub.subscribe(CANCELLED, self._cancelled_elsewhere)
        self._changed = threading.Condition()
        self._over = False
        self._of: dict[Key, _SharedComparison] = {}
        self._waiting: deque[_SharedComparison] = deque()
        # Not an executor's threads, which the process would wait for however long a server takes.
        self._threads = [
            threading.Thread(target=self._run, name=f"verification-{number}", daemon=True)
            for number in range(AT_ONCE)
        ]

    def ask(self, chosen: Chosen, copies: Sequence[CopySection], liquidation_id: int, asker: Asker) -> Asked:
        """Compares both sides as soon as there is room, and tells ``asker`` so. A set has several ``copies``.

        After `stop` nothing is compared: ``asker`` is told at once.
        """
        comparison = _SharedComparison(chosen, copies, liquidation_id, asker)
        with self._changed:
            if (same := self._of.get(comparison.key)) is not None and not self._over:
                before, same.askers[asker.person] = same.askers.get(asker.person), asker
                if before is not None:
                    before.gone()  # the newest way to them counts
                return Asked.SAME
            if sum(asker.person in each.askers for each in self._of.values()) >= OF_ONE:
                return Asked.TOO_MANY_OF_ONE
            ahead = len(self._of)
            if ahead >= AT_ONCE + WAITING:
                return Asked.TOO_MANY
            comparison.waited = ahead >= AT_ONCE
            if not self._over:
                self._of[comparison.key] = comparison
        # Said before the work begins, so that the result can't be overtaken by it.
        asker.asked(ahead if comparison.waited else 0)
        with self._changed:
            if not self._over:
                for thread in self._threads:
                    if thread.ident is None:
                        thread.start()
                self._waiting.append(comparison)
                self._changed.notify()
                return Asked.TAKEN
        asker.ended(lambda: _raise(Interrupted()))
        return Asked.TAKEN

    def cancel(self, key: Key, person: str) -> bool:
        """This person doesn't want it any more; where nobody does, it is broken off.

        False: they didn't ask for it in this process.
        """
        if self._pubsub is not None:
            self._pubsub.publish(CANCELLED, copy=key.name, liquidation=key.liquidation_id, person=person)
        return self._cancel_here(key, person)

    def _cancelled_elsewhere(self, said: dict[str, Any]) -> None:
        self._cancel_here(Key(str(said["copy"]), int(said["liquidation"])), str(said["person"]))

    def _cancel_here(self, key: Key, person: str) -> bool:
        with self._changed:
            comparison = self._of.get(key)
            asker = comparison.askers.pop(person, None) if comparison is not None else None
            if comparison is None or asker is None:
                return False
            asker.gone()
            if not comparison.askers:
                comparison.is_over.set()
                del self._of[key]
            return True

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Breaks off what runs and what waits; each says so to whoever asked, if there is time for it."""
        with self._changed:
            self._over = True
            for comparison in self._of.values():
                comparison.is_over.set()
            self._changed.notify_all()
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (comparison := self._next()) is not None:
            outcome = self._outcome(comparison)
            with self._changed:
                if self._of.get(comparison.key) is comparison:
                    del self._of[comparison.key]
                askers = [*comparison.askers.values()]
            for asker in askers:
                _told(partial(asker.ended, outcome))

    def _next(self) -> _SharedComparison | None:
        """None when the process ends and none is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            return self._waiting.popleft() if self._waiting else None

    def _outcome(self, comparison: _SharedComparison) -> Callable[[], Result]:
        """What gives the result, or raises what kept it from one."""
        if comparison.waited and not comparison.is_over.is_set():
            for asker in [*comparison.askers.values()]:
                _told(asker.began)
        try:
            result = self._verify(comparison)
        except Exception as error:
            reason = error
            if not isinstance(error, Interrupted):
                metrics.compared(comparison.key.name, metrics.FAILED)
            return lambda: _raise(reason)
        metrics.compared(comparison.key.name, _outcome_of(result))
        return lambda: result

    def _verify(self, comparison: _SharedComparison) -> Result:
        """Compares both sides now.

        Raises:
            Interrupted: the process ends, or nobody waits for it any more.
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached.
        """
        comparison.check()
        liquidation_id, is_over = comparison.key.liquidation_id, comparison.is_over
        began = time.monotonic()
        if isinstance(comparison.chosen, SetSection):
            return self._verify_set(comparison, comparison.chosen, began)
        comparisons: list[RangeComparison] = []
        with Copy(
            self._prod,
            self._consulta,
            spec_of(self._consulta, comparison.chosen),
            liquidation_id,
            names=SIDES,
            limits=self._limits,
            label="traspaso verify",
            on_silence=comparison.check,
        ) as both:
            as_of = both.plan().as_of
            proof = both.verify(on_comparison=comparisons.append, should_stop=is_over.is_set)
            if proof is None:
                raise Interrupted
        return VerificationResult(
            liquidation_id=liquidation_id,
            copy_name=comparison.chosen.name,
            copy_title=comparison.chosen.shown,
            proof=proof,
            parts=len(comparisons),
            as_of=as_of,
            seconds=time.monotonic() - began,
            known=self._is_known(liquidation_id) if proof.is_empty else None,
        )

    def _verify_set(
        self, comparison: _SharedComparison, chosen: SetSection, began: float
    ) -> SetVerificationResult:
        liquidation_id = comparison.key.liquidation_id
        found = compare_set(
            self._prod,
            self._consulta,
            [spec_of(self._consulta, copy) for copy in comparison.copies],
            liquidation_id,
            names=SIDES,
            limits=self._limits,
            label="traspaso verify",
            on_silence=comparison.check,
            should_stop=comparison.is_over.is_set,
        )
        if found is None:
            raise Interrupted
        return SetVerificationResult.of(
            chosen,
            comparison.copies,
            liquidation_id,
            found,
            seconds=time.monotonic() - began,
            known=self._is_known(liquidation_id) if found.is_empty else None,
        )

    def _is_known(self, liquidation_id: int) -> bool | None:
        """Whether prod's catalogue has it; None where there is no catalogue."""
        if self._catalogue is None:
            return None
        return is_known(self._prod, self._catalogue, liquidation_id, names=SIDES)


def _outcome_of(result: Result) -> str:
    """Its outcome for the metrics: of a set of which tables couldn't be compared nobody knows it."""
    if not isinstance(result, SetVerificationResult):
        return metrics.SAME if result.proof.holds else metrics.DIFFERENT
    if result.differing:
        return metrics.DIFFERENT
    return metrics.FAILED if result.refused else metrics.SAME


def _raise(error: Exception) -> NoReturn:
    raise error


def _told(tell: Callable[[], None]) -> None:
    """One person who can't be told keeps nobody else from the answer."""
    try:
        tell()
    except Exception:
        log.exception("an answer about a comparison was not given")


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
