"""Digests add up, and a proof holds only where every range agrees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.config import SIDES
from copier import Counted, Digest, Proof, RangeComparison
from copier.model import EMPTY, KeyRange

digests = st.builds(Digest, st.integers(0, 100), st.integers(-(2**63), 2**63 - 1))


def part(number: int = 1) -> KeyRange:
    return KeyRange(number, None, None, 0)


@given(digests, digests, digests)
def test_digests_add_up_in_any_order(a: Digest, b: Digest, c: Digest) -> None:
    assert a + b + c == c + a + b
    assert a + EMPTY == a


@given(digests)
def test_a_digest_is_shown_as_sixteen_digits(digest: Digest) -> None:
    assert len(digest.hex) == 16
    assert int(digest.hex, 16) == digest.value % 2**64


@given(st.permutations([0, 1, 2]))
def test_one_range_that_differs_breaks_the_proof_even_where_the_sums_agree(ended: list[int]) -> None:
    a, b = Digest(1, 5), Digest(1, 9)
    parts = [RangeComparison(part(1), a, b), RangeComparison(part(2), b, a), RangeComparison(part(3), a, a)]
    compared = [parts[each] for each in ended]
    proof = Proof.of(compared, Counted(3, 3))
    assert proof.source == proof.target
    assert not proof.holds
    assert [each.range.number for each in proof.differences] == [1, 2]


@given(st.sampled_from([(1, 0), (0, 1), (2, 1), (0, 0)]))
def test_rows_outside_of_every_range_break_the_proof_and_are_counted(extra: tuple[int, int]) -> None:
    one = Digest(1, 5)
    proof = Proof.of([RangeComparison(part(), one, one)], Counted(1 + extra[0], 1 + extra[1]))
    assert proof.holds == (extra == (0, 0))
    sides = [line.partition(":")[0] for line in proof.reasons(SIDES)]
    assert sides == [side for side, rows in zip(("prod", "consulta"), extra, strict=True) if rows]


def test_an_equal_count_with_another_digest_does_not_agree() -> None:
    assert not RangeComparison(part(), Digest(1, 5), Digest(1, 6)).agrees
    assert not RangeComparison(part(), Digest(1, 5), Digest(2, 5)).agrees
    assert RangeComparison(part(), Digest(1, 5), Digest(1, 5)).agrees
