"""Slack: both tokens, the scopes, the socket, and whether people, groups, channels and manifest are there."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin.connection import Connection, ConnectionState
from slack_sdk.web import SlackResponse
from sqlalchemy import func, select

from bot import manifest
from bot.config import SIDES
from bot.doctor.checks import ANSWER_SECONDS, Check, Context, Finding, Unknown, failed, ok, skipped, warning
from bot.jobs.models import CopyJob
from bot.jobs.transactions import with_limits
from bot.slack.access import is_id, is_user
from bot.slack.client import CONNECTION_ERRORS, Trouble, client, error_name, trouble_of
from copier.errors import failures_of

#: So many channels of the latest jobs are looked at.
CHANNELS = 20
#: How long the socket may take to say hello, in seconds.
HELLO_SECONDS = 8.0

REINSTALL = "install the app again (api.slack.com/apps, Install App), then restart bot and workers"


def _client(context: Context) -> WebClient:
    if context.settings.bot_token is None:
        raise Unknown("SLACK_BOT_TOKEN can't be used")
    return client(
        context.settings.bot_token, context.settings.slack_api_url, timeout_seconds=int(ANSWER_SECONDS)
    )


def _step(error: BaseException, otherwise: str) -> str:
    """What to do about an error of a call."""
    if isinstance(error, SlackApiError) and error_name(error) == "missing_scope":
        needed = error.response.get("needed") or "the scope that manifest.yml names"
        return f"add the scope {needed} to the app (OAuth & Permissions), and {REINSTALL}"
    match trouble_of(error):
        case Trouble.LATER:
            return "Slack asks for a pause: ask again in a minute"
        case Trouble.AMBIGUOUS:
            return "look at the network and its proxy, and at status.slack.com, and ask again"
        case _:
            return otherwise


# ----------------------------------------------------------------------------
# The bot token, and what comes with its answer


def _bot_token(context: Context) -> Iterator[Finding]:
    if context.settings.bot_token is None:
        yield failed("slack.bot_token", "SLACK_BOT_TOKEN can't be used: the settings say why", "set it")
        raise Unknown("SLACK_BOT_TOKEN can't be used")
    asked = context.clock()
    try:
        answer = _client(context).auth_test()
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        yield failed(
            "slack.bot_token",
            f"auth.test says {error_name(error)}",
            _step(
                error, "copy the bot token again from OAuth & Permissions, and install the app where it isn't"
            ),
        )
        raise Unknown(f"Slack doesn't take the bot token ({error_name(error)})") from None
    _note_date(context, answer, asked)
    context.slack.set(str(answer["bot_id"]))
    yield ok("slack.bot_token", f"it is {answer.get('user')} of the workspace {answer.get('team')}")
    yield from _scopes(answer)


def _note_date(context: Context, answer: SlackResponse, asked: float) -> None:
    """How far Slack's clock is ahead. It tells whole seconds only, so half a second is added."""
    if date := _header(answer, "date"):
        middle = (asked + context.clock()) / 2
        context.slack_date.set(parsedate_to_datetime(date).timestamp() + 0.5 - middle)


def _header(answer: SlackResponse, name: str) -> str | None:
    found = next((value for key, value in answer.headers.items() if key.lower() == name), None)
    return ",".join(found) if isinstance(found, list) else found


def _scopes(answer: SlackResponse) -> Iterator[Finding]:
    header = _header(answer, "x-oauth-scopes")
    if header is None:
        yield skipped("slack.scopes", "Slack's answer doesn't name the token's scopes")
        return
    granted = {scope.strip() for scope in header.split(",")}
    wanted = manifest.read()["oauth_config"]["scopes"]["bot"]
    missing = [scope for scope in wanted if scope not in granted]
    for scope in missing:
        yield failed(
            "slack.scopes",
            f"the bot token lacks the scope {scope}",
            f"add it to the app (OAuth & Permissions, Bot Token Scopes), and {REINSTALL}",
            scope,
        )
    if not missing:
        yield ok("slack.scopes", f"all {len(wanted)} scopes of manifest.yml are granted")


# ----------------------------------------------------------------------------
# The app-level token and the socket


def _socket(context: Context) -> Iterator[Finding]:
    if context.settings.http is not None:
        for id_ in ("slack.app_token", "slack.socket"):
            yield skipped(id_, "in HTTP mode Slack sends requests, and no socket is opened")
        return
    token = context.settings.app_token
    if token is None:
        yield failed("slack.app_token", "SLACK_APP_TOKEN can't be used: the settings say why", "set it")
        raise Unknown("SLACK_APP_TOKEN can't be used")
    web = client(None, context.settings.slack_api_url, timeout_seconds=int(ANSWER_SECONDS))
    try:
        url = str(web.apps_connections_open(app_token=token)["url"])
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        yield failed(
            "slack.app_token",
            f"apps.connections.open says {error_name(error)}",
            _step(
                error,
                "create an app-level token with connections:write (Basic Information, App-Level Tokens) and "
                "set it as SLACK_APP_TOKEN",
            ),
        )
        raise Unknown("without an address there is no socket to open") from None
    yield ok("slack.app_token", "Slack gives an address to connect to")
    hello, why = _hello(url)
    if hello is None:
        yield failed(
            "slack.socket",
            f"the socket was not opened: {why}",
            "let this machine reach wss-primary.slack.com:443, through its proxy too (HTTPS_PROXY)",
        )
        return
    others = max(0, int(hello.get("num_connections") or 1) - 1)
    beside = f"{others} more are open: the bot's" if others else "no bot is connected now"
    yield ok("slack.socket", f"Slack said hello; {beside}")


def _hello(url: str) -> tuple[dict[str, Any] | None, str]:
    """The first message of a socket that is closed at once, or why there was none.

    Slack may hand an event to any open socket, so this one is open no longer than the greeting takes.
    """
    said: list[dict[str, Any]] = []
    errors: list[str] = []
    state = ConnectionState()  # type: ignore[no-untyped-call]

    def take(message: str) -> None:
        found = json.loads(message)
        if found.get("type") in {"hello", "disconnect"}:
            said.append(found)
            state.terminated = True

    quiet = logging.getLogger("bot.doctor.socket")
    quiet.disabled = True
    connection = Connection(
        url,
        quiet,
        proxy=WebClient().proxy,
        receive_timeout=1,
        on_message_listener=take,
        on_error_listener=lambda error: errors.append(type(error).__name__),
    )
    timer = threading.Timer(HELLO_SECONDS, lambda: setattr(state, "terminated", True))
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        if not connection.is_active():
            return None, errors[0] if errors else "the address was refused"
        connection.run_until_completion(state)
    finally:
        timer.cancel()
        connection.close()
    if not said:
        return None, f"no hello within {HELLO_SECONDS:g} s"
    if said[0]["type"] == "disconnect":
        return None, f"Slack closed it ({said[0].get('reason')})"
    return said[0], ""


# ----------------------------------------------------------------------------
# Groups and people


def _named(context: Context) -> dict[str, list[str]]:
    """Every group and person that the configuration names, with the settings that name them."""
    file = context.settings.file
    lists: list[tuple[str, Iterable[str]]] = [
        ("slack.admin_groups", file.slack.admin_groups),
        ("slack.admin_users", file.slack.admin_users),
        ("slack.operators", file.slack.operators),
    ]
    for copy in file.copies:
        lists.append((f"allowed_groups of copy {copy.name}", copy.allowed_groups))
        lists.append((f"allowed_users of copy {copy.name}", copy.allowed_users))
    found: dict[str, list[str]] = {}
    for setting, names in lists:
        for name in names:
            found.setdefault(name, []).append(setting)
    return found


def _groups(context: Context) -> Iterator[Finding]:
    check = "slack.groups"
    named = {name: where for name, where in _named(context).items() if not _is_person(name, where)}
    if not named:
        yield skipped(check, "the configuration names no user group")
        return
    context.slack.get()
    web = _client(context)
    try:
        groups = web.usergroups_list()["usergroups"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        yield failed(
            check,
            f"usergroups.list says {error_name(error)}, so nobody is let through by a group",
            _step(error, "where the workspace has no user groups, name people in slack.admin_users"),
        )
        return
    ids = {group["handle"]: group["id"] for group in groups}
    known = set(ids.values())
    for name, where in named.items():
        group = name if is_id(name) else ids.get(name.removeprefix("@"))
        yield _group(web, name, group if group in known else None, " and ".join(where))


def _group(web: WebClient, name: str, group: str | None, where: str) -> Finding:
    check = "slack.groups"
    if group is None:
        return failed(
            check,
            f"there is no user group {name} in the workspace, or it is disabled; {where} names it",
            f"correct {where}: a group's id (S…) or its handle",
            name,
        )
    try:
        members = web.usergroups_users_list(usergroup=group)["users"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        words = f"usergroups.users.list says {error_name(error)} for {name}"
        return failed(check, words, _step(error, f"look at the group, or correct {where}"), name)
    if not members:
        return warning(
            check,
            f"the user group {name} has no members, so nobody has what {where} gives",
            "add people to the group in Slack",
            name,
        )
    return ok(check, f"{name} has {len(members)} member{'' if len(members) == 1 else 's'}", name)


def _is_person(name: str, where: list[str]) -> bool:
    return is_user(name) or any("users" in each for each in where)


def _people(context: Context) -> Iterator[Finding]:
    check = "slack.people"
    named = {name: where for name, where in _named(context).items() if _is_person(name, where)}
    if not named:
        yield skipped(check, "the configuration names no single person")
        return
    context.slack.get()
    web = _client(context)
    for name, where in named.items():
        yield _person(web, name, " and ".join(where))


def _person(web: WebClient, name: str, where: str) -> Finding:
    check = "slack.people"
    try:
        user = web.users_info(user=name)["user"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        if error_name(error) in {"user_not_found", "user_not_visible", "users_not_found"}:
            words = f"Slack knows nobody with the id {name}; {where} names it"
            return failed(
                check, words, f"correct {where}: copy the member id from the person's profile", name
            )
        words = f"users.info says {error_name(error)} for {name}"
        return failed(check, words, _step(error, f"correct {where}"), name)
    if user.get("deleted"):
        return failed(
            check,
            f"{name} is deactivated in Slack; {where} names it",
            f"take {name} out of {where}, and name somebody who is there",
            name,
        )
    return ok(check, f"{name} is there", name)


# ----------------------------------------------------------------------------
# Channels


def _channels(context: Context) -> Iterator[Finding]:
    check = "slack.channels"
    context.schema.get()
    context.slack.get()
    consulta = context.consulta.get()
    newest = func.max(CopyJob.id)
    latest = (
        select(CopyJob.channel_id)
        .where(CopyJob.channel_id.is_not(None), ~CopyJob.channel_id.like("D%"))
        .group_by(CopyJob.channel_id)
        .order_by(newest.desc())
        .limit(CHANNELS)
    )
    engine = with_limits(consulta.engine)
    with consulta.permits, failures_of(SIDES.target), engine.connect() as connection:
        channels = [str(channel) for channel in connection.scalars(latest)]
    file = context.settings.file
    configured = [each.channel for each in file.schedules]
    if file.watch is not None:
        configured.append(file.watch.channel)
    channels = list(dict.fromkeys([*configured, *channels]))
    if not channels:
        yield ok(check, "no job has a card in a channel yet; write /invite @traspaso in yours")
        return
    web = _client(context)
    for channel in channels:
        yield _channel(web, channel)


def _channel(web: WebClient, channel: str) -> Finding:
    check = "slack.channels"
    invite = f"write /invite @traspaso in {channel}"
    try:
        found = web.conversations_info(channel=channel)["channel"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        if error_name(error) == "channel_not_found":
            words = f"messages go to {channel}, which the bot can't see: it is private, or gone"
            return warning(check, words, f"{invite}; else the requesters get direct messages", channel)
        words = f"conversations.info says {error_name(error)} for {channel}"
        return failed(check, words, _step(error, invite), channel)
    name = f"#{found.get('name') or channel}"
    if found.get("is_archived"):
        step = "copy from another channel, or take this one out of the archive"
        return warning(check, f"{name} is archived: nothing can be posted there", step, channel)
    if not found.get("is_member"):
        words = f"the bot isn't in {name}: it can post there, and joins when it pins a card"
        return warning(check, words, invite, channel)
    return ok(check, f"the bot is in {name}", channel)


# ----------------------------------------------------------------------------
# The manifest


def _manifest(context: Context) -> Iterator[Finding]:
    check, token = "slack.manifest", context.settings.config_token
    if token is None:
        yield skipped(
            check,
            "whether the app's commands and events are those of manifest.yml can't be seen by a bot token; "
            "its scopes are",
            "set SLACK_CONFIG_TOKEN (api.slack.com/apps, Your App Configuration Tokens) for this one look, "
            "or compare the app's manifest with manifest.yml there",
        )
        return
    bot_id = context.slack.get()
    web = client(token, context.settings.slack_api_url, timeout_seconds=int(ANSWER_SECONDS))
    try:
        app_id = _client(context).bots_info(bot=bot_id)["bot"]["app_id"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        yield failed(check, f"bots.info says {error_name(error)}", _step(error, "ask again"))
        return
    try:
        installed = web.apps_manifest_export(app_id=app_id)["manifest"]
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        yield failed(
            check,
            f"apps.manifest.export says {error_name(error)}",
            _step(error, "make a new configuration token: each lives for twelve hours"),
        )
        return
    differences = list(_differences(manifest.read(), installed))
    for words, about in differences:
        yield warning(
            check,
            words,
            "put manifest.yml in the place of the app's manifest (api.slack.com/apps, App Manifest), and "
            f"{REINSTALL}",
            about,
        )
    if not differences:
        yield ok(check, "the app's commands, scopes and events are those of manifest.yml")


def _differences(ours: dict[str, Any], installed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the code relies on and the app hasn't, and the commands that only the app has."""
    wanted, there = _commands(ours), _commands(installed)
    yield from ((f"the app has no command {name}", name) for name in wanted if name not in there)
    yield from (
        (f"the app has the command {name}, which this release doesn't know", name)
        for name in there
        if name not in wanted
    )
    for what, *path in (
        ("scope", "oauth_config", "scopes", "bot"),
        ("event", "settings", "event_subscriptions", "bot_events"),
    ):
        have = _at(installed, path) or []
        yield from (
            (f"the app has no {what} {each}", each) for each in _at(ours, path) or [] if each not in have
        )
    for path in (
        ["settings", "interactivity", "is_enabled"],
        ["features", "app_home", "home_tab_enabled"],
        ["features", "app_home", "messages_tab_enabled"],
    ):
        if _at(ours, path) and not _at(installed, path):
            yield f"{'.'.join(path)} is off in the app", path[-1]


def _commands(found: dict[str, Any]) -> list[str]:
    return [each["command"] for each in _at(found, ["features", "slash_commands"]) or []]


def _at(found: Any, path: list[str]) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


CHECKS = (
    Check(("slack.bot_token", "slack.scopes"), _bot_token, sets=("slack", "slack_date")),
    Check(("slack.app_token", "slack.socket"), _socket),
    Check(("slack.groups",), _groups),
    Check(("slack.people",), _people),
    Check(("slack.channels",), _channels),
    Check(("slack.manifest",), _manifest),
)
