"""Each job that ends leaves a receipt in a chain, and whoever changes the past is found out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

import migrations
from bot.jobs.actions import Approvals
from bot.jobs.receipts import (
    BEFORE_THE_FIRST,
    DateRange,
    Receipt,
    Receipts,
    Wanted,
    WrongDateRange,
    hash_of,
    walk,
)
from dev.guard import ROOT
from tests.support import Database
from tests.tracking import ANA, BOB, LOST, PLAN, PROOF, WRONG, Ends, Jobs

AT = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)


def chain(n: int) -> list[Receipt]:
    """As the tables would have them, of jobs that differ in everything."""
    receipts: list[Receipt] = []
    previous = BEFORE_THE_FIRST
    for number in range(1, n + 1):
        at = AT + timedelta(seconds=number, microseconds=number)
        content: dict[str, Any] = {
            "number": number,
            "job": 100 + number,
            "attempt": number % 3,
            "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "label": f"Liquidación {number}",
            "rows": 10**17 + number,
            "who": {"id": f"U{number}", "name": "Ñandú"},
            "nothing": None,
            "yes": True,
        }
        receipts.append(
            Receipt(number, 100 + number, number % 3, at, content, previous, hash_of(previous, content))
        )
        previous = receipts[-1].hash
    return receipts


def changed(receipt: Receipt, **fields: Any) -> Receipt:
    return Receipt(
        **{name: fields.get(name, getattr(receipt, name)) for name in Receipt.__dataclass_fields__}
    )


def end(jobs: Jobs, n: int, **values: Any) -> list[int]:
    ended = []
    for _ in range(n):
        attempt = jobs.claimed(**values)
        attempt.planned(PLAN)
        Ends(attempt).completed(PROOF)
        ended.append(attempt.job_id)
    return ended


def contents(jobs: Jobs) -> list[dict[str, Any]]:
    return [entry.content for entry in Receipts(jobs.engine).entries(Wanted()) if entry.receipt]


# ------------------------------------------------------------------------------------ the walk


def test_a_chain_that_nobody_has_touched_holds() -> None:
    found = walk(chain(5))
    assert found.holds
    assert (found.receipts, found.newest and found.newest.number) == (5, 5)
    assert walk([]).holds


@given(data=st.data(), n=st.integers(1, 6))
def test_any_change_of_any_field_of_any_receipt_is_found(data: st.DataObject, n: int) -> None:
    receipts = chain(n)
    victim = data.draw(st.integers(0, n - 1))
    receipt = receipts[victim]
    kind = data.draw(st.sampled_from(["content", "gone", "added", "row"]))
    fields: dict[str, Any] = {}
    if kind == "row":
        name = data.draw(st.sampled_from(["number", "job_id", "attempt", "at", "previous_hash", "hash"]))
        value = getattr(receipt, name)
        match value:
            case int():
                fields[name] = data.draw(st.integers().filter(lambda other: other != value))
            case datetime():
                fields[name] = value + timedelta(microseconds=data.draw(st.integers(1, 10**9)))
            case _:
                fields[name] = data.draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)).replace("0", "f")
    else:
        content = dict(receipt.content)
        key = data.draw(st.sampled_from(sorted(content)))
        if kind == "gone":
            del content[key]
        elif kind == "added":
            content["more"] = data.draw(st.none() | st.integers() | st.text())
        else:
            other = (
                st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.text())
            )
            same = json.dumps(content[key])
            content[key] = data.draw(other.filter(lambda new: json.dumps(new) != same))
        fields["content"] = content
    receipts[victim] = changed(receipt, **fields)
    found = walk(receipts)
    assert not found.holds
    assert found.receipts in {victim, victim + 1}  # a hash that was changed shows in itself, or in the next


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_receipt_that_was_removed_is_missed(victim: int) -> None:
    receipts = chain(4)
    del receipts[victim]
    assert walk(receipts).broken == (
        f"receipt {victim + 1} is missing: receipt {victim + 2} comes in its place"
    )


def test_two_that_were_swapped_are_found_also_where_their_numbers_were_swapped_with_them() -> None:
    receipts = chain(4)
    assert not walk([receipts[0], receipts[2], receipts[1], receipts[3]]).holds
    second, third = receipts[1], receipts[2]
    renumbered = [receipts[0], changed(third, number=2), changed(second, number=3), receipts[3]]
    assert not walk(renumbered).holds


def test_a_chain_that_was_written_anew_from_some_receipt_on_breaks_a_hash_that_was_noted() -> None:
    noted = chain(5)[-1].hash
    receipts = chain(3)
    assert walk(receipts).holds  # the newest two were removed: the chain alone can't tell
    found = walk(receipts, [noted])
    assert (found.holds, found.broken, found.missing) == (False, None, (noted,))
    assert walk(chain(7), [noted.upper(), f" {noted} "]).holds


def test_the_hash_can_be_computed_without_traspaso() -> None:
    receipt = chain(1)[0]
    words = json.dumps(receipt.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert receipt.hash == hashlib.sha256(("0" * 64 + words).encode()).hexdigest()


# -------------------------------------------------------------------------------- what is written


def test_a_completed_job_leaves_who_asked_who_approved_what_changed_and_both_digests(jobs: Jobs) -> None:
    job_id = jobs.create(approvers=("<!subteam^S0ADMINS>",), label="Octubre")
    Approvals(jobs.engine).approve(job_id, BOB)
    attempt = jobs.executions.claim(job_id, "host:1")
    assert attempt is not None
    attempt.planned(PLAN)
    Ends(attempt).completed(PROOF)
    [receipt] = contents(jobs)
    assert receipt["requested_by"] == {"team": "T0", "id": "U0ANA", "name": "Ana"}
    assert receipt["decided_by"] == {"team": "T0", "id": "U0BOB", "name": "Bob"}
    assert (receipt["job"], receipt["attempt"], receipt["status"]) == (job_id, 1, "completed")
    assert (receipt["liquidation"], receipt["label"], receipt["copy"]) == (42, "Octubre", "items")
    assert receipt["as_of"] == PLAN.as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert receipt["prod_digest"] == receipt["consulta_digest"] == PROOF.source.hex
    assert (receipt["rows_in_prod"], receipt["rows_in_consulta"]) == (PLAN.total, 5)
    assert receipt["ended_by"] is None
    assert Receipts(jobs.engine).verify().holds


def test_failed_rejected_cancelled_and_expired_jobs_leave_one_too(jobs: Jobs) -> None:
    Ends(jobs.claimed(liquidation=1)).failed(LOST, WRONG)
    rejected = jobs.create(liquidation=2, approvers=("<@U0BOB>",))
    Approvals(jobs.engine).reject(rejected, BOB, "=cmd|' /C calc'!A0")
    cancelled = jobs.create(liquidation=3)
    jobs.control.cancel(cancelled, BOB)
    expired = jobs.create(liquidation=4, approvers=("<@U0BOB>",))
    jobs.run("UPDATE traspaso.copy_jobs SET approval_until = now() WHERE id = :id", id=expired)
    jobs.sweep()
    found = contents(jobs)
    assert [each["status"] for each in found] == ["failed", "cancelled", "cancelled", "cancelled"]
    assert (found[0]["failure"], found[0]["ended_by"]) == ("connection", None)
    assert (found[1]["ended_by"]["id"], found[1]["ended_reason"]) == ("U0BOB", "=cmd|' /C calc'!A0")
    assert found[2]["ended_by"]["id"] == "U0BOB"
    assert (found[3]["event"], found[3]["ended_by"]) == ("approval_expired", None)
    assert Receipts(jobs.engine).verify().holds


def test_a_job_that_ends_again_after_a_retry_leaves_one_more(jobs: Jobs) -> None:
    attempt = jobs.claimed()
    Ends(attempt).failed(LOST)
    jobs.control.retry(attempt.job_id, ANA)
    again = jobs.executions.claim(attempt.job_id, "host:1")
    assert again is not None
    Ends(again).completed(PROOF)
    assert [(each["job"], each["attempt"], each["status"]) for each in contents(jobs)] == [
        (attempt.job_id, 1, "failed"),
        (attempt.job_id, 2, "completed"),
    ]
    newest = Receipts(jobs.engine).newest()
    assert newest is not None
    assert Receipts(jobs.engine).hash_of(attempt.job_id) == newest.hash


def test_who_did_not_end_the_job_leaves_nothing(jobs: Jobs) -> None:
    attempt = jobs.claimed()
    jobs.let_the_lease_run_out(attempt.job_id)
    jobs.sweep()
    with pytest.raises(Exception, match="is over"):
        Ends(attempt).completed(PROOF)
    assert contents(jobs) == []


def test_many_that_end_at_once_make_one_chain_without_a_gap_or_a_fork(jobs: Jobs) -> None:
    attempts = [jobs.claimed(liquidation=number) for number in range(1, 25)]
    ready = threading.Barrier(len(attempts))

    def finish(attempt: Any) -> None:
        ready.wait()
        Ends(attempt).completed(PROOF)

    threads = [threading.Thread(target=finish, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Receipts(jobs.engine).verify()
    assert (found.holds, found.receipts) == (True, len(attempts))
    moments = [each["at"] for each in contents(jobs)]
    assert moments == sorted(moments)
    assert sorted(each["job"] for each in contents(jobs)) == sorted(each.job_id for each in attempts)


#: What a worker holds that ends a job.
SEALING = (
    "SELECT pg_advisory_xact_lock(hashtextextended('traspaso receipts ' || id, 0)) FROM traspaso.installation"
)


def test_a_worker_that_is_killed_at_the_end_leaves_no_receipt_and_holds_up_nobody(
    jobs: Jobs, consulta: Database
) -> None:
    killed, other = jobs.claimed(liquidation=1), jobs.claimed(liquidation=2)
    with psycopg.connect(jobs.engine.url.set(drivername="postgresql").render_as_string(False)) as session:
        session.execute(SEALING)
        done = threading.Thread(target=lambda: Ends(other).completed(PROOF))
        done.start()
        session.execute("SELECT pg_sleep(0.1)")
        assert contents(jobs) == []
        session.close()  # its server rolls back, as for a process that was killed
    done.join(10)
    Ends(killed).completed(PROOF)
    assert [each["job"] for each in contents(jobs)] == [other.job_id, killed.job_id]
    assert Receipts(jobs.engine).verify().holds


#: A worker that is killed when its receipt is written and nothing is committed yet.
KILLED = """
import os, sys
from sqlalchemy import create_engine
from bot.jobs.attempt import Executions
from tests.tracking import PLAN, PROOF, Ends
attempt = Executions(create_engine(sys.argv[1]), lease_seconds=60).claim(int(sys.argv[2]), "host:9")
attempt.planned(PLAN)
sys.addaudithook(lambda name, _: os.kill(os.getpid(), 9) if name == "traspaso.completing" else None)
Ends(attempt).completed(PROOF)
"""


def test_after_a_kill_9_between_the_receipt_and_the_commit_the_next_attempt_leaves_the_only_one(
    jobs: Jobs,
) -> None:
    job_id = jobs.create()
    url = jobs.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run([sys.executable, "-c", KILLED, url, str(job_id)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert contents(jobs) == []
    jobs.let_the_lease_run_out(job_id)
    jobs.sweep()
    again = jobs.executions.claim(job_id, "host:1")
    assert again is not None
    Ends(again).completed(PROOF)
    assert [(each["job"], each["attempt"]) for each in contents(jobs)] == [(job_id, 2)]
    assert Receipts(jobs.engine).verify().holds


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE traspaso.receipts SET receipt = jsonb_set(receipt, '{liquidation}', '43') WHERE number = 2",
        "UPDATE traspaso.receipts SET receipt = receipt - 'label' WHERE number = 2",
        "UPDATE traspaso.receipts SET job_id = job_id + 1 WHERE number = 2",
        "UPDATE traspaso.receipts SET at = at + interval '1 microsecond' WHERE number = 2",
        "UPDATE traspaso.receipts SET hash = repeat('a', 64) WHERE number = 2",
        "DELETE FROM traspaso.receipts WHERE number = 2",
    ],
)
def test_what_is_changed_in_the_table_is_found_and_named(jobs: Jobs, statement: str) -> None:
    end(jobs, 3)
    jobs.run(statement.replace(":", "\\:"))
    found = Receipts(jobs.engine).verify()
    assert found.broken is not None
    assert found.broken.startswith(("receipt 2", "receipt 3"))
    assert (found.newest and found.newest.number) in {1, 2}


def test_what_postgresql_makes_of_the_json_has_the_same_hash(jobs: Jobs) -> None:
    for label in ('Ñandú “año” \\ " / 😀 \u2028', "1e400", "0.10", " ", "\x7f\x1b[31m", "e\u0301 é"):
        end(jobs, 1, label=label)
    assert Receipts(jobs.engine).verify().holds


def test_no_receipt_goes_with_its_job(jobs: Jobs) -> None:
    end(jobs, 2)
    jobs.run("DELETE FROM traspaso.copy_jobs")
    assert len(contents(jobs)) == 2
    assert Receipts(jobs.engine).verify().holds


def test_the_chain_grows_on_over_a_thousand_receipts_and_is_read_in_pages(jobs: Jobs) -> None:
    end(jobs, 1)
    first = Receipts(jobs.engine).newest()
    assert first is not None
    previous = first.hash
    with jobs.engine.begin() as connection:
        for number in range(2, 1203):
            content = {**first.content, "number": number}
            hashed = hash_of(previous, content)
            connection.execute(
                text(
                    "INSERT INTO traspaso.receipts "
                    "VALUES (:n, :job, :attempt, :at, cast(:content AS jsonb), :previous, :hash)"
                ),
                {
                    "n": number,
                    "job": first.job_id,
                    "attempt": first.attempt,
                    "at": first.at,
                    "content": json.dumps(content),
                    "previous": previous,
                    "hash": hashed,
                },
            )
            previous = hashed
    end(jobs, 1)
    found = Receipts(jobs.engine).verify()
    assert (found.holds, found.receipts) == (True, 1203)


# --------------------------------------------------------------------------- before the chain, and which


def test_jobs_that_ended_before_the_chain_are_listed_without_a_link(consulta: Database) -> None:
    before = Jobs(consulta)
    [old] = end(before, 1)
    migrations.downgrade(before.engine, "0007")
    migrations.upgrade(before.engine)
    [new] = end(before, 1)
    old_entry, new_entry = Receipts(before.engine).entries(Wanted())
    assert (old_entry.content["job"], old_entry.hash) == (old, None)
    assert old_entry.content["requested_by"]["name"] == "Ana"
    assert (old_entry.content["event"], old_entry.content["prod_digest"]) == ("completed", PROOF.source.hex)
    assert new_entry.content["job"] == new
    assert new_entry.receipt is not None
    assert new_entry.receipt.previous_hash == BEFORE_THE_FIRST
    before.engine.dispose()


def test_receipts_are_found_by_period_job_and_liquidation(jobs: Jobs) -> None:
    first, second = end(jobs, 1, liquidation=7)[0], end(jobs, 1, liquidation=8)[0]
    receipts = Receipts(jobs.engine)

    def found(**wanted: Any) -> list[int]:
        return [entry.content["job"] for entry in receipts.entries(Wanted(**wanted))]

    today = DateRange.parse(datetime.now(UTC).strftime("%Y-%m-%d"))
    assert found() == found(period=today) == [first, second]
    assert found(period=DateRange.parse("2020..2021")) == []
    assert found(job_id=second) == [second]
    assert found(liquidation_id=7) == [first]
    assert [entry.content["job"] for entry in receipts.entries(Wanted(), limit=1)] == [second]


@pytest.mark.parametrize(
    ("words", "begin", "end"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-2-29", "2024-02-29", "2024-03-01"),
        ("2026-11..2027-01", "2026-11-01", "2027-02-01"),
        (" 2026-11-05 .. 2026-11-05 ", "2026-11-05", "2026-11-06"),
    ],
)
def test_a_period_is_a_year_a_month_a_day_or_two_of_them(words: str, begin: str, end: str) -> None:
    period = DateRange.parse(words)
    assert (f"{period.begin:%Y-%m-%d}", f"{period.end:%Y-%m-%d}") == (begin, end)
    assert period.begin.tzinfo is UTC


@pytest.mark.parametrize(
    "words",
    ["", "november", "2026-13", "2026-02-30", "2026-11..2026-10", "..", "0000", "9999-12-31", "２０２６"],
)
def test_what_is_no_period_is_said_to_be_none(words: str) -> None:
    with pytest.raises(WrongDateRange):
        DateRange.parse(words)
