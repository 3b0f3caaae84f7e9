"""``make demo``: a whole liquidation as an admin copies it, on real servers, and an independent comparison.

Exits 0 only if that comparison holds. With ``--stay`` everything stays up to be played with.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.markup import escape

from bot.messages.blocks import plain
from bot.messages.question import APPROVE_ACTION
from dev import payroll
from dev.compare import compare, compare_whole
from dev.guard import ROOT
from dev.local_slack import plain as as_text
from dev.local_slack.client import LocalSlack, Person
from dev.local_slack.results import Message
from dev.messages.catalogue import readable
from dev.output import harmless
from dev.processes import PRODUCT_PROGRAMS, Child
from dev.seed import seed_consulta, seed_prod
from dev.stack import Stack

CHANNEL = "C0PAYROLL"
ADMIN, SECOND = "U0ANA", "U0BOB"
LIQUIDATION = 42
#: One that somebody else has to approve.
SMALL = 41
#: Of the one large table that is there beside the payroll.
ROWS = 50_000

#: The same table once more, for a copy that starts only with a second person's yes.
REVIEWED = """
[[copies]]
name               = "reviewed"
source_table       = "public.liquidation_items"
target_table       = "public.liquidation_items"
liquidation_column = "liquidation_id"
require_approval   = true
"""
#: Small chunks, so that the card has something to show on so small a liquidation, and a worker that is lost
#: is noticed sooner than by default, so that the demo doesn't take long.
WORK = "\n[work]\nchunk_rows = 1000\ncard_seconds = 1\nlease_seconds = 5\nsweep_seconds = 1\n"

#: Speed over safety: the demo's data is made anew each time.
CLUSTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
PRODUCT = {"TRASPASO_HASH_SECRET": payroll.SECRET}

#: Where the copy is held up while its worker is killed: at this row of the lines of the liquidation.
HELD_UP_AT = 4_500
LINES = "Renglones"
SIGNS = {"pending": "○", "in_progress": "◔", "complete": "✓", "error": "✕"}

#: What is worth typing as Ana when all stays up.
TO_TRY = [
    (f"/copy-liquidation {LIQUIDATION}", "the whole liquidation: four tables, cheap by now"),
    (f"/copy-liquidation {LIQUIDATION} lines", "one of its tables"),
    (f"/copy-liquidation {LIQUIDATION} items", "the one large table beside them"),
    ("/copy-liquidation 40-43 items", "several liquidations with one press"),
    (f"/copy-verify {LIQUIDATION}", "compare, and write nothing"),
    ("/copy-status", "what runs, and the last copies"),
]

console = Console(highlight=False)


def configuration() -> str:
    """What an installation with this payroll has in its traspaso.toml."""
    return (ROOT / "traspaso.example.toml").read_text("utf-8") + payroll.COPIES + REVIEWED


def seed(stack: Stack, *, rows: int) -> None:
    """Both sides before the first copy; ``rows`` has the one large table."""
    seed_prod(stack.prod_url, rows=rows)
    seed_consulta(stack.consulta_url)
    payroll.seed_payroll_in_prod(stack.prod_url)
    payroll.seed_payroll_in_consulta(stack.consulta_url)


def main() -> int:
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--stay", action="store_true", help="leave everything up until Ctrl-C")
    options.add_argument("--rows", type=int, default=ROWS, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    say("Starting two PostgreSQL clusters, Valkey and the local Slack …")
    try:
        with Stack(config=configuration() + WORK, slack=True, settings=CLUSTER, product=PRODUCT) as stack:
            seed(stack, rows=arguments.rows)
            stack.migrate()
            say("Starting the bot and a worker …")
            slack = LocalSlack(slack_url(stack))
            bot = stack.start_bot()
            worker = stack.start_worker(ready="ready for action")
            try:
                slack.wait_connected()
            except AssertionError:
                print(harmless(bot.log()))
                raise
            say(f"All up after {time.monotonic() - began:.1f} s.\n")
            same = play(stack, slack, worker) and play_approval(stack, slack)
            if arguments.stay:
                stay(stack)
            return 0 if same else 1
    except KeyboardInterrupt:
        say("\nStopped; nothing is left behind.")
        return 130


def play(stack: Stack, slack: LocalSlack, worker: Child) -> bool:
    """The admin's part. True where both sides agree at the end of each copy."""
    ana = slack.user(ADMIN)
    title("1. A whole liquidation: its head, payslips, lines and deductions, at one moment of prod")
    before = wanted(slack, ana)
    with held_up(stack) as lift:
        press(ana, before)
        card = slack.wait_for(lambda: in_the_middle(ana.messages(CHANNEL)), timeout=60)
        show("#payroll, pinned", card)
        say("[bold]kill -9[/]  the worker is gone, in the middle of the third table. Another one starts.\n")
        worker.kill()
        lift()
    stack.start_worker("worker-2", ready="ready for action")
    ended(slack, ana, card)
    same = compared(stack, slack)
    title("2. Prod moves on: three payslips are corrected, one is taken out")
    payroll.change_in_prod(stack.prod_url)
    press(ana, wanted(slack, ana))
    ended(slack, ana, slack.wait_for(lambda: newer(ana.messages(CHANNEL), card)), shows_card=False)
    same = compared(stack, slack) and same
    title("3. What a set would do, without reading a row")
    explained(stack)
    return same


def wanted(slack: LocalSlack, ana: Person) -> Message:
    """She types the command; gives what she is asked."""
    say(f"[bold]Ana types[/]  /copy-liquidation {LIQUIDATION}")
    ana.command(f"/copy-liquidation {LIQUIDATION}", channel=CHANNEL)
    offer = slack.wait_for(lambda: asked(ana.messages(CHANNEL)))
    show("Only Ana sees", offer)
    return offer


def press(ana: Person, offer: Message) -> None:
    copy = next(button for button in offer.buttons if button.style == "primary")
    say(f"[bold]Ana presses[/]  {escape(harmless(copy.text))}\n")
    ana.press(offer, copy.action_id)


def ended(slack: LocalSlack, ana: Person, card: Message, *, shows_card: bool = True) -> None:
    """Waits for the reply below the card, and shows both."""

    def replied() -> Message | None:
        now = next(each for each in ana.messages(CHANNEL) if each.ts == card.ts)
        return now if now.reply_count and not now.pinned else None

    now = slack.wait_for(replied, timeout=120)
    if shows_card:
        show("#payroll, no longer pinned", now)
    for reply in ana.thread(CHANNEL, card.ts)[1:]:
        show("Reply in its thread", reply)


def compared(stack: Stack, slack: LocalSlack) -> bool:
    """Without any of Traspaso's code: the four tables, and no value in consulta that should have stayed."""
    say(
        "[bold]Without Traspaso[/]  the tables are compared, and all of consulta, the logs and the channel "
        "searched for what must not leave prod …"
    )
    beside = {
        "the log of the bot": log_of(stack, "bot"),
        "the logs of the workers": log_of(stack, "worker"),
        "the channel": "\n".join(as_text.plain(each.blocks, each.text) for each in everything_said(slack)),
    }
    whole = compare_whole(
        stack.prod_url,
        stack.consulta_url,
        LIQUIDATION,
        payroll.TABLES,
        secret=payroll.SECRET,
        beside=beside,
    )
    for holds, words in whole.lines():
        say(f"{'✅' if holds else '❌'} {escape(harmless(words))}")
    with psycopg.connect(stack.consulta_url) as consulta:
        newest = "SELECT status FROM traspaso.copy_jobs ORDER BY id DESC LIMIT %s"
        found = [row[0] for row in consulta.execute(newest, [len(payroll.TABLES)])]
    say("")
    return bool(whole) and found == ["completed"] * len(payroll.TABLES)


def log_of(stack: Stack, name: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(stack.folder.glob(f"{name}*.log")))


def everything_said(slack: LocalSlack) -> list[Message]:
    ana = slack.user(ADMIN)
    cards = ana.messages(CHANNEL)
    return [*cards, *(reply for card in cards if card.reply_count for reply in ana.thread(CHANNEL, card.ts))]


def explained(stack: Stack) -> None:
    say(f"[bold]In a shell[/]  {relative(PRODUCT_PROGRAMS / 'traspaso')} explain\n")
    run = subprocess.run(
        [PRODUCT_PROGRAMS / "traspaso", "explain"],
        env=stack.environment() | {"COLUMNS": "150"},
        capture_output=True,
        text=True,
        check=True,
    )
    for line in run.stdout.strip().split("\n"):
        console.print(f"   {harmless(line)}", markup=False, emoji=False, soft_wrap=True)
    console.print()


@contextmanager
def held_up(stack: Stack) -> Iterator[Callable[[], None]]:
    """Somebody has a row of consulta's lines: the copy waits there in its middle, until that is lifted."""
    row = """SELECT l.id FROM payslip_lines l JOIN payslips p ON p.id = l.payslip_id
        WHERE p.liquidation_id = %s ORDER BY l.id OFFSET %s LIMIT 1"""
    taken = """INSERT INTO payslip_lines (id, payslip_id, concept, description, amount)
        SELECT %s, min(id), '', '', 0 FROM payslips"""
    with psycopg.connect(stack.prod_url) as prod, psycopg.connect(stack.consulta_url) as consulta:
        [key] = prod.execute(row, [LIQUIDATION, HELD_UP_AT]).fetchone() or [0]
        prod.rollback()
        consulta.execute(taken, [key])
        yield consulta.rollback


def in_the_middle(messages: list[Message]) -> Message | None:
    """The card, as soon as it says that a part of the lines is in place."""
    card = pinned_or_final(messages)
    if card is None or not card.pinned:
        return None
    tasks = [task for block in card.blocks or [] for task in block.get("tasks") or []]
    lines = next((task for task in tasks if str(task["title"]).startswith(LINES)), None)
    done = lines and re.search(r"\b(\d+)\s?%", as_text.plain([lines]))
    return card if done and int(done[1]) >= 10 else None


def newer(messages: list[Message], card: Message) -> Message | None:
    """The card of a later press."""
    found = pinned_or_final(messages)
    return found if found is not None and found.ts != card.ts else None


def play_approval(stack: Stack, slack: LocalSlack) -> bool:
    """A copy that Bob approves. True where both sides agree on it at the end."""
    title("4. One table, and four eyes: somebody else has to approve it")
    ana, bob = slack.user(ADMIN), slack.user(SECOND)
    before = {message.ts for message in ana.messages(CHANNEL)}
    say(f"[bold]Ana types[/]  /copy-liquidation {SMALL} reviewed")
    ana.command(f"/copy-liquidation {SMALL} reviewed", channel=CHANNEL)

    def new(messages: list[Message]) -> list[Message]:
        return [message for message in messages if message.ts not in before]

    offer = slack.wait_for(lambda: asked(new(ana.messages(CHANNEL))))
    ana.press(offer, next(button for button in offer.buttons if button.style == "primary").action_id)

    def with_approve() -> Message | None:
        card = pinned_or_final(new(bob.messages(CHANNEL)))
        return card if card and any(button.action_id == APPROVE_ACTION for button in card.buttons) else None

    card = slack.wait_for(with_approve)
    show("#payroll, and nothing is copied yet", card)
    say("[bold]Bob presses[/]  Approve")
    bob.press(card, APPROVE_ACTION)

    def over() -> Message | None:
        now = pinned_or_final(new(bob.messages(CHANNEL)))
        return now if now and now.reply_count >= 2 else None  # that Bob approved it, and how it ended

    for reply in ana.thread(CHANNEL, slack.wait_for(over, timeout=120).ts)[1:]:
        show("Reply in its thread", reply)
    comparison = compare(stack.prod_url, stack.consulta_url, SMALL)
    say(f"{'✅' if comparison else '❌'} {comparison}\n")
    return bool(comparison)


def asked(messages: list[Message]) -> Message | None:
    """The newest message with buttons that only she sees."""
    return next((each for each in reversed(messages) if each.ephemeral and each.buttons), None)


def pinned_or_final(messages: list[Message]) -> Message | None:
    """The card of the newest job."""
    return next((each for each in reversed(messages) if (each.metadata or {}).get("event_type")), None)


def stay(stack: Stack) -> None:
    """Says how to play with what is up, and waits for Ctrl-C."""
    environment = stack.environment()
    names = ("PROD_DATABASE_URL", "CONSULTA_DATABASE_URL", "REDIS_URL", "TRASPASO_CONFIG", *PRODUCT)
    say("[bold]Everything stays up until Ctrl-C.[/] Be an admin in the workspace, in a browser:\n")
    say(f"  {slack_url(stack)}/as/{ADMIN}/{CHANNEL}\n")
    for command, what in TO_TRY:
        say(f"  [bold]{command:<34}[/] {what}")
    say(f"\nAs Bob, who may approve what she asks for with `/copy-liquidation {SMALL} reviewed`:\n")
    say(f"  {slack_url(stack)}/as/{SECOND}/{CHANNEL}")
    say("\nIn another terminal:\n")
    for name in names:
        say(f"  export {name}={shlex.quote(environment[name])}")
    program = relative(PRODUCT_PROGRAMS / "traspaso")
    say("")
    for command in ("status", f"copy {LIQUIDATION}", "copy 40-43 --set completa", "copy 41 items", "explain"):
        say(f"  {program} {command}")
    say(f"\nLogs: {stack.folder}/*.log")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def slack_url(stack: Stack) -> str:
    return stack.environment()["SLACK_API_URL"].removesuffix("/").removesuffix("/api")


def title(text: str) -> None:
    say(f"[bold]━━ {text}[/]\n")


def show(where: str, message: Message) -> None:
    """A message as she reads it."""
    console.print(f"[dim]── {where}[/]")
    for line in shown(message):
        console.print(f"   {line}", markup=False, emoji=False, soft_wrap=True)
    console.print()


def shown(message: Message) -> Iterator[str]:
    """Its lines, with a task on each, and the columns of a table below each other."""
    if not message.blocks:
        yield from plain(readable(harmless(message.text))).split("\n")
    for block in message.blocks or []:
        if block["type"] == "table":
            yield from columns([[cell.get("text", "") for cell in row] for row in block["rows"]])
            continue
        text = plain(readable(harmless(as_text.plain([block]))))
        task = r"^(.*) \((pending|in_progress|complete|error)\)(?:\n|$)"
        yield from re.sub(task, lambda m: f"{SIGNS[m[2]]} {m[1]} · ", text, flags=re.MULTILINE).split("\n")


def columns(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    texts = [[harmless(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def say(text: str) -> None:
    console.print(text, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
