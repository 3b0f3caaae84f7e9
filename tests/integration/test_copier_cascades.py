"""Foreign keys that carry a DELETE on: they change no row that the copy doesn't account for.

The oracle is a few lines of Python: what consulta would hold if the rows of the liquidation were prod's and
all others were left alone. Where that satisfies the foreign keys a set has to reach it, and where it doesn't
the set has to be refused; either way no row of others may have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from bot.config import SIDES
from copier import CopySet, CopySpec, Limits, TableName, Via
from copier.errors import CascadeRefused, Permanent
from tests.copying import Sides, engine
from tests.support import Database

ACTIONS = ["CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION", "RESTRICT"]
#: Which columns of each table refer to which table: these may be NULL, but those of `NEEDED`.
REFERS = {
    "heads": {"after": "heads"},
    "payslips": {"head": "heads"},
    "lines": {"payslip": "payslips", "parent": "lines"},
    "inputs": {"payslip": "payslips", "line": "lines"},
    "remarks": {"payslip": "payslips"},
}
NEEDED = {("payslips", "head"), ("lines", "payslip"), ("inputs", "payslip"), ("remarks", "payslip")}
#: A row: its liquidation, which only the tables with such a column use; what it refers to; and a value.
Row = tuple[int, tuple[int | None, ...], int]
State = dict[str, dict[int, Row]]


def has_number(table: str) -> bool:
    return table in {"heads", "payslips"}


def ddl(actions: dict[str, str]) -> str:
    made = ""
    for table, refers in REFERS.items():
        number = "liquidation_id int NOT NULL, " if has_number(table) else ""
        columns = "".join(
            f"{column} int{' NOT NULL' if (table, column) in NEEDED else ''} "
            f"CONSTRAINT {table}_{column} REFERENCES {parent} {actions[f'{table}.{column}']}, "
            for column, parent in refers.items()
        )
        made += f"CREATE TABLE {table} (id int PRIMARY KEY, {number}{columns}v int);"
    return made


def _table(name: str) -> TableName:
    return TableName("public", name)


HEADS = CopySpec("heads", _table("heads"), _table("heads"), "liquidation_id")
PAYSLIPS = CopySpec("payslips", _table("payslips"), _table("payslips"), "liquidation_id")
LINES, INPUTS = (
    CopySpec(name, _table(name), _table(name), via=Via(("payslip",), PAYSLIPS, ("id",)))
    for name in ("lines", "inputs")
)


@st.composite
def states(draw: st.DrawFn) -> State:
    """Rows of which each refers to rows that are there."""
    found: State = {}
    for table, refers in REFERS.items():
        keys = draw(st.lists(st.integers(1, 6), unique=True, max_size=5))
        if any((table, column) in NEEDED and not found[to] for column, to in refers.items()):
            keys = []
        rows = found[table] = {}
        for key in keys:
            to: list[int | None] = []
            for column, parent in refers.items():
                choice = st.sampled_from(keys if parent == table else sorted(found[parent]) or [0])
                target = draw(choice if (table, column) in NEEDED else st.none() | choice)
                to.append(target or None)
            number = draw(st.sampled_from([42, 42, 43])) if has_number(table) else 0
            rows[key] = (number, tuple(to), draw(st.integers(0, 2)))
    return found


@st.composite
def made_actions(draw: st.DrawFn) -> dict[str, str]:
    """What each foreign key does on DELETE and on UPDATE; most of them cascade."""
    found = {}
    for table, refers in REFERS.items():
        for column in refers:
            fitting = ["CASCADE", "CASCADE", *ACTIONS]
            on_update = draw(st.sampled_from(["", " ON UPDATE CASCADE"]))
            found[f"{table}.{column}"] = f"ON DELETE {draw(st.sampled_from(fitting))}{on_update}"
    return found


def fill(database: Database, state: State) -> None:
    statements = "TRUNCATE heads, payslips, lines, inputs, remarks;"
    for table, rows in state.items():
        if rows:
            values = (
                [str(key), *([str(number)] if has_number(table) else []), *map(literal, to), str(v)]
                for key, (number, to, v) in rows.items()
            )
            listed = ", ".join(f"({', '.join(row)})" for row in values)
            statements += f"INSERT INTO {table} VALUES {listed};"
    database.execute(statements)


def literal(value: int | None) -> str:
    return "NULL" if value is None else str(value)


def read(database: Database) -> State:
    found: State = {}
    for table, refers in REFERS.items():
        number = "liquidation_id" if has_number(table) else "0"
        rows = database.rows(f"SELECT id, {number}, {', '.join(refers)}, v FROM {table}")
        found[table] = {key: (of, tuple(to), v) for key, of, *to, v in rows}
    return found


def of_42(state: State) -> dict[str, set[int]]:
    """The keys of the rows that belong to the liquidation."""
    own = {
        table: {key for key, row in state[table].items() if row[0] == 42} for table in ("heads", "payslips")
    }
    for table in ("lines", "inputs"):
        own[table] = {key for key, row in state[table].items() if row[1][0] in own["payslips"]}
    return {**own, "remarks": set()}


def wanted(ours: State, theirs: State) -> State:
    """What consulta holds when the liquidation is prod's and nothing else has changed."""
    own, held = of_42(ours), of_42(theirs)
    return {
        table: {key: row for key, row in theirs[table].items() if key not in held[table]}
        | {key: ours[table][key] for key in own[table]}
        for table in REFERS
    }


def is_valid(state: State) -> bool:
    """Whether what each row refers to is there."""
    return all(
        target is None or target in state[parent]
        for table, refers in REFERS.items()
        for _, to, _ in state[table].values()
        for target, parent in zip(to, refers.values(), strict=True)
    )


@contextmanager
def opened(
    sides: Sides,
    *,
    consulta_url: str | None = None,
    on_silence: Callable[[float], None] = lambda silent: None,
    **limits: Any,
) -> Iterator[CopySet]:
    with CopySet(
        engine(sides.prod.url),
        engine(consulta_url or sides.consulta.url),
        [HEADS, PAYSLIPS, LINES, INPUTS],
        42,
        names=SIDES,
        limits=Limits(**{"chunk_seconds": 60.0, "parallel": 1, **limits}),
        on_silence=on_silence,
    ) as copies:
        yield copies


def proven(sides: Sides, **limits: Any) -> bool:
    """Copies the set. False where a foreign key has refused it."""
    with opened(sides, **limits) as copies:
        try:
            result = copies.run()
        except Permanent as refusal:
            assert refusal.sqlstate in {"23503", "23001"}, refusal
            return False
        proof = copies.verify(result)
    assert proof is not None
    assert proof.holds, proof.reasons(SIDES)
    return True


@settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
    deadline=None,
)
@given(states(), states(), made_actions(), st.integers(1, 6), st.integers(1, 2))
def test_a_set_ends_as_in_prod_or_is_refused_and_no_row_of_others_changes_whatever_cascades(
    sides: Sides, ours: State, theirs: State, actions: dict[str, str], chunk_rows: int, parallel: int
) -> None:
    sides.prod.execute(f"DROP TABLE IF EXISTS {', '.join(REFERS)}; {ddl(dict.fromkeys(actions, ''))}")
    sides.consulta.execute(f"DROP TABLE IF EXISTS {', '.join(REFERS)}; {ddl(actions)}")
    # A row of prod that consulta has under another liquidation is taken from it: what refers to it there, and
    # belongs by it, would come along. That is another promise; here others keep theirs.
    taken = {table: of_42(ours)[table] - of_42(theirs)[table] for table in REFERS}
    theirs = {
        table: {k: row for k, row in rows.items() if k not in taken[table]} for table, rows in theirs.items()
    }
    theirs = closed(theirs)
    fill(sides.prod, ours)
    fill(sides.consulta, theirs)
    end = wanted(ours, theirs)
    done = proven(sides, chunk_rows=chunk_rows, parallel=parallel)
    after = read(sides.consulta)
    event(f"proven: {done}")
    assert done == is_valid(end)
    if done:
        assert after == end
    held, own = of_42(theirs), of_42(ours)
    for table in REFERS:
        others = {key: row for key, row in theirs[table].items() if key not in held[table] | own[table]}
        assert {key: after[table].get(key) for key in others} == others


def closed(state: State) -> State:
    """Without the rows that refer to one that isn't there."""
    while not is_valid(state):
        state = {
            table: {
                key: row
                for key, row in rows.items()
                if all(
                    target is None or target in state[parent]
                    for target, parent in zip(row[1], REFERS[table].values(), strict=True)
                )
            }
            for table, rows in state.items()
        }
    return state


# ----------------------------------------------------------------------------------------- one case at a time


@dataclass(frozen=True)
class Payroll:
    """Payslips and their lines, of 42 and 43, on both sides; lines go with their payslip."""

    sides: Sides

    def copied(self) -> None:
        assert proven(self.sides)
        assert read(self.sides.consulta)["lines"] == read(self.sides.prod)["lines"]


CASCADE = dict.fromkeys(
    [f"{table}.{column}" for table in REFERS for column in REFERS[table]], "ON DELETE CASCADE"
)
BOTH: State = {
    "heads": {1: (42, (None,), 0), 2: (43, (None,), 0)},
    "payslips": {1: (42, (1,), 0), 2: (42, (1,), 0), 3: (43, (2,), 0)},
    "lines": {1: (0, (1, None), 0), 2: (0, (1, 1), 0), 3: (0, (2, None), 0), 4: (0, (3, None), 0)},
    "inputs": {1: (0, (1, 1), 0), 2: (0, (3, 4), 0)},
    "remarks": {},
}


@pytest.fixture
def payroll(sides: Sides) -> Payroll:
    sides.both(ddl(CASCADE))
    fill(sides.prod, BOTH)
    fill(sides.consulta, BOTH)
    return Payroll(sides)


def test_a_payslip_goes_after_its_lines_so_that_the_cascade_finds_nothing(payroll: Payroll) -> None:
    payroll.sides.prod.execute("DELETE FROM payslips WHERE id = 1")
    payroll.copied()
    assert read(payroll.sides.consulta) == read(payroll.sides.prod)


def test_a_line_that_has_moved_to_another_payslip_stays_where_the_old_one_goes(payroll: Payroll) -> None:
    payroll.sides.prod.execute("""
        UPDATE lines SET payslip = 2; UPDATE inputs SET payslip = 2 WHERE id = 1;
        UPDATE lines SET payslip = 3 WHERE id = 4; DELETE FROM payslips WHERE id = 1""")
    payroll.copied()


def test_a_line_of_another_liquidation_keeps_the_payslip_that_prod_has_no_more(payroll: Payroll) -> None:
    """The line's own parent: it belongs to 43, by its payslip, and is a child of a line of 42."""
    payroll.sides.consulta.execute("UPDATE lines SET parent = 1 WHERE id = 4")
    payroll.sides.prod.execute("DELETE FROM payslips WHERE id = 1")
    before = read(payroll.sides.consulta)["lines"][4]
    assert not proven(payroll.sides)
    assert read(payroll.sides.consulta)["lines"][4] == before


def test_a_table_that_is_not_in_the_set_is_named_and_keeps_its_rows(payroll: Payroll) -> None:
    payroll.sides.consulta.execute("INSERT INTO remarks VALUES (1, 2, 0)")
    payroll.sides.prod.execute("DELETE FROM payslips WHERE id = 2")
    with (
        opened(payroll.sides) as copies,
        pytest.raises(CascadeRefused, match=r"remarks_payslip of public\.remarks"),
    ):
        copies.run()
    assert read(payroll.sides.consulta)["remarks"] == {1: (0, (2,), 0)}


def test_rows_that_the_role_may_not_see_are_kept_too(payroll: Payroll) -> None:
    role = f"clerk_{payroll.sides.consulta.name}"
    payroll.sides.consulta.execute(f"""
        INSERT INTO remarks VALUES (1, 2, 0); CREATE ROLE {role} LOGIN;
        GRANT SELECT, INSERT, UPDATE, DELETE ON heads, payslips, lines, inputs TO {role}""")
    payroll.sides.prod.execute("DELETE FROM payslips WHERE id = 2")
    url = payroll.sides.consulta.url.replace("//postgres@", f"//{role}@")
    try:
        with (
            opened(payroll.sides, consulta_url=url) as copies,
            pytest.raises(CascadeRefused, match="remarks"),
        ):
            copies.run()
        assert read(payroll.sides.consulta)["remarks"] == {1: (0, (2,), 0)}
    finally:
        payroll.sides.consulta.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_row_that_somebody_adds_at_the_last_moment_is_kept_too(payroll: Payroll) -> None:
    """It is committed while the DELETE waits for it: no query of that statement could have seen it."""
    payroll.sides.prod.execute("DELETE FROM payslips WHERE id = 2")
    with psycopg.connect(payroll.sides.consulta.url) as other:
        other.execute("INSERT INTO remarks VALUES (1, 2, 0)")  # holds the payslip until it commits
        with (
            opened(payroll.sides, on_silence=lambda silent: other.commit()) as copies,
            pytest.raises(CascadeRefused, match="remarks"),
        ):
            copies.run()
    assert read(payroll.sides.consulta)["remarks"] == {1: (0, (2,), 0)}
