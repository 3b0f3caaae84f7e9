"""Roles that are granted what the lists say can do all that Traspaso does, and nothing less is enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bot import config
from bot.config import Settings
from bot.doctor.databases import needed_in_consulta, needed_in_prod
from copier.privileges import Privilege, grants, lacking
from tests.copying import engine
from tests.shell import Shell
from tests.support import Database

LISTED = """
[liquidations]
table = "pay.liquidations"
label = "label"
"""


@dataclass(frozen=True)
class Poor:
    """A shell whose two roles may do what was granted to them and nothing else."""

    shell: Shell
    role: str
    prod: str
    consulta: str

    @property
    def settings(self) -> Settings:
        return config.read(
            {**self.shell.environment, **self.urls}, config.Need.DATABASES | config.Need.COPIES
        )[0]

    @property
    def urls(self) -> dict[str, str]:
        return {"PROD_DATABASE_URL": self.prod, "CONSULTA_DATABASE_URL": self.consulta}

    def run(self, *arguments: str) -> tuple[int, str]:
        code, _, err = self.shell.run(*arguments, **self.urls)
        return code, err

    @property
    def needed(self) -> list[tuple[Database, list[Privilege]]]:
        """Of both sides, without what only other installations need; foreign keys refer to nothing here."""
        settings, sides = self.settings, self.shell.sides
        consulta = needed_in_consulta(settings, updates=lambda table: False)
        return [
            (sides.prod, needed_in_prod(settings)),
            (sides.consulta, [each for each in consulta if not each.where]),
        ]


@pytest.fixture
def poor(shell: Shell) -> Iterator[Poor]:
    """Nobody may do anything by being PUBLIC, and the tracking tables aren't there yet."""
    sides = shell.sides
    role = f"poor_{sides.consulta.name}"
    for side in (sides.prod, sides.consulta):
        side.execute(f"CREATE ROLE {role} LOGIN; REVOKE ALL ON DATABASE {side.name} FROM PUBLIC")
        side.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    sides.consulta.execute("DROP SCHEMA traspaso CASCADE")
    sides.prod.execute("CREATE SCHEMA pay; CREATE TABLE pay.liquidations (id bigint PRIMARY KEY, label text)")
    sides.prod.execute("INSERT INTO pay.liquidations VALUES (42, 'October')")
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(path.read_text("utf-8") + LISTED, "utf-8")
    urls = (side.server.url(side.name, role) for side in (sides.prod, sides.consulta))
    yield Poor(shell, role, *urls)
    for side in (sides.prod, sides.consulta):
        side.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def lacks(poor: Poor) -> list[str]:
    """The GRANTs that the servers say are missing, asked by the role itself."""
    found: list[str] = []
    for url, (_, needed) in zip((poor.prod, poor.consulta), poor.needed, strict=True):
        opened = engine(url)
        with opened.connect() as connection:
            found += grants(lacking(connection, needed), poor.role)
    return found


def test_the_granted_list_is_enough_for_migrating_copying_comparing_and_searching(poor: Poor) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(poor.prod)
    for side, needed in poor.needed:
        side.execute("; ".join(grants(needed, poor.role)))
    assert lacks(poor) == []
    for command in (("migrate",), ("preview", "42"), ("copy", "42"), ("copy", "42"), ("verify", "42")):
        code, said = poor.run(*command)
        assert code == 0, said


def test_each_privilege_that_is_taken_away_is_the_one_that_is_named(poor: Poor) -> None:
    for side, needed in poor.needed:
        side.execute("; ".join(grants(needed, poor.role)))
    for side, needed in poor.needed:
        for each in needed:
            if each.name == "CONNECT":  # without it there is nobody to ask
                continue
            taken = f"{each.name} ON {each.what}"
            side.execute(f"REVOKE {taken} FROM {poor.role}")
            assert lacks(poor) == [f"GRANT {taken} TO {poor.role}"]
            if each.name in {"SELECT", "INSERT", "DELETE", "TEMPORARY"} or each.object == "public":
                assert poor.run("preview", "42")[0] == 1, f"{taken} is not needed"
            side.execute(f"GRANT {taken} TO {poor.role}")


def test_update_is_needed_where_foreign_keys_refer_to_the_rows(poor: Poor) -> None:
    poor.shell.sides.consulta.execute("CREATE TABLE notes (item bigint REFERENCES items)")
    for side, needed in poor.needed:
        side.execute("; ".join(grants(needed, poor.role)))
    code, said = poor.run("preview", "42")
    assert (code, f"GRANT UPDATE ON TABLE public.items TO {poor.role}" in said) == (1, True)


def test_what_is_not_there_is_not_called_a_missing_privilege(poor: Poor) -> None:
    for side, needed in poor.needed:
        side.execute("; ".join(grants(needed, poor.role)))
    gone = Privilege("SELECT", "TABLE", "nowhere", "public")
    opened = engine(poor.prod)
    with opened.connect() as connection:
        assert lacking(connection, [gone, Privilege("USAGE", "SCHEMA", "nowhere")]) == []
