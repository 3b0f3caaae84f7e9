"""The page's own server: what it lets in, what it sends, and how much of it it can bear."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
from slack_sdk import WebClient

from dev.guard import ROOT
from dev.local_slack import chat, conversations, files, people, pins, views
from dev.local_slack.client import LocalSlack

from .conftest import MANIFEST

Json = dict[str, Any]


def boot(slack: LocalSlack, user: str = "U0ANA") -> Json:
    found: Json = get(slack, f"/page/{user}/boot").json()
    return found


def get(slack: LocalSlack, path: str, **headers: str) -> httpx.Response:
    return httpx.get(slack.url + path, headers=headers, trust_env=False)


def stream_of(slack: LocalSlack, user: str, booted: Json) -> str:
    return f"{slack.url}/page/{user}/stream?since={booted['seq']}&run={booted['run']}&born={booted['born']}"


def next_events(url: str, **headers: str) -> list[Json]:
    """The first line of changes that the stream brings."""
    with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=10) as answer:
        line = next(line for line in answer.iter_lines() if line.startswith("data: "))
    events: list[Json] = json.loads(line.removeprefix("data: "))
    return events


def test_the_front_door_leads_to_the_first_admin_in_the_first_channel(slack: LocalSlack) -> None:
    assert get(slack, "/").headers["Location"] == f"{slack.url}/as/U0ANA/C0PAYROLL"
    assert '<html lang="es">' in get(slack, "/as/U0ANA/C0PAYROLL").text
    assert '<html lang="en">' in get(slack, "/as/U0BOB/C0PAYROLL").text
    assert get(slack, "/as/U0NOBODY").status_code == 404


def test_the_page_may_load_and_run_nothing_but_its_own_files(slack: LocalSlack) -> None:
    policy = get(slack, "/as/U0ANA/C0PAYROLL").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
    assert "unsafe" not in policy
    page = get(slack, "/as/U0ANA/C0PAYROLL").text
    assert "http://" not in page and "https://" not in page and "style=" not in page


def test_another_sites_page_can_do_nothing_here_through_somebodys_browser(slack: LocalSlack) -> None:
    asked = {"url": f"{slack.url}/admin/say", "json": {"user": "U0ANA", "channel": "C0PAYROLL", "text": "x"}}
    for origin in ("https://example.com", "null"):
        answer = httpx.post(**asked, headers={"Origin": origin}, trust_env=False)  # type: ignore[arg-type]
        assert answer.status_code == 403
    rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
    assert httpx.post(**asked, headers=rebound, trust_env=False).status_code == 403  # type: ignore[arg-type]
    assert slack.user("U0ANA").messages("C0PAYROLL") == []
    assert httpx.post(**asked, headers={"Origin": slack.url}, trust_env=False).status_code == 200  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1]", ""])
def test_a_name_of_somebody_elses_that_leads_here_is_answered_nothing(slack: LocalSlack, host: str) -> None:
    for path in ("/", "/as/U0ANA/C0PAYROLL", "/page/U0ANA/boot", "/static/page.js", "/api/auth.test"):
        answer = httpx.get(f"{slack.url}{path}", headers={"Host": host}, trust_env=False)
        assert answer.status_code in {400, 403}, path
    answer = httpx.post(f"{slack.url}/admin/info", headers={"Host": host}, trust_env=False)
    assert answer.status_code in {400, 403}


def test_what_changes_something_is_taken_by_post_only(slack: LocalSlack) -> None:
    """A picture on another site's page makes a browser send a GET, without saying where it comes from."""
    say = {"user": "U0ANA", "channel": "C0PAYROLL", "text": "x"}
    post = {"token": slack.bot_token, "channel": "C0PAYROLL", "text": "x"}
    for path, query in (("/admin/say", say), ("/admin/revoke_token", {}), ("/api/chat.postMessage", post)):
        assert httpx.get(f"{slack.url}{path}", params=query, trust_env=False).status_code == 405
    assert slack.user("U0ANA").messages("C0PAYROLL") == []
    read = httpx.get(f"{slack.url}/api/auth.test", params=post, trust_env=False)
    assert read.json()["ok"] is True


def test_an_edit_sends_that_message_and_nothing_else(slack: LocalSlack, web: WebClient) -> None:
    slack.ask("fill", channel="C0PAYROLL", n=100)
    ts = web.chat_postMessage(channel="C0PAYROLL", text="0 %")["ts"]
    booted = boot(slack)
    web.chat_update(channel="C0PAYROLL", ts=ts, text="50 %")
    events = next_events(stream_of(slack, "U0ANA", booted))
    changed = [event for event in events if event["kind"] != "log"]
    assert [(event["kind"], event["ts"]) for event in changed] == [("message", ts)]
    assert "50 %" in changed[0]["html"]


def test_a_stream_that_was_lost_goes_on_where_it_broke_off(slack: LocalSlack, web: WebClient) -> None:
    booted = boot(slack)
    url = stream_of(slack, "U0ANA", booted)
    web.chat_postMessage(channel="C0PAYROLL", text="first")
    seq = boot(slack)["seq"]
    web.chat_postMessage(channel="C0PAYROLL", text="second")
    again = next_events(url, **{"Last-Event-ID": str(seq)})
    assert ["second" in event["html"] for event in again if event["kind"] == "message"] == [True]
    assert next_events(url.replace(booted["run"], "another")) == [{"kind": "reload"}]


def test_what_others_may_not_see_is_never_sent_to_them(slack: LocalSlack, web: WebClient) -> None:
    streams = {user: stream_of(slack, user, boot(slack, user)) for user in ("U0ANA", "U0CARLA")}
    web.chat_postEphemeral(channel="C0PAYROLL", user="U0ANA", text="for Ana alone")
    slack.invite_bot("C0SECRET")
    web.chat_postMessage(channel="C0SECRET", text="among few")
    ana, carla = (json.dumps(next_events(url)) for url in streams.values())
    assert "for Ana alone" in ana and "among few" in ana
    assert "for Ana alone" not in carla and "among few" not in carla
    assert get(slack, "/page/U0CARLA/history/C0SECRET").status_code == 404
    assert get(slack, "/page/U0CARLA/history/D0ANA").status_code == 404


def test_what_only_one_person_sees_lives_as_long_as_their_page(slack: LocalSlack, web: WebClient) -> None:
    before = boot(slack)["born"]
    web.chat_postEphemeral(channel="C0PAYROLL", user="U0ANA", text="now")
    after = boot(slack)["born"]
    seen = get(slack, f"/page/U0ANA/history/C0PAYROLL?born={before}").json()["messages"]
    gone = get(slack, f"/page/U0ANA/history/C0PAYROLL?born={after}").json()["messages"]
    assert (len(seen), len(gone)) == (1, 0)


def test_the_local_slack_listens_within_a_second_of_work() -> None:
    """Counted in processor time, which a busy machine doesn't stretch."""
    command = [sys.executable, "-m", "dev.local_slack", "--manifest", str(MANIFEST)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["url"]
            spent = psutil.Process(process.pid).cpu_times()
        finally:
            process.terminate()
    print(f"\n{spent.user + spent.system:.2f} s of processor time")
    assert spent.user + spent.system < 1.0


def test_fifty_windows_all_see_an_edit(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel="C0PAYROLL", text="0 %")["ts"]
    urls = [stream_of(slack, user, boot(slack, user)) for user in ("U0ANA", "U0BOB") for _ in range(25)]

    async def watch(session: aiohttp.ClientSession, url: str, ready: asyncio.Semaphore) -> float:
        async with session.get(url) as answer:
            ready.release()
            async for line in answer.content:
                if line.startswith(b"data: ") and b"99 %" in line:
                    return time.monotonic()
        raise AssertionError("the stream ended")

    async def all_of_them() -> float:
        ready = asyncio.Semaphore(0)
        limit = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=90)
        async with aiohttp.ClientSession(connector=limit, timeout=timeout) as session:
            watching = [asyncio.create_task(watch(session, url, ready)) for url in urls]
            for _ in urls:
                await ready.acquire()
            began = time.monotonic()
            for percent in range(1, 100):
                await asyncio.to_thread(web.chat_update, channel="C0PAYROLL", ts=ts, text=f"{percent} %")
            return max(await asyncio.gather(*watching)) - began

    slack.rate_limits(enabled=False)
    seconds = asyncio.run(all_of_them())
    print(f"\n99 edits in 50 windows: {seconds:.2f} s")
    assert seconds < 60


def test_fifty_callers_at_once_are_all_answered_and_nothing_is_lost(slack: LocalSlack) -> None:
    slack.rate_limits(enabled=False)

    def post(number: int) -> str:
        web = WebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])
        return str(web.chat_postMessage(channel="C0PAYROLL", text=f"Number {number}")["ts"])

    with ThreadPoolExecutor(50) as pool:
        sent = list(pool.map(post, range(500)))
    assert len(set(sent)) == 500
    found = {message.ts: message.text for message in slack.user("U0ANA").messages("C0PAYROLL")}
    assert found == {ts: f"Number {number}" for number, ts in enumerate(sent)}


def test_a_channel_of_ten_thousand_messages_comes_by_the_window(slack: LocalSlack) -> None:
    slack.ask("fill", channel="C0PAYROLL", n=10_000)
    newest = get(slack, "/page/U0ANA/history/C0PAYROLL").json()
    assert len(newest["messages"]) == 50 and newest["more"]
    assert "Message 10,000" in newest["messages"][-1]["html"]
    oldest = newest["messages"][0]["ts"]
    older = get(slack, f"/page/U0ANA/history/C0PAYROLL?before={oldest}").json()
    assert "Message 9,950" in older["messages"][-1]["html"]
    assert len(older["messages"]) == 50


def test_the_docs_name_every_method_that_is_modelled() -> None:
    page = (ROOT / "dev" / "local_slack" / "README.md").read_text("utf-8")
    families = [
        chat.METHODS,
        conversations.METHODS,
        files.METHODS,
        people.METHODS,
        pins.METHODS,
        views.METHODS,
    ]
    missing = [
        name
        for family in families
        for name in family
        if f"`{name}`" not in page and f"`{name.rpartition('.')[2]}`" not in page
    ]
    assert missing == []
