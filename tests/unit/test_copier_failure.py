"""What is worth a retry, and what is not."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from copier.errors import Permanent, Transient, classify, failures_of

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
def test_a_refused_login_is_permanent_and_says_what_to_check(words: str) -> None:
    failure = classify(psycopg.OperationalError(words), "prod")
    assert isinstance(failure, Permanent)
    assert str(failure) == "prod refused the login: check user, password and database name"


@pytest.mark.parametrize(
    "words",
    [
        "connection refused",
        "server closed the connection unexpectedly",
        "FATAL:  sorry, too many clients already",
        "FATAL:  the database system is starting up",
        "timeout expired",
    ],
)
def test_a_lost_connection_is_transient_and_quotes_nothing(words: str) -> None:
    failure = classify(psycopg.OperationalError(words), "consulta")
    assert isinstance(failure, Transient)
    assert str(failure) == "the connection to consulta failed or was lost"


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
