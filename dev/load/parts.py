"""The three parts: load, deploys under load, and two releases side by side."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import psycopg

from dev.guard import ROOT
from dev.load.books import Books, Spread
from dev.load.crowd import Asked, Crowd
from dev.load.report import Result
from dev.load.site import Release, Running, Site
from dev.load.watch import Watch
from dev.local_slack.results import Envelope

THIS = Release("this release", ROOT)
FIRST = 1_001
WORKERS = ("worker-1", "worker-2")
#: A worker's threads by the Procfile; of the bot the threads that ask prod (looks, presses, searches), those
#: that ask consulta beside them, and its comparisons at once.
SLOTS, LOOKS, ANSWERS, COMPARISONS = 4, 48, 36, 2
#: The last message of a job after it has ended: what was said again later is another matter.
LAST_WORD = """
SELECT extract(epoch FROM (SELECT max(done_at) FROM traspaso.outbox) - max(finished_at))
FROM traspaso.copy_jobs
"""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """``minutes`` is how long people go on at least. ``work`` are settings under ``[work]``."""

    copies: int = 40
    per_minute: float = 200.0
    minutes: float = 4.0
    over_seconds: float = 60.0
    channels: int = 3
    restarts: int = 50
    small_rows: int = 4_000
    middle_rows: int = 60_000
    patience_minutes: float = 10.0
    parallel: int | None = None
    seed: int = 1


class Part:
    """One run on a site of its own: the data, the people, and what is common to the ends of all parts."""

    def __init__(self, site: Site, options: Options, say: Say) -> None:
        self.site = site
        self.options = options
        self.say = say
        self.watch = Watch(site)
        self.crowd = Crowd(site, self.watch, options.seed)
        self.liquidations = list(range(FIRST, FIRST + options.copies))

    def fill(self) -> str:
        """Every fourth liquidation is of middle size, every fourth is there already in an older state."""
        sizes = {
            number: (self.options.middle_rows if number % 4 == 0 else self.options.small_rows) + number % 97
            for number in self.liquidations
        }
        self.say(f"Filling prod: {len(sizes)} liquidations, {sum(sizes.values()):,} rows …")
        self.site.fill(sizes, [number for number in sizes if number % 4 == 1])
        return f"{len(sizes)} copies, {sum(sizes.values()):,} rows"

    def until_ended(self, asked: Sequence[Future[Asked]]) -> list[str]:
        """Everybody has asked and every job has ended; what people gave up on."""
        deadline = time.monotonic() + self.options.patience_minutes * 60
        given_up = []
        for future in asked:
            try:
                future.result(max(0.0, deadline - time.monotonic()))
            except Exception as error:
                given_up.append(f"{type(error).__name__}: {error}")
        self.crowd.be_quiet()
        while time.monotonic() < deadline:
            time.sleep(2.0)
            jobs = self.watch.jobs
            if all(job.is_over for job in jobs):
                break
            self.crowd.resume_all()
        return given_up

    def until_told(self) -> float:
        """Everything that was to be said has been said; seconds from the last job's end to that."""
        deadline = time.monotonic() + self.options.patience_minutes * 60
        left = "SELECT count(*) FROM traspaso.outbox WHERE done_at IS NULL"
        with psycopg.connect(self.site.stack.consulta_url, autocommit=True) as consulta:
            while consulta.execute(left).fetchone() != (0,) and time.monotonic() < deadline:
                time.sleep(0.5)
            last = consulta.execute(LAST_WORD).fetchone()
        time.sleep(2.0)  # for an edit on its way
        return float(last[0] or 0.0) if last else 0.0

    def common(
        self, result: Result, given_up: list[str], told_after: float, *, alone_since: float = 0.0
    ) -> Books:
        """What all parts look at in the end. ``alone_since``: from when on no other release was there."""
        self.say("Reading the books …")
        books = Books.read(self.site)
        acks, refused = books.acks(), books.refused()
        done = sum(self.crowd.done.values())
        minutes = (self.watch.ended - self.watch.began) / 60
        result.add("commands and presses", f"{len(books.envelopes):,} in {minutes:.1f} minutes")
        result.add("acknowledged after", acks)
        result.add(
            "offer after the command", Spread.of(a.offer_seconds for a in self.crowd.asked if a.offer_seconds)
        )
        result.add("job after the press", Spread.of(a.job_seconds for a in self.crowd.asked if a.job_seconds))
        result.add("card after the request", books.seconds_to_the_card())
        result.add("press shown on the card after", books.seconds_to_show_a_press())
        result.add("reply after the job's end", books.seconds_to_the_reply())
        result.add("last edit after the job's end", books.seconds_to_the_last_edit())
        result.add("unpinned after the job's end", books.seconds_pinned_too_long())
        result.add("all said after the last job's end", f"{told_after:.0f} s")
        result.add("refused with 429", _counted(refused))
        result.add(
            "busiest minute, of Slack's limit",
            ", ".join(f"{method} {n}/{limit}" for method, (n, limit) in books.busiest_minute().items()),
        )
        ours = books.refused(alone_since)
        result.check("Slack refused this release nothing with 429", not ours, _counted(ours))
        self._check_jobs(result, books, given_up)
        result.details |= {
            "options": asdict(self.options),
            "done by people": dict(self.crowd.done.most_common()),
            "done by people, in all": done,
            "statuses": books.statuses(),
            "events": books.event_kinds(),
            "refused": refused,
            "given up": given_up,
            "logged": logged(self.site.logs("")),
            "untrue cards": [asdict(each) for each in books.told if not each.is_true][:10],
            "watch": self.watch.problem,
            "dumps": [
                each.child.log()[-20_000:] for each in self.site.history if "Fatal Python" in each.child.log()
            ],
            "not acknowledged": [_about(self.site, each) for each in books.unacked()],
        }
        return books

    def _check_jobs(self, result: Result, books: Books, given_up: list[str]) -> None:
        statuses = books.statuses()
        complete = statuses == {"completed": len(self.liquidations)}
        result.check(
            "every copy that was asked for is completed", complete and not given_up, _counted(statuses)
        )
        result.check("no liquidation was copied twice", not books.twice(), books.twice() or "")
        result.check("consulta holds what prod holds", not books.differing, "; ".join(books.differing[:3]))
        cards = [each.job for each in books.told if each.cards != 1]
        replies = [each.job for each in books.told if each.replies != 1]
        untrue = [each.job for each in books.told if not each.is_true]
        result.check("one card each", not cards, _jobs(cards))
        result.check("one reply each", not replies, _jobs(replies))
        result.check("each card shows what the row says", not untrue, _jobs(untrue))
        result.check("nothing is left pinned", books.left_pinned() == 0, f"{books.left_pinned()} pins left")
        result.check("nothing is left to say", books.owed == 0, f"{books.owed} messages owed")

    def memory(self, result: Result, *, is_flat: bool = True) -> None:
        for role, memory in self.watch.memory().items():
            seen = (
                f"{memory.start:.0f} · {memory.middle:.0f} · {memory.end:.0f} MB, most {memory.most:.0f} MB"
            )
            result.add(f"memory of {role}: start · middle · end", seen)
            if is_flat:
                result.check(f"memory of {role} is flat", memory.growth < 0.1, f"{memory.growth:+.1%}")
            result.details.setdefault("memory", {})[role] = asdict(memory)

    def connections(self, result: Result) -> None:
        """Against the bound that follows from the code: see `bounds`."""
        parallel = self.options.parallel or max(1, min(4, os.cpu_count() or 1))
        for side in ("prod", "consulta"):
            seen = self.watch.connections(side)
            result.add(f"connections to {side}, most at once", _counted(seen))
            for role, most in seen.items():
                bound = bounds(side, role, parallel)
                if bound is not None:
                    held = most <= bound
                    result.check(f"connections of {role} to {side} within {bound}", held, most)
            result.details.setdefault("connections", {})[side] = {
                "roles": seen,
                "names": self.watch.named(side),
            }


def bounds(side: str, role: str, parallel: int) -> int | None:
    """The most sessions that a worker with four slots, or the bot, can have by the code.

    A copy, in prod: the session of the snapshot, a reader for each lane, and one that looks whether an enum
    was altered. In consulta: one and a writer for each lane; when it compares one more and a reader for each
    lane; and for moments the heartbeat's, the ticker's and that of a step. Beside the copies there are two
    couriers, the sweeper and the presence. In the bot there are two couriers, the panel, the watch over the
    workers, and one or two for each thread that answers.
    """
    if role in {"together", "not told"}:
        return None
    copy = parallel + 2 if side == "prod" else 2 * parallel + 5
    if "worker" in role:
        return SLOTS * copy + (0 if side == "prod" else 4)
    return COMPARISONS * copy + (LOOKS if side == "prod" else 2 * LOOKS + ANSWERS + 4)


# ------------------------------------------------------------------------------------------------- the parts


def load(options: Options, say: Say) -> Result:
    """Many copies and many people at once."""
    with _begun(options, say) as part:
        site, watch, crowd = part.site, part.watch, part.crowd
        what = part.fill()
        site.migrate(THIS)
        for role in ("bot", *WORKERS):
            site.start(role, THIS)
        site.slack.wait_connected()
        result = Result("load", f"{what}, and {options.per_minute:g} commands and presses a minute")
        say(f"{what}; people begin …")
        with watch:
            began = time.monotonic()
            crowd.be_noisy(options.per_minute)
            asked = crowd.ask_for(part.liquidations, options.over_seconds, options.channels)
            _wait(asked, part, began + options.minutes * 60)
            given_up = part.until_ended(asked)
            say("Every job has ended; waiting for the last message …")
            told_after = part.until_told()
        books = part.common(result, given_up, told_after)
        acks, unacked = books.acks(), books.unacked()
        result.check("p99 of the acknowledgements under 1 s", acks.p99 < 1.0, f"{acks.p99:.3f} s")
        result.check("every command and press was acknowledged", not unacked, _errors(unacked))
        part.memory(result)
        part.connections(result)
        return result


def deploys(options: Options, say: Say) -> Result:
    """Bot and workers are restarted in turn, and during each restart people ask for two copies."""
    options = replace(options, copies=2 * options.restarts)
    with _begun(options, say, rows_per_second=20_000.0) as part:
        site, watch, crowd = part.site, part.watch, part.crowd
        what = part.fill()
        site.migrate(THIS)
        now = {role: site.start(role, THIS) for role in ("bot", *WORKERS)}
        site.slack.wait_connected()
        result = Result("deploys", f"{options.restarts} restarts during {what}")
        say(f"{what}; people begin, and {options.restarts} restarts …")
        stops: dict[str, list[float]] = {}
        codes: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        with watch:
            asked: list[Future[Asked]] = []
            crowd.be_noisy(options.per_minute)
            for number in range(options.restarts):
                asked += crowd.ask_for(part.liquidations[2 * number : 2 * number + 2], 2.0, options.channels)
                role = ("bot", *WORKERS)[number % 3]
                manner = manner_of(number)
                old = now[role]
                if manner == "new one first":
                    now[role] = site.start(role, THIS)
                if manner == "kill -9":
                    site.kill(old)
                else:
                    codes[f"{role}: {site.stop(old)}"] += 1
                    stops.setdefault(role.split("-")[0], []).append(
                        (old.ended or 0) - (old.asked_to_end or 0)
                    )
                if manner != "new one first":
                    now[role] = site.start(role, THIS)
                kinds[manner] += 1
                jobs = _counted(Counter(job.status for job in watch.jobs))
                say(f"  restart {number + 1:2}  {role:9} {manner:14} {jobs}")
                time.sleep(1.0)
            given_up = part.until_ended(asked)
            say("Every job has ended; waiting for the last message …")
            told_after = part.until_told()
        books = part.common(result, given_up, told_after)
        workers = [each for each in site.history if each.role in WORKERS]
        bots = [each for each in site.history if each.role == "bot"]
        without_worker = away(workers, watch.began, watch.ended)
        without_bot = away(bots, watch.began, watch.ended)
        result.add("restarts", _counted(kinds))
        result.add("a worker's SIGTERM to its end", Spread.of(stops.get("worker", [])))
        result.add("the bot's SIGTERM to its end", Spread.of(stops.get("bot", [])))
        result.add("a worker's start to ready", Spread.of((e.ready or e.begun) - e.begun for e in workers))
        result.add("the bot's start to connected", Spread.of((e.ready or e.begun) - e.begun for e in bots))
        result.add("time without a worker", _gaps(without_worker))
        result.add("time without a bot", _gaps(without_bot))
        unacked = books.unacked()
        found, lost = _while_away(unacked, without_bot)
        result.add("not acknowledged while there was no bot", _errors(found))
        result.check(
            "every command and press was acknowledged while there was a bot", not lost, _errors(lost)
        )
        ended_well = all(code.endswith(": 0") for code in codes)
        result.check("every process ends with 0 after SIGTERM", ended_well, _counted(codes))
        part.memory(result, is_flat=False)
        part.connections(result)
        return result


def releases(options: Options, say: Say, commit: str) -> Result:
    """The release before goes on while this one migrates, joins it, and takes over."""
    with _begun(options, say, rows_per_second=20_000.0) as part:
        site, watch, crowd = part.site, part.watch, part.crowd
        before = site.before(commit)
        what = part.fill()
        site.migrate(before)
        old = [site.start(f"old {role}", before) for role in ("bot", *WORKERS)]
        site.slack.wait_connected()
        result = Result("releases", f"{before.name} and this release beside each other, during {what}")
        each = max(10.0, options.minutes * 60 / 4)
        say(f"{what}; the release before is up, people begin …")
        with watch:
            asked = crowd.ask_for(part.liquidations, each * 3.5, options.channels)
            crowd.be_noisy(options.per_minute)
            time.sleep(each)
            say("Migrating, while the release before is at work …")
            migrated = site.migrate(THIS)
            migrated_at = time.time()
            time.sleep(each)
            say("This release joins …")
            for role in ("bot", *WORKERS):
                site.start(role, THIS)
            joined_at = time.time()
            time.sleep(each)
            say("The release before ends …")
            codes = Counter(f"{running.role}: {site.stop(running)}" for running in old)
            left_at = time.time()
            time.sleep(each)
            given_up = part.until_ended(asked)
            say("Every job has ended; waiting for the last message …")
            told_after = part.until_told()
            refused = _starts_again(site, before)
        # The minute in which the release before called Slack too is over then.
        books = part.common(result, given_up, told_after, alone_since=left_at + 60.0)
        result.add("traspaso migrate, under load", f"{migrated:.1f} s")
        result.add(
            "jobs begun before · after the migration · beside each other · by this release alone",
            _by_phase(books, [migrated_at, joined_at, left_at]),
        )
        result.add("attempts by release", _counted(_attempts(books, site)))
        result.add("a worker of the release before, started after the migration", refused)
        unacked = books.unacked()
        lost = [each for each in unacked if abs(each.sent_at - (old[0].asked_to_end or 0)) > 3.0]
        result.add(
            "not acknowledged as the release before ended", _errors([e for e in unacked if e not in lost])
        )
        result.check("every other command and press was acknowledged", not lost, _errors(lost))
        result.check(
            "the processes of the release before end with 0",
            all(c.endswith(": 0") for c in codes),
            _counted(codes),
        )
        old_lines, new_lines = logged(site.logs("old ")), logged(_new_lines(site))
        result.add(
            "logged by the release before",
            "\n".join(f"{n} × {line}" for line, n in old_lines.items()) or "nothing",
        )
        result.add(
            "logged by this release", "\n".join(f"{n} × {line}" for line, n in new_lines.items()) or "nothing"
        )
        part.connections(result)
        return result


# --------------------------------------------------------------------------------------------------- helpers


@contextmanager
def _begun(options: Options, say: Say, **work: float) -> Iterator[Part]:
    settings = {**work, **({"parallel": options.parallel} if options.parallel else {})}
    say("Starting two PostgreSQL clusters, Valkey and the local Slack …")
    with Site(settings) as site:
        part = Part(site, options, say)
        try:
            yield part
        finally:
            part.crowd.close()


def _wait(asked: Sequence[Future[Asked]], part: Part, until: float) -> None:
    """People go on until then, and until every job has ended."""
    deadline = time.monotonic() + part.options.patience_minutes * 60
    while time.monotonic() < deadline:
        over = all(future.done() for future in asked) and all(job.is_over for job in part.watch.jobs)
        if over and time.monotonic() >= until:
            return
        time.sleep(0.5)


def manner_of(number: int) -> str:
    """How the restart of this number is done: every seventh is a kill, of the others each second overlaps."""
    if number % 7 == 6:
        return "kill -9"
    return "new one first" if number // 3 % 2 else "one by one"


def away(runs: Sequence[Running], began: float, ended: float) -> list[tuple[float, float]]:
    """The times in which none of these could work."""
    gaps = []
    covered = began
    for start, end in sorted((run.ready, run.asked_to_end or ended) for run in runs if run.ready is not None):
        if start > covered:
            gaps.append((covered, start))
        covered = max(covered, end)
    if covered < ended:
        gaps.append((covered, ended))
    return gaps


def _gaps(gaps: Sequence[tuple[float, float]]) -> str:
    lengths = [end - start for start, end in gaps]
    if not lengths:
        return "none"
    return f"{sum(lengths):.1f} s in {len(lengths)} times, the longest {max(lengths):.1f} s"


def _while_away(
    envelopes: Sequence[Envelope], gaps: Sequence[tuple[float, float]]
) -> tuple[list[Envelope], list[Envelope]]:
    """Those that were sent while nobody was there, and the others."""
    inside = [e for e in envelopes if any(start <= e.sent_at <= end for start, end in gaps)]
    return inside, [e for e in envelopes if e not in inside]


def _about(site: Site, envelope: Envelope) -> str:
    """What wasn't acknowledged, and how long after the last end of a bot it was sent."""
    ends = [run.asked_to_end for run in site.history if "bot" in run.role and run.asked_to_end]
    nearest = min(ends, key=lambda at: abs(at - envelope.sent_at), default=None)
    when = "" if nearest is None else f", {envelope.sent_at - nearest:+.3f} s from the end of a bot"
    return f"{envelope.type}: {envelope.error}{when}, acked {envelope.acks} times, late {envelope.late}"


def _errors(envelopes: Sequence[Envelope]) -> str:
    return _counted(Counter(str(envelope.error) for envelope in envelopes))


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"


def _jobs(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    return f"not job {', '.join(map(str, numbers[:10]))}{' …' if len(numbers) > 10 else ''}"


#: What makes two lines of one kind differ.
_VARIABLE = re.compile(r"\b[0-9a-f]{8}\b|\b\d[\d.,:]*\b|\bU0\w+")
_BAD = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback|^\w+(\.\w+)*(Error|Exception)\b")


def logged(lines: Sequence[str], most: int = 25) -> dict[str, int]:
    """Warnings and errors, those that differ in numbers only counted together."""
    found = Counter(_VARIABLE.sub("#", line)[:220] for line in lines if _BAD.search(line))
    return dict(found.most_common(most))


def _new_lines(site: Site) -> list[str]:
    return [line for role in ("bot", *WORKERS) for line in site.logs(role)]


def _by_phase(books: Books, borders: Sequence[float]) -> str:
    phases = Counter(sum(job["created_at"].timestamp() >= border for border in borders) for job in books.jobs)
    return " · ".join(str(phases[phase]) for phase in range(len(borders) + 1))


def _attempts(books: Books, site: Site) -> dict[str, int]:
    """By the process that the claim names."""
    names = {}
    for running in site.history:
        for line in running.child.log().splitlines():
            if found := re.search(r"job (\d+): attempt (\d+) starts", line):
                names[int(found[1]), int(found[2])] = "before" if running.role.startswith("old") else "this"
    claims = [(event["job_id"], event["attempt"]) for event in books.events if event["kind"] == "claimed"]
    return dict(Counter(names.get(claim, "not told") for claim in claims))


def _starts_again(site: Site, before: Release) -> str:
    """Whether a process of the release before can still be started, as where a machine restarts."""
    try:
        running = site.start("old worker-3", before)
    except Exception as error:
        ended = re.search(r"ended with (\d+)", str(error))
        said = [line for line in site.history[-1].child.log().splitlines() if "CRITICAL" in line]
        return f"ends with {ended[1] if ended else '?'}: {said[-1] if said else error}"
    site.stop(running)
    return "works"
