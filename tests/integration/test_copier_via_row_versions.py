"""Row versions tell of rows that belong through a parent too: by those of the parents beside their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.config import SIDES
from copier import Baseline, CopySpec, Counts, ExpectedChanges, expected_changes, unchanged
from copier.errors import ParentsMissing
from tests.copying import Done, Sides
from tests.payroll import ALL, DEDUCTIONS, LINES, OF_42, ORDER, PAYSLIPS, TABLES, filled

#: Rows of a chunk: what is told by versions alone comes in one chunk.
CHUNK = 20
UNTOUCHED = ["unchanged"]
PAYSLIPS_OF_ALL = 90


@dataclass
class Watched:
    """Rows of 42 that agree, and what was proven of them."""

    sides: Sides
    spec: CopySpec
    baseline: Baseline | None = None

    def again(self, **options: Any) -> Done:
        """Copies on the ground of what was proven; what is proven now takes its place."""
        asked: dict[str, Any] = {"chunk_rows": CHUNK, **options}
        with self.sides.open(self.spec, baseline=self.baseline, **asked) as copy:
            result = copy.run()
            proof = copy.verify(result)
            found = copy.baseline()
        assert proof.holds, proof.reasons(SIDES)
        # As it comes back from where it was kept.
        self.baseline = Baseline.from_json(json.loads(json.dumps(found.as_json()))) if found else None
        return Done(result.plan, list(result.chunks), proof)

    def soon_untouched(self) -> bool:
        """Whether nothing is left to tell: who writes elsewhere may make rows look new, once."""
        return any(self.again().outcomes == UNTOUCHED for _ in range(3))

    def expected_changes(self) -> ExpectedChanges | None:
        """What is told of the next copy."""
        if self.baseline is None:
            return None
        engines = [self.sides.engine(side.url) for side in (self.sides.prod, self.sides.consulta)]
        found = expected_changes(*engines, self.spec, 42, self.baseline, names=SIDES)
        if found and 42 in unchanged(*engines, self.spec, {42: self.baseline}, names=SIDES):
            assert found.counts == Counts(unchanged=found.counts.unchanged)
        return found

    def assert_same(self) -> None:
        name = self.spec.source_table.name
        self.sides.assert_same(name, OF_42[name], ORDER[name])


Watch = Callable[[CopySpec], Watched]


@pytest.fixture
def sides(sides: Sides) -> Iterator[Sides]:
    """Their sessions are kept from one copy to the next."""
    with sides.keeping() as kept:
        yield kept


@pytest.fixture
def watch(sides: Sides) -> Watch:
    """Both sides hold 42 and 43; gives one table, after it was proven to be unchanged.

    Consulta has no foreign keys, so that payslips may change places in one copy.
    """
    sides.both(TABLES)
    sides.consulta.execute("""
        ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey;
        ALTER TABLE deductions DROP CONSTRAINT deductions_line_id_fkey
    """)
    sides.prod.execute(filled(PAYSLIPS_OF_ALL))
    for liquidation in (42, 43):
        for each in ALL:
            sides.copy_proven(each, liquidation)

    def of(spec: CopySpec) -> Watched:
        watched = Watched(sides, spec)
        assert watched.soon_untouched()
        return watched

    return of


#: One payslip leaves 42 and another one with as many lines and deductions comes: no line is touched.
EXCHANGE = "UPDATE payslips SET liquidation_id = 85 - liquidation_id WHERE id IN ({}, {})"


@pytest.mark.parametrize("spec", [LINES, DEDUCTIONS], ids=["lines", "deductions"])
def test_payslips_that_change_places_are_seen_though_no_line_was_touched(
    watch: Watch, spec: CopySpec
) -> None:
    watched = watch(spec)
    sides = watched.sides
    sides.prod.execute(EXCHANGE.format(1, 2))
    for liquidation in (42, 43):
        sides.copy_proven(PAYSLIPS, liquidation)
    done = watched.again()
    assert done.outcomes != UNTOUCHED
    assert done.counts == Counts(unchanged=done.plan.total)  # they have come with their payslip
    watched.assert_same()
    assert watched.soon_untouched()


def test_payslips_that_change_places_in_consulta_alone_are_not_taken_for_the_proven_ones(
    watch: Watch,
) -> None:
    watched = watch(LINES)
    watched.sides.consulta.execute(EXCHANGE.format(1, 2))
    with pytest.raises(ParentsMissing):
        watched.again()
    for liquidation in (42, 43):
        watched.sides.copy_proven(PAYSLIPS, liquidation)
    watched.again()
    watched.assert_same()


def test_a_line_that_is_exchanged_for_one_of_another_payslip_is_seen_two_steps_below(watch: Watch) -> None:
    watched = watch(DEDUCTIONS)
    # Lines 6 and 4, of payslips 7 (of 42) and 5 (of 43): each has one deduction.
    watched.sides.prod.execute("UPDATE payslip_lines SET payslip_id = 12 - payslip_id WHERE id IN (6, 4)")
    with pytest.raises(ParentsMissing):
        watched.again()
    for liquidation in (42, 43):
        watched.sides.copy_proven(LINES, liquidation)
    assert watched.again().outcomes != UNTOUCHED
    watched.assert_same()


def test_a_payslip_that_only_looks_new_costs_a_look_at_its_lines_and_writes_nothing(watch: Watch) -> None:
    watched = watch(LINES)
    watched.sides.prod.execute("UPDATE payslips SET employee = 'renamed' WHERE id = 1")
    done = watched.again()
    assert done.outcomes != UNTOUCHED
    assert done.counts == Counts(unchanged=150)
    assert watched.soon_untouched()


def test_changed_lines_are_told_as_ever(watch: Watch) -> None:
    watched = watch(LINES)
    watched.sides.prod.execute("""
        UPDATE payslip_lines SET note = 'changed' WHERE id IN (9, 99);
        DELETE FROM payslip_lines WHERE id = 303;
        INSERT INTO payslip_lines VALUES (2000, 1, 1, 'new')
    """)
    told = watched.expected_changes()
    assert told is not None
    assert told.counts == Counts(inserted=1, updated=2, deleted=1, unchanged=147)
    assert watched.again().counts == told.counts
    watched.assert_same()
    assert watched.soon_untouched()


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_payslip_table_of_another_definition_has_all_values_compared(watch: Watch, side: str) -> None:
    watched = watch(DEDUCTIONS)
    getattr(watched.sides, side).execute("ALTER TABLE payslips ALTER employee SET DEFAULT 'nobody'")
    done = watched.again()
    assert len(done.chunks) > 1
    assert done.counts == Counts(unchanged=done.plan.total)
    assert watched.soon_untouched()


def test_where_the_versions_of_parents_tell_nothing_there_is_no_baseline(sides: Sides) -> None:
    sides.both(TABLES + "ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey;")
    sides.prod.execute(filled(9))
    sides.consulta.execute("ALTER TABLE payslips SET UNLOGGED")
    for each in ALL[:2]:
        sides.copy_proven(each)
    watched = Watched(sides, LINES)
    watched.again()
    assert watched.baseline is None


# ---- Whatever happens -----------------------------------------------------------------------------

EDITS = {
    "move payslips": "UPDATE payslips SET liquidation_id = 85 - liquidation_id "
    "WHERE id BETWEEN {at} AND {at} + {many}",
    "exchange payslips": "UPDATE payslips SET liquidation_id = 85 - liquidation_id "
    "WHERE id IN ({at}, {at} + 1)",
    "touch payslips": "UPDATE payslips SET employee = 'x' WHERE id BETWEEN {at} AND {at} + {many}",
    "delete a payslip": "DELETE FROM payslips WHERE id = {at}",
    "move lines": "UPDATE payslip_lines SET payslip_id = {at} WHERE id % 40 = {many}",
    "lose lines": "UPDATE payslip_lines SET payslip_id = NULL WHERE id % 40 = {many}",
    "change lines": "UPDATE payslip_lines SET note = note || 'x' WHERE payslip_id = {at}",
    "delete lines": "DELETE FROM payslip_lines WHERE payslip_id = {at} AND id % 2 = {many} % 2",
    "insert lines": "INSERT INTO payslip_lines SELECT 1000 + {at} * 20 + g, {at}, g, 'in' "
    "FROM generate_series(1, {many}) g ON CONFLICT DO NOTHING",
    "freeze": "VACUUM (FREEZE) payslips",
}
edits = st.builds(
    lambda side, kind, at, many: (side, EDITS[kind].format(at=at, many=many)),
    st.sampled_from(["prod", "prod", "prod", "consulta", "held"]),
    st.sampled_from(sorted(EDITS)),
    st.integers(1, 40),
    st.integers(0, 8),
)


@given(st.lists(st.lists(edits, max_size=4), min_size=1, max_size=3), st.integers(1, 2))
@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_was_done_to_lines_and_payslips_both_sides_are_the_same_afterwards(
    sides: Sides, rounds: list[list[tuple[str, str]]], parallel: int
) -> None:
    """What is ``held`` is done by a transaction that commits only after the next copy.

    There are no foreign keys, so that any order of copies is one that goes through.
    """
    sides.both("""
        DROP TABLE IF EXISTS payslip_lines, payslips;
        CREATE TABLE payslips (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, employee text);
        CREATE INDEX ON payslips (liquidation_id, id);
        CREATE TABLE payslip_lines (id bigint PRIMARY KEY, payslip_id bigint, amount numeric, note text);
        CREATE INDEX ON payslip_lines (payslip_id, id);
    """)
    sides.prod.execute("""
        INSERT INTO payslips SELECT g, 42 + g % 2, 'e' FROM generate_series(1, 40) g;
        INSERT INTO payslip_lines SELECT g, 1 + g % 40, g, 'n' FROM generate_series(1, 400) g
    """)
    watched = Watched(sides, LINES)

    def copied() -> None:
        for liquidation in (42, 43):
            sides.copy_proven(PAYSLIPS, liquidation)
        sides.copy_proven(LINES, 43)
        told = watched.expected_changes()
        counts = watched.again(parallel=parallel).counts
        assert told is None or told.counts == counts
        sides.assert_same("payslips", "true", formats=("text",))
        watched.assert_same()

    copied()
    with psycopg.connect(sides.prod.url, options="-c lock_timeout=100") as holder:
        for round_ in rounds:
            for side, edit in round_:
                if side == "held":
                    with suppress(psycopg.Error), holder.transaction():
                        holder.execute(edit.encode())
                    continue
                where = sides.prod if side == "prod" else sides.consulta
                with (
                    psycopg.connect(where.url, autocommit=True, options="-c lock_timeout=100") as connection,
                    suppress(psycopg.errors.LockNotAvailable),
                ):
                    connection.execute(edit.encode())
            copied()
            holder.commit()
        copied()
    with sides.open(LINES) as anew:
        assert watched.baseline is not None
        assert anew.verify().source == watched.baseline.digest
