"""A job that completes leaves what it has proven to the next one, and its receipt says on what it builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.shell import ROWS, Shell


def copied(shell: Shell, *options: str) -> dict[str, Any]:
    """The end of a copy of the liquidation, with the lines of its ledger."""
    code, out, _ = shell.run("copy", "42", "--json", *options)
    assert code == 0
    end = json.loads(out.splitlines()[-1])
    _, out, _ = shell.run("status", str(end["id"]), "--json")
    found: dict[str, Any] = json.loads(out)
    shell.sides.assert_same()
    return found


def test_copying_again_builds_on_the_last_proof_and_says_so(shell: Shell) -> None:
    first = copied(shell)
    assert first["values_job"] == first["id"]
    again = copied(shell)
    assert again["values_job"] == first["id"]
    assert [line["outcome"] for line in again["chunks"]] == ["unchanged"]
    assert again["target_digest"] == first["target_digest"]
    shell.sides.prod.execute("UPDATE items SET note = 'new' WHERE id IN (1, 2)")
    third = copied(shell)
    assert (third["values_job"], third["updated_records"]) == (first["id"], 2)
    assert third["target_digest"] != first["target_digest"]
    _, _, err = shell.run("copy", "42")
    assert f"by row versions since job {first['id']}, which compared all values" in err


@pytest.mark.usefixtures("still")
def test_a_preview_tells_what_a_copy_would_do_to_the_row_as_soon_as_one_has_proven_it(shell: Shell) -> None:
    assert "Would" not in shell.run("preview", "42")[1]
    copied(shell)
    code, out, _ = shell.run("preview", "42")
    assert code == 0
    assert f"hold the same {ROWS:,} rows" in out
    shell.sides.prod.execute("""
        UPDATE items SET note = 'new' WHERE id IN (1, 2);
        DELETE FROM items WHERE id = 3;
        INSERT INTO items SELECT 900000 + g, 42, 0, 'more' FROM generate_series(1, 4) g
    """)
    assert f"Would insert 4 · change 2 · delete 1 · leave {ROWS - 3:,}." in shell.run("preview", "42")[1]
    found = json.loads(shell.run("preview", "42", "--json")[1])
    would = {"inserted": 4, "updated": 2, "deleted": 1, "unchanged": ROWS - 3}
    assert found["outlook"]["counts"] == would


def test_a_preview_needs_no_tracking_tables(shell: Shell) -> None:
    shell.sides.consulta.execute("DROP SCHEMA traspaso CASCADE")
    code, out, _ = shell.run("preview", "42")
    assert (code, f"{ROWS:,}" in out, "Would" in out) == (0, True, False)


def test_a_shell_s_copy_that_would_delete_many_rows_wants_remove_whatever_the_numbers_of_both_sides(
    shell: Shell,
) -> None:
    copied(shell)
    many = ROWS // 5
    shell.sides.prod.execute(f"""
        DELETE FROM items WHERE liquidation_id = 42 AND id <= {many};
        INSERT INTO items SELECT 900000 + g, 42, 0, 'more' FROM generate_series(1, {many}) g
    """)
    code, _, err = shell.run("copy", "42")
    assert (code, f"would remove {many:,} of them" in err) == (1, True)
    assert copied(shell, "--remove")["deleted_records"] == many


def test_after_full_proof_days_all_values_are_compared_again(shell: Shell) -> None:
    first = copied(shell)
    shell.sides.consulta.execute("UPDATE traspaso.proofs SET values_at = now() - interval '7 days 1 second'")
    again = copied(shell)
    assert again["values_job"] == again["id"] != first["id"]
    assert copied(shell)["values_job"] == again["id"]


def test_with_no_full_proof_days_every_copy_compares_all_values(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(path.read_text("utf-8").replace("[work]", "[work]\nfull_proof_days = 0"), "utf-8")
    copied(shell)
    again = copied(shell)
    assert again["values_job"] == again["id"]


def test_a_failed_copy_leaves_the_last_proof_and_what_it_wrote_is_seen(shell: Shell) -> None:
    first = copied(shell)
    shell.sides.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 1000000) NOT VALID")
    shell.sides.prod.execute("UPDATE items SET amount = 2000000 WHERE id = 7")
    assert shell.run("copy", "42")[0] == 1
    shell.sides.consulta.execute("ALTER TABLE items DROP CONSTRAINT small")
    again = copied(shell)
    assert again["updated_records"] == 1
    assert again["unchanged_records"] == ROWS - 1
    assert again["values_job"] == again["id"] != first["id"]  # the table was altered in between


def test_the_proof_goes_with_the_row_of_its_job(shell: Shell) -> None:
    first = copied(shell)
    shell.sides.consulta.execute(f"DELETE FROM traspaso.copy_jobs WHERE id = {first['id']}")
    assert shell.sides.consulta.rows("SELECT count(*) FROM traspaso.proofs") == [(0,)]
    again = copied(shell)
    assert again["values_job"] == again["id"]
