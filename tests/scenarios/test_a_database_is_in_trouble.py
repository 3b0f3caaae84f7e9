"""What passes by itself is tried again from where the ledger stands; what doesn't fails the job at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from bot.jobs.failure import Failure
from bot.messages.card import RETRY_ACTION
from bot.messages.failure_texts import explained
from dev.proxy import Proxy

from .scene import CHUNK_ROWS, ES, PASSWORD, ROW_VALUE, ROWS, Office, Row, Scene, until


@contextmanager
def line_to(office: Office, side: str, **environment: str) -> Iterator[Proxy]:
    """A worker, the only one, whose way to this side leads through a line that can be cut."""
    server = getattr(office.stack, side)
    with Proxy(server.port) as proxy:
        name = f"{side.upper()}_DATABASE_URL"
        environment[name] = office.secrets[name].replace(f":{server.port}/", f":{proxy.port}/")
        office.own_worker(environment)
        yield proxy


@pytest.mark.parametrize(("side", "direction"), [("prod", "received"), ("consulta", "sent")])
def test_a_connection_lost_in_the_middle_costs_a_chunk_and_no_more(
    office: Office, scene: Scene, side: str, direction: str
) -> None:
    scene.seed()
    with line_to(office, side) as proxy:
        proxy.cut_after(700_000, direction)  # type: ignore[arg-type]
        job_id = scene.start()
        assert proxy.wait_until_cut()
        job = scene.completed(job_id)
        assert job["attempt"] == 2
        assert scene.events(job_id) == ["requested", "claimed", "retry", "claimed", "completed"]
        before = scene.chunks(job_id, 1)
        assert 0 < len(before) < ROWS // CHUNK_ROWS
        kept = [chunk["outcome"] for chunk in scene.chunks(job_id, 2)]
        assert kept[: len(before)] == ["unchanged"] * len(before)
        assert job["error"] is None
        assert (job["error_message"], job["failures"]) == (None, 0)
        assert len(scene.replies(job_id)) == 1


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_database_that_is_away_for_a_while_is_waited_for(office: Office, scene: Scene, side: str) -> None:
    scene.seed()
    with line_to(office, side) as proxy, scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        proxy.refuse()
        proxy.cut()
        roadblock.lift()
        until(lambda: tries(office, job_id) >= 2, what="a second try")
        assert scene.job(job_id)["status"] in {"pending", "running"}
        proxy.allow()
        job = scene.completed(job_id)
        assert job["attempt"] >= 2
        assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1


def test_a_database_that_stays_away_fails_the_job_in_the_end_and_a_retry_brings_it_home(
    office: Office, scene: Scene
) -> None:
    scene.seed()
    with line_to(office, "prod", **office.with_work(max_failures=3)) as proxy:
        proxy.refuse()
        job_id = scene.start()
        job = scene.ended(job_id, "failed")
        assert scene.events(job_id) == ["requested", *["claimed", "retry"] * 2, "claimed", "failed"]
        scene.told(job_id)
        words = explained(Failure.from_json(job["error"]), ES)
        for message in (scene.reply(job_id), scene.card(job_id)):
            assert words.what in message.plain
        proxy.allow()
        assert scene.ana.press(scene.card(job_id), RETRY_ACTION).acked
        until(lambda: scene.job(job_id)["status"] == "completed", what="the copy after all")


def test_while_a_retry_is_waited_for_the_card_says_why(office: Office, scene: Scene) -> None:
    scene.seed()
    with line_to(office, "prod") as proxy, scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.card(job_id)
        proxy.refuse()
        proxy.cut()
        roadblock.lift()
        waits = ES(
            "Waiting for {side} to come back (attempt {attempt}, in {duration})",
            side="prod",
            attempt=2,
            duration="",
        ).partition("(")[0]
        scene.slack.wait_for(lambda: waits in scene.card(job_id).plain)
        proxy.allow()
        scene.completed(job_id)
        assert waits not in scene.card(job_id).plain


def test_a_constraint_of_consulta_fails_the_job_with_its_name_and_no_value(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed()
    office.consulta.execute(
        "ALTER TABLE liquidation_items ADD CONSTRAINT small_amounts "
        f"CHECK (liquidation_id <> {scene.liquidation} OR amount < 55) NOT VALID"
    )
    try:
        job_id = scene.start()
        job = scene.ended(job_id, "failed")
    finally:
        office.consulta.execute("ALTER TABLE liquidation_items DROP CONSTRAINT small_amounts")
    told = failed_at_once(office, scene, job, "check")
    assert "`small_amounts`" in told
    assert "`public.liquidation_items`" in told or "`liquidation_items`" in told
    assert "small_amounts" in job["error_message"]
    assert len(scene.chunks(job_id, 1)) == 5
    assert ES.number(5 * CHUNK_ROWS) in told
    # The cause is gone: copying again goes on from there.
    again = scene.completed(scene.start())
    assert again["unchanged_records"] == 5 * CHUNK_ROWS


def test_a_row_that_consulta_has_twice_fails_the_job_with_the_constraint_s_name(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(50)
    number = scene.liquidation
    index = f"one_description_{number}"
    office.consulta.execute(
        f"CREATE UNIQUE INDEX {index} ON liquidation_items (liquidation_id, (metadata ->> 'nota')) "
        f"WHERE liquidation_id = {number}"
    )
    try:
        job = scene.ended(scene.start(), "failed")
    finally:
        office.consulta.execute(f"DROP INDEX {index}")
    assert f"`{index}`" in failed_at_once(office, scene, job, "unique")


def test_a_table_that_has_gone_since_the_preview_is_named_and_nothing_starts(
    office: Office, scene: Scene
) -> None:
    office.prod.execute("INSERT INTO item_notes VALUES (%s, %s, 'x')", [scene.key(1), scene.liquidation])
    _, offer = scene.type(scene.ana, f"/copy-liquidation {scene.liquidation} notes")
    office.consulta.execute("ALTER TABLE item_notes RENAME TO item_notes_away")
    try:
        for said in (
            scene.press(scene.ana, offer),
            scene.ask(scene.ana, f"{scene.liquidation} notes"),
        ):
            assert "`public.item_notes`" in said
            assert "consulta" in said
    finally:
        office.consulta.execute("ALTER TABLE item_notes_away RENAME TO item_notes")
    assert scene.jobs() == []


def test_a_privilege_that_was_taken_away_fails_the_job(office: Office, scene: Scene) -> None:
    role = f"clerk_{scene.liquidation}"
    office.consulta.execute(
        f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA traspaso TO {role}; "
        f"GRANT ALL ON ALL TABLES IN SCHEMA traspaso TO {role}; "
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA traspaso TO {role}; "
        f"GRANT SELECT, DELETE ON liquidation_items TO {role}"
    )
    name = "CONSULTA_DATABASE_URL"
    office.own_worker({name: office.secrets[name].replace("postgres:", f"{role}:", 1)})
    scene.seed(50)
    job_id = scene.start()
    job = scene.ended(job_id, "failed")
    said = failed_at_once(office, scene, job, "privilege_missing")
    assert "42501" in said
    assert "GRANT INSERT" in said


def failed_at_once(office: Office, scene: Scene, job: Row, code: str) -> str:
    """What the thread says about a job that failed at its first attempt; nothing tells a row's value."""
    scene.told(job["id"])
    assert job["attempt"] == 1
    assert job["error"]["code"] == code
    assert job["error_message"]
    assert job["finished_at"] is not None
    assert scene.events(job["id"]) == ["requested", "claimed", "failed"]
    reply, card = scene.reply(job["id"]), scene.card(job["id"])
    words = explained(Failure.from_json(job["error"]), ES)
    assert "<@U0ANA>" in reply.plain
    assert words.what in reply.plain
    assert words.step in reply.plain
    assert words.what in card.plain
    assert not card.pinned
    calls = [str(call.args) for call in scene.slack.calls(since=scene.first_call)]
    [tracked] = scene.rows(
        "SELECT string_agg(to_jsonb(job)::text || to_jsonb(event)::text, '') AS text "
        "FROM traspaso.copy_jobs job JOIN traspaso.copy_events event ON event.job_id = job.id "
        "WHERE job.id = %s",
        job["id"],
    )
    for told in [*calls, tracked["text"]]:
        assert ROW_VALUE not in told
    assert PASSWORD not in office.logs()
    assert ROW_VALUE not in office.logs()
    return reply.plain


def tries(office: Office, job_id: int) -> int:
    """How often a worker has begun with the job, or has failed to reach consulta for it."""
    with psycopg.connect(office.stack.consulta_url) as connection:
        [attempt] = connection.execute(
            "SELECT attempt FROM traspaso.copy_jobs WHERE id = %s", [job_id]
        ).fetchone() or (0,)
    log = office.logs()
    return int(attempt) - 1 + log.count(f"job {job_id}: the lease was not renewed")
