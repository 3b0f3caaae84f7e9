"""``make screenshots``: the pictures of README and docs, from the local Slack page while a real bot copies.

python -m dev.screenshots docs/screenshots
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from playwright.sync_api import Browser, Page, expect

from dev import demo
from dev.browser import chromium
from dev.demo import CHANNEL, CLUSTER, LIQUIDATION, slack_url
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from dev.seed import seed_consulta, seed_prod
from dev.stack import Stack

#: One chunk after the other, and time to take a picture before the one that is held up.
WORK = """
[work]
chunk_rows = 10000
chunk_seconds = 60
parallel = 1
card_seconds = 1
lock_timeout_seconds = 60
stop_seconds = 60
"""
ROWS, HELD_UP_AT = 200_000, 125_000
#: What is in place by then, as the card says it.
MIDDLE = "60 %"
#: The same of the lines of a whole liquidation, whose chunks are small.
SMALL_CHUNKS, MIDDLE_OF_LINES = WORK.replace("10000", "1000"), "4.000 de 6.866 filas"
WIDE, TALL, PHONE = (1060, 560), (1060, 620), (390, 700)
LARGEST_BYTES = 130_000


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        shoot(page, folder / f"{name}.png")

    with chromium() as browser:
        config = (ROOT / "traspaso.example.toml").read_text("utf-8") + WORK
        with Stack(config=config, slack=True, settings=CLUSTER) as stack:
            seed_prod(stack.prod_url, rows=ROWS)
            seed_consulta(stack.consulta_url)
            slack = everything_up(stack)
            with held_up(stack) as lift:
                take_all(browser, slack, lift, take)
        config = demo.configuration() + SMALL_CHUNKS
        with Stack(config=config, slack=True, settings=CLUSTER, product=demo.PRODUCT) as stack:
            demo.seed(stack, rows=1)
            slack = everything_up(stack)
            with demo.held_up(stack) as lift:
                take_set(browser, slack, lift, take)


def everything_up(stack: Stack) -> LocalSlack:
    stack.migrate()
    slack = LocalSlack(slack_url(stack))
    stack.start_bot()
    stack.start_worker(ready="ready for action")
    slack.wait_connected()
    return slack


@contextmanager
def held_up(stack: Stack) -> Iterator[Callable[[], None]]:
    """A copy of the liquidation waits in its middle for a key that is taken in consulta, until lifted."""
    row = "SELECT id FROM liquidation_items WHERE liquidation_id = %s ORDER BY id OFFSET %s LIMIT 1"
    taken = """INSERT INTO liquidation_items VALUES
        (%s, %s, 1, '', '', 1, 1, 1, 'ARS', '2026-10-01', '', NULL, now(), now())"""
    with psycopg.connect(stack.prod_url) as prod, psycopg.connect(stack.consulta_url) as consulta:
        [key] = prod.execute(row, [LIQUIDATION, HELD_UP_AT]).fetchone() or [0]
        prod.rollback()
        consulta.execute(taken, [key, LIQUIDATION])
        yield consulta.rollback


def take_all(
    browser: Browser, slack: LocalSlack, lift: Callable[[], None], take: Callable[[Page, str], None]
) -> None:
    slack.user("U0BOB").say(CHANNEL, f"¿Podemos pasar la {LIQUIDATION} a consulta? La auditoría empieza hoy.")
    slack.user("U0ANA").say(CHANNEL, "Sí, ya la lanzo.")
    ana, bob = window(browser, slack, "U0ANA", WIDE), window(browser, slack, "U0BOB", PHONE)
    box = ana.locator("#composer").get_by_role("textbox")
    box.press_sequentially("/copy")
    expect(ana.get_by_role("option").first).to_be_visible()
    take(ana, "command")
    box.fill(f"/copy-liquidation {LIQUIDATION}")
    box.press("Enter")
    press = ana.get_by_role("button", name="Copiar", exact=True)
    expect(press).to_be_visible()
    take(ana, "preview")
    press.click()
    expect(ana.locator("#bar")).to_contain_text(MIDDLE, timeout=60_000)
    take(ana, "running")
    expect(bob.locator("#bar")).to_contain_text(MIDDLE)
    take(bob, "phone")
    lift()
    expect(ana.get_by_role("button", name="1 respuesta")).to_be_visible(timeout=60_000)
    ana.reload()  # what only she sees goes, and leaves room
    ana.get_by_role("button", name="1 respuesta").click()
    expect(ana.locator("#pane").get_by_role("article")).to_have_count(2)
    take(ana, "ended")
    ana.get_by_role("button", name="Cerrar").last.click()
    ana.locator("#hood-open").click()
    take(ana, "under-the-hood")


def take_set(
    browser: Browser, slack: LocalSlack, lift: Callable[[], None], take: Callable[[Page, str], None]
) -> None:
    """A whole liquidation, by the same command."""
    slack.user("U0BOB").say(CHANNEL, f"Ya está cerrada la {LIQUIDATION}: se puede pasar a consulta.")
    ana = window(browser, slack, "U0ANA", TALL)
    box = ana.locator("#composer").get_by_role("textbox")
    box.fill(f"/copy-liquidation {LIQUIDATION}")
    box.press("Enter")
    press = ana.get_by_role("button", name="Copiar", exact=True)
    expect(press).to_be_visible()
    take(ana, "set-preview")
    press.click()
    lines = ana.get_by_role("listitem").filter(has_text=f"{demo.LINES} · ")
    expect(lines).to_contain_text(MIDDLE_OF_LINES, timeout=60_000)
    take(ana, "set-running")
    lift()
    expect(ana.get_by_role("button", name="1 respuesta")).to_be_visible(timeout=60_000)
    ana.reload()
    ana.get_by_role("button", name="1 respuesta").click()
    expect(ana.locator("#pane").get_by_role("article")).to_have_count(2)
    ana.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    take(ana, "set-ended")


def window(browser: Browser, slack: LocalSlack, user: str, size: tuple[int, int]) -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{slack.url}/as/{user}/{CHANNEL}")
    expect(page.locator("body[data-stream=open]")).to_be_attached()
    return page


def shoot(page: Page, path: Path) -> None:
    """Without the pointer and the caret; a picture that is too large says so."""
    page.mouse.move(0, 0)
    page.screenshot(path=path, caret="hide", animations="disabled")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise SystemExit(f"{path} has {size:,} bytes, more than {LARGEST_BYTES:,}")
    print(f"{path}: {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
