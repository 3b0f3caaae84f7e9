"""Where a database lets nobody in, everybody is told why: the server's or libpq's own reason, and what to do.

By the SQLSTATE, so in whatever language the server speaks; and never with the password.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

import migrations
from bot.i18n import translator
from bot.jobs.failure import failure_of
from bot.messages.failure_texts import explained
from copier.errors import DatabaseFailed, Permanent, Transient, failures_of
from dev.guard import Guard
from dev.pgbouncer import PgBouncer
from dev.postgres import PostgresServer
from dev.refusing_server import RefusingServer
from tests.copying import Sides, engine
from tests.shell import PASSWORD, Shell


def refused(url: str, side: str = "prod") -> DatabaseFailed:
    """What a failed attempt becomes; the password is nowhere in it."""
    with pytest.raises(DatabaseFailed) as caught, failures_of(side):
        psycopg.connect(url, connect_timeout=5)
    words = explained(failure_of(caught.value), translator("es"))
    for said in (str(caught.value), words.what, words.step):
        assert "secret" not in said
    return caught.value


HBA = """
    local all all trust
    host all postgres 127.0.0.1/32 trust
    host all reader 127.0.0.1/32 scram-sha-256
    host all guest 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def guarded(guard: Guard) -> Iterator[PostgresServer]:
    """A server that doesn't let everybody in."""
    with PostgresServer(guard.temp_folder(), "guarded", guard=guard) as server:
        server.psql("""
            CREATE ROLE reader LOGIN PASSWORD 'right-secret'; CREATE ROLE guest LOGIN CONNECTION LIMIT 0;
            CREATE ROLE stranger LOGIN; CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC
        """)
        (server.data / "pg_hba.conf").write_text(HBA)
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.mark.parametrize(
    ("user", "database", "kind", "condition", "words"),
    [
        ("reader:wrong-secret", "postgres", Permanent, "LoginRefused", "password authentication failed"),
        ("reader", "postgres", Permanent, "LoginRefused", "no password supplied"),
        ("reader:right-secret", "nowhere", Permanent, "NoSuchDatabase", 'database "nowhere" does not exist'),
        ("stranger", "postgres", Permanent, "HostNotAllowed", "no pg_hba.conf entry"),
        ("reader:right-secret", "closed", Permanent, "NoConnect", 'GRANT CONNECT ON DATABASE "closed" TO'),
        ("guest", "postgres", Transient, "TooManyConnections", "too many connections for role"),
    ],
)  # fmt: skip
def test_a_server_s_own_reason_is_passed_on(
    guarded: PostgresServer, user: str, database: str, kind: type, condition: str, words: str
) -> None:
    failure = refused(f"postgresql://{user}@127.0.0.1:{guarded.port}/{database}")
    assert (type(failure), failure.condition) == (kind, condition)
    assert words in str(failure)


def test_a_server_that_takes_encrypted_connections_only_is_told_as_that(guarded: PostgresServer) -> None:
    failure = refused(f"postgresql://stranger@127.0.0.1:{guarded.port}/postgres?sslmode=disable")
    assert (type(failure), failure.condition) == (Permanent, "EncryptionWanted")
    assert "no encryption" in str(failure)
    assert "sslmode=require" in str(failure)
    offered = refused(f"postgresql://reader@127.0.0.1:{guarded.port}/postgres?sslmode=require")
    assert (type(offered), offered.condition) == (Permanent, "NoEncryption")


@pytest.mark.parametrize(
    ("sqlstate", "severity", "said", "kind", "condition"),
    [
        ("28P01", "FATAL", "la autentificación falló para el usuario «lector»", Permanent, "LoginRefused"),
        ("28000", "FATAL", "no hay línea en pg_hba.conf, sin cifrado", Permanent, "EncryptionWanted"),
        ("28000", "ВАЖНО", "роль «nadie» не существует", Permanent, "LoginRefused"),
        ("3D000", "FATAL", "Datenbank »lohn« existiert nicht", Permanent, "NoSuchDatabase"),
        ("42501", "致命错误", "访问数据库 payroll 的权限不够", Permanent, "NoConnect"),
        ("53300", "FATAL", "demasiadas conexiones para el rol «lector»", Transient, "TooManyConnections"),
        ("57P03", "FATAL", "el sistema de base de datos está iniciándose", Transient, "NotReady"),
        ("XX000", "FATAL", "Tenant or user not found", Permanent, "LoginRefused"),
        ("XX000", "FATAL", "MaxClientsInSessionMode: max clients reached", Transient, "TooManyConnections"),
        ("08P01", "FATAL", "no more connections allowed (max_client_conn)", Transient, "TooManyConnections"),
        ("08P01", "FATAL", "no such user: reader", Permanent, "LoginRefused"),
        ("08P01", "FATAL", "server conn crashed?", Transient, "NotReady"),
    ],
)  # fmt: skip
def test_the_kind_of_a_refusal_is_known_by_its_code_in_any_language(
    sqlstate: str, severity: str, said: str, kind: type, condition: str
) -> None:
    with RefusingServer(sqlstate, said, severity) as server:
        failure = refused(server.url(options="?sslmode=disable"), "consulta")
    assert (type(failure), failure.condition, failure.side) == (kind, condition, "consulta")
    assert said in str(failure)
    assert severity not in str(failure)


@pytest.mark.parametrize(
    ("place", "condition", "words"),
    [
        ("127.0.0.1:1", "NobodyListens", "Connection refused"),
        ("no-such-host.invalid", "HostUnknown", "no-such-host.invalid"),
        ("%2Fnowhere", "NobodyListens", "No such file"),
    ],
)
def test_what_libpq_finds_out_by_itself_is_passed_on_and_may_pass(
    place: str, condition: str, words: str
) -> None:
    failure = refused(f"postgresql://reader:hunter2-secret@{place}/payroll")
    assert (type(failure), failure.condition) == (Transient, condition)
    assert words in str(failure)


def test_half_a_password_that_libpq_takes_for_a_host_is_not_repeated() -> None:
    assert refused("postgresql://reader:half@secret@prod.invalid/payroll").condition == "HostUnknown"


def test_what_pgbouncer_says_is_passed_on(sides: Sides, guard: Guard) -> None:
    databases = {"prod": sides.prod.url}
    with PgBouncer(guard.temp_folder(), databases, guard=guard) as bouncer:
        failure = refused(bouncer.url("elsewhere"))
    assert isinstance(failure, Permanent)
    assert "bouncer config error" in str(failure)


def test_a_refused_login_is_not_tried_again_and_the_same_words_are_asked_about_once(shell: Shell) -> None:
    with RefusingServer("28P01", "la autentificación falló") as server:
        code, _, err = shell.run("copy", "42", PROD_DATABASE_URL=server.url())
        assert server.attempts <= 2  # and one more for its code
    assert code == 1
    assert err.startswith("Error: PROD_DATABASE_URL: prod refused the login: la autentificación falló.")


def test_a_login_that_is_refused_in_the_middle_fails_the_job_at_once_with_its_reason(shell: Shell) -> None:
    server = shell.sides.prod.server
    name = f"reader_{shell.sides.prod.name}"
    shell.sides.prod.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 2; GRANT SELECT ON items TO {name}")
    try:
        code, _, err = shell.run(
            "copy", "42",
            PROD_DATABASE_URL=server.url(shell.sides.prod.name, name),
            TRASPASO_CONFIG=shell.file_with("parallel = 4\nmax_failures = 1\n"),
        )  # fmt: skip
    finally:
        shell.sides.prod.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert code == 1, err
    [job] = shell.jobs()
    assert job["error"]["code"] == "too_many_connections"
    assert "too many connections for role" in job["error_message"]
    assert "lower [work] parallel" in job["error_message"].lower()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nobody listens", "CONSULTA_DATABASE_URL: nobody listens where consulta should be"),
        ("no such database", "CONSULTA_DATABASE_URL: consulta has no such database"),
        ("no such host", "CONSULTA_DATABASE_URL: nobody knows the host of consulta"),
    ],
)
def test_migrate_says_why_it_does_not_get_in(shell: Shell, name: str, wanted: str) -> None:
    server = shell.sides.consulta.server
    url = {
        "nobody listens": f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/consulta",
        "no such database": server.url("no_such_database"),
        "no such host": f"postgresql://postgres:{PASSWORD}@no-such-host.invalid/consulta",
    }[name]
    code, _, err = shell.run("migrate", CONSULTA_DATABASE_URL=url)
    assert (code, "Traceback" in err) == (1, False)
    assert wanted in err


def test_migrate_names_the_privilege_that_it_needs_and_the_grant(shell: Shell) -> None:
    database = shell.sides.consulta
    name = f"nocreate_{database.name}"
    url = database.server.url(database.name, name)
    shell.sides.consulta.execute(f"CREATE ROLE {name} LOGIN")
    try:
        code, _, err = shell.run("migrate", CONSULTA_DATABASE_URL=url)
        assert (code, f"GRANT USAGE, CREATE ON SCHEMA traspaso TO {name}" in err) == (1, True)
        database.execute("DROP SCHEMA traspaso CASCADE")
        code, _, err = shell.run("migrate", CONSULTA_DATABASE_URL=url)
        assert (code, f"GRANT CREATE ON DATABASE {database.name} TO {name}" in err) == (1, True)
        database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {name}")
        assert shell.run("migrate", CONSULTA_DATABASE_URL=url)[0] == 0
    finally:
        database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_migrate_goes_back_and_forward_and_says_what_a_newer_schema_needs(shell: Shell) -> None:
    newest = migrations.newest()
    assert newest is not None
    before = migrations.versions()[-2]
    assert shell.run("copy", "42")[0] == 0
    code, out, err = shell.run("migrate", "--to", before)
    assert (code, before in out) == (0, True), err
    code, _, err = shell.run("status")
    assert (code, "run `traspaso migrate`" in err) == (2, True)
    assert shell.run("migrate")[0] == 0
    assert [job["status"] for job in shell.jobs()] == ["completed"]
    shell.sides.consulta.execute("UPDATE traspaso.alembic_version SET version_num = '9999'")
    for command in (("status",), ("migrate",), ("migrate", "--to", before)):
        code, _, err = shell.run(*command)
        assert code in {1, 2}
        assert "version 9999, of a newer release" in err
        assert f"`traspaso migrate --to {newest}` with the newer release" in err
    code, _, err = shell.run("migrate", "--to", "0815")
    assert (code, "0815" in err) == (2, True)


def test_the_migrations_go_back_one_by_one_with_a_job_in_every_state(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    consulta = engine(shell.sides.consulta.url)
    for version in (*reversed(migrations.versions()), *migrations.versions()):
        migrations.move(consulta, version)
        assert shell.sides.consulta.rows("SELECT status FROM traspaso.copy_jobs") == [("completed",)]
    consulta.dispose()


def test_verbose_adds_the_server_s_own_words(shell: Shell) -> None:
    code, _, err = shell.run("-v", "migrate", CONSULTA_DATABASE_URL=shell.sides.consulta.server.url("nope"))
    assert code == 1
    assert 'FATAL:  database "nope" does not exist' in err
