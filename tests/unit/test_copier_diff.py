"""Which rows differ, told from their hashes alone."""

from __future__ import annotations

from array import array
from functools import reduce
from operator import xor

from hypothesis import given
from hypothesis import strategies as st

from copier.diff import STRETCH, Places
from copier.model import Digest
from copier.row_hash import digest_of

hashes = st.lists(st.integers(0, 2**63 - 1), unique=True, max_size=5 * STRETCH)


@st.composite
def edited(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """A range's hashes before and after a few rows were inserted, deleted and changed."""
    before = draw(hashes)
    after = list(before)
    edits = draw(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("idc")), max_size=6))
    for new, (place, edit) in enumerate(edits, -len(edits)):
        if edit == "i":
            after.insert(place % (len(after) + 1), new)
        elif after and edit == "d":
            del after[place % len(after)]
        elif after:
            after[place % len(after)] = new
    return before, after


@given(edited())
def test_exactly_the_rows_that_only_one_side_has_are_named(sides: tuple[list[int], list[int]]) -> None:
    source, target = sides
    found = Places.between(array("q", source), array("q", target))
    assert found.missing == [place for place, each in enumerate(source) if each not in set(target)]
    assert found.surplus == [place for place, each in enumerate(target) if each not in set(source)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_digest_is_the_exclusive_or_of_the_hashes_as_the_server_computes_it(hashes: list[int]) -> None:
    assert digest_of(array("q", hashes)) == Digest(len(hashes), reduce(xor, hashes, 0))
