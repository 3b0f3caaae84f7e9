"""The people: those who ask for copies, as they do by hand, and all others who type and press meanwhile.

Whoever asks goes on as a person does: types again where no answer comes, presses again where Slack puts a
warning beside the button. Who presses *Pause* presses *Resume* as soon as the card offers it.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from dev.load.site import ADMINS, CHANNELS, LOBBY, OUTSIDERS, Site
from dev.load.watch import Job, Watch
from dev.local_slack.client import Person
from dev.local_slack.results import Interaction, Message, NotPossible

Found = TypeVar("Found")

COPY = "copy_liquidation.confirm"
LOOK_SECONDS = 0.3
#: After so long without an answer somebody types the command again.
PATIENCE_SECONDS = 15.0
TRIES = 20

#: What people do, and how often of a hundred times.
HABITS = {
    "overview": 10,
    "status": 20,
    "mine": 8,
    "details": 15,
    "pause": 8,
    "resume": 8,
    "press again": 11,
    "outsider asks": 8,
    "outsider looks": 6,
    "outsider presses": 6,
}


@dataclass
class Asked:
    """A copy that somebody asked for; seconds from typing to the offer, and from the press to the job."""

    liquidation_id: int
    person: str
    channel: str
    typed: int = 0
    pressed: int = 0
    offer_seconds: float | None = None
    job_seconds: float | None = None
    offer: Message | None = None


@dataclass
class Crowd:
    """``asked`` are the copies that were asked for, ``done`` what else people did."""

    site: Site
    watch: Watch
    seed: int = 1
    asked: list[Asked] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._turns = itertools.count()
        self._over = threading.Event()
        self._quiet = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(24, thread_name_prefix="crowd")
        self._askers = ThreadPoolExecutor(8, thread_name_prefix="asker")
        self._noise: threading.Thread | None = None

    def close(self) -> None:
        """Nobody begins anything more; waits for those who are about to."""
        self._over.set()
        self._quiet.set()
        if self._noise is not None:
            self._noise.join(20)
        for pool in (self._pool, self._askers):
            pool.shutdown(wait=True, cancel_futures=True)

    # ---------------------------------------------------------------------------------- asking for copies

    def ask_for(self, liquidations: list[int], over_seconds: float, channels: int) -> list[Future[Asked]]:
        """Several people ask for these copies, in so many channels, evenly over this time."""
        people, places = list(ADMINS), list(CHANNELS)[:channels]
        futures: list[Future[Asked]] = []
        pause = over_seconds / max(1, len(liquidations))

        began = time.monotonic()
        for number, liquidation in enumerate(liquidations):
            turn = next(self._turns)
            person, channel = people[turn % len(people)], places[turn % len(places)]
            futures.append(
                self._askers.submit(self._one, began + number * pause, liquidation, person, channel)
            )
        return futures

    def ask(self, liquidation: int, person: str, channel: str) -> Asked:
        """The whole way to a job: type, wait for the offer, press, until there is a job."""
        asked = Asked(liquidation, person, channel)
        with self._lock:
            self.asked.append(asked)
        ana = self.site.person(person)
        while not self._job_of(liquidation):
            if asked.typed >= TRIES or self._over.is_set():
                raise NotPossible(f"{person} never got a job of liquidation {liquidation}")
            typed_at = time.monotonic()
            asked.typed += 1
            if not ana.command(f"/copy-liquidation {liquidation}", channel=channel).acked:
                self._over.wait(1.0)
                continue
            offer = asked.offer = self._wait(lambda: self._offer(ana, channel, liquidation))
            if offer is None:
                continue
            asked.offer_seconds = asked.offer_seconds or time.monotonic() - typed_at
            pressed_at = time.monotonic()
            while asked.pressed < TRIES and not self._over.is_set():
                asked.pressed += 1
                if ana.press(offer, COPY, stale=True).acked:
                    if self._wait(lambda: self._job_of(liquidation)):
                        asked.job_seconds = time.monotonic() - pressed_at
                    break  # without a job: an answer has taken the place of the offer, or will never come
                self._over.wait(1.0)  # a warning stands beside the button: once more
        return asked

    def _one(self, when: float, liquidation: int, person: str, channel: str) -> Asked:
        if self._over.wait(max(0.0, when - time.monotonic())):
            raise NotPossible("it is over")
        return self.ask(liquidation, person, channel)

    def _wait(self, look: Callable[[], Found | None]) -> Found | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := look()) and time.monotonic() < deadline and not self._over.wait(LOOK_SECONDS):
            pass
        return found

    @staticmethod
    def _offer(person: Person, channel: str, liquidation: int) -> Message | None:
        for message in reversed(person.messages(channel)):
            for button in message.buttons if message.ephemeral else ():
                if (
                    button.action_id == COPY
                    and json.loads(button.value or "{}")["liquidation_id"] == liquidation
                ):
                    return message
        return None

    def _job_of(self, liquidation: int) -> Job | None:
        return next((job for job in self.watch.jobs if job.liquidation_id == liquidation), None)

    # ------------------------------------------------------------------------------------ everybody else

    def be_noisy(self, per_minute: float) -> None:
        """So many commands and presses a minute, until `be_quiet`."""
        self._noise = threading.Thread(target=self._make_noise, args=(60.0 / per_minute,), daemon=True)
        self._noise.start()

    def be_quiet(self) -> None:
        self._quiet.set()
        if self._noise is not None:
            self._noise.join(20)

    def resume_all(self) -> None:
        """Presses *Resume* on every card that offers it; to be called until no job is paused."""
        for job in self.watch.jobs:
            if job.status == "paused" or job.stop_requested == "pause":
                self._counted("resume", lambda job=job: self._press(job, "job.resume"))  # type: ignore[misc]

    def _make_noise(self, pause: float) -> None:
        habits, weights = list(HABITS), list(HABITS.values())
        due = time.monotonic()
        while not self._quiet.wait(max(0.0, due - time.monotonic())):
            due += pause
            habit = self._random.choices(habits, weights)[0]
            with suppress(RuntimeError):  # closed meanwhile
                self._pool.submit(self._counted, habit, self._deed(habit))

    def _counted(self, habit: str, deed: Callable[[], Interaction | None]) -> None:
        """Who finds nothing to press asks how the copies are, so that the number of a minute holds."""
        outcome = habit
        try:
            with suppress(NotPossible):
                if deed() is not None:
                    return
            outcome = f"overview, instead of {habit}"
            self.site.person("U0EVA").command("/copy-status", channel=LOBBY)
        except httpx.HTTPError as error:
            outcome = f"{habit}: {type(error).__name__}"
        finally:
            with self._lock:
                self.done[outcome] += 1

    def _deed(self, habit: str) -> Callable[[], Interaction | None]:
        choose = self._random.choice
        person, outsider = self.site.person(choose(list(ADMINS))), self.site.person(choose(list(OUTSIDERS)))
        jobs = self.watch.jobs
        shown = [job for job in jobs if job.message_ts]
        job = choose(shown) if shown else None
        number = job.id if job else 1
        match habit:
            case "overview":
                return lambda: person.command("/copy-status", channel=LOBBY)
            case "mine":
                return lambda: person.command("/copy-status mine", channel=LOBBY)
            case "status":
                words = choose([str(number), f"liquidation {job.liquidation_id if job else 7}"])
                return lambda: person.command(f"/copy-status {words}", channel=LOBBY)
            case "outsider asks":
                liquidation = job.liquidation_id if job else 7
                return lambda: outsider.command(f"/copy-liquidation {liquidation}", channel=LOBBY)
            case "outsider looks":
                return lambda: outsider.command(f"/copy-status {number}", channel=LOBBY)
            case "outsider presses":
                return lambda: self._press(job, choose(["job.pause", "job.cancel", "job.details"]), outsider)
            case "press again":
                offers = [asked for asked in self.asked if asked.offer is not None and asked.job_seconds]
                asked = choose(offers) if offers else None
                return lambda: self._press_again(asked)
            case "details":
                return lambda: self._details(job, person)
            case "pause":
                live = [each for each in shown if not each.is_over and each.status != "paused"]
                return lambda: self._press(choose(live) if live else None, "job.pause", person)
            case _:
                paused = [each for each in shown if each.status == "paused" or each.stop_requested == "pause"]
                return lambda: self._press(paused[0] if paused else None, "job.resume", person)

    def _press(self, job: Job | None, action: str, person: Person | None = None) -> Interaction | None:
        """Whatever the card offers at this moment; nothing where it doesn't."""
        if job is None or job.channel_id is None or job.message_ts is None:
            return None
        card = Message(ts=job.message_ts, user=self.site.slack.bot_user, text="", channel=job.channel_id)
        return (person or self.site.person("U0ANA")).press(card, action)

    def _details(self, job: Job | None, person: Person) -> Interaction | None:
        with suppress(NotPossible):
            person.close_modal(everything=True)
        return self._press(job, "job.details", person)

    def _press_again(self, asked: Asked | None) -> Interaction | None:
        if asked is None or asked.offer is None:
            return None
        return self.site.person(asked.person).press(asked.offer, COPY, stale=True)
