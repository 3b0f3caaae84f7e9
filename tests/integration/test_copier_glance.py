"""Row versions tell that rows are those of the last proof, and never where they are not."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from bot.config import SIDES
from copier import Baseline, Counts
from tests.copying import ITEMS, Done, Sides, spec

ROWS = 20_000
FILL = f"""
    INSERT INTO items SELECT g, 42, g / 100.0, md5(g::text) FROM generate_series(1, {ROWS}) g;
    INSERT INTO items SELECT -g, 7, 0, 'other' FROM generate_series(1, 100) g;
    ANALYZE items
"""


@dataclass
class Watched:
    """Two databases that agree, and what was proven of them."""

    sides: Sides
    baseline: Baseline

    def again(self, **options: object) -> Done:
        """Copies on the ground of what was proven before; what is proven now is kept in its place."""
        with self.sides.open(spec(), baseline=self.baseline, **{"chunk_rows": 2_000, **options}) as copy:
            result = copy.run()
            proof = copy.verify(result)
            assert proof.holds, proof.reasons(SIDES)
            baseline = copy.baseline()
            assert baseline is not None
            # As it comes back from where it was kept.
            self.baseline = Baseline.from_json(json.loads(json.dumps(baseline.as_json())))
            return Done(result.plan, list(result.chunks), proof)


@pytest.fixture
def watched(sides: Sides) -> Watched:
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    with sides.open(spec(), chunk_rows=2_000) as copy:
        assert copy.verify(copy.run()).holds
        baseline = copy.baseline()
    assert baseline is not None
    return Watched(sides, baseline)


def test_nothing_changed_is_one_unchanged_chunk_with_the_digests_that_were_proven(watched: Watched) -> None:
    before = watched.baseline.digest
    done = watched.again()
    assert done.outcomes == ["unchanged"]
    assert done.counts == Counts(unchanged=ROWS)
    assert done.proof.source == done.proof.target == before
    assert watched.again().outcomes == ["unchanged"]


def test_few_changes_write_only_those_and_the_next_look_sees_nothing_new(watched: Watched) -> None:
    watched.sides.prod.execute("""
        UPDATE items SET note = 'changed' WHERE id % 1000 = 7 AND liquidation_id = 42;
        INSERT INTO items SELECT 30000 + g, 42, 0, 'new' FROM generate_series(1, 5) g;
        DELETE FROM items WHERE id IN (11, 12, 4011);
    """)
    done = watched.again()
    assert done.counts == Counts(inserted=5, updated=20, deleted=3, unchanged=ROWS - 23)
    watched.sides.assert_same()
    assert watched.again().outcomes == ["unchanged"]
