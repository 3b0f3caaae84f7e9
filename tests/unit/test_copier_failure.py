"""What is worth a retry, and what is not."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from copier.errors import Permanent, Transient, classify, failures_of


def attempt(words: str, password: bytes = b"") -> psycopg.OperationalError:
    """As psycopg raises it where a connection isn't made; the server can't be asked again."""
    left = errors.FinishedPGconn(error_message=words.encode(), password=password)
    return psycopg.OperationalError(f"connection failed: {words}", pgconn=left)


PASSES = [
    "08006", "40001", "40P01", "53100", "53200", "53300", "55006", "55P03", "57014", "57P01", "57P02",
    "57P03", "58030", "25006", "25P03", "25P04",
]  # fmt: skip
STAYS = [
    "22003", "22P02", "23502", "23503", "23505", "23514", "25P02", "28000", "3D000", "42501", "42703",
    "42P01", "57P04", "0A000", "P0001", "XX000",
]  # fmt: skip


def error(sqlstate: str, words: str = "words") -> psycopg.Error:
    return errors.lookup(sqlstate)(words)


@pytest.mark.parametrize("sqlstate", PASSES)
def test_what_passes_by_itself_is_transient(sqlstate: str) -> None:
    failure = classify(error(sqlstate), "consulta")
    assert isinstance(failure, Transient)
    assert (failure.side, failure.sqlstate) == ("consulta", sqlstate)


@pytest.mark.parametrize("sqlstate", STAYS)
def test_what_needs_somebody_to_act_is_permanent(sqlstate: str) -> None:
    assert isinstance(classify(error(sqlstate), "prod"), Permanent)


@pytest.mark.parametrize(
    "words",
    [
        'FATAL:  password authentication failed for user "x"',
        'FATAL:  database "nope" does not exist',
        'FATAL:  role "nobody" does not exist',
        "fe_sendauth: no password supplied",
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1"',
    ],
)
def test_a_refused_login_is_permanent_and_says_why(words: str) -> None:
    failure = classify(attempt(words), "prod")
    assert isinstance(failure, Permanent)
    assert str(failure).startswith("prod ")
    assert words.removeprefix("FATAL:  ") in str(failure)


@pytest.mark.parametrize(
    "words",
    [
        "Connection refused",
        "server closed the connection unexpectedly",
        "FATAL:  sorry, too many clients already",
        "FATAL:  the database system is starting up",
        "timeout expired",
    ],
)
def test_a_failed_attempt_that_may_succeed_later_is_transient_and_says_why(words: str) -> None:
    failure = classify(attempt(words), "consulta")
    assert isinstance(failure, Transient)
    assert words.removeprefix("FATAL:  ") in str(failure)


def test_a_lost_connection_is_transient_and_quotes_nothing() -> None:
    failure = classify(psycopg.OperationalError("consuming input failed: secret"), "consulta")
    assert isinstance(failure, Transient)
    assert str(failure) == "the connection to consulta was lost"


def test_the_password_is_in_no_reason() -> None:
    for words in ('invalid thing: "hunter2secret"', "failed to resolve host 'secret@prod'"):
        assert "secret" not in str(classify(attempt(words, b"hunter2secret"), "prod"))


def test_the_drivers_own_words_stay_in_the_chained_cause() -> None:
    with pytest.raises(Permanent) as failed, failures_of("prod"):
        raise error("22P02", 'invalid input syntax for type integer: "SECRET"')
    assert "SECRET" not in str(failed.value)
    assert "SECRET" in str(failed.value.__cause__)


def test_an_error_below_sqlalchemy_is_classified_too() -> None:
    with pytest.raises(Transient), failures_of("prod"):
        raise DBAPIError("SELECT 1", {}, error("40001"))


def test_a_misuse_of_the_driver_is_no_failure_of_a_server() -> None:
    with pytest.raises(psycopg.ProgrammingError), failures_of("prod"):
        raise psycopg.ProgrammingError("the query has 0 placeholders but 1 parameters were passed")
