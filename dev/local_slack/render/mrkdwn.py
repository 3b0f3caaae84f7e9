"""Slack's mrkdwn as HTML.

mrkdwn is no Markdown: one star is bold, links are `<address|label>`, and `<@U1>`, `<#C1>`, `<!date^…>` are
Slack's own. No kept Python parser reads it (there are converters to it, and one for a few of its marks), so
the small tokenizer is here. What Slack calls `markdown` goes through markdown-it instead.
"""

import re

from rich.emoji import Emoji, NoEmoji

from dev.local_slack.render.html import Html, el, join, safe_link
from dev.local_slack.render.reader import Reader

_PRE = re.compile(r"```(.+?)```", re.S)
_QUOTE = re.compile(r"^(?:&gt;|>) ?", re.M)
_EMOJI = re.compile(r":([a-z0-9_+\-']+)(?::skin-tone-[2-6])?:")
_TOKEN = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|:(?P<emoji>[a-z0-9_+\-']+)(?::skin-tone-[2-6])?:"
    r"|(?<![\w*])\*(?P<bold>(?=\S)[^*\n]+?(?<=\S))\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>(?=\S)[^_\n]+?(?<=\S))_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>(?=\S)[^~\n]+?(?<=\S))~(?![\w~])"
    r"|(?P<url>https?://[^\s<>|]*[^\s<>|.,;:!?)\]'\"])"
    r"|(?P<line>\n)"
)
_DATE = re.compile(r"^date\^(\d+)\^([^^]*)(?:\^(.*))?$", re.S)
#: Slack's names for a few that the emoji table has under others.
_SLACK_NAMES = {
    "large_green_circle": "🟢",
    "large_yellow_circle": "🟡",
    "large_orange_circle": "🟠",
    "red_circle": "🔴",
    "double_vertical_bar": "⏸️",
    "black_square_for_stop": "⏹️",
    "rotating_light": "🚨",
    "slack": "#️⃣",
}


def mrkdwn(text: str, reader: Reader) -> Html:
    """Blocks first (code, quotes), then what stands in a line."""
    parts: list[Html] = []
    for n, piece in enumerate(_PRE.split(text)):
        if n % 2:
            parts.append(el("pre", _unescaped(piece.strip("\n"))))
        elif piece:
            parts.append(_quotes(piece, reader))
    return join(*parts)


def plain_text(text: str, *, emoji: bool = True) -> Html:
    """A plain_text object: line breaks and, unless switched off, emoji."""
    shown = _EMOJI.sub(lambda found: emoji_of(found[1]) or found[0], text) if emoji else text
    return join(*_lines(shown))


def emoji_of(name: str) -> str | None:
    if name in _SLACK_NAMES:
        return _SLACK_NAMES[name]
    try:
        return str(Emoji(name, variant="emoji"))
    except NoEmoji:
        return None


def link(address: str, label: str | Html, reader: Reader) -> Html:
    """What could run something is not a link. A permalink of this workspace stays on the page."""
    local = reader.local_link(address)
    if local is not None:
        return el("a", label, href=local, class_="link", data_local=True)
    target = safe_link(address)
    if target is None:
        return el("span", label)
    return el("a", label, href=target, class_="link", target="_blank", rel="noopener noreferrer")


def mention(user_id: str, reader: Reader) -> Html:
    mine = " me" if user_id == reader.user.id else ""
    return el("span", f"@{reader.name(user_id)}", class_=f"mention{mine}", data_user=user_id)


def _quotes(text: str, reader: Reader) -> Html:
    parts: list[Html] = []
    for quoted, lines in _runs(text):
        inner = inline("\n".join(lines), reader)
        parts.append(el("blockquote", inner) if quoted else inner)
    return join(*parts)


def _runs(text: str) -> list[tuple[bool, list[str]]]:
    """Lines that belong together: quoted ones, without their mark, and others."""
    runs: list[tuple[bool, list[str]]] = []
    for line in text.split("\n"):
        quoted = bool(_QUOTE.match(line))
        if not runs or runs[-1][0] != quoted:
            runs.append((quoted, []))
        runs[-1][1].append(_QUOTE.sub("", line, count=1) if quoted else line)
    return runs


def inline(text: str, reader: Reader) -> Html:
    parts: list[Html | str] = []
    at = 0
    for found in _TOKEN.finditer(text):
        parts += [_unescaped(text[at : found.start()]), _token(found, reader)]
        at = found.end()
    return join(*parts, _unescaped(text[at:]))


def _token(found: re.Match[str], reader: Reader) -> Html | str:
    kind = str(found.lastgroup)
    inner = str(found[kind])
    match kind:
        case "code":
            return el("code", _unescaped(inner))
        case "angle":
            return _angle(inner, reader)
        case "emoji":
            shown = emoji_of(inner)
            return found[0] if shown is None else el("span", shown, class_="emoji", title=found[0])
        case "url":
            return link(_unescaped(inner), _unescaped(inner), reader)
        case "line":
            return el("br")
        case _:
            return el({"bold": "strong", "italic": "em", "strike": "s"}[kind], inline(inner, reader))


def _angle(inner: str, reader: Reader) -> Html:
    target, bar, label = inner.partition("|")
    sign, rest = target[:1], target[1:]
    if sign == "@":
        return mention(rest, reader)
    if sign == "#":
        name = reader.channel_name(rest)
        return el("a", f"#{name}", href=f"/as/{reader.user.id}/{rest}", class_="mention", data_local=True)
    if sign == "!":
        return _special(rest, label, reader)
    shown = inline(label, reader) if bar else join(_unescaped(target.removeprefix("mailto:")))
    return link(_unescaped(target), shown, reader)


def _special(name: str, label: str, reader: Reader) -> Html:
    date = _DATE.match(name)
    if date is not None:
        when = el("time", date_shown(int(date[1]), date[2], reader), title=reader.day(date[1], "full"))
        return link(_unescaped(date[3]), when, reader) if date[3] else when
    if name.startswith("subteam^"):
        return el("span", f"@{reader.group_name(name.removeprefix('subteam^'))}", class_="mention")
    if name in {"here", "channel", "everyone"}:
        return el("span", f"@{name}", class_="mention me")
    return join(_unescaped(label or f"<!{name}>"))


def date_shown(unix: int, form: str, reader: Reader) -> str:
    """`{date_short_pretty} {time_secs}` in the words and the time zone of whoever reads."""
    values = {
        "date_num": lambda: reader.moment(unix).strftime("%Y-%m-%d"),
        "date": lambda: reader.day(unix),
        "date_slash": lambda: reader.day(unix, "short"),
        "date_short": lambda: reader.day(unix, "medium"),
        "date_long": lambda: reader.day(unix, "full"),
        "date_pretty": lambda: reader.pretty_day(unix),
        "date_short_pretty": lambda: reader.pretty_day(unix, "medium"),
        "date_long_pretty": lambda: reader.pretty_day(unix, "full"),
        "time": lambda: reader.clock(unix),
        "time_secs": lambda: reader.clock(unix, seconds=True),
        "ago": lambda: reader.ago(unix),
    }
    return re.sub(r"{(\w+)}", lambda found: values[found[1]]() if found[1] in values else found[0], form)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _lines(text: str) -> list[Html | str]:
    parts: list[Html | str] = []
    for n, line in enumerate(text.split("\n")):
        parts += [el("br"), line] if n else [line]
    return parts
