"""A new release takes over from the one before while both are at work, and from the first one's tables."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.guard import ROOT

from .house import open_office, set_scene
from .scene import Office, Scene, until

#: The last commit before the newest schema: its processes go on while this release is rolled out.
BEFORE = "be20109"
#: Of the jobs in it: the local Slack has it from its beginning.
CHANNEL = "C0PAYROLL"
FIRST_TABLES = ROOT / "tests" / "fixtures" / "tracking-tables-0.1.0.sql"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy of the release before."""
    archive = subprocess.run(
        ["git", "archive", BEFORE, "bot", "copier", "migrations"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.fail(
            f"the release before ({BEFORE}) isn't in this copy of the repository: this test needs its "
            "history (git fetch --unshallow)"
        )
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old_office(before: Path) -> Iterator[Office]:
    """The release before: its tables and its bot."""
    with open_office(tree=before) as office:
        yield office


def both_work(office: Office, one: Scene, other: Scene) -> None:
    """Two jobs at once, one held in its middle: each worker has one. Both end well, and are told once."""
    one.seed()
    other.seed(20)
    with one.roadblock() as roadblock:
        held = one.start()
        roadblock.reached(held)
        free = other.start()
        other.completed(free)
    one.completed(held)
    assert one.job(held)["worker"] != other.job(free)["worker"]
    for scene, job_id in ((one, held), (other, free)):
        assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1
        assert scene.events(job_id) == ["requested", "claimed", "completed"]


def test_both_releases_make_jobs_and_run_each_other_s_and_nothing_is_told_twice_or_never(
    old_office: Office,
) -> None:
    office = old_office
    scenes = []
    for number in range(2001, 2007):
        with set_scene(office, number, f"Prueba {number}", f"two-{number}") as scene:
            scenes.append(scene)
    # Each worker has one thread: a job that is held leaves the next one to the other worker.
    one_thread = ("--processes", "1", "--threads", "1")
    stack = office.stack
    older = stack.start_worker("worker-before", arguments=one_thread, env=office.secrets, tree=office.tree)
    older.wait_for_line("ready for action")
    stack.migrate()
    newer = stack.start_worker("worker-new", arguments=one_thread, env=office.secrets)
    newer.wait_for_line("ready for action")
    both_work(office, scenes[0], scenes[1])  # asked for by the bot of the release before

    old_bot, office.tree = office.bot, ROOT
    new_bot = stack.run("bot-new", [sys.executable, "-m", "bot"], env=office.secrets)
    new_bot.wait_until(lambda: "connected to Slack" in new_bot.log(), what="connection to Slack")
    until(lambda: office.slack.ask("sockets")["connected"] == 2, what="both bots")
    both_work(office, scenes[2], scenes[3])  # by either

    old_bot.terminate()
    assert old_bot.wait(30) == 0
    both_work(office, scenes[4], scenes[5])  # by the bot of this release
    for worker in (older, newer, new_bot):
        worker.terminate()
        assert worker.wait(30) == 0
    assert "Traceback" not in older.log() + newer.log() + old_bot.log() + new_bot.log()


def test_a_job_that_release_0_1_0_left_half_way_goes_on_and_ends() -> None:
    with open_office(FIRST_TABLES.read_text("utf-8")) as office:
        office.workers(1)
        half_way, waiting, paused, failed = (Scene(office, number, CHANNEL) for number in (41, 43, 40, 42))
        job = half_way.completed(2)
        assert (job["attempt"], job["total_records"]) == (2, 6_500)
        assert waiting.completed(3)["total_records"] == 2_500
        assert paused.job(4)["status"] == "paused"
        for scene, job_id in ((half_way, 2), (waiting, 3), (failed, 5)):
            scene.told(job_id)
            assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1
        assert len(half_way.chunks(2, 1)) == 2
