"""A set in Slack, from the command to the press: asked of both sides as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bot.commands.conversation import Caller
from bot.commands.copy_whole import CopyWhole
from bot.commands.starting import Starting
from bot.config import CopySection, File, SetSection, SlackSection
from bot.i18n import translator
from bot.jobs.status import RunKind
from bot.messages.blocks import Message
from bot.messages.whole import WholeOffered
from bot.slack.client import client
from copier import TableName
from dev.local_slack.client import LocalSlack
from tests.copying import Sides, engine
from tests.payroll import TABLES, filled
from tests.services import parts_of
from tests.tracking import Jobs

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


Bot = Callable[..., CopyWhole]


@pytest.fixture
def payroll(sides: Sides) -> Iterator[Jobs]:
    """Both sides have the tables, prod has the rows."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    jobs = Jobs(sides.consulta)
    yield jobs
    jobs.engine.dispose()


@pytest.fixture
def bot(slack: LocalSlack, sides: Sides, payroll: Jobs) -> Bot:
    def started(file: File | None = None, **parts: object) -> CopyWhole:
        web = client(slack.bot_token, slack.api_url)
        made = parts_of(web, payroll, prod=engine(sides.prod.url), file=file or file_with(), **parts)
        return CopyWhole(Starting.of(made))

    return started


def caller(bot: CopyWhole, user: str = "U0ANA") -> Caller:
    """Somebody who reads English here."""
    reply = bot._callers.replies.to({"user_id": user, "command": "/copy-liquidation"})
    return Caller("T0ACME", user, EN, reply)


def offered(bot: CopyWhole, liquidation: int = 42) -> WholeOffered:
    found = bot.look(WHOLE, liquidation, caller(bot))
    assert isinstance(found, WholeOffered), found.text
    return found


def pressed(bot: CopyWhole, offer: WholeOffered, user: str = "U0ANA") -> WholeOffered | Message:
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
