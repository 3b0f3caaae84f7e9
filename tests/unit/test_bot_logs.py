"""No password, no token and no value of a row gets into a log line."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from psycopg.errors import UniqueViolation

from bot.logs import FORMAT, Redacting, as_json


def as_fields(
    message: str, *args: object, error: BaseException | None = None, **extra: object
) -> dict[str, Any]:
    """The event as the one JSON object that is its line."""
    record = logging.LogRecord("bot", logging.ERROR, __file__, 1, message, args, None)
    record.__dict__.update(extra)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    written = as_json().format(record)
    assert len(written.splitlines()) == 1
    found: dict[str, Any] = json.loads(written)
    return found


def line(message: str, *args: object, error: BaseException | None = None) -> str:
    record = logging.LogRecord("bot", logging.ERROR, __file__, 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return Redacting(FORMAT).format(record)


SECRETS = [
    ("postgresql://writer:hunter2@consulta:5432/consulta", "hunter2"),
    ("postgresql+psycopg://writer:hun%40ter2@consulta/consulta", "hun%40ter2"),
    ("postgresql://writer:p:w/x?@consulta/consulta", "p:w/x?"),
    ("redis://:hunter2@redis:6379/0", "hunter2"),
    ("token xoxb-123-456-AbC_def", "123-456-AbC_def"),
    ("token xapp-1-A0-123-abc and more", "1-A0-123-abc"),
    ("{'token': 'xoxp-9-8-7'}", "9-8-7"),
    ("xoxe.xoxp-1-AbC", "1-AbC"),
    ("connection failed: password=hunter2 host=consulta", "hunter2"),
    ("password='hun ter2' host=consulta", "hun ter2"),
    ("POST https://hooks.slack.com/commands/T0/1-2/AbC", "AbC"),
    ("host=consulta password = hunter2", "hunter2"),
    ("PGPASSWORD=hunter2 psql", "hunter2"),
    ("postgresql:///consulta?sslpassword=hunter2&user=writer", "hunter2"),
    ("postgresql://writer:hun@ter2@consulta:5432/consulta", "ter2"),
    ("postgresql://writer@example.com:hunter2@consulta/consulta", "hunter2"),
    ("{'Authorization': 'Bearer hunter2-abc.def/ghi='}", "ghi"),
    ("authorization: bearer hunter2", "hunter2"),
    ("Authorization: Basic aHVudGVyMg==", "aHVudGVyMg"),
    ("wss://wss-primary.slack.com/link/?ticket=0a1b-2c3d&app_id=A0", "0a1b-2c3d"),
    ('{"user": "writer", "password": "hun \\"ter2"}', "ter2"),
    ("{'ok': True, 'ticket': '0a1b'}", "0a1b"),
    (r'body: "{\"password\": \"hunter2\", \"a\": 1}"', "hunter2"),
    ("password=\u200bhunter2", "hunter2"),
    ("pass\u200bword=hunter2", "hunter2"),
    ("Connection(username='u', client_secret='hunter2')", "hunter2"),
]


@pytest.mark.parametrize(("said", "secret"), SECRETS)
def test_a_secret_is_taken_out_of_a_message_an_argument_and_a_traceback(said: str, secret: str) -> None:
    assert secret not in line(f"it failed: {said}".replace("%", "%%"), *())
    assert secret not in line("it failed: %s", said)
    try:
        raise ValueError(said)
    except ValueError as error:
        told = line("it failed", error=error)
    assert secret not in told
    assert "ValueError" in told


@pytest.mark.parametrize(("said", "secret"), SECRETS)
def test_a_secret_is_taken_out_of_every_field_of_a_json_line(said: str, secret: str) -> None:
    try:
        raise ValueError(said)
    except ValueError as error:
        told = as_fields("it failed: %s", said, error=error, body={"tried": [said]}, place=said, **{said: 1})
    assert secret not in json.dumps(told, ensure_ascii=False)
    assert "ValueError" in told["exc"]


@pytest.mark.parametrize("name", ["password", "bot_token", "SLACK_SIGNING_SECRET", "Authorization", "ticket"])
def test_a_field_whose_name_says_that_it_is_a_secret_tells_nothing(name: str) -> None:
    told = as_fields("it failed", **{name: "hunter2"}, headers={name: ["hunter2"], "X-Slack": "kept"})
    assert told[name] == told["headers"][name] == "***"
    assert told["headers"]["X-Slack"] == "kept"


@pytest.mark.parametrize(
    "said",
    [
        "job 17: attempt 2 starts",
        "http://127.0.0.1:5432/api/ answered",
        "https://acme.slack.com/archives/C0/p1 by ana@example.com",
        "postgresql://consulta:5432/consulta",
        "10:20:30 user@host",
        "check user, password and database name: consulta refused the login",
        "the bot token: set it to the one of the Slack app",
        '{"user": "writer", "copies": 3}',
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert said in line("%s", said)


def test_who_connected_can_still_be_read() -> None:
    assert "postgresql://writer:***@consulta/x" in line("postgresql://writer:hunter2@consulta/x")


def test_a_traceback_tells_what_led_to_an_error_as_python_does() -> None:
    def fails() -> None:
        try:
            {}["table"]
        except KeyError as error:
            raise RuntimeError("no such table") from error

    with pytest.raises(RuntimeError) as failed:
        fails()
    told = line("it failed", error=failed.value)
    places = [
        each.strip() for each in told.split("\\n") if each.startswith(("KeyError", "builtins", "Trace"))
    ]
    assert places == [
        "Traceback (most recent call last):",
        "builtins.KeyError: 'table'",
        "Traceback (most recent call last):",
        "builtins.RuntimeError: no such table",
    ]
    assert '{}["table"]' in told


def test_an_error_that_a_cycle_of_causes_leads_to_is_written_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    told = line("it failed", error=first)
    assert (told.count("first"), told.count("second")) == (1, 1)


@pytest.mark.parametrize("foreign", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b", "\x1b[2Ja\x0bb", "\u202ea\x1eb"])
def test_an_event_is_one_line_whatever_is_in_it(foreign: str) -> None:
    forged = f"{foreign}2026-01-01 00:00:00 INFO bot: job 1 completed"
    try:
        raise ValueError(forged)
    except ValueError as error:
        told = line("it failed: %s", forged, error=error)
    assert len(told.splitlines()) == 1
    assert not set(told) & set("\x1b\u202e\u2028\x85")
    assert "Traceback" in told
    assert "ValueError" in told
    try:
        raise ValueError(forged)
    except ValueError as error:
        fields = as_fields("it failed: %s", forged, error=error, place=forged)
    assert not set("".join(map(str, fields.values()))) & set("\x1b\u202e\u2028\x85")
    assert "ValueError" in fields["exc"]


def test_a_json_line_says_when_how_bad_who_what_and_where() -> None:
    told = as_fields("job %s: %s", 17, "attempt 2 starts", place="prod")
    moment = datetime.fromisoformat(told.pop("timestamp"))
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert told == {
        "event": "job 17: attempt 2 starts",
        "level": "error",
        "logger": "bot",
        "place": "prod",
        "thread": "MainThread",
        "version": version("traspaso"),
        "worker": f"{socket.gethostname()}:{os.getpid()}",
    }


def test_a_value_of_a_row_in_a_database_s_error_is_in_no_field() -> None:
    detail = (
        'duplicate key value violates unique constraint "items_pkey"\nDETAIL:  Key (id)=(hunter2) exists.'
    )
    told = as_fields("it failed", error=UniqueViolation(detail))
    assert "hunter2" not in json.dumps(told)


SERVICE = """
import logging, threading, warnings
from bot import logs
from bot.periodic import PeriodicThread
from bot.work.cancellation import StopSwitch, in_time
from copier.parallel import run_lanes
logs.set_up(is_service=True)
def say(word):
    logging.getLogger("of." + word).info("said by %s", word)
def ticks():
    say("ticker"); done.set(); thread.stop()
done = threading.Event()
with logs.about(job=17, attempt=2):
    say("main")
    in_time(lambda: say("step"), StopSwitch())
    thread = PeriodicThread("ticker-17", ticks, every_seconds=3600, at_once=True)
    thread.start(); done.wait(10)
    items = iter([1, 2]); both = threading.Barrier(2)
    def work(lane, item):
        both.wait(10)
        with logs.about(chunk=item):
            say(f"lane{item}")
    list(run_lanes(["a", "b"], lambda lane: next(items, None), work, threading.Event()))
say("after")
logging.getLogger("alembic.runtime").warning("of Alembic"); logging.getLogger("alembic").info("not said")
logging.getLogger("dramatiq.worker").info("of Dramatiq")
logging.getLogger("uvicorn.error").info("of uvicorn")
logging.getLogger("slack_sdk").debug("only said at DEBUG")
warnings.warn("of Python")
"""


def written(**environment: str) -> list[str]:
    """The lines on stderr of a process that is a service."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOG_")}
    ended = subprocess.run(
        [sys.executable, "-c", SERVICE],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, **environment},
    )
    return ended.stderr.splitlines()


def test_every_line_is_json_where_nobody_reads_along_and_says_which_job_it_is_about() -> None:
    lines = [json.loads(each) for each in written()]
    about = {each["logger"]: {name: each.get(name) for name in ("job", "attempt", "chunk")} for each in lines}
    own = {"job": 17, "attempt": 2, "chunk": None}
    assert {name: about[f"of.{name}"] for name in ("main", "step", "ticker")} == dict.fromkeys(
        ("main", "step", "ticker"), own
    )
    assert [about[f"of.lane{number}"] for number in (1, 2)] == [{**own, "chunk": 1}, {**own, "chunk": 2}]
    assert about["of.after"] == dict.fromkeys(own)
    assert {"alembic.runtime", "dramatiq.worker", "uvicorn.error", "py.warnings"} <= set(about)
    assert {"slack_sdk", "alembic"}.isdisjoint(about)


def test_who_wants_lines_for_people_or_more_or_fewer_of_them_gets_them() -> None:
    text = written(LOG_FORMAT="text")
    assert any(each.endswith("INFO of.main: said by main") for each in text)
    assert not any(each.startswith("{") for each in text)
    assert any("only said at DEBUG" in each for each in written(LOG_LEVEL="debug"))
    assert {json.loads(each)["level"] for each in written(LOG_LEVEL="WARNING")} == {"warning"}


def test_what_nobody_caught_is_an_event_without_a_secret() -> None:
    program = """
import threading
from bot import logs
logs.set_up()
def fail(): raise ValueError("password=hunter2\\nand more")
thread = threading.Thread(target=fail, name="of-its-own"); thread.start(); thread.join()
fail()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    lines = ended.stderr.splitlines()
    assert (ended.returncode, len(lines)) == (1, 2), lines
    assert "of-its-own" in lines[0]
    assert all("ValueError: password=***" in each for each in lines)
    assert "hunter2" not in ended.stderr
