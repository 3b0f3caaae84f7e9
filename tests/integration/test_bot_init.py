"""`traspaso init` asks little and finds out the rest; what it writes works as it is written."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bot import config
from bot.config import File, Need
from copier import TableName
from dev.guard import Guard
from dev.pgbouncer import PgBouncer
from dev.seed import seed_consulta, seed_prod
from tests.copying import Sides
from tests.shell import Process

SECRET = "xoxb-1-very-secret"
#: A payroll with a set of tables, and one table for each reason not to take it.
IN_PROD = """
    CREATE TABLE liquidaciones (
        nro bigint PRIMARY KEY, nombre text, periodo date, fecha_modificacion timestamptz, observado text);
    INSERT INTO liquidaciones VALUES (42, 'Sueldos de octubre', '2026-10-01', now());
    CREATE SCHEMA sueldos;
    CREATE TABLE sueldos.recibos (
        id bigint PRIMARY KEY, nro_liquidacion bigint NOT NULL REFERENCES liquidaciones, importe numeric);
    CREATE INDEX ON sueldos.recibos (nro_liquidacion, id);
    CREATE TABLE sueldos.renglones (
        id bigint, nro_liquidacion bigint NOT NULL, recibo bigint REFERENCES sueldos.recibos, texto text,
        PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE sueldos.renglones_1 PARTITION OF sueldos.renglones FOR VALUES FROM (0) TO (100000);
    CREATE TABLE sueldos.renglones_2 PARTITION OF sueldos.renglones FOR VALUES FROM (100000) TO (200000);
    INSERT INTO sueldos.recibos SELECT g, 42, g FROM generate_series(1, 50) g;
    INSERT INTO sueldos.renglones SELECT g * 1000, 42, g, 'x' || g FROM generate_series(1, 50) g;
    CREATE TABLE only_here (id int PRIMARY KEY, nro_liquidacion int);
    CREATE TABLE no_key (id int, nro_liquidacion int);
    CREATE TABLE no_column (id int PRIMARY KEY, nro_liquidacion int);
    CREATE TABLE narrow (id int PRIMARY KEY, nro_liquidacion int, amount numeric(14, 2));
    CREATE TABLE seen (id int PRIMARY KEY, nro_liquidacion int);
    ANALYZE;
"""
IN_CONSULTA = """
    CREATE SCHEMA sueldos;
    CREATE TABLE sueldos.recibos (id bigint PRIMARY KEY, nro_liquidacion bigint NOT NULL, importe numeric);
    CREATE INDEX ON sueldos.recibos (nro_liquidacion, id);
    CREATE TABLE sueldos.renglones (
        id bigint PRIMARY KEY, nro_liquidacion bigint NOT NULL, recibo bigint REFERENCES sueldos.recibos,
        texto text);
    CREATE TABLE no_key (id int, nro_liquidacion int);
    CREATE TABLE no_column (id int PRIMARY KEY);
    CREATE TABLE narrow (id int PRIMARY KEY, nro_liquidacion int, amount numeric(9, 2));
    CREATE VIEW seen AS SELECT 1 AS id, 2 AS nro_liquidacion;
"""


@dataclass
class Operator:
    """Somebody in an empty folder, who knows how to reach both databases as an administrator."""

    sides: Sides
    folder: Path

    def __post_init__(self) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PROD_DATABASE_URL": self.sides.prod.url,
            "CONSULTA_DATABASE_URL": self.sides.consulta.url,
        }

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """What it says; settings of the administrator are for `init` alone."""
        ours = self.environment if arguments[0] == "init" else {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        out, err = (process := Process(arguments, {**ours, **environment}, str(self.folder))).communicate(60)
        assert process.returncode == code, out + err
        return out + err

    def text(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")

    @property
    def file(self) -> File:
        return File.model_validate(tomllib.loads(self.text("traspaso.toml")))

    @property
    def settings(self) -> dict[str, str]:
        values, wrong = config.env_file_values(str(self.folder / ".env"))
        assert wrong == []
        return values

    def make_roles(self) -> None:
        """As an administrator would. The test's clusters ask for no password."""
        for database in (self.sides.prod, self.sides.consulta):
            side = "prod" if database is self.sides.prod else "consulta"
            database.server.psql(f"BEGIN;\n{self.text(f'roles.{side}.sql')}\nCOMMIT;", database.name)


@pytest.fixture
def operator(sides: Sides, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(sides, tmp_path)
    for database in (sides.prod, sides.consulta):
        with psycopg.connect(database.url, autocommit=True) as connection:
            for role in ("traspaso_reader", "traspaso"):
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
                    connection.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def payroll(operator: Operator) -> Operator:
    operator.sides.prod.execute(IN_PROD)
    operator.sides.consulta.execute(IN_CONSULTA)
    return operator


def test_with_two_urls_a_whole_copy_works_by_nothing_but_the_roles_that_it_writes(operator: Operator) -> None:
    seed_prod(operator.sides.prod.url, rows=2_000)
    seed_consulta(operator.sides.consulta.url)
    operator.run("init", "--admin-group", "S0ADMINS")
    assert operator.settings["PROD_DATABASE_URL"].startswith("postgresql://traspaso_reader:PASSWORD@")
    assert operator.settings["CONSULTA_DATABASE_URL"].startswith("postgresql://traspaso:PASSWORD@")
    operator.make_roles()
    operator.make_roles()  # and once more does no harm
    operator.run("migrate")
    seen = operator.run("preview", "42")
    assert "Sueldos mensuales · Octubre 2026" in seen
    assert "No index" not in seen
    assert "✅" in operator.run("copy", "42")
    assert "Both sides agree: 2,000 rows" in operator.run("verify", "42")
    with (
        psycopg.connect(operator.sides.prod.url.replace("postgres@", "traspaso_reader@")) as reader,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        reader.execute("UPDATE liquidation_items SET status = ''")


def test_a_set_of_tables_with_spanish_names_is_found_with_its_catalogue_and_copied_in_its_order(
    payroll: Operator,
) -> None:
    said = payroll.run("init", "--column", "nro_liquidacion")
    file = payroll.file
    assert [(each.name, str(each.source_table)) for each in file.copies] == [
        ("recibos", "sueldos.recibos"),
        ("renglones", "sueldos.renglones"),
    ]
    listed = file.liquidations
    assert listed is not None
    assert listed.table == TableName("public", "liquidaciones")
    assert (listed.id, listed.label, listed.period, listed.changed) == (
        *("nro", "nombre"),
        *("periodo", "fecha_modificacion"),
    )
    written = payroll.text("traspaso.toml")
    assert "to be copied in this order: sueldos.recibos, sueldos.renglones." in written
    assert "# About 50 rows" in written
    assert "partitions: 2; key: id." in written
    assert "#   CREATE INDEX ON sueldos.renglones (nro_liquidacion, id);" in written
    assert "recibos  " in said
    payroll.make_roles()
    payroll.run("migrate")
    for name in ("recibos", "renglones"):
        assert "✅" in payroll.run("copy", "42", name)


def test_a_table_that_is_not_taken_stands_there_with_the_reason(payroll: Operator) -> None:
    said = payroll.run("init", "--column", "nro_liquidacion")
    reasons = {
        "public.only_here": "consulta has no table of that name",
        "public.no_key": "has no primary key or unique index of NOT NULL columns",
        "public.no_column": "public.no_column in consulta has no column nro_liquidacion",
        "public.narrow": "make consulta's column numeric(14,2) or wider",
        "public.seen": "it is a view in consulta",
    }
    comments = " ".join(line.lstrip("# ") for line in payroll.text("traspaso.toml").splitlines())
    for table, reason in reasons.items():
        assert f"Not taken: {table}" in said
        assert reason in said
        assert f"{table} (" in comments
        assert reason in comments
    assert not {each.source_table.name for each in payroll.file.copies} & {"no_key", "narrow", "seen"}


def test_what_is_there_stays_and_force_keeps_the_tokens_and_who_may_copy(payroll: Operator) -> None:
    (payroll.folder / "traspaso.toml").write_text('[slack]\nadmin_groups = ["S0MINE"]\n', "utf-8")
    mine = f"# mine\nSLACK_BOT_TOKEN={SECRET}\nPROD_DATABASE_URL='postgresql://me:a\"b@h/d'\nEXTRA=1\n"
    (payroll.folder / ".env").write_text(mine, "utf-8")
    said = payroll.run("init", "--column", "nro_liquidacion")
    assert "traspaso.toml is there already" in said
    assert payroll.text(".env") == mine
    assert SECRET not in said
    payroll.run("init", "--column", "nro_liquidacion", "--force")
    assert payroll.text("traspaso.toml.before") == '[slack]\nadmin_groups = ["S0MINE"]\n'
    assert payroll.text(".env.before") == mine
    assert payroll.file.slack.admin_groups == ("S0MINE",)
    assert payroll.file.copies
    settings = payroll.settings
    assert settings["SLACK_BOT_TOKEN"] == SECRET
    assert settings["PROD_DATABASE_URL"] == 'postgresql://me:a"b@h/d'
    assert settings["EXTRA"] == "1"
    assert settings["REDIS_URL"] == "redis://127.0.0.1:6379/0"


def test_only_its_owner_reads_the_file_with_the_secrets_and_no_password_is_in_the_sql(
    payroll: Operator,
) -> None:
    url = payroll.sides.prod.url.replace("postgres@", f"postgres:{SECRET}@")
    said = payroll.run("init", "--column", "nro_liquidacion", PROD_DATABASE_URL=url)
    assert stat.S_IMODE((payroll.folder / ".env").stat().st_mode) == 0o600
    others = [path for path in payroll.folder.rglob("*") if path.is_file()]
    assert {"traspaso.toml", "traspaso.example.toml", "roles.prod.sql", "Procfile"} <= {
        path.name for path in others
    }
    assert [path for path in others if SECRET in path.read_text("utf-8")] == []
    assert SECRET not in said


def test_a_role_that_only_reads_is_kept_as_it_was_given(payroll: Operator) -> None:
    for database in (payroll.sides.prod, payroll.sides.consulta):
        database.execute("CREATE ROLE traspaso_reader LOGIN; CREATE ROLE traspaso LOGIN")
    prod = payroll.sides.prod.url.replace("postgres@", "traspaso_reader@")
    consulta = payroll.sides.consulta.url.replace("postgres@", "traspaso@")
    payroll.run(
        *("init", "--column", "nro_liquidacion"), PROD_DATABASE_URL=prod, CONSULTA_DATABASE_URL=consulta
    )
    assert payroll.settings["PROD_DATABASE_URL"] == prod
    assert payroll.settings["CONSULTA_DATABASE_URL"] == consulta
    assert len(payroll.file.copies) == 2  # though it may read none of them yet
    payroll.make_roles()
    assert "42" in payroll.run("preview", "42")


def test_names_that_break_files_and_sql_break_nothing(operator: Operator) -> None:
    awkward = '"quo""te\'s\nline] # = [x]"'
    table = f"CREATE TABLE {awkward} (id int PRIMARY KEY, liquidation_id int, {awkward} text)"
    operator.sides.both(table)
    operator.sides.prod.execute(f"INSERT INTO {awkward} SELECT g, 42 FROM generate_series(1, 10) g")
    operator.run("init")
    [copy] = operator.file.copies
    assert copy.source_table.name == "quo\"te's\nline] # = [x]"
    operator.make_roles()
    operator.run("migrate")
    assert "✅" in operator.run("copy", "42")


def test_a_pooler_before_a_database_is_noticed(payroll: Operator, guard: Guard) -> None:
    with PgBouncer(guard.temp_folder(), {"prod": payroll.sides.prod.url}, guard=guard) as bouncer:
        payroll.run("init", "--column", "nro_liquidacion", "--prod", bouncer.url("prod"))
    prod, consulta = payroll.text("traspaso.toml").split("# consulta: PostgreSQL")
    assert "A pooler such as PgBouncer stands before it" in prod
    assert "PgBouncer" not in consulta


def test_where_nothing_can_be_copied_it_says_what_to_do_and_writes_nothing(payroll: Operator) -> None:
    said = payroll.run("init", code=1)
    assert "no table with a column liquidation_id can be copied from prod to consulta" in said
    assert "--column" in said
    assert not (payroll.folder / "traspaso.toml").exists()


def test_one_database_for_both_sides_is_refused(payroll: Operator) -> None:
    said = payroll.run(*("init", "--column", "nro_liquidacion", "--consulta", payroll.sides.prod.url), code=1)
    assert "set PROD_DATABASE_URL and CONSULTA_DATABASE_URL to two databases" in said


def test_a_database_that_lets_nobody_in_ends_it_with_the_setting_to_look_at(payroll: Operator) -> None:
    said = payroll.run("init", "--prod", payroll.sides.prod.url.replace("/test", "/no_such_test"), code=1)
    assert "PROD_DATABASE_URL" in said
    assert "Traceback" not in said
    assert payroll.run("init", "--prod", "mysql://x", code=2).count("PROD_DATABASE_URL is not") == 1


def test_at_a_terminal_it_asks_three_things(payroll: Operator) -> None:
    ours, theirs = pty.openpty()
    answers = f"{payroll.sides.prod.url}\n{payroll.sides.consulta.url}\nnro_liquidacion\n"
    os.write(ours, answers.encode())
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    program = Path(sys.executable).with_name("traspaso")
    done = subprocess.run(
        [program, "init"],
        cwd=payroll.folder,
        env=environment,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "URL of prod" in done.stdout
    assert "URL of consulta" in done.stdout
    assert "Column with the liquidation's number [liquidation_id]" in done.stdout
    assert [each.name for each in payroll.file.copies] == ["recibos", "renglones"]


def test_the_file_of_secrets_can_be_read_by_every_process(payroll: Operator) -> None:
    payroll.run("init", "--column", "nro_liquidacion")
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    environment = {**payroll.settings, **tokens, "TRASPASO_CONFIG": str(payroll.folder / "traspaso.toml")}
    _, lines = config.read(environment, Need.EVERYTHING)
    assert [line.partition(": ")[2][:50] for line in lines] == [
        "slack.admin_groups and slack.admin_users are both "
    ]
