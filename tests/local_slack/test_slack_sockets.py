"""Socket Mode on the wire, reconnecting, and the server as a process."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from dev.local_slack.client import LocalSlack

from .conftest import MANIFEST
from .office import Office

ROOT = Path(__file__).parents[2]


def open_url(slack: LocalSlack) -> str:
    return str(WebClient(base_url=slack.api_url).apps_connections_open(app_token=slack.app_token)["url"])


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", None])
def test_the_bot_comes_back_after_a_disconnect(office: Office, room: str, reason: str | None) -> None:
    opened = len(office.slack.calls("apps.connections.open"))
    office.slack.disconnect_sockets(reason)
    office.slack.wait_for(lambda: len(office.slack.calls("apps.connections.open")) > opened)
    office.slack.wait_connected()
    assert office.ana.command("/copy-liquidation 42", channel=room).acked


def test_payloads_go_to_any_one_of_the_connections(office: Office, room: str) -> None:
    second = SocketModeHandler(office.app, office.slack.app_token)
    second.connect()
    office.slack.wait_connected(connections=2)
    done = [office.ana.command(f"/copy-liquidation {n}", channel=room) for n in range(4)]
    assert all(interaction.acked for interaction in done)
    used = {e.id: e.connection for e in office.slack.envelopes()}
    assert len({used[interaction.envelope_id] for interaction in done}) == 2
    second.close()


def test_a_ticket_is_good_once_and_pings_are_echoed(slack: LocalSlack) -> None:
    async def talk() -> list[Any]:
        url, seen = open_url(slack), []
        async with aiohttp.ClientSession() as session, session.ws_connect(url, autoping=False) as socket:
            seen.append(await socket.receive_json())
            assert (await socket.receive()).type is aiohttp.WSMsgType.PING
            await socket.ping(b"session:123")
            seen.append((await socket.receive()).data)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url)
        return seen

    hello, pong = asyncio.run(talk())
    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["connection_info"] == {"app_id": "A0TRASPASO"}
    assert pong == b"session:123"


def test_an_eleventh_connection_is_one_too_many(slack: LocalSlack) -> None:
    async def crowd() -> Any:
        async with aiohttp.ClientSession() as session:
            sockets = [await session.ws_connect(open_url(slack)) for _ in range(11)]
            return [(await socket.receive_json()).get("reason") for socket in sockets]

    assert asyncio.run(crowd()) == [None] * 10 + ["too_many_websockets"]


def test_an_envelope_has_slacks_shape(slack: LocalSlack) -> None:
    async def serve_one_command() -> tuple[Any, Any]:
        async with aiohttp.ClientSession() as session, session.ws_connect(open_url(slack)) as socket:
            await socket.receive_json()
            loop = asyncio.get_running_loop()
            typing = loop.run_in_executor(
                None, lambda: slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
            )
            envelope = await socket.receive_json()
            await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "Hi"}})
            return envelope, await typing

    envelope, done = asyncio.run(serve_one_command())
    assert envelope.keys() == {"envelope_id", "type", "payload", "accepts_response_payload"}
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
    assert done.ack_payload == {"text": "Hi"} and done.envelope_id == envelope["envelope_id"]


def test_what_an_ack_says_after_three_seconds_is_dropped(slack: LocalSlack) -> None:
    """On the bare socket, because Bolt itself stops waiting for its listener after three seconds."""

    async def ack_too_late() -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(open_url(slack)) as socket:
            await socket.receive_json()
            typing = asyncio.get_running_loop().run_in_executor(
                None, lambda: slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
            )
            envelope = await socket.receive_json()
            done = await typing
            await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "too late"}})
            late = await asyncio.to_thread(slack.wait_for, lambda: [e for e in slack.envelopes() if e.late])
            return done, late

    done, late = asyncio.run(ack_too_late())
    assert (done.acked, done.error) == (False, "operation_timeout")
    assert [e.id for e in late] == [done.envelope_id] and late[0].ack_seconds > 3
    told = '/copy-liquidation failed with the error "operation_timeout"'
    assert [m.text for m in slack.user("U0ANA").messages("C0PAYROLL")] == [told]


def test_an_event_that_is_not_acked_comes_again(slack: LocalSlack) -> None:
    async def ignore_the_first() -> list[Any]:
        async with aiohttp.ClientSession() as session, session.ws_connect(open_url(slack)) as socket:
            await socket.receive_json()
            looking = asyncio.get_running_loop().run_in_executor(
                None, slack.user("U0ANA").say, "C0PAYROLL", "hi"
            )
            seen = [await socket.receive_json(), await socket.receive_json()]
            await socket.send_json({"envelope_id": seen[1]["envelope_id"]})
            await looking
            return seen

    first, second = asyncio.run(ignore_the_first())
    assert (first["retry_attempt"], second["retry_attempt"], second["retry_reason"]) == (0, 1, "timeout")
    assert first["payload"] == second["payload"]


def test_as_a_process_it_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    started = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "dev.local_slack",
            "--manifest",
            MANIFEST,
            "--rate-limits",
            "off",
            "--ready-file",
            ready,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert time.monotonic() - started < 5
        assert json.loads(ready.read_text()) == said
        slack = LocalSlack(said["url"])
        assert (slack.bot_token, slack.app_token) == (said["bot_token"], said["app_token"])
        assert said["url"].startswith("http://127.0.0.1:")
        assert httpx.post(f"{slack.url}/admin/nothing", trust_env=False).status_code == 404
        slack.close()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        process.stdout.close()
