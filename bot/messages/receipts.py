"""The receipts as a file for a spreadsheet, and what is said of it in Slack."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from bot.i18n import Translator
from bot.jobs.receipts import Entry, Receipt
from bot.messages.blocks import AUDIT_COMMAND, Message, code, sanitized, sentence
from bot.untrusted_text import one_line

#: The columns: fields of a receipt by their names, and what is beside it.
COLUMNS = (
    *("number", "at", "job", "attempt", "status", "event", "liquidation", "label", "copy"),
    *("source_table", "target_table", "requested_by", "requested_by_id", "requested_at", "request_reason"),
    *("approval", "decided_by", "decided_by_id", "decided_at", "decision_reason"),
    *("ended_by", "ended_by_id", "ended_reason", "started_at", "finished_at", "milliseconds", "as_of"),
    *("shown_in_prod", "shown_in_consulta", "shown_to_be_deleted", "removal_confirmed"),
    *("rows_in_prod", "rows_in_consulta"),
    *("inserted", "updated", "deleted", "unchanged", "moved", "bytes", "chunks"),
    *("prod_digest", "consulta_digest", "values_job", "failure", "message", "worker", "schedule"),
    *("fingerprint", "run", "set"),
    *("installation", "release", "previous_hash", "hash"),
)
#: A spreadsheet takes what begins with one of these for a formula, and may carry it out.
FORMULA = frozenset("=+-@＝＋－＠")


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """The headings, and a line for each entry, without its end. A job without a link has no hash."""
    yield _line(COLUMNS)
    for entry in entries:
        yield _line(_cells(entry))


def csv_file(entries: Iterable[Entry]) -> bytes:
    """As spreadsheets read it: UTF-8 with its mark, lines that end as in RFC 4180."""
    return "".join(f"{line}\r\n" for line in csv_lines(entries)).encode("utf-8-sig")


def entry_json(entry: Entry) -> dict[str, Any]:
    """All of a receipt: with its hash and the one before, from which anybody can compute it again."""
    receipt = entry.receipt
    return {
        "hash": receipt.hash if receipt else None,
        "previous_hash": receipt.previous_hash if receipt else None,
        "receipt": entry.content,
    }


def _cells(entry: Entry) -> Iterator[str]:
    found = {**entry.content, "hash": entry.hash}
    if entry.receipt is not None:
        found["previous_hash"] = entry.receipt.previous_hash
    for role in ("requested_by", "decided_by", "ended_by"):
        person = found.get(role) or {}
        found[role], found[f"{role}_id"] = person.get("name"), person.get("id")
    for column in COLUMNS:
        yield _cell(found.get(column))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return f"'{text}" if text.lstrip()[:1] in FORMULA else text


def _line(cells: Iterable[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(cells)
    return written.getvalue()


# ----------------------------------------------------------------------------
# In Slack


def comment(period: str, n: int, newest: Receipt | None, t: Translator) -> str:
    """Beside the file."""
    text = t.plural("{n} receipt of {period}.", "{n} receipts of {period}.", n, period=period)
    if newest is None:
        return text
    noted = t(
        "The newest hash of the chain is {hash}: note it where nobody who can write to consulta can change "
        "it. `{command}` looks at the whole chain.",
        hash=code(newest.hash),
        command="traspaso audit --verify",
    )
    return f"{text}\n{noted}"


def title(period: str, t: Translator) -> str:
    return t("Receipts of {period}", period=period)


def sent(period: str, n: int, t: Translator, *, is_cut: bool) -> Message:
    """``is_cut``: only the newest ones are in the file."""
    hint = t("These are the newest; `{command}` writes all.", command=f"traspaso audit {period}")
    return sentence(
        t.plural(
            "{n} receipt of {period} is in a direct message to you, as a file.",
            "{n} receipts of {period} are in a direct message to you, as a file.",
            n,
            period=period,
        ),
        hint=hint if is_cut else "",
    )


def nothing_ended(period: str, t: Translator) -> Message:
    return sentence(t("No copy has ended in {period}.", period=period))


def no_period(words: str, t: Translator) -> Message:
    return sentence(
        t("“{word}” is no month.", word=sanitized(words)),
        hint=t(
            "Write a month, a year, a day, or two of them: `{month}`, `{two}`.",
            month=f"{AUDIT_COMMAND} 2026-11",
            two=f"{AUDIT_COMMAND} 2026-10..2026-11",
        ),
    )


def not_sent(reason: str, t: Translator) -> Message:
    """Slack took no file."""
    if reason == "missing_scope":
        hint = t(
            "The app lacks files:write: whoever runs Traspaso has to install it again with the manifest of "
            "this release."
        )
    else:
        hint = t("Slack answered {reason}. Try again, or tell whoever runs Traspaso.", reason=code(reason))
    return sentence(t("Slack took no file with the receipts."), hint=hint)
