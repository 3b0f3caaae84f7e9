"""``traspaso init``: asks for the two databases, finds out the rest, and writes the files to begin with."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import ValidationError
from sqlalchemy.engine import URL

from bot import config
from bot.cli.help import Command, shell_translator
from bot.cli.invocation import FAILED, USAGE, Stopped, stop_on_errors
from bot.cli.output import ask, print_discovery, say
from bot.config import SIDES, VARIABLES, Need, Settings, SlackSection
from bot.errors import ConfigError
from bot.i18n import N_, Translator
from bot.packaged_files import starting_files
from bot.untrusted_text import one_line
from copier import CopySpec, privileges
from copier.discovery import Candidate, Discovery, FoundCatalogue, LeftOut, Server, Size
from copier.model import quoted
from copier.privileges import Privilege, Tracking

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
    found = _discover(settings, column)
    logins = _logins(settings, answers, found, prod_role, consulta_role)
    if not found.candidates:
        print_discovery(found, {}, t)
        raise Stopped(_nothing_to_copy(column), FAILED)
    scripts = _scripts(found, logins, settings.tracking_schema)
    _write(folder, found=found, logins=logins, scripts=scripts, answers=answers, kept=kept, slack=slack)
    _report(found, logins, scripts, slack, t)


def _write(
    folder: Folder,
    *,
    found: Discovery,
    logins: Mapping[str, Login],
    scripts: Mapping[str, str],
    answers: Mapping[str, str],
    kept: Mapping[str, str],
    slack: SlackSection,
) -> None:

    values = {**answers, **{VARIABLES[side]: login.written for side, login in logins.items()}}
    written = configuration(found, slack)
    config.File.model_validate(tomllib.loads(written))
    folder.put(CONFIGURATION, written.encode(), EVERYBODY_READS)
    folder.put(ENVIRONMENT, _environment(values, kept), OWNER_ONLY)
    for side, script in scripts.items():
        folder.put(f"roles.{side}.sql", script.encode(), EVERYBODY_READS)
    folder.put_shipped({CONFIGURATION: EXAMPLE})


def _scripts(found: Discovery, logins: Mapping[str, Login], schema: str) -> dict[str, str]:
    """The SQL of each side's role; the tracking tables are in this schema."""
    from bot.jobs.models import tracking_tables

    return {
        SIDES.source: source_role(found, logins[SIDES.source].role),
        SIDES.target: target_role(found, logins[SIDES.target].role, tracking_tables(schema)),
    }


# ------------------------------------------------------------------------------------------ what is found out


def _asked_url(side: str, t: Translator) -> str:
    return ask(t("URL of {side}, such as postgresql://user:password@host:5432/database", side=side))


def _settings(answers: Mapping[str, str]) -> Settings:
    settings, lines = config.read({**os.environ, **answers}, Need.DATABASES)
    if mine := [line for line in lines if line.startswith(tuple(answers))]:
        raise Stopped(ConfigError.summary, USAGE, mine)
    return settings


def _discover(settings: Settings, column: str) -> Discovery:
    from bot import app
    from copier.discovery import discover

    with stop_on_errors():
        found = discover(
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
    found: Discovery,
    prod_role: str | None,
    consulta_role: str | None,
) -> dict[str, Login]:
    """A role that could do more than it should is not for daily work."""

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

    stays = {name: value for name, value in kept.items() if value}
    return environment({**values, **stays}, stays).encode()


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
    found: Discovery,
    logins: Mapping[str, Login],
    scripts: Mapping[str, str],
    slack: SlackSection,
    t: Translator,
) -> None:

    say()
    print_discovery(found, copy_names([each.spec for each in found.candidates]), t)
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
                placeholder=PLACEHOLDER,
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


# ----------------------------------------------------------------------------
# What is written
#
# What `traspaso init` writes, as text: traspaso.toml and .env with comments, and the SQL of both roles.
#
# Pure functions of what was found and answered. Names come from the servers and may hold anything: in a
# comment they are one line, elsewhere they are quoted as TOML, SQL or an environment file wants them.


#: How wide the comments are.
WIDTH = 100
#: What a URL of `.env` has in the place of a password that nobody has set yet.
PLACEHOLDER = "PASSWORD"


@dataclass(frozen=True)
class Login:
    """The role by which one side is reached, and its URL as ``.env`` has it.

    ``is_new``: another role was asked with, so this one still has to be made, and its password to be set.
    """

    role: str
    written: str
    is_new: bool


def login(server: Server, url: URL, written: str, role: str) -> Login:
    """``url``, which was ``written`` so, led to the server; from now on it is reached by ``role``."""
    if role == server.role:
        return Login(role, written, is_new=False)
    other = url.set(drivername="postgresql", username=role, password=PLACEHOLDER)
    return Login(role, other.render_as_string(hide_password=False), is_new=True)


# ------------------------------------------------------------------------------------------- traspaso.toml


def configuration(found: Discovery, slack: SlackSection) -> str:
    """The text of traspaso.toml: valid as it is, with a reason for each choice."""
    lines = [
        *comment(
            "Written by `traspaso init` from what prod and consulta have. Change it as you like; "
            "`traspaso init --force` writes it anew. traspaso.example.toml has every setting."
        ),
        "",
        *(line for server in (found.source, found.target) for line in _of_server(server)),
        "",
        *_slack(slack),
        "",
        *_liquidations(found.catalogue),
    ]
    through = [each.spec for each in found.through]
    names = copy_names([*(each.spec for each in found.candidates), *through, *_left(found)])
    for group in found.sets:
        tables = ", ".join(map(str, group))
        lines += ["", *comment(f"Tied together by foreign keys, and to be copied in this order: {tables}.")]
    for each in found.candidates:
        lines += ["", *_copy(each, names[each.spec])]
    if through:
        lines += ["", "", *comment("Tables whose rows belong to a liquidation through one of these:")]
    for spec in through:
        lines += ["", "# [[copies]]", *(f"# {line}" for line in _settings_of(spec, names[spec]))]
    if found.left_out:
        lines += ["", "", *comment("Tables with the liquidation's column that can't be copied as they are:")]
    for left in found.left_out:
        lines += ["", *_left_out(left, names)]
    lines += ["", "", *comment("How the work is done is in [work]; every default is meant to be left alone.")]
    return "\n".join(lines) + "\n"


def _left(found: Discovery) -> list[CopySpec]:
    return [each.spec for each in found.left_out if each.spec is not None]


def _of_server(server: Server) -> Iterator[str]:
    """What was noticed of a server, and what follows."""
    name = server.side
    yield from comment(f"{name}: PostgreSQL {server.version}, database {server.database}.")
    if server.is_standby and name == SIDES.source:
        yield from comment(
            "  It is a standby: a copy reads it over one connection, and a long one may be cancelled there, "
            "unless hot_standby_feedback is on or max_standby_streaming_delay is long."
        )
    if server.is_pooled:
        yield from comment(
            "  A pooler such as PgBouncer stands before it. That works, in transaction mode too."
        )
    if not server.is_encrypted and not server.is_here:
        yield from comment(
            "  The connection is not encrypted: add ?sslmode=verify-full (or at least require) to its URL."
        )


def _slack(slack: SlackSection) -> Iterator[str]:
    yield "[slack]"
    if not (slack.admin_groups or slack.admin_users):
        yield from comment(
            "Who may copy: user groups by id or handle, or single people by id. Nobody may before one is."
        )
    yield f"admin_groups = {_list(slack.admin_groups)}"
    yield f"admin_users  = {_list(slack.admin_users)}"
    operators = f"operators    = {_list(slack.operators or ('U0OPS',))}"
    told = "# who runs Traspaso; told of when no worker is alive"
    yield operators if slack.operators else f"# {operators}  {told}"
    yield f"language     = {text(slack.language)}"


def _liquidations(found: FoundCatalogue | None) -> Iterator[str]:
    if found is None:
        yield from comment(
            "The catalogue, a table of prod that lists the liquidations with their names, was not found: no "
            "foreign key leads from the liquidation's column to one. With it a number that doesn't exist is "
            "refused, and people can choose by name."
        )
        yield from (
            "# [liquidations]",
            '# table  = "public.liquidations"',
            '# id     = "id"',
            '# label  = "name"',
        )
        return
    yield "[liquidations]"
    yield from comment(f"The catalogue: {found.why}.")
    if found.by_name:
        yield from comment("No foreign key says so: remove this section where it is another kind of table.")
    catalogue = found.catalogue
    yield f"table  = {text(str(catalogue.table))}"
    yield f"id     = {text(catalogue.id_column)}"
    yield f"label  = {text(catalogue.label_column)}"
    if catalogue.period_column:
        yield f"period = {text(catalogue.period_column)}"
    else:
        yield '# period = "period"       # a date or a text that people look for too'
    if catalogue.changed_column:
        yield f"changed = {text(catalogue.changed_column)}"
    else:
        yield '# changed = "updated_at"  # when a liquidation last changed: previews then tell whether it did'


def _copy(each: Candidate, name: str) -> Iterator[str]:
    spec = each.spec
    yield "[[copies]]"
    yield from comment(f"{_capital(size_words(each.size))}; key: {', '.join(each.key)}.")
    if each.parents:
        yield from comment(f"Its rows refer to {', '.join(map(str, each.parents))}: copy that first.")
    if each.needs:
        yield from comment(
            f"Its rows in consulta refer to {', '.join(map(str, each.needs))}, which no copy fills: what "
            "they refer to has to be there."
        )
    if each.triggers:
        yield from comment(
            f"Triggers of consulta fire before each row and may alter it: {', '.join(each.triggers)}. A copy "
            "that comes out altered fails its verification."
        )
    for side in each.hides_rows:
        yield from comment(f"The table has row-level security in {side}: the role there needs BYPASSRLS.")
    for advice in each.advice:
        yield from comment(
            f"No index serves it in {advice.side}; without one every chunk reads the whole table:"
        )
        yield f"#   {one_line(advice.statement)};"
    yield from _settings_of(spec, name)


def _settings_of(spec: CopySpec, name: str) -> Iterator[str]:
    yield f"name               = {text(name)}"
    yield f"source_table       = {text(str(spec.source_table))}"
    yield f"target_table       = {text(str(spec.target_table))}"
    if spec.via is None:
        yield f"liquidation_column = {text(spec.liquidation_column)}"
    else:
        yield f"via                = {text(str(spec.via.reference))}"


def _left_out(left: LeftOut, names: Mapping[CopySpec, str]) -> Iterator[str]:
    yield from comment(f"{left.table} ({size_words(left.size)}): {left.reason}.")
    if left.spec is not None:
        yield "# [[copies]]"
        yield from (f"# {line}" for line in _settings_of(left.spec, names[left.spec]))


def copy_names(specs: Sequence[CopySpec]) -> dict[CopySpec, str]:
    """What people write after the number: short, of plain letters, each once."""
    found: dict[CopySpec, str] = {}
    for spec in specs:
        name = name_of(spec)
        number = 2
        while name in found.values():
            name = f"{name_of(spec)[:27]}-{number}"
            number += 1
        found[spec] = name
    return found


def name_of(spec: CopySpec) -> str:
    """From the table's name, without the liquidation's in front: ``items`` for ``liquidation_items``."""
    letters = unicodedata.normalize("NFKD", spec.source_table.name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_-]+", "_", letters)
    stem = re.sub(r"_?id$", "", spec.liquidation_column.lower())
    shorter = re.sub(rf"^{re.escape(stem)}(s|es)?_(?=[a-z])", "", plain) if stem else plain
    return re.sub(r"^[^a-z]+", "", shorter)[:31].rstrip("_-") or "rows"


def size_words(size: Size) -> str:
    """Such as ``about 15,012 rows, 4.8 MB, partitions: 12``."""
    if size.rows is None:
        return "of a size that isn't known, as it was never analyzed"
    rows = f"about {size.rows:,} rows"
    amount, unit = float(size.bytes), "kB"
    for larger in ("kB", "MB", "GB", "TB"):
        amount, unit = amount / 1000, larger
        if amount < 1000:
            break
    parts = f", partitions: {size.partitions:,}" if size.partitions else ""
    return f"{rows}, {amount:.1f} {unit}{parts}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def comment(words: str) -> Iterator[str]:
    """Lines of a comment; a line that begins with spaces goes on with as many."""
    flat = one_line(words)
    indent = "# " + " " * (len(flat) - len(flat.lstrip()))
    yield from textwrap.wrap(
        flat.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or ["#"]


def text(value: str) -> str:
    """A string of TOML: as it is between single quotes where it has double ones, else escaped."""
    if '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(text, values))}]"


# --------------------------------------------------------------------------------------------------- .env

#: Variables of `.env` in their order, each with the comment above it.
EXPLAINED = {
    "PROD_DATABASE_URL": "prod, by a role that only reads: roles.prod.sql makes it. Percent-encode signs "
    "such as @ and / in a password.",
    "CONSULTA_DATABASE_URL": "consulta, by the role that roles.consulta.sql makes. The tracking tables live "
    "there too.",
    "REDIS_URL": "Redis or Valkey: it carries job ids from the bot to the workers, and nothing else.",
    "SLACK_BOT_TOKEN": "The bot token of the Slack app: xoxb-…, OAuth & Permissions.",
    "SLACK_APP_TOKEN": "An app-level token with connections:write: xapp-…, Basic Information.",
}


def environment(values: Mapping[str, str], others: Mapping[str, str]) -> str:
    """The text of .env; ``others`` are variables that were there before and stay."""
    lines = [
        "# Secrets of Traspaso: for its own user alone (mode 0600). NAME=value a line, as systemd reads it."
    ]
    for name, words in EXPLAINED.items():
        lines += ["", *comment(words), f"{name}={_value(values.get(name, ''))}"]
    if kept := [(name, value) for name, value in others.items() if name not in EXPLAINED]:
        lines += ["", *(f"{name}={_value(value)}" for name, value in kept)]
    return "\n".join(lines) + "\n"


def _value(value: str) -> str:
    """As this project, systemd and Compose read it alike: between single quotes nothing has a meaning."""
    if re.fullmatch(r"[\w%+,./:=@?&~-]*", value, re.ASCII):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


# ------------------------------------------------------------------------------------------ the SQL of roles


def source_role(found: Discovery, role: str) -> str:
    """The SQL that makes the role of prod: it reads, and its sessions are read-only."""
    needed = privileges.of_source(
        [each.spec for each in found.candidates],
        database=found.source.database,
        catalogue=found.catalogue.catalogue if found.catalogue else None,
    )
    settings = [f"ALTER ROLE {quoted(role)} SET default_transaction_read_only = on;"]
    return _role(found.source, role, needed, [*settings, *_bypass(found, SIDES.source, role)])


def target_role(found: Discovery, role: str, tracking: Tracking) -> str:
    """The SQL that makes the role of consulta: it writes the copied tables, and owns the tracking tables."""
    updates = {each.spec.target_table: each.updates for each in found.candidates}
    needed = privileges.of_target(
        [each.spec for each in found.candidates],
        database=found.target.database,
        tracking=tracking,
        updates=updates.get,
    )
    return _role(found.target, role, needed, list(_bypass(found, SIDES.target, role)))


def _bypass(found: Discovery, side: str, role: str) -> Iterator[str]:
    hidden = [each.spec for each in found.candidates if side in each.hides_rows]
    if hidden:
        tables = ", ".join(str(s.source_table if side == SIDES.source else s.target_table) for s in hidden)
        yield from (f"--{line[1:]}" for line in comment(f"Row-level security would hide rows of {tables}."))
        yield f"ALTER ROLE {quoted(role)} BYPASSRLS;"


def _role(server: Server, role: str, needed: Sequence[Privilege], settings: Sequence[str]) -> str:
    name = role.replace("'", "''")
    file = f"roles.{server.side}.sql"
    head = [
        f"-- The role {one_line(quoted(role))} of {server.side}, "
        f"database {one_line(quoted(server.database))}.",
        "-- Run it there as an administrator:",
        f"--   psql -1 -v ON_ERROR_STOP=1 -f {file} 'URL OF AN ADMINISTRATOR'",
        "-- It may be run again. No password is in it: set one in psql, which sends its hash alone, by",
        f"--   \\password {one_line(quoted(role))}",
        "-- and write it into .env.",
        "",
        "DO $do$ BEGIN",
        f"  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}') THEN",
        f"    CREATE ROLE {quoted(role)} LOGIN;",
        "  END IF;",
        "END $do$;",
        *settings,
        "",
    ]
    return "\n".join(head) + "\n" + privileges.script(needed, role)
