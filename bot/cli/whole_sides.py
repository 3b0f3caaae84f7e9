"""``traspaso preview 42`` and ``traspaso verify 42`` of a set: both sides of it, table by table."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bot import app
from bot.app import Databases
from bot.cli.commands import (
    COMPLETED,
    FAILED,
    Stopped,
    broken_off_by_signals,
    look_at_both_sides,
    stop_on_errors,
)
from bot.cli.help import shell_translator
from bot.cli.output import (
    TablePreview,
    print_range,
    print_set_preview,
    print_set_preview_json,
    print_set_verification,
    print_set_verification_json,
)
from bot.config import SIDES, CopySection, SetSection, Settings
from bot.jobs.known_columns import spec_of
from bot.messages.verification import SetResult
from copier import Comparison, compare_set, is_known
from copier.errors import CopierError, concerns_one_table


def preview_whole(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
    """Shows what both sides hold of each table; gives the exit code.

    A table that can't be looked at is named, and the others are shown.
    """
    parts = app.databases(settings)
    copies = settings.file.copies_of(chosen)
    tables = [_previewed(parts, settings, copy, liquidation, copies) for copy in copies]
    if as_json:
        print_set_preview_json(chosen.name, liquidation, tables)
    else:
        print_set_preview(chosen.shown, liquidation, tables, shell_translator())
    return FAILED if any(each.problem for each in tables) else COMPLETED


def _previewed(
    parts: Databases,
    settings: Settings,
    copy: CopySection,
    liquidation: int,
    copies: Sequence[CopySection],
) -> TablePreview:
    together = copy.parent in copies
    try:
        return TablePreview(
            copy, look_at_both_sides(parts, settings, copy, liquidation, parents_too=together)
        )
    except Stopped as stopped:
        reason = stopped.__cause__
        if not isinstance(reason, CopierError) or not concerns_one_table(reason):
            raise
        return TablePreview(copy, None, stopped.message)


def verify_whole(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
    """Compares all tables at one moment of each side; gives the exit code."""
    copies = settings.file.copies_of(chosen)
    parts, began = app.databases(settings), time.monotonic()
    go_on = broken_off_by_signals()

    def show(name: str, comparison: Comparison) -> None:
        go_on()
        print_range(name, comparison, as_json=as_json)

    with stop_on_errors():
        found = compare_set(
            parts.prod,
            parts.consulta,
            [spec_of(parts.consulta, copy) for copy in copies],
            liquidation,
            names=SIDES,
            limits=settings.file.work.limits,
            label="traspaso verify",
            on_silence=go_on,
            on_comparison=show,
        )
        listed, known = settings.file.liquidations, None
        if found is None:
            return FAILED
        if listed and found.is_empty:
            known = is_known(parts.prod, listed.catalogue, liquidation, names=SIDES)
    result = SetResult.of(chosen, copies, liquidation, found, seconds=time.monotonic() - began, known=known)
    if as_json:
        print_set_verification_json(result)
    else:
        print_set_verification(result, shell_translator())
    return COMPLETED if result.holds and (known or not result.is_empty) else FAILED
