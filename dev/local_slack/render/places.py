"""What is around the messages: the sidebar with the people to be, the head of a channel."""

from dev.local_slack.core import Core
from dev.local_slack.render.html import Html, el, join
from dev.local_slack.render.messages import avatar
from dev.local_slack.render.reader import Reader
from dev.local_slack.seed import SLACKBOT
from dev.local_slack.state import Channel, User

HOME = "home"


def people_of(core: Core) -> list[User]:
    """Whom one can be on this page."""
    return [u for u in core.ws.users.values() if not u.is_bot and not u.deleted and u.id != SLACKBOT]


def channels_of(reader: Reader) -> list[Channel]:
    """The public channels, and the private ones of this person."""
    return [
        channel
        for channel in reader.core.ws.channels.values()
        if not channel.is_im and (not channel.is_private or reader.user.id in channel.members)
    ]


def sidebar(reader: Reader) -> Html:
    app = reader.core.ws.app
    people = [
        el(
            "a",
            avatar(reader, user.id),
            el("span", user.real_name),
            el("small", f"{user.locale[:2]}{' · ' + reader.t('admin') if user.is_admin else ''}"),
            href=f"/as/{user.id}",
            data_person=user.id,
            aria_current="true" if user.id == reader.user.id else None,
        )
        for user in people_of(reader.core)
    ]
    channels = [
        _place(
            reader, channel.id, f"{'🔒' if channel.is_private else '#'} {channel.name}", channel.is_archived
        )
        for channel in channels_of(reader)
    ]
    return join(
        el("h1", reader.core.ws.team.name),
        el("nav", el("h2", reader.t("Channels")), *channels, aria_label=reader.t("Channels")),
        el(
            "nav",
            el("h2", reader.t("Apps")),
            _place(reader, reader.core.dm(reader.user.id).id, f"⇄ {app.name}", False),
            aria_label=reader.t("Apps"),
        ),
        el(
            "nav",
            el("h2", reader.t("Direct messages")),
            *(
                _place(reader, reader.core.people_dm_id(reader.user.id, user.id), _with(reader, user), False)
                for user in people_of(reader.core)
            ),
            aria_label=reader.t("Direct messages"),
        ),
        el("nav", el("h2", reader.t("View as")), *people, class_="people", aria_label=reader.t("View as")),
    )


def place_head(reader: Reader, channel: Channel) -> Html:
    """The name, and for the bot's conversation its tabs."""
    if channel.is_im and reader.core.bot not in channel.members:
        other = _other(reader, channel)
        return el("h2", avatar(reader, other.id), f" {_with(reader, other)}")
    if channel.is_im:
        app, me = reader.core.ws.app, reader.user.id
        tabs = (
            el("a", reader.t("Home"), href=f"/as/{me}/{HOME}", role="tab", data_local=True, data_tab=HOME),
            el(
                "a",
                reader.t("Messages"),
                href=f"/as/{me}/{channel.id}",
                role="tab",
                data_local=True,
                data_tab="im",
            ),
        )
        return join(
            el("h2", avatar(reader, app.bot_user), f" {app.name}"),
            el("div", *tabs, role="tablist", class_="tabs") if reader.core.ws.home_enabled else None,
        )
    members = reader.plural("{n} member", "{n} members", len(channel.members))
    return join(
        el("h2", f"{'🔒' if channel.is_private else '#'} {channel.name}"),
        el("small", members, class_="members"),
    )


def place_name(reader: Reader, channel: Channel) -> str:
    if not channel.is_im:
        return f"#{channel.name}"
    return (
        reader.core.ws.app.name if reader.core.bot in channel.members else _other(reader, channel).real_name
    )


def closed_to(reader: Reader, channel: Channel) -> str | None:
    """Why this person can't write here."""
    if channel.is_archived:
        return reader.t("This channel is archived")
    if reader.user.id not in channel.members:
        return reader.t("You are not a member of this channel")
    if reader.core.is_read_only(channel):
        return reader.t("Sending messages to this app has been turned off")
    return None


def _other(reader: Reader, channel: Channel) -> User:
    """Whom one writes to there: somebody else, or oneself."""
    me = reader.user
    return next((reader.core.ws.users[each] for each in channel.members if each != me.id), me)


def _with(reader: Reader, user: User) -> str:
    return f"{user.real_name} ({reader.t('you')})" if user.id == reader.user.id else user.real_name


def _place(reader: Reader, channel_id: str, name: str, archived: bool) -> Html:
    return el(
        "a",
        el("span", name),
        href=f"/as/{reader.user.id}/{channel_id}",
        class_="archived" if archived else None,
        data_local=True,
        data_channel=channel_id,
    )
