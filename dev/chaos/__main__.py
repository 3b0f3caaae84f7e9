"""``python -m dev.chaos``: so many runs from a seed on; each violation is printed with how to replay it.

With ``--write`` the results of campaigns that have been are put into docs/reliability.md, and nothing is run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from dev.chaos.campaign import campaign
from dev.chaos.figures import write
from dev.chaos.house import PROFILES
from dev.guard import ROOT

PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    options = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--house", choices=list(PROFILES), help="only this kind of house")
    options.add_argument("--write", nargs="+", type=Path, metavar="RESULTS", help="results as .json")
    arguments = options.parse_args()
    if arguments.write:
        write(PAGE, [run for path in arguments.write for run in json.loads(path.read_text("utf-8"))])
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stories = campaign(arguments.seed, arguments.runs, arguments.house)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left behind.")
        return 130
    return 1 if any(story.violations for story in stories) else 0


if __name__ == "__main__":
    sys.exit(main())
