"""*Tell me* and *Don't tell me*, of a job and of a run: whoever sees the card may press them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bot.commands import parsing
from bot.commands.conversation import Caller, Callers, pressed_value
from bot.i18n import Translator
from bot.jobs.actions import Followed, Followers
from bot.jobs.repository import Requester
from bot.jobs.run_view import RunView
from bot.jobs.view import JobView
from bot.messages.blocks import Message
from bot.slack.card_publisher import CardPublisher

if TYPE_CHECKING:
    from slack_bolt import Ack


Found = TypeVar("Found", bound=JobView | RunView)


@dataclass(frozen=True)
class Words(Generic[Found]):
    """What is said of a job, or of a run. ``unknown`` gets the button's value; ``noted_before``: they had
    pressed it already.
    """

    unknown: Callable[[str, Translator], Message]
    noted: Callable[[Found, Translator], Message]
    noted_before: Callable[[Found, Translator], Message]
    taken_back: Callable[[Found, Translator], Message]
    not_now: Callable[[Found, str | None, Translator], Message]


class TellMe(Generic[Found]):
    """Both buttons. ``find`` gives what has this number, None where there is none."""

    def __init__(
        self,
        callers: Callers,
        find: Callable[[int], Found | None],
        followers: Followers,
        card_publisher: CardPublisher,
        words: Words[Found],
    ) -> None:
        self._callers = callers
        self._find = find
        self._followers = followers
        self._card_publisher = card_publisher
        self._words = words

    def pressed(self, ack: Ack, body: dict[str, Any]) -> None:
        self._callers.answer(
            ack, body, lambda caller: self._note(pressed_value(body), caller, self._followers.follow)
        )

    def taken_back(self, ack: Ack, body: dict[str, Any]) -> None:
        """Under the answer to the press, which this one takes the place of."""
        self._callers.answer(
            ack,
            body,
            lambda caller: self._note(pressed_value(body), caller, self._followers.unfollow),
            replace=True,
        )

    def _note(self, value: str, caller: Caller, note: Callable[[int, Requester], Followed]) -> Message:
        t, number = caller.t, parsing.number(value)
        found = self._find(number) if number is not None else None
        if number is None or found is None:
            return self._words.unknown(value, t)
        match note(number, self._callers.requester(caller)):
            case Followed.NOTED:
                return self._words.noted(found, t)
            case Followed.BEFORE:
                return self._words.noted_before(found, t)
            case Followed.TAKEN_BACK:
                return self._words.taken_back(found, t)
            case Followed.ENDED:
                now = self._find(number) or found
                return self._words.not_now(now, self._card_publisher.link(now), t)
