"""files.*: the three steps in which a bot puts a file into a channel or a thread, as `files_upload_v2` takes
them: ask for an address, send the bytes there, say where the file belongs."""

import json
import mimetypes
from typing import Any

from aiohttp import web

from dev.local_slack.access import writable_channel
from dev.local_slack.args import Args
from dev.local_slack.chat import LONGEST_TEXT, checked_blocks, thread_of
from dev.local_slack.clock import new_id
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.state import Channel, File
from dev.local_slack.wire import file_json

#: Slack takes a gigabyte; this much is plenty for a picture or a receipt, and stays in memory.
LARGEST_FILE_BYTES = 8 * 1024 * 1024
MOST_FILES = 10
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


def get_upload_url(core: Core, args: Args) -> Json:
    name = args.need("filename")
    size = args.number("length", 0)
    if size <= 0:
        raise SlackError("invalid_arguments")
    if size > LARGEST_FILE_BYTES:
        raise SlackError("file_upload_size_restricted")
    file = File(
        id=new_id("F"),
        name=name,
        title=name,
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        size=size,
        user=core.bot,
        created=int(core.clock.now()),
        alt_text=args.text("alt_txt") or "",
    )
    core.ws.files[file.id] = file
    return {"ok": True, "upload_url": f"{core.url}/upload/v1/{file.id}", "file_id": file.id}


async def receive(core: Core, request: web.Request) -> web.Response:
    """The bytes, as the whole body or as the first file of a form; they must be as long as announced."""
    file = core.ws.files.get(request.match_info["file"])
    if file is None or file.content is not None:
        return web.Response(status=404, text="no upload is expected here")
    content = await _content_of(request)
    if len(content) != file.size:
        return web.Response(status=400, text=f"{file.size} bytes were announced, {len(content)} came")
    file.content = content
    return web.Response(text=f"OK - {len(content)}")


def send(core: Core, request: web.Request) -> web.Response:
    """A file as it was uploaded. Only pictures are shown in place: nothing that came from a bot runs here."""
    file = core.ws.files.get(request.match_info["file"])
    if file is None or file.content is None:
        return web.Response(status=404, text="there is no such file")
    shown = file.mimetype in PICTURES
    return web.Response(
        body=file.content,
        content_type=file.mimetype if shown else "application/octet-stream",
        headers={
            "Content-Disposition": "inline" if shown else "attachment",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def complete_upload(core: Core, args: Args) -> Json:
    """Without a channel the files stay private to the bot."""
    files = [_uploaded(core, entry) for entry in _entries(args)]
    blocks = checked_blocks(args.object("blocks"))
    comment = args.text("initial_comment") or ""
    if len(comment) > LONGEST_TEXT:
        raise SlackError("msg_too_long")
    thread_ts = thread_of(args)
    channels = [_joined_to_write(core, name) for name in _targets(args)]
    for file, title in files:
        file.title, file.shared = title or file.name, bool(channels)
    for channel in channels:
        core.post(
            channel,
            user=core.bot,
            text=comment,
            blocks=blocks,
            thread_ts=thread_ts,
            files=[file.id for file, _ in files],
        )
    return {"ok": True, "files": [{"id": file.id, "title": file.title} for file, _ in files]}


def file_info(core: Core, args: Args) -> Json:
    file = core.ws.files.get(args.need("file", "file_not_found"))
    if file is None or file.content is None:
        raise SlackError("file_not_found")
    return {
        "ok": True,
        "file": file_json(core, file),
        "comments": [],
        "response_metadata": {"next_cursor": ""},
    }


async def _content_of(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if part is not None and hasattr(part, "read") else b""


def _entries(args: Args) -> list[Json]:
    given: Any = args.object("files")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    fits = isinstance(given, list) and all(isinstance(entry, dict) and "id" in entry for entry in given)
    if not fits or not 1 <= len(given) <= MOST_FILES:
        raise SlackError("invalid_arguments")
    return list(given)


def _uploaded(core: Core, entry: Json) -> tuple[File, str | None]:
    file = core.ws.files.get(str(entry["id"]))
    if file is None or file.content is None or file.shared:
        raise SlackError("file_not_found")
    return file, entry.get("title")


def _targets(args: Args) -> list[str]:
    names = args.text("channel_id") or args.text("channels") or ""
    return [name for name in names.split(",") if name]


def _joined_to_write(core: Core, channel_id: str) -> Channel:
    """Files go only to where the bot is a member; `chat:write.public` is about messages."""
    channel = writable_channel(core, channel_id)
    if core.bot not in channel.members:
        raise SlackError("not_in_channel")
    return channel


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
    "files.info": Method(file_info, ("files:read",)),
}
