"""Logging: one line an event on stderr, no password and no token in it."""

from __future__ import annotations

import logging
import re

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: Slack tokens, the password of a URL, and that of a connection string.
_SECRETS = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|(?<=://)([^\s:/@]*):[^\s@]+(?=@)|(?<=password=)('[^']*'|[^\s']+)"
)


class Redacting(logging.Formatter):
    """Takes secrets out of the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRETS.sub(
            lambda found: f"{found[1]}:***" if found[1] is not None else "***", super().format(record)
        )


def set_up(level: int = logging.INFO) -> None:
    """Puts the redacting format on every handler of the root logger."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacting(FORMAT))
    for name, at_least in (("alembic", logging.WARNING), ("slack_bolt", logging.ERROR)):
        logging.getLogger(name).setLevel(at_least)
