"""The files of deploy/: units that systemd takes, a Dockerfile whose steps work, services that exist.

There is no Docker engine in these tests. The Dockerfile's instructions are read and run one after the other
in a folder that stands for the image's root; only `useradd` isn't, as it would change this machine. pip
compiles nothing ahead, and finds what it has downloaded before: neither is seen in what it installs.
"""

from __future__ import annotations

import configparser
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot import config
from bot.cli import LISTED
from bot.worker import LONGEST_CHUNK_SECONDS
from copier import preview
from dev.guard import ROOT
from dev.processes import PRODUCT_PROGRAMS
from tests.copying import Sides, engine, spec
from tests.wheel import build_wheel

DEPLOY = ROOT / "deploy"
CACHES = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
PROCFILE = dict(
    line.split(": traspaso migrate && exec ") for line in (ROOT / "Procfile").read_text("utf-8").splitlines()
)


def variables() -> set[str]:
    return {*re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', Path(config.__file__).read_text("utf-8"))}


def runs(words: list[str]) -> bool:
    """Whether this is a command line of ours: one of the Procfile, or of the shell."""
    program, *arguments = words
    if program == "traspaso":
        return arguments[0] in LISTED
    return shlex.join(words) in PROCFILE.values()


# ---- systemd ---------------------------------------------------------------------------------


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / "systemd" / name).read_text("utf-8"))
    return parser


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="no systemd-analyze here; on Debian: apt-get install systemd",
)
def test_systemd_takes_the_units_and_finds_them_well_shut(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text("utf-8").replace("/opt/traspaso/bin", str(PRODUCT_PROGRAMS))
        (tmp_path / path.name.replace("@.", "@1.")).write_text(text, "utf-8")
    names = [path.name for path in tmp_path.iterdir()]
    verify = ["systemd-analyze", "verify", "--man=no", *names]
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if any(name in line for name in names)]
    assert (done.returncode, said) == (0, [])
    for name in (name for name in names if name.endswith(".service")):
        judge = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", f"./{name}"]
        done = subprocess.run(judge, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("path", [path for path in UNITS if path.suffix == ".service"], ids=lambda p: p.name)
def test_a_unit_starts_what_there_is(path: Path) -> None:
    service = unit(path.name)["Service"]
    for key in ("ExecStartPre", "ExecStart"):
        if line := service.get(key):
            program, *words = shlex.split(line)
            assert program.startswith("/opt/traspaso/bin/")
            assert runs([Path(program).name, *words]), line


def test_a_worker_has_the_time_to_end_its_chunk_and_wrong_settings_are_not_tried_for_ever() -> None:
    worker, bot = unit("traspaso-worker@.service")["Service"], unit("traspaso-bot.service")["Service"]
    assert int(worker["TimeoutStopSec"]) > LONGEST_CHUNK_SECONDS
    for service in (worker, bot):
        assert service["KillSignal"] == "SIGTERM"
        assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", "78")


# ---- Dockerfile ------------------------------------------------------------------------------


@dataclass
class Image:
    """What the instructions of a Dockerfile make, in a folder that stands for the image's root."""

    root: Path
    context: Path
    variables: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    def place(self, path: str) -> Path:
        return self.root / (Path(self.workdir) / path).relative_to("/")

    def environment(self) -> dict[str, str]:
        inside = {name: self._rooted(value) for name, value in self.variables.items()}
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        kept |= {"PIP_NO_COMPILE": "1", "XDG_CACHE_HOME": CACHES}
        programs = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        path = f"{inside['PATH']}{os.pathsep}{programs}" if "PATH" in inside else programs
        return {**kept, "HOME": str(self.root), "LANG": "C.UTF-8", **inside, "PATH": path}

    def build(self, text: str) -> None:
        joined = re.sub(r"\\\n", " ", text)
        for line in joined.splitlines():
            if line.strip() and not line.startswith("#"):
                name, _, rest = line.partition(" ")
                getattr(self, f"do_{name.lower()}")(rest.strip())

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._rooted(each) for each in argv],
            cwd=self.place("."),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _rooted(self, text: str) -> str:
        return text.replace("/opt/traspaso", f"{self.root}/opt/traspaso")

    def do_from(self, rest: str) -> None:
        """A stage begins anew; what the one before has made stays for COPY --from."""
        assert re.fullmatch(r"python:3\.\d+-slim( AS build)?", rest)
        (self.root / "bin").mkdir(parents=True, exist_ok=True)
        python = self.root / "bin" / "python"
        if not python.exists():
            python.symlink_to(getattr(sys, "_base_executable", sys.executable))
        self.variables, self.workdir, self.user = {}, "/", "root"

    def do_workdir(self, rest: str) -> None:
        self.workdir = rest
        self.place(".").mkdir(parents=True, exist_ok=True)

    def do_copy(self, rest: str) -> None:
        if rest.startswith("--from=build "):
            source, target = rest.split()[1:]
            assert source == target
            assert self.place(source).is_dir()
            return
        *sources, target = rest.split()
        for source in sources:
            found = [path.name for path in self.context.glob(source)]
            assert found, f"COPY finds no {source}"
            for name in found:
                shutil.copy(self.context / name, self.place(target) / name)

    def do_run(self, rest: str) -> None:
        if rest.startswith("useradd "):
            self.not_run.append(rest)
            return
        done = self.run("sh", "-c", rest.replace(" --no-cache-dir", ""))
        if re.search("No matching distribution|Max retries|Temporary failure|Connection", done.stderr):
            pytest.skip(
                "no package index can be reached from here, so the image's packages can't be installed"
            )
        assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"

    def do_env(self, rest: str) -> None:
        self.variables |= dict(pair.split("=", 1) for pair in rest.split())

    def do_user(self, rest: str) -> None:
        self.user = rest

    def do_stopsignal(self, rest: str) -> None:
        assert rest == "SIGTERM"

    def do_healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition(" CMD ")[2])

    def do_cmd(self, rest: str) -> None:
        self.command = json.loads(rest)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port on which /healthz has this status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


def test_the_steps_of_the_dockerfile_make_a_bot_out_of_the_wheel_and_the_lock(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    build_wheel(context)
    shutil.copy(ROOT / "requirements-prod.lock", context)
    image = Image(tmp_path / "root", context)
    image.build((DEPLOY / "Dockerfile").read_text("utf-8"))
    assert image.user == "10001"
    assert [each.split()[0] for each in image.not_run] == ["useradd"]
    assert image.variables.keys() <= {*variables(), "PATH", "PYTHONUNBUFFERED"}

    assert runs(image.command)
    started = image.run(*image.command)
    assert started.returncode == 78, started.stderr
    assert "PROD_DATABASE_URL is missing" in started.stderr
    versions = image.run("traspaso", "--version")
    assert versions.returncode == 0, versions.stderr
    assert image.run("dramatiq", "--version").returncode == 0
    for status, healthy in ((200, True), (503, False)):
        with answering(status) as port:
            image.variables["HEALTH_PORT"] = str(port)
            assert (image.run(*image.health).returncode == 0) is healthy


# ---- compose ---------------------------------------------------------------------------------

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "traspaso"}


def test_the_compose_file_is_valid_by_the_schema_of_the_specification() -> None:
    schema = json.loads((ROOT / "tests/architecture/compose.schema.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    COMPOSE_WRONG = {**COMPOSE, "services": {"bot": {**COMPOSE["services"]["bot"], "comand": []}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(COMPOSE_WRONG)


def test_each_service_of_ours_starts_what_there_is_with_variables_that_are_read() -> None:
    assert set(OURS) == {"migrate", "bot", "worker"}
    for service in OURS.values():
        assert runs(service["command"])
        assert service["environment"].keys() <= variables()
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert set(service["depends_on"]) <= set(COMPOSE["services"])
    grace = int(OURS["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > LONGEST_CHUNK_SECONDS


def test_the_settings_of_the_compose_file_are_complete_but_for_the_tokens() -> None:
    written = {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in OURS["bot"]["environment"].items()
    }
    _, lines = config.read({**written, "TRASPASO_CONFIG": str(ROOT / "traspaso.example.toml")})
    assert [line.split()[0] for line in lines] == ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"]


def test_the_payroll_to_try_with_is_what_the_example_configuration_names(sides: Sides) -> None:
    for database, name in ((sides.prod, "prod"), (sides.consulta, "consulta")):
        mounted = COMPOSE["services"][name]["volumes"][0].split(":")[0]
        database.execute((ROOT / mounted).read_text("utf-8"))
    example = config.read({"TRASPASO_CONFIG": str(ROOT / "traspaso.example.toml")}, config.Need.COPIES)[
        0
    ].file
    assert example.liquidations is not None
    seen = preview(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        example.copies[0].spec,
        42,
        catalogue=example.liquidations.catalogue,
    )
    assert (seen.label, seen.in_source.rows, seen.advice) == ("Sueldos mensuales · Octubre 2026", 50_000, ())
    sides.copy_proven(spec("liquidation_items"))
