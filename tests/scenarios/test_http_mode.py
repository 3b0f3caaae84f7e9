"""HTTP mode: the same bot, to which Slack sends signed requests. What isn't Slack's is turned away.

That commands, buttons, windows, menus and App Home are the same is in the scenarios marked with `both_ways`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit

import httpx
import psutil
import psycopg
import pytest

from bot.messages import verification
from dev.processes import Child

from .scene import EN, Office, Scene, until
from .test_the_panel_on_app_home import latest

over_http = pytest.mark.parametrize("scene", ["http"], indirect=True)
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


def sent(
    office: Office, url: str, body: str, content_type: str = FORM, **headers: str
) -> tuple[int, httpx.Response]:
    signed = {**office.slack.sign(body), "Content-Type": content_type, **headers}
    answer = httpx.post(url, content=body.encode(), headers=signed, timeout=20, trust_env=False)
    return answer.status_code, answer


def command(scene: Scene, text: str, name: str = "/copy-status") -> str:
    return urlencode(
        {
            "command": name,
            "text": text,
            "team_id": "T0ACME",
            "user_id": "U0ANA",
            "channel_id": scene.channel,
        }
    )


def url_of(office: Office) -> str:
    return str(office.slack.ask("info")["app"]["request_url"])


def connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port or 80), timeout=30)


# ---------------------------------------------------------------------------------- what isn't Slack's


@over_http
def test_what_slack_hasn_t_signed_is_refused_and_nothing_comes_of_it(office: Office, scene: Scene) -> None:
    url, body = url_of(office), command(scene, "help")
    good = office.slack.sign(body)
    old = {**good, "X-Slack-Request-Timestamp": str(int(time.time()) - 400)}
    for headers in (
        {},
        {"X-Slack-Signature": "v0=0123"},
        {**good, "X-Slack-Signature": "v0=" + "0" * 64},
        office.slack.sign(body + "0"),
        old,
    ):
        answer = httpx.post(url, content=body, headers={"Content-Type": FORM, **headers}, trust_env=False)
        assert answer.status_code == 401, headers
        assert answer.json() == {"error": "invalid_signature"}
    assert not scene.private(scene.ana)
    log = office.logs()
    assert "a request was refused: its signature isn't Slack's" in log
    assert good["X-Slack-Signature"] not in log
    assert office.slack.signing_secret not in log


@over_http
def test_a_request_that_comes_twice_byte_for_byte_is_done_once(office: Office, scene: Scene) -> None:
    scene.slack.duplicate_next_envelope()
    before = len(scene.slack.answered())
    assert scene.ana.command("/copy-status help", channel=scene.channel).acked
    assert scene.slack.answered()[before:] == [200, 401]
    scene.slack.wait_for(lambda: scene.private(scene.ana))
    assert len(scene.private(scene.ana)) == 1


@over_http
def test_a_press_that_slack_sends_again_with_a_new_signature_is_one_job(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.ana)
    scene.press(scene.ana, offer)
    [pressed] = [
        each.payload
        for each in scene.slack.envelopes()
        if each.type == "interactive" and each.payload.get("channel", {}).get("id") == scene.channel
    ]
    for number in (1, 2):
        body = urlencode({"payload": json.dumps(pressed), "again": number})
        retry = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": "http_timeout"}
        assert sent(office, url_of(office), body, **retry)[0] == 200
    [job] = scene.jobs()
    scene.completed(job["id"])
    assert len(scene.jobs()) == len(scene.cards(job["id"])) == 1


@over_http
def test_while_redis_is_away_people_are_answered_and_a_repetition_is_known(
    office: Office, scene: Scene
) -> None:
    office.stack.valkey.kill()
    scene.slack.duplicate_next_envelope()
    before = len(scene.slack.answered())
    assert "/copy-liquidation 42" in scene.ask(scene.bob, "help", "/copy-status")
    assert scene.slack.answered()[before:] == [200, 401]


@over_http
def test_what_is_no_request_of_slacks_gets_an_answer_that_says_so(office: Office, scene: Scene) -> None:
    url, body = url_of(office), command(scene, "help")
    with httpx.Client(trust_env=False) as web:
        assert web.get(url, params={"ssl_check": "1"}).status_code == 200
        got = web.get(url)
        assert (got.status_code, got.headers["allow"]) == (405, "POST")
        for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
            assert web.request(method, url).status_code == 405
        for path in ("", "/", "/slack", "/slack/events/", "/slack/events/x", "/..%2fslack/events"):
            assert web.get(url.removesuffix("/slack/events") + path).status_code == 404, path
    assert sent(office, url, body, "text/plain")[0] == 415
    assert sent(office, url, body, "multipart/form-data; boundary=x")[0] == 415
    assert sent(office, url, body, "")[0] == 415
    assert sent(office, url, "{", JSON)[0] == 200  # signed by Slack, and not to be sent again
    assert sent(office, url, "text=" + "x" * (4 * 1024 * 1024))[0] == 413
    assert office.slack.user("U0ANA").command("/copy-status help", channel=scene.channel).acked


@over_http
def test_a_slow_or_broken_request_is_given_up_and_holds_nobody_up(office: Office, scene: Scene) -> None:
    url = url_of(office)
    head = f"POST /slack/events HTTP/1.1\r\nHost: bot\r\nContent-Type: {FORM}\r\nContent-Length: 1000\r\n"
    with connected(url) as silent, connected(url) as slow, connected(url) as half, connected(url) as broken:
        slow.sendall(head.encode() + b"\r\ntext=")
        half.sendall(head.encode())
        broken.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert scene.ana.command("/copy-status help", channel=scene.channel).acked
        assert broken.recv(100).startswith(b"HTTP/1.1 400")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert half.recv(100) == b""
        assert silent.recv(100) == b""


@over_http
def test_chunks_without_a_length_are_counted_too(office: Office, scene: Scene) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    with httpx.Client(trust_env=False) as web:
        try:
            answer = web.post(url_of(office), content=endless(), headers={"Content-Type": FORM})
        except httpx.WriteError:  # the bot has closed the connection meanwhile
            return
    assert answer.status_code == 413


# ------------------------------------------------------------------------------------- stopping


@over_http
def test_a_stop_answers_the_requests_in_hand_first(office: Office, scene: Scene) -> None:
    bot, url = office.start_http_bot("bot-http-stopped")
    body = command(scene, "help")
    with connected(url) as half:
        lines = [f"{name}: {value}" for name, value in office.slack.sign(body).items()]
        head = ["POST /slack/events HTTP/1.1", "Host: bot", f"Content-Type: {FORM}", *lines]
        half.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", body[:5]]).encode())
        until(lambda: psutil.Process(bot.pid).net_connections(), what="the connection")
        bot.terminate()
        until(lambda: refused(url), what="no more connections")
        half.sendall(body[5:].encode())
        assert half.recv(1000).startswith(b"HTTP/1.1 200")
    assert bot.wait(30) == 0
    assert "Traceback" not in bot.log()


def refused(url: str) -> bool:
    try:
        connected(url).close()
    except ConnectionError:
        return True
    return False


def test_a_port_that_is_taken_is_named_and_the_process_ends(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = {
            "SLACK_APP_TOKEN": "",
            "SLACK_SIGNING_SECRET": office.slack.signing_secret,
            "PORT": port,
            "WEB_HOST": "127.0.0.1",
        }
        bot = office.stack.run("bot-http-taken", ["python", "-m", "bot"], env={**office.secrets, **env})
        assert bot.wait(30) == 78
    assert f"PORT: nobody can listen on 127.0.0.1, port {port} (Address already in use)" in bot.log()
    assert "Traceback" not in bot.log()


# ------------------------------------------------------------------------------------- several processes


@pytest.fixture(scope="module")
def crowd(office: Office) -> Iterator[tuple[Child, str]]:
    """A bot of three processes, and its request URL."""
    bot, url = office.start_http_bot("bot-http-crowd", WEB_PROCESSES="3")
    bot.wait_until(lambda: bot.log().count("listening for Slack on") == 3, what="three processes")
    yield bot, url
    bot.terminate()
    assert bot.wait(40) == 0


@contextmanager
def one_after_the_other(office: Office, url: str) -> Iterator[None]:
    """What people do goes to the processes of this bot, whichever the system chooses."""
    office.slack.use_request_url(url)
    try:
        yield
    finally:
        office.slack.use_request_url(None)


def test_several_processes_share_the_port_and_one_that_dies_is_started_again(
    office: Office, scene: Scene, crowd: tuple[Child, str]
) -> None:
    bot, url = crowd
    with one_after_the_other(office, url):
        for _ in range(6):
            assert scene.ana.command("/copy-status help", channel=scene.channel).acked
        victim = listening(bot)[0]
        victim.kill()
        until(lambda: len(listening(bot)) == 3 and victim not in listening(bot), what="a new process")
        bot.wait_until(lambda: bot.log().count("listening for Slack on") == 4, what="a fourth start")
        assert scene.ana.command("/copy-status help", channel=scene.channel).acked


def test_a_comparison_is_cancelled_whichever_process_the_press_comes_to(
    office: Office, scene: Scene, crowd: tuple[Child, str]
) -> None:
    scene.seed(10)
    with (
        one_after_the_other(office, crowd[1]),
        psycopg.connect(office.stack.prod_url) as connection,
    ):
        connection.execute("LOCK TABLE liquidation_items IN ACCESS EXCLUSIVE MODE")
        _, said = scene.type(scene.bob, f"/copy-verify {scene.liquidation}")
        [busy] = comparing(office, crowd[0])
        busy.suspend()  # so that the press comes to another one
        try:
            assert scene.bob.press(said, verification.CANCEL_ACTION).acked
            assert EN("cancelled") in scene.replaced(scene.bob, said).lower()
        finally:
            busy.resume()
        until(lambda: not waiting_in_prod(office), what="no comparison that waits for prod")
        assert busy.is_running()


def test_app_home_follows_whoever_opened_it_last_and_keeps_their_filters(
    office: Office, scene: Scene, crowd: tuple[Child, str]
) -> None:
    office.workers(1)
    scene.seed(10)
    scene.bob.open_home()  # the bot with a socket showed it before, unfiltered
    with one_after_the_other(office, crowd[1]):
        hers, his = (scene.completed(scene.start(person))["id"] for person in (scene.ana, scene.bob))
        home = scene.bob.open_home()
        assert scene.bob.press(home, "home.who", value="mine").acked
        scene.slack.wait_for(lambda: not latest(scene.bob, hers) and latest(scene.bob, his))
        for _ in range(6):  # to any of the processes, each of which knows the filter
            scene.bob.open_home()
            scene.slack.wait_for(lambda: latest(scene.bob, his) and not latest(scene.bob, hers))
        newer = scene.completed(scene.start(scene.bob))["id"]
        scene.slack.wait_for(lambda: latest(scene.bob, newer))
        assert not latest(scene.bob, hers)
        home = until(scene.bob.home)
        assert scene.bob.press(home, "home.who", value="all").acked


def test_processes_end_with_the_one_that_started_them(office: Office) -> None:
    bot, _ = office.start_http_bot("bot-http-orphans", WEB_PROCESSES="2")
    bot.wait_until(lambda: bot.log().count("listening for Slack on") == 2, what="two processes")
    children = listening(bot)
    os.kill(bot.pid, signal.SIGKILL)
    psutil.wait_procs(children, timeout=30)
    assert not any(each.is_running() for each in children)


def listening(bot: Child) -> list[psutil.Process]:
    """The processes that listen for it, but for the one that started them."""
    return [each for each in psutil.Process(bot.pid).children() if listens(each)]


def listens(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in part for part in process.cmdline())
    except psutil.NoSuchProcess:  # it has ended
        return False


def waiting_in_prod(office: Office) -> list[int]:
    found = office.prod.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'traspaso verify%' "
        "AND wait_event_type = 'Lock'"
    ).fetchall()
    return [row["pid"] for row in found]


def comparing(office: Office, bot: Child) -> list[psutil.Process]:
    """The processes of the bot that wait for prod, by the ports of their sessions."""
    waiting = until(lambda: waiting_in_prod(office), what="a comparison that waits for prod")
    rows = office.prod.execute(
        "SELECT client_port FROM pg_stat_activity WHERE pid = ANY(%s)", [waiting]
    ).fetchall()
    ports = {row["client_port"] for row in rows}
    return [
        each
        for each in listening(bot)
        if ports & {connection.laddr.port for connection in each.net_connections() if connection.laddr}
    ]
