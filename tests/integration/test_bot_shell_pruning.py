"""``traspaso prune`` in a terminal."""

from __future__ import annotations

from tests.shell import Shell

OLD = """
    UPDATE traspaso.copy_jobs SET finished_at = finished_at - interval '100 days';
    UPDATE traspaso.copy_chunks SET created_at = created_at - interval '100 days'
"""


def test_somebody_sees_what_would_go_and_has_it_go_at_once(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    assert shell.run("prune")[1].split() == [
        *("Gone", "lines", "of", "the", "ledger", "0", "events", "0", "messages", "0"),
        *("due", "times", "of", "schedules", "0", "workers", "0", "jobs", "0"),
    ]
    shell.sides.consulta.execute(OLD)
    code, out, _ = shell.run("prune", "--dry-run")
    assert (code, out.splitlines()[0].strip(), out.splitlines()[1].split()[-1]) == (0, "Would go", "5")
    assert shell.sides.consulta.rows("SELECT count(*) FROM traspaso.copy_chunks") == [(5,)]
    code, out, _ = shell.run("prune", LANG="es_AR.UTF-8")
    assert (code, out.splitlines()[0].strip(), out.splitlines()[1].split()[-1]) == (0, "Se borró", "5")
    assert shell.sides.consulta.rows("SELECT count(*) FROM traspaso.copy_chunks") == [(0,)]
    code, out, _ = shell.run("status", "1", "--json")
    assert (code, '"chunks": null' in out) == (0, True)
