"""What deploys and load do to it, on the real processes and with Slack's own rate limits.

    make load                                      the load: 40 copies, 200 commands and presses a minute
    make load PARTS="load deploys"                 and 50 restarts under load
    make load PARTS=releases BEFORE=5e3dfd0        that commit and this tree beside each other
    make load PARTS=… QUICK=1                      each part in about a minute, nothing for the page
    make load PARTS=… ARGS="--copies 10 --docs"    anything else; --docs writes the section of the page

Each part prints a table and writes dist/load/PART.json. It exits with 1 where a promise didn't hold.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import fields, replace

from rich.console import Console

from dev.load import report
from dev.load.parts import Options, deploys, load, releases
from dev.output import harmless

QUICK = Options(
    copies=8,
    minutes=0.5,
    over_seconds=10.0,
    restarts=9,
    small_rows=1_000,
    middle_rows=10_000,
    patience_minutes=4.0,
)

console = Console(highlight=False)


def say(text: str) -> None:
    console.print(harmless(text), soft_wrap=True, markup=False)


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="make load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", choices=[*report.TITLES, []], help="load where none is named")
    options.add_argument("--before", metavar="COMMIT", help="the release before, for the part `releases`")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--copies", type=int)
    options.add_argument("--per-minute", type=float, help="commands and presses")
    options.add_argument("--minutes", type=float, help="how long people go on at least")
    options.add_argument("--over-seconds", type=float, help="in which time all copies are asked for")
    options.add_argument("--channels", type=int, choices=(1, 2, 3), help="in which they are asked for")
    options.add_argument("--restarts", type=int)
    options.add_argument("--small-rows", type=int)
    options.add_argument("--middle-rows", type=int)
    options.add_argument("--parallel", type=int, help="ranges at once; by default as the product chooses")
    options.add_argument("--seed", type=int, help="what people do when; 1 where it isn't given")
    options.add_argument("--docs", action="store_true", help="write the section of docs/reliability.md")
    return options.parse_args()


def main() -> int:
    given = arguments()
    parts = given.parts or ["load"]
    if "releases" in parts and not given.before:
        say("The part `releases` needs a commit to begin with: BEFORE=5e3dfd0")
        return 2
    named = {each.name for each in fields(Options)}
    chosen = {name: value for name, value in vars(given).items() if name in named and value is not None}
    options = replace(QUICK if given.quick else Options(), **chosen)
    for number in (signal.SIGTERM, signal.SIGINT):  # a background job inherits the latter ignored
        signal.signal(number, signal.default_int_handler)
    held = True
    try:
        for part in parts:
            began = time.monotonic()
            if part == "load":
                result = load(options, say)
            elif part == "deploys":
                result = deploys(options, say)
            else:
                result = releases(options, say, given.before)
            result.show(console)
            say(f"Took {time.monotonic() - began:.0f} s. Everything is in {result.write()}.\n")
            held = held and result.held
    except KeyboardInterrupt:
        say("\nStopped; nothing is left behind.")
        return 130
    if given.docs:
        say(f"Written to {report.write_section()}.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
