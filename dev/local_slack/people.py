"""users.* and usergroups.*: who is who, in which language, and who belongs to which group."""

from dev.local_slack.args import Args
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.paging import page
from dev.local_slack.wire import group_json, user_json


def users_info(core: Core, args: Args) -> Json:
    user = core.ws.users.get(args.need("user", "user_not_found"))
    if user is None:
        raise SlackError("user_not_found")
    return {"ok": True, "user": user_json(core, user, locale=args.flag("include_locale"))}


def users_list(core: Core, args: Args) -> Json:
    users, metadata = page(list(core.ws.users.values()), args, default=1000, most=1000)
    return {
        "ok": True,
        "members": [user_json(core, user, locale=args.flag("include_locale")) for user in users],
        "cache_ts": int(core.clock.now()),
        "response_metadata": metadata,
    }


def usergroups_list(core: Core, args: Args) -> Json:
    _need_groups(core)
    groups = [
        group_json(core, group, users=args.flag("include_users"))
        for group in core.ws.groups.values()
        if not group.disabled or args.flag("include_disabled")
    ]
    return {"ok": True, "usergroups": groups}


def usergroups_users_list(core: Core, args: Args) -> Json:
    _need_groups(core)
    group = core.ws.groups.get(args.need("usergroup", "no_such_subteam"))
    if group is None or (group.disabled and not args.flag("include_disabled")):
        raise SlackError("no_such_subteam")
    return {"ok": True, "users": list(group.users)}


def _need_groups(core: Core) -> None:
    if core.ws.groups_error is not None:
        raise SlackError(core.ws.groups_error)


def bots_info(core: Core, args: Args) -> Json:
    app = core.ws.app
    if args.need("bot", "bot_not_found") != app.bot_id:
        raise SlackError("bot_not_found")
    bot = {"id": app.bot_id, "name": app.name, "app_id": app.id, "user_id": app.bot_user, "deleted": False}
    return {"ok": True, "bot": bot}


METHODS = {
    "bots.info": Method(bots_info, ("users:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "users.list": Method(users_list, ("users:read",)),
    "usergroups.list": Method(usergroups_list, ("usergroups:read",)),
    "usergroups.users.list": Method(usergroups_users_list, ("usergroups:read",)),
}
