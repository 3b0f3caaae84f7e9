"""The part `flood`: what one outsider, one who searches and one who compares do to the acknowledgements and
the presses of everybody else, while somebody holds a lock on prod's table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict

import psycopg
from sqlalchemy import create_engine

from bot.jobs.repository import JobRepository, Request, Requester
from bot.messages.proposal import LIQUIDATION
from copier import CopySpec, TableName
from dev.load.books import Spread, most_in_a_minute
from dev.load.report import Result
from dev.load.site import CHANNELS, LOBBY, Release, Site
from dev.local_slack.client import Person
from dev.local_slack.results import Interaction, Message

#: What is sent, and by how many threads each.
COMMANDS, SEARCHES, COMPARISONS, THREADS = 600, 400, 200, 8
#: Jobs to cancel, jobs to approve, and questions for help beside each press.
PRESSES = 12
ROWS = 2_000
TABLE = TableName.parse("public.liquidation_items")
CHECKED = """
[[copies]]
name = "checked"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
require_approval = true
"""


def flood(release: Release, say: Callable[[str], None], *, quick: bool) -> Result:
    """600 commands of an outsider, 400 searches and 200 comparisons, as fast as Slack takes them."""
    share = 4 if quick else 1
    sent = COMMANDS // share, SEARCHES // share, COMPARISONS // share
    with Site(copies=CHECKED) as site:
        site.fill(dict.fromkeys(range(1, 4), ROWS))
        site.migrate(release)
        site.start("bot", release)
        site.slack.wait_connected()
        to_cancel, to_approve = _jobs(site)
        site.slack.wait_for(lambda: len(_cards(site)) == 2 * PRESSES)
        result = Result(
            "flood",
            f"{sent[0]} commands of an outsider, {sent[1]} searches and {sent[2]} comparisons, "
            "while prod's table is locked",
        )
        say(f"{result.what} …")
        flor = site.person("U0FLOR")
        flor.command("/copy-liquidation", channel=LOBBY)
        site.slack.wait_for(lambda: (view := flor.modal()) and LIQUIDATION in view.inputs)
        with psycopg.connect(site.stack.prod_url) as prod, ExitStack() as stack:
            commands, searches, comparisons = (
                stack.enter_context(ThreadPoolExecutor(THREADS)) for _ in range(3)
            )
            prod.execute("LOCK TABLE liquidation_items IN ACCESS EXCLUSIVE MODE")
            began, clock = time.monotonic(), time.time()
            crowd = [
                _repeated(commands, sent[0], lambda n: _outsider(site.person("U0CARLA"), n)),
                _repeated(searches, sent[1], lambda n: _search(flor, n)),
                _repeated(comparisons, sent[2], lambda n: _compare(site.person("U0DANI"), n)),
            ]
            others = _admins(site, to_cancel, to_approve)
            quiet = time.monotonic() - began
            flooded = [each.result() for futures in crowd for each in futures]
            took = time.monotonic() - began
            done = site.slack.wait_for(lambda: _done(site, to_cancel, to_approve), timeout=60.0)
            prod.rollback()
        acks = Spread.of(each.ack_seconds for each in others)
        of_flood = Spread.of(each.ack_seconds for each in flooded if each is not None)
        looks = [call.at for call in site.slack.calls("usergroups.users.list") if call.at >= clock]
        result.add("the flood took", f"{took:.0f} s; the admins' presses and questions {quiet:.0f} s of it")
        result.add("acknowledgements of the others", acks)
        result.add("acknowledgements of the flood", of_flood)
        result.add("look-ups at groups", f"{len(looks)}, most in a minute {most_in_a_minute(looks)} of 20")
        result.add("look-ups at people", len(site.slack.calls("users.info")))
        result.add("refused with 429", sum(call.status == 429 for call in site.slack.calls()))
        result.check("p99 of the others' acknowledgements under 1 s", acks.p99 < 1.0, f"{acks.p99:.3f} s")
        missed = [each for each in (*others, *flooded) if each is not None and not each.acked]
        result.check("everything was acknowledged", not missed, f"{len(missed)} weren't")
        result.check("every Cancel and Approve was done", bool(done), f"{2 * PRESSES} presses")
        helped = _helped(site)
        result.check("every question for help was answered", helped == 2 * PRESSES, helped)
        result.check("the outsider left the look-ups to the others", len(looks) <= 20, len(looks))
        result.details |= {"others": asdict(acks), "flood": asdict(of_flood), "seconds": took}
        return result


def _repeated(
    pool: ThreadPoolExecutor, times: int, deed: Callable[[int], Interaction | None]
) -> list[Future[Interaction | None]]:
    return [pool.submit(deed, n) for n in range(times)]


def _outsider(carla: Person, n: int) -> Interaction:
    commands = ("/copy-liquidation 1", "/copy-status", "/copy-freeze mantenimiento", "/copy-verify 1")
    return carla.command(commands[n % len(commands)], channel=LOBBY)


def _search(flor: Person, n: int) -> None:
    flor.options(LIQUIDATION, f"carga {n}")


def _compare(dani: Person, n: int) -> Interaction:
    return dani.command(f"/copy-verify {1 + n % 3}", channel=LOBBY)


def _admins(site: Site, to_cancel: list[int], to_approve: list[int]) -> list[Interaction]:
    """Two admins press and ask, one after the other, while all the rest goes on."""
    cards, found = _cards(site), []
    for cancelled, approved in zip(to_cancel, to_approve, strict=True):
        ana, bob = site.person("U0ANA"), site.person("U0BOB")
        found += [
            ana.press(cards[cancelled], "job.cancel"),
            ana.command("/copy-status help", channel=LOBBY),
            bob.press(cards[approved], "job.approve"),
            bob.command("/copy-verify help", channel=LOBBY),
        ]
        time.sleep(0.5)
    return found


def _jobs(site: Site) -> tuple[list[int], list[int]]:
    """Jobs that wait for a worker, of which there is none, and jobs that wait for an approval."""
    engine = create_engine(site.stack.consulta_url.replace("postgresql://", "postgresql+psycopg://", 1))
    store, eva = JobRepository(engine), Requester("T0ACME", "U0EVA", "Eva", "en-US")
    channel = next(iter(CHANNELS))

    def job(number: int, name: str, approvers: tuple[str, ...] | None) -> int:
        spec = CopySpec(name, TABLE, TABLE, "liquidation_id")
        request = Request(spec, number, None, eva, channel_id=channel, approvers=approvers)
        return store.create(request)[0]

    try:
        return (
            [job(100 + n, "items", None) for n in range(PRESSES)],
            [job(200 + n, "checked", ("<!subteam^S0ADMINS>",)) for n in range(PRESSES)],
        )
    finally:
        engine.dispose()


def _rows(site: Site, columns: str) -> list[tuple[object, ...]]:
    with psycopg.connect(site.stack.consulta_url) as consulta:
        return consulta.execute(f"SELECT {columns} FROM traspaso.copy_jobs".encode()).fetchall()


def _cards(site: Site) -> dict[int, Message]:
    rows = _rows(site, "id, message_ts, channel_id")
    bot = site.slack.bot_user
    return {
        int(str(job)): Message(ts=str(ts), user=bot, text="", channel=str(channel))
        for job, ts, channel in rows
        if ts is not None
    }


def _done(site: Site, to_cancel: list[int], to_approve: list[int]) -> bool:
    states = {job: (status, approval) for job, status, approval in _rows(site, "id, status, approval")}
    cancelled = all(states[job][0] == "cancelled" for job in to_cancel)
    return cancelled and all(states[job][1] == "approved" for job in to_approve)


def _helped(site: Site) -> int:
    texts = [str(call.args.get("text")) for call in site.slack.calls("response_url")]
    return sum("/copy-freeze off" in text for text in texts)
