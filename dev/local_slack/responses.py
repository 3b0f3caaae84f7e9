"""response_url: five uses within thirty minutes, the only way to change what just one person sees."""

from aiohttp import web

from dev.local_slack.args import Args, read_args
from dev.local_slack.chat import LONGEST_TEXT, checked_blocks
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.exchange import RESPONSE_URL, Answer, Arrival, Exchange
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import ResponseUrl

MOST_USES = 5
LIFETIME_SECONDS = 30 * 60


async def handle(core: Core, exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """Each use stands in the book of calls, as method `response_url`; a fault may match whose it is by `user`
    and `channel`."""
    arrival = Arrival(request, RESPONSE_URL, core.clock.now())
    try:
        arrival.args = await read_args(request)
    except SlackError as error:
        exchange.write(arrival, 400, error.body())
        return web.json_response(error.body(), status=400)
    entry = core.ws.response_urls.get(request.match_info["id"])
    about: Json = {} if entry is None else {"user": entry.user, "channel": entry.channel}
    answer = await exchange.carry_out(arrival, lambda: lambda: _use(core, entry, arrival.args), about)
    if answer is None:
        return web.Response(status=500)  # nobody is there to read it
    if answer.status != 200:
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)
    return web.Response(text="ok")


def _use(core: Core, entry: ResponseUrl | None, args: Args) -> Answer:
    if entry is None or core.clock.now() - entry.created_at > LIFETIME_SECONDS:
        return Answer(404, {"ok": False, "error": "expired_url"})
    if entry.uses >= MOST_USES:
        return Answer(404, {"ok": False, "error": "used_url"})
    try:
        _respond(core, entry, args)
    except SlackError as error:
        return Answer(400, error.body())
    entry.uses += 1
    return Answer(200, {"ok": True})


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
