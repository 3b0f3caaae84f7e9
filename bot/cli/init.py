"""``traspaso init``: asks for the two databases, finds out the rest, and writes the files to begin with."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from bot import config
from bot.cli.commands import FAILED, USAGE, Stopped, stop_on_errors
from bot.cli.help import Command, shell_translator
from bot.cli.output import ask, print_survey, say
from bot.cli.shipped import starting_files
from bot.config import SIDES, VARIABLES, Need, Settings, SlackSection
from bot.errors import ConfigError
from bot.i18n import N_, Translator

if TYPE_CHECKING:
    from bot.cli.first_files import Login
    from copier.survey import Survey

#: The roles that are proposed where the ones that were asked with aren't fit for daily work.
READER, WRITER = "traspaso_reader", "traspaso"
#: What is proposed where nothing else is known.
REDIS = "redis://127.0.0.1:6379/0"
COLUMN = "liquidation_id"
CONFIGURATION, EXAMPLE, ENVIRONMENT = "traspaso.toml", "traspaso.example.toml", ".env"
OWNER_ONLY, EVERYBODY_READS = 0o600, 0o644


@click.command(
    cls=Command,
    help=N_(
        "Writes the files of a new installation into this folder: traspaso.toml and .env from what the two "
        "databases have, the SQL of both roles, the manifest, and files to run it by. It asks for what it "
        "can't find out, where there is a terminal, and writes nothing into a database."
    ),
)
@click.option(
    "--prod",
    metavar="URL",
    help=N_("Prod, by an administrator's or a reader's role; else PROD_DATABASE_URL."),
)
@click.option("--consulta", metavar="URL", help=N_("Consulta, likewise; else CONSULTA_DATABASE_URL."))
@click.option("--redis", metavar="URL", help=N_("Redis or Valkey; else REDIS_URL, or one on this machine."))
@click.option(
    "--column", metavar="NAME", help=N_("The column with the liquidation's number: liquidation_id.")
)
@click.option("--prod-role", metavar="NAME", help=N_("The role of roles.prod.sql: traspaso_reader."))
@click.option("--consulta-role", metavar="NAME", help=N_("The role of roles.consulta.sql: traspaso."))
@click.option("--admin-group", metavar="GROUP", multiple=True, help=N_("A Slack user group that may copy."))
@click.option("--admin-user", metavar="USER", multiple=True, help=N_("A Slack user id that may copy."))
@click.option("--language", type=click.Choice(["es", "en"]), help=N_("What the bot speaks in channels: es."))
@click.option("-y", "--yes", is_flag=True, help=N_("Ask nothing: take what is given, and the defaults."))
@click.option(
    "--force",
    is_flag=True,
    help=N_("Write files anew that are there already. Values of .env and [slack] of traspaso.toml stay."),
)
def init(
    *,
    prod: str | None,
    consulta: str | None,
    redis: str | None,
    column: str | None,
    prod_role: str | None,
    consulta_role: str | None,
    admin_group: tuple[str, ...],
    admin_user: tuple[str, ...],
    language: str | None,
    yes: bool,
    force: bool,
) -> None:
    t = shell_translator()
    kept, wrong = config.env_file_values()
    if wrong:
        raise Stopped(ConfigError.summary, USAGE, wrong)
    known = {**kept, **os.environ}
    asks = sys.stdin.isatty() and not yes
    answers = {
        "PROD_DATABASE_URL": prod
        or known.get("PROD_DATABASE_URL")
        or (_asked_url("prod", t) if asks else ""),
        "CONSULTA_DATABASE_URL": consulta
        or known.get("CONSULTA_DATABASE_URL")
        or (_asked_url("consulta", t) if asks else ""),
        "REDIS_URL": redis or known.get("REDIS_URL") or REDIS,
        "SLACK_BOT_TOKEN": known.get("SLACK_BOT_TOKEN", ""),
        "SLACK_APP_TOKEN": known.get("SLACK_APP_TOKEN", ""),
    }
    folder = Folder(force, t)
    slack = _slack_section(admin_group, admin_user, language)
    if not (answers["PROD_DATABASE_URL"] and answers["CONSULTA_DATABASE_URL"]):
        folder.put_shipped()
        folder.put(ENVIRONMENT, _environment(answers, kept), OWNER_ONLY)
        say(t("Without the URLs of both databases, traspaso.toml is an example to adapt."))
        return
    if column is None:
        column = ask(t("Column with the liquidation's number"), COLUMN) if asks else COLUMN
    settings = _settings({**known, **answers})
    found = _survey(settings, column)
    logins = _logins(settings, answers, found, prod_role, consulta_role)
    if not found.candidates:
        print_survey(found, {}, t)
        raise Stopped(_nothing_to_copy(column), FAILED)
    scripts = _scripts(found, logins, settings.tracking_schema)
    _write(folder, found=found, logins=logins, scripts=scripts, answers=answers, kept=kept, slack=slack)
    _report(found, logins, scripts, slack, t)


def _write(
    folder: Folder,
    *,
    found: Survey,
    logins: Mapping[str, Login],
    scripts: Mapping[str, str],
    answers: Mapping[str, str],
    kept: Mapping[str, str],
    slack: SlackSection,
) -> None:
    from bot.cli import first_files

    values = {**answers, **{VARIABLES[side]: login.written for side, login in logins.items()}}
    written = first_files.configuration(found, slack)
    config.File.model_validate(tomllib.loads(written))
    folder.put(CONFIGURATION, written.encode(), EVERYBODY_READS)
    folder.put(ENVIRONMENT, _environment(values, kept), OWNER_ONLY)
    for side, script in scripts.items():
        folder.put(f"roles.{side}.sql", script.encode(), EVERYBODY_READS)
    folder.put_shipped({CONFIGURATION: EXAMPLE})


def _scripts(found: Survey, logins: Mapping[str, Login], schema: str) -> dict[str, str]:
    """The SQL of each side's role; the tracking tables are in this schema."""
    from bot.cli import first_files
    from bot.privileges import tracking

    return {
        SIDES.source: first_files.source_role(found, logins[SIDES.source].role),
        SIDES.target: first_files.target_role(found, logins[SIDES.target].role, tracking(schema)),
    }


# ------------------------------------------------------------------------------------------ what is found out


def _asked_url(side: str, t: Translator) -> str:
    return ask(t("URL of {side}, such as postgresql://user:password@host:5432/database", side=side))


def _settings(answers: Mapping[str, str]) -> Settings:
    settings, lines = config.read({**os.environ, **answers}, Need.DATABASES)
    if mine := [line for line in lines if line.startswith(tuple(answers))]:
        raise Stopped(ConfigError.summary, USAGE, mine)
    return settings


def _survey(settings: Settings, column: str) -> Survey:
    from bot import app
    from copier.survey import survey

    with stop_on_errors():
        found = survey(
            app.unpooled(settings.prod),
            app.unpooled(settings.consulta),
            column,
            names=SIDES,
            without_schemas=(settings.tracking_schema,),
        )
    if found.target.is_standby:
        raise Stopped(
            "consulta is a standby, where nothing can be written: name its primary in CONSULTA_DATABASE_URL",
            FAILED,
        )
    return found


def _logins(
    settings: Settings,
    answers: Mapping[str, str],
    found: Survey,
    prod_role: str | None,
    consulta_role: str | None,
) -> dict[str, Login]:
    """A role that could do more than it should is not for daily work."""
    from bot.cli.first_files import login

    assert settings.prod is not None and settings.consulta is not None  # noqa: S101 - of Need.DATABASES
    may_write = found.source.is_superuser or any(each.may_write for each in found.candidates)
    return {
        SIDES.source: login(
            found.source,
            settings.prod,
            answers["PROD_DATABASE_URL"],
            prod_role or (READER if may_write else found.source.role),
        ),
        SIDES.target: login(
            found.target,
            settings.consulta,
            answers["CONSULTA_DATABASE_URL"],
            consulta_role or (WRITER if found.target.is_superuser else found.target.role),
        ),
    }


def _nothing_to_copy(column: str) -> str:
    return (
        f"no table with a column {column} can be copied from prod to consulta: name the liquidation's column "
        "with --column, or mend what is said above"
    )


def _slack_section(groups: tuple[str, ...], users: tuple[str, ...], language: str | None) -> SlackSection:
    """What is asked for; what isn't stays as the file has it that is there already."""
    before = SlackSection()
    with suppress(OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError):
        before = config.File.model_validate(tomllib.loads(Path(CONFIGURATION).read_text("utf-8"))).slack
    given = {"admin_groups": groups, "admin_users": users, "language": language}
    return before.model_copy(update={name: value for name, value in given.items() if value})


def _environment(values: Mapping[str, str], kept: Mapping[str, str]) -> bytes:
    from bot.cli import first_files

    stays = {name: value for name, value in kept.items() if value}
    return first_files.environment({**values, **stays}, stays).encode()


# ------------------------------------------------------------------------------------------------- the folder


class Folder:
    """The working directory: what is there stays, unless it is to be written anew."""

    def __init__(self, force: bool, t: Translator) -> None:
        self._force = force
        self._t = t

    def put_shipped(self, renamed: Mapping[str, str] | None = None) -> None:
        for path, contents in starting_files():
            self.put((renamed or {}).get(path, path), contents, EVERYBODY_READS)

    def put(self, path: str, contents: bytes, mode: int) -> None:
        """Writes the file, whole or not at all; never with more readers than ``mode`` allows."""
        target = Path(path)
        try:
            if target.exists() and (not self._force or target.read_bytes() == contents):
                say(self._t("{file} is there already, and stays as it is.", file=path))
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.partial")
            partial.unlink(missing_ok=True)
            partial.touch(mode=mode, exist_ok=False)
            partial.write_bytes(contents)
            if target.exists():
                target.replace(before := target.with_name(f"{target.name}.before"))
                say(self._t("{file} was there: it is {before} now.", file=path, before=before.name))
            partial.replace(target)
        except OSError as error:
            raise Stopped(f"{path} can't be written: {error.strerror}", FAILED) from error
        say(self._t("{file} written.", file=path))


# ----------------------------------------------------------------------------------------- what is to be done


def _report(
    found: Survey,
    logins: Mapping[str, Login],
    scripts: Mapping[str, str],
    slack: SlackSection,
    t: Translator,
) -> None:
    from bot.cli import first_files

    say()
    print_survey(found, first_files.copy_names([each.spec for each in found.candidates]), t)
    for script in scripts.values():
        say()
        for line in script.splitlines():
            say(line)
    say()
    say(t("What is left to do:"))
    steps = [
        *(
            t(
                "Run roles.{side}.sql in {side} as an administrator, set the password of {role} by "
                "\\password, and write it into .env in the place of {placeholder}.",
                side=side,
                role=login.role,
                placeholder=first_files.PLACEHOLDER,
            )
            if login.is_new
            else t(
                "Run roles.{side}.sql in {side} as an administrator, if {role} lacks any of it.",
                side=side,
                role=login.role,
            )
            for side, login in logins.items()
        ),
        t("`traspaso migrate` makes the tracking tables."),
        t("`traspaso preview NUMBER` looks at a liquidation; `traspaso copy NUMBER` copies it."),
        t(
            "Create the Slack app: api.slack.com/apps, Create New App, From a manifest, with the text of "
            "`traspaso manifest`; then Install to Workspace."
        ),
        t(
            "Write both tokens into .env: SLACK_BOT_TOKEN from OAuth & Permissions, and SLACK_APP_TOKEN, an "
            "app-level token with connections:write, from Basic Information."
        ),
    ]
    if not (slack.admin_groups or slack.admin_users):
        steps.append(t("Say in traspaso.toml who may copy: admin_groups or admin_users."))
    steps += [
        t("`traspaso doctor` checks everything, and says the next step for whatever is wrong."),
        t("Start a bot and a worker: the lines of Procfile, or the units in deploy/systemd."),
    ]
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step}")
