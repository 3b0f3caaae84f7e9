"""How each command of the shell begins and ends: strict numbers, the settings, exit codes, and sentences on
what is wrong.

An error ends a command with a sentence and an exit code, never with a traceback.
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Sequence

import click
from sqlalchemy.exc import SQLAlchemyError

from bot import app, config
from bot.app import Databases
from bot.cli.output import say
from bot.commands.parsing import number, numbers_in, several
from bot.config import SIDES, Need, Settings, sentence_of
from bot.errors import BotError, ConfigError
from bot.i18n import translator
from bot.jobs.repository import Requester
from bot.jobs.view import SHELL
from bot.messages.answers import wrong_number
from copier.errors import CopierError, failures_of

log = logging.getLogger(__name__)

#: Exit codes.
COMPLETED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Number(click.ParamType[int]):
    """A liquidation's or a job's number, as strict as in Slack."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else number(str(value))
        if found is None:
            if len(several := numbers_in(str(value).split())) > 1:
                self.fail(f"one at a time: begin with {several[0]}", param, ctx)
            self.fail(f"{value!r} is not a number: {wrong_number(str(value), translator('en'))}", param, ctx)
        return found


class Liquidations(click.ParamType[tuple[int, ...]]):
    """A liquidation's number, or several as in Slack: 40-45, or 42,43."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        found = several(str(value).split())
        if found is None or found[1]:
            return (Number().convert(value, param, ctx),)
        from bot.messages.run_proposal import MOST

        if found[0].count > MOST:
            self.fail(f"at most {MOST} liquidations at a time: that would be {found[0].count}", param, ctx)
        return found[0].values


class Stopped(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int, lines: Sequence[str] = ()) -> None:
        """``lines`` are said below the message, each on a line of its own."""
        super().__init__(message)
        self._exit_code = exit_code
        self._lines = lines

    def show(self, file: object = None) -> None:
        say(f"Error: {self.message}", err=True)
        for line in self._lines:
            say(f"  - {line}", err=True)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self._exit_code


class stop_on_errors:  # noqa: N801 - a context manager that reads as a sentence
    """Errors of databases end the command with a sentence, not with a traceback; ``more`` is added to it."""

    def __init__(self, more: str = "") -> None:
        self._more = more

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CopierError | BotError):
            raise _stopped(error, FAILED, self._more) from error
        if isinstance(error, SQLAlchemyError):
            # Whatever is asked of prod says so itself; without that it is a question to the tracking tables.
            raise _stopped(_classified(error), FAILED, self._more) from error


def _classified(error: SQLAlchemyError) -> Exception:
    try:
        with failures_of(SIDES.target):
            raise error
    except CopierError as found:
        return found
    except SQLAlchemyError as misuse:
        return Exception(f"the database driver gave up ({type(misuse).__name__}): -v shows where")


def _stopped(error: Exception, exit_code: int, more: str = "") -> Stopped:
    """Its sentence; with -v the log has the server's own words too."""
    log.info("%s", error, exc_info=error)
    return Stopped(f"{sentence_of(error)}{more}", exit_code)


def settings_for(need: Need) -> Settings:
    """The settings; what is missing or wrong ends the command."""
    lines = config.read_env_file()
    settings, wrong = config.read(os.environ, need)
    if lines or wrong:
        raise Stopped(ConfigError.summary, USAGE, [*lines, *wrong])
    return settings


def checked(parts: Databases) -> Databases:
    """The same, with tracking tables of this release; others end the command."""
    try:
        parts.check_schema()
    except (BotError, CopierError) as error:
        raise _stopped(error, USAGE if isinstance(error, BotError) else FAILED) from error
    return parts


def tracked() -> Databases:
    """Both databases, with tracking tables of this release."""
    return checked(app.databases(settings_for(Need.DATABASES)))


def who() -> Requester:
    """The login that runs this shell."""
    return Requester(SHELL, getpass.getuser(), getpass.getuser())
