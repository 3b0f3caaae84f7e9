"""A set in Slack, from the command to the press: asked of both sides as they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.app import build_app
from bot.commands.conversation import Caller
from bot.commands.copy_liquidation import CopyModal, StartCopy
from bot.commands.copy_runs import CopyOfSet
from bot.commands.job_creation import JobCreation
from bot.config import CopySection, File, SetSection, SlackSection
from bot.i18n import translator
from bot.jobs.actions import RunControl
from bot.jobs.freezes import Freezes
from bot.jobs.models import RunKind
from bot.messages import answers, proposal
from bot.messages.blocks import Message, of_liquidation
from bot.messages.proposal import Carried
from bot.messages.run_proposal import WholeOffered, read_offer, whole_card, whole_preview
from bot.slack.client import client
from copier import TableName
from copier.errors import CircularReferences
from dev.local_slack.client import LocalSlack
from tests.copying import Sides, engine
from tests.payroll import TABLES, filled
from tests.services import dispatched, parts_of
from tests.support import Database
from tests.tracking import ANA, BOB, Jobs

EN = translator("en")
CHANNEL = "C0PAYROLL"
NAMES = {
    "head": {"table": "liquidations", "liquidation_column": "id"},
    "payslips": {"table": "payslips"},
    "lines": {"table": "payslip_lines", "via": "payslip_id -> public.payslips.id"},
    "deductions": {"table": "deductions", "via": "line_id -> public.payslip_lines.id"},
}
WHOLE = SetSection(
    name="completa",
    title="Liquidación completa",
    copies=("lines", "deductions", "payslips", "head"),
    default=True,
)


def file_with(**differs: dict[str, object]) -> File:
    """The payroll's four copies and their set; ``differs`` has settings of single copies."""
    copies = []
    for name, values in NAMES.items():
        table = TableName("public", values["table"])
        more = {key: value for key, value in values.items() if key != "table"} | differs.get(name, {})
        copies.append(CopySection(name=name, source_table=table, target_table=table, **more))
    return File(slack=SlackSection(admin_groups=("S0ADMINS",)), copies=tuple(copies), sets=(WHOLE,))


Bot = Callable[..., CopyOfSet]


@pytest.fixture
def payroll(sides: Sides, tracked: Database) -> Iterator[Jobs]:
    """Both sides have the tables, prod has the rows."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    jobs = Jobs(sides.consulta, are_there=True)
    yield jobs
    jobs.engine.dispose()


@pytest.fixture
def bot(slack: LocalSlack, sides: Sides, payroll: Jobs) -> Bot:
    def started(file: File | None = None, **parts: object) -> CopyOfSet:
        web = client(slack.bot_token, slack.api_url)
        made = parts_of(web, payroll, prod=engine(sides.prod.url), file=file or file_with(), **parts)
        return CopyOfSet(JobCreation.of(made))

    return started


def caller(bot: CopyOfSet, user: str = "U0ANA") -> Caller:
    """Somebody who reads English here."""
    reply = bot._callers.replies.to({"user_id": user, "command": "/copy-liquidation"})
    return Caller("T0ACME", user, EN, reply)


def offered(bot: CopyOfSet, liquidation: int = 42) -> WholeOffered:
    found = bot.look(WHOLE, liquidation, caller(bot))
    assert isinstance(found, WholeOffered), found.text
    return found


def pressed(bot: CopyOfSet, offer: WholeOffered, user: str = "U0ANA") -> WholeOffered | Message:
    return bot.start_or_ask(offer.offer, caller(bot, user), CHANNEL)


def test_a_press_makes_one_run_with_a_job_for_each_table(bot: Bot, payroll: Jobs) -> None:
    offer = offered(bot())
    assert [table.copy_name for table in offer.tables] == ["head", "payslips", "lines", "deductions"]
    assert [table.seen and table.seen.in_source.rows for table in offer.tables] == [1, 100, 500, 250]
    queued: list[int] = []
    said = pressed(bot(enqueue=lambda job_id: queued.append(job_id) or True), offer)
    assert isinstance(said, Message)
    jobs = payroll.store.live()
    [run] = payroll.store.runs_of(jobs).values()
    assert (run.kind, run.set_name, run.liquidations) == (RunKind.SET, "completa", (42,))
    assert {job.copy_name: job.terms.in_prod for job in jobs} == {
        "head": 1,
        "payslips": 100,
        "lines": 500,
        "deductions": 250,
    }
    assert queued
    assert f"run {run.id}" in said.text


def test_of_two_people_who_press_one_gets_the_run_and_the_other_reads_whose_it_is(
    bot: Bot, payroll: Jobs
) -> None:
    first, second = offered(bot()), offered(bot())
    pressed(bot(), first)
    said = pressed(bot(), second, "U0BOB")
    assert isinstance(said, Message)
    assert "under way already" in said.text
    assert "<@U0ANA>" in said.text
    assert len(payroll.store.runs_of(payroll.store.live())) == 1
    assert len(payroll.store.live()) == 4
    again = pressed(bot(), first)
    assert isinstance(again, Message)
    assert "You pressed this before" in again.text


def test_rows_that_moved_before_the_press_are_shown_and_asked_about_anew(
    bot: Bot, payroll: Jobs, sides: Sides
) -> None:
    offer = offered(bot())
    sides.prod.execute("DELETE FROM deductions WHERE line_id > 600")
    again = pressed(bot(), offer)
    assert isinstance(again, WholeOffered)
    assert "has changed since" in again.notice
    assert payroll.store.live() == []
    assert isinstance(pressed(bot(), again), Message)
    assert len(payroll.store.live()) == 4


def what(liquidation: int) -> str:
    return of_liquidation("Liquidación completa", liquidation, EN)


def actions_of(message: Message) -> list[Any]:
    """The buttons below it."""
    return [each for block in message.blocks if block["type"] == "actions" for each in block["elements"]]


def text_of(found: WholeOffered | Message) -> str:
    assert isinstance(found, Message)
    return found.text


def test_who_may_not_run_one_of_its_copies_may_not_copy_the_set(
    bot: Bot, payroll: Jobs, slack: LocalSlack
) -> None:
    only_bob = file_with(lines={"allowed_users": ("U0BOB",)})
    said = text_of(bot(only_bob).look(WHOLE, 42, caller(bot(only_bob))))
    assert "`/copy-liquidation` for copy `lines`" in said
    offer = offered(bot())
    assert "`lines`" in text_of(pressed(bot(only_bob), offer))
    assert payroll.store.live() == []


def test_an_empty_table_is_fine_and_a_liquidation_of_which_nothing_is_there_is_unknown(
    bot: Bot, payroll: Jobs, sides: Sides
) -> None:
    sides.prod.execute("DELETE FROM deductions")
    offer = offered(bot())
    assert [table.copy_name for table in offer.tables if table.is_nothing] == ["deductions"]
    assert offer.removing == ()
    assert EN("Neither prod nor consulta has rows for {what}.", what=what(999)) in text_of(
        bot().look(WHOLE, 999, caller(bot()))
    )
    pressed(bot(), offer)
    terms = {job.copy_name: job.terms for job in payroll.store.live()}
    assert (terms["deductions"].in_prod, terms["deductions"].removal_confirmed) == (0, False)


def test_a_table_whose_rows_prod_has_lost_is_asked_about_and_the_press_confirms_its_removal(
    bot: Bot, payroll: Jobs, sides: Sides
) -> None:
    sides.consulta.execute(filled(300))
    sides.prod.execute("DELETE FROM deductions")
    offer = offered(bot())
    assert [table.copy_name for table in offer.removing] == ["deductions"]
    [button, _] = actions_of(whole_card(offer, EN))[:2]
    assert (button["style"], "deductions (250)" in button["confirm"]["text"]["text"]) == ("danger", True)
    pressed(bot(), offer)
    confirmed = {job.copy_name for job in payroll.store.live() if job.terms.removal_confirmed}
    assert confirmed == {"deductions"}


def test_a_table_that_can_t_be_copied_is_named_with_the_reason_and_nothing_can_be_pressed(
    bot: Bot, payroll: Jobs, sides: Sides
) -> None:
    offer = offered(bot())
    sides.consulta.execute("DROP TABLE deductions")
    for said in (bot().look(WHOLE, 42, caller(bot())), pressed(bot(), offer)):
        assert isinstance(said, Message)
        assert "*deductions*: " in said.text
        assert "`public.deductions` was not found in consulta." in said.text
        assert "*lines*" not in said.text
        assert actions_of(said) == []
    assert payroll.store.live() == []


def test_foreign_keys_in_a_circle_that_nothing_takes_apart_are_named_before_anything_is_pressed(
    bot: Bot, sides: Sides
) -> None:
    sides.consulta.execute("""
        ALTER TABLE payslips ADD COLUMN main_line_id bigint NOT NULL REFERENCES payslip_lines;
        ALTER TABLE payslip_lines ALTER COLUMN payslip_id SET NOT NULL;
        ALTER TABLE payslips ALTER COLUMN main_line_id SET DEFAULT 0;
    """)
    with pytest.raises(CircularReferences, match="payslips"):
        bot().look(WHOLE, 42, caller(bot()))


def test_parents_that_no_copy_of_the_set_brings_have_to_be_there_before(bot: Bot, sides: Sides) -> None:
    part = SetSection(name="parte", copies=("lines", "deductions"))
    file = file_with().model_copy(update={"sets": (part,)})
    said = text_of(bot(file).look(part, 42, caller(bot(file))))
    assert "*lines*: " in said
    assert "`payslips`" in said or "payslips" in said
    sides.consulta.execute(filled(300))
    found = bot(file).look(part, 42, caller(bot(file)))
    assert isinstance(found, WholeOffered)


def test_rows_of_other_tables_that_consulta_lacks_are_counted_before_the_press(
    bot: Bot, sides: Sides
) -> None:
    sides.both("""
        CREATE TABLE concepts (company int, code text, PRIMARY KEY (company, code));
        ALTER TABLE payslip_lines ADD COLUMN company int DEFAULT 1, ADD COLUMN concept text DEFAULT 'c0'
    """)
    sides.prod.execute(
        "UPDATE payslip_lines SET concept = CASE WHEN id / 3 % 6 < 5 THEN 'c' || id / 3 % 6 END"
    )
    sides.consulta.execute("""
        INSERT INTO concepts VALUES (1, 'c0'), (1, 'c1'), (2, 'c2');
        ALTER TABLE payslip_lines ADD CONSTRAINT of_concept FOREIGN KEY (company, concept) REFERENCES concepts
    """)
    said = str(whole_card(offered(bot()), EN).blocks)
    assert "Consulta lacks 3 rows of `public.concepts` to which rows of prod point" in said
    assert "its foreign key `of_concept` would refuse these" in said
    assert "of `public.payslips`" not in said
    sides.consulta.execute("INSERT INTO concepts SELECT 1, 'c' || g FROM generate_series(2, 4) g")
    assert "Consulta lacks" not in str(whole_card(offered(bot()), EN).blocks)


def test_a_table_that_is_being_copied_already_is_named_with_its_job(bot: Bot, payroll: Jobs) -> None:
    offer = offered(bot())
    lines = file_with().copies[2].spec
    job_id = payroll.create(42, spec=lines)
    for said in (bot().look(WHOLE, 42, caller(bot())), pressed(bot(), offer)):
        assert isinstance(said, Message)
        assert f"*lines*: job {job_id}, waiting" in said.text
    assert [job.id for job in payroll.store.live()] == [job_id]


def test_a_second_person_is_asked_where_one_table_needs_that_and_never_in_a_direct_message(
    bot: Bot, payroll: Jobs
) -> None:
    file = file_with(lines={"approval_over_rows": 400})
    offer = offered(bot(file))
    assert offer.approvers == ("<!subteam^S0ADMINS>",)
    first, *_ = actions_of(whole_card(offer, EN))
    assert first["text"]["text"] == "Ask for approval"
    there = bot(file)
    assert "nobody else can see this place" in text_of(
        there.start_or_ask(offer.offer, caller(there), "D0ANA")
    )
    assert payroll.store.live() == []
    pressed(bot(file), offer)
    assert {job.copy_name for job in payroll.store.live() if job.waits_for_approval} == {"lines"}


def test_a_copy_that_asks_for_a_reason_asks_for_it_for_the_whole_set(bot: Bot, payroll: Jobs) -> None:
    file = file_with(payslips={"require_reason": True})
    offer = offered(bot(file))
    assert offer.asks_why
    again = pressed(bot(file), offer)
    assert isinstance(again, WholeOffered)
    assert payroll.store.live() == []
    there = bot(file)
    assert isinstance(there.start_or_ask(again.offer, caller(there), CHANNEL, "closing of October"), Message)
    assert {job.request_reason for job in payroll.store.live()} == {"closing of October"}


def test_an_old_press_and_one_while_all_is_frozen_start_nothing(bot: Bot, payroll: Jobs) -> None:
    offer = offered(bot())
    old = replace(offer, offer=replace(offer.offer, expires_at=1))
    again = pressed(bot(), old)
    assert isinstance(again, WholeOffered)
    assert again.notice == answers.asked_anew(EN, moved=False)
    Freezes(payroll.engine).freeze(BOB, "closing")
    assert "closing" in text_of(pressed(bot(), again))
    assert "closing" in text_of(bot().look(WHOLE, 42, caller(bot())))
    assert payroll.store.live() == []


def test_two_people_who_press_at_the_same_moment_make_one_run(bot: Bot, payroll: Jobs) -> None:
    offers = [offered(bot()) for _ in range(4)]
    together = threading.Barrier(len(offers))

    def press(offer: WholeOffered) -> str:
        there = bot()
        together.wait()
        return text_of(pressed(there, offer))

    with ThreadPoolExecutor(len(offers)) as pool:
        said = [*pool.map(press, offers)]
    assert sum(text.startswith("Requested: ") for text in said) == 1, said
    assert len(payroll.store.live()) == 4


def test_the_modal_offers_the_default_set_first_and_copies_it(
    bot: Bot, slack: LocalSlack, payroll: Jobs
) -> None:
    there = bot()
    modal = CopyModal(there._creation, StartCopy(there._creation), there)
    view = modal._choose(Carried(channel=CHANNEL), "U0ANA", EN)
    assert isinstance(view, dict)
    [menu] = [block["element"] for block in view["blocks"] if block.get("block_id") == proposal.COPY]
    assert [each["value"] for each in menu["options"]] == [
        "completa",
        "head",
        "payslips",
        "lines",
        "deductions",
    ]
    assert menu["initial_option"]["text"]["text"] == "Liquidación completa · 4 tables"
    found = offered(there)
    view = whole_preview(found, Carried(channel=CHANNEL), EN)
    offer = read_offer(json.loads(view["private_metadata"])["offer"])
    assert offer == found.offer
    assert isinstance(there.start_or_ask(found.offer, caller(there), CHANNEL), Message)
    assert len(payroll.store.live()) == 4


def test_a_set_for_tonight_waits_for_its_time_with_all_of_its_tables_and_begins_when_somebody_says_so(
    bot: Bot, payroll: Jobs, slack: LocalSlack, sides: Sides
) -> None:
    offer, tonight = offered(bot()), datetime.now(UTC).replace(microsecond=0) + timedelta(hours=6)
    queued: list[int] = []
    web = client(slack.bot_token, slack.api_url)
    parts = parts_of(
        web,
        payroll,
        prod=engine(sides.prod.url),
        file=file_with(),
        enqueue=lambda job_id: queued.append(job_id) or True,
    )
    moment = {"selected_date_time": int(tonight.timestamp())}
    submitted = {
        "type": "view_submission",
        "team": {"id": "T0ACME"},
        "user": {"id": "U0ANA", "team_id": "T0ACME"},
        "view": {
            "id": "V0",
            "type": "modal",
            "callback_id": proposal.LATER_CALLBACK,
            "private_metadata": f"whole {CHANNEL} {offer.offer.encoded()}",
            "state": {"values": {proposal.START: {proposal.START: moment}}},
        },
    }
    dispatched(build_app(parts, web), submitted)
    [run] = slack.wait_for(lambda: [*payroll.store.runs_of(payroll.store.live()).values()])
    assert {job.start_at for job in run.jobs} == {tonight}
    assert run.begins_at == tonight
    assert payroll.executions.claim_set(run.jobs[0].id, "host:1") == []
    assert queued == []
    effect = RunControl(payroll.engine, payroll.store).start_now(run.id, ANA)
    assert len(effect.to_enqueue) == 4
    assert len(payroll.executions.claim_set(run.jobs[0].id, "host:1")) == 4
