"""The wheel of this working copy, as a release builds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from dev.guard import ROOT

#: What is no part of a release.
OURS = (".git", ".venv", ".ci", ".*_cache", ".hypothesis", "dist", "tests", "dev", "docs", "__pycache__")


def copy_source(folder: Path) -> Path:
    """What a release is built from, in a new folder of that name."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*OURS)))


def build_wheel(folder: Path) -> Path:
    """Built into the folder, without a network."""
    source = copy_source(folder / "source")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)
    [wheel] = folder.glob("*.whl")
    return wheel
