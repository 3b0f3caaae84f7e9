"""What a command of the shell loads before it begins; whoever types it waits for each module."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bot.cli import LISTED, main
from bot.cli.help import HIDDEN, Listed
from dev.guard import ROOT

#: Whatever talks to Slack, to Redis or to an operator's other systems: no copy in a shell needs any of it.
OF_OTHERS = {
    *("slack_sdk", "slack_bolt", "dramatiq", "redis", "asyncio", "aiohttp"),
    *("apprise", "opentelemetry", "prometheus_client", "structlog", "uvicorn", "cronsim"),
}
#: Loaded when there is something to migrate, and when there is a table or a bar to draw.
LATER = {"alembic", "rich"}
#: What a copy does need, and a look at the help doesn't.
OF_A_COPY = {"sqlalchemy", "psycopg", "pydantic", "babel", "bot.config", "bot.app", "bot.jobs", "copier"}
#: What sets, runs, searches, schedules and buttons need, and a copy of one table doesn't.
OF_OTHER_COMMANDS = {
    *("copier.set_explanation", "copier.liquidation_search", "copier.discovery"),
    *("bot.jobs.actions", "bot.jobs.schedules", "bot.jobs.freezes", "bot.jobs.cards"),
    *("bot.messages.run_proposal", "bot.messages.verification", "bot.cli.job_commands"),
}


def loaded_by(program: str, **environment: str) -> set[str]:
    """The modules of a new process that has run this program, and the packages that they are in."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import atexit, sys\natexit.register(lambda: print(*sys.modules))\n{program}",
        ],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = ended.stdout.splitlines()[-1].split()
    return {".".join(parts[: n + 1]) for parts in (name.split(".") for name in modules) for n in range(3)}


def test_the_list_of_commands_waits_for_no_driver_and_no_library_but_click() -> None:
    loaded = loaded_by("from bot.cli import main\nmain(['--help'])")
    assert "click" in loaded
    assert loaded & (OF_OTHERS | LATER | OF_A_COPY) == set()


def test_a_copy_in_the_shell_waits_for_nothing_of_slack_and_nothing_of_redis() -> None:
    loaded = loaded_by(
        "import os\n"
        "from bot import app, config\n"
        "from bot.cli import copy_commands\n"
        "settings, wrong = config.read(os.environ, config.Need.DATABASES)\n"
        "assert not wrong\n"
        "app.databases(settings)",
        PROD_DATABASE_URL="postgresql://reader@pgsql-prod/payroll",
        CONSULTA_DATABASE_URL="postgresql://traspaso@pgsql-consulta/consulta",
        REDIS_URL="redis://:password@redis:6379/0",
    )
    assert loaded >= {"sqlalchemy", "psycopg", "bot.app"}
    assert loaded & ((OF_OTHERS | LATER) - {"asyncio"}) == set()  # SQLAlchemy loads its other drivers' parts
    assert loaded >= {"bot.jobs.models", "copier.copy"}
    assert loaded & OF_OTHER_COMMANDS == set()


@pytest.mark.parametrize(("name", "listed"), LISTED.items())
def test_a_line_of_the_list_is_whole_and_its_command_is_there(name: str, listed: Listed) -> None:
    command = main.get_command(main.make_context("traspaso", [name, "--help"]), name)
    assert command is not None
    assert command.name == name
    assert len(name) + len(listed.line) <= 70  # of the 80 of a terminal, so that nothing is cut off
    assert listed.line.endswith(".") or listed.line == HIDDEN
