"""PgBouncer in transaction mode before embedded clusters, with its own defaults for all else."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from dev.binaries import RunAs, server_account
from dev.guard import Guard
from dev.ports import candidate_port

INSTALL = "sudo apt-get install -y pgbouncer"


class PgBouncerError(RuntimeError):
    """The program isn't there, or it did not start."""


def pgbouncer_program() -> str:
    """Where the program is; root on a Debian gets it installed where it is missing."""
    places = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
    found = shutil.which("pgbouncer", path=places)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "pgbouncer"]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            # A new machine knows no packages before its first update.
            subprocess.run(["apt-get", "update"], capture_output=True, check=False)
            subprocess.run(install, capture_output=True, check=False)
        found = shutil.which("pgbouncer", path=places)
    if found is None:
        raise PgBouncerError(f"pgbouncer is missing; install it: {INSTALL}")
    return found


class PgBouncer:
    """`databases` maps the names that clients use to the URLs of the real ones. A context manager."""

    def __init__(
        self,
        folder: Path,
        databases: Mapping[str, str],
        *,
        guard: Guard,
        settings: Sequence[str] = (),
        tls: bool = False,
    ) -> None:
        """``settings`` are further lines of its configuration; with ``tls`` clients may ask for it."""
        self._folder = folder
        self._settings = [*settings, *(_tls_settings(folder) if tls else [])]
        self._databases = databases
        self._guard = guard
        self.port = candidate_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self, timeout_seconds: float = 20.0) -> None:
        account = server_account()
        run_as: RunAs = account.run_as if account else {}
        targets = [f"{name} = {_words(url)}" for name, url in self._databases.items()]
        own = ["pool_mode = transaction", "auth_type = any", "listen_addr = 127.0.0.1"]
        own += [f"listen_port = {self.port}", "unix_socket_dir =", *self._settings]
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text("\n".join(["[databases]", *targets, "[pgbouncer]", *own, ""]))
        log = self._folder / "pgbouncer.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [pgbouncer_program(), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, **self._guard.mark},
                start_new_session=True,
                **run_as,
            )
        self._guard.process(self._process)
        deadline = time.monotonic() + timeout_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PgBouncerError(f"pgbouncer did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(next(iter(self._databases)))).close()
        except psycopg.OperationalError:
            return False
        return True

    def __enter__(self) -> PgBouncer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _words(url: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return " ".join(f"{key}={parts[key]}" for key in ("host", "port", "dbname", "user"))


def _tls_settings(folder: Path) -> list[str]:
    """A key, and a certificate that it has signed itself, by openssl."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, capture_output=True, check=True)
    for path in (key, certificate):
        path.chmod(0o644)
    return [
        "client_tls_sslmode = allow",
        f"client_tls_key_file = {key}",
        f"client_tls_cert_file = {certificate}",
    ]
