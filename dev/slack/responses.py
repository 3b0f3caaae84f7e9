"""response_url: five uses within thirty minutes, the only way to change what just one person sees."""

from aiohttp import web

from dev.slack.args import Args, read_args
from dev.slack.chat import LONGEST_TEXT, checked_blocks
from dev.slack.core import Core
from dev.slack.errors import SlackError
from dev.slack.jsontypes import Json
from dev.slack.state import ResponseUrl

MOST_USES = 5
LIFETIME_SECONDS = 30 * 60


async def handle(core: Core, request: web.Request) -> tuple[int, Json, Args]:
    """Status and body of the answer, and what was sent."""
    args = Args({})
    try:
        args = await read_args(request)
        entry = core.ws.response_urls.get(request.match_info["id"])
        if entry is None or core.clock.now() - entry.created_at > LIFETIME_SECONDS:
            return 404, {"ok": False, "error": "expired_url"}, args
        if entry.uses >= MOST_USES:
            return 404, {"ok": False, "error": "used_url"}, args
        _respond(core, entry, args)
        entry.uses += 1
    except SlackError as error:
        return 400, error.body(), args
    return 200, {"ok": True}, args


def _respond(core: Core, entry: ResponseUrl, args: Args) -> None:
    channel = core.ws.channels[entry.channel]
    original = channel.message(entry.message_ts) if entry.message_ts else None
    if args.flag("delete_original"):
        if original is None:
            raise SlackError("message_not_found")
        core.delete(channel, original)
        return
    text, blocks = args.text("text") or "", checked_blocks(args.object("blocks"))
    if not text.strip() and not blocks:
        raise SlackError("no_text")
    if len(text) > LONGEST_TEXT:
        raise SlackError("msg_too_long")
    if args.flag("replace_original") and entry.message_ts is not None:
        if original is None:
            raise SlackError("message_not_found")
        original.text, original.blocks = text, blocks
        original.edited = None if blocks or original.visible_to else {"user": core.bot, "ts": core.clock.ts()}
        core.touch(original)
        return
    core.post(
        channel,
        user=core.bot,
        text=text,
        blocks=blocks,
        visible_to=None if args.text("response_type") == "in_channel" else entry.user,
        thread_ts=args.text("thread_ts"),
        metadata=args.object("metadata"),
    )
