"""`traspaso doctor` says of all that Traspaso needs how it is, and the next step where it isn't well.

Each line is made red or yellow once on purpose; several at a time where they don't touch each other.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest
import redis
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from slack_sdk.socket_mode.builtin.connection import Connection

from bot import config
from bot.doctor import CHECKS, databases, services
from bot.doctor.checks import IDS, Context, run_checks
from bot.slack.client import client
from dev.guard import ROOT, Guard
from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer
from dev.pgbouncer import PgBouncer
from dev.ports import candidate_port
from dev.postgres import PostgresServer
from dev.standby import Standby
from dev.valkey import Valkey
from tests.installation import CONSULTA, PROD, READER, WRITER, Installation

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def house(guard: Guard) -> Iterator[Installation]:
    """All of it is well; each test makes something wrong, and right again."""
    folder = guard.temp_folder()
    settings = {"log_statement": "mod"}
    prod = PostgresServer(folder, "prod", settings, guard=guard)
    consulta = PostgresServer(folder, "consulta", settings, guard=guard)
    valkey = Valkey(folder, guard=guard)
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(each.start) for each in (prod, consulta, valkey)]:
            started.result()
    with LocalSlackServer(manifest=ROOT / "manifest.yml", rate_limits=False) as server:
        slack = LocalSlack(server.url)
        found = Installation(prod, consulta, valkey, slack, folder)
        found.set_up()
        yield found
        slack.close()
    for each in (prod, consulta):
        each.stop("immediate")
    valkey.stop()


# ------------------------------------------------------------------------------------------------ all is well


def test_all_is_well_and_nothing_is_changed_anywhere(house: Installation) -> None:
    counts = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    with house.a_worker(), redis.Redis.from_url(house.valkey.url) as server:
        server.flushall()
        server.config_resetstat()
        before = [house.prod.psql(counts, PROD), house.consulta.psql(counts, CONSULTA)]
        logged = [each.log_path.stat().st_size for each in (house.prod, house.consulta)]
        calls = len(house.slack.calls())
        found = house.doctor()
        assert [house.prod.psql(counts, PROD), house.consulta.psql(counts, CONSULTA)] == before
        for each, begin in zip((house.prod, house.consulta), logged, strict=True):
            assert "statement:" not in each.log_path.read_text()[begin:]
        commands = {
            name.decode() if isinstance(name, bytes) else name for name in server.info("commandstats")
        }
        asked = {re.sub(r"^cmdstat_|\|.*", "", name) for name in commands}
        assert asked <= {"ping", "info", "acl", "config", "client", "hello", "set", "select"}
        assert server.dbsize() == 0
    assert {each.id for each in found.findings} == set(IDS)
    assert (found.bad, found.code) == ({"redis.persistence"}, 0)
    for each in house.slack.calls()[calls:]:
        assert each.method in {
            "auth.test",
            "apps.connections.open",
            "apps.manifest.export",
            "bots.info",
            "usergroups.list",
            "usergroups.users.list",
            "users.info",
            "conversations.info",
        }
    house.slack.wait_for(lambda: house.slack.ask("sockets") == {"connected": 0})


def test_a_person_reads_a_table_and_below_it_what_to_do_in_whole_lines(house: Installation) -> None:
    statement = "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)"
    with house.but(
        "prod",
        "DROP INDEX items_by_liquidation",
        "CREATE INDEX items_by_liquidation ON items (liquidation_id, id)",
    ):
        code, out, err = house.run("doctor", FORCE_COLOR="1", COLUMNS="90", LANG="es_ES.UTF-8")
    assert (code, err) == (0, "")
    assert "\x1b[33m" in out  # a warning is yellow
    plain = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert f"   run in prod: {statement}\n" in plain
    assert max(len(line) for line in plain.split("Qué hacer:")[0].splitlines()) <= 90
    assert re.search(r"\d+ bien, \d+ con atención, 0 mal, \d+ sin revisar\n$", plain)


# -------------------------------------------------------------------------------------------------- settings


def test_settings_that_are_wrong_are_all_named_and_hide_nothing_else(house: Installation) -> None:
    found = house.doctor(REDIS_URL="http://redis", SLACK_APP_TOKEN="", SLACK_CONFIG_TOKEN="secret")
    lines = [each for each in found.findings if each.id == "settings"]
    assert {each.status for each in lines} == {"failed"}
    said = " ".join(each.sentence for each in lines)
    for name in ("REDIS_URL is not", "SLACK_APP_TOKEN is missing", "SLACK_CONFIG_TOKEN is not"):
        assert name in said
    assert found.of("redis.reachable").next_step == "set REDIS_URL"
    assert found.of("slack.app_token").status == "failed"
    assert found.of("slack.socket").status == "skipped"
    assert found.of("slack.manifest").status == "skipped"
    assert found.of("prod.reachable").status == "ok"
    assert found.of("copy.key").status == "ok"
    assert found.code == 1


def test_a_file_that_cannot_be_read_leaves_the_rest_to_look_at(house: Installation) -> None:
    with house.configured(("[work]", "[wrok]")):
        found = house.doctor()
        _, out, _ = house.run("doctor", COLUMNS="120")
    lines = [line.split() for line in out.splitlines() if line.startswith("Copy: tables")]
    assert [line[2:6] for line in lines] == [["skipped", "no", "[[copies]]", "could"]]
    assert "wrok: is not a setting of Traspaso" in found.of("settings").sentence
    assert found.of("copy.tables").sentence == "no [[copies]] could be read from the configuration"
    assert found.status("consulta.schema") == {"ok"}


# ------------------------------------------------------------------------------------------ nobody is there


def test_what_is_dead_is_named_and_hides_nothing_but_what_builds_upon_it(house: Installation) -> None:
    found = house.doctor(
        PROD_DATABASE_URL=f"postgresql://reader@{NOBODY}/payroll",
        REDIS_URL=f"redis://{NOBODY}/0",
        SLACK_BOT_TOKEN="xoxb-wrong",
        SLACK_APP_TOKEN="xapp-wrong",
    )
    assert "nobody listens where prod should be" in found.of("prod.reachable").sentence
    assert "PROD_DATABASE_URL" in str(found.of("prod.reachable").next_step)
    redis_line = found.of("redis.reachable")
    assert f"Redis at {NOBODY} can't be used: nobody listens there" in redis_line.sentence
    assert redis_line.next_step == "start it, or correct REDIS_URL"
    assert found.of("slack.bot_token").sentence == "auth.test says invalid_auth"
    assert "OAuth & Permissions" in str(found.of("slack.bot_token").next_step)
    assert found.of("slack.app_token").sentence == "apps.connections.open says invalid_auth"
    assert "connections:write" in str(found.of("slack.app_token").next_step)
    for skipped in ("prod.role", "prod.snapshot", "prod.privileges", "clock.prod", "databases.apart"):
        assert found.of(skipped).sentence == "prod can't be reached"
    for skipped in ("slack.groups", "slack.people", "slack.scopes", "clock.slack"):
        assert "Slack doesn't take the bot token" in found.of(skipped).sentence
    assert found.of("copy.columns").status == "skipped"
    assert found.of("copy.tables", "items, consulta").status == "ok"
    assert found.of("copy.triggers").status == "ok"
    assert found.of("consulta.privileges").status == "ok"
    assert found.code == 1


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_takes_connections_and_says_nothing_costs_seconds(house: Installation) -> None:
    with silent_server() as place:
        began = time.monotonic()
        found = house.doctor(
            CONSULTA_DATABASE_URL=f"postgresql://traspaso@{place}/consulta?sslmode=disable",
            REDIS_URL=f"redis://{place}/0",
            SLACK_API_URL=f"http://{place}/api/",
        )
        assert time.monotonic() - began < 40
    assert found.of("consulta.reachable").status == "failed"
    assert "it doesn't answer" in found.of("redis.reachable").sentence
    assert found.of("slack.bot_token").status == "failed"
    assert "status.slack.com" in str(found.of("slack.bot_token").next_step)
    for skipped in ("workers.alive", "consulta.schema", "slack.channels", "clock.consulta"):
        assert found.of(skipped).status == "skipped"
    assert found.of("prod.role").status == "ok"
    assert found.code == 1


# ----------------------------------------------------------------------------------------------------- Slack


@contextmanager
def cards_in(house: Installation, *channels: str) -> Iterator[None]:
    """A job that has a card, and has ended, in each of these channels."""
    jobs = "; ".join(
        "INSERT INTO traspaso.copy_jobs (user_id, source_table, target_table, liquidation_id, copy_name, "
        f"status, channel_id) SELECT id, 'x', 'x', 1, 'items', 'completed', '{each}' FROM traspaso.users"
        for each in channels
    )
    user = "INSERT INTO traspaso.users (slack_team_id, slack_user_id, name) VALUES ('T', 'U', 'n')"
    with house.but(
        "consulta", f"{user};\n{jobs}", "DELETE FROM traspaso.copy_jobs; DELETE FROM traspaso.users"
    ):
        yield


def test_a_scope_that_is_missing_is_named_and_so_is_what_it_keeps_from_working(house: Installation) -> None:
    slack = house.slack
    before = slack.set_scopes([])
    slack.set_scopes([each for each in before if each not in {"pins:write", "usergroups:read"}])
    try:
        found = house.doctor()
    finally:
        slack.set_scopes(before)
    for scope in ("pins:write", "usergroups:read"):
        line = found.of("slack.scopes", scope)
        assert (line.status, line.sentence) == ("failed", f"the bot token lacks the scope {scope}")
        assert "install the app again" in str(line.next_step)
    assert "missing_scope" in found.of("slack.groups").sentence
    assert "usergroups:read" in str(found.of("slack.groups").next_step)
    assert (found.of("slack.people").status, found.code) == ("ok", 1)


def test_groups_and_people_that_are_gone_are_named_with_the_setting(house: Installation) -> None:
    slack = house.slack
    slack.ask("add_group", id="S0EMPTY", handle="empty", name="Nobody")
    slack.ask("add_user", id="U0GONE", name="gone", real_name="Gone", deleted=True)
    people = 'admin_users = ["U0GONE", "U0NOBODY"]\nadmin_groups = ["@empty", "S0NOWHERE"]'
    with house.configured(('admin_groups = ["liquidation-admins"]', people)):
        found = house.doctor()
    gone = found.of("slack.people", "U0GONE")
    assert gone.sentence == "U0GONE is deactivated in Slack; slack.admin_users names it"
    assert gone.next_step == "take U0GONE out of slack.admin_users, and name somebody who is there"
    unknown = found.of("slack.people", "U0NOBODY")
    assert "Slack knows nobody with the id U0NOBODY" in unknown.sentence
    assert "correct slack.admin_users" in str(unknown.next_step)
    empty = found.of("slack.groups", "@empty")
    assert (empty.status, empty.next_step) == ("warning", "add people to the group in Slack")
    nowhere = found.of("slack.groups", "S0NOWHERE")
    assert "there is no user group S0NOWHERE" in nowhere.sentence
    assert "correct slack.admin_groups" in str(nowhere.next_step)
    assert found.of("slack.people", "U0ANA").status == "ok"
    assert found.code == 1


def test_channels_of_the_latest_cards_in_which_the_bot_is_no_more_are_named(house: Installation) -> None:
    house.slack.archive("C0PAYROLL")
    try:
        with cards_in(house, "C0PAYROLL", "C0OPEN", "C0SECRET", "D0ANA"):
            found = house.doctor()
    finally:
        house.slack.archive("C0PAYROLL", archived=False)
    assert (
        found.of("slack.channels", "C0PAYROLL").sentence
        == "#payroll is archived: nothing can be posted there"
    )
    assert found.of("slack.channels", "C0OPEN").next_step == "write /invite @traspaso in C0OPEN"
    assert "the bot can't see" in found.of("slack.channels", "C0SECRET").sentence
    assert "/invite @traspaso" in str(found.of("slack.channels", "C0SECRET").next_step)
    assert (found.status("slack.channels"), found.code) == ({"warning"}, 0)


def test_the_channel_of_the_watch_is_looked_at_before_it_is_first_told_anything(house: Installation) -> None:
    with house.configured(more='\n[watch]\ncron = "0 3 * * *"\nchannel = "C0SECRET"\n'):
        found = house.doctor()
    assert "the bot can't see" in found.of("slack.channels", "C0SECRET").sentence


def test_an_app_whose_manifest_is_of_another_release_is_named_line_by_line(house: Installation) -> None:
    ours = house.slack.set_manifest({})
    changed = {
        **ours,
        "features": {
            **ours["features"],
            "slash_commands": [{"command": "/copy-status"}, {"command": "/old"}],
        },
        "settings": {**ours["settings"], "interactivity": {"is_enabled": False}},
    }
    house.slack.set_manifest(changed)
    try:
        found = house.doctor()
        expired = house.doctor(SLACK_CONFIG_TOKEN="xoxe.xoxp-expired")
        without = house.doctor(SLACK_CONFIG_TOKEN="")
    finally:
        house.slack.set_manifest(ours)
    assert found.of("slack.manifest", "/copy-freeze").sentence == "the app has no command /copy-freeze"
    assert "App Manifest" in str(found.of("slack.manifest", "/copy-freeze").next_step)
    assert "doesn't know" in found.of("slack.manifest", "/old").sentence
    assert found.of("slack.manifest", "is_enabled").status == "warning"
    assert "invalid_auth" in expired.of("slack.manifest").sentence
    assert "make a new configuration token" in str(expired.of("slack.manifest").next_step)
    assert without.of("slack.manifest").status == "skipped"
    assert "SLACK_CONFIG_TOKEN" in str(without.of("slack.manifest").next_step)
    assert (found.code, expired.code, without.code) == (0, 1, 0)


def test_a_socket_that_slack_closes_is_told_from_one_that_opens(house: Installation) -> None:
    web = client(None, house.slack.api_url)
    with ExitStack() as others:
        for _ in range(10):
            url = str(web.apps_connections_open(app_token=house.slack.app_token)["url"])
            other = Connection(url, logging.getLogger("other"))
            other.connect()
            others.callback(other.close)
        found = house.doctor()
    line = found.of("slack.socket")
    assert line.sentence == "the socket was not opened: Slack closed it (too_many_websockets)"
    assert "wss-primary.slack.com:443" in str(line.next_step)
    assert (found.of("slack.app_token").status, found.of("slack.manifest").status) == ("ok", "ok")
    assert found.code == 1


# ------------------------------------------------------------------------------------------------------ prod


def test_a_role_that_could_write_to_prod_is_said_with_the_table(house: Installation) -> None:
    grant = f"GRANT INSERT, TRUNCATE ON items TO {READER}"
    with house.but("prod", grant, f"REVOKE INSERT, TRUNCATE ON items FROM {READER}"):
        found = house.doctor()
    line = found.of("prod.role")
    assert f"{READER} could write to public.items of prod" in line.sentence
    assert f"REVOKE INSERT, TRUNCATE ON TABLE public.items FROM {READER}" in str(line.next_step)
    assert (line.status, found.code) == ("warning", 0)
    with house.but("prod", f"ALTER TABLE items OWNER TO {READER}", "ALTER TABLE items OWNER TO postgres"):
        assert "a role that owns no table" in str(house.doctor().of("prod.role").next_step)
    house.execute(house.prod, PROD, f"GRANT SELECT ON items TO {READER}")
    admins = {
        "PROD_DATABASE_URL": house.prod.url(PROD),
        "CONSULTA_DATABASE_URL": house.consulta.url(CONSULTA),
    }
    found = house.doctor(**admins)
    for side in ("prod", "consulta"):
        assert f"postgres is a superuser of {side}" in found.of(f"{side}.role").sentence
        assert "`traspaso init` prints the SQL" in str(found.of(f"{side}.role").next_step)
    assert found.code == 0


def test_what_prods_role_lacks_is_named_with_its_grant(house: Installation) -> None:
    revoke = f"REVOKE SELECT ON items FROM {READER};\nREVOKE SELECT ON liquidations FROM {READER}"
    back = f"GRANT SELECT ON items TO {READER};\nGRANT SELECT ON liquidations TO {READER}"
    with house.but("prod", revoke, back):
        found = house.doctor()
    line = found.of("prod.privileges", "TABLE public.items")
    assert (
        "lacks SELECT on TABLE public.items, to preview, lock the table and take the snapshot"
        in line.sentence
    )
    assert line.next_step == f"run in prod: GRANT SELECT ON TABLE public.items TO {READER}"
    listed = found.of("prod.privileges", "TABLE public.liquidations")
    assert "search the catalogue" in listed.sentence
    assert found.code == 1


def test_a_catalogue_that_is_not_as_configured_is_named(house: Installation) -> None:
    with house.configured(('label = "label"', 'label = "nombre"')):
        found = house.doctor()
    line = found.of("prod.catalogue")
    assert line.sentence == "column nombre not found in table public.liquidations of prod"
    assert line.next_step == "check the names in [liquidations]"
    with house.configured(('[liquidations]\ntable = "public.liquidations"\nlabel = "label"\n', "")):
        assert house.doctor().of("prod.catalogue").status == "skipped"
    assert found.code == 1


def test_a_snapshot_that_no_other_session_may_see_is_said(house: Installation) -> None:
    taken = "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() FROM PUBLIC"
    back = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() TO PUBLIC"
    with house.but("prod", taken, back):
        found = house.doctor()
    line = found.of("prod.snapshot")
    assert "a second session can't see the moment of the first" in line.sentence
    assert "pooler in transaction or session mode" in str(line.next_step)
    assert (line.status, found.code) == ("failed", 1)


def test_a_hot_standby_is_said_with_what_follows(house: Installation, guard: Guard) -> None:
    settings = {"max_standby_streaming_delay": "30s"}
    with (
        Standby(house.prod, guard.temp_folder(), "standby", settings, guard=guard) as standby,
        Standby(house.consulta, guard.temp_folder(), "behind", guard=guard) as behind,
    ):
        standby.catch_up()
        behind.catch_up()
        found = house.doctor(
            PROD_DATABASE_URL=standby.url(PROD, READER), CONSULTA_DATABASE_URL=behind.url(CONSULTA, WRITER)
        )
    line = found.of("prod.standby")
    assert "prod is a hot standby: one session reads each copy" in line.sentence
    assert "hot_standby_feedback = on" in str(line.next_step)
    assert found.of("prod.snapshot").status == "ok"
    read_only = found.of("consulta.standby")
    assert read_only.sentence == "consulta is a standby: nothing can be written there"
    assert "target_session_attrs=read-write" in str(read_only.next_step)
    assert (line.status, found.code) == ("warning", 1)


def test_rows_that_travel_unencrypted_to_another_machine_are_said(house: Installation, guard: Guard) -> None:
    """This machine by an address that another one could have."""
    addresses = [
        each.address
        for found in psutil.net_if_addrs().values()
        for each in found
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    ]
    if not addresses:
        pytest.skip("this machine has no address but its own")
    databases = {PROD: house.prod.url(PROD, READER), CONSULTA: house.consulta.url(CONSULTA, WRITER)}
    with PgBouncer(guard.temp_folder(), databases, guard=guard, settings=["listen_addr = *"]) as bouncer:
        found = house.doctor(
            PROD_DATABASE_URL=bouncer.url(PROD).replace("127.0.0.1", addresses[0]),
            CONSULTA_DATABASE_URL=bouncer.url(CONSULTA).replace("127.0.0.1", addresses[0]),
        )
    line = found.of("prod.encrypted")
    assert f"travel to prod ({addresses[0]}) without encryption" in line.sentence
    assert "sslmode=require" in str(line.next_step)
    assert (line.status, found.of("consulta.encrypted").status, found.code) == ("warning", "warning", 0)


def test_a_server_that_is_too_old_fails() -> None:
    line = databases.of_version("prod", 13, "13.22")
    assert (line.id, line.status) == ("prod.version", "failed")
    assert line.sentence == "prod is PostgreSQL 13.22; Traspaso needs 14 or newer"
    assert "upgrade prod" in line.step
    old = services.of_version({"redis_version": "4.0.14"})
    assert (old.status, old.sentence) == ("failed", "it is Redis 4.0.14; Traspaso needs 5 or newer")
    assert "upgrade it" in old.step


# -------------------------------------------------------------------------------------------------- consulta


def test_what_consultas_role_lacks_is_named_with_its_grant(house: Installation) -> None:
    take = f"""REVOKE INSERT ON items FROM {WRITER};
        REVOKE TEMPORARY ON DATABASE {CONSULTA} FROM {WRITER}, PUBLIC;
        CREATE SEQUENCE own_numbers; ALTER TABLE items ADD own bigint DEFAULT nextval('own_numbers');
        ALTER TABLE traspaso.copy_jobs OWNER TO postgres"""
    back = f"""GRANT INSERT ON items TO {WRITER}; GRANT TEMPORARY ON DATABASE {CONSULTA} TO {WRITER};
        ALTER TABLE items DROP own; DROP SEQUENCE own_numbers;
        ALTER TABLE traspaso.copy_jobs OWNER TO {WRITER}"""
    with house.but("consulta", take, back):
        found = house.doctor()
    for what, names, step in (
        ("TABLE public.items", "INSERT", "copy"),
        (f"DATABASE {CONSULTA}", "TEMPORARY", "stage rows in a temporary table"),
        ("SEQUENCE public.own_numbers", "USAGE", "copy"),
        ("TABLE traspaso.copy_jobs", "SELECT, INSERT, UPDATE, DELETE", "keep the tracking tables"),
    ):
        line = found.of("consulta.privileges", what)
        assert line.sentence == f"the role {WRITER} of consulta lacks {names} on {what}, to {step}"
        assert line.next_step == f"run in consulta: GRANT {names} ON {what} TO {WRITER}"
    assert found.code == 1


def test_a_consulta_that_is_read_only_for_the_role_is_said(house: Installation) -> None:
    own = f"ALTER ROLE {WRITER} IN DATABASE {CONSULTA}"
    setting = "default_transaction_read_only"
    with house.but("consulta", f"{own} SET {setting} = on", f"{own} RESET {setting}"):
        found = house.doctor()
    line = found.of("consulta.role")
    assert f"transactions of {WRITER} in consulta are read-only by default" in line.sentence
    assert line.next_step == f"run in consulta: {own} SET {setting} = off"
    assert (line.status, found.code) == ("failed", 1)


def test_tracking_tables_of_another_release_are_said_with_the_way_out(house: Installation) -> None:
    version = house.consulta.psql("SELECT version_num FROM traspaso.alembic_version", CONSULTA).strip()
    for there, words, step in (
        ("0001", "at version 0001", "run `traspaso migrate`"),
        ("9999", "of a newer release", "install the newer release"),
    ):
        change = "UPDATE traspaso.alembic_version SET version_num = '{}'"
        with house.but("consulta", change.format(there), change.format(version)):
            found = house.doctor()
        assert words in found.of("consulta.schema").sentence
        assert step in str(found.of("consulta.schema").next_step)
        for skipped in ("workers.alive", "slack.channels"):
            assert found.of(skipped).sentence == "the tracking tables aren't this release's"
        assert found.code == 1


@pytest.mark.parametrize(("limit", "status", "code"), [(20, "warning", 0), (6, "failed", 1)])
def test_connections_that_are_too_few_for_the_workers_are_said(
    house: Installation, limit: int, status: str, code: int
) -> None:
    role = f"ALTER ROLE {WRITER} CONNECTION LIMIT"
    with house.but("consulta", f"{role} {limit}", f"{role} -1"):
        found = house.doctor()
    line = found.of("consulta.connections")
    assert (line.status, found.code) == (status, code)
    assert f"{limit} are left for Traspaso by the limit of the role {WRITER}" in line.sentence
    assert f"raise the limit of the role {WRITER}, lower [work] parallel (now 1)" in str(line.next_step)


def test_one_database_for_both_is_said_and_one_table_fails(house: Installation) -> None:
    found = house.doctor(PROD_DATABASE_URL=house.consulta.url(CONSULTA, WRITER))
    line = found.of("databases.apart")
    assert line.sentence.startswith("prod and consulta are one and the same database")
    assert "set PROD_DATABASE_URL and CONSULTA_DATABASE_URL to two databases" in str(line.next_step)
    same = found.of("copy.tables", "items")
    assert "prod and consulta are the same table public.items" in same.sentence
    assert (line.status, same.status, found.code) == ("warning", "failed", 1)


# --------------------------------------------------------------------------------------------------- poolers


def test_pgbouncer_is_recognised_on_both_sides_with_its_mode(house: Installation, guard: Guard) -> None:
    databases = {PROD: house.prod.url(PROD, READER), CONSULTA: house.consulta.url(CONSULTA, WRITER)}
    folder = guard.temp_folder()
    certificate = trustme.CA().issue_cert("127.0.0.1")
    (folder / "key").write_bytes(certificate.private_key_pem.bytes())
    (folder / "crt").write_bytes(certificate.cert_chain_pems[0].bytes())
    settings = ["stats_users = postgres", "default_pool_size = 8", "client_tls_sslmode = allow"]
    settings += [f"client_tls_key_file = {folder / 'key'}", f"client_tls_cert_file = {folder / 'crt'}"]
    with PgBouncer(folder, databases, guard=guard, settings=settings) as bouncer:
        found = house.doctor(
            PROD_DATABASE_URL=bouncer.url(PROD),
            CONSULTA_DATABASE_URL=f"{bouncer.url(CONSULTA)}?sslmode=require",
        )
    assert found.of("consulta.encrypted").sentence == (
        "the connection is encrypted; from the pooler to consulta it goes on without encryption"
    )
    for side in ("prod", "consulta"):
        line = found.of(f"{side}.pooler")
        assert line.sentence.startswith(
            "PgBouncer is between, with pool_mode = transaction and 8 connections"
        )
    few = found.of("consulta.connections")
    assert "8 are left for Traspaso by the pool of PgBouncer" in few.sentence
    assert "raise the pool of PgBouncer" in str(few.next_step)
    assert (few.status, found.code) == ("warning", 0)


def test_a_pooler_whose_mode_a_copy_cannot_use_fails(house: Installation, guard: Guard) -> None:
    databases = {PROD: house.prod.url(PROD, READER)}
    settings = ["pool_mode = statement"]
    with PgBouncer(guard.temp_folder(), databases, guard=guard, settings=settings) as bouncer:
        found = house.doctor(PROD_DATABASE_URL=bouncer.url(PROD))
    line = found.of("prod.pooler")
    assert "pools single statements, and a copy is made of transactions" in line.sentence
    assert "set pool_mode = transaction" in str(line.next_step)
    assert (line.status, found.code) == ("failed", 1)


# ------------------------------------------------------------------------------------------- tables of a copy


def test_tables_and_columns_that_are_missing_are_named_on_their_side(house: Installation) -> None:
    with house.configured(
        (
            'target_table = "public.items"',
            'target_table = "public.nowhere"\nliquidation_column = "settlement"',
        )
    ):
        found = house.doctor()
    gone = found.of("copy.tables", "items, consulta")
    assert gone.sentence == "table public.nowhere not found in consulta"
    assert gone.next_step == "check the name in target_table of [[copies]] items, or create it there"
    column = found.of("copy.tables", "items, prod")
    assert column.sentence == "column settlement not found in table public.items of prod"
    assert "liquidation_column" in str(column.next_step)
    assert found.of("copy.key").status == "skipped"
    assert found.code == 1


def test_a_table_that_belongs_through_another_one_is_looked_at_with_it(house: Installation) -> None:
    table = "CREATE TABLE parts (id int PRIMARY KEY, item_id bigint); GRANT ALL ON parts TO "
    undo = "DROP TABLE parts"
    section = """name = "parts"
source_table = "parts"
target_table = "parts"
via = "{} -> public.items.id"
[[copies]]"""
    with house.but("prod", table + READER, undo), house.but("consulta", table + WRITER, undo):
        with house.configured(("[[copies]]", f"[[copies]]\n{section.format('item_id')}")):
            found = house.doctor()
        with house.configured(("[[copies]]", f"[[copies]]\n{section.format('article_id')}")):
            misnamed = house.doctor()
    assert found.of("copy.tables", "parts, prod").sentence == (
        "prod has public.parts; its rows belong to a liquidation through public.items"
    )
    index = found.of("copy.index", "parts, consulta")
    assert index.next_step == "run in consulta: CREATE INDEX CONCURRENTLY ON public.parts (item_id, id)"
    line = misnamed.of("copy.tables", "parts, prod")
    assert line.sentence == "column article_id not found in table public.parts of prod"
    assert line.next_step == "check the name in via or liquidation_column, or create it there"


def test_row_level_security_is_named_with_bypassrls(house: Installation) -> None:
    row_level = "ALTER TABLE {} ENABLE ROW LEVEL SECURITY"
    with house.but(
        "prod",
        f"{row_level.format('items')};\n{row_level.format('liquidations')}",
        "ALTER TABLE items DISABLE ROW LEVEL SECURITY;\nALTER TABLE liquidations DISABLE ROW LEVEL SECURITY",
    ):
        found = house.doctor()
    for line in (found.of("copy.tables", "items, prod"), found.of("prod.catalogue")):
        assert "row-level security" in line.sentence
        assert line.next_step == f"run in prod: ALTER ROLE {READER} BYPASSRLS"
    assert found.code == 1


def test_columns_and_keys_that_do_not_match_are_named_as_the_engine_sees_them(house: Installation) -> None:
    change = "ALTER TABLE items ALTER amount TYPE integer, DROP CONSTRAINT items_pkey"
    back = "ALTER TABLE items ALTER amount TYPE numeric, ADD PRIMARY KEY (id)"
    with (
        house.but("prod", "ALTER TABLE items ADD note text", "ALTER TABLE items DROP note"),
        house.but("consulta", change, back),
    ):
        found = house.doctor()
    lines = {each.sentence: each.next_step for each in found.findings if each.id == "copy.columns"}
    assert lines["note (text) is missing in consulta"] == "add it there"
    assert any(each.startswith("amount is numeric in prod and integer in consulta") for each in lines)
    key = found.of("copy.key")
    assert "has no primary key or unique index of NOT NULL columns" in key.sentence
    assert "a primary key or a unique index of NOT NULL columns" in str(key.next_step)
    assert found.of("copy.index").status == "skipped"
    assert found.code == 1


def test_an_index_that_is_missing_comes_with_its_statement(house: Installation) -> None:
    index = "CREATE INDEX items_by_liquidation ON items (liquidation_id, id)"
    with (
        house.but("prod", "DROP INDEX items_by_liquidation", index),
        house.but("consulta", "DROP INDEX items_by_liquidation", index),
    ):
        found = house.doctor()
    for side in ("prod", "consulta"):
        line = found.of("copy.index", f"items, {side}")
        assert line.sentence == f"no index serves this copy in {side}: every chunk reads the whole table"
        statement = "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)"
        assert line.next_step == f"run in {side}: {statement}"
    assert (found.status("copy.index"), found.code) == ({"warning"}, 0)


def test_what_consultas_table_does_beside_keeping_rows_is_named(house: Installation) -> None:
    make = """
        CREATE TABLE notes (item bigint REFERENCES items ON DELETE CASCADE);
        CREATE RULE nothing AS ON DELETE TO items DO INSTEAD NOTHING;
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER stamp BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION stamp()"""
    back = "DROP TABLE notes; DROP RULE nothing ON items; DROP TRIGGER stamp ON items; DROP FUNCTION stamp()"
    with house.but("consulta", make, back):
        found = house.doctor()
    keys = found.of("copy.foreign_keys")
    assert "notes_item_fkey of public.notes cascade" in keys.sentence
    assert "a row to which others refer isn't deleted" in keys.sentence
    rules = found.of("copy.rules")
    assert "its rules nothing on public.items would change what is written" in rules.sentence
    assert rules.next_step == "drop them in consulta, or copy into another table"
    triggers = found.of("copy.triggers")
    assert triggers.sentence.startswith("stamp on public.items of consulta fire before each row")
    assert "have them let rows of Traspaso pass" in str(triggers.next_step)
    assert (keys.status, rules.status, triggers.status) == ("ok", "failed", "warning")
    assert found.of("consulta.privileges").next_step == (
        f"run in consulta: GRANT UPDATE ON TABLE public.items TO {WRITER}"
    )
    assert found.code == 1


def test_a_foreign_key_that_cascades_is_named_where_the_server_counts_no_changes(house: Installation) -> None:
    make = f"""
        CREATE TABLE notes (item bigint REFERENCES items ON DELETE CASCADE);
        ALTER ROLE {WRITER} SET track_counts = off"""
    with house.but("consulta", make, f"DROP TABLE notes; ALTER ROLE {WRITER} RESET track_counts"):
        found = house.doctor()
    keys = found.of("copy.foreign_keys")
    assert "notes_item_fkey of public.notes cascade" in keys.sentence
    assert keys.next_step == "set track_counts on in consulta, or make them NO ACTION"
    assert (keys.status, found.code) == ("failed", 1)


def test_rows_of_several_moments_are_named(house: Installation) -> None:
    make = f"""CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
        CREATE FOREIGN TABLE far_items (id bigint, liquidation_id bigint, amount numeric) SERVER far;
        GRANT SELECT ON far_items TO {READER}"""
    with (
        house.but("prod", make, "DROP FOREIGN DATA WRAPPER elsewhere CASCADE"),
        house.configured(('source_table = "public.items"', 'source_table = "public.far_items"')),
    ):
        found = house.doctor()
    line = found.of("copy.moment")
    assert "foreign table of elsewhere, which keeps no snapshot" in line.sentence
    assert "copy from the server that holds the rows" in str(line.next_step)
    assert (line.status, found.code) == ("failed", 1)


# ----------------------------------------------------------------------------------------------------- Redis


def test_a_redis_that_drops_keys_or_takes_none_is_said(house: Installation) -> None:
    with redis.Redis.from_url(house.valkey.url) as server:
        server.config_set("maxmemory", "200mb")
        server.config_set("maxmemory-policy", "allkeys-lru")
        server.acl_setuser(
            "looker",
            enabled=True,
            nopass=True,
            keys=["*"],
            commands=["+@read", "+info", "+ping", "+acl", "+client"],
        )
        try:
            found = house.doctor(REDIS_URL=house.valkey.url.replace("://", "://looker:x@"))
            server.config_set("appendonly", "yes")
            server.replicaof("127.0.0.1", "1")
            replica = house.doctor()
        finally:
            server.replicaof("NO", "ONE")
            server.config_set("appendonly", "no")
            server.config_set("maxmemory", "0")
            server.config_set("maxmemory-policy", "noeviction")
            server.acl_deluser("looker")
    drops = found.of("redis.eviction")
    assert "it drops keys (maxmemory-policy allkeys-lru)" in drops.sentence
    assert "noeviction" in str(drops.next_step)
    assert "the user of REDIS_URL may not write there" in found.of("redis.reachable").sentence
    assert found.of("redis.persistence").status == "skipped"
    assert "it is a replica that can only be read" in replica.of("redis.reachable").sentence
    assert "mend that there" in str(replica.of("redis.reachable").next_step)
    assert replica.of("redis.persistence").status == "ok"
    assert (drops.status, found.code, replica.code) == ("warning", 1, 1)


# --------------------------------------------------------------------------------------------------- workers


def test_workers_that_are_missing_or_of_another_release_are_said(house: Installation) -> None:
    alone = house.doctor()
    line = alone.of("workers.alive")
    assert (line.status, alone.code) == ("warning", 0)
    assert line.next_step == "start one: dramatiq bot.worker:boot --processes 1 --threads 4"
    waiting = "UPDATE traspaso.copy_jobs SET status = 'pending', channel_id = NULL"
    with cards_in(house, "C0PAYROLL"):
        house.execute(house.consulta, CONSULTA, waiting)
        found = house.doctor()
    assert found.of("workers.alive").sentence == "no worker is alive, and 1 job waits for one"
    assert (found.of("workers.alive").status, found.code) == ("failed", 1)
    with house.a_worker("0.0.9", "old"):
        old = house.doctor()
        with house.a_worker():
            mixed = house.doctor()
    assert "the workers are of 0.0.9, and this is" in old.of("workers.version").sentence
    assert "restart them" in str(old.of("workers.version").next_step)
    assert "of several releases: 0.0.9, " in mixed.of("workers.version").sentence
    assert (old.of("workers.version").status, mixed.of("workers.version").status) == ("warning", "warning")


# ---------------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize(("ahead", "status"), [(10.0, "warning"), (-60.0, "failed")])
def test_a_clock_of_this_machine_that_is_wrong_is_said(
    house: Installation, ahead: float, status: str
) -> None:
    settings, wrong = config.read(house.environment)
    context = Context(settings, wrong, clock=lambda: time.time() + ahead)
    found = {each.id: each for each in run_checks(context, CHECKS)}
    whose = {"clock.prod": "prod", "clock.consulta": "consulta", "clock.slack": "Slack"}
    for check, name in whose.items():
        line = found[check]
        assert line.status == status
        assert f"{name}'s clock is " in line.sentence
        assert ("behind" if ahead > 0 else "ahead of") in line.sentence
        assert "NTP" in line.step
    assert "leases" in found["clock.consulta"].sentence
    assert "five minutes" in found["clock.slack"].sentence


# --------------------------------------------------------------------------------------------- notifications


class Mailbox(MessageHandler):
    """Keeps the subjects of what came."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []

    def handle_message(self, message: object) -> None:
        self.subjects.append(str(message["Subject"]))  # type: ignore[index]


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted, or refuses it."""

    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Refusing(Hook):
    status = 500


@contextmanager
def hook(kind: type[Hook]) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_notification_targets_are_reached_and_sent_to_only_when_asked() -> None:
    mailbox = Mailbox()
    smtp = Controller(mailbox, hostname="127.0.0.1", port=candidate_port())
    smtp.start()
    mail = f"mailto://127.0.0.1:{smtp.port}/?from=a@example.com&to=b@example.com"
    try:
        with hook(Hook) as good, hook(Refusing) as bad:
            urls = {
                "mail": mail,
                "hook": f"json://127.0.0.1:{good}/x",
                "bad": f"json://127.0.0.1:{bad}/hunter2",
                "gone": f"json://{NOBODY}/x",
                "odd": "nonsense://x",
            }
            looked = [*services.of_destinations(urls, sends=False)]
            assert mailbox.subjects == []
            sent = [each for each in services.of_destinations(urls, sends=True) if each.id == "notify.sent"]
    finally:
        smtp.stop()
    reached = [each.status for each in looked if each.id == "notify.reachable"]
    assert reached == ["ok", "ok", "ok", "failed", "failed"]
    [refused] = [each for each in looked if each.about == "gone"]
    assert refused.sentence == "gone (json to 127.0.0.1), port 1, can't be reached (Connection refused)"
    assert "firewall" in refused.step
    assert looked[-1].step == "`traspaso doctor --send` sends one to each"
    assert [each.status for each in sent] == ["ok", "ok", "failed", "failed", "skipped"]
    assert mailbox.subjects == ["Traspaso: A test"]
    assert all("hunter2" not in each.sentence + each.step + each.about for each in [*looked, *sent])
