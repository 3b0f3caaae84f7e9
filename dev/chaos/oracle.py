"""Whether a run kept the promises, asked without the product's digests and records being believed.

Each promise that was broken is a sentence; none of them tells a value of a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from sqlalchemy import create_engine

from bot.i18n import translator
from bot.jobs.repository import JobRepository
from bot.messages.card import card
from dev.chaos.data import CANARY, PASSWORD, Lines, Truth, lines, liquidation_of
from dev.chaos.house import Row, until
from dev.chaos.people import cards, part_of
from dev.compare import SESSION

if TYPE_CHECKING:
    from dev.chaos.run import Run


COUNTERS = ("inserted_records", "updated_records", "deleted_records", "unchanged_records", "moved_records")
#: No run needs more: an attempt that begins again and again gets nowhere.
MOST_ATTEMPTS = 15
#: Sessions of the product that are at work, or still have the name of an attempt.
SESSIONS = """
SELECT usename, application_name, state FROM pg_stat_activity
WHERE usename IN ('reader', 'traspaso') AND (state <> 'idle' OR application_name LIKE 'traspaso%% job %%')
AND datname = current_database()
"""
LOCKS = """
SELECT DISTINCT relation::regclass::text AS name, mode FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE usename IN ('reader', 'traspaso') AND relation::regclass::text IN ('items', 'traspaso.copy_jobs')
"""


def judge(run: Run, *, patience_seconds: float = 5.0) -> list[str]:
    """All that is broken, a sentence each. Sessions and locks have so long to go."""
    if not run.job:
        return []
    return [
        *_end(run),
        *_rows(run),
        *_other_rows(run),
        *_moment(run),
        *_ledger(run),
        *_receipts(run),
        *shown(run),
        *_leftovers(run, patience_seconds),
        *_secrets(run),
    ]


# ------------------------------------------------------------------------------------------------- the job


def _end(run: Run) -> Iterator[str]:
    job = run.job
    if job["status"] not in run.plan.may_end():
        error = (job["error"] or {}).get("code")
        yield f"the job ended {job['status']} ({error}), not {' or '.join(sorted(run.plan.may_end()))}"
    if job["attempt"] > MOST_ATTEMPTS:
        yield f"it took {job['attempt']} attempts"
    jobs = run.house.ask(
        "consulta",
        "SELECT count(*) AS n FROM traspaso.copy_jobs WHERE liquidation_id = %s",
        run.numbers.liquidation,
    )
    if jobs[0]["n"] != 1:
        yield f"one request made {jobs[0]['n']} jobs"


def _receipts(run: Run) -> Iterator[str]:
    """The chain of all receipts, computed here, and what the job's last one says."""
    rows = run.house.ask(
        "consulta",
        "SELECT number, job_id, receipt, previous_hash, hash FROM traspaso.receipts ORDER BY number",
    )
    previous = "0" * 64
    for number, row in enumerate(rows, 1):
        words = json.dumps(row["receipt"], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        computed = hashlib.sha256((previous + words).encode()).hexdigest()
        if (row["number"], row["previous_hash"], row["hash"]) != (number, previous, computed):
            yield f"the chain of receipts breaks at {number}"
            return
        previous = computed
    said = [row["receipt"]["status"] for row in rows if row["job_id"] == run.job["id"]]
    if said[-1:] != [run.job["status"]]:
        yield f"the job ended {run.job['status']}, and its receipts say {', '.join(said) or 'nothing'}"


def _after(run: Run) -> Lines:
    with psycopg.connect(run.house.consulta_url, options=SESSION) as consulta:
        return lines(consulta)


def _own(run: Run, rows: Lines) -> Lines:
    return {key: line for key, line in rows.items() if liquidation_of(line) == run.numbers.liquidation}


def _rows(run: Run) -> Iterator[str]:
    """Consulta holds what prod held at the snapshot of the attempt that completed; else nothing made up."""
    after = _own(run, _after(run))
    if run.job["status"] == "completed":
        truth = run.truths.get(run.job["attempt"])
        if truth is None:
            trouble = "; ".join(run.truth_errors) or "no snapshot was reported"
            yield f"what prod held at attempt {run.job['attempt']} isn't known: {trouble}"
        else:
            yield from _differences(after, truth.rows)
        return
    known = [_own(run, run.before), *(truth.rows for truth in run.truths.values())]
    made_up = sum(all(each.get(key) != line for each in known) for key, line in after.items())
    if made_up:
        yield f"{made_up} rows of the liquidation are neither old nor of any snapshot"


def _differences(after: Lines, truth: Lines) -> Iterator[str]:
    missing, surplus = truth.keys() - after.keys(), after.keys() - truth.keys()
    altered = [key for key in truth.keys() & after.keys() if truth[key] != after[key]]
    for word, keys in (("missing", missing), ("surplus", surplus), ("altered", altered)):
        if keys:
            yield f"{len(keys)} of {len(truth)} rows are {word} in consulta, such as that of id {min(keys)}"


def _other_rows(run: Run) -> Iterator[str]:
    """Rows of other liquidations stay, but for those that prod had under this one."""
    ours: set[int] = set()
    for truth in run.truths.values():
        ours |= truth.rows.keys()
    before = {k: v for k, v in run.before.items() if liquidation_of(v) != run.numbers.liquidation}
    after = {k: v for k, v in _after(run).items() if liquidation_of(v) != run.numbers.liquidation}
    lost = [key for key in before.keys() - after.keys() if key not in ours]
    altered = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    new = after.keys() - before.keys()
    for word, keys in (("lost", lost), ("altered", altered), ("new", new)):
        if keys:
            yield f"{len(keys)} rows of other liquidations are {word}, such as that of id {min(keys)}"
    there = run.house.ask("consulta", "SELECT count(*) AS n, min(words) AS w FROM bystanders")
    if there[0]["n"] != 50:
        yield "another table was changed"


def _moment(run: Run) -> Iterator[str]:
    """The receipt's as_of is the snapshot's moment: it sees what was committed before it, no more."""
    job = run.job
    truth = run.truths.get(job["attempt"])
    if job["status"] != "completed" or truth is None or run.plan.has("clock set", "prod"):
        return
    as_of, margin = job["as_of"], timedelta(milliseconds=50)
    if not run.began_at - margin <= as_of <= truth.read_at + margin:
        yield f"as_of {as_of} isn't between the run's begin and the snapshot {truth.read_at}"
    yield from _visibility(run, truth, as_of, margin)


def _visibility(run: Run, truth: Truth, as_of: Any, margin: timedelta) -> Iterator[str]:
    for written in list(run.writer.written):
        seen = written.tx in truth.seen
        if seen and written.begun > as_of + margin:
            yield f"the snapshot sees a transaction that began {written.begun - as_of} after as_of"
        if not seen and written.committed is not None and written.committed < as_of - margin:
            yield f"the snapshot doesn't see a transaction of {as_of - written.committed} before as_of"


# ---------------------------------------------------------------------------------------------- the ledger


def _ledger(run: Run) -> Iterator[str]:
    job = run.job
    chunks = run.house.ask(
        "consulta", "SELECT * FROM traspaso.copy_chunks WHERE job_id = %s ORDER BY attempt, number", job["id"]
    )
    own = [chunk for chunk in chunks if chunk["attempt"] == job["attempt"]]
    sums = {name: sum(chunk[name] for chunk in own) for name in COUNTERS}
    records = sum(chunk["records"] for chunk in own)
    if job["status"] == "completed":
        truth = run.truths.get(job["attempt"])
        rows = len(truth.rows) if truth is not None else job["total_records"]
        for name in ("total_records", "copied_records", "verified_records", "target_records"):
            if job[name] != rows:
                yield f"{name} says {job[name]}, prod held {rows}"
        if records != rows:
            yield f"the ledger adds up to {records} rows, prod held {rows}"
        if not job["source_digest"] or job["source_digest"] != job["target_digest"]:
            yield "the receipt's digests differ"
        bare = [
            c["number"] for c in own if not c["source_digest"] or c["source_digest"] != c["target_digest"]
        ]
        if bare:
            yield f"{len(bare)} lines of the ledger have no proof"
    if job["chunks_done"] != len(own):
        yield f"chunks_done says {job['chunks_done']}, the ledger has {len(own)}"
    for name, total in sums.items():
        if job[name] != total:
            yield f"{name} says {job[name]}, the ledger adds up to {total}"
    net = sum(chunk["inserted_records"] - chunk["deleted_records"] for chunk in chunks)
    was, now = len(_own(run, run.before)), len(_own(run, _after(run)))
    if was + net != now:
        yield f"all attempts brought {net} rows net, but {was} became {now}"
    yield from _events(run)


def _events(run: Run) -> Iterator[str]:
    events = run.house.ask(
        "consulta",
        "SELECT kind, attempt FROM traspaso.copy_events WHERE job_id = %s ORDER BY id",
        run.job["id"],
    )
    claimed = [event["attempt"] for event in events if event["kind"] == "claimed"]
    if claimed != list(range(1, run.job["attempt"] + 1)):
        yield f"attempts were claimed as {claimed}, the last is {run.job['attempt']}"
    ends = [event["kind"] for event in events if event["kind"] in {"completed", "cancelled"}]
    if ends != ([run.job["status"]] if run.job["status"] != "failed" else []):
        yield f"the history has the ends {ends}, the job is {run.job['status']}"


# -------------------------------------------------------------------------------------------- the messages


def shown(run: Run) -> Iterator[str]:
    """One card with the last state, one reply to each end, nothing pinned."""
    job = run.job
    everything = run.people.everything(job)
    found = cards(everything, job)
    where = job["channel_id"]
    here = [each for each in found if each.channel == where]
    moved = where != run.channel
    if not found and _deleted_after_all(run):
        pass  # somebody wanted it gone, and nothing more was to be shown on it
    elif len(here) != 1 or (len(found) != 1 and not moved):
        yield f"there are {len(found)} cards, {len(here)} of them where the job says that it is"
    ends = [part_of(each)[1] for each in everything if part_of(each)[0] == str(job["id"])]
    replies = [part for part in ends if part.startswith("ending-")]
    wanted = f"ending-{job['attempt']}-{job['status']}"
    if replies.count(wanted) != 1:
        yield f"{replies.count(wanted)} replies tell the end, all: {sorted(replies)}"
    if twice := sorted({part for part in ends if ends.count(part) > 1 and part != "card"} - {wanted}):
        yield f"told more than once: {twice}"
    if here:
        yield from _card(run, here[-1])
    for channel in dict.fromkeys([run.channel, where]):
        pinned = [each for each in run.house.api.pins(channel) if part_of(each)[0] == str(job["id"])]
        if pinned and not (moved and channel == run.channel):
            yield f"{len(pinned)} messages are still pinned in {channel}"


def _deleted_after_all(run: Run) -> bool:
    edits = [event.at for event in run.events if event.moment == "edit of an end"]
    return run.deleted_at is not None and bool(edits) and run.deleted_at > edits[-1]


def _card(run: Run, message: Any) -> Iterator[str]:
    engine = create_engine(run.house.consulta_url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        snapshot = JobRepository(engine).job(run.job["id"])
        assert snapshot is not None
        wanted = card(snapshot, translator("es"))
    finally:
        engine.dispose()
    if _bare(message.blocks) != _bare(wanted.blocks):
        yield f"the card doesn't say what the row says: {message.plain.splitlines()[:1]}"


def _bare(blocks: Any) -> Any:
    """Blocks without what Slack adds."""
    if isinstance(blocks, dict):
        return {k: _bare(v) for k, v in blocks.items() if k not in {"block_id", "emoji", "verbatim"}}
    if isinstance(blocks, list):
        return [_bare(each) for each in blocks]
    return blocks


# ------------------------------------------------------------------------------------------------ what's left


def _leftovers(run: Run, patience_seconds: float) -> Iterator[str]:
    sides: tuple[Literal["prod", "consulta"], ...] = ("prod", "consulta")
    for side in sides:
        if left := _staying(run, side, SESSIONS, patience_seconds):
            yield f"{len(left)} sessions are left in {side}: {left[:2]}"
        if left := _staying(run, side, LOCKS, patience_seconds):
            yield f"locks are left in {side}: {left[:2]}"
    strangers = run.house.strangers()
    if strangers:
        yield f"{len(strangers)} processes are left that nobody leads"


def _staying(run: Run, side: Literal["prod", "consulta"], query: str, seconds: float) -> list[Row]:
    """What is still there when it had time to go."""
    gone = until(lambda: not run.house.ask(side, query), seconds)
    return [] if gone else run.house.ask(side, query)


def _secrets(run: Run) -> Iterator[str]:
    """No row's value, password or token in anything that is written, said or shown."""
    words = {
        "a row's value": CANARY,
        "a password": PASSWORD,
        "the bot's token": run.house.api.bot_token,
        "the app's token": run.house.api.app_token,
    }
    said = [json.dumps([m.text, m.blocks], ensure_ascii=False) for m in run.people.everything(run.job)]
    said += [
        json.dumps(call["args"], ensure_ascii=False)
        for call in run.house.api.ask("calls", since=run.first_call)
    ]
    for what, word in words.items():
        for name, log in run.offsets.since().items():
            if word in log:
                yield f"{what} is in the log of {name}"
        if any(word in each for each in said):
            yield f"{what} was told to Slack"
        for table in ("copy_jobs", "copy_events", "outbox", "copy_chunks"):
            query = f"SELECT count(*) AS n FROM traspaso.{table} t WHERE t::text LIKE %s"
            if run.house.ask("consulta", query, f"%{word}%")[0]["n"]:
                yield f"{what} is in {table}"
