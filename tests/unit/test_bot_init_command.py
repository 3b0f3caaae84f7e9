"""Whatever servers and operators call things, what `traspaso init` writes is read back as it was meant."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from bot import config
from bot.cli import init_command
from bot.config import File, SlackSection
from copier import Advice, Catalogue, CopySpec, TableName, Via
from copier.discovery import Candidate, Discovery, FoundCatalogue, LeftOut, Server, Size

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15)
TABLES = st.builds(TableName, NAMES, NAMES)


def server(side: str, name: str = "payroll", **facts: object) -> Server:
    known = {
        "version": 15,
        "database": name,
        "role": name,
        "is_superuser": False,
        "is_standby": False,
        "is_encrypted": True,
        "is_here": False,
        "is_pooled": False,
    }
    return Server(side=side, **{**known, **facts})  # type: ignore[arg-type]


def candidate(table: TableName, column: str = "liquidation_id") -> Candidate:
    return Candidate(
        spec=CopySpec(table.name, table, table, column),
        size=Size(5, 5000, 0),
        key=(column,),
        advice=(Advice("prod", f"CREATE INDEX ON {table} (x)"),),
        parents=(),
        needs=(table,),
        updates=True,
        may_write=False,
        triggers=(table.name,),
        hides_rows=("prod",),
    )


def found(*tables: TableName, column: str = "liquidation_id", name: str = "payroll") -> Discovery:
    catalogue = Catalogue(tables[0], column, column, column, column)
    return Discovery(
        source=server("prod", name),
        target=server("consulta", name),
        candidates=tuple(candidate(table, column) for table in tables),
        left_out=(LeftOut(tables[0], Size(None, 0, 0), f"{name} isn't there", None),),
        catalogue=FoundCatalogue(catalogue, f"{name} refers to it", by_name=True),
    )


@given(
    tables=st.lists(TABLES, min_size=2, max_size=3, unique=True),
    columns=st.lists(NAMES, min_size=1, max_size=2, unique=True),
)
def test_what_belongs_through_a_table_is_a_comment_that_can_be_read_back(
    tables: list[TableName], columns: list[str]
) -> None:
    parent, *children = tables
    discovery = found(parent)
    via = Via(tuple(columns), discovery.candidates[0].spec, tuple(columns))
    specs = [CopySpec(each.name, each, each, via=via) for each in children]
    discovery = replace(
        discovery, left_out=(), through=tuple(replace(discovery.candidates[0], spec=each) for each in specs)
    )
    text = init_command.configuration(discovery, SlackSection())
    assert len(File.model_validate(tomllib.loads(text)).copies) == 1
    head, _, commented = text.partition("through one of these:\n")
    commented = "\n".join(line.removeprefix("# ") for line in commented.split("\n") if "[work]" not in line)
    copies = File.model_validate(tomllib.loads(f"{head}\n{commented}")).copies
    assert [each.spec.via for each in copies[1:]] == [replace(via, parent=copies[0].spec)] * len(children)


@given(tables=st.lists(TABLES, min_size=1, max_size=4, unique=True), column=NAMES, name=NAMES)
def test_any_names_are_read_back_from_the_configuration(
    tables: list[TableName], column: str, name: str
) -> None:
    text = init_command.configuration(found(*tables, column=column, name=name), SlackSection())
    file = File.model_validate(tomllib.loads(text))
    assert [each.source_table for each in file.copies] == tables
    assert {each.liquidation_column for each in file.copies} == {column}
    assert file.liquidations is not None
    assert (file.liquidations.table, file.liquidations.label) == (tables[0], column)
    assert len({each.name for each in file.copies}) == len(tables)


@given(values=st.dictionaries(st.sampled_from(["SLACK_BOT_TOKEN", "REDIS_URL", "EXTRA"]), NAMES))
def test_any_value_is_read_back_from_the_environment_file(
    values: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = {name: " ".join(value.split()) for name, value in values.items() if value.isprintable()}
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(init_command.environment(values, values), "utf-8")
    read, wrong = config.env_file_values(str(path))
    assert wrong == []
    assert {name: value for name, value in read.items() if value} == {
        name: value for name, value in values.items() if value
    }


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("liquidation_items", "items"),
        ("liquidations_items", "items"),
        ("Recibos de Sueldo", "recibos_de_sueldo"),
        ("Ítems", "items"),
        ("2026", "rows"),
        ("liquidation_2026", "liquidation_2026"),
        ("日本", "rows"),
        ("x" * 60, "x" * 31),
    ],
)
def test_a_copy_is_called_by_its_table_in_short(table: str, name: str) -> None:
    spec = CopySpec(table, TableName("public", table), TableName("public", table), "liquidation_id")
    assert init_command.name_of(spec) == name


def test_what_was_noticed_of_a_server_is_said_with_what_follows() -> None:
    noticed = found(TableName("public", "items"))
    assert "#" in init_command.configuration(noticed, SlackSection())
    for facts, words in (
        ({"is_standby": True}, "It is a standby"),
        ({"is_pooled": True}, "A pooler such as PgBouncer"),
        ({"is_encrypted": False}, "?sslmode=verify-full"),
    ):
        prod = server("prod", **facts)  # type: ignore[arg-type]
        with_it = Discovery(prod, noticed.target, noticed.candidates, (), None)
        without = Discovery(noticed.source, noticed.target, noticed.candidates, (), None)
        assert words in init_command.configuration(with_it, SlackSection())
        assert words not in init_command.configuration(without, SlackSection())


def test_row_level_security_is_in_the_sql_of_the_role_that_it_would_hide_rows_from() -> None:
    written = init_command.source_role(found(TableName("public", "items")), "reader")
    assert "ALTER ROLE reader BYPASSRLS;" in written


def test_the_url_of_another_role_has_a_placeholder_and_no_password_of_the_first() -> None:
    url = make_url("postgresql+psycopg://admin:secret@db:5432/payroll?sslmode=require")
    login = init_command.login(server("prod"), url, "as it was typed", "traspaso_reader")
    assert login.is_new
    assert login.written == "postgresql://traspaso_reader:PASSWORD@db:5432/payroll?sslmode=require"
    same = init_command.login(server("prod"), url, "as it was typed", "payroll")
    assert same == init_command.Login("payroll", "as it was typed", is_new=False)


def test_nothing_of_the_kind_is_there_for_a_catalogue_that_was_not_found() -> None:
    text = init_command.configuration(
        Discovery(server("prod"), server("consulta"), (candidate(TableName("a", "b")),), (), None),
        SlackSection(admin_users=("U0ANA",), language="en"),
    )
    file = File.model_validate(tomllib.loads(text))
    assert file.liquidations is None
    assert file.slack == SlackSection(admin_users=("U0ANA",), language="en")
    assert "was not found" in text


def test_no_line_of_the_files_is_wider_than_a_screen() -> None:
    text = init_command.configuration(found(TableName("public", "items")), SlackSection())
    assert max(map(len, text.splitlines())) <= init_command.WIDTH
