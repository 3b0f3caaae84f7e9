"""A side that says nothing: its sessions don't outlive us there, and whoever asks to stop is obeyed here."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from bot.config import SIDES
from copier import Copy, Limits
from copier.errors import Transient
from copier.model import Chunk
from dev.proxy import Proxy
from tests.copying import ITEMS, Begun, Sides, engine, preview, sessions_end, spec
from tests.shell import FILE, Shell
from tests.support import Database, until

ROWS = 3_000
LABEL = "traspaso 0badcafe job 7/2"
OURS = """
    SELECT pid, state, application_name FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture
def full(sides: Sides) -> Sides:
    sides.both(ITEMS)
    sides.prod.execute(f"INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, {ROWS}) g")
    return sides


def named(database: Database, name: str) -> list[int]:
    """The server's processes for sessions of this name, in a transaction or not."""
    return [pid for pid, _, label in database.rows(OURS) if label.startswith(name)]


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """The server's processes stand still; their sockets live."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def labelled(sides: Sides, waiting: Callable[[float], None] = lambda silent: None, **limits: Any) -> Copy:
    return Copy(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        spec(),
        42,
        names=SIDES,
        limits=Limits(**{"parallel": 1, "chunk_seconds": 60.0, "lock_timeout_seconds": 60.0, **limits}),
        label=LABEL,
        on_silence=waiting,
    )


# ------------------------------------------------------------------ what the servers know of our sessions


@pytest.mark.parametrize("parallel", [1, 2])
def test_every_session_that_works_for_a_copy_says_for_which_one(full: Sides, parallel: int) -> None:
    full.consulta.execute("INSERT INTO items VALUES (5, 42, 0, 'old')")
    seen: set[tuple[str, str]] = set()
    one_look = threading.Lock()  # each lane looks: else one would see the session by which another one looks

    def look(*_: object) -> None:
        for side, database in (("prod", full.prod), ("consulta", full.consulta)):
            # One that begins just now is about to say it, in its first statement.
            begun = f"{OURS} AND state NOT IN ('idle', 'starting') AND query !~* '^BEGIN|application_name'"
            with one_look:
                seen.update((side, label) for _, _, label in database.rows(begun))

    with labelled(full, parallel=parallel, chunk_rows=500) as copy:
        copy.verify(copy.run(look), on_comparison=look)
    assert seen == {("prod", LABEL), ("consulta", LABEL)}


def test_a_chunk_tells_its_server_when_the_line_is_dead_and_leaves_nothing_behind(full: Sides) -> None:
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    names += ("client_connection_check_interval", "idle_in_transaction_session_timeout")
    ask = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    found = []
    with full.open(spec(), chunk_rows=ROWS) as copy:
        copy.run(lambda connection, chunk: found.append(connection.exec_driver_sql(ask).one()))
    assert [tuple(row) for row in found] == [("30", "10", "3", "70000", "5s", "1min")]


def test_over_a_unix_socket_the_limits_of_a_line_are_no_hindrance(full: Sides) -> None:
    prod, consulta = (side.server.socket_url(side.name) for side in (full.prod, full.consulta))
    full.copy_proven(spec(), prod_url=prod, consulta_url=consulta)
    full.assert_same()


def test_sessions_that_wait_for_a_cap_are_kept_alive(full: Sides) -> None:
    """Each pause is longer than the time after which the servers end a silent session."""
    done = full.copy_proven(spec(), rows_per_second=1000, lost_seconds=0.8)
    assert len(done.chunks) == 3
    full.assert_same()


def test_a_chunk_whose_record_takes_its_time_is_kept_alive(full: Sides) -> None:
    """Consulta's session is idle in its transaction for three of the times after which it would be ended."""
    full.copy_proven(spec(), record=lambda connection, chunk: time.sleep(1.2), lost_seconds=0.8)
    full.assert_same()


def test_a_caller_that_takes_its_time_between_two_chunks_finds_its_sessions_again(full: Sides) -> None:
    with labelled(full, chunk_rows=1000, lost_seconds=1.0) as copy:
        run = Begun(copy)
        holder = named(full.prod, LABEL)[0]
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            assert holder in named(full.prod, LABEL)
            time.sleep(0.1)
        assert copy.verify(run.finish()).holds


# ---------------------------------------------------------------------------- a worker behind a dead line


@pytest.mark.parametrize("in_the_middle", [False, True], ids=["between two statements", "inside a COPY"])
def test_prod_ends_the_sessions_of_a_worker_that_is_killed_behind_a_frozen_line(
    shell: Shell, in_the_middle: bool
) -> None:
    """The line swallows everything, also the goodbye of the process that is killed."""
    prod, consulta = shell.sides.prod, shell.sides.consulta
    settings = FILE.replace("lock_timeout_seconds = 60", "lock_timeout_seconds = 5\nlost_seconds = 6")
    # More than one range: the session that holds the snapshot reads none of them, and has nothing to send.
    Path(shell.environment["TRASPASO_CONFIG"]).write_text(settings.replace("1000", "4000"), "utf-8")
    prod.execute(f"UPDATE items SET note = repeat('x', {8_000 if in_the_middle else 1})")
    with Proxy(prod.server.port) as line, psycopg.connect(consulta.url) as somebody:
        # A row that isn't committed holds up the chunk of consulta, and so prod's COPY.
        somebody.execute("INSERT INTO items VALUES (1, 7, 0, 'in the way')")
        where = shell.environment["PROD_DATABASE_URL"].replace(f":{prod.server.port}/", f":{line.port}/")
        process = shell.begin("copy", "42", PROD_DATABASE_URL=where)
        held_up = """
            SELECT FROM pg_stat_activity WHERE application_name LIKE '% job %' AND wait_event_type = 'Lock'
        """
        until(lambda: consulta.rows(held_up), 20, "a chunk that is held up")
        active = {True: "active", False: "idle in transaction"}[in_the_middle]
        until(lambda: active in {state for _, state, _ in prod.rows(OURS)}, 5, f"a session that is {active}")
        line.stall()
        process.kill()
        process.communicate()
        assert named(prod, "traspaso ")
        until(lambda: not prod.rows(OURS), 60, "the end of the sessions in prod")
        line.resume()


# ------------------------------------------------------------------------------- who waits can be stopped


class Stopped(Exception):
    """What a caller raises that doesn't want to wait any more."""


class Caller:
    """Gives up where a side has been silent for a second, as soon as it is told to."""

    def __init__(self) -> None:
        self.wants_to_stop = False

    def __call__(self, silent: float) -> None:
        if self.wants_to_stop:
            raise Stopped


def obeyed_within(seconds: float, work: Callable[[], object]) -> None:
    began = time.monotonic()
    with pytest.raises(Stopped):
        work()
    assert time.monotonic() - began < seconds


LOCKED = "LOCK TABLE items IN ACCESS EXCLUSIVE MODE"


@pytest.mark.parametrize("side", ["prod", "consulta"])
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_copy_whose_servers_stand_still_can_be_stopped(full: Sides, side: str, parallel: int) -> None:
    caller = Caller()
    database = full.prod if side == "prod" else full.consulta
    stands_still = threading.Event()

    def record(connection: Connection, chunk: Chunk) -> None:
        """No lane gets further than its first chunks before the server stands still."""
        if chunk.range.number > 1:
            assert stands_still.wait(30)

    with labelled(full, caller, chunk_rows=500, parallel=parallel) as copy:
        run = Begun(copy, record)
        with stopped([pid for pid, _, _ in database.rows(OURS)]):
            caller.wants_to_stop = True
            stands_still.set()
            obeyed_within(10, run.finish)
            began = time.monotonic()
            copy.close()
            assert time.monotonic() - began < 10
    assert sessions_end(full.prod)
    assert sessions_end(full.consulta)
    full.copy_proven(spec())
    full.assert_same()


def test_a_count_that_takes_long_can_be_stopped_and_ends_in_prod_too(full: Sides) -> None:
    full.prod.execute("""
        CREATE FUNCTION slowly() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN true; END $$;
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE slowly()
    """)
    caller = Caller()
    with Copy(
        engine(full.prod.url),
        engine(full.consulta.url),
        spec(key=("id",)),
        42,
        label=LABEL,
        on_silence=caller,
    ) as copy:
        caller.wants_to_stop = True
        obeyed_within(6, copy.plan)
        until(lambda: "active" not in {state for _, state, _ in full.prod.rows(OURS)}, 2, "a cancelled count")


def test_a_lock_that_somebody_holds_in_consulta_is_not_waited_for_against_the_callers_will(
    full: Sides,
) -> None:
    caller = Caller()
    with labelled(full, caller) as copy, psycopg.connect(full.consulta.url) as somebody:
        copy.plan()
        somebody.execute("INSERT INTO items VALUES (7, 8, 0, 'in the way')")
        caller.wants_to_stop = True
        obeyed_within(6, copy.run)
    assert full.consulta.rows("SELECT * FROM items") == [(7, 8, 0, "in the way")]


def test_nor_is_it_by_the_proof(full: Sides) -> None:
    caller = Caller()
    with labelled(full, caller) as copy:
        result = copy.run()
        with psycopg.connect(full.consulta.url) as somebody:
            somebody.execute(LOCKED)
            caller.wants_to_stop = True
            obeyed_within(6, lambda: copy.verify(result))


def test_nor_is_a_lock_in_prod_where_the_copy_begins(full: Sides) -> None:
    caller = Caller()
    caller.wants_to_stop = True
    with psycopg.connect(full.prod.url) as somebody:
        somebody.execute(LOCKED)
        obeyed_within(6, lambda: labelled(full, caller))
    assert sessions_end(full.prod)


def test_nor_is_a_server_that_lets_nobody_in(full: Sides) -> None:
    caller = Caller()
    caller.wants_to_stop = True
    with Proxy(full.prod.server.port) as line:
        url = full.prod.url.replace(f":{full.prod.server.port}/", f":{line.port}/")
        line.stall()
        obeyed_within(4, lambda: Copy(engine(url), engine(full.consulta.url), spec(), 42, on_silence=caller))
        line.resume()
    assert sessions_end(full.prod)


def test_a_session_that_owes_an_answer_to_its_keeper_does_not_block_who_uses_it(full: Sides) -> None:
    """The empty query that keeps it alive isn't answered; the next chunk waits for the same session."""
    caller = Caller()
    with labelled(full, caller, chunk_rows=500, lost_seconds=2.0) as copy:
        run = Begun(copy)
        pids = named(full.prod, LABEL)
        with stopped(pids):
            time.sleep(1.5)  # at least two rounds of the keeper
            caller.wants_to_stop = True
            began = time.monotonic()
            with pytest.raises((Stopped, Transient)):
                run.finish()
            copy.close()
            assert time.monotonic() - began < 10


def test_a_look_at_a_server_that_stands_still_ends(full: Sides) -> None:
    with Proxy(full.prod.server.port) as line:
        url = full.prod.url.replace(f":{full.prod.server.port}/", f":{line.port}/")
        prod = engine(url)
        prod.connect().close()
        line.stall_after(700, "sent")  # in the middle of what the look sends first
        began = time.monotonic()
        with pytest.raises(Transient) as failed:
            preview(prod, engine(full.consulta.url), spec(), 42, timeout_seconds=0.2)
        assert failed.value.side == "prod"
        assert time.monotonic() - began < 20
        line.resume()
