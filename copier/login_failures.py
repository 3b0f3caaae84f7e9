"""Why a server, a pooler or the network lets nobody in, from what libpq says of a failed attempt.

libpq gives the server's message, which is in the server's language, without its SQLSTATE. So where a server
has answered, the attempt is made once more, with libpq's trace on, and the code is read from that.
The same words have the same code: they are asked about once in a process.

What libpq says on its own is always English: a host that nobody knows, a port on which nobody listens.
Nothing of all this holds a row's value; the password is taken out.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

#: How long the attempt that reads the code may take, in seconds.
ASK_SECONDS = 5.0
#: So many words are remembered with their code.
MOST_WORDS = 200

#: How the trace writes what a server refuses with.
_ERROR_RESPONSE = re.compile(r'\tErrorResponse\t S "[^"]*" (?:V "[^"]*" )?C "(\w{5})"')
#: What libpq puts before the words of a server, or before its own.
_ATTEMPT = re.compile(r"^(?:connection (?:failed|is bad): )*(?:connection to server [^\n]*? failed: )?")
#: The severity, in the server's language: "FATAL:  " or "FATAL : ".
_SEVERITY = re.compile(r"^[^\W\d_]{2,20}\s?:  (?=\S)")
#: libpq's own words for what it finds out before or without a server's answer.
_OWN_WORDS = re.compile(
    r"Connection refused|No such file or directory|timeout expired|could not translate host name|"
    r"failed to resolve host|server does not support SSL|SSL|certificate|invalid |definition of service|"
    r"no password supplied|No route to host|Network is unreachable|Connection reset|Permission denied|"
    r"server closed the connection|could not (?:receive|send) data|expected authentication|"
    r"session is (?:not )?read-only|server is (?:not )?in hot standby"
)


@dataclass(frozen=True, slots=True)
class LoginFailure:
    """Why nobody is let in.

    ``condition`` names the kind and ``sentence`` says it of ``side``; ``said`` are the words of the server or
    of libpq. ``passes``: another attempt may be let in, without anybody acting on the settings.
    """

    condition: str
    sentence: str
    said: str
    passes: bool
    sqlstate: str | None = None


def login_failure(error: psycopg.Error, side: str) -> LoginFailure | None:
    """What a failed attempt to connect to ``side`` means; None for any other error.

    May ask the server once more, for at most `ASK_SECONDS`.
    """
    if not _is_attempt(error):
        return None
    said = _said(error)
    code = _code_of(error)
    name, sentence, passes = _by_code(code, said, error) if code else _by_words(said)
    return LoginFailure(name, sentence.format(side=side, said=said, grant=_grant(error)), said, passes, code)


def _is_attempt(error: psycopg.Error) -> bool:
    """psycopg hands the connection out with the error of an attempt only."""
    return (
        error.pgconn is not None
        or isinstance(error, psycopg.errors.ConnectionTimeout)
        or str(error).startswith("failed to resolve host")
    )


# ----------------------------------------------------------------------------
# Kinds: a condition, its sentence, and whether it passes

_Kind = tuple[str, str, bool]

LOGIN: _Kind = ("LoginRefused", "{side} refused the login: {said}. Check the user and the password", False)
NO_DATABASE: _Kind = ("NoSuchDatabase", "{side} has no such database: {said}. Check the database name", False)
NO_ENTRY: _Kind = (
    "HostNotAllowed",
    "{side} has no entry for this host, user and database in its pg_hba.conf: {said}. Have one added there",
    False,
)
NO_ENCRYPTION: _Kind = (
    "EncryptionWanted",
    "{side} takes no connection without encryption from here: {said}. Add sslmode=require to its URL, or "
    "have an entry added to pg_hba.conf there",
    False,
)
NO_TLS: _Kind = (
    "NoEncryption",
    "{side} offers no encryption, and its URL asks for it: {said}. Remove sslmode, or have TLS set up there",
    False,
)
CERTIFICATE: _Kind = (
    "CertificateRefused",
    "the encrypted connection to {side} was not made: {said}. Check the certificates, and sslmode and "
    "sslrootcert in its URL",
    False,
)
FULL: _Kind = (
    "TooManyConnections",
    "{side} has no connection left for this user: {said}. Lower [work] parallel, or have the limit raised",
    True,
)
NOT_NOW: _Kind = ("NotReady", "{side} takes no connections now: {said}", True)
HOST: _Kind = ("HostUnknown", "nobody knows the host of {side}: {said}. Check the host in its URL", True)
NOBODY: _Kind = (
    "NobodyListens",
    "nobody listens where {side} should be: {said}. Check that it is up, and host and port in its URL",
    True,
)
NO_ANSWER: _Kind = (
    "NoAnswer",
    "{side} doesn't answer: {said}. Check that it is up, its firewall, and host and port in its URL",
    True,
)
URL_WRONG: _Kind = ("UrlWrong", "libpq doesn't take the URL of {side}: {said}", False)
WRONG_ROLE: _Kind = (
    "NoFittingHost",
    "no host of {side} is what target_session_attrs asks for: {said}",
    True,
)
OTHER: _Kind = ("ConnectionFailed", "the connection to {side} failed: {said}", True)

NO_CONNECT: _Kind = ("NoConnect", "{side} refused the login: {said}. Run there: {grant}", False)

#: All conditions of a login failure.
CONDITIONS = frozenset(
    name
    for name, *_ in (
        *(LOGIN, NO_CONNECT, NO_DATABASE, NO_ENTRY, NO_ENCRYPTION, NO_TLS, CERTIFICATE, FULL, NOT_NOW),
        *(HOST, NOBODY, NO_ANSWER, URL_WRONG, WRONG_ROLE, OTHER),
    )
)

#: Words of poolers, which give most of their refusals one code. Theirs are English.
_POOLER_FULL = re.compile(r"(?i)max_?clients|too many|no more connections|pool is full|query_wait_timeout")
_POOLER_REFUSES = re.compile(
    r"(?i)no such|not found|does not exist|not allowed|auth|login failed|password|unsupported|config error"
)
#: libpq's own words, the first that fit.
_WORDS: tuple[tuple[str, _Kind], ...] = (
    (r"could not translate host name|failed to resolve host", HOST),
    (r"Connection refused|^No such file or directory$", NOBODY),
    (r"timeout expired|No route to host|Network is unreachable", NO_ANSWER),
    (r"server does not support SSL", NO_TLS),
    (r"(?i)^(?!.*pg_hba).*(?:certificate|SSL error|sslkey|private key)", CERTIFICATE),
    (r"session is (?:not )?read-only|server is (?:not )?in hot standby", WRONG_ROLE),
    (r"invalid .*(?:value|number|option)|definition of service|could not match", URL_WRONG),
    (
        r"password authentication failed|no password supplied|is not permitted to log in|"
        r"authentication method requirement|role .* does not exist",
        LOGIN,
    ),
    (r"no pg_hba.conf entry|pg_hba.conf rejects", NO_ENTRY),
    (r"database .* does not exist", NO_DATABASE),
    (r"too many (?:clients|connections)|remaining connection slots", FULL),
    (r"is starting up|is shutting down|not yet accepting|in recovery mode", NOT_NOW),
)


def _by_code(code: str, said: str, error: psycopg.Error) -> _Kind:
    if code == "3D000":
        return NO_DATABASE
    if code[:2] == "28":
        if "pg_hba.conf" not in said:
            return LOGIN
        return NO_ENCRYPTION if _is_plain(error) else NO_ENTRY
    if code == "42501":
        return NO_CONNECT
    if code[:2] == "53":
        return FULL if code == "53300" else NOT_NOW
    if code[:2] == "57":
        return NOT_NOW
    if code[:2] in {"08", "XX"}:
        if _POOLER_FULL.search(said):
            return FULL
        return LOGIN if code[:2] == "XX" or _POOLER_REFUSES.search(said) else NOT_NOW
    return LOGIN


def _by_words(said: str) -> _Kind:
    return next((kind for words, kind in _WORDS if re.search(words, said, re.DOTALL)), OTHER)


def _is_plain(error: psycopg.Error) -> bool:
    """Whether encryption was not even asked for."""
    modes = {b"disable", b"allow"}
    return error.pgconn is not None and _option(error.pgconn, b"sslmode") in modes


def _grant(error: psycopg.Error) -> str:
    database, user = (
        sql.Identifier(part.decode(errors="replace") or "?").as_string()
        for part in ((error.pgconn.db, error.pgconn.user) if error.pgconn else (b"", b""))
    )
    return f"GRANT CONNECT ON DATABASE {database} TO {user}"


#: Where no server is: an attempt to connect to it ends after its options were read.
_NOWHERE = "/nonexistent"


def wrong_value(options: Mapping[str, str]) -> str | None:
    """What libpq says of a value that it doesn't take, such as an unknown sslmode; asks no server."""
    places = {"host": ",".join([_NOWHERE] * (options.get("host", "").count(",") + 1)), "hostaddr": None}
    conn = pq.PGconn.connect_start(make_conninfo("", **{**options, **places}).encode())
    try:
        if conn.status != pq.ConnStatus.BAD:
            return None
        said = _lines(conn.error_message.decode(errors="replace"))[0]
        return None if said.startswith("connection to server") else said
    finally:
        conn.finish()


# ----------------------------------------------------------------------------
# Words


def _said(error: psycopg.Error) -> str:
    """The words of the last host that was tried: one line, without the password."""
    text = str(error)
    if error.pgconn is not None and error.pgconn.error_message:
        text = error.pgconn.error_message.decode(errors="replace")
    words = [_SEVERITY.sub("", _ATTEMPT.sub("", line.strip())) for line in _lines(text)]
    said = (words or ["no reason was given"])[-1].rstrip(".")
    if error.pgconn is not None and (password := error.pgconn.password.decode(errors="replace")):
        said = said.replace(password, "***") if len(password) > 3 else said
    # A password with an @ that isn't percent-encoded is half of it in the host.
    return re.sub(r"host (name )?(['\"])[^'\"]*@", r"host \1\2", said)


def _lines(text: str) -> list[str]:
    """One an attempt, such as those with and without encryption: libpq's hints begin with a tab."""
    first = text.split("\nMultiple connection attempts failed", 1)[0]
    return [line for line in first.splitlines() if line.strip() and not line.startswith("\t")]


# ----------------------------------------------------------------------------
# The code

_codes: dict[str, str | None] = {}
_lock = threading.Lock()


def _code_of(error: psycopg.Error) -> str | None:
    """The SQLSTATE of a server that spoke; None where none did, or it can't be had."""
    pgconn = error.pgconn
    if pgconn is None or not pgconn.info or not pgconn.error_message:
        return None
    text = pgconn.error_message.decode(errors="replace")
    last = _ATTEMPT.sub("", _lines(text)[-1].strip()) if _lines(text) else ""
    if not _SEVERITY.match(last) and _OWN_WORDS.search(last):
        return None
    with _lock:
        if text in _codes:
            return _codes[text]
    code = _ask_again(pgconn)
    with _lock:
        if len(_codes) >= MOST_WORDS:
            _codes.clear()
        if code is not None:
            _codes[text] = code
    return code


def _ask_again(pgconn: pq.abc.PGconn) -> str | None:
    """Connects once more, as libpq did, and reads the code from its trace, which goes into a pipe."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        _attempt(_conninfo(pgconn), writer)
        found = _ERROR_RESPONSE.findall(_read(reader))
    except (psycopg.Error, OSError):
        return None
    finally:
        os.close(reader)
        os.close(writer)
    return found[-1] if found else None


def _attempt(conninfo: bytes, writer: int) -> None:
    conn = pq.PGconn.connect_start(conninfo)
    try:
        if conn.status == pq.ConnStatus.BAD:
            return
        conn.trace(writer)
        until = time.monotonic() + ASK_SECONDS
        wanted = {pq.PollingStatus.READING: select.POLLIN, pq.PollingStatus.WRITING: select.POLLOUT}
        status = pq.PollingStatus.WRITING
        while status in wanted and (left := until - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(conn.socket, wanted[status])
            if poll.poll(left * 1000):
                status = pq.PollingStatus(conn.connect_poll())
        conn.untrace()
    finally:
        conn.finish()


def _conninfo(pgconn: pq.abc.PGconn) -> bytes:
    """The options of this attempt. What is printed with a D is for debugging, and some of it isn't taken."""
    options = {
        option.keyword.decode(): option.val.decode()
        for option in pgconn.info
        if option.val and option.dispchar != b"D"
    }
    return make_conninfo("", **options).encode()


def _option(pgconn: pq.abc.PGconn, keyword: bytes) -> bytes | None:
    return next((option.val for option in pgconn.info if option.keyword == keyword), None)


def _read(reader: int) -> str:
    try:
        return os.read(reader, 1 << 16).decode(errors="replace")
    except BlockingIOError:
        return ""
