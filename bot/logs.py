"""Logging: one line an event on stderr, with no password, no token and no value of a row in it."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

from bot import measures
from bot.characters import one_line, visible

log = logging.getLogger(__name__)

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


class Redacting(logging.Formatter):
    """One line an event: without secrets, and without what databases quote in their errors.

    A line that an event would begin by itself is told from one of its own: a line feed is written as ``\n``,
    two characters. So a traceback is in its event's line too.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = visible(super().format(record))
        for secret in _SECRETS:
            text = secret.sub(r"\1***", text)
        return one_line(text.replace("\n", "\\n"))

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
    # Here and not above: the shell's list of commands needs neither the driver nor the engine.
    import psycopg
    from sqlalchemy.exc import StatementError

    from copier.errors import without_values

    if isinstance(error, psycopg.Error):
        return without_values(error)
    if isinstance(error, StatementError):  # its own words repeat the statement and its parameters
        return _words(error.orig) if error.orig is not None else "a statement failed"
    return str(error)


def set_up(level: int = logging.INFO) -> None:
    """Puts the redacting format on every handler of the root logger; what nobody caught is logged too."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacting(FORMAT))
    for name, at_least in (("alembic", logging.WARNING), ("slack_bolt", logging.ERROR)):
        logging.getLogger(name).setLevel(at_least)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda failed: _uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Python's own words would quote what a database said."""
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    measures.nobody_caught()
    log.critical("nobody caught this in %s", threading.current_thread().name, exc_info=(kind, error, trace))
