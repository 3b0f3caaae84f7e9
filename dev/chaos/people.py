"""The people of a run: they ask for the copy, answer what it asks, and press what the plan has them press."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bot.messages import proposal
from bot.messages.card import CANCEL_ACTION, PAUSE_ACTION, RESUME_ACTION, RETRY_ACTION
from bot.messages.proposal import COPY_ACTION
from bot.messages.question import APPROVE_ACTION, CONFIRM_ACTION
from dev.chaos.house import House, Row, until
from dev.local_slack.client import LocalSlack, Person
from dev.local_slack.results import Message, NotPossible, View

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
    """Ana asks, Bob approves, or both ask at once. They try again where Slack shows them an error."""

    def __init__(self, house: House, channel: str, liquidation: int) -> None:
        self._house = house
        self._slack: LocalSlack = house.api
        self.channel = channel
        self.liquidation = liquidation
        self.ana: Person = self._slack.user("U0ANA")
        self.bob: Person = self._slack.user("U0BOB")
        #: Whose job it became.
        self.requester = self.ana

    def start(self, copy: str, way: str, timeout: float = 90.0) -> Row | None:
        """The whole way to a job; None where there is none in that time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if way == "by the modal":
                self._choose(copy)
            else:
                people = [self.ana, self.bob] if way == "two people" else [self.ana]
                offers = [(person, self._offer(person, copy)) for person in people]
                if self._house.newest(self.liquidation) is None:
                    self._press(offers * (2 if way == "pressed twice" else 1))
            wait_until = time.monotonic() + 8.0
            while time.monotonic() < wait_until:
                if job := self._house.newest(self.liquidation):
                    self._find_requester(job)
                    return job
                time.sleep(0.05)
        return None

    def press(self, action: str, job: Row) -> bool:
        """Presses that button of the card, if it has it. True where the bot has taken the press."""
        other = self.ana if self.requester is self.bob else self.bob
        who = other if action == "approve" else self.requester
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
        """All messages that the requester can read in the channel, in its threads, and in person."""
        who = self.requester
        found: list[Message] = []
        for channel in dict.fromkeys([self.channel, job.get("channel_id") or self.channel, who.dm]):
            with suppress(NotPossible):
                for message in who.messages(channel):
                    found.append(message)
                    if message.reply_count:
                        found += who.thread(channel, message.ts)[1:]
        return found

    def command(self, line: str) -> None:
        """Types it, whatever comes of it."""
        with suppress(NotPossible):
            self.bob.command(line, channel=self.channel)

    def _find_requester(self, job: Row) -> None:
        query = "SELECT slack_user_id AS id FROM traspaso.users WHERE id = %s"
        found = until(lambda: self._house.ask("consulta", query, job["user_id"]), 20.0)
        self.requester = self.bob if found and found[0]["id"] == self.bob.id else self.ana

    @staticmethod
    def _press(offers: list[tuple[Person, Message | None]]) -> None:
        """All of them at the same moment."""

        def press(person: Person, offer: Message) -> None:
            with suppress(NotPossible):
                person.press(offer, COPY_ACTION)

        with ThreadPoolExecutor(len(offers)) as pool:
            for person, offer in offers:
                if offer is not None:
                    pool.submit(press, person, offer)

    def _choose(self, copy: str) -> None:
        """The way through the modal, as far as it comes."""
        with suppress(NotPossible):
            while self.ana.modal() is not None:
                self.ana.close_modal(everything=True)
        with suppress(NotPossible):
            self.ana.command(COMMAND, channel=self.channel)
            if self._until(lambda: proposal.LIQUIDATION in self._modal().inputs):
                self.ana.options(proposal.LIQUIDATION, str(self.liquidation))
                self.ana.submit({proposal.LIQUIDATION: str(self.liquidation), proposal.COPY: copy})
                shown = self._until(lambda: self._modal().callback_id == proposal.PRESS_CALLBACK)
                if shown and self._house.newest(self.liquidation) is None:
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

    def _offer(self, person: Person, copy: str) -> Message | None:
        before = {message.ts for message in self._private(person)}
        line = f"{COMMAND} {self.liquidation} {copy}"
        if not person.command(line, channel=self.channel).acked:
            time.sleep(0.5)
            return None
        deadline = time.monotonic() + 8.0
        while time.monotonic() < deadline:
            for message in self._private(person):
                if message.ts not in before:
                    return message if any(b.action_id == COPY_ACTION for b in message.buttons) else None
            time.sleep(0.05)
        return None

    def _private(self, person: Person) -> list[Message]:
        return [message for message in person.messages(self.channel) if message.ephemeral]


def part_of(message: Message) -> tuple[str, str]:
    """Of which job the message tells, and which part."""
    payload = (message.metadata or {}).get("event_payload") or {}
    return str(payload.get("job")), str(payload.get("part"))


def cards(messages: list[Message], job: Row) -> list[Message]:
    return [each for each in messages if part_of(each) == (str(job["id"]), "card")]
