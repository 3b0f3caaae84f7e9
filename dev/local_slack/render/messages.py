"""A message as a row of the channel, and what a channel says about its pins."""

from dev.local_slack.inputs import initial_values
from dev.local_slack.render.attachments import attachments_html
from dev.local_slack.render.blocks import blocks_html, files_html
from dev.local_slack.render.html import Html, el, join
from dev.local_slack.render.mrkdwn import mrkdwn
from dev.local_slack.render.reader import Reader
from dev.local_slack.render.sight import Sight
from dev.local_slack.seed import SLACKBOT
from dev.local_slack.state import Channel, Message, Pin

COLOURS = 6


def message_html(reader: Reader, message: Message) -> Html:
    """`data-author` and `data-day` let the list put rows of one author and of one day together."""
    channel = reader.core.ws.channels[message.channel]
    classes = ["message"]
    if message.visible_to is not None:
        classes.append("ephemeral")
    if channel.is_pinned(message.ts):
        classes.append("pinned")
    if message.subtype == "tombstone":
        classes.append("tombstone")
    return el(
        "article",
        avatar(reader, message.user),
        el(
            "div",
            _notes(reader, channel, message),
            _byline(reader, message),
            el("div", content_html(reader, message), class_="content"),
            _replies(reader, channel, message),
            class_="body",
        ),
        _tools(reader, channel, message),
        class_=" ".join(classes),
        data_ts=message.ts,
        data_author=message.user,
        data_day=reader.pretty_day(message.ts).capitalize(),
        aria_label=f"{reader.name(message.user)}, {reader.clock(message.ts)}",
    )


def content_html(reader: Reader, message: Message) -> Html:
    """The blocks, or else the text; then attachments and files."""
    values = initial_values(message.blocks or [], message.values.get(reader.user.id, {}))
    sight = Sight(reader, values, message.marks.get(reader.user.id, []))
    shown = (
        blocks_html(sight, message.blocks)
        if message.blocks
        else el("div", mrkdwn(message.text, reader), class_="text")
        if message.text
        else None
    )
    edited = el("small", f" ({reader.t('edited')})", class_="edited") if message.edited else None
    return join(
        shown,
        edited,
        attachments_html(sight, message.attachments or []),
        files_html(sight, message.files) if message.files else None,
    )


def avatar(reader: Reader, user_id: str) -> Html:
    """Initials on a colour of their own; the bot has its arrows."""
    if user_id == reader.core.bot:
        return el("span", "⇄", class_="avatar bot", aria_hidden="true")
    if user_id == SLACKBOT:
        return el("span", "♥", class_="avatar slackbot", aria_hidden="true")
    words = reader.name(user_id).split()
    initials = "".join(word[0] for word in words[:2]).upper()
    return el("span", initials, class_=f"avatar c{sum(map(ord, user_id)) % COLOURS}", aria_hidden="true")


def pins_bar(reader: Reader, channel: Channel) -> Html:
    """One line below the channel's name: how many are pinned, and what the newest of them says now."""
    pins = _pinned(channel)
    if not pins:
        return join()
    newest = pins[-1][1]
    many = reader.plural("{n} pinned message", "{n} pinned messages", len(pins))
    return el(
        "button",
        el("span", f"📌 {many}", class_="count"),
        el("span", mrkdwn(newest.text.split("\n")[0], reader), class_="newest"),
        type="button",
        id="pins-open",
        aria_label=many,
    )


def pins_panel(reader: Reader, channel: Channel) -> Html:
    """All pinned messages, the newest first."""
    cards = [
        el(
            "section",
            el("p", "📌 ", reader.t("Pinned by {name}", name=reader.name(pin.created_by)), class_="note"),
            el("p", el("strong", reader.name(message.user)), " ", _time(reader, message), class_="byline"),
            el("div", content_html(reader, message), class_="content"),
            el("button", reader.t("Go to message"), type="button", class_="plain", data_jump=message.ts),
            class_="pin",
            data_ts=message.ts,
        )
        for pin, message in reversed(_pinned(channel))
    ]
    return join(*cards) if cards else el("p", reader.t("No pinned messages yet"), class_="empty")


def _pinned(channel: Channel) -> list[tuple[Pin, Message]]:
    found = [(pin, channel.public_message(pin.ts)) for pin in channel.pins]
    return [(pin, message) for pin, message in found if message is not None]


def _notes(reader: Reader, channel: Channel, message: Message) -> Html:
    """What stands above the name."""
    notes = []
    if message.visible_to is not None:
        notes.append(el("p", "👁 ", reader.t("Only visible to you"), class_="note"))
    pin = next((pin for pin in channel.pins if pin.ts == message.ts), None)
    if pin is not None:
        words = reader.t("Pinned by {name}", name=reader.name(pin.created_by))
        notes.append(el("p", "📌 ", words, class_="note pin-note"))
    if message.broadcast:
        notes.append(el("p", reader.t("replied to a thread"), class_="note broadcast"))
    return join(*notes)


def _byline(reader: Reader, message: Message) -> Html:
    bot = el("span", reader.t("APP"), class_="app") if message.bot_id else None
    return el("p", el("strong", reader.name(message.user)), bot, " ", _time(reader, message), class_="byline")


def _time(reader: Reader, message: Message) -> Html:
    exact = f"{reader.day(message.ts, 'full')}, {reader.clock(message.ts, seconds=True)}"
    return el("time", reader.clock(message.ts), title=exact)


def _replies(reader: Reader, channel: Channel, message: Message) -> Html | None:
    replies = channel.replies(message.ts)
    if not replies:
        return None
    people = list(dict.fromkeys(reply.user for reply in replies))
    return el(
        "button",
        *(avatar(reader, user) for user in people[:3]),
        el("b", reader.plural("{n} reply", "{n} replies", len(replies))),
        el("span", reader.t("Last reply {when}", when=reader.clock(replies[-1].ts))),
        type="button",
        class_="replies",
        data_thread=message.ts,
    )


def _tools(reader: Reader, channel: Channel, message: Message) -> Html | None:
    """What shows while the pointer or the focus is on the row."""
    if message.visible_to is not None or message.subtype == "tombstone":
        return None
    found = [_tool("💬", reader.t("Reply in thread"), data_thread=message.thread_ts or message.ts)]
    if channel.is_pinned(message.ts):
        found.append(_tool("📌", reader.t("Unpin"), data_fate="unpin"))
    if reader.user.is_admin or message.user == reader.user.id:
        found.append(_tool("🗑", reader.t("Delete message"), data_fate="delete_message"))
    return el("div", *found, class_="tools", role="toolbar", aria_label=reader.t("Message actions"))


def _tool(sign: str, words: str, **marks: str) -> Html:
    return el("button", sign, type="button", aria_label=words, title=words, **marks)
