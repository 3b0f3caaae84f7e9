"""python -m dev.messages: writes tests/golden and what docs/ has of it anew.

python -m dev.messages card failures: prints these sections in plain words, and writes nothing.
"""

from __future__ import annotations

import argparse

from dev.messages.catalogue import GOLDEN, TITLES, files, read
from dev.output import harmless


def write() -> None:
    wanted = files()
    for path in GOLDEN.rglob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, contents in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m dev.messages", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(TITLES))
    sections = parser.parse_args().sections
    if unknown := set(sections) - set(TITLES):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if sections:
        print(harmless("\n".join(map(read, sections))))
    else:
        write()
