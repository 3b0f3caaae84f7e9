"""A streaming hot standby of an embedded cluster, made by pg_basebackup."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from dev.binaries import installed_programs
from dev.guard import Guard
from dev.postgres import PostgresError, PostgresServer


class Standby(PostgresServer):
    """Follows the primary, which must be up, from its first start on."""

    def __init__(
        self,
        primary: PostgresServer,
        folder: Path,
        name: str,
        settings: Mapping[str, str] | None = None,
        *,
        guard: Guard,
    ) -> None:
        follows = {
            "hot_standby": "on",
            "primary_conninfo": f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}",
            "wal_receiver_status_interval": "1s",
            "wal_retrieve_retry_interval": "50ms",
        }
        super().__init__(folder, name, {**follows, **(settings or {})}, guard=guard)
        self._primary = primary

    def catch_up(self, timeout_seconds: float = 30.0) -> None:
        """Returns when all that the primary has written by now is replayed here."""
        with psycopg.connect(self._primary.url()) as there, psycopg.connect(self.url()) as here:
            there.execute("SELECT pg_switch_wal()")  # flushes what asynchronous commits left in memory
            (written,) = there.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
            deadline = time.monotonic() + timeout_seconds
            while here.execute("SELECT pg_last_wal_replay_lsn() >= %s", [written]).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise PostgresError(f"{self.name} doesn't catch up with {self._primary.name}")
                time.sleep(0.01)

    def _initialize(self) -> None:
        self.folder.mkdir(parents=True)
        command = [str(installed_programs() / "pg_basebackup"), "--no-sync", "--checkpoint=fast"]
        command += [f"--pgdata={self.data}", f"--dbname={self._primary.url()}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PostgresError(f"pg_basebackup of {self._primary.name} failed:\n{done.stderr}")
        (self.data / "standby.signal").touch()
        if self._account is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)
