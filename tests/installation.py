"""An installation of which all is well, for the tests that make one thing of it wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import migrations
from bot import config
from bot.doctor.databases import needed_in_consulta, needed_in_prod
from copier.privileges import grants
from dev.local_slack.client import LocalSlack
from dev.postgres import PostgresServer
from dev.valkey import Valkey
from tests.copying import engine
from tests.shell import Process

FILE = """
[slack]
admin_groups = ["liquidation-admins"]
operators = ["U0ANA"]
[liquidations]
table = "public.liquidations"
label = "label"
[[copies]]
name = "items"
source_table = "public.items"
target_table = "public.items"
[work]
parallel = 1
"""
ITEMS = """
    CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, amount numeric);
    CREATE INDEX items_by_liquidation ON items (liquidation_id, id);
"""
PROD, CONSULTA = "payroll", "consulta"
READER, WRITER = "reader", "traspaso"
SECRET = "hunter2-very-secret"


@dataclass(frozen=True)
class Finding:
    """One object of `traspaso doctor --json`."""

    id: str
    about: str | None
    status: str
    sentence: str
    next_step: str | None


@dataclass(frozen=True)
class Examined:
    """What one run said."""

    code: int
    findings: list[Finding]
    out: str

    def of(self, check: str, about: str | None = None) -> Finding:
        """The only finding of this check, or the one about that."""
        found = [each for each in self.findings if each.id == check and about in {None, each.about}]
        assert len(found) == 1, (check, about, found)
        return found[0]

    def status(self, check: str) -> set[str]:
        return {each.status for each in self.findings if each.id == check}

    @property
    def bad(self) -> set[str]:
        """The checks that aren't well."""
        return {each.id for each in self.findings if each.status in {"failed", "warning"}}


@dataclass
class Installation:
    """Both servers, Valkey and the local Slack; `environment` leads there, by roles that may do no more."""

    prod: PostgresServer
    consulta: PostgresServer
    valkey: Valkey
    slack: LocalSlack
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "traspaso.toml"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PROD_DATABASE_URL": self.url(self.prod, PROD, READER),
            "CONSULTA_DATABASE_URL": self.url(self.consulta, CONSULTA, WRITER),
            "REDIS_URL": self.valkey.url,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_CONFIG_TOKEN": "xoxe.xoxp-local-traspaso",
            "SLACK_API_URL": self.slack.api_url,
            "TRASPASO_CONFIG": str(self.file),
        }

    @staticmethod
    def url(server: PostgresServer, database: str, role: str) -> str:
        return server.url(database, role).replace(f"{role}@", f"{role}:{SECRET}@")

    def set_up(self) -> None:
        """Tables on both sides, tracking tables, roles with what the lists say, and a worker that lives."""
        self.file.write_text(FILE, "utf-8")
        for server, name in ((self.prod, PROD), (self.consulta, CONSULTA)):
            server.create_database(name)
            self.execute(server, name, ITEMS)
        self.execute(self.prod, PROD, "CREATE TABLE liquidations (id bigint PRIMARY KEY, label text)")
        self.prod.psql(f"CREATE ROLE {READER} LOGIN")
        self.consulta.psql(f"CREATE ROLE {WRITER} LOGIN")
        settings = config.read(self.environment)[0]
        consulta = needed_in_consulta(settings, updates=lambda table: False)
        needed = [each for each in consulta if not each.where]
        self.execute(self.prod, PROD, "; ".join(grants(needed_in_prod(settings), READER)))
        self.execute(self.consulta, CONSULTA, "; ".join(grants(needed, WRITER)))
        own = engine(self.consulta.url(CONSULTA, WRITER))
        migrations.upgrade(own)
        own.dispose()

    def execute(self, server: PostgresServer, database: str, statements: str) -> None:
        with psycopg.connect(server.url(database), autocommit=True) as connection:
            for statement in statements.split(";\n"):
                connection.execute(statement.encode())

    @contextmanager
    def but(self, side: str, there: str, back: str) -> Iterator[None]:
        """With these statements done in a database, until the end of the block."""
        server, database = (self.prod, PROD) if side == "prod" else (self.consulta, CONSULTA)
        self.execute(server, database, there)
        try:
            yield
        finally:
            self.execute(server, database, back)

    @contextmanager
    def configured(self, *changes: tuple[str, str], more: str = "") -> Iterator[None]:
        """With another traspaso.toml, until the end of the block."""
        text = FILE
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.file.write_text(text + more, "utf-8")
        try:
            yield
        finally:
            self.file.write_text(FILE, "utf-8")

    @contextmanager
    def a_worker(self, version: str | None = None, host: str = "here") -> Iterator[None]:
        """A row that says that a worker lives."""
        from importlib.metadata import version as installed

        with psycopg.connect(self.consulta.url(CONSULTA), autocommit=True) as connection:
            found = connection.execute(
                "INSERT INTO traspaso.workers (host, process, version, takes_jobs, beat_at) "
                "VALUES (%s, 1, %s, true, clock_timestamp() + interval '5 s') RETURNING id",
                [host, version or installed("traspaso")],
            ).fetchone()
            connection.execute("SELECT pg_stat_force_next_flush()")
            try:
                yield
            finally:
                connection.execute("DELETE FROM traspaso.workers WHERE id = %s", found)

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of `traspaso`; the password is in neither."""
        process = Process(arguments, {**self.environment, **environment}, str(self.folder))
        out, err = process.communicate(timeout=90)
        assert SECRET not in out + err
        assert "Traceback" not in out + err
        assert process.returncode is not None
        return process.returncode, out, err

    def doctor(self, *arguments: str, **environment: str) -> Examined:
        """One run of ``traspaso doctor --json``."""
        code, out, err = self.run("doctor", "--json", *arguments, **environment)
        assert err == ""
        found: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
        return Examined(code, [Finding(**each) for each in found], out)
