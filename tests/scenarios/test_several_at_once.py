"""Several liquidations with one press: one preview, one card, one reply, whatever becomes of each copy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bot.messages import proposal
from bot.messages.run import START_NOW_ACTION, TELL_ACTION
from bot.messages.run_proposal import LATER_SEVERAL_ACTION
from dev.local_slack.results import Message

from .scene import EN, ES, Office, Scene, until

FEW = 30


class Several:
    """Three liquidations that no other test uses; the one in the middle is the scene's."""

    def __init__(self, scene: Scene) -> None:
        first = 500_000 + 10 * scene.liquidation
        self.numbers = [first, first + 1, first + 2]
        self.scene = replace(scene, liquidation=first + 1)
        for number in self.numbers:
            scene.office.prod.execute(
                "INSERT INTO liquidations VALUES (%s, %s, '2026-10-01', 'prueba', now())",
                [number, f"Tanda {number}"],
            )
        for number in (self.numbers[0], self.numbers[2]):
            scene.seed(FEW, liquidation=number)

    @property
    def text(self) -> str:
        return f"{self.numbers[0]}-{self.numbers[2]}"

    def offer(self) -> Message:
        _, answer = self.scene.type(self.scene.ana, f"/copy-liquidation {self.text}")
        assert answer.buttons, answer.plain
        return answer

    def press(self, offer: Message) -> int:
        """Presses *Copy*; the number of the run."""
        assert self.scene.ana.press(offer, "copy_several.confirm").acked
        self.said = self.scene.replaced(self.scene.ana, offer)
        found = until(self.runs, what="the run")
        return int(found[-1]["id"])

    def runs(self) -> list[dict[str, Any]]:
        query = "SELECT * FROM traspaso.copy_runs WHERE liquidations && %s::bigint[] ORDER BY id"
        return self.scene.rows(query, self.numbers)

    def jobs(self, run_id: int) -> list[dict[str, Any]]:
        query = "SELECT * FROM traspaso.copy_jobs WHERE run_id = %s ORDER BY run_position"
        return self.scene.rows(query, run_id)

    def ended(self, run_id: int, *, round_: int = 0) -> list[str]:
        """The states of its jobs at the end of this round."""

        def over() -> bool:
            run = self.runs()[-1]
            return run["ended_at"] is not None and run["round"] == round_

        until(over, what=f"the end of run {run_id}")
        return [job["status"] for job in self.jobs(run_id)]

    def card(self, run_id: int) -> Message:
        """The one card there is, of the run or of any of its jobs."""
        ids = {str(job["id"]) for job in self.jobs(run_id)}

        def about(message: Message) -> bool:
            payload = _payload(message)
            return payload.get("run") == str(run_id) or payload.get("job") in ids

        cards = [each for each in self.scene.ana.messages(self.scene.channel) if about(each)]
        assert len(cards) == 1, [card.plain for card in cards]
        return cards[0]

    def replies(self, run_id: int, n: int) -> list[Message]:
        """So many there are once all has been told."""
        left = (
            "SELECT count(*) AS n FROM traspaso.outbox WHERE done_at IS NULL AND run_id = %s "
            "AND kind NOT IN ('run:refresh', 'run:doubles')"
        )
        until(lambda: self.scene.rows(left, run_id)[0]["n"] == 0, what="the last message of the run")
        found = self.scene.ana.thread(self.scene.channel, self.card(run_id).ts)[1:]
        assert len(found) == n, [reply.plain for reply in found]
        return found


def _payload(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = (message.metadata or {}).get("event_payload") or {}
    return found


@pytest.fixture
def trio(scene: Scene) -> Iterator[Several]:
    made = Several(scene)
    yield made
    scene.office.prod.execute("DELETE FROM liquidations WHERE id = ANY(%s)", [made.numbers])


def test_a_worker_killed_in_the_second_of_three_copies_leaves_one_card_and_one_reply(
    office: Office, trio: Several
) -> None:
    office.workers(2)
    trio.scene.seed()
    offer = trio.offer()
    assert all(str(number) in offer.plain for number in trio.numbers)
    assert not trio.runs()
    with trio.scene.roadblock() as roadblock:
        run_id = trio.press(offer)
        second = trio.jobs(run_id)[1]["id"]
        office.worker_of(roadblock.reached(second)).kill()
        roadblock.reached(second, attempt=2)
        trio.scene.slack.wait_for(lambda: "in_progress" in trio.card(run_id).plain)
        assert trio.card(run_id).pinned
    assert trio.ended(run_id) == ["completed"] * 3
    assert all(trio.scene.compared(number) for number in trio.numbers)
    [reply] = trio.replies(run_id, 1)
    assert "<@U0ANA>" in reply.text
    assert all(f"*{number} · Tanda {number}*" in reply.plain for number in trio.numbers)
    assert trio.card(run_id).plain.count("(complete)") == 3
    assert not trio.card(run_id).pinned
    # The same run is one entry, with its parts, wherever jobs are listed.
    listed = trio.scene.ask(trio.scene.ana, "mías", "/copy-status")
    assert listed.count(ES("Run {id}", id=run_id)) == 1


def test_of_three_copies_of_which_one_fails_the_others_are_made_and_only_it_is_tried_again(
    office: Office, trio: Several
) -> None:
    office.workers(1)
    trio.scene.seed(FEW)
    refused = trio.numbers[1]
    office.consulta.execute(
        f"ALTER TABLE liquidation_items ADD CONSTRAINT not_this CHECK (liquidation_id <> {refused}) NOT VALID"
    )
    try:
        run_id = trio.press(trio.offer())
        assert trio.ended(run_id) == ["completed", "failed", "completed"]
        [reply] = trio.replies(run_id, 1)
        assert "not_this" in reply.plain
        assert all(trio.scene.compared(number) for number in trio.numbers if number != refused)
    finally:
        office.consulta.execute("ALTER TABLE liquidation_items DROP CONSTRAINT not_this")
    before = [job["attempt"] for job in trio.jobs(run_id)]
    assert trio.scene.bob.press(reply, "run.retry").acked
    assert trio.ended(run_id, round_=1) == ["completed"] * 3
    assert [job["attempt"] for job in trio.jobs(run_id)] == [before[0], before[1] + 1, before[2]]
    assert trio.scene.compared(refused)
    trio.replies(run_id, 2)


def test_what_is_under_way_or_unknown_is_said_in_its_line_and_the_rest_can_be_copied(
    office: Office, trio: Several
) -> None:
    office.workers(1)
    trio.scene.seed()
    unknown = trio.numbers[2] + 1
    with trio.scene.roadblock() as roadblock:
        job_id = trio.scene.start()
        roadblock.reached(job_id)
        _, answer = trio.scene.type(trio.scene.bob, f"/copy-liquidation {trio.numbers[0]}-{unknown}")
        assert EN("there is no such liquidation") in answer.plain
        assert EN("under way already: job {id}, {state}", id=job_id, state=EN("running")) in answer.plain
        assert trio.scene.bob.press(answer, "copy_several.confirm").acked
        trio.scene.replaced(trio.scene.bob, answer)
        run_id = int(until(trio.runs, what="the run")[-1]["id"])
        assert trio.ended(run_id) == ["completed", "completed"]
    assert [job["liquidation_id"] for job in trio.jobs(run_id)] == [trio.numbers[0], trio.numbers[2]]
    trio.scene.ended(job_id)


def test_several_for_tonight_wait_on_one_card_and_begin_when_somebody_says_now(
    office: Office, trio: Several
) -> None:
    office.workers(1)
    trio.scene.seed(FEW)
    ana, scene = trio.scene.ana, trio.scene
    assert ana.press(trio.offer(), LATER_SEVERAL_ACTION).acked
    scene.slack.wait_for(lambda: (view := ana.modal()) is not None and proposal.START in view.inputs)
    gone = ana.submit({proposal.START: int(time.time()) - 60})
    assert ES("Choose a moment that is still to come, within 31 days.") in str(gone.errors)
    assert ana.submit({proposal.START: int(time.time()) + 6 * 3600}).acked
    run_id = int(until(trio.runs, what="the run")[-1]["id"])
    until(lambda: trio.runs()[-1]["pinned"], what="the card of the run")
    assert ES("Begins {moment}", moment="").strip() in trio.card(run_id).plain
    assert {job["status"] for job in trio.jobs(run_id)} == {"pending"}
    assert scene.bob.press(trio.card(run_id), TELL_ACTION).acked
    assert scene.bob.press(trio.card(run_id), START_NOW_ACTION).acked
    assert trio.ended(run_id) == ["completed"] * 3
    trio.replies(run_id, 1)
    told = [each.text for each in scene.bob.messages(scene.bob.dm_with("U0BOT"))]
    assert len([text for text in told if str(trio.numbers[0]) in text and "completed: 3" in text]) == 1
