"""What can't be copied, or a value that isn't taken, is refused in words that lead to what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import SIDES
from bot.i18n import translator
from bot.jobs.failure import Failure, failure_of
from bot.messages.failure_texts import explained
from copier.errors import ParentsMissing
from tests.copying import Sides
from tests.shell import Shell

TABLE = "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint{})"


@pytest.fixture
def role(shell: Shell) -> Iterator[str]:
    """A role without rights on either side, but for the tracking tables."""
    name = f"poor_{shell.sides.consulta.name}"
    sides = (shell.sides.prod, shell.sides.consulta)
    for side in sides:
        side.execute(f"CREATE ROLE {name} LOGIN")
    shell.sides.consulta.execute(
        f"GRANT USAGE ON SCHEMA traspaso TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA traspaso TO {name}"
    )
    yield name
    for side in sides:
        side.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def made(shell: Shell, prod: str, consulta: str | None = None) -> Sides:
    """Both sides with these tables in the place of the usual ones."""
    shell.sides.prod.execute(f"DROP TABLE items; {prod}")
    shell.sides.consulta.execute(f"DROP TABLE items; {prod if consulta is None else consulta}")
    return shell.sides


def refused(shell: Shell, *command: str, **environment: str) -> str:
    """What `traspaso` says, in a shell, of what it refuses at once."""
    code, _, err = shell.run(*(command or ("copy", "42")), **environment)
    assert (code, "Traceback" in err) == (1, False), err
    return err


def failed(shell: Shell) -> tuple[str, str]:
    """What Slack says of the job that has failed at its first attempt, and the step that comes next."""
    assert shell.run("copy", "42")[0] == 1
    job = shell.jobs()[-1]
    assert (job["status"], job["attempt"]) == ("failed", 1)
    words = explained(Failure.from_json(job["error"]), translator("en"))
    return words.what, words.step


@pytest.mark.parametrize("command", ["preview", "copy"])
def test_a_missing_privilege_names_the_table_and_the_grant_in_the_preview_already(
    shell: Shell, role: str, command: str
) -> None:
    sides = shell.sides
    prod = sides.prod.server.url(sides.prod.name, role)
    err = refused(shell, command, "42", PROD_DATABASE_URL=prod)
    assert f"GRANT SELECT ON TABLE public.items TO {role}" in err
    sides.prod.execute(f"GRANT SELECT ON items TO {role}")
    sides.consulta.execute(
        f"GRANT SELECT ON items TO {role}; REVOKE TEMPORARY ON DATABASE {sides.consulta.name} FROM PUBLIC"
    )
    consulta = sides.consulta.server.url(sides.consulta.name, role)
    err = refused(shell, command, "42", PROD_DATABASE_URL=prod, CONSULTA_DATABASE_URL=consulta)
    assert f"GRANT INSERT, DELETE ON TABLE public.items TO {role}" in err
    assert f"GRANT TEMPORARY ON DATABASE {sides.consulta.name} TO {role}" in err
    assert shell.jobs() == []


def test_comparing_needs_no_right_to_write(shell: Shell, role: str) -> None:
    sides = shell.sides
    assert shell.run("copy", "42")[0] == 0
    for side in (sides.prod, sides.consulta):
        side.execute(f"GRANT SELECT ON items TO {role}")
    urls = {
        "PROD_DATABASE_URL": sides.prod.server.url(sides.prod.name, role),
        "CONSULTA_DATABASE_URL": sides.consulta.server.url(sides.consulta.name, role),
    }
    assert shell.run("verify", "42", **urls)[0] == 0


def test_row_level_security_is_named_with_bypassrls(shell: Shell, role: str) -> None:
    sides = shell.sides
    sides.prod.execute(f"GRANT SELECT ON items TO {role}; ALTER TABLE items ENABLE ROW LEVEL SECURITY")
    for command in ("preview", "copy"):
        err = refused(shell, command, "42", PROD_DATABASE_URL=sides.prod.server.url(sides.prod.name, role))
        assert "row-level security" in err
        assert f"ALTER ROLE {role} BYPASSRLS" in err


def test_a_read_only_consulta_is_named_at_once_and_not_tried_again(shell: Shell) -> None:
    database = shell.sides.consulta
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    for command in (("preview", "42"), ("copy", "42"), ("migrate",)):
        err = refused(shell, *command)
        assert "default_transaction_read_only is on" in err
        assert "SET default_transaction_read_only = off" in err


def test_a_deferrable_primary_key_is_called_deferrable(shell: Shell) -> None:
    made(shell, "CREATE TABLE items (id bigint PRIMARY KEY DEFERRABLE, liquidation_id bigint)")
    err = refused(shell)
    assert "items_pkey" in err
    assert "DEFERRABLE" in err
    assert "has no primary key" not in err


def test_a_liquidation_column_without_numbers_is_named_with_its_type(shell: Shell) -> None:
    made(shell, "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id uuid)")
    err = refused(shell)
    assert "liquidation_id" in err
    assert "uuid" in err
    assert "22P02" not in err


def test_what_has_to_be_copied_before_is_named_and_then_it_is_copied(shell: Shell) -> None:
    shell.sides.both("CREATE TABLE parts (id int PRIMARY KEY, item_id bigint REFERENCES items, what text)")
    shell.sides.prod.execute("INSERT INTO parts SELECT g, 1 + g % 100, 'p' FROM generate_series(1, 300) g")
    config = Path(shell.environment["TRASPASO_CONFIG"])
    config.write_text(
        config.read_text("utf-8")
        + """
[[copies]]
name = "parts"
source_table = "parts"
target_table = "parts"
via = "item_id -> items.id"
""",
        "utf-8",
    )
    err = refused(shell, "copy", "42", "parts")
    assert "copy items first" in err
    assert shell.jobs() == []
    assert [shell.run("copy", "42", each)[0] for each in ("items", "parts")] == [0, 0]
    assert shell.sides.consulta.rows("SELECT count(*) FROM parts") == [(300,)]
    [_, job] = shell.jobs()
    assert job["fingerprint"]["liquidation_column"] == "item_id -> public.items.id, there liquidation_id"
    failure = failure_of(ParentsMissing("public.parts", "public.items", "items", 3, SIDES))
    words = explained(failure, translator("en"))
    assert words.what.endswith("consulta lacks some of those.")
    assert words.step == "Copy `items` first, which brings them. Then copy this again."


def test_a_publication_without_a_replica_identity_is_told_in_the_server_s_words(shell: Shell) -> None:
    table = "CREATE TABLE items (id bigint NOT NULL UNIQUE, liquidation_id bigint, a int)"
    sides = made(shell, table, f"{table}; CREATE PUBLICATION p FOR TABLE items")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 1)")
    assert shell.run("copy", "42")[0] == 0
    sides.prod.execute("UPDATE items SET a = 2")
    what, _ = failed(shell)
    assert "does not have a replica identity" in what


def test_a_unique_value_of_another_liquidation_leads_to_that_one(shell: Shell) -> None:
    sides = made(shell, TABLE.format(", receipt text UNIQUE"))
    sides.prod.execute("INSERT INTO items VALUES (9, 42, 'R-1')")
    sides.consulta.execute("INSERT INTO items VALUES (5, 41, 'R-1')")
    what, step = failed(shell)
    assert "items_receipt_key" in what
    assert "another liquidation" in step
    assert "R-1" not in what + step


def test_an_extension_in_a_schema_of_its_own_is_the_same_extension(shell: Shell) -> None:
    sides = made(
        shell,
        "CREATE EXTENSION citext; " + TABLE.format(", e citext"),
        "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions; "
        + TABLE.format(", e extensions.citext"),
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'A')")
    assert shell.run("copy", "42")[0] == 0


def test_a_label_that_consulta_s_enum_lacks_is_named_with_its_column(shell: Shell) -> None:
    sides = made(
        shell,
        "CREATE TYPE st AS ENUM ('draft', 'cancel'); " + TABLE.format(", state st"),
        "CREATE TYPE st AS ENUM ('draft'); " + TABLE.format(", state st"),
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'cancel')")
    what, step = failed(shell)
    assert "`state`" in what
    assert "items`" in what
    assert "label" in step
    assert "cancel" not in what


def test_an_empty_value_that_a_domain_refuses_is_named_with_its_column(shell: Shell) -> None:
    sides = made(
        shell,
        "CREATE DOMAIN given AS int; " + TABLE.format(", amount given"),
        "CREATE DOMAIN given AS int NOT NULL; " + TABLE.format(", amount given"),
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, NULL)")
    what, _ = failed(shell)
    assert "`amount`" in what
    assert "items`" in what


def test_a_limit_of_the_server_is_told_in_its_own_words(shell: Shell) -> None:
    sides = made(
        shell,
        TABLE.format(", note text"),
        TABLE.format(", note text") + "; CREATE INDEX by_note ON items (note)",
    )
    sides.prod.execute(
        "INSERT INTO items SELECT 1, 42, string_agg(md5(g::text), '') FROM generate_series(1, 1000) g"
    )
    what, _ = failed(shell)
    assert "54000" in what
    assert "maximum size is 8191" in what
