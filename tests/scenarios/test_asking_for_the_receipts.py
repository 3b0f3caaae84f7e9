"""/copy-audit: who answers for all copies gets the receipts of a month as a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from .house import both_ways
from .scene import EN, ROW_VALUE, Office, Scene
from .test_looking_at_the_details import details


@both_ways
def test_what_a_copy_has_left_is_in_the_file_and_its_hash_in_the_details(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(30)
    job = scene.completed(scene.start(scene.bob))
    month = datetime.now(UTC).strftime("%Y-%m")
    assert EN("You may not use `{command}`.", command="/copy-audit") not in scene.ask(
        scene.bob, month, "/copy-audit"
    )
    direct = scene.bob.dm_with("U0BOT")
    message = [each for each in scene.bob.messages(direct) if each.files][-1]
    content = scene.slack.download(message.files[0]).decode("utf-8-sig")
    assert ROW_VALUE not in content
    receipt = next(row for row in csv.DictReader(io.StringIO(content)) if row["job"] == str(job["id"]))
    assert (receipt["status"], receipt["rows_in_prod"], receipt["inserted"]) == ("completed", "30", "30")
    assert receipt["requested_by_id"] == "U0BOB"
    assert receipt["prod_digest"] == receipt["consulta_digest"] == job["target_digest"]
    shown = details(scene, scene.bob, job["id"], receipt["hash"][:12])
    assert EN("Hash of the receipt: {hash}", hash=f"`{receipt['hash'][:12]}`") in shown.plain
    assert "/copy-audit" in scene.ask(scene.carla, month, "/copy-audit")
