"""What was proven, in fewer ranges: the same rows, and none of the ranges larger than a chunk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copier import Baseline
from copier.model import Digest
from copier.row_versions import ProvenRange, Vantage

digests = st.builds(Digest, st.integers(0, 100), st.integers(-(2**63), 2**63 - 1))


def baseline_of(found: list[Digest]) -> Baseline:
    bounds = [None, *((str(at),) for at in range(1, len(found))), None]
    ranges = zip(bounds, bounds[1:], found, strict=False)
    return Baseline(Vantage("a", 1), Vantage("b", 2), tuple(ProvenRange(*each) for each in ranges))


@given(st.lists(digests, min_size=1, max_size=20), st.integers(1, 250))
def test_neighbouring_ranges_become_one_and_nothing_of_what_was_proven_is_lost(
    found: list[Digest], most: int
) -> None:
    before = baseline_of(found)
    joined = before.joined(most)
    assert joined.digest == before.digest
    assert (joined.source, joined.target) == (before.source, before.target)
    assert joined.ranges[0].lower is None
    assert joined.ranges[-1].upper is None
    for one, next_one in zip(joined.ranges, joined.ranges[1:], strict=False):
        assert one.upper == next_one.lower
        assert one.digest.rows + next_one.digest.rows > most
    for each in joined.ranges:
        assert each.digest.rows <= most or each in before.ranges
