"""What a failure means and what to do about it, in words. Names of things, never a row's value."""

from __future__ import annotations

from dataclasses import dataclass

from bot.config import VARIABLES
from bot.i18n import N_, Translator
from bot.jobs.failure import Failure
from bot.messages.blocks import code

TAKEN_STEP = N_(
    "A row there has the same value, of another liquidation perhaps: copy that one first, or remove the "
    "row. Then copy again."
)
CONSTRAINT_STEP = N_(
    "Look at that constraint in consulta: the rows of prod must satisfy it. Then copy again."
)

#: A failure's code -> what happened, and the next step.
WORDS: dict[str, tuple[str, str]] = {
    "unique": (
        N_("Table {table} of consulta refused rows by its unique constraint {constraint}."),
        TAKEN_STEP,
    ),
    "foreign_key": (
        N_("Table {table} of consulta has a foreign key, {constraint}, that refused what was to be written."),
        N_("Its rows point to rows that are missing, or that have to go: look at both. Then copy again."),
    ),
    "points_nowhere": (
        N_("Rows of {table} point to rows of {first} that consulta doesn't have, by {constraint}."),
        N_("Copy or create those rows of {first} in consulta first. Then copy again."),
    ),
    "of_no_parent": (
        N_(
            "Rows of {table} in prod point, by {constraint}, to rows of {first} that aren't of this "
            "liquidation, and that consulta doesn't have."
        ),
        N_(
            "Copy first the liquidation that those rows of {first} are of. Where prod doesn't have them "
            "either, correct its rows. Then copy again."
        ),
    ),
    "still_referenced": (
        N_(
            "Prod has changed or removed rows of {table}, and rows of {first} in consulta still point to "
            "them, by {constraint}."
        ),
        N_(
            "Copy {first} first, or both as a set: its rows that prod has no more go with that. Where no "
            "copy has that table, change its rows in consulta. Then copy again."
        ),
    ),
    "referenced_by_others": (
        N_(
            "Prod has changed or removed rows of {table}, and rows of {first} that are of another "
            "liquidation, or of none, still point to them in consulta, by {constraint}."
        ),
        N_("Copy that liquidation first, or change those rows in consulta. Then copy again."),
    ),
    "restrict": (
        N_("Other rows of consulta refer to rows that have to go, and {constraint} is RESTRICT."),
        N_("Make it NO ACTION in consulta, or remove what refers to them. Then copy again."),
    ),
    "check": (
        N_("Table {table} of consulta refused rows by its constraint {constraint}."),
        CONSTRAINT_STEP,
    ),
    "exclusion": (
        N_("Table {table} of consulta refused rows by its constraint {constraint}."),
        TAKEN_STEP,
    ),
    "not_null": (
        N_("Column {column} of table {table} in consulta takes no empty values, and prod has some."),
        N_("Drop NOT NULL there, or fill the column in prod. Then copy again."),
    ),
    "privilege": (
        N_("The database user of {side} lacks a privilege (error {sqlstate})."),
        N_("Ask for SELECT in prod, and SELECT, INSERT and DELETE in consulta. Then copy again."),
    ),
    "privilege_missing": (
        N_("The database user of {side} lacks privileges for table {table} (error {sqlstate})."),
        N_("Ask for this in {side}: {first}. Then copy again."),
    ),
    "rows_hidden": (
        N_("Row-level security of table {table} hides rows from the database user of {side}."),
        N_("It needs BYPASSRLS. Ask for this in {side}: {first}. Then copy again."),
    ),
    "read_only": (
        N_("The database user of {side} may only read there: default_transaction_read_only is on."),
        N_("Ask for this in {side}: {first}. Then copy again."),
    ),
    "recovering": (
        N_("The server of {side} can only be read now (error {sqlstate}): it is a standby, or recovers."),
        N_("Check that {variable} names the primary, then copy again."),
    ),
    "missing_table": (
        N_("Table {table} was not found in {side}."),
        N_("Check its name in the configuration and the user's privileges. Then copy again."),
    ),
    "missing_column": (
        N_("A table or column that the copy needs is not in {side} ({table} {column})."),
        N_("Check the names in the configuration. Then copy again."),
    ),
    "missing_object": (
        N_("A table or column that the copy needs is not in {side} ({table} {column})."),
        N_("Check the names in the configuration. Then copy again."),
    ),
    "columns_differ": (
        N_("The columns of prod and consulta can't be matched without loss: {first}"),
        N_("Change consulta's table as said. Then copy again."),
    ),
    "new_columns": (
        N_(
            "Table {table} of prod has columns that no rule of this copy names, and that its last completed "
            "copy didn't have as they are: {first}. Nothing was copied."
        ),
        N_(
            'Say in `columns` of this copy what becomes of each: "copy", "omit", "null", "hash" or "mask". '
            "Then copy again."
        ),
    ),
    "rules_dont_fit": (
        N_("The rules for the columns of {table} can't be kept: {first}. Nothing was copied."),
        N_("Change the rule or the column, as it says. Then copy again."),
    ),
    "no_key": (
        N_("No key of the table can be used: {first}"),
        N_("Do what it says, or name another key in the configuration. Then copy again."),
    ),
    "cascades": (
        N_(
            "Rows that prod has no more, or has changed, can't go in consulta: a foreign key would delete or "
            "change rows of {table} that still refer to them: {first}. Nothing of that was kept."
        ),
        N_("Copy those tables together as a set, or the ones that refer first. Then copy this again."),
    ),
    "uncounted": (
        N_(
            "It couldn't be seen whether deleting rows of {table} in consulta changes rows of other tables: "
            "{first} would do that, and track_counts is off there."
        ),
        N_("Set track_counts on in consulta, or make those foreign keys NO ACTION. Then copy again."),
    ),
    "rules": (
        N_("Rules of {table} in consulta would change what is written, or other tables: {first}"),
        N_("Drop them in consulta, or copy into another table. Then copy again."),
    ),
    "several_moments": (
        N_("Rows of {table} in prod can't be read at one moment: {first}"),
        N_("Copy from the server that holds the rows, or from a table that holds all of them."),
    ),
    "circular_references": (
        N_("No table of the set can be written first: foreign keys of consulta form a circle: {first}"),
        N_("Let the columns of one of them be NULL, or leave one of the tables out of the set."),
    ),
    "same_table": (
        N_("Prod and consulta are the same table {table} of the same database."),
        N_("Set PROD_DATABASE_URL and CONSULTA_DATABASE_URL to two databases, then copy again."),
    ),
    "key_shared": (
        N_(
            "Consulta's key of {table} ({first}) leaves out the liquidation, and prod has the same key in "
            "another one: its rows would be taken from it."
        ),
        N_("Put the liquidation's column into consulta's key, or copy into another table. Then copy again."),
    ),
    "parents_missing": (
        N_("Rows of {table} belong to the liquidation through others, and consulta lacks some of those."),
        N_("Copy {first} first, which brings them. Then copy this again."),
    ),
    "rows_changed": (
        N_("Somebody else changed rows of {table} in consulta at the same time."),
        N_("Copy again when they are done."),
    ),
    "altered": (
        N_("Table {table} of {side} is being altered, and can't be read meanwhile."),
        N_("Copy again when that has ended."),
    ),
    "altered_by_trigger": (
        N_("Rows differ from those that were written. A trigger of consulta may have altered them: {first}"),
        N_("Disable that trigger in consulta, or copy into another table. Then copy again."),
    ),
    "encoding": (
        N_("The database of {side} is SQL_ASCII: it doesn't say what its bytes mean."),
        N_("Only a database that knows its encoding, such as UTF8, can be copied without loss."),
    ),
    "rows_dropped": (
        N_("A trigger or a rule on {table} in consulta drops rows that the copy brings."),
        N_("Disable it, or copy into another table. Then copy again."),
    ),
    "standby_hidden": (
        N_("Consulta's user may not see how far its standbys are."),
        N_("Grant it pg_monitor, or leave standby_lag_mb out of the configuration."),
    ),
    "not_proven": (
        N_("Both sides were compared and differ: {first}"),
        N_("Somebody may be writing to this liquidation in consulta. Copy again when they are done."),
    ),
    "no_such_label": (
        N_("The type of column {column} of table {table} in {side} doesn't take a value of prod."),
        N_("If it is an enum, add the label that it lacks in consulta. The log of that server names it."),
    ),
    "too_large": (
        N_("A row is larger than the server of {side} can handle (error {sqlstate}): {first}."),
        N_("Leave its largest column out of consulta's table, or make it smaller in prod. Then copy again."),
    ),
    "value": (
        N_("A value of prod doesn't fit into table {table} of {side} (error {sqlstate})."),
        N_("The log of that server names the value. Widen that column in consulta, then copy again."),
    ),
    "login": (
        N_("The server of {side} refused the login: {first}."),
        N_("Check user and password in {variable}."),
    ),
    "no_connect": (
        N_("The server of {side} refused the login: {first}."),
        N_("Ask for CONNECT on the database of {variable}."),
    ),
    "no_database": (
        N_("There is no such database in {side}: {first}."),
        N_("Check the database name in {variable}."),
    ),
    "host_not_allowed": (
        N_("The server of {side} has no entry for this host, user and database in its pg_hba.conf: {first}."),
        N_("Ask its administrator to add one."),
    ),
    "encryption_wanted": (
        N_("The server of {side} takes no connection without encryption from here: {first}."),
        N_("Add `sslmode=require` to {variable}, or ask for an entry in its pg_hba.conf."),
    ),
    "no_encryption": (
        N_("The server of {side} offers no encryption, and the settings ask for it: {first}."),
        N_("Remove `sslmode` from {variable}, or ask its administrator for TLS."),
    ),
    "certificate": (
        N_("The encrypted connection to {side} was not made: {first}."),
        N_("Check the certificates, and `sslmode` and `sslrootcert` in {variable}."),
    ),
    "too_many_connections": (
        N_("The server of {side} has no connection left for this user: {first}."),
        N_("Lower `parallel` in the configuration, or ask for a higher limit. Then try again."),
    ),
    "unreachable": (
        N_("There is no connection to {side}: {first}."),
        N_("Check that {side} is up, and host and port in {variable}. Then try again."),
    ),
    "url_wrong": (
        N_("The URL of {side} isn't taken: {first}."),
        N_("Correct {variable}."),
    ),
    "lock": (
        N_("Somebody else holds locks on the table in {side}."),
        N_("Copy again when they are done."),
    ),
    "deadlock": (
        N_("Somebody else holds locks on the table in {side}."),
        N_("Copy again when they are done."),
    ),
    "disk_full": (
        N_("The server of {side} has run out of resources (error {sqlstate})."),
        N_("Ask its administrator to make room. Then copy again."),
    ),
    "resources": (
        N_("The server of {side} has run out of resources (error {sqlstate})."),
        N_("Ask its administrator to make room. Then copy again."),
    ),
    "timeout": (
        N_("A statement in {side} took longer than that server allows."),
        N_("Copy again; if it stays so, create an index on the liquidation column and the key."),
    ),
    "connection": (
        N_("The connection to {side} was lost."),
        N_("Check that {side} is up, then try again."),
    ),
    "server_down": (
        N_("The connection to {side} was lost."),
        N_("Check that {side} is up, then try again."),
    ),
    "workers_lost": (
        N_("Every worker that tried was lost."),
        N_("Look at the memory and the log of the workers, then copy again."),
    ),
    "worker_lost": (
        N_("Its worker was lost."),
        N_("Another one takes over by itself. Look at the log of the workers if it happens again."),
    ),
    "no_such_copy": (
        N_("The workers' configuration doesn't know this copy any more."),
        N_("Give all processes the same configuration, then copy again."),
    ),
    "copy_changed": (
        N_("The copy isn't what it was when it was asked for, and nothing more was written: {first}"),
        N_("If it is meant so, ask again: {command}"),
    ),
    "nobody_to_approve": (
        N_("It needs the approval of a second person by now, and nobody else can see its card."),
        N_("Ask again in a channel where those who may approve it are: {command}"),
    ),
    "set_failed": (
        N_("Another table of its set was not copied: {first}"),
        N_("Look at that job. When the set is copied again, what is in place is compared only."),
    ),
    "not_permitted": (
        N_("Whoever asked for this copy may not start it any more."),
        N_("Somebody else can ask for it again, out of {first}."),
    ),
    "internal": (
        N_("An internal error: {first}."),
        N_("Give that number to whoever runs Traspaso: the log has the rest."),
    ),
    "database_says": (
        N_("The server of {side} refused (error {sqlstate}): {first}."),
        N_("Do what it says. Then copy again."),
    ),
    "database": (
        N_("A database error in {side} (error {sqlstate})."),
        N_("The log of that server has its own words."),
    ),
}


@dataclass(frozen=True, slots=True)
class Explained:
    """``what`` happened and the ``step`` that comes next, both whole sentences."""

    what: str
    step: str


def explained(failure: Failure | None, t: Translator) -> Explained:
    """The words for a failure; general ones where none was kept."""
    failure = failure or Failure("database", "")
    what, step = WORDS.get(failure.code, WORDS["database"])
    names = {
        "side": failure.side or "?",
        "table": _code(failure.table),
        "column": _code(failure.column),
        "constraint": _code(failure.constraint),
        "sqlstate": failure.sqlstate or "?",
        "command": _code(failure.command),
        "variable": _code(VARIABLES.get(failure.side or "")),
        "first": _code("; ".join(failure.lines), 400 // max(1, f"{what} {step}".count("{first}"))),
    }
    return Explained(t(what, **names), t(step, **names))


def _code(name: object, limit: int = 130) -> str:
    """A name as code; "–" where there is none."""
    return code(str(name), limit) if name else "–"
