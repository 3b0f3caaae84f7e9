"""What a tool prints of others' text, such as a message or a row: lines that do nothing to a terminal."""

from __future__ import annotations

from bot.untrusted_text import one_line


def harmless(text: str) -> str:
    """The same lines without control and bidirectional characters."""
    return "\n".join(map(one_line, text.split("\n")))
