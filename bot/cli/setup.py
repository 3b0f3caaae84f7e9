"""What a command of the shell begins with: its arguments, the settings, the databases, a preview.

Errors end a command with a sentence and an exit code, never with a traceback.
"""

from __future__ import annotations

import os

import click
from sqlalchemy.exc import SQLAlchemyError

from bot import config
from bot.app import Databases
from bot.commands.parsing import number
from bot.config import SIDES, CopySection, Need, Settings
from bot.errors import BotError
from bot.i18n import Translator, translator
from copier import Preview
from copier import preview as preview_of
from copier.errors import CopierError

#: Exit codes.
COMPLETED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Number(click.ParamType[int]):
    """A liquidation's or a job's number, as strict as in Slack."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else number(str(value))
        if found is None:
            self.fail(f"{value!r} is not digits only, from 1 to 9223372036854775807", param, ctx)
        return found


class Stopped(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self._exit_code = exit_code

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
            raise Stopped(f"{error}{self._more}", FAILED) from error
        if isinstance(error, SQLAlchemyError):
            raise Stopped(f"consulta failed: {type(error).__name__}{self._more}", FAILED) from error


def chosen_copy(settings: Settings, name: str | None) -> CopySection:
    """The configured copy of that name, the first one for None."""
    chosen = settings.copy_named(name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.copies)
        raise click.UsageError(f"there is no copy named {name!r}; configured: {names}")
    return chosen


def settings_for(need: Need) -> Settings:
    """The settings; what is missing or wrong ends the command."""
    try:
        return config.load(os.environ, need)
    except BotError as error:
        raise Stopped(str(error), USAGE) from None


def checked(parts: Databases) -> Databases:
    """The same, with tracking tables of this release; others end the command."""
    try:
        parts.check_schema()
    except (BotError, CopierError) as error:
        raise Stopped(str(error), USAGE if isinstance(error, BotError) else FAILED) from error
    return parts


def shell_translator() -> Translator:
    """The language of the terminal."""
    return translator(
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    )


def look_at_both_sides(
    parts: Databases, settings: Settings, chosen: CopySection, liquidation: int
) -> Preview:
    """The preview, as Slack shows it before a copy."""
    listed = settings.file.liquidations
    with stop_on_errors():
        return preview_of(
            parts.prod,
            parts.consulta,
            chosen.spec,
            liquidation,
            names=SIDES,
            catalogue=listed.catalogue if listed else None,
            timeout_seconds=settings.file.work.preview_timeout_seconds,
        )
