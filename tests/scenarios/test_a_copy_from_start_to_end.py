"""What an admin can rely on when nothing goes wrong."""

from __future__ import annotations

from collections import Counter

from bot.messages.blocks import of_liquidation
from bot.messages.proposal import CANCEL_ACTION, COPY_ACTION, LATER_ACTION
from dev.local_slack.rates import PER_MINUTE
from dev.local_slack.results import Call

from .house import both_ways
from .scene import CHUNK_ROWS, EN, ES, PASSWORD, ROW_VALUE, ROWS, Office, Scene


@both_ways
def test_an_admin_copies_a_liquidation_and_reads_how_it_went(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(ROWS)
    scene.seed_consulta(30)
    taken, offer = scene.type(scene.ana, f"/copy-liquidation {scene.liquidation}")
    assert taken.acked
    assert taken.ack_seconds < 3
    assert offer.ephemeral
    assert offer.visible_to == "U0ANA"
    for shown in (scene.name, ES.number(ROWS), "30", "items"):
        assert shown in offer.plain
    assert [button.action_id for button in offer.buttons] == [COPY_ACTION, LATER_ACTION, CANCEL_ACTION]
    assert not scene.jobs()

    with scene.roadblock() as roadblock:
        said = scene.press(scene.ana, offer)
        job_id = scene.jobs()[0]["id"]
        assert f"/copy-status {job_id}" in said
        roadblock.reached(job_id)
        card = scene.slack.wait_for(
            lambda: next(
                (card for card in scene.cards(job_id) if ES.number(5 * CHUNK_ROWS) in card.plain), None
            )
        )
        assert card.pinned
        assert [pin.ts for pin in scene.slack.pins(scene.channel)] == [card.ts]
        assert ES.percent(5 * CHUNK_ROWS / ROWS) in card.plain
        assert scene.name in card.plain
        assert "<@U0ANA>" in card.plain
        assert not scene.replies(job_id)

    job = scene.completed(job_id)
    final = scene.card(job_id)
    assert final.ts == card.ts
    assert not final.pinned
    assert ES.percent(1) in final.plain
    reply = scene.reply(job_id)
    assert reply.thread_ts == final.ts
    for shown in ("<@U0ANA>", ES.rows(ROWS), job["target_digest"]):
        assert shown in reply.plain
    assert (job["total_records"], job["copied_records"], job["attempt"]) == (ROWS, ROWS, 1)
    assert job["started_at"] <= job["as_of"] <= job["finished_at"]
    assert (job["source_table"], job["target_table"]) == ("public.liquidation_items",) * 2
    assert job["error_message"] is None
    assert scene.events(job_id) == ["requested", "claimed", "completed"]
    ledger = scene.chunks(job_id, 1)
    assert sum(chunk["records"] for chunk in ledger) == ROWS
    assert len(ledger) == ROWS // CHUNK_ROWS
    requester = scene.rows("SELECT * FROM traspaso.users WHERE id = %s", job["user_id"])[0]
    assert (requester["slack_user_id"], requester["name"]) == ("U0ANA", "Ana Álvarez")


def test_each_admin_is_answered_in_their_own_language(scene: Scene) -> None:
    scene.seed(10)
    english, spanish = (
        t("Copy {what}?", what=of_liquidation("items", scene.liquidation, t)) for t in (EN, ES)
    )
    assert english in scene.offer(scene.bob).plain
    said = scene.offer(scene.ana).plain
    assert spanish in said
    assert english not in said


def test_a_second_copy_follows_what_was_changed_deleted_and_moved_in_prod(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(ROWS)
    first = scene.completed(scene.start())
    assert first["unchanged_records"] == 0
    prod, number = office.prod, scene.liquidation
    other = 900_000 + number
    prod.execute(
        "UPDATE liquidation_items SET amount = amount + 1 WHERE id BETWEEN %s AND %s",
        [scene.key(10), scene.key(19)],
    )
    prod.execute("DELETE FROM liquidation_items WHERE id BETWEEN %s AND %s", [scene.key(1), scene.key(5)])
    prod.execute(
        "UPDATE liquidation_items SET liquidation_id = %s WHERE id BETWEEN %s AND %s",
        [other, scene.key(ROWS - 9), scene.key(ROWS)],
    )
    scene.seed(7, first=ROWS + 100)
    # Under another number in consulta, under this one in prod: the copy has to take them over.
    office.consulta.execute(
        "UPDATE liquidation_items SET liquidation_id = %s WHERE id BETWEEN %s AND %s",
        [other, scene.key(2_001), scene.key(2_003)],
    )
    assert not scene.compared()

    second = scene.completed(scene.start())
    assert second["id"] != first["id"]
    assert second["total_records"] == ROWS - 5 - 10 + 7
    assert second["moved_records"] == 3
    assert second["unchanged_records"] >= 4 * CHUNK_ROWS
    assert scene.rows("SELECT count(*) AS n FROM liquidation_items WHERE liquidation_id = %s", other) == [
        {"n": 0}
    ]


def test_a_liquidation_that_prod_no_longer_has_is_removed_after_a_warning(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed_consulta(25)
    offer = scene.offer(scene.ana)
    copy = offer.buttons[0]
    assert copy.style == "danger"
    [actions] = [block for block in offer.blocks or [] if block["type"] == "actions"]
    asked = actions["elements"][0]["confirm"]
    assert str(scene.liquidation) in asked["text"]["text"]
    assert ES.rows(25) in offer.plain
    scene.press(scene.ana, offer)
    job = scene.completed(scene.jobs()[0]["id"])
    assert (job["total_records"], job["copied_records"]) == (0, 0)
    assert scene.compared().consulta_rows == 0


def test_cancel_starts_nothing(scene: Scene) -> None:
    scene.seed(10)
    offer = scene.offer(scene.bob)
    assert scene.bob.press(offer, CANCEL_ACTION).acked
    assert EN("Cancelled. Nothing was started.") in scene.replaced(scene.bob, offer)
    assert not scene.jobs()


def test_before_a_worker_takes_it_the_card_says_that_the_copy_is_queued(office: Office, scene: Scene) -> None:
    office.pretend()
    scene.seed(10)
    job_id = scene.start()
    card = scene.card(job_id)
    assert ES("Queued: the next free worker takes it") in card.plain
    assert scene.job(job_id)["status"] == "pending"
    office.workers(1)
    scene.completed(job_id)


def test_two_copies_at_once_in_two_channels_don_t_get_into_each_other_s_way(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(ROWS)
    other = Scene(office, scene.liquidation + 500_000, "C0PAYROLL")
    other.seed(ROWS)
    office.prod.execute(
        "INSERT INTO liquidations VALUES (%s, 'Otra', '2026-10-01', 'prueba', now())", [other.liquidation]
    )
    with scene.roadblock() as ours, other.roadblock() as theirs:
        first, second = scene.start(scene.ana), other.start(scene.bob)
        ours.reached(first)
        theirs.reached(second)
        assert scene.slack.wait_for(lambda: scene.card(first).pinned and other.card(second).pinned)
    scene.completed(first)
    other.completed(second)
    assert "<@U0ANA>" in scene.reply(first).plain
    assert "<@U0BOB>" in other.reply(second).plain


def test_one_copy_needs_few_calls_of_slack_and_tells_no_secret(office: Office, scene: Scene) -> None:
    office.workers(1)
    office.restart_bot()
    scene.seed(ROWS)
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.slack.wait_for(lambda: ES.number(5 * CHUNK_ROWS) in scene.card(job_id).plain)
    job = scene.completed(job_id)
    calls = scene.slack.calls(since=scene.first_call)
    counted = Counter(call.method for call in calls)
    seconds = (job["finished_at"] - job["created_at"]).total_seconds()
    print(f"\nWeb API calls of one copy of {seconds:.1f} s: {dict(sorted(counted.items()))}")
    assert not [call for call in calls if call.status != 200 or call.response.get("ok") is False]
    assert counted["chat.postMessage"] == 2
    assert counted["pins.add"] == counted["pins.remove"] == 1
    # The command may ask, and a press some seconds later; a worker that takes the job at once needn't.
    assert counted["usergroups.users.list"] <= 2
    # At most an edit a second, the first of them a second after the start, and the last one.
    assert counted["chat.update"] <= seconds + 1
    for method, per_minute in PER_MINUTE.items():
        assert counted[method] <= per_minute
    assert secrets_in(calls) == []
    tracked = scene.rows(
        "SELECT job::text || coalesce(event::text, '') || coalesce(chunk::text, '') AS text "
        "FROM traspaso.copy_jobs job LEFT JOIN traspaso.copy_events event ON event.job_id = job.id "
        "LEFT JOIN traspaso.copy_chunks chunk ON chunk.job_id = job.id WHERE job.id = %s",
        job_id,
    )
    for text in [office.logs(), *(row["text"] for row in tracked)]:
        for secret in (PASSWORD, scene.slack.bot_token, scene.slack.app_token, ROW_VALUE):
            assert secret not in text


def secrets_in(calls: list[Call]) -> list[str]:
    """Passwords and rows' values among what was sent to Slack; its own token only where it belongs."""
    said = [f"{call.method} {call.args}" for call in calls]
    return [each for each in said for secret in (PASSWORD, ROW_VALUE, "xoxb-", "xapp-") if secret in each]
