"""Everything the product runs against, on this machine and gone afterwards.

Two PostgreSQL clusters (databases `prod` and `consulta`), a Valkey and, if asked, the local Slack, in one
temporary folder under one guard; and the product itself as processes that get their settings as in
production, by environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from dev.fork_server import ForkServer
from dev.guard import ROOT, Guard
from dev.postgres import PostgresServer
from dev.processes import PRODUCT_PROGRAMS, Child
from dev.valkey import Valkey

STRAY = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


class Stack:
    """A context manager. `config` is the text of traspaso.toml; `settings` are those of both clusters, and
    `product` are variables more of the product's environment.

    Its folder lies in memory where there is plenty; a benchmark wants it `on_disk`, with `settings` to match.
    The product's processes are started as people start them; tests have them forked by `forks`.
    """

    def __init__(
        self,
        *,
        config: str = "",
        slack: bool = False,
        on_disk: bool = False,
        manifest: Path = ROOT / "manifest.yml",
        settings: Mapping[str, str] | None = None,
        prod_settings: Mapping[str, str] | None = None,
        consulta_settings: Mapping[str, str] | None = None,
        product: Mapping[str, str] | None = None,
        forks: ForkServer | None = None,
    ) -> None:
        self.guard = Guard()
        try:
            self.folder = self.guard.temp_folder(on_disk=on_disk)
            common = dict(settings or {})
            self.prod = PostgresServer(
                self.folder, "prod", {**common, **(prod_settings or {})}, guard=self.guard
            )
            self.consulta = PostgresServer(
                self.folder, "consulta", {**common, **(consulta_settings or {})}, guard=self.guard
            )
            self.valkey = Valkey(self.folder, guard=self.guard)
        except BaseException:
            self.guard.close()
            raise
        self.slack: Child | None = None
        self.children: list[Child] = []
        self._config = config
        self._product = dict(product or {})
        self._forks = forks
        self._manifest = manifest if slack else None
        self._slack_settings: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------ the parts

    def start(self) -> None:
        self.config_path.write_text(self._config, encoding="utf-8")
        if self._manifest is not None:
            self.slack = self._start_slack(self._manifest)
        with ThreadPoolExecutor() as pool:
            for done in [
                pool.submit(self._start_cluster, self.prod),
                pool.submit(self._start_cluster, self.consulta),
                pool.submit(self.valkey.start),
            ]:
                done.result()
        if self.slack is not None:
            line = json.loads(self.slack.wait_for_line(lambda line: line.startswith("{")))
            self._slack_settings = {
                "SLACK_API_URL": f"{line['url']}/api/",
                "SLACK_BOT_TOKEN": line["bot_token"],
                "SLACK_APP_TOKEN": line["app_token"],
            }

    def close(self) -> None:
        """Ends all processes and removes the folder."""
        self.guard.close()

    @property
    def config_path(self) -> Path:
        return self.folder / "traspaso.toml"

    @property
    def prod_url(self) -> str:
        return self.prod.url("prod")

    @property
    def consulta_url(self) -> str:
        return self.consulta.url("consulta")

    def environment(self) -> dict[str, str]:
        """What the product is started with: the settings of production, nothing that leads it elsewhere."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in STRAY
            and not name.startswith(
                ("PG", "SLACK_", "TRASPASO_", "LOG_", "OTEL_", "HEALTH_", "WORKER_HEALTH_", "NOTIFY_")
            )
        }
        return {
            **inherited,
            "PATH": f"{PRODUCT_PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "LOG_FORMAT": "text",  # for people, who read why a test failed
            "PROD_DATABASE_URL": self.prod_url,
            "CONSULTA_DATABASE_URL": self.consulta_url,
            "REDIS_URL": self.valkey.url,
            "TRASPASO_CONFIG": str(self.config_path),
            **self._slack_settings,
            **self._product,
        }

    # ---------------------------------------------------------------------------------------- the product

    def run(
        self,
        name: str,
        argv: Sequence[object],
        *,
        ready: str | Callable[[], bool] | None = None,
        env: Mapping[str, str] | None = None,
        tree: Path = ROOT,
    ) -> Child:
        """A child with the stack's environment, `env` on top; returns when its log, or a call, says ready.

        `tree` is a working copy of the release that it runs.
        """
        if tree != ROOT:
            env = {**(env or {}), "PYTHONPATH": str(tree)}
        child = Child(
            name,
            argv,
            {**self.environment(), **(env or {})},
            self.folder / f"{name}.log",
            guard=self.guard,
            cwd=tree,
            forks=self._forks if tree == ROOT else None,
        )
        self.children.append(child)
        if isinstance(ready, str):
            child.wait_for_line(ready)
        elif ready is not None:
            child.wait_until(ready)
        return child

    def migrate(self, *, env: Mapping[str, str] | None = None, tree: Path = ROOT) -> None:
        """`traspaso migrate`, to its end; raises with its log unless it succeeds."""
        child = self.run("migrate", [PRODUCT_PROGRAMS / "traspaso", "migrate"], env=env, tree=tree)
        child.wait_until(lambda: child.returncode == 0, 60.0, what="success")

    def start_bot(
        self,
        *,
        ready: str | Callable[[], bool] | None = None,
        env: Mapping[str, str] | None = None,
        tree: Path = ROOT,
    ) -> Child:
        return self.run("bot", [sys.executable, "-m", "bot"], ready=ready, env=env, tree=tree)

    def start_worker(
        self,
        name: str = "worker",
        *,
        arguments: Sequence[str] = ("--processes", "1", "--threads", "4"),
        ready: str | Callable[[], bool] | None = None,
        env: Mapping[str, str] | None = None,
        tree: Path = ROOT,
    ) -> Child:
        argv = [PRODUCT_PROGRAMS / "dramatiq", "bot.worker:boot", *arguments]
        return self.run(name, argv, ready=ready, env=env, tree=tree)

    # ------------------------------------------------------------------------------------------- internal

    def _start_slack(self, manifest: Path) -> Child:
        argv = [sys.executable, "-m", "dev.local_slack", "--port", "0", "--manifest", manifest]
        return self.run("slack", argv)

    @staticmethod
    def _start_cluster(server: PostgresServer) -> None:
        server.start()
        server.create_database(server.name)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
