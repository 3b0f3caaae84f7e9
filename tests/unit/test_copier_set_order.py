"""The order of a set's tables, by the foreign keys between them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copier.errors import CircularReferences
from copier.set_order import Belongs, ForeignKey, SetOrder, order_of


def key(
    child: str, parent: str, *columns: str, may_be_null: bool = False, match_full: bool = False
) -> ForeignKey:
    names = columns or (f"{parent}_id",)
    return ForeignKey(
        f"{child}_{parent}_fkey",
        child,
        parent,
        names,
        ("id",) * len(names),
        frozenset(names) if may_be_null else frozenset(),
        match_full,
    )


def test_parents_come_first_and_tables_that_do_not_depend_on_each_other_are_one_step() -> None:
    keys = [
        key("payslips", "head"),
        key("lines", "payslips"),
        key("deductions", "payslips"),
        key("lines", "head"),
    ]
    order = order_of(["lines", "deductions", "payslips", "head"], keys)
    assert order.steps == (("head",), ("payslips",), ("lines", "deductions"))
    assert order.referenced == ("head", "payslips")
    assert [each.child for each in order.refer_to("payslips")] == ["deductions", "lines"]
    assert order.second_pass == ()


def test_tables_without_foreign_keys_are_all_written_side_by_side() -> None:
    assert order_of(["b", "a", "c"], []).steps == (("b", "a", "c"),)


def test_a_table_that_refers_to_itself_has_its_place_like_any_other() -> None:
    order = order_of(["lines", "payslips"], [key("lines", "lines", "parent_id"), key("lines", "payslips")])
    assert order.steps == (("payslips",), ("lines",))
    assert order.refer_to("lines") == ()
    assert order.second_pass == ()


def test_a_child_comes_after_the_parent_that_it_belongs_through_without_any_foreign_key() -> None:
    order = order_of(["lines", "payslips"], [], belongs=[Belongs("lines", "payslips")])
    assert order.steps == (("payslips",), ("lines",))


def test_what_is_below_a_table_reaches_over_several_steps() -> None:
    keys = [key("payslips", "head"), key("lines", "payslips"), key("other", "head")]
    order = order_of(["head", "payslips", "lines", "other"], keys)
    assert order.below(["payslips"]) == ("payslips", "lines")
    assert set(order.below(["head"])) == {"head", "payslips", "lines", "other"}


def test_a_circle_is_taken_apart_at_a_column_that_may_be_null() -> None:
    keys = [key("payslips", "lines", "main_line_id", may_be_null=True), key("lines", "payslips")]
    order = order_of(["lines", "payslips"], keys)
    assert order.steps == (("payslips",), ("lines",))
    assert [each.name for each in order.second_pass] == ["payslips_lines_fkey"]
    assert order.waits("payslips") == {"main_line_id"}
    assert order.waits("lines") == frozenset()


def test_no_more_foreign_keys_wait_than_have_to() -> None:
    keys = [
        key("a", "b", may_be_null=True),
        key("b", "c", may_be_null=True),
        key("c", "a", may_be_null=True),
        key("c", "d", may_be_null=True),
    ]
    assert len(order_of(["a", "b", "c", "d"], keys).second_pass) == 1


def test_a_circle_in_which_nothing_may_be_null_is_refused_by_the_names_of_its_constraints() -> None:
    keys = [key("payslips", "lines"), key("lines", "payslips"), key("payslips", "head")]
    with pytest.raises(CircularReferences) as refused:
        order_of(["head", "payslips", "lines"], keys)
    assert "payslips_lines_fkey of payslips" in str(refused.value)
    assert "lines_payslips_fkey of lines" in str(refused.value)
    assert "head" not in str(refused.value)
    assert sorted(refused.value.lines) == ["lines_payslips_fkey of lines", "payslips_lines_fkey of payslips"]


def test_a_column_of_the_key_does_not_wait() -> None:
    keys = [key("a", "b", "number", may_be_null=True), key("b", "a")]
    with pytest.raises(CircularReferences):
        order_of(["a", "b"], keys, fixed={"a": frozenset({"number"})})


def test_of_several_columns_those_wait_that_may_be_null() -> None:
    mixed = ForeignKey("k", "a", "b", ("liquidation_id", "b_id"), ("x", "y"), frozenset({"b_id"}))
    assert order_of(["a", "b"], [mixed, key("b", "a")]).waits("a") == {"b_id"}


def test_a_foreign_key_that_takes_all_or_nothing_waits_only_as_a_whole() -> None:
    mixed = ForeignKey("k", "a", "b", ("x", "b_id"), ("x", "y"), frozenset({"b_id"}), match_full=True)
    with pytest.raises(CircularReferences):
        order_of(["a", "b"], [mixed, key("b", "a")])
    whole = key("a", "b", "x", "b_id", may_be_null=True, match_full=True)
    assert order_of(["a", "b"], [whole, key("b", "a")]).waits("a") == {"x", "b_id"}


NAMES = ["a", "b", "c", "d", "e", "f"]
KEYS = st.lists(
    st.builds(
        lambda child, parent, place, may_be_null: ForeignKey(
            f"k{place}",
            child,
            parent,
            (f"to_{parent}_{place}",),
            ("id",),
            frozenset({f"to_{parent}_{place}"}) if may_be_null else frozenset(),
        ),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=14,
    unique_by=lambda each: (each.child, each.parent, each.name),
)


def has_circle(keys: list[ForeignKey]) -> bool:
    """By trying all orders: nothing of the code that is tested."""
    pairs = [(each.child, each.parent) for each in keys if not each.is_self_reference]
    return not any(
        all(order.index(parent) < order.index(child) for child, parent in pairs)
        for order in itertools.permutations(sorted({name for pair in pairs for name in pair}))
    )


def found(keys: list[ForeignKey]) -> SetOrder | None:
    try:
        return order_of(NAMES, keys)
    except CircularReferences:
        return None


@given(keys=KEYS)
def test_every_foreign_key_is_satisfied_by_the_order_or_waits(keys: list[ForeignKey]) -> None:
    order = found(keys)
    if order is None:
        assert has_circle([each for each in keys if not each.nullable])
        return
    assert sorted(order.names) == NAMES
    place = {name: at for at, step in enumerate(order.steps) for name in step}
    for each in keys:
        if not each.is_self_reference and each not in order.second_pass:
            assert place[each.parent] < place[each.child]
    assert all(set(each.columns) & order.waits(each.child) for each in order.second_pass)


@given(keys=KEYS)
def test_nothing_waits_that_another_one_makes_needless(keys: list[ForeignKey]) -> None:
    order = found(keys)
    if order is None:
        return
    kept = [each for each in keys if each not in order.second_pass]
    for each in order.second_pass:
        assert has_circle([*kept, each])


@given(keys=KEYS)
def test_the_order_in_which_they_are_read_changes_nothing(keys: list[ForeignKey]) -> None:
    assert found(keys) == found(list(reversed(keys)))
