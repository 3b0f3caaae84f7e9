"""What both roles need is known before anything is connected to, with the exact SQL."""

from __future__ import annotations

from copier import Catalogue, CopySpec, TableName, Via
from copier.privileges import Privilege, Purpose, Tracking, grants, of_source, of_target, once, script

ITEMS = CopySpec("items", TableName("public", "items"), TableName("Weird Schema", 'I"tems'), "liquidation_id")
NOTES = CopySpec("notes", TableName("public", "notes"), TableName("public", "notes"), "liquidation_id")
LISTED = Catalogue(TableName("pay", "liquidations"), "id", "name")
TRACKING = Tracking("traspaso", ("users", "copy_jobs"))


def always(privileges: list[Privilege]) -> list[Privilege]:
    return [each for each in privileges if not each.where]


def test_the_source_is_only_read() -> None:
    needed = of_source([ITEMS, NOTES], database="Pay Roll", catalogue=LISTED)
    assert grants(needed, "reader") == [
        'GRANT CONNECT ON DATABASE "Pay Roll" TO reader',
        "GRANT USAGE ON SCHEMA public TO reader",
        "GRANT SELECT ON TABLE public.items TO reader",
        "GRANT SELECT ON TABLE public.notes TO reader",
        "GRANT USAGE ON SCHEMA pay TO reader",
        "GRANT SELECT ON TABLE pay.liquidations TO reader",
    ]


def test_parents_are_read_on_both_sides_and_written_on_none() -> None:
    parts = CopySpec("parts", NOTES.target_table, NOTES.target_table, via=Via(("item",), ITEMS, ("id",)))
    assert "GRANT SELECT ON TABLE public.items TO r" in grants(of_source([parts], database="p"), "r")
    needed = always(of_target([parts], database="c"))
    assert grants(needed, "r")[-2:] == [
        'GRANT USAGE ON SCHEMA "Weird Schema" TO r',
        'GRANT SELECT ON TABLE "Weird Schema"."I""tems" TO r',
    ]


def test_names_are_quoted_as_sql_reads_them() -> None:
    needed = always(of_target([ITEMS], database="select"))
    assert grants(needed, "the writer") == [
        'GRANT CONNECT, TEMPORARY ON DATABASE "select" TO "the writer"',
        'GRANT USAGE ON SCHEMA "Weird Schema" TO "the writer"',
        'GRANT SELECT, INSERT, DELETE ON TABLE "Weird Schema"."I""tems" TO "the writer"',
    ]


def test_update_is_asked_for_where_foreign_keys_refer_to_the_rows() -> None:
    for refer, wanted in ((True, [""]), (False, []), (None, ["foreign keys refer to its rows"])):
        needed = of_target([NOTES], database="consulta", updates=lambda table, refer=refer: refer)  # type: ignore[misc]
        assert [each.where for each in needed if each.name == "UPDATE"] == wanted


def test_the_tracking_tables_need_no_grant_of_the_role_that_migrates_them() -> None:
    needed = of_target([NOTES], database="consulta", tracking=TRACKING)
    assert "GRANT CONNECT, TEMPORARY, CREATE ON DATABASE consulta TO t" in grants(always(needed), "t")
    others = [each for each in needed if "another role runs the migrations" in each.where]
    assert grants(others, "t") == [
        "GRANT USAGE ON SCHEMA traspaso TO t",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE traspaso.users TO t",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE traspaso.copy_jobs TO t",
    ]


def test_a_copy_that_waits_for_standbys_has_to_see_them() -> None:
    needed = of_target([NOTES], database="consulta", watches_standbys=True)
    assert grants(needed, "t")[-1] == "GRANT pg_monitor TO t"


def test_a_privilege_is_listed_once_with_all_steps_that_need_it() -> None:
    needed = of_source([ITEMS], database="payroll", catalogue=Catalogue(ITEMS.source_table, "id", "name"))
    [select] = [each for each in needed if each.name == "SELECT"]
    assert {Purpose.PREVIEW, Purpose.SNAPSHOT, Purpose.COPY, Purpose.VERIFY, Purpose.SEARCH} == set(
        select.steps
    )
    sometimes = Privilege("UPDATE", "TABLE", "items", "public", (Purpose.UPDATE,), "some case")
    [both] = once([sometimes, Privilege("UPDATE", "TABLE", "items", "public", (Purpose.COPY,))])
    assert (both.steps, both.where) == ((Purpose.UPDATE, Purpose.COPY), "")


def test_the_script_says_what_for_and_keeps_what_only_some_need_in_comments() -> None:
    written = script(of_target([NOTES], database="consulta", tracking=TRACKING), "t").splitlines()
    assert "-- to preview, copy, compare both sides" in written
    assert "GRANT SELECT, INSERT, DELETE ON TABLE public.notes TO t;" in written
    assert "-- only where foreign keys refer to its rows:" in written
    assert "--   GRANT UPDATE ON TABLE public.notes TO t;" in written
    assert all(line.startswith(("--", "GRANT ")) for line in written)
