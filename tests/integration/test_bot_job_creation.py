"""What a press in Slack binds a job to, asked of both sides as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bot.commands.conversation import Caller
from bot.commands.copy_liquidation import StartCopy, start_copy
from bot.config import CopySection, File, SlackSection, WorkSection
from bot.i18n import translator
from bot.messages import answers
from bot.messages.blocks import Message, of_liquidation
from bot.messages.proposal import Offered
from bot.slack.client import client
from copier import Fingerprint, TableName
from dev.local_slack.client import LocalSlack
from tests.copying import ITEMS, Sides, engine
from tests.services import parts_of
from tests.support import Database
from tests.tracking import TABLE, Jobs

EN = translator("en")
CHANNEL = "C0PAYROLL"
#: A count is slow by it because each row's check waits; the planner knows nothing of that.
SLOW = """
    ANALYZE items;
    CREATE FUNCTION slowly() RETURNS boolean STABLE LANGUAGE sql AS 'SELECT pg_sleep(30) IS NOT NULL';
    ALTER TABLE items RENAME TO base;
    CREATE VIEW items AS SELECT * FROM base WHERE (SELECT slowly())
"""

Bot = Callable[..., StartCopy]


@pytest.fixture
def tables(sides: Sides, tracked: Database) -> Iterator[Jobs]:
    """Both sides, and the tracking tables in consulta."""
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 500) g")
    sides.consulta.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 20) g")
    jobs = Jobs(sides.consulta, are_there=True)
    yield jobs
    jobs.engine.dispose()


@pytest.fixture
def bot(slack: LocalSlack, sides: Sides, tables: Jobs) -> Bot:
    """A bot with one copy of these settings."""

    def started(
        target: TableName = TABLE, over: int | None = None, timeout: float = 10.0, **parts: object
    ) -> StartCopy:
        copy = CopySection(name="items", source_table=TABLE, target_table=target, approval_over_rows=over)
        file = File(
            slack=SlackSection(admin_groups=("S0ADMINS",)),
            copies=(copy,),
            work=WorkSection(preview_timeout_seconds=timeout),
        )
        web = client(slack.bot_token, slack.api_url)
        return start_copy(parts_of(web, tables, prod=engine(sides.prod.url), file=file, **parts))

    return started


def caller(bot: StartCopy) -> Caller:
    """Ana, who reads English here."""
    reply = bot._callers.replies.to({"user_id": "U0ANA", "command": "/copy-liquidation"})
    return Caller("T0ACME", "U0ANA", EN, reply)


def offered(bot: StartCopy) -> Offered:
    found = bot.look(bot._guard.file.copies[0], 42, caller(bot))
    assert isinstance(found, Offered), found.text
    return found


def pressed(bot: StartCopy, offer: Offered) -> Offered | Message:
    return bot.start_or_ask(offer.offer, caller(bot), CHANNEL)


def test_the_row_keeps_what_was_shown_and_what_the_copy_was_made_of(
    bot: Bot, tables: Jobs, sides: Sides
) -> None:
    offer = offered(bot())
    sides.prod.execute("INSERT INTO items SELECT g, 42 FROM generate_series(501, 540) g")
    assert isinstance(pressed(bot(), offer), Message)
    [job] = tables.store.live()
    assert (job.terms.in_prod, job.terms.in_consulta, job.terms.removal_confirmed) == (500, 20, False)
    claim = tables.executions.claim(job.id, "host:1")
    assert claim is not None
    columns = ("amount", "id", "liquidation_id", "note")
    made_of = Fingerprint("public.items", "public.items", "liquidation_id", ("id",), columns)
    assert claim.claim.fingerprint == made_of


def test_only_a_press_in_the_dialog_of_a_removal_confirms_one(bot: Bot, tables: Jobs, sides: Sides) -> None:
    sides.prod.execute("DELETE FROM items")
    assert isinstance(pressed(bot(), offered(bot())), Message)
    [job] = tables.store.live()
    assert (job.terms.in_prod, job.terms.in_consulta, job.terms.removal_confirmed) == (0, 20, True)


def test_an_estimate_is_below_no_threshold(bot: Bot, tables: Jobs, sides: Sides) -> None:
    assert offered(bot(over=1_000_000)).proposal.approvers is None
    sides.prod.execute(SLOW)
    offer = offered(bot(over=1_000_000, timeout=0.5))
    assert not offer.proposal.seen.in_source.exact
    assert offer.proposal.approvers == ("<!subteam^S0ADMINS>",)
    assert isinstance(pressed(bot(over=1_000_000, timeout=0.5), offer), Message)
    [job] = tables.store.live()
    assert job.waits_for_approval


def test_a_press_of_what_was_shown_of_another_table_shows_the_new_one_and_asks_again(
    bot: Bot, tables: Jobs, sides: Sides
) -> None:
    offer = offered(bot())
    sides.consulta.execute("CREATE TABLE others (LIKE items INCLUDING ALL)")
    sides.consulta.execute("INSERT INTO others SELECT * FROM items")
    started_anew = bot(target=TableName.parse("public.others"))
    again = pressed(started_anew, offer)
    assert isinstance(again, Offered)
    assert again.notice == answers.asked_anew(EN, moved=True)
    assert tables.store.live() == []
    assert isinstance(pressed(started_anew, again), Message)
    assert [job.target_table for job in tables.store.live()] == ["public.others"]


def test_whatever_fails_after_the_job_is_there_the_answer_says_that_it_is_there(
    bot: Bot, tables: Jobs
) -> None:
    def fails(*_: object) -> bool:
        raise RuntimeError

    def breaks() -> None:
        tables.run("ALTER TABLE traspaso.copy_jobs RENAME TO elsewhere")

    for parts in ({"enqueue": fails}, {"wake_relay": breaks}):
        said = pressed(bot(**parts), offered(bot()))
        if "wake_relay" in parts:
            tables.run("ALTER TABLE traspaso.elsewhere RENAME TO copy_jobs")
        [job] = tables.store.live()
        assert isinstance(said, Message)
        assert EN("Requested: job {id}.", id=job.id) in said.text
        tables.run("UPDATE traspaso.copy_jobs SET status = 'cancelled'")


def test_the_answer_to_a_press_says_what_the_row_says(bot: Bot, tables: Jobs) -> None:
    said = pressed(bot(), offered(bot()))
    [job] = tables.store.live()
    assert isinstance(said, Message)
    what = of_liquidation(job.copy_name, job.liquidation_id, EN)
    words = EN("Requested: {what}, job {id}, {state}.", what=what, id=job.id, state=EN("waiting"))
    assert words in said.text
    assert EN("No worker is alive: copies wait until one is started.") in said.text
    assert EN("Its card will appear in {channel}.", channel=f"<#{CHANNEL}>") in said.text
