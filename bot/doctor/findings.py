"""What the doctor says: a finding a line, under an id that stays the same from release to release."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.i18n import N_


class FindingStatus(StrEnum):
    """How it is. A warning works, and wants somebody's eye."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``about`` is what it is about where a check has several lines, such as the name of a copy.

    ``step`` is what to do next: empty where there is nothing to do.
    """

    id: str
    status: FindingStatus
    sentence: str
    step: str = ""
    about: str = ""


def ok(check: str, sentence: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.OK, sentence, about=about)


def warning(check: str, sentence: str, step: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.WARNING, sentence, step, about)


def failed(check: str, sentence: str, step: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.FAILED, sentence, step, about)


def skipped(check: str, sentence: str, step: str = "", about: str = "") -> Finding:
    return Finding(check, FindingStatus.SKIPPED, sentence, step, about)


#: Every check by its id, in the order in which they are shown, with what people call it.
TITLES = {
    "settings": N_("Settings"),
    "slack.bot_token": N_("Slack: bot token"),
    "slack.scopes": N_("Slack: scopes"),
    "slack.app_token": N_("Slack: app-level token"),
    "slack.socket": N_("Slack: socket"),
    "slack.groups": N_("Slack: groups"),
    "slack.people": N_("Slack: people"),
    "slack.channels": N_("Slack: channels"),
    "slack.manifest": N_("Slack: manifest"),
    "prod.reachable": N_("Prod: reachable"),
    "prod.version": N_("Prod: version"),
    "prod.encrypted": N_("Prod: encrypted"),
    "prod.role": N_("Prod: role"),
    "prod.standby": N_("Prod: standby"),
    "prod.pooler": N_("Prod: pooler"),
    "prod.connections": N_("Prod: connections"),
    "prod.snapshot": N_("Prod: snapshot"),
    "prod.privileges": N_("Prod: privileges"),
    "prod.catalogue": N_("Prod: catalogue"),
    "consulta.reachable": N_("Consulta: reachable"),
    "consulta.version": N_("Consulta: version"),
    "consulta.encrypted": N_("Consulta: encrypted"),
    "consulta.role": N_("Consulta: role"),
    "consulta.standby": N_("Consulta: standby"),
    "consulta.pooler": N_("Consulta: pooler"),
    "consulta.connections": N_("Consulta: connections"),
    "consulta.privileges": N_("Consulta: privileges"),
    "consulta.schema": N_("Consulta: tracking tables"),
    "databases.apart": N_("Two databases"),
    "copy.tables": N_("Copy: tables"),
    "copy.columns": N_("Copy: columns"),
    "copy.key": N_("Copy: key"),
    "copy.moment": N_("Copy: one moment"),
    "copy.index": N_("Copy: index"),
    "copy.foreign_keys": N_("Copy: foreign keys"),
    "copy.triggers": N_("Copy: triggers"),
    "copy.rules": N_("Copy: rules"),
    "redis.reachable": N_("Redis: reachable"),
    "redis.version": N_("Redis: version"),
    "redis.persistence": N_("Redis: persistence"),
    "redis.eviction": N_("Redis: eviction"),
    "workers.alive": N_("Workers: alive"),
    "workers.version": N_("Workers: version"),
    "clock.prod": N_("Clock: prod"),
    "clock.consulta": N_("Clock: consulta"),
    "clock.slack": N_("Clock: Slack"),
    "notify.reachable": N_("Notifications"),
    "notify.sent": N_("Notifications: sent"),
}

IDS = tuple(TITLES)
