"""python -m dev.messages: writes the golden files and docs/messages.md anew, and removes what is no more."""

from __future__ import annotations

from dev.messages.catalogue import GOLDEN, files

if __name__ == "__main__":
    wanted = files()
    for path in GOLDEN.rglob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, contents in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents, "utf-8")
