"""A terminal with the settings of both databases, for the tests of `traspaso`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from dev.guard import ROOT
from dev.processes import PRODUCT_PROGRAMS
from tests.copying import Sides

FILE = """
[[copies]]
name = "items"
source_table = "public.items"
target_table = "public.items"
[work]
chunk_rows = 1000
parallel = 1
chunk_seconds = 60
lock_timeout_seconds = 60
stop_seconds = 60
"""
ROWS = 5_000
PASSWORD = "hunter2-very-secret"


class Shell:
    """A terminal of somebody who has set the two databases and nothing else."""

    def __init__(self, sides: Sides, folder: Path) -> None:
        self.sides = sides
        path = folder / "traspaso.toml"
        path.write_text(FILE, "utf-8")
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PROD_DATABASE_URL": sides.prod.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "CONSULTA_DATABASE_URL": sides.consulta.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "TRASPASO_CONFIG": str(path),
        }

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PRODUCT_PROGRAMS / "traspaso", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.begin(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        assert PASSWORD not in out + err
        return process.returncode, out, err

    def jobs(self) -> list[dict[str, Any]]:
        found = self.sides.consulta.rows("SELECT to_jsonb(j) FROM traspaso.copy_jobs j ORDER BY id")
        return [row[0] for row in found]
