"""The stack that scenarios play on, and one test's part of it: the same behind the API and in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.fork_server import ForkServer
from dev.guard import ROOT
from dev.local_slack.server import LocalSlackServer
from dev.seed import seed_consulta, seed_prod
from dev.stack import Stack

from .scene import CHUNK_ROWS, Office, Scene

#: What messages call the copy of the notes; the others have no title.
NOTES_TITLE = "Notas de los ítems"
#: Small chunks of one size, one after the other, and short times; a lock is waited for as long as a
#: test may hold it, also after a stop was asked for.
WORK = f"""
[[copies]]
name = "notes"
title = "{NOTES_TITLE}"
source_table = "public.item_notes"
target_table = "public.item_notes"

[[copies]]
name = "checked"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
require_approval = true

[[copies]]
name = "large"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
approval_over_rows = 1000

[[copies]]
name = "bobs"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
allowed_users = ["U0BOB"]
approval_over_rows = 1000

[work]
chunk_rows = {CHUNK_ROWS}
chunk_seconds = 60
parallel = 1
lock_timeout_seconds = 60
stop_seconds = 60
lease_seconds = 3
sweep_seconds = 0.5
overdue_seconds = 2
retry_seconds = 0.2
card_seconds = 1
"""
#: For what has to be the same over Socket Mode and in HTTP mode.
both_ways = pytest.mark.parametrize("scene", ["socket", "http"], indirect=True)
NOTES = "CREATE TABLE item_notes (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, note text)"
CLUSTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def open_office(tracking: str = "", tree: Path = ROOT, forks: ForkServer | None = None) -> Iterator[Office]:
    """Both databases with their tables, Valkey, the local Slack and a bot that is connected to it.

    ``tracking`` are statements that make older tracking tables before these are migrated, ``tree`` a working
    copy of the release whose migrations and bot these are. Its processes are forked by ``forks``.
    """
    config = (ROOT / "traspaso.example.toml").read_text("utf-8") + WORK
    config = config.replace("# operators", "operators")
    with Stack(config=config, slack=True, settings=CLUSTER, forks=forks) as stack:
        seed_prod(stack.prod_url, rows=5_000)
        seed_consulta(stack.consulta_url)
        stack.prod.psql(NOTES, "prod")
        stack.consulta.psql(NOTES, "consulta")
        if tracking:
            stack.consulta.psql(tracking, "consulta")
        stack.migrate(tree=tree)
        office = Office(stack, tree=tree)
        yield office
        office.close()


@contextmanager
def open_neighbour(stack: Stack, schema: str) -> Iterator[Office]:
    """A second installation over the same servers: its tables in this schema, its own Slack app and bot."""
    with LocalSlackServer(manifest=ROOT / "manifest.yml") as slack:
        app = slack.core.ws.app
        settings = {
            "SLACK_API_URL": f"{slack.url}/api/",
            "SLACK_BOT_TOKEN": app.bot_token,
            "SLACK_APP_TOKEN": app.app_token,
            "TRASPASO_SCHEMA": schema,
        }
        stack.migrate(env=settings)
        office = Office(stack, settings, schema)
        yield office
        office.leave()


@contextmanager
def set_scene(office: Office, number: int, name: str, channel_name: str) -> Iterator[Scene]:
    """A liquidation that prod's catalogue has, without rows yet, and a channel with everybody in it."""
    scene = Scene(office, number, f"C0SCENE{number}", name=name)
    office.slack.add_channel(scene.channel, channel_name, ["U0ANA", "U0BOB", "U0CARLA", "U0BOT"])
    office.prod.execute(
        "INSERT INTO liquidations VALUES (%s, %s, '2026-10-01', 'prueba', now())", [number, scene.name]
    )
    scene.first_call = office.slack.last_call()
    yield scene
    office.clean_up()
