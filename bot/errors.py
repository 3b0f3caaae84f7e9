"""Errors that a person caused or has to mend, each a sentence that names the thing and the next step.

    BotError
    ├── ConfigError        everything missing or wrong in the settings, named at once
    ├── SchemaBehind       the tracking tables are missing or of an older release
    ├── SchemaAhead        the tracking tables are of a newer release
    ├── TablesInUse        somebody holds a tracking table that is to be migrated
    ├── AlreadyRunning     a live job for this target table and liquidation exists
    ├── Frozen             somebody has frozen all copies
    ├── UnknownJob         there is no job of that number
    ├── UnknownRun         there is no run of that number
    ├── AddressUnknown     Slack tells no e-mail address of a person
    └── StaleAttempt       another worker holds the job now; whatever this one did is rolled back

What goes wrong between the databases is in `copier.errors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.jobs.view import Freeze


class BotError(Exception):
    """Base of what the bot raises on purpose."""


class ConfigError(BotError):
    """Settings that are missing or wrong; ``lines`` has one sentence each, ``summary`` is said above them."""

    summary = "Traspaso can't start:"

    def __init__(self, lines: list[str]) -> None:
        super().__init__(f"{self.summary}\n" + "\n".join(f"  - {line}" for line in lines))
        self.lines = lines


class SchemaBehind(BotError):
    """The tracking tables are missing or of an older release."""

    def __init__(self, current: str | None, newest: str | None) -> None:
        found = f"at version {current}" if current else "missing"
        super().__init__(
            f"the tracking tables in consulta are {found} and this release needs {newest}: "
            "run `traspaso migrate`"
        )


class SchemaAhead(BotError):
    """The tracking tables are of a newer release."""

    def __init__(self, current: str, newest: str | None) -> None:
        super().__init__(
            f"the tracking tables in consulta are at version {current}, of a newer release than this one, "
            f"which needs {newest}: install that release; to go back to this one, run "
            f"`traspaso migrate --to {newest}` with the newer release first"
        )


class AddressUnknown(BotError):
    """Slack tells no e-mail address of a person; ``passes`` where it may later."""

    def __init__(self, error: str, *, passes: bool) -> None:
        super().__init__(error)
        self.passes = passes


class AlreadyRunning(BotError):
    """Another live job copies this liquidation into this table. ``job_id`` names it."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} is copying this liquidation already")
        self.job_id = job_id


class Frozen(BotError):
    """No job is created while this ``freeze`` lasts."""

    def __init__(self, freeze: Freeze) -> None:
        why = f": {freeze.reason}" if freeze.reason else ""
        if freeze.by is None:
            who, step = f"the freeze window {freeze.window} of the configuration keeps all copies frozen", ""
        else:
            who = f"{freeze.by.name} has frozen all copies"
            step = "; `traspaso unfreeze` lets copies run again"
        end = f", until {freeze.until:%Y-%m-%d %H:%M} UTC" if freeze.until else ""
        super().__init__(f"{who}{end}{why}. Nothing was started{step}")
        self.freeze = freeze


class TablesInUse(BotError):
    """Somebody holds a tracking table for longer than a migration waits."""

    def __init__(self, holders: Sequence[tuple[int, str]]) -> None:
        """``holders`` are sessions of consulta: the number of their process there, and their name."""
        named = ", ".join(f"{pid} ({name})" if name else str(pid) for pid, name in holders)
        by = f" by session {named} of consulta" if named else ""
        super().__init__(
            f"nothing was changed: the tracking tables are held{by}. Wait for it or end it with "
            "pg_terminate_backend, and run `traspaso migrate` again"
        )


class UnknownJob(BotError):
    """There is no job ``job_id``."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}: `traspaso status` lists the latest ones")
        self.job_id = job_id


class UnknownRun(BotError):
    """There is no run ``run_id``."""

    def __init__(self, run_id: int) -> None:
        super().__init__(f"there is no run {run_id}: `traspaso status` lists the latest jobs")
        self.run_id = run_id


class StaleAttempt(BotError):
    """The job's fencing token has moved on: this worker must write nothing more."""

    def __init__(self, job_id: int, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of job {job_id} is over: another worker or an end has come")
