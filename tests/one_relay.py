"""python -m tests.one_relay DATABASE_URL MAIL_URL: a process that delivers to ops-mail once, to be killed."""

from __future__ import annotations

import sys

from sqlalchemy import create_engine

from bot.config import File
from bot.jobs.notifications import Notifications
from bot.jobs.repository import JobRepository
from bot.notify.destinations import Destination
from bot.notify.relay import NotificationRelay, SlackSide

if __name__ == "__main__":
    engine = create_engine(sys.argv[1])
    relay = NotificationRelay(
        Notifications(engine),
        JobRepository(engine),
        File.model_validate({"notify": {"destinations": ["ops-mail"]}}),
        {"ops-mail": Destination("ops-mail", sys.argv[2])},
        SlackSide(lambda job: None, str),
    )
    relay.deliver_due("ops-mail")
