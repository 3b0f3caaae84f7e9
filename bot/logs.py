"""Logging: one line an event on stderr, with no password, no token and no value of a row in it.

A line is for people where stderr is a terminal, and else one JSON object: for ours, Dramatiq's, uvicorn's,
Slack's SDK's and Alembic's events alike. What runs within `about` says in each of its lines which job it is
about; a thread that is started there says so too, where whoever starts it hands the context on.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bot import metrics
from bot.untrusted_text import one_line, visible

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

log = logging.getLogger(__name__)

#: What LOG_FORMAT and LOG_LEVEL may be.
FORMATS = ("text", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Each pattern's first group stays, what follows it is a secret.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Slack's tokens, and its response URLs.
        r"()(?:xox[a-z]-[\w-]+|xapp-[\w-]+)",
        r"(hooks\.slack\.com/)[\w/-]+",
        # The password of a URL: all up to its last @, which may be in the password itself.
        r"(://[^\s:/]*:)[^\s]+(?=@)",
        # Headers.
        r"(\bbearer\s+)[\w.~+/=-]+",
        r"(\bauthorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:\w+\s+)?)[^\s\"'\\]+",
        # A name and its value: in a connection string, a query, JSON, or a repr of one of these.
        r"(\b\w*(?:passw(?:or)?d|passphrase|secret|ticket|token)(?:\\*[\"']\s*[:=]|\s*=)\s*)"
        r"(?:(\\+[\"']).*?\2|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[^\s\"']+)",
    )
)


#: A field whose name says that its value is one.
_SECRET_FIELD = re.compile(r"passw(?:or)?d|passphrase|secret|ticket|token|authorization", re.IGNORECASE)


def redacted(text: str) -> str:
    """Without secrets, and without what can't be seen."""
    text = visible(text)
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


class Redacting(logging.Formatter):
    """One line an event: without secrets, and without what databases quote in their errors.

    A line that an event would begin by itself is told from one of its own: a line feed is written as ``\n``,
    two characters. So a traceback is in its event's line too.
    """

    def format(self, record: logging.LogRecord) -> str:
        return one_line(redacted(super().format(record)).replace("\n", "\\n"))

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's own name for it
        return told(ei[1])


def told(error: BaseException | None) -> str:
    """The error with its traceback, without what a database says in its words."""
    return "" if error is None else "".join(_traceback(error, set())).rstrip("\n")


#: The fields with which a JSON line begins.
_FIRST = ("timestamp", "level", "logger", "event", "job", "attempt", "chunk")
#: Whether lines have fields: then `about` binds some.
_has_fields = False


def as_json() -> logging.Formatter:
    """The same as one JSON object an event: when, how bad, who says it, what, about which job, and where."""
    import structlog

    where = {"worker": f"{socket.gethostname()}:{os.getpid()}", "version": version("traspaso")}

    def described(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        error = event.pop("exc_info", None)
        event.update(where)
        event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event["thread"] = record.threadName
        if isinstance(error, tuple) and error[1] is not None:
            event["exc"] = told(error[1])
        return event

    def without_secrets(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        ordered = {**{key: event[key] for key in _FIRST if key in event}, **event}
        return {redacted(str(key)): _field(str(key), value) for key, value in ordered.items()}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            described,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            without_secrets,
            structlog.processors.JSONRenderer(
                ensure_ascii=False, default=lambda value: redacted(repr(value))
            ),
        ],
    )


def _field(name: str, value: Any) -> Any:
    """A field's value, and what is in it, without secrets."""
    if _SECRET_FIELD.search(name):
        return "***"
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted(str(key)): _field(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_field(name, each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else redacted(repr(value))


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """What is logged inside says what it is about, such as the ``job``, the ``attempt`` and the ``chunk``.

    Lines for people have their words alone.
    """
    if not _has_fields:
        yield
        return
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**fields):
        yield


def _traceback(error: BaseException, seen: set[int]) -> Iterator[str]:
    """As Python writes it, but for the words of database errors."""
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        yield from _traceback(cause, seen)
        yield "\n…which led to:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {_words(error)}\n"


def _words(error: BaseException) -> str:
    # Here and not above: the shell's list of commands needs neither the driver nor the engine.
    import psycopg
    from sqlalchemy.exc import StatementError

    from copier.errors import without_values

    if isinstance(error, psycopg.Error):
        return without_values(error)
    if isinstance(error, StatementError):  # its own words repeat the statement and its parameters
        return _words(error.orig) if error.orig is not None else "a statement failed"
    return str(error)


def set_up(level: int | None = None, *, is_service: bool = False) -> None:
    """Puts the redacting format on every handler of the root logger; what nobody caught is logged too.

    ``level`` is LOG_LEVEL where it isn't given. A service, the bot or a worker, writes JSON where its stderr
    is no terminal; LOG_FORMAT says otherwise. A command of the shell writes for people.
    """
    if level is None:
        named = os.environ.get("LOG_LEVEL", "").strip().upper()
        level = logging.getLevelNamesMapping()[named] if named in LEVELS else logging.INFO
    logging.basicConfig(level=level)
    root = logging.getLogger()
    root.setLevel(level)
    global _has_fields  # noqa: PLW0603 - as the root logger, one for the process
    _has_fields = is_service and _wants_json()
    formatter = as_json() if _has_fields else Redacting(FORMAT)
    for handler in root.handlers:
        handler.setFormatter(formatter)
    for name in ("dramatiq", "uvicorn", "uvicorn.error", "uvicorn.access"):  # theirs would write beside ours
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Bolt's words would repeat what is logged here; a statement's parameters are values of rows.
    for name, least in (
        ("alembic", logging.WARNING),
        ("sqlalchemy", logging.WARNING),
        ("slack_bolt", logging.ERROR),
    ):
        logging.getLogger(name).setLevel(max(least, level) if is_service else least)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda failed: _uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _wants_json() -> bool:
    named = os.environ.get("LOG_FORMAT", "").strip().lower()
    if named in FORMATS:
        return named == "json"
    try:
        return not os.isatty(2)  # Dramatiq puts a pipe of its own in the place of sys.stderr
    except OSError:
        return True


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Python's own words would quote what a database said."""
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    metrics.nobody_caught()
    log.critical("nobody caught this in %s", threading.current_thread().name, exc_info=(kind, error, trace))
