"""The product's processes get the settings of production, and are started, watched and killed for real."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from dev.guard import Guard, wait_gone
from dev.processes import Child, ChildError
from dev.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://nowhere.invalid")
        patch.setenv("PGHOST", "nowhere.invalid")
        patch.setenv("SLACK_BOT_TOKEN", "of the developer")
        with Stack(config='[slack]\nadmin_users = ["U0ÑANDÚ"]\n') as stack:
            yield stack


def python(guard: Guard, code: str) -> Child:
    return Child(
        "python", [sys.executable, "-uc", code], dict(os.environ), guard.temp_folder() / "log", guard=guard
    )


def test_the_environment_leads_to_the_servers_of_the_stack_and_nowhere_else(stack: Stack) -> None:
    environment = stack.environment()
    for name, database in [("PROD_DATABASE_URL", "prod"), ("CONSULTA_DATABASE_URL", "consulta")]:
        with psycopg.connect(environment[name]) as connection:
            assert connection.info.dbname == database
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        assert client.ping()
    assert not {"HTTPS_PROXY", "PGHOST", "SLACK_BOT_TOKEN"} & environment.keys()
    assert "U0ÑANDÚ" in Path(environment["TRASPASO_CONFIG"]).read_text(encoding="utf-8")


def test_a_child_gets_the_environment_and_is_ready_when_its_log_says_so(stack: Stack) -> None:
    code = "import os, time; print('ready', os.environ['REDIS_URL'], os.environ['X']); time.sleep(600)"
    child = stack.run("child", [sys.executable, "-c", code], ready="ready", env={"X": "y"})
    assert child.log() == f"ready {stack.valkey.url} y\n"
    child.terminate()
    assert child.wait() == -signal.SIGTERM


def test_both_sides_are_clusters_of_their_own(stack: Stack) -> None:
    identifier = "SELECT system_identifier FROM pg_control_system()"
    assert stack.prod.psql(identifier) != stack.consulta.psql(identifier)


def test_kill_takes_the_helpers_of_a_child_with_it(guard: Guard) -> None:
    child = python(
        guard,
        "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, 'helps'); time.sleep(600)",
    )
    helper = psutil.Process(int(child.wait_for_line("helps").split()[0]))
    child.kill()
    assert child.returncode == -signal.SIGKILL
    assert wait_gone([helper], 5.0) == []


def test_a_child_that_ends_before_it_is_ready_says_why(guard: Guard) -> None:
    child = python(guard, "raise SystemExit('no database')")
    with pytest.raises(ChildError, match=r"ended with 1 before 'ready'\nno database"):
        child.wait_for_line("ready")
