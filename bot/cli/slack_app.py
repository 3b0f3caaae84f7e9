"""``traspaso manifest``, and ``traspaso hook``: what the Slack CLI runs, by .slack/hooks.json.

The protocol of the hooks is the Slack CLI's first one: a hook's whole stdout is its answer, in JSON.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import click

from bot import config
from bot.cli.help import Command
from bot.cli.output import print_json_document, say
from bot.i18n import N_

#: Each process that `slack run` starts, as the Procfile has it.
PROCESSES = (
    [sys.executable, "-m", "dramatiq", "bot.worker:boot", "--processes", "1", "--threads", "4"],
    [sys.executable, "-m", "bot"],
)
#: The Slack CLI's names for the tokens of the app that it runs.
TOKENS = {"SLACK_CLI_XAPP": "SLACK_APP_TOKEN", "SLACK_CLI_XOXB": "SLACK_BOT_TOKEN"}
HOOKS = {
    "hooks": {
        "get-manifest": "traspaso manifest --json",
        "start": "traspaso hook start",
        "doctor": "traspaso hook doctor",
    },
    # The bot connects to Slack itself, and a hook gets no other arguments than its own.
    "config": {"protocol-version": ["default"], "sdk-managed-connection-enabled": True},
    "runtime": "python",
}
LOOK_SECONDS = 0.5


def _suffix(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[a-z0-9]{1,10}", value):
        raise click.BadParameter("write up to ten of a-z and 0-9, such as dev")
    return value


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from bot import manifest as app_manifest

    try:
        return None if value is None else app_manifest.request_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    name="manifest",
    cls=Command,
    help=N_("Prints the manifest of the Slack app, to paste at api.slack.com/apps, From a manifest."),
)
@click.option("--json", "as_json", is_flag=True, help=N_("As JSON, in the place of YAML."))
@click.option(
    "--http",
    metavar="URL",
    callback=_url,
    help=N_("For HTTP mode: the https address of the bot, in the place of Socket Mode."),
)
@click.option(
    "--suffix",
    metavar="WORD",
    callback=_suffix,
    help=N_("For a second app in one workspace: its commands are /copy-liquidation-WORD and so on."),
)
def manifest(as_json: bool, http: str | None, suffix: str | None) -> None:
    from bot import manifest as app_manifest

    found = app_manifest.read()
    if http:
        found = app_manifest.for_http(found, http)
    if suffix:
        found = app_manifest.with_suffix(found, suffix)
    if as_json:
        print_json_document(found)
        return
    for line in app_manifest.as_yaml(found).splitlines():
        say(line)


@click.command(
    cls=Command,
    help=N_("What the Slack CLI runs, by .slack/hooks.json: `slack run` starts a bot and a worker."),
)
@click.argument("name", type=click.Choice(["get-hooks", "start", "doctor"]))
def hook(name: str) -> None:
    match name:
        case "get-hooks":
            print_json_document(HOOKS)
        case "doctor":
            print_json_document({"versions": _versions()})
        case _:
            sys.exit(_start())


def _versions() -> list[dict[str, Any]]:
    packages = ("traspaso", "slack-bolt", "slack-sdk")
    found = [{"name": name, "current": version(name)} for name in packages]
    return [{"name": "python", "current": platform.python_version()}, *found]


def _start() -> int:
    """A bot and a worker, until one of them ends or this process is told to; the exit code of the first."""
    from bot.cli.operator_commands import migrate

    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    for theirs, ours in TOKENS.items():
        if token := os.environ.get(theirs):
            os.environ[ours] = token
    config.read_env_file()
    assert migrate.callback is not None  # noqa: S101 - click's own
    migrate.callback(None)
    # In sessions of their own: a Ctrl-C at the terminal reaches them once, from here, as a second one
    # would end a worker in the middle of a chunk.
    running = [subprocess.Popen(each, start_new_session=True) for each in PROCESSES]
    while not over.wait(LOOK_SECONDS) and all(each.poll() is None for each in running):
        pass
    ended = next((each.returncode for each in running if each.returncode is not None), 0)
    for each in running:
        with suppress(ProcessLookupError):
            each.terminate()
    for each in running:
        each.wait()
    return ended
