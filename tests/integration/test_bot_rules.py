"""What a configuration's rules keep in prod, as an administrator at a terminal meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.shell import Shell

SECRET = "0123456789abcdef0123456789abcdef"
RULES = 'columns = { note = "mask" }'


def configure(shell: Shell, lines: str) -> None:
    """The copy has these settings from now on."""
    path = Path(shell.environment["TRASPASO_CONFIG"])
    begin, _, rest = path.read_text("utf-8").partition('target_table = "public.items"\n')
    path.write_text(
        f'{begin}target_table = "public.items"\n{lines}\n[work]{rest.partition("[work]")[2]}', "utf-8"
    )


def copied(shell: Shell) -> dict[str, Any]:
    code, out, err = shell.run("copy", "42", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def refusal(shell: Shell, *command: str) -> str:
    code, _, err = shell.run(*command, "42")
    assert code == 1
    return err


@pytest.fixture
def ruled(shell: Shell) -> Shell:
    """The notes are masked, and the liquidation was copied so once."""
    configure(shell, RULES)
    copied(shell)
    return shell


def test_the_preview_says_what_is_not_copied_as_it_is(shell: Shell) -> None:
    configure(shell, 'columns = { note = "mask", amount = "omit" }')
    _, out, _ = shell.run("preview", "42")
    assert "Not copied: amount. Masked: note." in out
    _, out, _ = shell.run("preview", "42", "--json")
    assert json.loads(out)["rules"] == [
        {"column": "amount", "treatment": "omit"},
        {"column": "note", "treatment": "mask"},
    ]


def test_the_receipt_says_under_which_rules_a_copy_was_made(shell: Shell) -> None:
    configure(shell, 'columns = { note = "hash", amount = "omit" }')
    shell.environment["TRASPASO_HASH_SECRET"] = SECRET
    copied(shell)
    _, out, _ = shell.run("audit", "--format", "json")
    [made_of] = [json.loads(line)["receipt"]["fingerprint"] for line in out.splitlines()]
    assert made_of["rules"] == {"amount": "omit", "note": "hash"}
    assert len(made_of["hash_check"]) == 12
    assert made_of["columns"] == ["id", "liquidation_id", "note"]
    assert SECRET not in out


def test_a_column_that_came_between_two_copies_waits_for_a_rule(ruled: Shell) -> None:
    ruled.sides.both("ALTER TABLE items ADD phone text")
    ruled.sides.prod.execute("UPDATE items SET phone = 'PHONE-' || id")
    for command in ("copy", "preview", "verify"):
        words = refusal(ruled, command)
        assert "columns of public.items are new, and no rule says whether they may be copied" in words
        assert 'phone = "copy" or phone = "omit"' in words
        assert "PHONE-" not in words
    configure(ruled, 'columns = { note = "mask", phone = "omit" }')
    copied(ruled)
    assert ruled.sides.consulta.rows("SELECT count(phone) FROM items") == [(0,)]
    configure(ruled, 'columns = { note = "mask", phone = "copy" }')
    copied(ruled)
    configure(ruled, RULES)  # it is known by now
    copied(ruled)
    assert ruled.sides.consulta.rows("SELECT count(phone) FROM items WHERE phone = 'PHONE-' || id") == [
        (5_000,)
    ]


def test_a_rule_that_is_taken_away_lets_nothing_out_by_itself(ruled: Shell) -> None:
    configure(ruled, 'columns = { amount = "omit" }')
    assert 'note = "copy" or note = "omit"' in refusal(ruled, "copy")
    assert ruled.sides.consulta.rows("SELECT DISTINCT note FROM items ORDER BY 1") == [("***",), ("n***",)]


def test_new_columns_are_left_out_or_copied_where_the_configuration_says_so(ruled: Shell) -> None:
    ruled.sides.both("ALTER TABLE items ADD phone text")
    ruled.sides.prod.execute("UPDATE items SET phone = 'PHONE-' || id")
    for word, rows in (("omit", 0), ("omit", 0), ("copy", 5_000)):
        configure(ruled, f'{RULES}\nnew_columns = "{word}"')
        copied(ruled)
        assert ruled.sides.consulta.rows("SELECT count(phone) FROM items") == [(rows,)]


def test_what_is_known_outlives_the_jobs(ruled: Shell) -> None:
    ruled.sides.consulta.execute("DELETE FROM traspaso.copy_jobs")
    ruled.sides.both("ALTER TABLE items ADD phone text")
    assert "phone" in refusal(ruled, "copy")


def test_before_there_are_tracking_tables_everything_is_known(shell: Shell) -> None:
    configure(shell, RULES)
    shell.sides.consulta.execute("DROP SCHEMA traspaso CASCADE")
    code, out, _ = shell.run("preview", "42")
    assert (code, "Masked: note." in out) == (0, True)


def test_other_rules_and_another_secret_are_kept_by_the_next_copy(ruled: Shell) -> None:
    assert copied(ruled)["unchanged_records"] == 5_000
    configure(ruled, 'columns = { note = "hash" }')
    ruled.environment["TRASPASO_HASH_SECRET"] = SECRET
    assert copied(ruled)["updated_records"] == 5_000
    assert copied(ruled)["unchanged_records"] == 5_000
    ruled.environment["TRASPASO_HASH_SECRET"] = SECRET[::-1]
    assert copied(ruled)["updated_records"] == 5_000


def test_the_doctor_sees_the_rules_the_missing_secret_and_a_new_column(ruled: Shell) -> None:
    def said(check: str) -> list[dict[str, str]]:
        _, out, _ = ruled.run("doctor", "--json")
        return [found for line in out.splitlines() if (found := json.loads(line))["id"] == check]

    assert "rules: note (mask)" in said("copy.columns")[0]["sentence"]
    configure(ruled, 'columns = { note = "hash" }')
    assert any("TRASPASO_HASH_SECRET is missing" in each["sentence"] for each in said("settings"))
    configure(ruled, RULES)
    ruled.sides.both("ALTER TABLE items ADD phone text")
    [line] = said("copy.columns")
    assert line["status"] == "failed"
    assert 'phone = "copy" or phone = "omit"' in line["next_step"]
