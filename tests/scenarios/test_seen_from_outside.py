"""Who watches the house from outside learns from its ports how it is, and from what it counts what it did."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from dev.guard import ROOT
from dev.ports import candidate_port
from dev.processes import Child
from dev.proxy import Proxy
from tests.collector import TraceCollector
from tests.scrape import Port

from .scene import PASSWORD, ROW_VALUE, ROWS, Office, Scene, until

PARTS = {"prod", "consulta", "schema", "workers", "outbox", "redis"}
#: By when what has changed shows: what was found counts for up to five seconds.
SOON = 15.0


class SeenBot:
    """A bot with a port: the same for one scenario after the other, until one of them has another bot."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._child: Child | None = None
        self._port = Port(candidate_port())

    def port(self) -> Port:
        self._office.stop_http_bot()
        if self._child is not self._office.bot or not self._office.bot.running:
            self._port = Port(candidate_port())
            self._office.restart_bot(HEALTH_PORT=str(self._port.port))
            self._child = self._office.bot
        return self._port

    def leave(self) -> None:
        """The bot runs as the other scenarios expect it."""
        if self._child is self._office.bot:
            self._office.restart_bot()


@pytest.fixture(scope="module")
def _seen(office: Office) -> Iterator[SeenBot]:
    seen = SeenBot(office)
    yield seen
    seen.leave()


@pytest.fixture
def bot(_seen: SeenBot) -> Port:
    """The bot's port."""
    return _seen.port()


@pytest.fixture
def worker(office: Office) -> Port:
    port = candidate_port()
    office.own_worker({"HEALTH_PORT": str(port)})
    return Port(port)


def reaches(office: Office, side: str, proxy: Proxy, port: int) -> dict[str, str]:
    """The environment of a process whose way to this side leads through the proxy."""
    name, server = f"{side.upper()}_DATABASE_URL", getattr(office.stack, side)
    url = office.secrets[name].replace(f":{server.port}/", f":{proxy.port}/")
    return {"HEALTH_PORT": str(port), name: url}


def test_a_bot_and_a_worker_that_are_well_say_so_and_tell_no_secret(
    office: Office, scene: Scene, bot: Port, worker: Port
) -> None:
    for port, others in ((bot, {"slack"}), (worker, set())):
        health, ready = port.checks("/healthz"), until(lambda p=port: not p.wrong() and p.checks("/readyz"))
        assert (health.pop("code"), ready.pop("code")) == (200, 200)
        assert set(ready) == PARTS | others
        assert all(0 <= each["ms"] < 3000 for each in ready.values())
        assert any(name.endswith("outbox-relay-1") for name in health)
        text = port.get("/healthz").text + port.get("/readyz").text + port.get("/metrics").text
        for secret in (PASSWORD, office.stack.environment()["SLACK_BOT_TOKEN"]):
            assert secret not in text
        assert port.get("/nowhere").status_code == 404
        assert port._client.post("/readyz").status_code == 405
    assert any(name.endswith("sweeper") for name in worker.checks("/healthz"))
    assert {"socket-reader", "socket-messages", "worker-watch"} <= set(bot.checks("/healthz"))
    assert bot.checks("/readyz")["slack"]["says"].startswith("connected")


def test_what_is_away_is_named_with_the_next_step_and_the_process_counts_as_alive(
    office: Office, scene: Scene, bot: Port
) -> None:
    office.workers(1)
    until(lambda: not bot.wrong())
    office.pretend(silent_seconds=60)
    until(lambda: bot.wrong() == {"workers": "no worker is alive, so copies wait: start one"}, SOON)
    office.pretend()
    office.stack.valkey.stop()
    until(lambda: list(bot.wrong()) == ["redis"] and "nobody listens there" in bot.wrong()["redis"], SOON)
    office.stack.valkey.start()
    until(lambda: not bot.wrong(), SOON)
    scene.slack.fault("apps.connections.open", status=500, times=4)
    scene.slack.disconnect_sockets(None)
    until(lambda: list(bot.wrong()) == ["slack"], SOON)
    until(lambda: not bot.wrong(), 60)
    [version] = (
        office.consulta.execute("SELECT version_num FROM traspaso.alembic_version").fetchone().values()
    )
    office.consulta.execute("UPDATE traspaso.alembic_version SET version_num = '0001'")
    try:
        wrong = until(lambda: (found := bot.wrong()) and "schema" in found and found, SOON)
    finally:
        office.consulta.execute("UPDATE traspaso.alembic_version SET version_num = %s", [version])
        until(lambda: not bot.wrong(), SOON)
    assert "run `traspaso migrate`" in wrong["schema"]
    assert bot.checks("/healthz")["code"] == 200


def test_a_message_that_waits_for_too_long_shows(office: Office, scene: Scene, bot: Port) -> None:
    office.workers(1)
    scene.seed(10)
    job_id = scene.start()
    scene.completed(job_id)
    office.consulta.execute(
        "UPDATE traspaso.outbox SET done_at = NULL, failures = 3, failing_since = now() - interval '400 s', "
        "next_try_at = now() + interval '5 min' WHERE job_id = %s AND kind = 'ending'",
        [job_id],
    )
    until(lambda: "the log says what Slack answers" in bot.wrong().get("outbox", ""), SOON)
    seconds = until(lambda: bot.metric("traspaso_outbox_age_seconds", kind="ending"), SOON)
    assert 400 <= seconds < 500
    assert bot.metric("traspaso_outbox_messages", kind="ending") == 1


@pytest.mark.parametrize("fault", ["refuse", "stall"])
def test_a_database_that_is_away_or_hangs_is_a_figure_and_no_wait(
    office: Office, scene: Scene, fault: str
) -> None:
    office.workers(1)
    with Proxy(office.stack.consulta.port) as proxy:
        port = Port(candidate_port())
        office.restart_bot(**reaches(office, "consulta", proxy, port.port))
        try:
            until(lambda: port.metric("traspaso_up", target="consulta") == 1)
            if fault == "refuse":
                proxy.refuse()
                proxy.cut()
            else:
                proxy.stall()
            until(lambda: port.metric("traspaso_up", target="consulta") == 0, SOON)
            began = time.monotonic()
            assert port.metric("traspaso_up", target="prod") == 1
            assert time.monotonic() - began < 7
            until(lambda: not any(name.startswith("traspaso_jobs") for name, _ in port.metrics()), SOON)
            assert {"consulta", "schema", "workers", "outbox"} <= set(port.wrong())
            assert port.checks("/healthz")["code"] == 200
            proxy.resume()
            proxy.allow()
            until(lambda: port.metric("traspaso_up", target="consulta") == 1, 60)
        finally:
            proxy.resume()
            proxy.allow()
            office.restart_bot()


def test_however_many_ask_the_databases_are_asked_once_in_a_while(office: Office, scene: Scene) -> None:
    office.workers(1)
    with Proxy(office.stack.prod.port) as proxy:
        port = Port(candidate_port())
        office.restart_bot(**reaches(office, "prod", proxy, port.port))
        try:
            until(lambda: not port.wrong())
            before, began = proxy.round_trips, time.monotonic()
            with ThreadPoolExecutor(8) as many:
                codes = [answer.status_code for answer in many.map(lambda _: port.get("/readyz"), range(200))]
            seconds = time.monotonic() - began
            assert set(codes) == {200}
            assert proxy.round_trips - before <= 4 * (seconds / 2 + 1)
        finally:
            office.restart_bot()


def test_what_copies_did_is_counted_and_stays_counted_when_their_jobs_are_deleted(
    office: Office, scene: Scene, bot: Port, worker: Port
) -> None:
    scene.seed()

    def counted(port: Port) -> dict[str, float]:
        return {
            "completed": port.metric("traspaso_jobs_ended_total", copy="items", status="completed"),
            "inserted": port.metric("traspaso_rows_total", copy="items", change="inserted"),
            "chunks": port.metric("traspaso_chunk_seconds_count", copy="items"),
            "slack": port.metric("traspaso_slack_call_seconds_count", method="chat.postMessage"),
        }

    until(lambda: worker.metric("traspaso_workers", version="0.1.0") == 1, SOON)
    before = counted(worker)
    sent = worker.metric("traspaso_copied_bytes_total", copy="items")
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        done = until(lambda: worker.metric("traspaso_running_rows_done", copy="items"), SOON)
        assert worker.metric("traspaso_jobs", copy="items", status="running") == 1
        assert 0 < done < worker.metric("traspaso_running_rows", copy="items") == ROWS
        assert counted(worker)["inserted"] == before["inserted"] + done
    job = scene.completed(job_id)
    wanted = {"completed": 1, "inserted": ROWS, "chunks": job["chunks_done"]}

    def grown() -> bool:
        now = counted(worker)
        return all(now[name] - before[name] == more for name, more in wanted.items())

    until(grown, SOON)
    assert worker.metric("traspaso_copied_bytes_total", copy="items") - sent == job["copied_bytes"]
    assert (
        worker.metric("traspaso_chunk_seconds_bucket", copy="items", le="+Inf") == counted(worker)["chunks"]
    )
    last = worker.metric("traspaso_last_completed_timestamp_seconds", copy="items")
    assert last == pytest.approx(job["finished_at"].timestamp(), abs=5)

    def both_are_told() -> bool:  # the card and the reply
        return counted(bot)["slack"] + counted(worker)["slack"] - before["slack"] >= 2

    until(both_are_told, SOON)

    office.consulta.execute("DELETE FROM traspaso.copy_jobs WHERE id = %s", [job_id])
    other = Port(candidate_port())
    office.own_worker({"HEALTH_PORT": str(other.port)})  # it knows nothing of what was counted before
    until(other.answers)
    until(lambda: other.metric("traspaso_rows_total", copy="items", change="inserted"), SOON)
    now = counted(other)
    assert all(now[name] - before[name] == more for name, more in wanted.items())


def test_a_job_that_fails_or_loses_its_worker_is_counted_by_its_class(
    office: Office, scene: Scene, bot: Port
) -> None:
    before = bot.metric("traspaso_takeovers_total", copy="items")
    with scene.halfway() as (job_id, roadblock):
        office.worker_of(scene.job(job_id)).kill()
        office.workers(1)
        until(lambda: bot.metric("traspaso_takeovers_total", copy="items") == before + 1, 60)
        roadblock.lift()
        scene.completed(job_id)
    failed = bot.metric("traspaso_job_failures_total", copy="items", code="check")
    office.consulta.execute(
        f"ALTER TABLE liquidation_items ADD CONSTRAINT closed "
        f"CHECK (liquidation_id <> {scene.liquidation}) NOT VALID"
    )
    try:
        office.prod.execute(
            "UPDATE liquidation_items SET amount = 1 WHERE liquidation_id = %s", [scene.liquidation]
        )
        scene.ended(scene.start(), "failed")
    finally:
        office.consulta.execute("ALTER TABLE liquidation_items DROP CONSTRAINT closed")
    until(lambda: bot.metric("traspaso_job_failures_total", copy="items", code="check") == failed + 1, SOON)
    assert bot.metric("traspaso_jobs_ended_total", copy="items", status="failed") > 0


def test_one_port_tells_of_all_processes_of_a_worker(office: Office, scene: Scene) -> None:
    office.workers(0)
    port = Port(candidate_port())
    service = office.stack.start_worker(
        "worker-of-two",
        arguments=("--processes", "2", "--threads", "1"),
        env={**office.secrets, "HEALTH_PORT": str(port.port)},
    )
    office._own.append(service)
    until(port.answers)
    name = "sweeper"
    health = until(lambda: len([each for each in port.checks("/healthz") if name in each]) == 2 and port)
    processes = {each.partition("/")[0] for each in health.checks("/healthz") if "/" in each}
    children = {str(child.pid) for child in psutil.Process(service.pid).children()}
    assert len(processes) == 2
    assert processes <= children
    assert port.checks("/healthz")["code"] == 200
    folders = set(Path(psutil.Process(service.pid).environ().get("TMPDIR", "/tmp")).glob("traspaso-*"))
    mine = [each for each in folders if f"-{service.pid}-" in each.name]
    assert len(mine) == 1
    assert mine[0].stat().st_mode & 0o077 == 0
    service.terminate()
    assert service.wait(30) == 0
    assert not mine[0].exists()


def test_a_port_that_somebody_has_keeps_nobody_from_working_and_is_had_later(
    office: Office, scene: Scene, bot: Port
) -> None:
    worker = office.own_worker({"HEALTH_PORT": "1", "WORKER_HEALTH_PORT": str(bot.port)})
    said = worker.wait_for_line("can't be had")
    assert f"port {bot.port}" in said
    scene.seed(10)
    scene.completed(scene.start())
    office.stop_bot()
    worker.wait_for_line("has /healthz")
    assert bot.get("/readyz").json()["process"] == "worker"
    office._own[-1].kill()
    office.bot = office._start_bot({})


def queries() -> list[str]:
    """Of the alert rules and of the dashboard, with a value in the place of each of its variables."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "traspaso.json").read_text("utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "30s").replace("$copy", ".*") for each in found]


def test_every_metric_that_an_alert_or_the_dashboard_names_is_told(
    office: Office, scene: Scene, bot: Port
) -> None:
    told = set(re.findall(r"(?m)^# TYPE (\w+) ", bot.get("/metrics").text))
    named = {name for query in queries() for name in re.findall(r"\btraspaso_\w+", query)}
    assert len(named) > 20
    assert {re.sub(r"_bucket$", "", name) for name in named} <= told
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert {name for name in told if name.startswith("traspaso_")} == set(
        re.findall(r"`(traspaso_\w+)`", page)
    )


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus isn't installed")
def test_prometheus_itself_has_an_answer_to_every_query_of_the_dashboard(
    office: Office, scene: Scene, bot: Port, worker: Port, tmp_path: Path
) -> None:
    own = candidate_port()
    targets = [f"127.0.0.1:{port.port}" for port in (bot, worker)]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy" / "prometheus" / "alerts.yml")],
        "scrape_configs": [{"job_name": "traspaso", "static_configs": [{"targets": targets}]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    server = Child(
        "prometheus",
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{own}",
        ],
        dict(os.environ),
        tmp_path / "prometheus.log",
        guard=office.stack.guard,
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{own}/api/v1/", timeout=20, trust_env=False) as asked:

        def answer(query: str) -> list[dict[str, Any]]:
            said = asked.get("query", params={"query": query}).json()
            assert said["status"] == "success", (query, said)
            found: list[dict[str, Any]] = said["data"]["result"]
            return found

        def scraped() -> bool:
            try:
                return len(answer("traspaso_build_info")) == 2
            except (httpx.HTTPError, ValueError):  # it has yet to begin
                return False

        try:
            server.wait_until(scraped)
            scene.seed()
            scene.completed(scene.start())
            began = "increase(traspaso_jobs_ended_total{copy='items',status='completed'}[1m])"
            until(lambda: any(float(each["value"][1]) > 0 for each in answer(began)), 60)
            # What has never happened has no series yet; nothing runs now.
            never = ("failures", "retries", "thread", "rate_limited", "waited", "running_rows")
            rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))
            alerts = {rule["expr"] for group in rules["groups"] for rule in group["rules"]}
            for query in queries():
                found = answer(query)
                assert query in alerts or found or any(each in query for each in never), query
            firing = {each["metric"]["alertname"] for each in answer('ALERTS{alertstate="firing"}')}
            assert not firing & {"TraspasoBotGone", "TraspasoNoWorker", "TraspasoServerAway"}
        finally:
            server.kill()


def test_every_line_of_a_worker_is_json_and_says_which_job_and_attempt_it_is_about(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    argv = [sys.executable, "-m", "bot.worker", "--processes", "1", "--threads", "1"]
    worker = office.stack.run("worker-json", argv, env={**office.secrets, "LOG_FORMAT": "json"})
    office._own.append(worker)
    worker.wait_for_line("ready for action")
    scene.seed(10)
    job_id = scene.start()
    scene.completed(job_id)
    worker.terminate()
    assert worker.wait(30) == 0
    lines = [json.loads(line) for line in worker.log().splitlines()]
    assert {"dramatiq.MainProcess", "bot.work.runner"} <= {line["logger"] for line in lines}
    ours = [line for line in lines if line["logger"] == "bot.work.runner"]
    assert {(line["job"], line["attempt"]) for line in ours} == {(job_id, 1)}
    assert (
        len({line["worker"] for line in lines}) == 2
    )  # the process that copies, and the one that looks after it


def test_a_trace_leads_from_the_press_over_the_queue_to_each_chunk(office: Office, scene: Scene) -> None:
    with TraceCollector() as collector:
        exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        office.restart_bot(**exporter)
        try:
            office.own_worker(exporter)
            scene.seed()
            job_id = scene.start()
            job = scene.completed(job_id)
            [process] = until(lambda: collector.named("process"))
            [press] = until(lambda: collector.named("press copy_liquidation.confirm"))
        finally:
            office.restart_bot()
    assert collector.paths == {"/v1/traces"}
    # A sweep that comes between the commit and the queue sends the job's id once more, by itself.
    sends = {(span.trace, span.id) for span in collector.named("send")}
    [send] = [span for span in collector.named("send") if span.trace == press.trace]
    [answer] = [span for span in collector.named("answer") if span.trace == press.trace]
    assert (answer.parent, send.parent) == (press.id, answer.id)
    assert (press.service, send.service, process.service) == (
        "traspaso-bot",
        "traspaso-bot",
        "traspaso-worker",
    )
    assert send.attributes["messaging.system"] == "dramatiq"
    assert process.trace not in {trace for trace, _ in sends}
    assert len(process.links) == 1
    assert set(process.links) <= sends
    assert process.attributes == {
        "traspaso.job": job_id,
        "traspaso.attempt": 1,
        "traspaso.copy": "items",
        "traspaso.outcome": "completed",
    }
    [plan], [copy], [verify] = (collector.named(name) for name in ("plan", "copy", "verify"))
    assert {each.parent for each in (plan, copy, verify)} == {process.id}
    assert plan.attributes == {"traspaso.rows": ROWS, "traspaso.held": 0}
    chunks = collector.named("chunk")
    assert {chunk.parent for chunk in chunks} == {copy.id}
    assert sorted(chunk.attributes["traspaso.chunk"] for chunk in chunks) == list(
        range(1, job["chunks_done"] + 1)
    )
    assert sum(chunk.attributes["traspaso.rows"] for chunk in chunks) == ROWS
    assert sum(chunk.attributes["traspaso.bytes"] for chunk in chunks) == job["copied_bytes"]
    deliveries = {span.id: span.attributes["traspaso.message"] for span in collector.named("deliver")}
    posts = collector.named("slack chat.postMessage")
    assert {deliveries[span.parent] for span in posts if span.parent in deliveries} == {"card", "ending"}
    said = repr(collector.spans)
    assert not any(word in said for word in (PASSWORD, ROW_VALUE, scene.name, "xoxb"))
    assert not any(span.events for span in collector.spans)


def test_an_attempt_that_fails_says_so_in_its_trace_without_the_error_s_words(
    office: Office, scene: Scene
) -> None:
    with TraceCollector() as collector:
        exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        office.own_worker(exporter)
        office.consulta.execute(
            f"ALTER TABLE liquidation_items ADD CONSTRAINT closed "
            f"CHECK (liquidation_id <> {scene.liquidation}) NOT VALID"
        )
        try:
            scene.seed(10)
            scene.ended(scene.start(), "failed")
            [process] = until(lambda: collector.named("process"))
        finally:
            office.consulta.execute("ALTER TABLE liquidation_items DROP CONSTRAINT closed")
    assert process.attributes["traspaso.outcome"] == "failed"
    # This bot traces nothing: what led here is at most the worker's own look for jobs that wait.
    own = {(span.trace, span.id) for span in collector.named("send") if span.service == "traspaso-worker"}
    assert set(process.links) <= own
    [copy] = collector.named("copy")
    assert copy.failed
    assert copy.attributes == {"error.type": "Permanent"}
    assert ROW_VALUE not in repr(collector.spans)


def test_a_collector_that_is_away_keeps_nobody_from_copying_or_from_ending(
    office: Office, scene: Scene
) -> None:
    exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{candidate_port()}"}
    worker = office.own_worker(exporter)
    scene.seed(10)
    scene.completed(scene.start())
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_comparison_that_finds_differences_is_counted(office: Office, scene: Scene, bot: Port) -> None:
    scene.seed(10)
    scene.seed_consulta(9)
    different = {"copy": "items", "outcome": "different"}
    before = bot.metric("traspaso_comparisons_total", **different)
    scene.ask(scene.bob, str(scene.liquidation), "/copy-verify")
    until(lambda: bot.metric("traspaso_comparisons_total", **different) == before + 1, SOON)
