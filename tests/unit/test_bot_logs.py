"""No password, no token and no value of a row gets into a log line."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from bot.logs import FORMAT, Redacting


def line(message: str, *args: object, error: BaseException | None = None) -> str:
    record = logging.LogRecord("bot", logging.ERROR, __file__, 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return Redacting(FORMAT).format(record)


@pytest.mark.parametrize(
    ("said", "secret"),
    [
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
    ],
)
def test_a_secret_is_taken_out_of_a_message_an_argument_and_a_traceback(said: str, secret: str) -> None:
    assert secret not in line(f"it failed: {said}".replace("%", "%%"), *())
    assert secret not in line("it failed: %s", said)
    try:
        raise ValueError(said)
    except ValueError as error:
        told = line("it failed", error=error)
    assert secret not in told
    assert "ValueError" in told


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
