"""Publishes App Home: at once for whoever opens it, and again when something changes while it is open.

Slack doesn't tell when somebody leaves the tab, so it counts as open for 15 minutes. One thread asks one
cheap query whether anything has changed, and shows people in turn, never the same view twice, and
together far fewer times a minute than the 100 that Slack allows. Of several processes the one to which
somebody came last shows them the tab, and all know which filters they chose last.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.jobs.failure import failure_of
from bot.jobs.models import Status
from bot.jobs.repository import HomeRepository
from bot.jobs.view import HomeFilters
from bot.messages import home
from bot.messages.blocks import View
from bot.messages.failure_texts import explained
from bot.periodic import PeriodicThread
from bot.slack.access import Access, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import BLOCKS_REFUSED, CONNECTION_ERRORS, PASSING, error_name, retry_after, trouble_of
from bot.slack.pubsub import PubSub
from copier.errors import CopierError, failures_of

log = logging.getLogger(__name__)

#: What processes tell each other of somebody who comes to the tab.
OPENED = "home-opened"
#: Seconds that a tab counts as open.
OPEN_SECONDS = 15 * 60.0
#: Seconds between two looks, and between two views of one person.
LOOK_SECONDS, PERSON_SECONDS = 1.0, 3.0
#: So long a view in hand is waited for at the end, in seconds.
LEAVE_SECONDS = 15.0
#: Refreshes of all people together within a minute. Slack's limit is 100; the rest is for opening it.
REFRESHES_A_MINUTE = 60


@dataclass(eq=False)
class HomeReader:
    """Somebody who has opened the tab. Times are of the monotonic clock, in seconds.

    ``opened_at`` and ``chosen_at`` are when they came last and when they chose the filters, wherever that
    was, by the clock of that machine: seconds since 1970.
    """

    user_id: str
    until: float
    opened_at: float = 0.0
    chosen_at: float = 0.0
    filters: HomeFilters = field(default_factory=HomeFilters)
    shown: View | None = None
    shown_at: float = 0.0
    is_stale: bool = False
    is_elsewhere: bool = False  # another process shows them the tab
    lock: threading.Lock = field(default_factory=threading.Lock)


class HomePublisher(PeriodicThread):
    """The tab of everybody who has it open, and the thread that brings it up to date."""

    def __init__(
        self,
        client: WebClient,
        rows: HomeRepository,
        card_publisher: CardPublisher,
        access: Access,
        people: People,
        *,
        pubsub: PubSub | None = None,
    ) -> None:
        super().__init__(
            "home-publisher",
            self.refresh,
            every_seconds=LOOK_SECONDS,
            what="consulta can't be asked for App Home",
            leave_seconds=LEAVE_SECONDS,
        )
        self._pubsub = pubsub
        if pubsub is not None:
            pubsub.subscribe(OPENED, self._opened_elsewhere)
        self._client = client
        self._rows = rows
        self._card_publisher = card_publisher
        self._access = access
        self._people = people
        self._lock = threading.Lock()
        self._readers: dict[str, HomeReader] = {}
        self._published: deque[float] = deque()
        self._mark: str | None = None
        self._paused_until = 0.0
        self._takes_tables = True

    def opened(self, user_id: str) -> None:
        """Somebody opens the tab: it is published for them now."""
        reader = self._reader(user_id)
        reader.opened_at, reader.is_elsewhere = time.time(), False
        if self._pubsub is not None:
            self._pubsub.publish(
                OPENED,
                user=user_id,
                filters=_as_words(reader.filters),
                opened_at=reader.opened_at,
                chosen_at=reader.chosen_at,
            )
        self._show_now(reader)

    def filtered(self, user_id: str, filters: HomeFilters) -> None:
        """Somebody has chosen what the list of ended jobs shows: it is published for them now."""
        self.choose(user_id, filters)
        self.opened(user_id)

    def choose(self, user_id: str, filters: HomeFilters) -> None:
        """The same, to be published with the next view of theirs."""
        reader = self._reader(user_id)
        reader.filters, reader.chosen_at = filters, time.time()

    def refresh(self) -> int:
        """Shows what has changed to those who have the tab open; returns how many views were published."""
        now = time.monotonic()
        with self._lock:
            self._readers = {each.user_id: each for each in self._readers.values() if each.until > now}
            here = [each for each in self._readers.values() if not each.is_elsewhere]
        readers = sorted(here, key=lambda each: each.shown_at)
        if not readers or now < self._paused_until:
            return 0
        mark = self._rows.mark()
        if mark != self._mark:
            self._mark = mark
            for reader in readers:
                reader.is_stale = True
        published = 0
        for reader in readers:
            if reader.is_stale and reader.shown_at + PERSON_SECONDS <= now and self._has_room(now):
                published += self._show(reader)
        return published

    def _reader(self, user_id: str) -> HomeReader:
        until = time.monotonic() + OPEN_SECONDS
        with self._lock:
            reader = self._readers.setdefault(user_id, HomeReader(user_id, until))
            reader.until = until
        return reader

    def _opened_elsewhere(self, said: dict[str, Any]) -> None:
        """What was older than their last choice here, or than their last coming here, changes nothing.

        A process of the release before says no times: it is believed.
        """
        reader = self._reader(str(said["user"]))
        chosen_at = float(said.get("chosen_at", time.time()))
        opened_at = float(said.get("opened_at", time.time()))
        if chosen_at > reader.chosen_at:
            reader.filters, reader.chosen_at = _from_words(said["filters"]), chosen_at
            reader.is_stale = True
        if opened_at > reader.opened_at:
            reader.opened_at, reader.is_elsewhere = opened_at, True

    def _show_now(self, reader: HomeReader) -> None:
        """Also where it is the same view: Slack may have forgotten it."""
        reader.shown = None
        self._show(reader)

    def _show(self, reader: HomeReader) -> bool:
        """Publishes the view unless it is on the screen already; True where it did."""
        with reader.lock:
            reader.is_stale = False
            try:
                view = self._view_for(reader)
                if reader.is_elsewhere:  # since a moment ago
                    return False
                if view == reader.shown:
                    return False
                view = self._publish(reader, view)
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                self._not_shown(reader, error)
                return False
            reader.shown = view
            reader.shown_at = time.monotonic()
            self._published.append(reader.shown_at)
            return True

    def _publish(self, reader: HomeReader, view: View) -> View:
        """Gives the view as Slack took it: one without tables, from now on, where it refuses these."""
        try:
            self._client.views_publish(user_id=reader.user_id, view=view)
        except SlackApiError as error:
            if not self._takes_tables or error_name(error) not in BLOCKS_REFUSED:
                raise
            log.warning("Slack takes no table in App Home: %s", error_name(error))
            self._takes_tables = False
            view = self._view_for(reader)
            self._client.views_publish(user_id=reader.user_id, view=view)
        return view

    def _view_for(self, reader: HomeReader) -> View:
        t = self._people.language_of(reader.user_id)
        decision = self._access.may_use(reader.user_id)
        if decision.reason is not None:
            return home.cannot_check(decision.reason, t)
        if not decision.allowed:
            return home.refused(decision.groups, t)
        try:
            with failures_of("consulta"):
                seen = self._rows.read(reader.user_id, reader.filters)
        except CopierError as error:
            log.warning("App Home of %s: %s", reader.user_id, error)
            reader.is_stale = True  # until consulta answers again
            return home.problem(explained(failure_of(error), t), t)
        asked_for = {job.copy_name for job in seen.waiting_for_approval}
        not_theirs = self._access.not_for(reader.user_id, asked_for)
        links = self._card_publisher.links(home.linked(seen))
        return home.home(seen, links, not_theirs, t, tables=self._takes_tables)

    def _not_shown(self, reader: HomeReader, error: BaseException) -> None:
        log.warning("App Home of %s was not published: %s", reader.user_id, error_name(error))
        if trouble_of(error) in PASSING:
            reader.is_stale = True
            self._paused_until = time.monotonic() + retry_after(error)
        else:
            with self._lock:
                self._readers.pop(reader.user_id, None)

    def _has_room(self, now: float) -> bool:
        while self._published and self._published[0] < now - 60:
            self._published.popleft()
        return len(self._published) < REFRESHES_A_MINUTE


def _as_words(filters: HomeFilters) -> dict[str, Any]:
    return asdict(filters)


def _from_words(words: dict[str, Any]) -> HomeFilters:
    status = words.get("status")
    return HomeFilters(**{**words, "status": Status(status) if status else None})
