"""What an operator does on a new machine works as it is written: the wheel, its files, and the Procfile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.guard import ROOT
from dev.processes import PRODUCT_PROGRAMS, Child
from tests.wheel import build_wheel

from .scene import Office

#: What `traspaso init` writes without a database to look at -> where that is in the repository.
SHIPPED = {
    "traspaso.toml": "traspaso.example.toml",
    **{
        name: name
        for name in (
            *(
                "manifest.yml",
                "Procfile",
                "requirements-prod.lock",
                ".slack/hooks.json",
                ".slack/config.json",
            ),
            *(path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy").rglob("*") if path.is_file()),
        )
    },
}


def run(*argv: object, folder: Path, **environment: str) -> str:
    env = {**os.environ, **environment}
    done = subprocess.run(
        [str(part) for part in argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; the packages that it needs are those of this one."""
    folder = tmp_path_factory.mktemp("installation")
    wheel = build_wheel(folder)
    venv.create(folder / "env", with_pip=False, symlinks=True)
    pip = ("-m", "pip", "--python", folder / "env", "install", "--no-deps", "--no-index", wheel)
    run(sys.executable, *pip, folder=folder, PIP_DISABLE_PIP_VERSION_CHECK="1")
    return folder


def environment(installed: Path) -> dict[str, str]:
    """The programs of the new environment come first; its packages before those of this one."""
    path = f"{installed / 'env' / 'bin'}{os.pathsep}{PRODUCT_PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    [others] = [each for each in sys.path if each.endswith("site-packages")]
    return {"PATH": path, "PYTHONPATH": others}


def test_the_wheel_brings_the_files_that_an_installation_begins_with(installed: Path, tmp_path: Path) -> None:
    traspaso = installed / "env" / "bin" / "traspaso"
    run(traspaso, "init", folder=tmp_path, **environment(installed))
    for name, original in SHIPPED.items():
        assert (tmp_path / name).read_bytes() == (ROOT / original).read_bytes()
    (tmp_path / "traspaso.toml").write_text("mine", "utf-8")
    said = run(traspaso, "init", folder=tmp_path, **environment(installed))
    assert "traspaso.toml is there already" in said
    assert (tmp_path / "traspaso.toml").read_text("utf-8") == "mine"


def test_the_procfile_runs_as_it_is_on_a_database_that_was_never_migrated(
    office: Office, installed: Path, tmp_path: Path
) -> None:
    """By honcho, with the wheel's files in a new folder and the settings in `.env` alone."""
    office.workers(0)
    office.stop_bot()
    run(installed / "env" / "bin" / "traspaso", "init", folder=tmp_path, **environment(installed))
    office.stack.consulta.create_database("procfile")
    settings = {
        **office.stack.environment(),
        "CONSULTA_DATABASE_URL": office.stack.consulta.url("procfile"),
        "TRASPASO_CONFIG": "traspaso.toml",
    }
    ours = {name for name in settings if name.endswith("_URL") or name.startswith(("SLACK_", "TRASPASO_"))}
    (tmp_path / ".env").write_text("".join(f"{name}={settings[name]}\n" for name in ours), "utf-8")
    clean = {name: value for name, value in settings.items() if name not in ours}
    child = Child(
        "honcho",
        [PRODUCT_PROGRAMS / "honcho", "start"],
        {**clean, **environment(installed), "PYTHONUNBUFFERED": "1"},
        tmp_path / "honcho.log",
        guard=office.stack.guard,
        cwd=tmp_path,
    )

    def beat() -> str:
        return office.stack.consulta.psql("SELECT max(beat_at) FROM traspaso.workers", "procfile")

    try:
        child.wait_for_line("connected to Slack")
        child.wait_for_line("ready for action")
        since = beat()
        child.wait_until(lambda: beat() > since, what="a sign of life of the worker")
    finally:
        child.terminate()
        child.wait(60)
    office.restart_bot()


def test_the_slack_cli_gets_the_manifest_and_runs_a_bot_and_a_worker(
    office: Office, installed: Path, tmp_path: Path
) -> None:
    """The hooks as the Slack CLI calls them: by a shell, with the tokens under names of its own."""
    office.workers(0)
    office.stop_bot()
    run(installed / "env" / "bin" / "traspaso", "init", folder=tmp_path, **environment(installed))
    office.stack.consulta.create_database("hooks")
    settings = {
        **office.stack.environment(),
        **environment(installed),
        "CONSULTA_DATABASE_URL": office.stack.consulta.url("hooks"),
        "TRASPASO_CONFIG": "traspaso.toml",
    }
    settings["SLACK_CLI_XAPP"], settings["SLACK_CLI_XOXB"] = (
        settings.pop("SLACK_APP_TOKEN"),
        settings.pop("SLACK_BOT_TOKEN"),
    )

    def answer(command: str) -> dict[str, Any]:
        shell = ["sh", "-c", command]
        done = subprocess.run(shell, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    known = json.loads((tmp_path / ".slack" / "hooks.json").read_text("utf-8"))["hooks"]
    found = answer(known["get-hooks"])
    assert found["config"] == {"protocol-version": ["default"], "sdk-managed-connection-enabled": True}
    hooks = found["hooks"]
    assert answer(hooks["get-manifest"]) == yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
    assert [each["name"] for each in answer(hooks["doctor"])["versions"]][:2] == ["python", "traspaso"]

    child = Child(
        "slack-run",
        ["sh", "-c", f"exec {hooks['start']}"],
        {**settings, "PYTHONUNBUFFERED": "1"},
        tmp_path / "slack-run.log",
        guard=office.stack.guard,
        cwd=tmp_path,
    )
    alive = "SELECT count(*) FROM traspaso.workers WHERE ended_at IS NULL AND takes_jobs"
    try:
        child.wait_for_line("connected to Slack")
        child.wait_until(lambda: office.stack.consulta.psql(alive, "hooks") == "1\n", what="a worker")
    finally:
        child.terminate()
        assert child.wait(60) == 0
    assert office.stack.consulta.psql(alive, "hooks") == "0\n"
    office.restart_bot()
