"""`python -m dev.local_slack`: run the local Slack until SIGTERM or SIGINT, and say where it listens."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from dev.local_slack.server import build_core, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.local_slack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument(
        "--manifest", type=Path, default=Path("manifest.yml"), help="commands, scopes and events"
    )
    parser.add_argument("--seed", type=Path, help="a YAML or JSON file instead of the built-in workspace")
    parser.add_argument("--rate-limits", choices=("on", "off"), default="on")
    parser.add_argument("--ready-file", type=Path, help="also written there, once it listens")
    asyncio.run(_run(parser.parse_args()))


async def _run(options: argparse.Namespace) -> None:
    core = build_core(options.manifest, seed=options.seed, rate_limits=options.rate_limits == "on")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready() -> None:
        line = json.dumps(
            {"url": core.url, "bot_token": core.ws.app.bot_token, "app_token": core.ws.app.app_token}
        )
        if options.ready_file is not None:
            partial = options.ready_file.with_suffix(".partial")
            partial.write_text(line + "\n", encoding="utf-8")
            partial.rename(options.ready_file)
        print(line, flush=True)

    await serve(core, options.port, ready, stop)


if __name__ == "__main__":
    main()
