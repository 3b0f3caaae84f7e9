"""No password, no token and no value of a row gets into a log line."""

from __future__ import annotations

import logging

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
        each.strip() for each in told.splitlines() if each.startswith(("KeyError", "builtins", "Trace"))
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
