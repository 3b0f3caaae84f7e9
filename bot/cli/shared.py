"""What the commands of the shell share: settings, strict numbers, a look before a copy, and endings.

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
from bot.jobs.view import JobView
from bot.messages.proposal import removes_everything
from bot.messages.question import confirmation
from copier import Count, Preview
from copier import preview as look
from copier.errors import CopierError

COMPLETED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Number(click.ParamType[int]):
    """A liquidation's or a job's number, as strict as in Slack."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else number(str(value))
        if found is None:
            self.fail(f"{value!r} is not digits only, from 1 to 9223372036854775807", param, ctx)
        return found


def looked(parts: Databases, settings: Settings, chosen: CopySection, liquidation: int) -> Preview:
    listed = settings.file.liquidations
    with told():
        return look(
            parts.prod,
            parts.consulta,
            chosen.spec,
            liquidation,
            names=SIDES,
            catalogue=listed.catalogue if listed else None,
            timeout_seconds=settings.file.work.preview_timeout_seconds,
        )


def refusal(seen: Preview, liquidation: int, *, remove: bool) -> str | None:
    """What in Slack would be an answer without a Copy button, or with a warning on it."""
    if seen.exists is False:
        return f"there is no liquidation {liquidation} in prod: check the number"
    if not removes_everything(seen):
        return None if remove else _removal(seen, liquidation)
    if seen.in_target == Count(0, exact=True):
        return f"liquidation {liquidation} has no rows in prod, and none in consulta: nothing to copy"
    if not remove:
        return (
            f"liquidation {liquidation} has no rows in prod: copying would remove its rows from consulta; "
            "add --remove if that is meant"
        )
    return None


def _removal(seen: Preview, liquidation: int) -> str | None:
    """More of consulta's rows would go than a press in Slack lets go without showing them."""
    in_prod, in_consulta = seen.in_source.rows, seen.in_target.rows
    if in_prod is None or in_consulta is None or in_consulta - in_prod <= in_consulta / 10:
        return None
    return (
        f"liquidation {liquidation} has {in_prod:,} rows in prod and {in_consulta:,} in consulta: copying "
        f"would remove {in_consulta - in_prod:,} of them; add --remove if that is meant"
    )


def chosen_copy(settings: Settings, name: str | None) -> CopySection:
    chosen = settings.copy_named(name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.copies)
        raise click.UsageError(f"there is no copy named {name!r}; configured: {names}")
    return chosen


def asks(job: JobView) -> str:
    """What ends a command that has nothing left to do before somebody has answered the job."""
    question = job.question
    if job.waits_for_approval or question is None:
        return f"job {job.id} waits for a second person's approval, which only Slack can ask for"
    shown = "unknown" if question.shown_in_prod is None else f"{question.shown_in_prod:,}"
    shown_there = "unknown" if question.shown_in_consulta is None else f"{question.shown_in_consulta:,}"
    return (
        f"nothing was written: rows shown were {shown} in prod and {shown_there} in consulta, and now they "
        f"are {question.in_prod:,} and {question.in_consulta:,}; `{confirmation(job.id, question)}` has it "
        f"copied so, `traspaso cancel {job.id}` ends it"
    )


class Stopped(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self._exit_code


class told:  # noqa: N801 - a context manager that reads as a sentence
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


def settings_for(need: Need) -> Settings:
    try:
        return config.load(os.environ, need)
    except BotError as error:
        raise Stopped(str(error), USAGE) from None


def checked(parts: Databases) -> Databases:
    try:
        parts.check_schema()
    except (BotError, CopierError) as error:
        raise Stopped(str(error), USAGE if isinstance(error, BotError) else FAILED) from error
    return parts


def shell_translator() -> Translator:
    return translator(
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    )
