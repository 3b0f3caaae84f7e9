"""What is told elsewhere than in Slack arrives once, as both parts of a mail, and is in nobody's way."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.config import File, Occasion
from bot.errors import AddressUnknown
from bot.i18n import translator
from bot.jobs import notifications
from bot.jobs.actions import Approvals, RunApprovals, RunControl
from bot.jobs.attempt import SecondPerson
from bot.jobs.cards import Carded
from bot.jobs.models import RunKind, Status
from bot.jobs.notifications import Notifications
from bot.jobs.repository import Request, RunRequest
from bot.jobs.view import AgreedCounts, JobView, NotificationDetail, Question, Reason, RunView, answered
from bot.messages import notification
from bot.notify.destinations import BadDestination, Destination
from bot.notify.relay import NotificationRelay, SlackSide
from bot.periodic import Backoff
from bot.slack.access import People
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from tests.desk import CHANNEL, Desk
from tests.mailroom import OPS, PASSWORD, MailServer, Receiver
from tests.support import until
from tests.tracking import ANA, BOB, LOST, PLAN, PROOF, SPEC, Ends, Jobs

COPY: dict[str, Any] = {"name": "items", "source_table": "public.items", "target_table": "public.items"}
#: A failed delivery is tried again when the test says so.
SLOW = Backoff(120.0, 120.0)
LINK = "https://acme.slack.com/archives/C0/p1"
ADDRESSES = {"U0ANA": "ana@acme.example", "U0BOB": "bob@acme.example"}


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.stop()


def address_of(user_id: str) -> str:
    if user_id not in ADDRESSES:
        raise AddressUnknown("no_email", passes=False)
    return ADDRESSES[user_id]


def file_of(language: str = "es", copies: tuple[dict[str, Any], ...] = (COPY,), **notify: Any) -> File:
    return File.model_validate({"slack": {"language": language}, "copies": copies, "notify": notify})


def relay_of(
    jobs: Jobs,
    urls: dict[str, str],
    file: File | None = None,
    address: Callable[[str], str] = address_of,
    **notify: Any,
) -> NotificationRelay:
    """Its threads aren't started: it works when the test says so."""
    file = file or file_of(destinations=[name for name in urls if name != "requester"], **notify)
    destinations = {name: Destination(name, url) for name, url in urls.items()}
    link: Callable[[Carded], str | None] = lambda job: LINK if job.message_ts else None  # noqa: E731
    return NotificationRelay(
        Notifications(jobs.engine), jobs.store, file, destinations, SlackSide(link, address), backoff=SLOW
    )


def deliver(relay: NotificationRelay, *names: str) -> None:
    relay.spread()
    for name in names:
        relay.deliver_due(name)


def completed(jobs: Jobs, **values: Any) -> JobView:
    attempt = jobs.claimed(**values)
    attempt.planned(PLAN)
    Ends(attempt).completed(PROOF)
    return jobs.see(attempt.job_id)


def owed(jobs: Jobs) -> list[tuple[Any, ...]]:
    """What destinations haven't been told yet: name, occasion, failures, the last error."""
    open_ones = (
        "SELECT destination, occasion, failures, last_error FROM traspaso.outbox "
        "WHERE destination IS NOT NULL AND done_at IS NULL ORDER BY id"
    )
    with jobs.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(open_ones))]


def try_again(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.outbox SET next_try_at = now() WHERE done_at IS NULL")


# ---- What arrives ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_completed_copy_arrives_as_a_mail_with_its_receipt_in_both_parts(
    jobs: Jobs, mail: MailServer, language: str
) -> None:
    urls = {"ops-mail": mail.url(OPS)}
    relay = relay_of(jobs, urls, file_of(language, destinations=["ops-mail"]))
    job = completed(jobs)
    deliver(relay, "ops-mail")
    [arrived] = mail.mails
    assert arrived.recipients == (OPS,)
    assert arrived.message["X-Traspaso-Id"] == f"notify:completed:ops-mail:{job.id}.1"
    receipt = {
        "es": ["Traspaso: Copiada: “items” de la liquidación 42", "Pedida por: Ana", "Huella en consulta: "],
        "en": ["Traspaso: Copied: “items” of liquidation 42", "Requested by: Ana", "Digest in consulta: "],
    }[language]
    subject, *said = receipt
    assert arrived.subject == subject
    said[-1] += str(job.target_digest)
    assert job.as_of is not None
    for sentence in said:
        assert sentence in arrived.text
        label, _, value = sentence.partition(": ")
        assert f"<b>{label}:</b> {value}" in arrived.html
    assert f'<div lang="{language}">' in arrived.html


def test_a_job_is_told_once_however_often_and_by_however_many_it_is_looked_for(
    jobs: Jobs, mail: MailServer, hook: Receiver
) -> None:
    urls = {"ops-mail": mail.url(OPS), "hook": hook.url}
    relays = [relay_of(jobs, urls) for _ in range(3)]
    completed(jobs)
    for relay in relays * 2:
        deliver(relay, *urls)
    assert len(mail.mails) == len(hook.posts) == 1
    assert owed(jobs) == []


def test_a_webhook_gets_the_words_as_text_and_an_id_that_stays_the_same(jobs: Jobs, hook: Receiver) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    attempt = jobs.claimed()
    Ends(attempt).failed(LOST)
    hook.status = 503
    deliver(relay, "hook")
    hook.status = 200
    try_again(jobs)
    deliver(relay, "hook")
    first, second = hook.posts
    assert first.headers["X-Traspaso-Id"] == second.headers["X-Traspaso-Id"]
    assert second.body["title"] == "Traspaso: Falló: “items” de la liquidación 42"
    assert second.body["type"] == "failure"
    assert "<" not in second.body["message"]
    assert owed(jobs) == []


def test_each_way_to_end_and_a_wait_for_approval_are_told_and_a_pause_is_not(
    jobs: Jobs, hook: Receiver
) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    completed(jobs, liquidation=1)
    Ends(jobs.claimed(liquidation=2)).failed(LOST)
    cancelled = jobs.create(3)
    jobs.control.cancel(cancelled, BOB)
    jobs.create(4, channel_id=None, approvers=("@admins",))
    jobs.control.pause(jobs.create(5), ANA)
    rejected = jobs.create(6, approvers=("@admins",))
    Approvals(jobs.engine).reject(rejected, BOB, "faltan los ajustes")
    deliver(relay, "hook")
    titles = [post.body["title"].removeprefix("Traspaso: ").partition(":")[0] for post in hook.posts]
    assert titles == ["Copiada", "Falló", "Cancelada", "Espera aprobación", "Cancelada"]
    assert "Bob la rechazó: faltan los ajustes." in hook.posts[-1].body["message"]
    assert "Cancelada por Bob" in hook.posts[2].body["message"]


def test_that_nobody_works_is_told_though_it_is_about_no_job_and_so_is_the_end_of_it(
    jobs: Jobs, mail: MailServer
) -> None:
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS)})
    jobs.run("DELETE FROM traspaso.workers")
    jobs.somebody_works(seconds=120)
    for _ in range(3):
        jobs.workers.announce_change(may_be_missing=True)
    deliver(relay, "ops-mail")
    assert [each.subject for each in mail.mails] == ["Traspaso: No hay ningún proceso de copia activo"]
    assert "dramatiq bot.worker:boot" in mail.mails[0].text
    jobs.somebody_works()
    jobs.workers.announce_change(may_be_missing=True)
    deliver(relay, "ops-mail")
    assert mail.mails[1].subject == "Traspaso: Vuelve a haber un proceso de copia activo"
    assert len(mail.mails) == 2


def test_what_others_find_out_later_is_told_by_one_call_and_once_for_each_key(
    jobs: Jobs, hook: Receiver
) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    due = datetime.fromisoformat("2026-11-24T02:00:00+00:00")
    missed = NotificationDetail(copy="items", schedule="nightly", due_at=due)
    for _ in range(2):
        with jobs.engine.begin() as connection:
            notifications.notify(
                connection, Occasion.MISSED_SCHEDULE, key="nightly 2026-11-24T02:00", detail=missed
            )
    job = completed(jobs)
    with jobs.engine.begin() as connection:
        notifications.notify(connection, Occasion.DRIFT, job.id, job.attempt)
    deliver(relay, "hook")
    titles = sorted(post.body["title"] for post in hook.posts)
    assert titles == [
        "Traspaso: Copiada: “items” de la liquidación 42",
        "Traspaso: Prod cambió después de la copia “items”",
        "Traspaso: Se perdió una copia programada: “items”",
    ]


def test_a_destination_is_told_of_its_own_occasions_and_a_copy_has_its_own_destinations(
    jobs: Jobs, hook: Receiver, mail: MailServer
) -> None:
    notes = {**COPY, "name": "notes", "notify": ["notes-mail"]}
    quiet = {**COPY, "name": "quiet", "notify": []}
    file = file_of(copies=(COPY, notes, quiet), destinations=["hook"], only={"hook": ["failed", "no_worker"]})
    relay = relay_of(jobs, {"hook": hook.url, "notes-mail": mail.url(OPS)}, file)
    for number, name in enumerate(("items", "notes", "quiet"), 1):
        spec = type(SPEC)(name, SPEC.source_table, SPEC.target_table, SPEC.liquidation_column)
        completed(jobs, liquidation=number, spec=spec)
        Ends(jobs.claimed(liquidation=10 + number, spec=spec)).failed(LOST)
    deliver(relay, "hook", "notes-mail")
    assert [post.body["title"] for post in hook.posts] == ["Traspaso: Falló: “items” de la liquidación 11"]
    assert [each.subject for each in mail.mails] == [
        "Traspaso: Copiada: “notes” de la liquidación 2",
        "Traspaso: Falló: “notes” de la liquidación 12",
    ]


def test_where_nobody_is_to_be_told_nothing_stays_owed(jobs: Jobs) -> None:
    completed(jobs)
    relay_of(jobs, {}).spread()
    with jobs.engine.connect() as connection:
        query = "SELECT count(*) FROM traspaso.outbox WHERE occasion IS NOT NULL AND done_at IS NULL"
        assert connection.execute(text(query)).scalar_one() == 0


def test_a_mail_links_to_the_card_and_waits_a_moment_for_it(jobs: Jobs, hook: Receiver) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    job_id = jobs.create(channel_id="C0", approvers=("@admins",))
    deliver(relay, "hook")
    assert hook.posts == []
    jobs.cards.posted(job_id, "C0", "1.0")
    try_again(jobs)
    deliver(relay, "hook")
    assert LINK in hook.posts[0].body["message"]


# ---- Runs --------------------------------------------------------------------------------------


def asked_together(jobs: Jobs, *requests: Request, kind: RunKind = RunKind.SEVERAL, **values: Any) -> RunView:
    """A run in Slack, or of a shell where its requester is one."""
    wanted = RunRequest(kind, requests, requests[0].requester, **{"channel_id": CHANNEL} | values)
    created = jobs.store.create_run(wanted)
    run = jobs.store.run(created.run_id or 0)
    assert run is not None
    jobs.cards.posted(run.id, CHANNEL, "1.0", of_run=True)
    return run


def end(jobs: Jobs, job_id: int, *, fails: bool = False) -> None:
    attempt = jobs.executions.claim(job_id, "host:1")
    assert attempt is not None
    attempt.planned(PLAN)
    Ends(attempt).failed(LOST) if fails else Ends(attempt).completed(PROOF)


def titles(hook: Receiver) -> list[str]:
    return [post.body["title"].removeprefix("Traspaso: ") for post in hook.posts]


def test_a_run_is_told_once_when_its_last_job_has_ended_and_its_jobs_tell_nothing(
    jobs: Jobs, mail: MailServer
) -> None:
    relays = [relay_of(jobs, {"ops-mail": mail.url(OPS)}) for _ in range(2)]
    run = asked_together(jobs, *(jobs.request(number) for number in (40, 41, 42)))
    for job in run.jobs[:2]:
        end(jobs, job.id)
    deliver(relays[0], "ops-mail")
    assert mail.mails == [], "it goes on"
    end(jobs, run.jobs[2].id)
    for relay in relays * 2:
        deliver(relay, "ops-mail")
    [arrived] = mail.mails
    assert arrived.subject == "Traspaso: Copiada: “items” de las liquidaciones 40-42"
    assert arrived.message["X-Traspaso-Id"] == f"run:notify:completed:ops-mail:{run.id}.0"
    for said in ("Las copias “items” de las liquidaciones 40-42 están en consulta", LINK, "42: 8 filas"):
        assert said in arrived.text
    assert "<b>42:</b> 8 filas" in arrived.html
    assert owed(jobs) == []


def test_a_run_is_told_as_its_worst_job_ended_and_anew_after_a_retry(jobs: Jobs, hook: Receiver) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    run = asked_together(jobs, jobs.request(40), jobs.request(41), jobs.request(42))
    first, second, third = [job.id for job in run.jobs]
    end(jobs, first)
    end(jobs, second, fails=True)
    control = RunControl(jobs.engine, jobs.store)
    control.cancel(run.id, BOB)
    deliver(relay, "hook")
    assert titles(hook) == ["Falló: “items” de las liquidaciones 40-42"]
    assert "41: fallida · Se perdió" in hook.posts[0].body["message"]
    assert f"42: cancelada · trabajo {third}" in hook.posts[0].body["message"]
    control.retry(run.id, BOB)
    end(jobs, second)
    deliver(relay, "hook")
    assert titles(hook)[1:] == ["Cancelada: “items” de las liquidaciones 40-42"]
    assert "En consulta, y comparadas en ambos lados: 2." in hook.posts[1].body["message"]


def test_a_run_that_began_another_round_before_it_was_told_is_told_of_that_one_only(
    jobs: Jobs, hook: Receiver
) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    run = asked_together(jobs, jobs.request(40), jobs.request(41))
    for job in run.jobs:
        end(jobs, job.id, fails=True)
    RunControl(jobs.engine, jobs.store).retry(run.id, BOB)
    deliver(relay, "hook")
    assert titles(hook) == []
    for job in run.jobs:
        end(jobs, job.id)
    deliver(relay, "hook")
    assert titles(hook) == ["Copiada: “items” de las liquidaciones 40, 41"]


def test_a_run_that_needs_approval_is_told_once_and_again_when_nothing_else_of_it_waits(
    jobs: Jobs, hook: Receiver
) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    second = SecondPerson(("@admins",), 3600.0)
    shown = AgreedCounts(500, 0, removal_confirmed=False)
    run = asked_together(
        jobs, *(jobs.request(number, approvers=("@admins",), terms=shown) for number in (40, 41, 42))
    )
    deliver(relay, "hook")
    assert titles(hook) == ["Espera aprobación: “items” de las liquidaciones 40-42"]
    approvals = RunApprovals(jobs.engine, jobs.store)
    approvals.approve(run.id, BOB, answered(run.waiting_for_approval))
    for job in run.jobs[:2]:
        attempt = jobs.executions.claim(job.id, "host:1")
        assert attempt is not None
        Ends(attempt).ask(Question(Reason.MOVED, 150_500, 0, 500, 0), second)
    deliver(relay, "hook")
    assert len(titles(hook)) == 2, "of the second one nothing more is told: the first one's words name it"
    assert "2 de 3" in hook.posts[1].body["message"]


def test_a_set_is_told_to_all_that_any_of_its_copies_names_and_to_whoever_asked(
    jobs: Jobs, hook: Receiver, mail: MailServer
) -> None:
    copies = tuple(
        {**COPY, "name": name, "target_table": f"public.{name}"} | ({"notify": told} if told else {})
        for name, told in (("head", ["head-mail"]), ("lines", None), ("notes", ["notes-hook"]))
    )
    chosen = {"name": "completa", "title": "Liquidación completa", "copies": ["head", "lines", "notes"]}
    notify = {"destinations": ["ops-hook"], "mail_requester": True}
    file = File.model_validate({"copies": copies, "sets": [chosen], "notify": notify})
    other = Receiver()
    other.start()
    urls = {
        "ops-hook": hook.url,
        "notes-hook": other.url,
        "head-mail": mail.url(OPS),
        "requester": mail.url(),
    }
    relay = relay_of(jobs, urls, file)
    requests = (
        jobs.request(42, spec=replace(SPEC, name=each.name, target_table=each.target_table), requester=BOB)
        for each in file.copies
    )
    run = asked_together(jobs, *requests, kind=RunKind.SET, set_name="completa")
    for attempt in jobs.executions.claim_set(run.jobs[0].id, "host:1"):
        attempt.planned(PLAN)
        Ends(attempt).completed(PROOF)
    deliver(relay, *urls)
    other.stop()
    subject = "Copiada: “completa” de la liquidación 42"
    assert titles(hook) == titles(other) == [subject]
    assert [(each.recipients, each.subject) for each in mail.mails] == [
        ((OPS,), f"Traspaso: {subject}"),
        (("bob@acme.example",), "Traspaso: Copied: “completa” of liquidation 42"),
    ]


def test_that_prod_has_moved_on_from_a_set_is_told_to_all_that_any_of_its_copies_names(
    jobs: Jobs, hook: Receiver, mail: MailServer
) -> None:
    copies = ({**COPY, "name": "head", "notify": ["head-mail"]}, {**COPY, "name": "lines"})
    chosen = {"name": "completa", "title": "Liquidación completa", "copies": ["head", "lines"]}
    notify = {"destinations": ["ops-hook"], "occasions": ["drift"]}
    file = File.model_validate({"copies": copies, "sets": [chosen], "notify": notify})
    urls = {"ops-hook": hook.url, "head-mail": mail.url(OPS)}
    relay = relay_of(jobs, urls, file)
    with jobs.engine.begin() as connection:
        detail = NotificationDetail(copy="completa", liquidations=(42,))
        notifications.notify(connection, Occasion.DRIFT, key="completa:2026-11-24", detail=detail)
    deliver(relay, *urls)
    told = "Traspaso: Prod cambió después de la copia “Liquidación completa”"
    assert [post.body["title"] for post in hook.posts] == [each.subject for each in mail.mails] == [told]


def test_of_a_run_that_a_destination_never_takes_the_history_of_each_job_says_so(
    jobs: Jobs, hook: Receiver
) -> None:
    relay = relay_of(jobs, {"hook": hook.url}, file_of(destinations=["hook"], give_up_hours=0.001))
    run = asked_together(jobs, jobs.request(40), jobs.request(41))
    for job in run.jobs:
        end(jobs, job.id)
    hook.status = 503
    deliver(relay, "hook")
    jobs.run("UPDATE traspaso.outbox SET failing_since = now() - interval '1 hour' WHERE failures > 0")
    try_again(jobs)
    deliver(relay, "hook")
    assert ["not_told" in jobs.kinds(job.id) for job in run.jobs] == [True, True]


def test_the_release_before_leaves_what_is_about_a_run_alone(jobs: Jobs) -> None:
    run = asked_together(jobs, jobs.request(40))
    end(jobs, run.jobs[0].id)
    with jobs.engine.connect() as connection:
        found = connection.execute(text("SELECT occasion FROM traspaso.outbox WHERE occasion IS NOT NULL"))
        assert not {row.occasion for row in found} & set(Occasion), "which it knows, and would tell wrongly"


# ---- Whoever asked -----------------------------------------------------------------------------


def test_whoever_asked_gets_a_mail_at_the_end_in_their_own_language_and_a_shell_user_none(
    jobs: Jobs, mail: MailServer
) -> None:
    file = file_of("es", mail_requester=True)
    relay = relay_of(jobs, {"requester": mail.url()}, file)
    completed(jobs, liquidation=1, requester=BOB)
    completed(jobs, liquidation=2, requester=ANA)
    completed(jobs, liquidation=3, requester=type(ANA)("shell", "root", "root"))
    jobs.create(4, approvers=("@admins",))
    deliver(relay, "requester")
    assert [(each.recipients, each.subject) for each in mail.mails] == [
        (("bob@acme.example",), "Traspaso: Copied: “items” of liquidation 1"),
        (("ana@acme.example",), "Traspaso: Copiada: “items” de la liquidación 2"),
    ]


def test_slack_s_own_address_is_used_and_without_one_nothing_is_sent_or_tried_again(
    jobs: Jobs, mail: MailServer, slack: LocalSlack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    people = People(client(slack.bot_token, slack.api_url), "es")
    file = file_of(mail_requester=True)
    relay = relay_of(jobs, {"requester": mail.url()}, file, people.address_of)
    carla = type(ANA)("T0ACME", "U0CARLA", "Carla")
    completed(jobs, liquidation=1, requester=type(ANA)("T0ACME", "U0ANA", "Ana"))
    completed(jobs, liquidation=2, requester=carla)
    slack.fault("users.info", error="internal_error", times=1)
    deliver(relay, "requester")
    assert mail.mails == []
    try_again(jobs)
    deliver(relay, "requester")
    assert [each.recipients for each in mail.mails] == [("ana@acme.example",)]
    assert owed(jobs) == []
    scopes = slack.set_scopes(["users:read"])
    completed(jobs, liquidation=3, requester=type(ANA)("T0ACME", "U0BOB", "Bob"))
    deliver(relay, "requester")
    slack.set_scopes(scopes)
    assert len(mail.mails) == 1
    assert "has no address: no_email" in caplog.text


# ---- What goes wrong ---------------------------------------------------------------------------


def test_a_mail_server_that_was_away_gets_everything_once_it_is_back(
    jobs: Jobs, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS)})
    mail.stop()
    for number in range(1, 4):
        completed(jobs, liquidation=number)
    deliver(relay, "ops-mail")
    assert [row[2:] for row in owed(jobs)] == [(1, "the connection was refused")] * 3
    assert "ops-mail was not told" in caplog.text
    mail.start()
    jobs.run(
        "UPDATE traspaso.outbox SET next_try_at = now() WHERE id = "
        "(SELECT min(id) FROM traspaso.outbox WHERE done_at IS NULL AND destination IS NOT NULL)"
    )
    deliver(relay, "ops-mail")
    assert [each.subject[-1] for each in mail.mails] == ["1", "2", "3"]
    assert owed(jobs) == []


def test_a_wrong_password_is_said_with_the_name_of_the_destination_and_the_cards_come_all_the_same(
    jobs: Jobs, mail: MailServer, slack: LocalSlack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk(slack, jobs)
    wrong = "wr0ng&secret"
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS, password=wrong)})
    attempt = desk.running()
    Ends(attempt).completed(PROOF)
    deliver(relay, "ops-mail")
    desk.outbox_relay.deliver_due()
    assert len(desk.endings(attempt.job_id)) == 1
    assert mail.mails == []
    assert mail.logins >= 1
    reason = "the server answers 535: it refuses the user or the password"
    assert [row[3] for row in owed(jobs)] == [reason]
    assert f"ops-mail was not told: notify:completed:ops-mail:{attempt.job_id}.1: {reason}" in caplog.text
    from_us = [record for record in caplog.records if not record.name.startswith(("mail.", "asyncio"))]
    for record in from_us:
        assert wrong not in record.getMessage()
        assert "mailtos://" not in record.getMessage()


def test_a_server_that_says_nothing_holds_up_neither_slack_nor_another_destination(
    jobs: Jobs, mail: MailServer, hook: Receiver, slack: LocalSlack
) -> None:
    """All threads of both relays run, as they do in a process."""
    desk = Desk(slack, jobs)
    mail.held = True
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS), "hook": hook.url})
    attempt = desk.running(CHANNEL)
    relay.start()
    desk.outbox_relay.start()
    try:
        Ends(attempt).completed(PROOF)
        relay.wake()
        desk.outbox_relay.wake()
        assert mail.holds.wait(20), "nobody has called the mail server"
        until(lambda: bool(hook.posts) and bool(desk.endings(attempt.job_id)))
        assert mail.mails == []
        mail.held = False
        until(lambda: len(mail.mails) == 1)
    finally:
        mail.held = False
        desk.outbox_relay.stop()
        relay.stop()


def test_a_mail_goes_without_a_link_while_slack_is_away(jobs: Jobs, mail: MailServer) -> None:
    away = client("xoxb-nobody", "http://127.0.0.1:1/api/")
    publisher = CardPublisher(away, jobs.store, jobs.cards, translator("es"), lambda: True)
    destinations = {"ops-mail": Destination("ops-mail", mail.url(OPS))}
    relay = NotificationRelay(
        Notifications(jobs.engine),
        jobs.store,
        file_of(destinations=["ops-mail"]),
        destinations,
        SlackSide(publisher.link, address_of),
    )
    attempt = jobs.claimed(channel_id="C0")
    jobs.cards.posted(attempt.job_id, "C0", "1.0")
    Ends(attempt).completed(PROOF)
    deliver(relay, "ops-mail")
    assert len(mail.mails) == 1
    assert "Slack" not in mail.mails[0].text


def test_a_relay_that_is_killed_in_the_middle_has_its_mail_sent_by_another_one_and_once(
    jobs: Jobs, mail: MailServer
) -> None:
    completed(jobs)
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS)})
    relay.spread()
    mail.held = True
    url = jobs.engine.url.render_as_string(hide_password=False)
    killed = subprocess.Popen([sys.executable, "-m", "tests.one_relay", url, mail.url(OPS)])
    try:
        assert mail.holds.wait(30), "the other process has called nobody"
    finally:
        killed.kill()
        killed.wait()
    mail.held = False
    assert relay.deliver_due("ops-mail") == 0, "it is still in the dead one's hands"
    jobs.run("UPDATE traspaso.outbox SET claimed_until = now() - interval '1 s' WHERE claimed_until > now()")
    assert relay.deliver_due("ops-mail") == 1
    assert len(mail.mails) == 1
    assert owed(jobs) == []


def test_after_the_configured_time_a_notification_is_given_up_and_the_job_s_history_says_so(
    jobs: Jobs, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS)}, give_up_hours=2)
    mail.stop()
    job = completed(jobs)
    deliver(relay, "ops-mail")
    jobs.run("UPDATE traspaso.outbox SET failing_since = failing_since - interval '119 min'")
    try_again(jobs)
    deliver(relay, "ops-mail")
    assert len(owed(jobs)) == 1
    jobs.run("UPDATE traspaso.outbox SET failing_since = failing_since - interval '2 min'")
    try_again(jobs)
    deliver(relay, "ops-mail")
    assert owed(jobs) == []
    assert "is given up: notify:completed:ops-mail" in caplog.text
    assert jobs.kinds(job.id)[-1] == "not_told"


def test_a_recipient_who_is_refused_keeps_the_others_from_nothing_and_gets_them_no_mail_twice(
    jobs: Jobs, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    relay = relay_of(jobs, {"ops-mail": mail.url(OPS, "gone@acme.example", "last@acme.example")})
    mail.refused = {"gone@acme.example"}
    completed(jobs)
    for _ in range(2):
        try_again(jobs)
        deliver(relay, "ops-mail")
    assert sorted(each.recipients for each in mail.mails) == [("last@acme.example",), (OPS,)]
    assert "some recipients didn't get it: the server answers 550" in caplog.text


def test_what_isn_t_so_any_more_is_not_told(jobs: Jobs, hook: Receiver) -> None:
    relay = relay_of(jobs, {"hook": hook.url})
    hook.status = 500
    attempt = jobs.claimed()
    Ends(attempt).failed(LOST)
    waiting = jobs.create(7, approvers=("@admins",))
    deliver(relay, "hook")
    failed_tries = len(hook.posts)
    jobs.control.retry(attempt.job_id, ANA)
    Approvals(jobs.engine).approve(waiting, BOB)
    hook.status = 200
    try_again(jobs)
    deliver(relay, "hook")
    assert jobs.see(attempt.job_id).status is Status.PENDING
    assert len(hook.posts) == failed_tries
    assert owed(jobs) == []


# ---- The URL is a secret -----------------------------------------------------------------------


@pytest.mark.parametrize("url", ["nosuch://s3cret@host", "mailtos://", "tgram://s3cret"])
def test_a_url_that_apprise_doesn_t_take_is_refused_without_being_repeated(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BadDestination) as refused:
        Destination("on-call", url)
    assert str(refused.value) == "Apprise doesn't take the URL of on-call"
    assert "s3cret" not in caplog.text


def test_a_destination_shows_its_url_nowhere(mail: MailServer) -> None:
    destination = Destination("ops-mail", mail.url(OPS))
    assert repr(destination) == "Destination('ops-mail')"
    assert PASSWORD not in str(destination)


def test_only_a_mail_server_can_be_there_for_those_who_ask(hook: Receiver) -> None:
    with pytest.raises(BadDestination, match="is no mail server's"):
        Destination("requester", hook.url).addressed_to("ana@acme.example")


def test_a_reason_can_alert_nobody_where_the_destination_is_a_chat(jobs: Jobs) -> None:
    job_id = jobs.create(approvers=("@admins",))
    Approvals(jobs.engine).reject(job_id, BOB, "ask <!channel> and @everyone")
    said = notification.of_job(jobs.see(job_id), Occasion.CANCELLED, translator("en"))
    assert "<" not in said.text
    assert "@everyone" not in said.text
    assert "ask ‹!channel› and ＠everyone" in said.text
