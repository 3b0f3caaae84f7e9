"""docs/troubleshooting.md: each failure's sentences, from the code that says them."""

from __future__ import annotations

from bot.i18n import translator
from bot.messages.failure_texts import WORDS
from dev.guard import ROOT
from dev.pages import filled

PAGE = ROOT / "docs" / "troubleshooting.md"
BEGIN, END = "<!-- written by make messages: begin -->\n", "<!-- written by make messages: end -->\n"


def page(written: str) -> str:
    """The page with its table made anew: a row for each sentence, with the codes that share it."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for code, (what, step) in WORDS.items():
        words = [(what, "en"), (step, "en"), (what, "es"), (step, "es")]
        rows.setdefault(tuple(_cell(*each) for each in words), []).append(f"`{code}`")
    lines = ["| it says | next step | en español | qué hacer | code |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} | {', '.join(codes)} |" for cells, codes in rows.items()]
    return filled(written, BEGIN, "\n" + "\n".join(lines) + "\n\n", END)


def _cell(sentence: str, language: str) -> str:
    return translator(language)(sentence, **NAMES).replace("|", "\\|")


#: What stands where a message has the name of a thing.
NAMES = {
    "side": "*side*",
    "table": "*table*",
    "column": "*column*",
    "constraint": "*constraint*",
    "sqlstate": "*SQLSTATE*",
    "command": "*command*",
    "variable": "*setting*",
    "first": "*details*",
}
