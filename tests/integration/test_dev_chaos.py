"""The campaign of faults: what it draws, that it strikes the real product, and that its oracle finds errors.

An oracle that never says no proves nothing: each promise is broken here by hand, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from dev.chaos.campaign import play
from dev.chaos.data import CANARY, Shape
from dev.chaos.draw import Plan, draw
from dev.chaos.faults import Fault
from dev.chaos.house import PROFILES, House
from dev.chaos.oracle import judge
from dev.chaos.points import POINTS
from dev.chaos.run import Run
from dev.guard import ROOT

#: Slack has taken the reply, and nobody learns it.
DROPPED = "chat.postMessage dropped 1"
KILLED = Fault("kill -9", 0.5, point="chunk_recorded", nth=3)


def test_each_point_of_the_product_is_in_the_list_and_the_other_way_round() -> None:
    product = [path for room in ("bot", "copier") for path in (ROOT / room).rglob("*.py")]
    found = {
        name
        for path in product
        for name in re.findall(r'sys\.audit\(\s*"traspaso\.(\w+)"', path.read_text("utf-8"))
    }
    assert found == set(POINTS)


def test_a_seed_is_always_the_same_run() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert len({str(draw(seed)) for seed in range(50)}) == 50


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """A worker was killed in the middle of a chunk; all was well in the end."""
    plan = Plan(0, "plain", Shape(3000, "moved", 20.0), "items", "pressed once", (KILLED,))
    with House(PROFILES["plain"]) as house:
        run = Run(house, plan, 900)
        run.play()
        yield run


def test_a_kill_in_the_middle_of_a_chunk_is_survived_and_seen_by_the_oracle(run: Run) -> None:
    assert [struck.fault for struck in run.story.struck] == [KILLED]
    assert (run.story.status, run.story.attempts) == ("completed", 2)
    assert run.story.violations == []
    assert judge(run) == []


@pytest.mark.parametrize(
    ("planted", "mended", "sentence"),
    [
        (
            "UPDATE items SET amount = amount + 1 WHERE id = {row}",
            "UPDATE items SET amount = amount - 1 WHERE id = {row}",
            "1 of .* rows are altered in consulta",
        ),
        (
            "INSERT INTO items SELECT -1, liquidation_id, code, '', 0, NULL, now() FROM items "
            "WHERE id = {row}",
            "DELETE FROM items WHERE id = -1",
            "1 of .* rows are surplus in consulta",
        ),
        (
            "UPDATE items SET id = -2 WHERE id = {row}",
            "UPDATE items SET id = {row} WHERE id = -2",
            "1 of .* rows are missing in consulta",
        ),
        (
            "UPDATE items SET code = code || '!' WHERE id = {other}",
            "UPDATE items SET code = rtrim(code, '!') WHERE id = {other}",
            "1 rows of other liquidations are altered",
        ),
        (
            "DELETE FROM bystanders WHERE id = 1",
            "INSERT INTO bystanders VALUES (1, 'stays 1')",
            "another table was changed",
        ),
        (
            "UPDATE traspaso.copy_jobs SET as_of = as_of + interval '2 s' WHERE id = {job}",
            "UPDATE traspaso.copy_jobs SET as_of = as_of - interval '2 s' WHERE id = {job}",
            "as_of .* isn't between",
        ),
        (
            "UPDATE traspaso.copy_jobs SET as_of = as_of - interval '1 s' WHERE id = {job}",
            "UPDATE traspaso.copy_jobs SET as_of = as_of + interval '1 s' WHERE id = {job}",
            "as_of",
        ),
        (
            "UPDATE traspaso.receipts SET receipt = jsonb_set(receipt, '{{attempt}}', '99') "
            "WHERE job_id = {job}",
            "UPDATE traspaso.receipts SET receipt = jsonb_set(receipt, '{{attempt}}', to_jsonb(attempt)) "
            "WHERE job_id = {job}",
            "the chain of receipts breaks at",
        ),
        (
            "UPDATE traspaso.copy_chunks SET records = records + 1 WHERE job_id = {job} AND number = 1",
            "UPDATE traspaso.copy_chunks SET records = records - 1 WHERE job_id = {job} AND number = 1",
            "the ledger adds up to",
        ),
        (
            "UPDATE traspaso.copy_chunks SET inserted_records = inserted_records + 1 "
            "WHERE job_id = {job} AND number = 1 AND attempt = 1",
            "UPDATE traspaso.copy_chunks SET inserted_records = inserted_records - 1 "
            "WHERE job_id = {job} AND number = 1 AND attempt = 1",
            "all attempts brought",
        ),
        (
            "UPDATE traspaso.copy_jobs SET moved_records = moved_records + 1 WHERE id = {job}",
            "UPDATE traspaso.copy_jobs SET moved_records = moved_records - 1 WHERE id = {job}",
            "moved_records says",
        ),
        (
            "INSERT INTO traspaso.copy_events (job_id, attempt, kind) VALUES ({job}, 2, 'claimed')",
            "DELETE FROM traspaso.copy_events WHERE id = (SELECT max(id) FROM traspaso.copy_events)",
            "attempts were claimed as",
        ),
    ],
)
def test_the_oracle_finds_what_is_wrong_in_consulta(
    run: Run, planted: str, mended: str, sentence: str
) -> None:
    rows = run.truths[run.job["attempt"]].rows
    other = run.house.ask(
        "consulta", "SELECT min(id) AS id FROM items WHERE liquidation_id = %s", run.numbers.other
    )
    names = {"row": min(rows), "other": other[0]["id"], "job": run.job["id"]}

    def change(statement: str) -> None:
        run.house.ask("consulta", statement.format(**names))
        run.job = run.house.newest(run.numbers.liquidation) or {}

    change(planted)
    try:
        said = judge(run)
    finally:
        change(mended)
    assert [sentence_ for sentence_ in said if re.search(sentence, sentence_)], said
    assert judge(run) == []


def test_the_oracle_finds_a_second_card_a_second_reply_a_pin_and_another_state(run: Run) -> None:
    [card] = [each for each in run.people.everything(run.job) if each.reply_count]
    part = {"job": str(run.job["id"]), "part": f"ending-{run.job['attempt']}-completed"}

    def slack(method: str, **body: object) -> dict[str, str]:
        answer = httpx.post(
            f"{run.house.api.api_url}{method}",
            json={"channel": card.channel, **body},
            headers={"Authorization": f"Bearer {run.house.api.bot_token}"},
            trust_env=False,
        ).json()
        assert answer["ok"], answer
        return dict(answer)

    def metadata(payload: dict[str, str]) -> dict[str, object]:
        return {"event_type": "traspaso_job", "event_payload": payload}

    reply = slack("chat.postMessage", text="x", thread_ts=card.ts, metadata=metadata(part))
    assert "2 replies tell the end" in " ".join(judge(run))
    slack("chat.delete", ts=reply["ts"])
    second = slack("chat.postMessage", text="x", metadata=metadata({**part, "part": "card"}))
    assert "there are 2 cards" in " ".join(judge(run))
    slack("chat.delete", ts=second["ts"])
    slack("pins.add", timestamp=card.ts)
    assert "1 messages are still pinned" in " ".join(judge(run))
    slack("pins.remove", timestamp=card.ts)
    assert judge(run) == []
    slack("chat.update", ts=card.ts, text="x", blocks=[])
    assert "the card doesn't say what the row says" in " ".join(judge(run))
    slack("chat.update", ts=card.ts, text=card.text, blocks=card.blocks)
    assert judge(run) == []


def test_the_oracle_finds_a_value_in_a_log_and_a_session_that_is_left(run: Run) -> None:
    log = run.house.folder / "worker-1.log"
    size = log.stat().st_size
    with log.open("a") as file:
        file.write(f"DETAIL: {CANARY} 7\n")
    assert "a row's value is in the log of worker-1" in judge(run)
    with log.open("r+") as file:
        file.truncate(size)
    with psycopg.connect(run.house.consulta.url("consulta", user="traspaso")) as connection:
        connection.execute("LOCK TABLE items IN ROW EXCLUSIVE MODE")
        said = " ".join(judge(run, patience_seconds=0.2))
    assert "locks are left in consulta" in said
    assert judge(run) == []


def test_a_short_campaign_with_fixed_seeds_keeps_all_promises(run: Run) -> None:
    plans = [
        Plan(0, "plain", Shape(1500, "stale", 20.0), "items", "pressed twice", faults)
        for faults in (
            (Fault("SIGSTOP", 5.0, "chunk_recorded", 2),),
            (
                Fault("consulta down", 1.0, "completing"),
                Fault("Slack errs", 0.0, "completed", detail=DROPPED),
            ),
        )
    ]
    stories = [play(run.house, plan) for plan in [*plans, draw(3, "plain")]]
    assert [story.violations for story in stories] == [[], [], []]
