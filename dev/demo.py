"""``make demo``: the main job as an admin lives it, on real servers, ended by an independent comparison.

Exits 0 only if that comparison holds. With ``--stay`` everything stays up to be played with.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import psycopg
from rich.console import Console
from rich.markup import escape

from bot.messages.blocks import plain
from bot.messages.question import APPROVE_ACTION
from dev.compare import compare
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from dev.output import harmless
from dev.processes import PRODUCT_PROGRAMS
from dev.seed import seed_consulta, seed_prod
from dev.stack import Stack

CHANNEL = "C0PAYROLL"
ADMIN, SECOND = "U0ANA", "U0BOB"
LIQUIDATION = 42
#: One that somebody else has to approve.
SMALL = 41
ROWS = 200_000

#: Small chunks, so that the card has something to show on so small a liquidation.
#: The same table once more, for a copy that starts only with a second person's yes.
REVIEWED = """
[[copies]]
name               = "reviewed"
source_table       = "public.liquidation_items"
target_table       = "public.liquidation_items"
liquidation_column = "liquidation_id"
require_approval   = true
"""
WORK = "\n[work]\nchunk_rows = 10000\ncard_seconds = 1\n"

#: Speed over safety: the demo's data is made anew each time.
CLUSTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

console = Console(highlight=False)


def main() -> int:
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--stay", action="store_true", help="leave everything up until Ctrl-C")
    options.add_argument("--rows", type=int, default=ROWS, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = (ROOT / "traspaso.example.toml").read_text("utf-8") + REVIEWED + WORK
    began = time.monotonic()
    say("Starting two PostgreSQL clusters, Valkey and the local Slack …")
    try:
        with Stack(config=config, slack=True, settings=CLUSTER) as stack:
            seed_prod(stack.prod_url, rows=arguments.rows)
            seed_consulta(stack.consulta_url)
            stack.migrate()
            say("Starting the bot and a worker …")
            slack = LocalSlack(slack_url(stack))
            bot = stack.start_bot()
            stack.start_worker(ready="ready for action")
            try:
                slack.wait_connected()
            except AssertionError:
                print(harmless(bot.log()))
                raise
            say(f"All up after {time.monotonic() - began:.1f} s.\n")
            same = play(stack, slack) and play_approval(stack, slack)
            if arguments.stay:
                stay(stack)
            return 0 if same else 1
    except KeyboardInterrupt:
        say("\nStopped; nothing is left behind.")
        return 130


def play(stack: Stack, slack: LocalSlack) -> bool:
    """The admin's part. True where both sides agree at the end."""
    ana = slack.user(ADMIN)
    say(f"[bold]Ana types[/]  /copy-liquidation {LIQUIDATION}")
    typed = ana.command(f"/copy-liquidation {LIQUIDATION}", channel=CHANNEL)
    say(f"[dim]acknowledged after {typed.ack_seconds * 1000:.0f} ms[/]")
    offer = slack.wait_for(lambda: asked(ana.messages(CHANNEL)))
    show("Only Ana sees", offer)
    copy = next(button for button in offer.buttons if button.style == "primary")
    say(f"[bold]Ana presses[/]  {escape(harmless(copy.text))}")
    ana.press(offer, copy.action_id)
    seen = ""

    def watch() -> Message | None:
        nonlocal seen
        card = pinned_or_final(ana.messages(CHANNEL))
        if card is None:
            return None
        if card.plain != seen:
            show(f"#payroll, {'pinned' if card.pinned else 'not pinned'}", card)
            seen = card.plain
        return card if card.reply_count else None

    card = slack.wait_for(watch, timeout=120)
    for reply in ana.thread(CHANNEL, card.ts)[1:]:
        show("Reply in its thread", reply)
    say("[bold]Without Traspaso[/]  both tables are read and compared, byte by byte …")
    with psycopg.connect(stack.consulta_url) as consulta:
        status = consulta.execute("SELECT status FROM traspaso.copy_jobs ORDER BY id DESC LIMIT 1").fetchone()
    comparison = compare(stack.prod_url, stack.consulta_url, LIQUIDATION)
    say(f"{'✅' if comparison else '❌'} {comparison}\n")
    return bool(comparison) and status == ("completed",)


def play_approval(stack: Stack, slack: LocalSlack) -> bool:
    """A copy that Bob approves. True where both sides agree on it at the end."""
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

    def ended() -> Message | None:
        now = pinned_or_final(new(bob.messages(CHANNEL)))
        return now if now and now.reply_count >= 2 else None  # that Bob approved it, and how it ended

    for reply in ana.thread(CHANNEL, slack.wait_for(ended, timeout=120).ts)[1:]:
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
    names = ("PROD_DATABASE_URL", "CONSULTA_DATABASE_URL", "REDIS_URL", "TRASPASO_CONFIG")
    say("[bold]Everything stays up until Ctrl-C.[/] Be an admin in the workspace, in a browser:\n")
    say(f"  {slack_url(stack)}/as/{ADMIN}/{CHANNEL}")
    say("\nIn another terminal:\n")
    for name in names:
        say(f"  export {name}={environment[name]}")
    program = relative(PRODUCT_PROGRAMS / "traspaso")
    say(f"\nAs Bob, who may approve what she asks for with `/copy-liquidation {SMALL} reviewed`:\n")
    say(f"  {slack_url(stack)}/as/{SECOND}/{CHANNEL}")
    say("\nIn that terminal:")
    say(f"\n  {program} status")
    say(f"  {program} copy 41")
    say(f"\nLogs: {stack.folder}/*.log")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def slack_url(stack: Stack) -> str:
    return stack.environment()["SLACK_API_URL"].removesuffix("/").removesuffix("/api")


def show(where: str, message: Message) -> None:
    """A message as she reads it."""
    console.print(f"[dim]── {where}[/]")
    for line in plain(harmless(message.plain)).split("\n"):
        console.print(f"   {line}", markup=False, emoji=False, soft_wrap=True)
    console.print()


def say(text: str) -> None:
    console.print(text, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
