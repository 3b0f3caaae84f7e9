"""*Details* under a card: a modal that opens at once and is filled when everything has been read."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands import parsing
from bot.commands.surface import Shown, Surface, show, told, user_of
from bot.i18n import Translator
from bot.jobs.timeline import Timelines
from bot.messages import answers, timeline
from bot.messages.blocks import Message
from bot.messages.buttons import DETAILS_ACTION
from bot.slack import CONNECTION_ERRORS, error_name

log = logging.getLogger(__name__)


def register(app: App, surface: Surface) -> None:
    app.action(DETAILS_ACTION)(JobDetails(surface).pressed)


class JobDetails:
    """Reads rows and changes nothing; like each button of the card it is for those who may run its copy."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._timelines = Timelines(surface.tracking)

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """A trigger lives for three seconds: the modal comes first, what it says afterwards."""
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        job_id = parsing.number(str(body["actions"][0].get("value") or ""))
        reply = self._surface.replies.to(body)
        try:
            opened = client.views_open(trigger_id=body["trigger_id"], view=timeline.loading(t))
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("job %s: details not shown: %s", job_id, error_name(error))
            reply.say(answers.details_not_shown(job_id or 0, t))
            return
        found = told(lambda: self._view(job_id or 0, user_id, t), t)
        view = timeline.telling(found, t) if isinstance(found, Message) else found
        if show(client, str(opened["view"]["id"]), view) is Shown.NO:
            reply.say(found if isinstance(found, Message) else answers.details_not_shown(job_id or 0, t))

    def _view(self, job_id: int, user_id: str, t: Translator) -> Message | timeline.View:
        job = self._surface.store.snapshot(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        if refusal := self._surface.refusal_of_press(job, user_id, t):
            return refusal
        return timeline.details(job, self._timelines.of(job_id), t)
