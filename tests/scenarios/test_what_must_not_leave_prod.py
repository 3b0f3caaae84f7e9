"""Ana copies a table with a rule: she sees what is masked, and what to do about a column that came later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .scene import Office, Scene

COPY = """
[[copies]]
name = "masked"
source_table = "public.item_notes"
target_table = "public.item_notes"
columns = { note = "mask" }
"""


@pytest.fixture
def masking(office: Office, tmp_path: Path) -> Iterator[None]:
    """The bot and a worker have one copy more, in which the notes are masked."""
    path = tmp_path / "traspaso.toml"
    path.write_text(office.stack.config_path.read_text("utf-8") + COPY, "utf-8")
    environment = {"TRASPASO_CONFIG": str(path)}
    office.restart_bot(**environment)
    office.own_worker(environment)
    yield
    for side in (office.prod, office.consulta):
        side.execute("ALTER TABLE item_notes DROP COLUMN IF EXISTS phone")
    office.consulta.execute("DELETE FROM traspaso.known_columns")
    office.restart_bot()


@pytest.mark.usefixtures("masking")
def test_ana_sees_what_is_masked_and_a_new_column_waits_for_a_rule(office: Office, scene: Scene) -> None:
    office.prod.execute(
        "INSERT INTO item_notes SELECT %(id)s::bigint * 1000 + g, %(id)s, 'nota-' || g "
        "FROM generate_series(1, 20) g",
        {"id": scene.liquidation},
    )
    offer = scene.offer(scene.ana, "masked")
    assert re.search(r"Enmascaradas: \W?note\W", offer.plain)
    scene.press(scene.ana, offer)
    job = scene.ended(int(scene.jobs()[-1]["id"]))
    assert job["total_records"] == 20
    notes = office.consulta.execute(
        "SELECT DISTINCT note FROM item_notes WHERE liquidation_id = %s", [scene.liquidation]
    ).fetchall()
    assert notes == [{"note": "n***"}]
    for side in (office.prod, office.consulta):
        side.execute("ALTER TABLE item_notes ADD phone text")
    said = scene.ask(scene.ana, f"{scene.liquidation} masked")
    assert re.search(r"columnas que ninguna regla de esta copia nombra.+phone.+No se copió nada", said)
    assert 'Indique en `columns` de esta copia qué se hace con cada una: "copy", "omit"' in said
