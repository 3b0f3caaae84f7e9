"""Files: a bot puts a picture into a thread with the SDK's own three steps."""

import struct
import zlib

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError

from dev.local_slack.client import LocalSlack


def picture(width: int = 4, height: int = 4) -> bytes:
    """A small green PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x2e\xb6\x7d" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def error_of(caught: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(caught.value.response["error"])


def test_the_sdk_puts_a_picture_into_a_thread_with_a_comment(slack: LocalSlack, web: WebClient) -> None:
    parent = web.chat_postMessage(channel="C0PAYROLL", text="Copied")["ts"]
    sent = web.files_upload_v2(
        channel="C0PAYROLL",
        thread_ts=parent,
        content=picture(),
        filename="proof.png",
        title="The proof",
        alt_txt="A green square",
        initial_comment="See here",
    )
    assert sent["file"]["title"] == "The proof"
    _, reply = slack.user("U0ANA").thread("C0PAYROLL", parent)
    assert (reply.text, reply.user, reply.thread_ts) == ("See here", slack.bot_user, parent)
    (file,) = reply.files
    assert (file["id"], file["mimetype"], file["alt_txt"]) == (
        sent["file"]["id"],
        "image/png",
        "A green square",
    )
    assert slack.download(file) == picture()
    stored = web.conversations_replies(channel="C0PAYROLL", ts=parent)["messages"][1]
    assert stored["files"][0]["name"] == "proof.png"


def test_a_file_without_a_channel_is_shown_to_nobody(slack: LocalSlack, web: WebClient) -> None:
    web.files_upload_v2(content="alone", filename="note.txt")
    assert slack.user("U0ANA").messages("C0PAYROLL") == []


def test_files_need_their_scope_and_a_channel_that_the_bot_is_in(slack: LocalSlack, web: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        web.files_upload_v2(channel="C0OPEN", content="x", filename="x.txt")
    assert error_of(caught) == "not_in_channel"
    slack.set_scopes(["chat:write"])
    with pytest.raises(SlackApiError) as caught:
        web.files_getUploadURLExternal(filename="x.txt", length=1)
    assert error_of(caught) == "missing_scope"
    assert caught.value.response["needed"] == "files:write"


def test_the_upload_must_be_as_long_as_announced(web: WebClient) -> None:
    asked = web.files_getUploadURLExternal(filename="x.txt", length=5)
    url, file_id = asked["upload_url"], asked["file_id"]
    assert httpx.post(url, content=b"four", trust_env=False).status_code == 400
    with pytest.raises(SlackApiError) as caught:
        web.files_completeUploadExternal(files=[{"id": file_id}])
    assert error_of(caught) == "file_not_found"
    assert httpx.post(url, files={"file": b"fives"}, trust_env=False).text == "OK - 5"
    assert web.files_completeUploadExternal(files=[{"id": file_id}])["files"] == [
        {"id": file_id, "title": "x.txt"}
    ]


def test_an_upload_can_be_made_to_fail_at_each_of_its_steps(slack: LocalSlack, web: WebClient) -> None:
    slack.fault("files.getUploadURLExternal", error="internal_error")
    with pytest.raises(SlackApiError) as caught:
        web.files_upload_v2(channel="C0PAYROLL", content="x", filename="x.txt")
    assert error_of(caught) == "internal_error"
    slack.fault("upload", status=500)
    with pytest.raises((SlackRequestError, OSError)):
        web.files_upload_v2(channel="C0PAYROLL", content="x", filename="x.txt")
    slack.fault("files.completeUploadExternal", status=429, retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        web.files_upload_v2(channel="C0PAYROLL", content="x", filename="x.txt")
    assert caught.value.response.headers["Retry-After"] == "7"
    assert slack.user("U0ANA").messages("C0PAYROLL") == []


def test_what_is_no_picture_is_never_shown_in_place(slack: LocalSlack, web: WebClient) -> None:
    web.files_upload_v2(channel="C0PAYROLL", content="<script>alert(1)</script>", filename="page.html")
    (message,) = slack.user("U0ANA").messages("C0PAYROLL")
    answer = httpx.get(message.files[0]["url_private"], trust_env=False)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"
