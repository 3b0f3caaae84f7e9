"""The people of a run: they ask for the copy, answer what it asks, and press what the plan has them press."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bot.messages import chooser
from bot.messages.approval import APPROVE_ACTION
from bot.messages.buttons import CANCEL_ACTION, PAUSE_ACTION, RESUME_ACTION, RETRY_ACTION
from bot.messages.preview import COPY_ACTION
from bot.messages.terms import CONFIRM_ACTION
from dev.chaos.house import House, Row
from dev.slack.client import LocalSlack, Person
from dev.slack.results import Message, NotPossible, View

ACTIONS = {
    "pause": PAUSE_ACTION,
    "resume": RESUME_ACTION,
    "cancel": CANCEL_ACTION,
    "retry": RETRY_ACTION,
    "confirm": CONFIRM_ACTION,
    "approve": APPROVE_ACTION,
}
COMMAND = "/copy-liquidation"


class People:
    """Ana asks, Bob approves. They try again where Slack shows them an error, as people do."""

    def __init__(self, house: House, channel: str, liquidation: int) -> None:
        self._house = house
        self._slack: LocalSlack = house.api
        self.channel = channel
        self.liquidation = liquidation
        self.ana: Person = self._slack.user("U0ANA")
        self.bob: Person = self._slack.user("U0BOB")

    def start(self, copy: str, *, twice: bool, modal: bool, timeout: float = 90.0) -> Row | None:
        """The whole way to a job; None where there is none in that time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if modal:
                self._choose(copy)
            else:
                offer = self._offer(copy)
                if offer is not None:
                    self._press(offer, times=2 if twice else 1)
            wait_until = time.monotonic() + 8.0
            while time.monotonic() < wait_until:
                if job := self._house.newest(self.liquidation):
                    return job
                time.sleep(0.05)
        return None

    def press(self, action: str, job: Row) -> bool:
        """Presses that button of the card, if it has it. True where the bot has taken the press."""
        who = self.bob if action == "approve" else self.ana
        with suppress(NotPossible):
            card = self.card(job)
            if card is not None and any(each.action_id == ACTIONS[action] for each in card.buttons):
                return who.press(card, ACTIONS[action]).acked
        return False

    def card(self, job: Row) -> Message | None:
        """The newest card of the job, wherever it is now."""
        found = cards(self.everything(job), job)
        return found[-1] if found else None

    def everything(self, job: Row) -> list[Message]:
        """All messages that Ana can read in the channel, in its threads, and in her direct messages."""
        found: list[Message] = []
        for channel in dict.fromkeys([self.channel, job.get("channel_id") or self.channel, self.ana.dm]):
            with suppress(NotPossible):
                for message in self.ana.messages(channel):
                    found.append(message)
                    if message.reply_count:
                        found += self.ana.thread(channel, message.ts)[1:]
        return found

    def command(self, line: str) -> None:
        """Types it, whatever comes of it."""
        with suppress(NotPossible):
            self.bob.command(line, channel=self.channel)

    def _press(self, offer: Message, times: int) -> None:
        """All of them at the same moment."""

        def press() -> None:
            with suppress(NotPossible):
                self.ana.press(offer, COPY_ACTION)

        with ThreadPoolExecutor(times) as pool:
            for _ in range(times):
                pool.submit(press)

    def _choose(self, copy: str) -> None:
        """The way through the modal, as far as it comes."""
        with suppress(NotPossible):
            while self.ana.modal() is not None:
                self.ana.close_modal(everything=True)
        with suppress(NotPossible):
            self.ana.command(COMMAND, channel=self.channel)
            if self._until(lambda: chooser.LIQUIDATION in self._modal().inputs):
                self.ana.options(chooser.LIQUIDATION, str(self.liquidation))
                self.ana.submit({chooser.LIQUIDATION: str(self.liquidation), chooser.COPY: copy})
                if self._until(lambda: self._modal().callback_id == chooser.PRESS_CALLBACK):
                    self.ana.submit()

    def _modal(self) -> View:
        view = self.ana.modal()
        if view is None:
            raise NotPossible("there is no modal")
        return view

    @staticmethod
    def _until(look: Callable[[], bool], timeout: float = 8.0) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with suppress(NotPossible):
                if look():
                    return True
            time.sleep(0.05)
        return False

    def _offer(self, copy: str) -> Message | None:
        before = {message.ts for message in self._private()}
        line = f"{COMMAND} {self.liquidation} {copy}"
        if not self.ana.command(line, channel=self.channel).acked:
            time.sleep(0.5)
            return None
        deadline = time.monotonic() + 8.0
        while time.monotonic() < deadline:
            for message in self._private():
                if message.ts not in before:
                    return message if any(b.action_id == COPY_ACTION for b in message.buttons) else None
            time.sleep(0.05)
        return None

    def _private(self) -> list[Message]:
        return [message for message in self.ana.messages(self.channel) if message.ephemeral]


def part_of(message: Message) -> tuple[str, str]:
    """Of which job the message tells, and which part."""
    payload = (message.metadata or {}).get("event_payload") or {}
    return str(payload.get("job")), str(payload.get("part"))


def cards(messages: list[Message], job: Row) -> list[Message]:
    return [each for each in messages if part_of(each) == (str(job["id"]), "card")]
