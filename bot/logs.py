"""Logging: one line an event on stderr, with no password, no token and no value of a row in it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from types import TracebackType

import psycopg
from sqlalchemy.exc import StatementError

from copier.errors import without_values

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Slack tokens and response URLs, the password of a URL, and that of a connection string.
_SECRETS = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|(?<=hooks\.slack\.com/)[\w/-]+"
    r"|(?<=://)([^\s:/@]*):[^\s@]+(?=@)|(?<=password=)('[^']*'|[^\s']+)"
)


class Redacting(logging.Formatter):
    """Takes secrets out of the finished line, and what databases quote out of tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRETS.sub(
            lambda found: f"{found[1]}:***" if found[1] is not None else "***", super().format(record)
        )

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's own name for it
        return "" if ei[1] is None else "".join(_traceback(ei[1], set())).rstrip("\n")


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
    if isinstance(error, psycopg.Error):
        return without_values(error)
    if isinstance(error, StatementError):  # its own words repeat the statement and its parameters
        return _words(error.orig) if error.orig is not None else "a statement failed"
    return str(error)


def set_up(level: int = logging.INFO) -> None:
    """Puts the redacting format on every handler of the root logger."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacting(FORMAT))
    for name, at_least in (("alembic", logging.WARNING), ("slack_bolt", logging.ERROR)):
        logging.getLogger(name).setLevel(at_least)
